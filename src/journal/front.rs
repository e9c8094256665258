//! The front: what waits, and the jobs that are handed out.

use std::{fmt, io, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::{
    Checkpointed, Settings,
    checkpoint::{CheckpointError, CheckpointJob, Kept, Preface},
    disk::Disk,
    draft,
    flaw::{Flaw, planted},
    frame::{GROUP_END, Head, Place, Salt},
    reader::Reader,
    room::{Accounts, Room},
    segment::{self, Header},
    shared::Shared,
    write::{Part, Start, Write, WriteError, Written},
};
use crate::model::{Location, Lsn};

/// Most bytes of one part of what waits, unless a single record has more, so that nothing large grows, is copied while it grows, and
/// leaves its room behind. Tests and the simulator have writes of several parts all the time.
pub(super) const PART_BYTES: usize = match cfg!(any(test, feature = "sim")) {
    true => 6 * 1024,
    false => 256 * 1024,
};

/// Most bytes of memory that are kept between writes.
const SPENT_BYTES_MAX: usize = 512 * 1024;

/// The journal as its owner has it.
///
/// It does no writing of its own: it gives records their numbers and places, and hands out jobs. In the order in which they are
/// called:
///
/// - [`open`](Journal::open) recovers what is on the disk; then [`live`](Journal::live) for every payload that is still needed.
/// - [`append`](crate::model::Log::append) and [`end_group`](Journal::end_group), any number of times; [`freed`](Journal::freed) when a payload is
///   no longer needed, after the record that says so was appended.
/// - [`take_write`](Journal::take_write): everything pending as one job. While it runs more can be appended, and goes in the next.
/// - [`finished`](Journal::finished) with what the job returned; what waits for numbers up to [`synced`](Journal::synced) may leave.
/// - Now and then: [`checkpoint`](Journal::checkpoint) when one is due, the [`victim`](Journal::victim)'s payloads copied by
///   [`Payload::Copy`](crate::model::Payload::Copy), [`retry`](Journal::retry) every second or so, and [`room`](Journal::room)
///   before new work is admitted.
pub struct Journal<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) settings: Settings,
    pub(super) seed: [u8; 32],
    pub(super) last: Lsn,
    pub(super) current: Option<Current>,
    /// The number of the segment after the current one, and its salt.
    pub(super) next: (u32, Salt),
    /// The salt of the segment before the next one.
    pub(super) salt_before: Salt,
    pub(super) accounts: Accounts,
    pub(super) pending: Vec<Pending>,
    /// Goes with the first part of the current segment.
    pub(super) start: Option<Start>,
    /// The last frame, which can still become the end of its group.
    pub(super) open: Option<OpenFrame>,
    /// The length of the last part that was taken to be written: what waits next may come to as much.
    pub(super) part_bytes: usize,
    /// Memory of a part that was written, for the next one: fresh memory for every write would cost the system more than the copying.
    pub(super) spent: BytesMut,
    /// How many bytes the group to come may take.
    pub(super) expected: u64,
    pub(super) in_flight: bool,
    pub(super) bytes_in_flight: u64,
    /// A write that found no room.
    pub(super) stuck: Option<Write<D>>,
    pub(super) spare: Spare,
    /// The next segment could not be made when it was tried last.
    pub(super) short: bool,
    pub(super) checkpoint: CheckpointState,
}

/// The segment that is appended to.
pub(super) struct Current {
    pub(super) number: u32,
    /// Where the next frame goes.
    pub(super) end: u32,
    /// Bytes that are set aside for it. When that is not a whole segment, it takes what there is room for.
    pub(super) allocated: u64,
}

/// Frames that wait, in one piece of a segment.
pub(super) struct Pending {
    pub(super) place: Place,
    pub(super) bytes: BytesMut,
    /// The first record of what is written to the segment together.
    pub(super) first: Lsn,
    pub(super) last: Lsn,
    pub(super) start: Option<Start>,
}

pub(super) struct OpenFrame {
    pub(super) head: Head,
    /// Where it starts in the bytes of the last pending part.
    pub(super) at: usize,
}

/// Not everything could be made durable.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// There is no room.
    #[error("the journal's disk is full: free some room; only records up to {synced} are safe")]
    Full {
        /// The number of the last durable record.
        synced: Lsn,
    },
    /// Storage failed.
    #[error("the journal's storage failed after record {synced}: {error}; check the disk")]
    Failed {
        /// The number of the last record that is known to be durable.
        synced: Lsn,
        /// What the system said.
        error: io::Error,
    },
}

/// The segment that is made ahead of need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spare {
    Ready,
    /// The next write makes it.
    Wanted,
    /// The write that is under way makes it.
    Asked,
    /// There was no room; the next [`Journal::retry`] asks again.
    Missing,
}

#[derive(Debug, Default)]
pub(super) struct CheckpointState {
    /// The size of the last one, in bytes.
    pub(super) bytes: u64,
    /// Bytes that are set aside for the next one.
    pub(super) draft_bytes: u64,
    /// The size of its state, in bytes.
    pub(super) state_bytes: u64,
    /// Bytes appended since the last one.
    pub(super) since: u64,
    /// The same when the one under way was taken.
    pub(super) since_taken: u64,
    pub(super) under_way: bool,
    /// Damage was found: a new one is due, whatever came since.
    pub(super) forced: bool,
    /// The last try failed.
    pub(super) wait: bool,
}

impl<D: Disk> fmt::Debug for Journal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("last", &self.last)
            .field("synced", &self.synced())
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}

impl<D: Disk> Journal<D> {
    /// A reader of this journal's payloads.
    pub fn reader(&self) -> Reader<D> {
        Reader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The number of the last record that was appended.
    pub fn appended(&self) -> Lsn {
        self.last
    }

    /// The number of the last record that is durable, with all before it.
    pub fn synced(&self) -> Lsn {
        self.shared.synced()
    }

    /// Whether storage failed. Nothing that is appended from then on goes anywhere.
    pub fn failed(&self) -> bool {
        self.shared.failed()
    }

    /// Says how many bytes of records and payloads the group to come may take, so that it begins in a segment that holds it all. Only
    /// a group that may be larger than an eighth of a segment needs it: there is always room for a smaller one, and one that turns
    /// out larger than expected makes its segment longer.
    pub fn expect(&mut self, bytes: u64) {
        self.expected = bytes;
    }

    /// Ends the group: of the records since the last end all are there after a crash, or none.
    pub fn end_group(&mut self) {
        self.seal_frame(GROUP_END);
        self.open = None;
        self.expected = 0;
    }

    /// Everything pending as one job, when there is any and no other job is under way. Ends the group.
    pub fn take_write(&mut self) -> Option<Write<D>> {
        if self.in_flight || self.stuck.is_some() || self.failed() {
            return None;
        }
        if self.pending.is_empty() && self.spare != Spare::Wanted {
            return None;
        }
        Some(self.write())
    }

    /// The write that found no room, or one that makes the segment that could not be made before. Call it every second or so; it is
    /// `None` when nothing waits for room.
    pub fn retry(&mut self) -> Option<Write<D>> {
        self.checkpoint.wait = false;
        if self.in_flight || self.failed() {
            return None;
        }
        if self.spare == Spare::Missing {
            self.spare = Spare::Wanted;
        }
        match self.stuck.take() {
            Some(write) => {
                self.in_flight = true;
                Some(write)
            }
            None => self.take_write(),
        }
    }

    /// Takes note of what became of a write; says up to which record all is durable.
    pub fn finished(&mut self, result: Result<Written, WriteError<D>>) -> Lsn {
        self.in_flight = false;
        if self.spare == Spare::Asked {
            self.spare = Spare::Missing;
        }
        match result {
            Ok(written) => {
                match written.spare {
                    Some((number, Ok(()))) if number == self.next.0 => {
                        self.spare = Spare::Ready;
                        self.short = false;
                    }
                    // Though another may be the next by now.
                    Some((_, Err(_))) => self.short = true,
                    _ => {}
                }
                if let (Some(current), Some((number, allocated))) =
                    (&mut self.current, written.segment)
                    && current.number == number
                {
                    current.allocated = allocated;
                    if let Some(account) = self.accounts.0.get_mut(&number) {
                        account.bytes = allocated.max(current.end.into());
                    }
                }
                self.short |= self.spare == Spare::Missing;
                self.landed();
                // Unless somebody reads a payload just now.
                if let Some(Ok(mut spent)) = written.spent.map(Bytes::try_into_mut)
                    && spent.capacity() <= SPENT_BYTES_MAX
                {
                    spent.clear();
                    self.spent = spent;
                }
            }
            Err(WriteError::Full { rest, .. }) => {
                self.stuck = (!planted(Flaw::FullWriteDropped)).then_some(rest);
                self.spare = Spare::Missing;
                self.short = true;
            }
            Err(WriteError::Failed { .. }) => self.give_up(),
        }
        self.synced()
    }

    /// Runs writes on this thread until everything appended is durable: for the end of a run, and for tests. A job that is under way
    /// must be [`finished`](Journal::finished) first.
    pub fn drain(&mut self) -> Result<Lsn, DrainError> {
        while let Some(write) = self.retry() {
            match write.run() {
                Ok(written) => {
                    let spare_missing = matches!(written.spare, Some((_, Err(_))));
                    self.finished(Ok(written));
                    if spare_missing && self.pending.is_empty() {
                        break;
                    }
                }
                Err(WriteError::Full { synced, rest }) => {
                    self.finished(Err(WriteError::Full { synced, rest }));
                    return Err(DrainError::Full { synced });
                }
                Err(WriteError::Failed { synced, error }) => {
                    self.in_flight = false;
                    self.give_up();
                    return Err(DrainError::Failed { synced, error });
                }
            }
        }
        Ok(self.synced())
    }

    /// Counts a payload that is needed: once for each that the records and the checkpoint left, after [`open`](Journal::open). Payloads
    /// that are appended count by themselves.
    pub fn live(&mut self, location: Location) {
        self.accounts.live(location);
    }

    /// A payload is no longer needed: once for each, after the record that says why was appended. A payload that was copied is needed
    /// at its new place only, so its old one is freed too, when the two differ.
    pub fn freed(&mut self, location: Location) {
        self.accounts.freed(location);
    }

    /// Whether the next segment is still to be made, by a write, and half of this one is used: what comes now may find neither.
    pub fn is_between_segments(&self) -> bool {
        matches!(self.spare, Spare::Wanted | Spare::Asked)
            && self.room().bytes_left < u64::from(self.settings.segment_bytes / 2)
    }

    /// Whether there is no next segment, and none could be made when it was tried last.
    pub(super) fn lacks_next(&self) -> bool {
        self.short && self.spare != Spare::Ready
    }

    /// How much room there is.
    pub fn room(&self) -> Room {
        let spare = match self.spare {
            Spare::Ready => self.settings.segment_bytes.into(),
            Spare::Wanted | Spare::Asked | Spare::Missing => 0,
        };
        let pending: usize = self.pending.iter().map(|part| part.bytes.len()).sum();
        let bytes_left = match &self.current {
            Some(current) => current.allocated.saturating_sub(current.end.into()),
            None => spare,
        };
        let checkpoint = &self.checkpoint;
        Room {
            bytes_used: self.accounts.bytes_used()
                + spare
                + checkpoint.bytes
                + checkpoint.draft_bytes,
            segments: self.accounts.0.len() as u64 + u64::from(spare > 0),
            bytes_max: self.settings.bytes_max,
            bytes_reserve: self.settings.bytes_max / 100 * u64::from(self.settings.reserve_percent),
            bytes_live: self.accounts.bytes_live(),
            bytes_pending: pending as u64 + self.bytes_in_flight,
            bytes_left,
            bytes_left_reserve: u64::from(self.settings.segment_bytes / 4),
            spare_missing: self.short,
            full: self.stuck.is_some(),
            failed: self.failed(),
        }
    }

    /// The segment whose live payloads are best copied to the end and [`freed`](Journal::freed), so that the next checkpoint can remove
    /// it; `None` when none is worth it, or there is no room for copies.
    pub fn victim(&self) -> Option<u32> {
        if self.stuck.is_some() || self.failed() {
            return None;
        }
        let victim = self.accounts.victim(
            self.settings.victim_live_percent,
            self.settings.slack_percent,
        )?;
        // When there is no next segment, it may take most of what is kept for what makes room: with the checkpoint after it a whole
        // segment is free. The rest is for acks until then.
        let room = self.room();
        let fits = self.live_bytes(victim) + room.bytes_left_reserve / 8 <= room.bytes_left;
        (fits || self.spare == Spare::Ready).then_some(victim)
    }

    /// The bytes of live payloads in a segment, their frames included.
    pub fn live_bytes(&self, segment: u32) -> u64 {
        let account = self.accounts.0.get(&segment);
        account.map_or(0, |account| account.live)
    }

    /// Whether a checkpoint is worth it: enough was appended since the last one, room is short and one would free some, or damage was
    /// found at the start. On a full disk only one that frees some is: the next may find no room. After one failed, not before the
    /// next [`retry`](Journal::retry).
    pub fn checkpoint_due(&self) -> bool {
        let state = &self.checkpoint;
        if state.under_way || state.wait || self.failed() {
            return false;
        }
        let room = self.room();
        // Before new work is refused, however large it is and however small the reserve.
        let kept = room
            .bytes_reserve
            .max(2 * u64::from(self.settings.segment_bytes));
        let short =
            room.disk_full() || room.bytes_used + room.bytes_reserve + kept > room.bytes_max;
        let enough = self.settings.checkpoint_bytes_min.max(state.state_bytes);
        state.forced
            || (state.since > enough && !room.disk_full())
            || (short && self.accounts.any_dead())
    }

    /// Makes a checkpoint of `state`, in parts, which must be what all records appended so far lead to. Ends the group. `None` while
    /// another one is under way, or when storage failed. Take the pending write first and run it before this job is settled.
    pub fn checkpoint(
        &mut self,
        state: impl Iterator<Item = Vec<u8>> + Send + 'static,
    ) -> Option<CheckpointJob<D>> {
        if self.checkpoint.under_way || self.failed() {
            return None;
        }
        self.end_group();
        self.checkpoint.under_way = true;
        self.checkpoint.since_taken = self.checkpoint.since;
        let doomed = self.accounts.doom(self.last);
        let segments = self.accounts.0.keys().filter(|n| !doomed.contains(n));
        let segments = segments
            .filter_map(|&number| {
                let salt = self.shared.salt(number)?;
                Some(Kept { number, salt })
            })
            .collect();
        let (segment, offset) = match &self.current {
            Some(current) => (current.number, current.end),
            None => (self.next.0, segment::START),
        };
        Some(CheckpointJob {
            shared: Arc::clone(&self.shared),
            preface: Preface {
                lsn: self.last,
                segment,
                offset,
                segments,
            },
            state: Box::new(state),
            doomed,
            draft_bytes: draft::bytes(self.settings.segment_bytes),
        })
    }

    /// Takes note of what became of a checkpoint.
    pub fn checkpointed(&mut self, result: &Result<Checkpointed, CheckpointError>) {
        self.checkpoint.under_way = false;
        match result {
            Ok(done) => {
                self.checkpoint.bytes = done.bytes;
                self.checkpoint.state_bytes = done.state_bytes;
                self.checkpoint.draft_bytes = done.draft_bytes;
                self.checkpoint.since -= self.checkpoint.since_taken;
                self.checkpoint.forced = false;
                for number in &done.removed {
                    self.accounts.0.remove(number);
                }
                if !done.removed.is_empty() && self.spare == Spare::Missing {
                    self.spare = Spare::Wanted;
                }
            }
            Err(_) => self.checkpoint.wait = true,
        }
        self.accounts.pardon();
    }

    fn write(&mut self) -> Write<D> {
        self.end_group();
        self.in_flight = true;
        let spare = (self.spare == Spare::Wanted).then(|| {
            self.spare = Spare::Asked;
            self.next_header()
        });
        let parts: Vec<Part> = self
            .pending
            .drain(..)
            .map(|part| {
                let bytes = part.bytes.freeze();
                Part {
                    place: part.place,
                    allocate: u64::from(part.place.offset) + bytes.len() as u64,
                    bytes,
                    last: part.last,
                    start: part.start,
                }
            })
            .collect();
        let longest = parts.iter().map(|part| part.bytes.len()).max();
        self.part_bytes = longest.unwrap_or(0).min(PART_BYTES);
        self.bytes_in_flight = parts.iter().map(|part| part.bytes.len() as u64).sum();
        let under_way = parts.iter().map(|part| (part.place, part.bytes.clone()));
        self.shared.set_in_flight(under_way.collect());
        Write {
            shared: Arc::clone(&self.shared),
            parts: parts.into(),
            spare,
            segment_bytes: self.settings.segment_bytes,
        }
    }

    pub(super) fn next_header(&self) -> Header {
        let (number, salt) = self.next;
        Header {
            number,
            salt,
            salt_before: self.salt_before,
        }
    }

    fn landed(&mut self) {
        self.shared.set_in_flight(Vec::new());
        self.bytes_in_flight = 0;
    }

    fn give_up(&mut self) {
        self.pending.clear();
        self.open = None;
        self.landed();
    }
}
