//! Checkpoints: the state that stands for all records before it, in a file of its own.
//!
//! ```text
//! 0   [8]   "cgatechk"
//! 8   u32   version, 2
//! 12  u32   length of the preface
//! 16        preface (bincode), the state as a zstd frame, the state's length (u64), BLAKE3 of all before it (32 bytes)
//! ```
//!
//! The state comes in parts and is written as it comes: there is never a whole copy of it in memory. A second file of the same bytes stands in for
//! one that rots: what it lets go is not to be had again.

use std::{
    fmt,
    io::{self, BufReader, Read, Write},
    sync::Arc,
};

use bincode::{Decode, Encode};

use super::{
    disk::{Disk, File, is_full, read_chunks},
    draft,
    flaw::{Flaw, planted},
    frame::Salt,
    shared::Shared,
};
use crate::{codec, model::Lsn};

const MAGIC: [u8; 8] = *b"cgatechk";
/// Of the file, and of the state in it.
const VERSION: u32 = 2;
const FIXED: usize = 16;
/// The state's length and the hash.
const TAIL: usize = 8 + HASH;
const HASH: usize = 32;
/// zstd's level: most of a state are digests, of which no level makes less.
const LEVEL: i32 = 1;
/// Largest preface that is read, in bytes: a million segments' worth.
const PREFACE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a state that are read at a time.
const PART_BYTES: usize = 64 * 1024;
/// Largest checkpoint that is read, in bytes.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// What the name of a second file ends with while it is written.
pub(super) const UNFINISHED: &str = ".tmp";
/// What the name of a checkpoint's second file ends with.
const COPY: &str = ".copy";

/// What a checkpoint says beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Preface {
    /// All records up to this one are in the state.
    pub(super) lsn: Lsn,
    /// Where records after it begin.
    pub(super) segment: u32,
    /// As above: the offset in the segment.
    pub(super) offset: u32,
    /// All segments that are kept, by number.
    pub(super) segments: Vec<Kept>,
}

/// A segment that a checkpoint keeps.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Kept {
    pub(super) number: u32,
    pub(super) salt: Salt,
}

/// The name of a checkpoint's file.
pub(super) fn name(lsn: Lsn) -> String {
    format!("checkpoint-{lsn:020}")
}

/// The name of its second file.
pub(super) fn copy_name(lsn: Lsn) -> String {
    name(lsn) + COPY
}

/// The record that the checkpoint in the file of this name, its first or its second, reaches to.
pub(super) fn lsn(file_name: &str) -> Option<Lsn> {
    let first = file_name.strip_suffix(COPY).unwrap_or(file_name);
    let lsn = first.strip_prefix("checkpoint-")?.parse().ok()?;
    (name(lsn) == first).then_some(lsn)
}

/// What stands before the state.
fn encode_head(preface: &Preface) -> Vec<u8> {
    let preface = codec::encode(preface);
    let mut head = Vec::with_capacity(FIXED + preface.len());
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((preface.len() as u32).to_le_bytes());
    head.extend(preface);
    head
}

/// A whole checkpoint in a file.
pub(super) struct Found<F> {
    pub(super) preface: Preface,
    file: F,
    state: std::ops::Range<u64>,
    state_bytes: u64,
}

/// Why a file is no checkpoint that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Something about it is wrong.
    Damaged,
    /// It is whole, and of another version.
    Version(u32),
}

impl<F: File> Found<F> {
    /// Reads all of a file, and tells what is in it when nothing about it is wrong.
    pub(super) fn check(file: F) -> Result<Self, Unfit> {
        let len = file.len().map_err(|_| Unfit::Damaged)?;
        let end = len.checked_sub(HASH as u64).filter(|_| len <= BYTES_MAX);
        let end = end.ok_or(Unfit::Damaged)?;
        let mut hasher = blake3::Hasher::new();
        read_chunks(&file, 0, end, |_, chunk| {
            hasher.update(chunk);
            true
        });
        let mut hash = [0; HASH];
        let read = file.read_at(&mut hash, end);
        if read.ok() != Some(HASH) || *hasher.finalize().as_bytes() != hash {
            return Err(Unfit::Damaged);
        }
        Self::read(file, len).ok_or(Unfit::Damaged)?
    }

    /// From here on the bytes are those that were written.
    fn read(file: F, len: u64) -> Option<Result<Self, Unfit>> {
        let mut fixed = [0; FIXED];
        file.read_at(&mut fixed, 0).ok()?;
        let rest = fixed.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Some(Err(Unfit::Version(version)));
        }
        let preface = u32::from_le_bytes(rest.try_into().ok()?) as usize;
        let begin = (FIXED + preface) as u64;
        let end = len.checked_sub(TAIL as u64).filter(|end| begin <= *end)?;
        let mut bytes = vec![0; Some(preface).filter(|len| *len <= PREFACE_BYTES_MAX)?];
        file.read_at(&mut bytes, FIXED as u64).ok()?;
        let preface = codec::decode::<Preface, PREFACE_BYTES_MAX>(&bytes).ok()?;
        let mut state_bytes = [0; 8];
        file.read_at(&mut state_bytes, end).ok()?;
        Some(Ok(Self {
            preface,
            file,
            state: begin..end,
            state_bytes: u64::from_le_bytes(state_bytes),
        }))
    }

    /// The state's bytes, as long as they come.
    ///
    /// # Errors
    /// zstd has no memory.
    pub(super) fn state(&self) -> io::Result<impl Read> {
        let stored = Stored {
            file: &self.file,
            at: self.state.start,
            end: self.state.end,
        };
        let state = zstd::Decoder::new(stored)?.take(self.state_bytes);
        Ok(BufReader::with_capacity(PART_BYTES, state))
    }

    /// How many bytes the state has.
    pub(super) fn state_bytes(&self) -> u64 {
        self.state_bytes
    }

    /// The size of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.state.end + TAIL as u64
    }
}

/// Bytes of a file, read as they are asked for.
struct Stored<'a, F> {
    file: &'a F,
    at: u64,
    end: u64,
}

impl<F: File> Read for Stored<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..len], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A checkpoint whose state comes, as a job for a thread.
///
/// [`CheckpointJob::write`] may begin at once and ends when the state does. What it makes may be settled beside writes, but only once
/// every record that it covers is durable: after the write that was taken before it, or when
/// [`Journal::synced`](super::Journal::synced) has come to [`lsn`](CheckpointJob::lsn). Hand what comes back to
/// [`Journal::checkpointed`](super::Journal::checkpointed).
pub struct CheckpointJob<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) preface: Preface,
    pub(super) state: Box<dyn Iterator<Item = Vec<u8>> + Send>,
    /// Segments that are superfluous once it is durable.
    pub(super) doomed: Vec<u32>,
    /// Bytes to set aside for the next one.
    pub(super) draft_bytes: u64,
}

/// A checkpoint that is written and not yet durable.
pub struct WrittenCheckpoint<D: Disk> {
    shared: Arc<Shared<D>>,
    lsn: Lsn,
    doomed: Vec<u32>,
    draft_bytes: u64,
    file: D::File,
    state_bytes: u64,
    bytes: u64,
}

/// A checkpoint is durable, and what it makes superfluous is removed.
#[derive(Debug)]
pub struct Checkpointed {
    /// It stands for all records up to this one.
    pub lsn: Lsn,
    /// The size of its files, in bytes.
    pub bytes: u64,
    /// How many bytes the state has.
    pub state_bytes: u64,
    /// Bytes that are set aside for the next one, 0 when there was no room for it.
    pub draft_bytes: u64,
    /// The segments that were removed.
    pub removed: Vec<u32>,
    /// Why it has no second file, why nothing is set aside for the next one, or why not all superfluous files could be removed; the
    /// next checkpoint tries again.
    pub left: Option<io::Error>,
}

/// A checkpoint was not made. The journal is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Records that it covers are not durable yet.
    #[error("a checkpoint of record {lsn} must wait: only records up to {synced} are durable")]
    TooEarly {
        /// The record that it reaches to.
        lsn: Lsn,
        /// The last durable record.
        synced: Lsn,
    },
    /// There is no room for it.
    #[error("no room for a checkpoint: free some room on the journal's disk")]
    Full,
    /// Storage failed.
    #[error("a checkpoint cannot be written: {0}")]
    Io(io::Error),
}

impl<D: Disk> fmt::Debug for CheckpointJob<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointJob")
            .field("lsn", &self.preface.lsn)
            .field("doomed", &self.doomed)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> fmt::Debug for WrittenCheckpoint<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenCheckpoint")
            .field("lsn", &self.lsn)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> CheckpointJob<D> {
    /// It stands for all records up to this one.
    pub fn lsn(&self) -> Lsn {
        self.preface.lsn
    }

    /// Writes it durably, then removes older checkpoints and the segments that are superfluous with it.
    pub fn run(self) -> Result<Checkpointed, CheckpointError> {
        self.write()?.settle()
    }

    /// Writes the state as it comes.
    pub fn write(self) -> Result<WrittenCheckpoint<D>, CheckpointError> {
        let disk = &self.shared.disk;
        match write(disk, &self.preface, self.state) {
            Ok((file, state_bytes, bytes)) => Ok(WrittenCheckpoint {
                shared: self.shared,
                lsn: self.preface.lsn,
                doomed: self.doomed,
                draft_bytes: self.draft_bytes,
                file,
                state_bytes,
                bytes,
            }),
            Err(error) => Err(failed(disk, self.draft_bytes, error)),
        }
    }
}

impl<D: Disk> WrittenCheckpoint<D> {
    /// Has it on stable storage, then removes older checkpoints and the segments that are superfluous with it.
    pub fn settle(self) -> Result<Checkpointed, CheckpointError> {
        let (disk, lsn) = (&self.shared.disk, self.lsn);
        let synced = self.shared.synced();
        if synced < lsn && !planted(Flaw::CheckpointTooEarly) {
            // As below.
            let _ = draft::set_aside(disk, self.draft_bytes);
            return Err(CheckpointError::TooEarly { lsn, synced });
        }
        // What was set aside and not needed is given back as late as can be: it is set aside again below.
        let cut = self.file.set_len(self.bytes);
        let synced = cut.and_then(|()| match planted(Flaw::CheckpointNotSynced) {
            true => Ok(()),
            false => self.file.sync_data(),
        });
        let settled = synced
            .and_then(|()| disk.rename(draft::NAME, &name(lsn)))
            .and_then(|()| disk.sync());
        if let Err(error) = settled {
            return Err(failed(disk, self.draft_bytes, error));
        }
        let mut left = self.remove_older().err();
        let mut removed = Vec::with_capacity(self.doomed.len());
        for &number in &self.doomed {
            match self.shared.remove(number) {
                Ok(()) => removed.push(number),
                Err(error) => left = Some(error),
            }
        }
        // Without these two the checkpoint holds all the same. What makes room the next time comes first.
        let draft_bytes = match draft::set_aside(disk, self.draft_bytes) {
            Ok(()) => self.draft_bytes,
            Err(error) => {
                left = Some(error);
                0
            }
        };
        let copy_bytes = self.copy().unwrap_or_else(|error| {
            left = Some(error);
            0
        });
        Ok(Checkpointed {
            lsn,
            bytes: self.bytes + copy_bytes,
            state_bytes: self.state_bytes,
            draft_bytes,
            removed,
            left,
        })
    }

    /// Writes the second file, and tells its size.
    fn copy(&self) -> io::Result<u64> {
        let disk = &self.shared.disk;
        let name = copy_name(self.lsn);
        let unfinished = name.clone() + UNFINISHED;
        let write = || {
            let file = create(disk, &unfinished)?;
            let mut written = Ok(());
            read_chunks(&self.file, 0, self.bytes, |at, chunk| {
                written = file.write_at(chunk, at);
                written.is_ok()
            });
            written?;
            if !planted(Flaw::CheckpointNotSynced) {
                file.sync_data()?;
            }
            disk.rename(&unfinished, &name)?;
            disk.sync()
        };
        let written = write();
        if written.is_err() {
            // As below.
            let _ = disk.remove(&unfinished);
        }
        written.map(|()| self.bytes)
    }

    fn remove_older(&self) -> io::Result<()> {
        let disk = &self.shared.disk;
        let mut removed = Ok(());
        for file in disk.list()? {
            if lsn(&file).is_some_and(|lsn| lsn < self.lsn) {
                removed = removed.and(disk.remove(&file));
            }
        }
        removed
    }
}

fn failed<D: Disk>(disk: &D, draft_bytes: u64, error: io::Error) -> CheckpointError {
    let is_full = is_full(&error);
    if !is_full {
        // It may be the very file that fails. Best effort, as below.
        let _ = disk.remove(draft::NAME);
    }
    // Best effort: the next checkpoint begins anew whatever is there.
    let _ = draft::set_aside(disk, draft_bytes);
    match is_full {
        true => CheckpointError::Full,
        false => CheckpointError::Io(error),
    }
}

/// Makes a file in place of one that was not finished.
fn create<D: Disk>(disk: &D, name: &str) -> io::Result<D::File> {
    match disk.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(name)?;
            disk.create(name)
        }
        created => created,
    }
}

/// Removes the second file of a checkpoint whose first one is whole; tells whether there was one.
fn give_up_copy<D: Disk>(disk: &D) -> bool {
    let names = disk.list().unwrap_or_default();
    let given_up = names.iter().filter(|name| {
        let first = name.strip_suffix(COPY).filter(|name| lsn(name).is_some());
        first
            .and_then(|first| disk.open(first).ok())
            .is_some_and(|file| Found::check(file).is_ok())
            && disk.remove(name).is_ok()
    });
    given_up.count() > 0
}

/// Writes a whole draft; tells how long the state was, and the file is.
fn write<D: Disk>(
    disk: &D,
    preface: &Preface,
    state: impl Iterator<Item = Vec<u8>>,
) -> io::Result<(D::File, u64, u64)> {
    let file = draft::open(disk)?;
    let mut out = Hashed {
        disk,
        file: &file,
        at: 0,
        hasher: blake3::Hasher::new(),
    };
    out.write_all(&encode_head(preface))?;
    let mut frame = zstd::Encoder::new(out, LEVEL)?;
    let mut state_bytes = 0;
    for part in state {
        state_bytes += part.len() as u64;
        frame.write_all(&part)?;
    }
    let mut out = frame.finish()?;
    out.write_all(&state_bytes.to_le_bytes())?;
    let hash = out.hasher.finalize();
    out.write_all(hash.as_bytes())?;
    let bytes = out.at;
    Ok((file, state_bytes, bytes))
}

/// Writes a file from its start on, and hashes what it writes. When the disk is full, the second file of the last checkpoint goes for it.
struct Hashed<'a, D: Disk> {
    disk: &'a D,
    file: &'a D::File,
    at: u64,
    hasher: blake3::Hasher,
}

impl<D: Disk> Write for Hashed<'_, D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write_at(bytes, self.at) {
            Err(error) if is_full(&error) && give_up_copy(self.disk) => {
                self.file.write_at(bytes, self.at)?;
            }
            written => written?,
        }
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::disk::read_whole,
        sim::disk::{SimDisk, SimFile},
    };

    /// A file that holds these bytes.
    fn file(bytes: &[u8]) -> SimFile {
        let file = SimDisk::new().create("file").expect("made");
        file.write_at(bytes, 0).expect("written");
        file
    }

    fn bytes_of(file: &SimFile) -> Vec<u8> {
        read_whole(file, BYTES_MAX).expect("read")
    }

    fn written() -> (Preface, Vec<u8>) {
        let preface = Preface {
            lsn: 7,
            segment: 2,
            offset: 1024,
            segments: vec![Kept {
                number: 2,
                salt: Salt([4; 32]),
            }],
        };
        let parts = ["the ", "state"].map(|part| part.as_bytes().to_vec());
        let disk = SimDisk::new();
        let (file, state_bytes, bytes) =
            write(&disk, &preface, parts.into_iter()).expect("written");
        assert_eq!((state_bytes, bytes), (9, file.len().expect("its length")));
        (preface, bytes_of(&file))
    }

    #[test]
    fn a_checkpoint_reads_back_and_no_flipped_bit_passes() {
        let (preface, mut bytes) = written();
        let Ok(found) = Found::check(file(&bytes)) else {
            panic!("it is whole");
        };
        let mut state = Vec::new();
        found
            .state()
            .and_then(|mut read| read.read_to_end(&mut state))
            .expect("read");
        assert_eq!((found.preface, &state[..]), (preface, &b"the state"[..]));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = Found::check(file(&bytes)).err();
            assert_eq!(found, Some(Unfit::Damaged), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..bytes.len() {
            let found = Found::check(file(&bytes[..len])).err();
            assert_eq!(found, Some(Unfit::Damaged), "cut to {len}");
        }
    }

    #[test]
    fn a_whole_checkpoint_of_another_version_is_not_taken_for_a_damaged_one() {
        let (_, mut bytes) = written();
        bytes[8] = 1;
        let end = bytes.len() - HASH;
        let hash = *blake3::hash(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&hash);
        let found = Found::check(file(&bytes)).err();
        assert_eq!(found, Some(Unfit::Version(1)));
    }

    #[test]
    fn a_name_belongs_to_one_record() {
        assert_eq!(lsn(&name(u64::MAX)), Some(u64::MAX));
        assert_eq!(lsn(&copy_name(3)), Some(3));
        assert_eq!(lsn(&(name(3) + UNFINISHED)), None);
        assert_eq!(lsn(&(copy_name(3) + UNFINISHED)), None);
        assert_eq!(lsn("checkpoint-3"), None);
    }
}
