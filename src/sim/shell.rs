//! The shell of a node: it gives the machine its inputs and carries out what follows, as production's owner does.

use std::collections::VecDeque;

use crate::{
    codec,
    delivery::{Event as Told, Frame, Input, Output, Room, Step, Ticket, hop::Seq},
    journal::Journal,
    model::{Digest, Fingerprint, Kind, Lane, Millis, Now, Pattern, ReceiptItem, UnitId},
    parcel::{BodyForm, Header},
};

use super::world::{Kept, World, broken, seal};
use super::{
    agenda::{Event, Life, MILLISECOND, NodeIndex, SECOND},
    attachments::Run,
    disk::SimDisk,
    hops::Direction,
    node::{Asked, Node},
};

/// More outputs than one input can have reason for (G7).
const OUTPUTS_MAX: usize = 20_000;

impl World {
    /// Gives a node's machine an input, and carries out what follows.
    pub(super) fn give(&mut self, node: NodeIndex, input: Input) -> Kept {
        self.give_from(node, input, None)
    }

    /// As [`World::give`]; `by` says by which numbers a neighbour sent it.
    pub(super) fn give_from(
        &mut self,
        node: NodeIndex,
        input: Input,
        by: Option<Direction>,
    ) -> Kept {
        let mut own = VecDeque::from([input]);
        let mut is_room_told = false;
        while let Some(input) = own.pop_front() {
            // As production: what little is left on a full disk is not decided about by an old figure.
            let is_room = matches!(input, Input::Room(_));
            if !(is_room || is_room_told)
                && self.is_told_full(node)
                && let Some(room) = self.room_news(node)
            {
                is_room_told = true;
                own.push_front(input);
                own.push_front(Input::Room(room));
                continue;
            }
            is_room_told &= is_room;
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
            run.journal.expect(payload_bytes(&input, &run.journal));
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
                Output::BlobFetch { digest, from } => self.fetches(node, digest, Some(from)),
                Output::BlobClose(digest) => self.fetches(node, digest, None),
                Output::BlobRun {
                    session,
                    digest,
                    describe,
                    first,
                    count,
                } => {
                    let size = self.attachments.known.get(&digest).copied();
                    let run = Run {
                        digest,
                        described: size.filter(|_| describe),
                        first,
                        count,
                        is_true: true,
                    };
                    self.send_run(node, session, run)?;
                }
                Output::BlobFreed(digest) => self.freed_blob(node, digest),
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
        if let Some(room) = self.room_news(node) {
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
        self.check_bounds(node)?;
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        let due = run.machine.next_timer().map(|due| run.moment(due));
        if due != run.timer {
            run.timer = due;
            if let Some(due) = due {
                self.agenda.at(due, Event::Tick { node, life });
            }
        }
        Ok(())
    }

    /// Whether a node's machine was told last that the disk is full.
    fn is_told_full(&self, node: NodeIndex) -> bool {
        let run = self.nodes[node].run.as_ref();
        run.is_some_and(|run| run.room_told.is_some_and(|room| room.disk_full))
    }

    /// How much room a node's journal has, when its machine is to be told.
    fn room_news(&mut self, node: NodeIndex) -> Option<Room> {
        let run = self.nodes[node].run.as_mut()?;
        let room = run.room();
        let grain = match room.disk_full {
            true => 1,
            false => self.plan.journal_bytes / 64,
        };
        let changed = run.room_told.is_none_or(|told| {
            told.disk_full != room.disk_full || told.free.abs_diff(room.free) >= grain
        });
        changed.then(|| *run.room_told.insert(room))
    }

    pub(super) fn tick(&mut self, node: NodeIndex, life: Life) -> Kept {
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
        self.tell_blobs(node)?;
        self.finish_turn(node)
    }
}

/// What may be stored because of an input, as production's owner reckons it, frames included.
fn payload_bytes(input: &Input, journal: &Journal<SimDisk>) -> u64 {
    let bytes: u64 = match input {
        Input::Submit { messages, .. } => messages
            .iter()
            .map(|message| message.parcel.bytes().len() as u64)
            .sum(),
        Input::Arrivals { arrivals, .. } => arrivals
            .iter()
            .map(|arrival| arrival.parcel.bytes().len() as u64)
            .sum(),
        Input::Compact { segment } => journal.live_bytes(*segment),
        _ => 0,
    };
    bytes + bytes / 8
}

/// The ticket that an input asks under.
fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::Submit { ticket, .. }
        | Input::Inbox { ticket, .. }
        | Input::InboxAck { ticket, .. }
        | Input::InboxRelease { ticket, .. }
        | Input::Operate { ticket, .. }
        | Input::Pause { ticket, .. } => Some(*ticket),
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
        Step::Exported { .. } => 15,
    }
}
