//! What a start finds, as its caller sees it.

use std::{
    fmt,
    io::{self, Read},
};

use crate::model::{Location, Lsn};

/// Takes what a journal holds, in order: at most one checkpoint, then every record after it.
pub trait Replay {
    /// The state that stands for all records up to `lsn`. False when its bytes are of no use: an older checkpoint is tried, or
    /// everything is replayed from the first record.
    fn checkpoint(&mut self, lsn: Lsn, state: &mut dyn Read) -> bool;

    /// A record, the payload that was appended with it (empty when it has none, or when that stands elsewhere), and where it is.
    fn record(&mut self, lsn: Lsn, record: &[u8], payload: &[u8], location: Location);
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The checkpoint that was used: it stands for all records up to this one.
    pub checkpoint: Option<Lsn>,
    /// Its first file was not what was written, and its second one was read instead. Nothing was lost by that.
    pub from_copy: bool,
    /// How many records were replayed after it.
    pub replayed: u64,
    /// The number of the last record; the next one gets the number after it.
    pub last: Lsn,
    /// What a crash left of the last write, which nobody had been promised, and which was cut off.
    pub torn: Option<Torn>,
    /// What was damaged or is missing, in order of place, at most [`Recovery::DAMAGE_MAX`]. A node that finds any takes a new epoch.
    pub damage: Vec<Damage>,
    /// How many more places were damaged.
    pub damage_more: u64,
}

impl Recovery {
    /// Most damaged places that are told one by one.
    pub const DAMAGE_MAX: usize = 1024;

    /// Whether nothing was lost that had been promised.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

/// The end of a write that a crash cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment's number.
    pub segment: u32,
    /// Where the cut is.
    pub offset: u64,
    /// How many bytes went.
    pub bytes: u64,
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub cause: Cause,
    /// The segment's number; 0 when it is about a checkpoint.
    pub segment: u32,
    /// Where the damage begins in the file.
    pub offset: u64,
    /// How many bytes are damaged.
    pub bytes: u64,
    /// The numbers of the first and the last record that are lost with it, as far as can be told. At the very end of the journal the
    /// last one is the highest that can have been there.
    pub lost: Option<(Lsn, Lsn)>,
    /// The file in `quarantine` that has the damaged bytes.
    pub quarantine: Option<String>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Bytes are not what was written.
    Bytes,
    /// The segment's file is not there.
    Missing,
    /// The segment's file cannot be opened or read.
    Unreadable,
    /// A checkpoint is not what was written.
    Checkpoint,
    /// Records are missing between two that are there.
    Gap,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Checkpoint => write!(f, "a checkpoint is damaged")?,
            Cause::Missing => write!(f, "journal segment {} is not there", self.segment)?,
            Cause::Unreadable => write!(f, "journal segment {} cannot be read", self.segment)?,
            Cause::Gap => write!(
                f,
                "records are missing in journal segment {} before byte {}",
                self.segment, self.offset
            )?,
            Cause::Bytes => write!(
                f,
                "{} bytes of journal segment {} are damaged at byte {}",
                self.bytes, self.segment, self.offset
            )?,
        }
        if let Some((first, last)) = self.lost {
            write!(f, "; records {first} to {last} are lost")?;
        }
        match &self.quarantine {
            Some(file) => write!(f, "; the bytes are kept in quarantine/{file}"),
            None => Ok(()),
        }
    }
}

/// The journal cannot be opened at all. Damage to its files is no reason: it is told in [`Recovery`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the journal's folder cannot be used: {0}; check its owner, its mode and the disk")]
    Folder(io::Error),
    /// A checkpoint is whole and was written by another version of the program.
    #[error(
        "the journal's {name} is of version {version}, which this program does not read; start the version that wrote it, let it \
         deliver what is queued, and begin with an empty data folder"
    )]
    Version {
        /// The file's name.
        name: String,
        /// The version that it tells.
        version: u32,
    },
    /// What a crash left behind could not be cut off, or a segment could not be read for want of memory.
    #[error("journal segment {segment} cannot be brought in order: {error}; check the disk")]
    Segment {
        /// The segment's number.
        segment: u32,
        /// What the system said.
        error: io::Error,
    },
}
