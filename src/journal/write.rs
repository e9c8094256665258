//! A write: everything that waited, on its way to stable storage.

use std::{collections::VecDeque, fmt, io, sync::Arc};

use bytes::Bytes;

use super::{
    disk::{Disk, File as _, is_full},
    flaw::{Flaw, planted},
    frame::Place,
    segment::{self, Header},
    shared::{Shared, Tail, Written as Opened, lock},
};
use crate::model::Lsn;

/// Everything that was pending when it was taken, as one job for a writer thread.
///
/// There is at most one at a time. [`run`](Write::run) it, on any thread, and hand what comes back to
/// [`Journal::finished`](super::Journal::finished).
pub struct Write<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) parts: VecDeque<Part>,
    /// The segment to make ahead of need.
    pub(super) spare: Option<Header>,
    pub(super) segment_bytes: u32,
}

/// What goes into one segment, or a piece of it.
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) bytes: Bytes,
    /// How long the file must be.
    pub(super) allocate: u64,
    /// The number of the last record.
    pub(super) last: Lsn,
    pub(super) start: Option<Start>,
}

/// The part begins its segment.
pub(super) struct Start {
    pub(super) header: Header,
    /// The segment before and where it ended: what was set aside behind that is given back.
    pub(super) ended: Option<(u32, u64)>,
}

/// A write is on stable storage.
#[derive(Debug)]
pub struct Written {
    /// The number of the last durable record.
    pub synced: Lsn,
    /// The segment that was to be made ahead of need, and how it went; `None` when none was wanted.
    pub spare: Option<(u32, io::Result<()>)>,
    /// The segment that is written to, and how many bytes are set aside for it.
    pub(super) segment: Option<(u32, u64)>,
    /// The bytes of the last part that was written.
    pub(super) spent: Option<Bytes>,
}

/// A write is not, or not wholly, on stable storage.
#[derive(thiserror::Error)]
pub enum WriteError<D: Disk> {
    /// There was no room. Nothing is lost: hand it to [`Journal::finished`](super::Journal::finished), free some room, and take it
    /// again from [`Journal::retry`](super::Journal::retry).
    #[error(
        "the journal's disk is full: free some room; records up to {synced} are safe, later ones wait"
    )]
    Full {
        /// The number of the last durable record.
        synced: Lsn,
        /// What is still to be written.
        rest: Write<D>,
    },
    /// Storage failed. It is not tried again: what is durable beyond `synced` is not known.
    #[error(
        "the journal's storage failed after record {synced}: {error}; check the disk, then restart"
    )]
    Failed {
        /// The number of the last record that is known to be durable.
        synced: Lsn,
        /// What the system said.
        error: io::Error,
    },
}

impl<D: Disk> fmt::Debug for Write<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("last", &self.parts.back().map(|part| part.last))
            .field("parts", &self.parts.len())
            .field("spare", &self.spare.map(|header| header.number))
            .finish()
    }
}

impl<D: Disk> fmt::Debug for WriteError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { synced, rest } => f
                .debug_struct("Full")
                .field("synced", synced)
                .field("rest", rest)
                .finish(),
            Self::Failed { synced, error } => f
                .debug_struct("Failed")
                .field("synced", synced)
                .field("error", error)
                .finish(),
        }
    }
}

impl<D: Disk> Write<D> {
    /// Writes: for each segment a `pwrite` for each part and one `fdatasync`, which for nearly every write means one of each. A new
    /// segment's file is made and set aside in full first, or what of it there is room for, and the next one after the records are safe.
    #[allow(
        clippy::result_large_err,
        reason = "a full disk hands back what is still to be written; it is rare and never copied in a loop"
    )]
    pub fn run(mut self) -> Result<Written, WriteError<D>> {
        let shared = Arc::clone(&self.shared);
        let mut tail = lock(&shared.tail);
        let mut spent = None;
        while let Some(number) = self.parts.front().map(|part| part.place.segment) {
            let done = if shared.failed() {
                Err(Refused::Failed(io::Error::other("it had failed before")))
            } else {
                self.write(&mut tail, number)
            };
            match done {
                Ok(()) => {
                    let of_it = |part: &&Part| part.place.segment == number;
                    let count = self.parts.iter().take_while(of_it).count();
                    for part in self.parts.drain(..count) {
                        shared.set_synced(part.last);
                        spent = Some(part.bytes);
                    }
                }
                Err(Refused::Full) => {
                    drop(tail);
                    let synced = shared.synced();
                    return Err(WriteError::Full { synced, rest: self });
                }
                Err(Refused::Failed(error)) => {
                    shared.set_failed();
                    let synced = shared.synced();
                    return Err(WriteError::Failed { synced, error });
                }
            }
        }
        let spare = self
            .spare
            .map(|header| (header.number, self.make_spare(&mut tail, header)));
        let current = tail.current.as_ref();
        let segment = current.map(|c| (c.number, c.allocated));
        Ok(Written {
            synced: shared.synced(),
            spare,
            segment,
            spent,
        })
    }

    /// Writes the parts of the first segment, and has them on stable storage.
    fn write(&self, tail: &mut Tail<D>, number: u32) -> Result<(), Refused> {
        let parts = || self.parts.iter().take_while(|p| p.place.segment == number);
        if let Some(start) = parts().find_map(|part| part.start.as_ref()) {
            self.start(tail, start)?;
        }
        let current = tail
            .current
            .as_mut()
            .filter(|current| current.number == number)
            .ok_or_else(|| io::Error::other("the segment to write to is not open"))?;
        for part in parts() {
            if part.allocate > current.allocated {
                if let Err(error) = current.file.allocate(part.allocate) {
                    // Best effort: what was set aside in part is found again when the segment ends.
                    let _ = current.file.set_len(current.allocated);
                    return Err(error.into());
                }
                current.allocated = part.allocate;
            }
            current
                .file
                .write_at(&part.bytes, part.place.offset.into())?;
        }
        if planted(Flaw::ReplyBeforeSync) {
            return Ok(());
        }
        // No room at this point means that data which was taken is lost: that is a failure, not a full disk.
        let synced = match current.file.sync_data() {
            Err(_) if planted(Flaw::SyncTriedAgain) => current.file.sync_data(),
            synced => synced,
        };
        synced.map_err(Refused::Failed)
    }

    /// Makes the segment of `start` the one that is written to.
    fn start(&self, tail: &mut Tail<D>, start: &Start) -> Result<(), Refused> {
        let number = start.header.number;
        if tail.current.as_ref().is_some_and(|c| c.number == number) {
            return Ok(());
        }
        let next = match tail.spare.take() {
            Some(spare) if spare.number == number => spare,
            _ => {
                // What frees room may be small enough.
                let bytes = self.segment_bytes;
                let mut sizes = [bytes, bytes / 2, bytes / 4, segment::START].into_iter();
                loop {
                    let size = sizes.next().unwrap_or_default();
                    match make(&self.shared.disk, &start.header, size) {
                        Err(error) if is_full(&error) && sizes.len() > 0 => {}
                        made => break made?,
                    }
                }
            }
        };
        if let (Some(ended), Some((number, end))) = (&tail.current, start.ended)
            && ended.number == number
        {
            // Best effort: it only gives room back.
            let _ = ended.file.set_len(end);
        }
        tail.current = Some(next);
        Ok(())
    }

    fn make_spare(&self, tail: &mut Tail<D>, header: Header) -> io::Result<()> {
        if self.shared.failed() {
            return Err(io::Error::other("the journal had failed before"));
        }
        let there = tail
            .spare
            .as_ref()
            .is_some_and(|s| s.number == header.number);
        if !there {
            tail.spare = Some(make(&self.shared.disk, &header, self.segment_bytes)?);
        }
        Ok(())
    }
}

enum Refused {
    Full,
    Failed(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Failed(error)
        }
    }
}

/// Makes a segment's file, durably, with so much room set aside. Nothing is left of it after an error.
pub(super) fn make<D: Disk>(
    disk: &D,
    header: &Header,
    segment_bytes: u32,
) -> io::Result<Opened<D>> {
    let name = segment::name(header.number);
    let file = match disk.create(&name) {
        // What an earlier try left behind: numbers of segments with records are never given out again.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&name)?;
            disk.create(&name)?
        }
        created => created?,
    };
    let allocated = u64::from(segment_bytes.max(segment::START));
    let made = file
        .allocate(allocated)
        .and_then(|()| file.write_at(&header.encode(), 0))
        .and_then(|()| file.sync_data())
        .and_then(|()| match planted(Flaw::FolderNotSynced) {
            true => Ok(()),
            false => disk.sync(),
        });
    match made {
        Ok(()) => Ok(Opened {
            number: header.number,
            file,
            allocated,
        }),
        Err(error) => {
            drop(file);
            // Best effort: the next try removes it, or the next start.
            let _ = disk.remove(&name);
            Err(error)
        }
    }
}
