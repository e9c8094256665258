//! The world: nodes, network, people and faults, on one thread and one clock.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use crate::{
    codec,
    delivery::{
        Arrival, Departure, Event as Told, Frame, Input, LinkInfo, Output, SessionId, Step, Ticket,
        hop::Seq,
    },
    journal,
    model::{
        Digest, Fingerprint, Kind, Lane, MessageId, Millis, Now, Pattern, Reason, ReceiptItem,
        UnitId,
    },
    parcel::{BodyForm, Header, Parcel},
};

use super::{
    Options, Stats,
    agenda::{Agenda, DiskStep, Event, Life, MILLISECOND, NodeIndex, SECOND, Us},
    hops::{Direction, HopWatch},
    ledger::Ledger,
    net::{Batch, CHILD, EndState, Net, SessionIndex},
    node::{Asked, Node, wall_of},
    plan::{HUB, Plan},
    rng::Rng,
    rogue::Rogue,
    trace::Trace,
};

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    /// Which: `G1` to `G8`.
    pub(super) promise: &'static str,
    /// How it shows.
    pub(super) what: String,
}

pub(super) type Kept = Result<(), Broken>;

pub(super) fn broken(promise: &'static str, what: impl Into<String>) -> Broken {
    Broken {
        promise,
        what: what.into(),
    }
}

/// The failure that a panic is.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Broken {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    broken(
        "G8",
        format!("a panic: {}", said.unwrap_or("without words")),
    )
}

/// More outputs than one input can have reason for (G7).
const OUTPUTS_MAX: usize = 20_000;
/// More events than any world needs: something goes round in circles.
const EVENTS_MAX: u64 = 2_000_000;

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) agenda: Agenda,
    pub(super) net: Net,
    pub(super) nodes: Vec<Node>,
    pub(super) rogue: Option<Rogue>,
    pub(super) ledger: Ledger,
    pub(super) hops: HopWatch,
    pub(super) trace: Trace,
    pub(super) stats: Stats,
    /// Nothing breaks any more, and applications take what they are handed.
    pub(super) is_calm: bool,
    /// Everything is where it must be.
    pub(super) is_done: bool,
    /// A node tells what its records led to, once more.
    pub(super) is_recovering: bool,
    /// The farthest that any clock ever was ahead, milliseconds.
    pub(super) clock_ahead: i64,
    /// What operators hold, or may hold.
    pub(super) holds: BTreeSet<(NodeIndex, MessageId)>,
    /// Names of all kinds, never used twice.
    names: u64,
    units: BTreeMap<UnitId, NodeIndex>,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&options, &mut rng);
        let trace = Trace::new(options.lines, options.print);
        let mut world = Self {
            rng,
            agenda: Agenda::default(),
            net: Net::default(),
            nodes: Vec::new(),
            rogue: None,
            ledger: Ledger::default(),
            hops: HopWatch::default(),
            trace,
            stats: Stats::default(),
            is_calm: false,
            is_done: false,
            is_recovering: false,
            clock_ahead: plan.nodes.iter().map(|n| n.clock_off).max().unwrap_or(0),
            holds: BTreeSet::new(),
            names: 0,
            units: BTreeMap::new(),
            options,
            plan,
        };
        world.settle();
        world
    }

    fn settle(&mut self) {
        let journal_settings = journal::Settings {
            segment_bytes: self.plan.segment_bytes,
            bytes_max: self.plan.journal_bytes,
            reserve_percent: 20,
            checkpoint_bytes_min: u64::from(self.plan.segment_bytes),
            victim_live_percent: 50,
            slack_percent: 15,
            quarantine_bytes_max: 1 << 20,
        };
        for (index, node) in self.plan.nodes.iter().enumerate() {
            self.units.insert(node.settings.unit.clone(), index);
            self.net.links.insert(index, node.links());
            self.nodes.push(Node {
                settings: node.settings.clone(),
                journal_settings,
                parent: node.parent,
                is_hub: node.settings.listens,
                disk: super::disk::SimDisk::new(),
                life: 0,
                run: None,
                clock_off: node.clock_off,
                slow_until: 0,
                backup: None,
                set_back_to: None,
                must_know: Vec::new(),
                is_set_back: false,
                retries: Vec::new(),
                submitted: 0,
            });
            let node = index;
            self.agenda.at(0, Event::Start { node });
            self.agenda
                .at(self.rng.below(SECOND), Event::Clerk { node });
            self.agenda.at(self.rng.below(SECOND), Event::Poll { node });
        }
        if let Some(unit) = self.plan.rogue.clone() {
            let index = self.nodes.len();
            self.units.insert(unit.clone(), index);
            self.hops.rogues.insert(index);
            let links = self.plan.nodes[HUB].links();
            self.net.links.insert(index, links);
            self.rogue = Some(Rogue::new(unit, index));
            self.agenda.at(self.rng.below(5 * SECOND), Event::Rogue);
        }
        if !self.plan.faults.is_empty() {
            self.agenda.at(self.plan.fault_every, Event::Fault);
        }
        if self.plan.operators {
            self.agenda.at(SECOND, Event::Operator);
        }
        self.agenda.at(self.plan.calm_at, Event::Calm);
    }

    /// Lets everything happen until all is where it must be.
    pub(super) fn live(&mut self) -> Kept {
        while let Some(event) = self.agenda.next() {
            self.stats.events += 1;
            if self.stats.events > EVENTS_MAX {
                return Err(broken("G7", "the world does not come to rest"));
            }
            self.happen(event)?;
            if self.is_done {
                break;
            }
        }
        self.stats.simulated_ms = self.agenda.now() / 1000;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Kept {
        match event {
            Event::Tick { node, life } => self.tick(node, life),
            Event::Disk { node, life, step } => self.disk(node, life, step),
            Event::House { node, life } => self.keep_house(node, life),
            Event::Dial { child, link } => self.dial(child, link),
            Event::Up { session, end } => self.up(session, end),
            Event::Down { session, end } => self.down(session, end),
            Event::Control { session, end } => self.control(session, end),
            Event::Batch {
                session,
                end,
                batch,
            } => self.batch(session, end, batch),
            Event::Room {
                session,
                end,
                express,
            } => self.room(session, end, express),
            Event::Clerk { node } => self.clerk(node),
            Event::Poll { node } => self.poll(node),
            Event::Take { node, messages } => self.take(node, messages),
            Event::GiveBack { node, messages } => self.give_back(node, messages),
            Event::Forget { node, life, ticket } => self.forget(node, life, ticket),
            Event::Operator => self.operator(),
            Event::Rogue => self.rogue_acts(),
            Event::Fault => self.fault(),
            Event::Start { node } => self.start(node),
            Event::Mend { child, link } => {
                self.net.mend(child, link, &mut self.rng, &mut self.agenda);
                Ok(())
            }
            Event::Unblock { unit } => self.block(unit, false),
            Event::Calm => self.calm(),
            Event::Look => self.look(),
        }
    }

    // ---- names and clocks

    /// A number that was never used before.
    pub(super) fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(super) fn node_of(&self, unit: &UnitId) -> Option<NodeIndex> {
        self.units.get(unit).copied()
    }

    pub(super) fn unit(&self, node: NodeIndex) -> UnitId {
        match self.nodes.get(node) {
            Some(node) => node.settings.unit.clone(),
            None => self
                .plan
                .rogue
                .clone()
                .unwrap_or_else(|| unreachable!("a node that is none is the rogue")),
        }
    }

    pub(super) fn is_up(&self, node: NodeIndex) -> bool {
        self.nodes.get(node).is_some_and(|n| n.run.is_some())
    }

    pub(super) fn now(&mut self, node: NodeIndex) -> Now {
        let world = self.agenda.now();
        let node = &mut self.nodes[node];
        let clock_off = node.clock_off;
        node.run
            .as_mut()
            .map(|run| run.now(world, clock_off))
            .unwrap_or_default()
    }

    /// What the clock that is farthest ahead can have read by now.
    pub(super) fn latest_wall(&self) -> Millis {
        wall_of(self.agenda.now(), self.clock_ahead)
    }

    pub(super) fn line(&mut self, text: impl FnOnce() -> String) {
        self.trace.line(self.agenda.now(), text);
    }

    // ---- the shell of a node

    /// Gives a node's machine an input, and carries out what follows.
    pub(super) fn give(&mut self, node: NodeIndex, input: Input) -> Kept {
        self.give_from(node, input, None)
    }

    /// As [`World::give`]; `by` says by which numbers a neighbour sent it.
    fn give_from(&mut self, node: NodeIndex, input: Input, by: Option<Direction>) -> Kept {
        let mut own = VecDeque::from([input]);
        while let Some(input) = own.pop_front() {
            let now = self.now(node);
            let life = self.nodes[node].life;
            let Some(run) = self.nodes[node].run.as_mut() else {
                return Ok(());
            };
            self.stats.inputs += 1;
            self.trace.mark(node as u64, now.mono);
            let ticket = ticket_of(&input);
            let came = numbers_of(&input);
            let before = run.journal.appended();
            run.machine.handle(now, input, &mut run.journal);
            run.journal.end_group();
            let after = run.journal.appended();
            self.trace.mark(after, before);
            if after > before
                && let Some(waiting) = ticket.and_then(|t| run.tickets.get_mut(&t))
            {
                waiting.record = Some(after);
                if let Asked::Submit { messages, .. } = &waiting.asked {
                    for message in messages {
                        let message = self.ledger.get_mut(*message);
                        if message.record.is_none_or(|(l, _)| l != life) {
                            message.record = Some((life, after));
                        }
                    }
                }
            }
            if let Some(direction) = by {
                for (seq, parcel) in came {
                    self.hops.comes(direction, seq, parcel, after);
                }
            }
            self.carry_out(node, now, &mut own)?;
        }
        self.finish_turn(node)
    }

    fn carry_out(&mut self, node: NodeIndex, now: Now, own: &mut VecDeque<Input>) -> Kept {
        let mut outputs = 0;
        while let Some(output) = self.nodes[node]
            .run
            .as_mut()
            .and_then(|run| run.machine.poll_output())
        {
            outputs += 1;
            if outputs > OUTPUTS_MAX {
                return Err(broken(
                    "G7",
                    "one input has more outputs than it can have reason for",
                ));
            }
            match output {
                Output::Reply { ticket, answer } => self.answered(node, now, ticket, answer)?,
                Output::Send { session, frame } => self.send(node, session, frame)?,
                Output::Batch {
                    session,
                    lane,
                    parcels,
                } => self.send_batch(node, session, lane, &parcels)?,
                Output::Close { session, why } => {
                    self.line(|| format!("n{node} closes session {session}: {why}"));
                    if let Some(at) = self.net.find(node, session) {
                        self.net.close(at, &mut self.rng, &mut self.agenda);
                    }
                }
                Output::MakeReceipt {
                    number,
                    to,
                    items,
                    expires,
                } => {
                    let signed = self.sign_receipt(node, now, number, &to, &items, expires);
                    own.push_back(signed);
                }
                Output::Freed(location) => {
                    if let Some(run) = self.nodes[node].run.as_mut() {
                        run.journal.freed(location);
                    }
                }
                Output::Event(event) => self.told(node, &event)?,
            }
        }
        Ok(())
    }

    fn sign_receipt(
        &mut self,
        node: NodeIndex,
        now: Now,
        number: u64,
        to: &UnitId,
        items: &Vec<ReceiptItem>,
        expires: Millis,
    ) -> Input {
        self.line(|| format!("n{node} signs a receipt for {to}: {items:?}"));
        let header = Header {
            sender: self.unit(node),
            id: format!("r{}", self.name()),
            to: vec![Pattern::from(to)],
            kind: Kind::receipt(),
            case: None,
            lane: Lane::Urgent,
            accepted: now.wall,
            expires,
            signer: Fingerprint([0; 16]),
            attachments: Vec::new(),
            form: BodyForm::Binary,
            attributes: Vec::new(),
        };
        Input::ReceiptSigned {
            number,
            parcel: seal(&header, &codec::encode(items)),
            header,
        }
    }

    fn told(&mut self, node: NodeIndex, event: &Told) -> Kept {
        match event {
            Told::Message { message, what, .. } => {
                self.line(|| format!("n{node} {message} {what:?}"));
                self.trace.mark(
                    u64::from_le_bytes(message.0[..8].try_into().unwrap_or_default()),
                    step_number(what),
                );
            }
            event => self.line(|| format!("n{node} {event:?}")),
        }
        self.watch(node, event)
    }

    /// What the owner does after anything that happened.
    fn finish_turn(&mut self, node: NodeIndex) -> Kept {
        let now = self.now(node);
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        if run.machine.next_timer().is_some_and(|due| due <= now.mono) {
            run.idle_ticks += 1;
            if run.idle_ticks > 1000 {
                return Err(broken("G7", format!("the timer of n{node} is always due")));
            }
            return self.give(node, Input::Tick);
        }
        run.idle_ticks = 0;
        let room = run.room();
        let grain = self.plan.journal_bytes / 64;
        let changed = run.room_told.is_none_or(|told| {
            told.disk_full != room.disk_full || told.free.abs_diff(room.free) >= grain
        });
        if changed {
            run.room_told = Some(room);
            return self.give(node, Input::Room(room));
        }
        self.write(node);
        let life = self.nodes[node].life;
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        if !run.is_house_due {
            run.is_house_due = true;
            let delay = 100 * MILLISECOND + self.rng.below(SECOND);
            self.agenda.after(delay, Event::House { node, life });
        }
        let due = run.machine.next_timer().map(|due| run.moment(due));
        if due != run.timer {
            run.timer = due;
            if let Some(due) = due {
                self.agenda.at(due, Event::Tick { node, life });
            }
        }
        Ok(())
    }

    fn tick(&mut self, node: NodeIndex, life: Life) -> Kept {
        let now = self.agenda.now();
        let Node { run, life: l, .. } = &mut self.nodes[node];
        let Some(run) = run
            .as_mut()
            .filter(|run| *l == life && run.timer == Some(now))
        else {
            return Ok(());
        };
        run.timer = None;
        self.give(node, Input::Tick)
    }

    /// Starts the machine of a node that has recovered.
    pub(super) fn begin(&mut self, node: NodeIndex, epoch: u64, is_damaged: bool) -> Kept {
        let now = self.now(node);
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        run.machine.start(now, epoch, is_damaged, &mut run.journal);
        run.journal.end_group();
        let mut own = VecDeque::new();
        self.is_recovering = true;
        self.carry_out(node, now, &mut own)?;
        self.is_recovering = false;
        while let Some(input) = own.pop_front() {
            self.give(node, input)?;
        }
        self.finish_turn(node)
    }

    // ---- storage

    fn disk_delay(&mut self, node: NodeIndex) -> Us {
        let most = 2 * self.plan.sync;
        let slow = self.nodes[node].slow_until > self.agenda.now();
        let delay = self.rng.between(self.plan.sync / 4, most);
        if slow {
            delay + self.rng.below(2 * SECOND)
        } else {
            delay
        }
    }

    /// Has everything that waits written, unless a write is under way.
    fn write(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_mut() else {
            return;
        };
        if run.writing.is_none()
            && run.written.is_none()
            && let Some(write) = run.journal.take_write()
        {
            run.writing = Some(write);
            self.go_on(node, DiskStep::Write);
        }
    }

    fn go_on(&mut self, node: NodeIndex, step: DiskStep) {
        let delay = match step {
            DiskStep::Write | DiskStep::Checkpoint => self.disk_delay(node),
            DiskStep::Written | DiskStep::Checkpointed => self.rng.below(200),
        };
        let life = self.nodes[node].life;
        self.agenda.after(delay, Event::Disk { node, life, step });
    }

    fn disk(&mut self, node: NodeIndex, life: Life, step: DiskStep) -> Kept {
        if self.nodes[node].life != life {
            return Ok(());
        }
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        match step {
            DiskStep::Write => {
                #[allow(
                    clippy::result_large_err,
                    reason = "a full disk hands back what is still to be written"
                )]
                let written = run.writing.take().map(|write| write.run());
                run.written = written;
                self.go_on(node, DiskStep::Written);
            }
            DiskStep::Written => {
                let Some(written) = run.written.take() else {
                    return Ok(());
                };
                let failed = written.as_ref().err().map(ToString::to_string);
                let synced = run.journal.finished(written);
                if let Some(failed) = failed {
                    return Err(broken(
                        "G8",
                        format!("a write failed for no reason: {failed}"),
                    ));
                }
                self.start_checkpoint(node);
                self.trace.mark(1, synced);
                return self.give(node, Input::Synced(synced));
            }
            DiskStep::Checkpoint => {
                run.checkpointed = run.checkpointing.take().map(|job| job.run());
                self.go_on(node, DiskStep::Checkpointed);
            }
            DiskStep::Checkpointed => {
                let Some(done) = run.checkpointed.take() else {
                    return Ok(());
                };
                run.journal.checkpointed(&done);
                match done {
                    Ok(_) => self.stats.checkpoints += 1,
                    Err(error) => {
                        return Err(broken(
                            "G8",
                            format!("a checkpoint failed for no reason: {error}"),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts a checkpoint that waits, once all that it covers is durable.
    fn start_checkpoint(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_mut() else {
            return;
        };
        let synced = run.journal.synced();
        if let Some(job) = run.checkpoint.take_if(|job| job.lsn() <= synced) {
            run.checkpointing = Some(job);
            self.go_on(node, DiskStep::Checkpoint);
        }
    }

    fn keep_house(&mut self, node: NodeIndex, life: Life) -> Kept {
        if self.nodes[node].life != life {
            return Ok(());
        }
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        run.is_house_due = false;
        if let Some(segment) = run.journal.victim() {
            self.stats.compactions += 1;
            self.give(node, Input::Compact { segment })?;
        }
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        let busy =
            run.checkpoint.is_some() || run.checkpointing.is_some() || run.checkpointed.is_some();
        if !busy && run.journal.checkpoint_due() {
            self.write(node);
            if let Some(run) = self.nodes[node].run.as_mut() {
                let state = run.machine.checkpoint();
                run.checkpoint = run.journal.checkpoint(state);
            }
            self.start_checkpoint(node);
        }
        if let Some(run) = self.nodes[node].run.as_mut()
            && run.writing.is_none()
            && run.written.is_none()
            && let Some(write) = run.journal.retry()
        {
            run.writing = Some(write);
            self.go_on(node, DiskStep::Write);
        }
        Ok(())
    }

    // ---- the network

    fn dial(&mut self, child: NodeIndex, link: usize) -> Kept {
        let parent = match self.nodes.get(child) {
            Some(node) => node.parent,
            None => Some(HUB),
        };
        let Some(parent) = parent else { return Ok(()) };
        let is_rogue = child >= self.nodes.len();
        if !(is_rogue || self.is_up(child)) || self.net.has_session(child, link) {
            return Ok(());
        }
        let is_cut = self.net.link(child, link).is_some_and(|l| l.is_cut);
        if is_cut || !self.is_up(parent) {
            let backoff = 100 * MILLISECOND + self.rng.below(5 * SECOND);
            self.agenda.after(backoff, Event::Dial { child, link });
            return Ok(());
        }
        let ends = [child, parent].map(|node| {
            let life = self.nodes.get(node).map_or(0, |n| n.life);
            (node, life, self.name())
        });
        let session = self
            .net
            .connect(link, ends, &mut self.rng, &mut self.agenda);
        self.stats.sessions += 1;
        self.line(|| format!("n{child} dials n{parent} over link {link}: session {session}"));
        Ok(())
    }

    /// Whether an end's node still lives the life in which the session was set up.
    fn is_current(&self, session: SessionIndex, end: usize) -> bool {
        let end = &self.net.sessions[session].ends[end];
        match self.nodes.get(end.node) {
            Some(node) => node.life == end.life && node.run.is_some(),
            None => true,
        }
    }

    fn up(&mut self, session: SessionIndex, end: usize) -> Kept {
        if self.net.sessions[session].ends[end].state != EndState::Coming
            || !self.is_current(session, end)
        {
            return Ok(());
        }
        self.net.sessions[session].ends[end].state = EndState::Up;
        let (node, id) = self.net.end(session, end);
        let other = self.net.sessions[session].ends[1 - end].node;
        if node >= self.nodes.len() {
            return self.rogue_is_up(session);
        }
        let link = self.net.sessions[session].link;
        let link = LinkInfo {
            name: format!("l{link}"),
            kind: "lan".into(),
        };
        let neighbour = self.unit(other);
        self.line(|| format!("n{node} session {id} with {neighbour} is up"));
        self.give(
            node,
            Input::SessionUp {
                session: id,
                neighbour,
                link,
            },
        )?;
        let (express, bulk) = (4, self.plan.bulk_grants);
        self.net.sessions[session].ends[end].grants = [express, bulk];
        self.give(
            node,
            Input::Grant {
                session: id,
                express,
                bulk,
            },
        )
    }

    fn down(&mut self, session: SessionIndex, end: usize) -> Kept {
        let is_current = self.is_current(session, end);
        let was_up = self.net.sessions[session].ends[end].state == EndState::Up;
        if !self.net.over(session, end) {
            return Ok(());
        }
        let (node, id) = self.net.end(session, end);
        let (child, link) = (
            self.net.sessions[session].child,
            self.net.sessions[session].link,
        );
        if end == CHILD {
            let delay = 50 * MILLISECOND + self.rng.below(2 * SECOND);
            self.agenda.after(delay, Event::Dial { child, link });
        }
        if !is_current || !was_up || node >= self.nodes.len() {
            return Ok(());
        }
        self.line(|| format!("n{node} session {id} is down"));
        self.give(node, Input::SessionDown { session: id })
    }

    fn room(&mut self, session: SessionIndex, end: usize, express: bool) -> Kept {
        let side = &mut self.net.sessions[session].ends[end];
        if side.state != EndState::Up || !self.is_current(session, end) {
            return Ok(());
        }
        let side = &mut self.net.sessions[session].ends[end];
        side.grants[usize::from(!express)] += 1;
        let (node, session) = (side.node, side.id);
        if node >= self.nodes.len() {
            return Ok(());
        }
        self.give(
            node,
            Input::Grant {
                session,
                express: u16::from(express),
                bulk: u16::from(!express),
            },
        )
    }

    /// The direction that parcels from `end` go in, as its last hello named it.
    pub(super) fn direction(&self, session: SessionIndex, end: usize) -> Option<Direction> {
        let ends = &self.net.sessions[session].ends;
        let (from_epoch, to_epoch) = ends[end].hello?;
        Some(Direction {
            from: ends[end].node,
            to: ends[1 - end].node,
            from_epoch,
            to_epoch,
        })
    }

    fn send(&mut self, node: NodeIndex, id: SessionId, frame: Frame) -> Kept {
        let Some((session, end)) = self.net.find(node, id) else {
            return Ok(());
        };
        self.line(|| format!("n{node} session {id} > {frame:?}"));
        self.stats.frames += 1;
        let synced = self.nodes[node]
            .run
            .as_ref()
            .map_or(0, |r| r.journal.synced());
        if let Frame::Hello(hello) = &frame {
            self.net.sessions[session].ends[end].hello = Some((hello.epoch, hello.peer_epoch));
        }
        let theirs = self.direction(session, end).map(|d| Direction {
            from: d.to,
            to: d.from,
            from_epoch: d.to_epoch,
            to_epoch: d.from_epoch,
        });
        if let Some(direction) = theirs {
            match &frame {
                Frame::Hello(hello) => self.hops.greets(direction, hello, synced),
                Frame::Ack(ack) => self.hops.acks(direction, ack, synced),
                _ => Ok(()),
            }
            .map_err(|what| broken("G2", what))?;
        }
        let direction = self.direction(session, end);
        self.net.send(
            (session, end),
            (frame, direction),
            &mut self.rng,
            &mut self.agenda,
        );
        Ok(())
    }

    fn send_batch(
        &mut self,
        node: NodeIndex,
        id: SessionId,
        lane: Lane,
        parcels: &[Departure],
    ) -> Kept {
        let Some((session, end)) = self.net.find(node, id) else {
            return Ok(());
        };
        self.stats.batches += 1;
        self.line(|| {
            let entries: Vec<_> = parcels.iter().map(|p| &p.entry).collect();
            format!("n{node} session {id} >> {lane} {entries:?}")
        });
        let class = usize::from(!lane.has_reserve());
        let grants = &mut self.net.sessions[session].ends[end].grants[class];
        *grants = grants
            .checked_sub(1)
            .ok_or_else(|| broken("G7", format!("n{node} sends a batch that was not granted")))?;
        let direction = self
            .direction(session, end)
            .ok_or_else(|| broken("G2", format!("n{node} sends parcels before a hello")))?;
        let Some(run) = self.nodes[node].run.as_ref() else {
            return Ok(());
        };
        let mut packed = Vec::with_capacity(parcels.len());
        for departure in parcels {
            let bytes = run.reader.read(departure.at).map_err(|error| {
                broken("G8", format!("n{node} cannot read what it sends: {error}"))
            })?;
            let parcel = Parcel::read(bytes).map_err(|error| {
                broken("G8", format!("n{node} sends what is no parcel: {error}"))
            })?;
            self.hops
                .sends(direction, departure.entry.seq, parcel.digest())
                .map_err(|what| broken("G3", what))?;
            packed.push((departure.entry.clone(), parcel, Ok(())));
        }
        let batch = Box::new(Batch {
            lane,
            direction: Some(direction),
            parcels: packed,
        });
        self.net
            .send_batch((session, end), batch, &mut self.rng, &mut self.agenda);
        Ok(())
    }

    fn control(&mut self, session: SessionIndex, end: usize) -> Kept {
        let Some((frame, direction)) = self.net.arriving(session, end) else {
            return Ok(());
        };
        let (node, id) = self.net.end(session, end);
        if node >= self.nodes.len() {
            return self.rogue_hears(session, &frame);
        }
        if !self.is_current(session, end) {
            return Ok(());
        }
        self.line(|| format!("n{node} session {id} < {frame:?}"));
        self.give_from(node, Input::Frame { session: id, frame }, direction)
    }

    fn batch(&mut self, session: SessionIndex, end: usize, batch: Box<Batch>) -> Kept {
        let Some(batch) = self.net.arriving_batch(session, end, batch, &mut self.rng) else {
            return Ok(());
        };
        let express = batch.lane.has_reserve();
        let back = self.net.latency(session);
        let other = 1 - end;
        self.agenda.after(
            back,
            Event::Room {
                session,
                end: other,
                express,
            },
        );
        let (node, id) = self.net.end(session, end);
        if node >= self.nodes.len() {
            self.rogue_receives(session, &batch);
            return Ok(());
        }
        if !self.is_current(session, end) {
            return Ok(());
        }
        self.line(|| {
            let seqs: Vec<_> = batch.parcels.iter().map(|(e, ..)| e.seq).collect();
            format!("n{node} session {id} << {seqs:?}")
        });
        let wall = self.now(node).wall;
        let attests = self.nodes[node].parent.is_some() && end == CHILD;
        let direction = batch.direction;
        let arrivals: Vec<Arrival> = batch
            .parcels
            .into_iter()
            .map(|(mut entry, parcel, mut verdict)| {
                if !attests || entry.attested == 0 {
                    entry.attested = wall;
                }
                let header = parcel.header().ok();
                let receipt = match &header {
                    Some(h) if h.kind.is_receipt() => {
                        codec::decode::<Vec<ReceiptItem>, 262_144>(&parcel.body())
                            .unwrap_or_default()
                    }
                    _ => Vec::new(),
                };
                if header.is_none() {
                    verdict = Err(Reason::Malformed);
                }
                Arrival {
                    entry,
                    parcel,
                    header,
                    receipt,
                    verdict,
                }
            })
            .collect();
        self.give_from(
            node,
            Input::Arrivals {
                session: id,
                arrivals,
            },
            direction,
        )
    }
}

/// The ticket that an input asks under.
fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::Submit { ticket, .. }
        | Input::Inbox { ticket, .. }
        | Input::InboxAck { ticket, .. }
        | Input::InboxRelease { ticket, .. }
        | Input::Operate { ticket, .. } => Some(*ticket),
        _ => None,
    }
}

/// The neighbour's numbers that an input brings, each with its parcel, or says to be gone.
fn numbers_of(input: &Input) -> Vec<(Seq, Option<Digest>)> {
    match input {
        Input::Arrivals { arrivals, .. } => arrivals
            .iter()
            .map(|a| (a.entry.seq, Some(a.parcel.digest())))
            .collect(),
        Input::Frame {
            frame: Frame::Gone(seqs),
            ..
        } => seqs
            .iter()
            .flat_map(|(start, end)| start..=end)
            .map(|seq| (seq, None))
            .collect(),
        _ => Vec::new(),
    }
}

/// Tells steps apart in the trace's hash.
fn step_number(step: &Step) -> u64 {
    match step {
        Step::Accepted { bytes, .. } => 1 + (u64::from(*bytes) << 8),
        Step::Received { bytes, .. } => 2 + (u64::from(*bytes) << 8),
        Step::Queued { .. } => 3,
        Step::Sent { .. } => 4,
        Step::Returned { .. } => 5,
        Step::Acked { .. } => 6,
        Step::Delivered => 7,
        Step::Handed => 8,
        Step::Taken => 9,
        Step::Ended { state, .. } => 10 + (u64::from(*state as u8) << 8),
        Step::Held => 11,
        Step::Released => 12,
        Step::Reprioritised { lane } => 13 + ((lane.index() as u64) << 8),
        Step::Parked { .. } => 14,
    }
}

/// A parcel as the simulator signs it: not at all. Nothing under test looks at signatures; what the workers would find of them
/// travels beside the parcel.
pub(super) fn seal(header: &Header, body: &[u8]) -> Parcel {
    Parcel::join(&[0; 64], &codec::encode(header), body)
}
