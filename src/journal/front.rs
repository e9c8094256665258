//! The front: numbers, places, groups, and what waits.

use std::{fmt, io, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::{
    Checkpointed, Settings,
    checkpoint::{CheckpointError, CheckpointJob, Kept, Preface},
    disk::Disk,
    flaw::{Flaw, planted},
    frame::{self, FORWARD, Frame, GROUP_END, Head, Place, Salt},
    reader::Reader,
    room::{Accounts, Room},
    segment::{self, Header},
    shared::Shared,
    write::{Part, Start, Write, WriteError, Written},
};
use crate::model::{Location, Log, Lsn, Payload};

/// Most bytes of one part of what waits, unless a single record has more, so that nothing large grows, is copied while it grows, and
/// leaves its room behind. Tests and the simulator have writes of several parts all the time.
const PART_BYTES: usize = match cfg!(any(test, feature = "sim")) {
    true => 6 * 1024,
    false => 256 * 1024,
};

/// Most bytes of memory that are kept between writes.
const SPENT_BYTES_MAX: usize = 512 * 1024;

/// Segments end here even inside a group, so that places fit in 32 bits. Groups are bounded far below by whoever makes them.
const SEGMENT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The journal as its owner has it.
///
/// It does no writing of its own: it gives records their numbers and places, and hands out jobs. In the order in which they are
/// called:
///
/// - [`open`](Journal::open) recovers what is on the disk; then [`live`](Journal::live) for every payload that is still needed.
/// - [`append`](Log::append) and [`end_group`](Journal::end_group), any number of times; [`freed`](Journal::freed) when a payload is
///   no longer needed, after the record that says so was appended.
/// - [`take_write`](Journal::take_write): everything pending as one job. While it runs more can be appended, and goes in the next.
/// - [`finished`](Journal::finished) with what the job returned; what waits for numbers up to [`synced`](Journal::synced) may leave.
/// - Now and then: [`checkpoint`](Journal::checkpoint) when one is due, the [`victim`](Journal::victim)'s payloads copied by
///   [`Payload::Copy`], [`retry`](Journal::retry) every second or so, and [`room`](Journal::room) before new work is admitted.
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
    pub(super) checkpoint: CheckpointState,
}

/// The segment that is appended to.
pub(super) struct Current {
    number: u32,
    /// Where the next frame goes.
    end: u32,
}

/// Frames that wait, in one piece of a segment.
pub(super) struct Pending {
    place: Place,
    bytes: BytesMut,
    /// The first record of what is written to the segment together.
    first: Lsn,
    last: Lsn,
    start: Option<Start>,
}

pub(super) struct OpenFrame {
    head: Head,
    /// Where it starts in the bytes of the last pending part.
    at: usize,
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

impl<D: Disk> Log for Journal<D> {
    /// Never refuses: ask [`Journal::room`] before new work is admitted. A [`Payload::Copy`] that cannot be read stays where it is, and
    /// the old location comes back.
    ///
    /// # Panics
    ///
    /// When record and payload together pass 2 GiB.
    fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
        match payload {
            Payload::None => self.append_frame(record, &[], 0),
            Payload::New(bytes) => {
                let (lsn, location) = self.append_frame(record, bytes, 0);
                self.accounts.live(location);
                (lsn, location)
            }
            Payload::Copy(from) => match self.copy_of(from) {
                Some(bytes) => self.append(record, Payload::New(&bytes)),
                None => {
                    self.accounts.unreadable(from.segment);
                    let (lsn, _) = self.append_frame(record, &frame::forward(from), FORWARD);
                    (lsn, from)
                }
            },
        }
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
                if let Some((number, Ok(()))) = written.spare
                    && number == self.next.0
                {
                    self.spare = Spare::Ready;
                }
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

    /// How much room there is.
    pub fn room(&self) -> Room {
        let spare = match self.spare {
            Spare::Ready => self.settings.segment_bytes.into(),
            Spare::Wanted | Spare::Asked | Spare::Missing => 0,
        };
        let pending: usize = self.pending.iter().map(|part| part.bytes.len()).sum();
        let bytes_left = self.current.as_ref().map_or(spare, |current| {
            u64::from(self.settings.segment_bytes).saturating_sub(current.end.into())
        });
        Room {
            bytes_used: self.accounts.bytes_used() + spare + self.checkpoint.bytes,
            segments: self.accounts.0.len() as u64 + u64::from(spare > 0),
            bytes_max: self.settings.bytes_max,
            bytes_reserve: self.settings.bytes_max / 100 * u64::from(self.settings.reserve_percent),
            bytes_live: self.accounts.bytes_live(),
            bytes_pending: pending as u64 + self.bytes_in_flight,
            bytes_left,
            spare_missing: self.spare == Spare::Missing,
            full: self.stuck.is_some(),
            failed: self.failed(),
        }
    }

    /// The segment whose live payloads are best copied to the end and [`freed`](Journal::freed), so that the next checkpoint can remove
    /// it; `None` when none is worth it, or there is no room for copies.
    pub fn victim(&self) -> Option<u32> {
        if self.stuck.is_some() || self.spare == Spare::Missing || self.failed() {
            return None;
        }
        self.accounts.victim(
            self.settings.victim_live_percent,
            self.settings.slack_percent,
        )
    }

    /// The bytes of live payloads in a segment, their frames included.
    pub fn live_bytes(&self, segment: u32) -> u64 {
        let account = self.accounts.0.get(&segment);
        account.map_or(0, |account| account.live)
    }

    /// Whether a checkpoint is worth it: enough was appended since the last one, room is short and one would free some, or damage was
    /// found at the start. After one failed, not before the next [`retry`](Journal::retry).
    pub fn checkpoint_due(&self) -> bool {
        let state = &self.checkpoint;
        if state.under_way || state.wait || self.failed() {
            return false;
        }
        let room = self.room();
        let short = room.spare_missing
            || room.full
            || room.bytes_used + 2 * room.bytes_reserve > room.bytes_max;
        state.forced
            || state.since > self.settings.checkpoint_bytes_min.max(state.state_bytes)
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
        })
    }

    /// Takes note of what became of a checkpoint.
    pub fn checkpointed(&mut self, result: &Result<Checkpointed, CheckpointError>) {
        self.checkpoint.under_way = false;
        match result {
            Ok(done) => {
                self.checkpoint.bytes = done.bytes;
                self.checkpoint.state_bytes = done.state_bytes;
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

    fn landed(&mut self) {
        self.shared.set_in_flight(Vec::new());
        self.bytes_in_flight = 0;
    }

    fn give_up(&mut self) {
        self.pending.clear();
        self.open = None;
        self.landed();
    }

    fn append_frame(&mut self, record: &[u8], payload: &[u8], flags: u8) -> (Lsn, Location) {
        let len = frame::len(record.len(), payload.len())
            .filter(|len| u64::from(*len) < SEGMENT_BYTES_MAX)
            .unwrap_or_else(|| panic!("a record of {} and {} bytes", record.len(), payload.len()));
        let in_group = self.open.is_some();
        self.seal_frame(0);
        let place = self.place(len, in_group);
        self.last += 1;
        self.shared.set_appended(self.last);
        let location = Location {
            segment: place.segment,
            offset: place.offset,
            len,
        };
        self.checkpoint.since += u64::from(len);
        if self.failed() {
            return (self.last, location);
        }
        let part = self.part(place, len);
        let head = Head {
            flags,
            record_len: record.len() as u32,
            payload_len: payload.len() as u32,
            behind: (part.last - part.first) as u32,
            lsn: part.last,
            record_crc: crc32fast::hash(record),
            payload_crc: crc32fast::hash(payload),
        };
        let at = part.bytes.len();
        part.bytes.reserve(len as usize);
        part.bytes.resize(at + frame::HEADER, 0);
        part.bytes.extend_from_slice(record);
        part.bytes.extend_from_slice(payload);
        part.bytes.resize(at + len as usize, 0);
        self.open = Some(OpenFrame { head, at });
        (self.last, location)
    }

    /// Where a frame of `len` bytes goes; begins a new segment when it or its group may not fit.
    fn place(&mut self, len: u32, in_group: bool) -> Place {
        let segment_bytes = u64::from(self.settings.segment_bytes);
        let current = match self.current.take() {
            Some(current) => {
                let end = u64::from(current.end);
                // While there is no next segment, this one is used to its end.
                let least = match self.spare {
                    Spare::Missing => 0,
                    Spare::Ready | Spare::Wanted | Spare::Asked => segment_bytes / 8,
                };
                let wanted = self.expected.max(len.into()).max(least);
                let fits = current.end == segment::START || end + wanted <= segment_bytes;
                if end + u64::from(len) <= SEGMENT_BYTES_MAX && (in_group || fits) {
                    current
                } else {
                    self.roll(Some(current))
                }
            }
            None => self.roll(None),
        };
        let place = Place {
            segment: current.number,
            offset: current.end,
        };
        let end = current.end + len;
        self.current = Some(Current { end, ..current });
        let account = self.accounts.0.entry(place.segment).or_default();
        account.bytes = segment_bytes.max(end.into());
        account.last = self.last + 1;
        place
    }

    fn roll(&mut self, ended: Option<Current>) -> Current {
        let header = self.next_header();
        let (number, salt) = self.next;
        if let Some(ended) = &ended
            && let Some(account) = self.accounts.0.get_mut(&ended.number)
        {
            account.sealed = true;
            account.bytes = ended.end.into();
        }
        self.start = Some(Start {
            header,
            ended: ended.map(|ended| (ended.number, ended.end.into())),
        });
        self.shared.set_salt(number, salt);
        self.salt_before = salt;
        self.next = (number + 1, Salt::of(&self.seed, number + 1));
        self.spare = Spare::Wanted;
        Current {
            number,
            end: segment::START,
        }
    }

    fn next_header(&self) -> Header {
        let (number, salt) = self.next;
        Header {
            number,
            salt,
            salt_before: self.salt_before,
        }
    }

    /// The pending part that the frame at `place` belongs to.
    fn part(&mut self, place: Place, len: u32) -> &mut Pending {
        let lsn = self.last;
        let before = self.pending.last();
        let before = before.filter(|part| part.place.segment == place.segment);
        if before.is_none_or(|part| part.bytes.len() + len as usize > PART_BYTES) {
            let (first, expected) = match before {
                Some(part) => (part.first, PART_BYTES),
                None => (lsn, self.part_bytes),
            };
            let mut bytes = std::mem::take(&mut self.spent);
            bytes.reserve(expected.max(len as usize));
            self.pending.push(Pending {
                place,
                bytes,
                first,
                last: lsn,
                start: self.start.take(),
            });
        }
        let last = self.pending.len() - 1;
        let part = &mut self.pending[last];
        part.last = lsn;
        part
    }

    /// Completes the last frame.
    fn seal_frame(&mut self, flags: u8) {
        let (Some(open), Some(part)) = (&mut self.open, self.pending.last_mut()) else {
            return;
        };
        open.head.flags |= flags;
        let place = Place {
            offset: part.place.offset + open.at as u32,
            ..part.place
        };
        if let (Some(salt), Some(frame)) = (
            self.shared.salt(place.segment),
            part.bytes.get_mut(open.at..),
        ) {
            open.head.seal(frame, &salt, place);
        }
    }

    /// A payload, wherever it is by now.
    fn copy_of(&mut self, from: Location) -> Option<Bytes> {
        self.seal_frame(0);
        let place = Place {
            segment: from.segment,
            offset: from.offset,
        };
        for part in &self.pending {
            let skip = from.offset.checked_sub(part.place.offset);
            let Some(skip) = skip.filter(|_| part.place.segment == from.segment) else {
                continue;
            };
            let Some(bytes) = part.bytes.get(skip as usize..).filter(|b| !b.is_empty()) else {
                continue;
            };
            let frame = Frame::parse(bytes, &self.shared.salt(from.segment)?, place).ok()?;
            let whole = frame.location == from && frame.head.flags & FORWARD == 0;
            return whole.then(|| Bytes::copy_from_slice(frame.payload));
        }
        self.reader().read(from).ok()
    }
}
