//! A node: the machine and the journal of production, and a shell that does what production's shell does, in the same order.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use crate::{
    delivery::{
        self, Bug, Delivery, Order, ReplayError, Room, Ticket, generations::Generations, hop::Epoch,
    },
    journal::{
        self, CheckpointError, CheckpointJob, Checkpointed, Journal, Reader, Recovery, Replay,
        Write, WriteError, Written,
    },
    model::{BlobDigest, Digest, Location, Lsn, MessageId, Millis, Now, Ranges, UnitId},
};

use super::{
    agenda::{Life, NodeIndex, Us},
    attachments::BlobDisk,
    disk::{Operation, SimDisk},
    generations::bounds,
    ledger::MessageIndex,
    rng::Rng,
};

/// The moment, in milliseconds since the Unix epoch, at which every world begins.
const WORLD_BEGINS_MS: Millis = 1_790_000_000_000;

/// What of a node outlives its crashes, and its run while it is up.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) settings: delivery::Settings,
    pub(super) journal_settings: journal::Settings,
    pub(super) parent: Option<NodeIndex>,
    pub(super) is_hub: bool,
    pub(super) disk: SimDisk,
    pub(super) life: Life,
    pub(super) run: Option<Run>,
    /// How far its clock is off, milliseconds, and how much too fast it goes, thousandths.
    pub(super) clock_off: i64,
    pub(super) drift: i64,
    /// Until when its disk is slow.
    pub(super) slow_until: Us,
    /// Until when its disk is full, and until when it fails.
    pub(super) full_until: Us,
    pub(super) bad_until: Us,
    /// Whatever room comes free while its disk is full is taken by others.
    pub(super) has_greedy_others: bool,
    /// The last record that was durable when it last went down.
    pub(super) promised: Lsn,
    /// A copy of the disk, and when it was made.
    pub(super) backup: Option<(Us, SimDisk, BlobDisk)>,
    /// Its attachments.
    pub(super) blobs: BlobDisk,
    /// What an operator has put by: a backup, and when it was taken.
    pub(super) put_by: Option<(Us, SimDisk, BlobDisk)>,
    /// The data folder has the mark of one that was restored.
    pub(super) is_marked: bool,
    /// The moment that the disk was last set back to.
    pub(super) set_back_to: Option<Us>,
    /// What cannot be read back.
    pub(super) rotten: BTreeSet<(Location, Digest)>,
    /// What is promised to have survived the last crash.
    pub(super) must_know: Vec<MessageIndex>,
    /// The disk is not what it was before the crash.
    pub(super) is_set_back: bool,
    /// Submissions that were never answered, to be tried again.
    pub(super) retries: Vec<MessageIndex>,
    /// Messages that its application wrote.
    pub(super) submitted: u64,
}

/// A node that is up.
pub(super) struct Run {
    pub(super) machine: Delivery,
    pub(super) journal: Journal<SimDisk>,
    pub(super) reader: Reader<SimDisk>,
    started: Us,
    drift: i64,
    wall: Millis,
    /// The mark of a restored folder goes when this record is durable.
    pub(super) marked_until: Option<Lsn>,
    /// When the machine's timer is set to go off.
    pub(super) timer: Option<Us>,
    /// Times in a row that the timer went off and was due again at once.
    pub(super) idle_ticks: u32,
    pub(super) tickets: BTreeMap<Ticket, Waiting>,
    pub(super) room_told: Option<Room>,
    pub(super) is_house_due: bool,
    /// What later batches are compressed against.
    pub(super) generations: Generations,
    /// What neighbours have acked, as it was heard: by neighbour and epochs, this node's own first.
    pub(super) acks: BTreeMap<(NodeIndex, Epoch, Epoch), Ranges>,
    /// Attachments that are taken, each from one neighbour.
    pub(super) fetches: BTreeMap<BlobDigest, UnitId>,
    pub(super) writing: Option<Write<SimDisk>>,
    pub(super) written: Option<Result<Written, WriteError<SimDisk>>>,
    /// It waits until what it covers is durable.
    pub(super) checkpoint: Option<CheckpointJob<SimDisk>>,
    pub(super) checkpointing: Option<CheckpointJob<SimDisk>>,
    pub(super) checkpointed: Option<Result<Checkpointed, CheckpointError>>,
}

/// What an answer is awaited for, and where the log stood when it had been asked.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asked: Asked,
    /// The last record that the question itself made.
    pub(super) record: Option<Lsn>,
}

#[derive(Debug)]
pub(super) enum Asked {
    Submit {
        messages: Vec<MessageIndex>,
        /// Whether it is the content that came under this id before.
        is_other: bool,
    },
    Inbox {
        max: u32,
        until: Millis,
        /// Whether to ask again after the answer.
        again: bool,
    },
    Take {
        messages: Vec<MessageId>,
        /// Those of them that nobody was asked to take before.
        first: Vec<MessageId>,
    },
    GiveBack,
    Order(Order),
    Pause {
        neighbour: NodeIndex,
        paused: bool,
    },
}

impl Run {
    pub(super) fn now(&mut self, world: Us, clock_off: i64) -> Now {
        let mono = drifted(world - self.started, self.drift) / 1000;
        let system = wall_of(world, clock_off, self.drift);
        // As production's clock: it never steps back while the node runs.
        self.wall = self.wall.max(system);
        Now {
            mono,
            wall: self.wall,
        }
    }

    /// The moment of the world at which the monotonic clock reads `mono`.
    pub(super) fn moment(&self, mono: Millis) -> Us {
        // The first at which it does: what was due at `mono` is due then.
        self.started + (mono * 1_000_000).div_ceil(1000_u64.saturating_add_signed(self.drift))
    }

    pub(super) fn room(&self) -> Room {
        let room = self.journal.room();
        Room {
            free: room.free(),
            bound: room.bytes_max,
            disk_full: room.disk_full(),
        }
    }
}

/// The wall clock of a node whose clock is off by so much, and goes so much too fast.
pub(super) fn wall_of(world: Us, clock_off: i64, drift: i64) -> Millis {
    (WORLD_BEGINS_MS + drifted(world, drift) / 1000).saturating_add_signed(clock_off)
}

/// How much of time passes by a clock that is so many thousandths too fast.
fn drifted(time: Us, drift: i64) -> Us {
    time * 1000_u64.saturating_add_signed(drift) / 1000
}

impl Node {
    /// Recovers from the disk. The machine has not started yet.
    pub(super) fn recover(
        &mut self,
        world: Us,
        bug: Option<Bug>,
        rng: &mut Rng,
    ) -> Result<Recovery, String> {
        let mut replayed = Replayed::new(self.settings.clone());
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&rng.next().to_le_bytes());
        }
        let opened = Journal::open(
            self.disk.clone(),
            self.journal_settings,
            seed,
            &mut replayed,
        );
        let (mut journal, recovery) = opened.map_err(|e| format!("the journal: {e}"))?;
        self.others_take_room();
        if let Some(error) = replayed.error {
            return Err(format!("a record is not understood: {error}"));
        }
        if !recovery.is_clean() {
            return Err(format!("damage that nobody did: {:?}", recovery.damage));
        }
        let settings = self.settings.clone();
        let mut machine = replayed.machine.unwrap_or_else(|| Delivery::new(settings));
        for location in machine.live() {
            journal.live(location);
        }
        if let Some(bug) = bug {
            machine.plant(bug);
        }
        let mut generations = Generations::new(bounds());
        generations.plant(bug);
        self.life += 1;
        self.run = Some(Run {
            machine,
            reader: journal.reader(),
            journal,
            started: world,
            drift: self.drift,
            wall: 0,
            marked_until: None,
            timer: None,
            idle_ticks: 0,
            tickets: BTreeMap::new(),
            room_told: None,
            is_house_due: false,
            generations,
            acks: BTreeMap::new(),
            fetches: BTreeMap::new(),
            writing: None,
            written: None,
            checkpoint: None,
            checkpointing: None,
            checkpointed: None,
        });
        Ok(recovery)
    }

    /// The power goes, perhaps in the middle of a write or of a checkpoint.
    pub(super) fn cut_power(&mut self, rng: &mut Rng) -> Option<Run> {
        let mut run = self.run.take()?;
        self.promised = run.journal.synced();
        if let Some(write) = run.writing.take()
            && rng.per_mille(600)
        {
            // Between a write and its sync, or before the next part, or before the spare segment is made.
            self.disk.fail(Operation::Sync, rng.below(3), u64::MAX);
            let _ = write.run();
        }
        if let Some(checkpoint) = run.checkpointing.take()
            && rng.per_mille(600)
        {
            let operations = [Operation::Write, Operation::Sync];
            let operation = *rng.pick(&operations).unwrap_or(&Operation::Sync);
            self.disk.heal();
            self.disk.fail(operation, rng.below(3), u64::MAX);
            let _ = checkpoint.run();
        }
        self.disk.crash(rng.next());
        self.blobs.crash(&mut rng.clone());
        Some(run)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// Rebuilds the machine from what the journal hands out, as production does.
pub(super) struct Replayed {
    settings: delivery::Settings,
    pub(super) machine: Option<Delivery>,
    pub(super) error: Option<ReplayError>,
}

impl Replayed {
    pub(super) fn new(settings: delivery::Settings) -> Self {
        Self {
            settings,
            machine: None,
            error: None,
        }
    }
}

impl Replay for Replayed {
    fn checkpoint(&mut self, _lsn: Lsn, state: &mut dyn Read) -> bool {
        match Delivery::restore(self.settings.clone(), state) {
            Ok(machine) => {
                self.machine = Some(machine);
                true
            }
            // As production: the records before it are there still. The journal tells of one that it vouches for and that is refused.
            Err(_) => false,
        }
    }

    fn record(&mut self, lsn: Lsn, record: &[u8], payload: &[u8], location: Location) {
        if self.error.is_some() {
            return;
        }
        let settings = &self.settings;
        let machine = self
            .machine
            .get_or_insert_with(|| Delivery::new(settings.clone()));
        self.error = machine.replay(record, payload, lsn, location).err();
    }
}
