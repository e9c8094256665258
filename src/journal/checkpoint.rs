//! Checkpoints: the state that stands for all records before it, in a file of its own.
//!
//! ```text
//! 0   [8]   "cgatechk"
//! 8   u32   version, 1
//! 12  u32   length of the preface
//! 16  u64   length of the state
//! 24        preface (bincode), state, BLAKE3 of all before it (32 bytes)
//! ```

use std::{fmt, io, sync::Arc};

use bincode::{Decode, Encode};

use super::{
    disk::{Disk, File, is_full},
    flaw::{Flaw, planted},
    frame::Salt,
    shared::Shared,
};
use crate::{codec, model::Lsn};

const MAGIC: [u8; 8] = *b"cgatechk";
const VERSION: u32 = 1;
const FIXED: usize = 24;
const HASH: usize = 32;
/// Largest preface that is read, in bytes: a million segments' worth.
const PREFACE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest checkpoint that is read, in bytes.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// What the name of a file has while it is written.
pub(super) const UNFINISHED: &str = ".tmp";

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

/// The record that the checkpoint in the file of this name reaches to.
pub(super) fn lsn(file_name: &str) -> Option<Lsn> {
    let lsn = file_name.strip_prefix("checkpoint-")?.parse().ok()?;
    (name(lsn) == file_name).then_some(lsn)
}

/// What stands before the state.
fn encode_head(preface: &Preface, state: usize) -> Vec<u8> {
    let preface = codec::encode(preface);
    let mut head = Vec::with_capacity(FIXED + preface.len());
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((preface.len() as u32).to_le_bytes());
    head.extend((state as u64).to_le_bytes());
    head.extend(preface);
    head
}

/// A whole checkpoint's preface and state; `None` when anything about it is wrong.
pub(super) fn parse(bytes: &[u8]) -> Option<(Preface, &[u8])> {
    let (checked, hash) = bytes.split_last_chunk::<HASH>()?;
    let rest = checked.strip_prefix(&MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (preface_len, rest) = rest.split_first_chunk::<4>()?;
    let (state_len, rest) = rest.split_first_chunk::<8>()?;
    let (preface, state) = rest.split_at_checked(u32::from_le_bytes(*preface_len) as usize)?;
    let right = u32::from_le_bytes(*version) == VERSION
        && u64::from_le_bytes(*state_len) == state.len() as u64
        && *blake3::hash(checked).as_bytes() == *hash;
    if !right {
        return None;
    }
    let preface = codec::decode::<Preface, PREFACE_BYTES_MAX>(preface).ok()?;
    Some((preface, state))
}

/// A checkpoint on its way to stable storage, as a job for a thread.
///
/// It may run beside writes, but only once every record that it covers is durable: after the write that was taken before it, or when
/// [`Journal::synced`](super::Journal::synced) has come to [`lsn`](CheckpointJob::lsn). Hand what comes back to
/// [`Journal::checkpointed`](super::Journal::checkpointed).
pub struct CheckpointJob<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) preface: Preface,
    pub(super) state: Vec<u8>,
    /// Segments that are superfluous once it is durable.
    pub(super) doomed: Vec<u32>,
}

/// A checkpoint is durable, and what it makes superfluous is removed.
#[derive(Debug)]
pub struct Checkpointed {
    /// It stands for all records up to this one.
    pub lsn: Lsn,
    /// The size of its file, in bytes.
    pub bytes: u64,
    /// The segments that were removed.
    pub removed: Vec<u32>,
    /// Why not all superfluous files could be removed; the next checkpoint tries again.
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
    #[error("no room for a checkpoint of {bytes} bytes: free some room on the journal's disk")]
    Full {
        /// Its size.
        bytes: u64,
    },
    /// Storage failed.
    #[error("a checkpoint cannot be written: {0}")]
    Io(io::Error),
}

impl<D: Disk> fmt::Debug for CheckpointJob<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointJob")
            .field("lsn", &self.preface.lsn)
            .field("bytes", &self.state.len())
            .field("doomed", &self.doomed)
            .finish()
    }
}

impl<D: Disk> CheckpointJob<D> {
    /// It stands for all records up to this one.
    pub fn lsn(&self) -> Lsn {
        self.preface.lsn
    }

    /// Writes it durably, then removes older checkpoints and the segments that are superfluous with it.
    pub fn run(self) -> Result<Checkpointed, CheckpointError> {
        let lsn = self.preface.lsn;
        let synced = self.shared.synced();
        if synced < lsn && !planted(Flaw::CheckpointTooEarly) {
            return Err(CheckpointError::TooEarly { lsn, synced });
        }
        let disk = &self.shared.disk;
        let unfinished = name(lsn) + UNFINISHED;
        let head = encode_head(&self.preface, self.state.len());
        let bytes = (head.len() + self.state.len() + HASH) as u64;
        let written = write(disk, &unfinished, &head, &self.state)
            .and_then(|()| disk.rename(&unfinished, &name(lsn)))
            .and_then(|()| disk.sync());
        if let Err(error) = written {
            // Best effort: an unfinished file is removed at the next start.
            let _ = disk.remove(&unfinished);
            return Err(match is_full(&error) {
                true => CheckpointError::Full { bytes },
                false => CheckpointError::Io(error),
            });
        }
        let mut left = self.remove_older().err();
        let mut removed = Vec::with_capacity(self.doomed.len());
        for number in self.doomed {
            match self.shared.remove(number) {
                Ok(()) => removed.push(number),
                Err(error) => left = Some(error),
            }
        }
        Ok(Checkpointed {
            lsn,
            bytes,
            removed,
            left,
        })
    }

    fn remove_older(&self) -> io::Result<()> {
        let disk = &self.shared.disk;
        let mut removed = Ok(());
        for file in disk.list()? {
            if lsn(&file).is_some_and(|lsn| lsn < self.preface.lsn) {
                removed = removed.and(disk.remove(&file));
            }
        }
        removed
    }
}

fn write<D: Disk>(disk: &D, name: &str, head: &[u8], state: &[u8]) -> io::Result<()> {
    let file = match disk.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(name)?;
            disk.create(name)?
        }
        created => created?,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(state);
    let end = (head.len() + state.len()) as u64;
    file.allocate(end + HASH as u64)?;
    file.write_at(head, 0)?;
    file.write_at(state, head.len() as u64)?;
    file.write_at(hasher.finalize().as_bytes(), end)?;
    if planted(Flaw::CheckpointNotSynced) {
        return Ok(());
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_no_flipped_bit_passes() {
        let preface = Preface {
            lsn: 7,
            segment: 2,
            offset: 1024,
            segments: vec![Kept {
                number: 2,
                salt: Salt([4; 32]),
            }],
        };
        let mut bytes = encode_head(&preface, 5);
        bytes.extend(b"state");
        let hash = *blake3::hash(&bytes).as_bytes();
        bytes.extend(hash);
        assert_eq!(parse(&bytes), Some((preface, &b"state"[..])));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), None);
        }
    }

    #[test]
    fn a_name_belongs_to_one_record() {
        assert_eq!(lsn(&name(u64::MAX)), Some(u64::MAX));
        assert_eq!(lsn(&(name(3) + UNFINISHED)), None);
        assert_eq!(lsn("checkpoint-3"), None);
    }
}
