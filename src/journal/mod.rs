//! The journal: the one place where a promise is kept.
//!
//! A log of numbered records in segment files, each record with or without a payload. What was reported as synced is there after any
//! crash, in order; of a group of records all are there or none (G1, G2, G8).
//!
//! - [`Journal`] is the front, with its owner: it gives numbers and places and hands out [`Write`] jobs. One job carries everything
//!   that waited, with one `fdatasync`. A [`Writer`] is the thread that runs them.
//! - [`Reader`]s read payloads back, on any thread.
//! - [`Journal::open`] recovers: the newest checkpoint, then every record after it. A torn end is cut. Damage is copied to the folder
//!   `quarantine`, reported in [`Recovery`] and passed over; it never stops a start.
//! - Disk use is bounded (G7): a checkpoint removes the segments before it that hold no live payload, and what is alive in a
//!   nearly dead segment is copied to the end. The next segment is always made ahead of need, and the file of the next checkpoint with it, so
//!   that a full disk is noticed while there is a segment's worth of room for what frees space.
//! - [`Disk`] is the seam: [`Folder`] in production, a simulated disk in tests.

mod append;
mod checkpoint;
mod content;
mod disk;
mod draft;
mod flaw;
mod folder;
mod frame;
mod front;
mod quarantine;
mod reader;
mod recover;
mod recovery;
mod room;
mod scan;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod write;
mod writer;

pub use checkpoint::{CheckpointError, CheckpointJob, Checkpointed, WrittenCheckpoint};
pub use disk::{Disk, File, SECTOR};
#[cfg(any(test, feature = "sim"))]
pub(crate) use flaw::{Flaw, plant};
pub use folder::{Folder, FolderFile, FolderLock, LockError, lock_folder};
pub use front::{DrainError, Journal};
pub use reader::{Ahead, ReadError, Reader};
pub use recovery::{Cause, Damage, OpenError, Recovery, Replay, Torn};
pub use room::Room;
pub use write::{Write, WriteError, Written};
pub use writer::{Busy, Done, Job, Writer};

use crate::model::Limits;

/// Whether a file of this name in the journal's folder belongs to the journal.
pub fn is_part(file_name: &str) -> bool {
    segment::number(file_name).is_some() || checkpoint::lsn(file_name).is_some()
}

const MIB: u64 = 1024 * 1024;

/// What an operator or a test sets. [`Settings::from`] the limits for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The length of a segment, in bytes: at least 4 KiB, at most 1 GiB.
    pub segment_bytes: u32,
    /// All of the journal on disk, in bytes.
    pub bytes_max: u64,
    /// What of that only urgent work, acks and receipts may take, percent.
    pub reserve_percent: u32,
    /// A checkpoint is due after this many bytes, or after as many as the last one's state has, whichever is more.
    pub checkpoint_bytes_min: u64,
    /// A segment is given up when less than this share of it is alive, percent.
    pub victim_live_percent: u32,
    /// How many dead bytes are left alone in segments with live payloads, percent of the live ones.
    pub slack_percent: u32,
    /// Bytes of damage that are kept in quarantine; more is reported and not kept.
    pub quarantine_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl From<&Limits> for Settings {
    fn from(limits: &Limits) -> Self {
        let bytes_max = u64::from(limits.journal_mib) * MIB;
        // A journal of few segments could free nothing before it is full.
        let segment_bytes = (u64::from(limits.segment_mib) * MIB).min(bytes_max / 16);
        Self {
            segment_bytes: u32::try_from(segment_bytes).unwrap_or(u32::MAX),
            bytes_max,
            reserve_percent: limits.reserve_percent,
            checkpoint_bytes_min: (64 * MIB).min(bytes_max / 8),
            victim_live_percent: 50,
            slack_percent: 15,
            quarantine_bytes_max: 64 * MIB,
        }
        .bounded()
    }
}

impl Settings {
    fn bounded(self) -> Self {
        Self {
            segment_bytes: self.segment_bytes.clamp(4096, 1024 * MIB as u32),
            reserve_percent: self.reserve_percent.min(50),
            ..self
        }
    }
}
