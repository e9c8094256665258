//! The world: nodes, network, people and faults, on one thread and one clock.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    codec, journal,
    model::{MessageId, Millis, Now, UnitId},
    parcel::{Header, Parcel},
};

use super::{
    Options, Stats,
    agenda::{Agenda, Event, NodeIndex, SECOND},
    attachments::{Attachments, BlobDisk},
    hops::HopWatch,
    ledger::Ledger,
    net::Net,
    node::{Node, wall_of},
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
    pub(super) attachments: Attachments,
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
    /// The most that any clock is too fast, thousandths.
    drift_ahead: i64,
    /// What operators hold, or may hold, and the ticket of the last hold.
    pub(super) holds: BTreeMap<(NodeIndex, MessageId), u64>,
    /// What operators have stopped, or may have: by whom, towards whom.
    pub(super) pauses: BTreeSet<(NodeIndex, NodeIndex)>,
    /// Draws what was added later, so that worlds without it are as they would be if there were no such thing.
    pub(super) own: Rng,
    /// The credit that a node was told last by a neighbour, since they had a session.
    pub(super) credits: BTreeMap<(NodeIndex, NodeIndex), [u64; 4]>,
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
            attachments: Attachments::new(seed, plan.has_attachments),
            hops: HopWatch::default(),
            trace,
            stats: Stats::default(),
            is_calm: false,
            is_done: false,
            is_recovering: false,
            clock_ahead: plan.nodes.iter().map(|n| n.clock_off).max().unwrap_or(0),
            drift_ahead: plan.nodes.iter().map(|n| n.drift.max(0)).max().unwrap_or(0),
            holds: BTreeMap::new(),
            pauses: BTreeSet::new(),
            own: Rng::new(seed ^ 0x9a05_e5ed),
            credits: BTreeMap::new(),
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
                journal_settings: journal::Settings {
                    reserve_percent: node.settings.limits.reserve_percent,
                    ..journal_settings
                },
                parent: node.parent,
                is_hub: node.settings.listens,
                disk: super::disk::SimDisk::new(),
                life: 0,
                run: None,
                clock_off: node.clock_off,
                drift: node.drift,
                slow_until: 0,
                full_until: 0,
                bad_until: 0,
                has_greedy_others: false,
                promised: 0,
                backup: None,
                blobs: BlobDisk::default(),
                put_by: None,
                is_marked: false,
                set_back_to: None,
                rotten: BTreeSet::new(),
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
            Event::Unreadable {
                node,
                life,
                at,
                lease,
            } => self.unreadable(node, life, at, lease),
            Event::Blob {
                node,
                life,
                digest,
                work,
            } => self.blob(node, life, digest, *work),
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
            Event::Unread { session, end } => self.unread(session, end),
            Event::Answers { child, link } => self.answers(child, link),
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
                self.agenda
                    .after(SECOND / 10, Event::Answers { child, link });
                Ok(())
            }
            Event::Sound { node } => {
                self.nodes[node].mend_disk(self.agenda.now());
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
        wall_of(self.agenda.now(), self.clock_ahead, self.drift_ahead)
    }

    pub(super) fn line(&mut self, text: impl FnOnce() -> String) {
        self.trace.line(self.agenda.now(), text);
    }
}

/// A parcel as the simulator signs it: not at all. Nothing under test looks at signatures; what the workers would find of them
/// travels beside the parcel.
pub(super) fn seal(header: &Header, body: &[u8]) -> Parcel {
    Parcel::join(&[0; 64], &codec::encode(header), body)
}
