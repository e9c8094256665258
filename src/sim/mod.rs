//! The seeded simulator: the same [`Delivery`](crate::delivery::Delivery) and the same [`Journal`](crate::journal::Journal) as in
//! production, over a simulated network, disk and clock.
//!
//! [`run`] makes a world out of a seed: a hub, up to four edges, sometimes a county hub between, sometimes a rogue. Applications
//! submit and take, operators act, and for a while nodes crash, links are cut, sessions die, disks are slow, hubs lose their data
//! folders, folders come back from old copies and clocks are set. Then nothing breaks any more, and everything that was accepted
//! must come to its end. The promises G1 to G8 are checked all the while. The same seed gives the same world on every machine, so that
//! a failure is looked at again with [`Options::lines`].
//!
//! The world in a few files: [`world`](self) routes events and is the shell of the nodes, `people` uses them, `faults` breaks them,
//! `promises` and `hops` watch.

mod agenda;
mod attachments;
mod backups;
mod bounds;
mod damage;
pub mod disk;
mod disks;
mod faults;
mod generations;
mod hops;
mod ledger;
mod net;
mod node;
mod people;
mod plan;
mod promises;
mod rng;
mod rogue;
mod sessions;
mod shell;
mod shrink;
mod storage;
mod trace;
mod world;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

pub use shrink::shrink;

use crate::{
    delivery::Bug,
    journal::{self, Flaw},
};

/// What a world may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most messages that a unit submits.
    pub messages: u32,
    /// The most edges, at least 1.
    pub edges: u32,
    /// What may go wrong; of that each seed chooses.
    pub faults: Faults,
    /// A bug planted in every node, to see it found.
    pub bug: Option<Bug>,
    /// Whether to keep the last lines of the trace for a failure. A run without is faster and otherwise the same.
    pub lines: bool,
    /// Whether to print every line as it comes.
    pub print: bool,
}

/// Messages of a unit, and edges, unless the options say otherwise.
const MESSAGES: u32 = 24;
const EDGES: u32 = 4;

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Nodes lose power at any moment, in the middle of a write too.
    pub crashes: bool,
    /// Links are cut for a while.
    pub cuts: bool,
    /// Sessions die, and their ends learn of it in their own time.
    pub kills: bool,
    /// Disks are slow for a while.
    pub slow_syncs: bool,
    /// Hubs lose their data folders.
    pub lost_hubs: bool,
    /// Nodes get back an old copy of their data folder.
    pub restores: bool,
    /// Parcels cannot be read back from a journal.
    pub rot: bool,
    /// Nodes lose what a batch was compressed against.
    pub unread: bool,
    /// Clocks are far apart and are set.
    pub clocks: bool,
    /// Units are blocked for a while.
    pub blocks: bool,
    /// A unit breaks the rules.
    pub rogue: bool,
    /// Operators hold, release, retry, reprioritise, drop and expire.
    pub operators: bool,
    /// Bounds are small enough to be met.
    pub small_limits: bool,
    /// A county hub stands between some edges and the hub.
    pub county: bool,
    /// Links that were cut are noticed, some that were not are taken for it, and one of two swallows everything for ever.
    pub silence: bool,
    /// Links are used on terms.
    pub terms: bool,
    /// Messages name attachments.
    pub attachments: bool,
    /// Batches are compressed against acked history, and nodes forget it.
    pub history: bool,
    /// Operators pause neighbours and lanes, and let them go on.
    pub pauses: bool,
    /// What a crash leaves is damaged, in a copy that a node must start on.
    pub damage: bool,
    /// Disks are full for a while.
    pub full_disks: bool,
    /// Disks fail at reading, writing, syncing and making files for a while.
    pub bad_disks: bool,
    /// Operators take backups, and nodes are restored from them.
    pub backups: bool,
    /// Links carry nothing one way for a while.
    pub one_way: bool,
    /// Clocks go too fast or too slow.
    pub drift: bool,
}

impl Faults {
    /// Everything.
    pub const ALL: Self = Self {
        crashes: true,
        cuts: true,
        kills: true,
        slow_syncs: true,
        lost_hubs: true,
        restores: true,
        rot: true,
        unread: true,
        clocks: true,
        blocks: true,
        rogue: true,
        operators: true,
        small_limits: true,
        county: true,
        silence: true,
        terms: true,
        attachments: true,
        history: true,
        pauses: true,
        damage: true,
        full_disks: true,
        bad_disks: true,
        backups: true,
        one_way: true,
        drift: true,
    };

    /// Nothing.
    pub const NONE: Self = Self {
        crashes: false,
        cuts: false,
        kills: false,
        slow_syncs: false,
        lost_hubs: false,
        restores: false,
        rot: false,
        unread: false,
        clocks: false,
        blocks: false,
        rogue: false,
        operators: false,
        small_limits: false,
        county: false,
        silence: false,
        terms: false,
        attachments: false,
        history: false,
        pauses: false,
        damage: false,
        full_disks: false,
        bad_disks: false,
        backups: false,
        one_way: false,
        drift: false,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self {
            messages: MESSAGES,
            edges: EDGES,
            faults: Faults::ALL,
            bug: None,
            lines: false,
            print: false,
        }
    }
}

/// What happened in a world that kept all promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// A hash over everything that happened.
    pub trace: u64,
    /// Events.
    pub events: u64,
    /// Inputs that machines took.
    pub inputs: u64,
    /// How long the world lived, milliseconds.
    pub simulated_ms: u64,
    /// Things that broke.
    pub faults: u64,
    /// Nodes that lost power.
    pub crashes: u64,
    /// Nodes whose storage failed.
    pub storage_failures: u64,
    /// Operations of disks that failed, and writes that found no room.
    pub disk_troubles: u64,
    /// Starts of nodes.
    pub starts: u64,
    /// Starts on copies that were damaged.
    pub damaged_starts: u64,
    /// Places that were found damaged there.
    pub damaged_places: u64,
    /// Data folders that were lost or replaced by an old copy.
    pub set_backs: u64,
    /// Those of them that were restored from an operator's backup.
    pub restored: u64,
    /// Sessions that were set up.
    pub sessions: u64,
    /// Control frames.
    pub frames: u64,
    /// Batches.
    pub batches: u64,
    /// Those that were compressed against acked history.
    pub generations: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Segments that were given up.
    pub compactions: u64,
    /// Submissions of messages.
    pub submitted: u64,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Times that a message was handed to an application.
    pub handed: u64,
    /// Messages that applications took.
    pub taken: u64,
    /// Chunks of attachments that were sent.
    pub chunks: u64,
    /// Those of them that had been sent to the same node before.
    pub chunks_again: u64,
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The world's seed.
    pub seed: u64,
    /// The world's options.
    pub options: Options,
    /// The promise, `G1` to `G8`.
    pub promise: &'static str,
    /// How it shows.
    pub what: String,
    /// The last things that happened.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            options,
            promise,
            what,
            trace,
        } = self;
        write!(
            f,
            "seed {seed}: {promise} is broken: {what}\n{trace}see it again: CASEGATE_SIM_SEED={seed} CASEGATE_SIM_OPTIONS='{options}'"
        )
    }
}

impl std::error::Error for Failure {}

/// Lets the world of a seed live.
///
/// # Errors
/// A promise was broken. The last lines of the trace are told when the options ask for them.
pub fn run(seed: u64, options: Options) -> Result<Stats, Box<Failure>> {
    journal::plant(flaw(options.bug));
    let mut world = world::World::new(seed, options);
    // A panic is a failure like any other: of this world, with its seed.
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let lived = lived.unwrap_or_else(|panic| Err(world::panicked(panic.as_ref())));
    world.stats.trace = world.trace.hash();
    world.stats.disk_troubles = world.nodes.iter().map(|n| n.disk.troubles()).sum();
    journal::plant(None);
    match lived {
        Ok(()) => Ok(world.stats),
        Err(broken) => Err(Box::new(Failure {
            seed,
            options,
            promise: broken.promise,
            what: broken.what,
            trace: world.trace.to_string(),
        })),
    }
}

/// The journal's mistake that a bug is.
fn flaw(bug: Option<Bug>) -> Option<Flaw> {
    match bug? {
        Bug::SyncTriedAgain => Some(Flaw::SyncTriedAgain),
        Bug::FullWriteDropped => Some(Flaw::FullWriteDropped),
        _ => None,
    }
}

/// As [`run`]; a failure is lived through again for the last lines of its trace.
///
/// # Errors
/// As [`run`].
pub fn check(seed: u64, options: Options) -> Result<Stats, Box<Failure>> {
    run(seed, options).or_else(|_| {
        run(
            seed,
            Options {
                lines: true,
                ..options
            },
        )
    })
}
