//! Attachments on disk: a folder of files named by BLAKE3 digest, filled chunk by chunk and verified as they come.
//!
//! # How a chunk is verified
//! BLAKE3 is a tree over 1 KiB leaves; every 64 KiB that begin at a multiple of 64 KiB are one of its subtrees. A *chunk list* is the
//! chaining values of these subtrees in order, 32 bytes a chunk. They merge up to the digest itself: so the list proves itself against the
//! digest, which a signed message names, and each chunk proves itself against the list, in any order, from any neighbour and over any link.
//! Nothing else is trusted. For one chunk the digest is the proof and the list is empty. A list does not tell the attachment's exact
//! size; a wrong one is found out by the last chunk, whose bytes count.
//!
//! Why not `bao-tree`: it interleaves the tree's inner nodes with the data, so that a stream proves itself without a list. That saves at most 1
//! MiB before 2 GiB, and costs proofs with every chunk (sent again whenever chunks come out of order over several links), an outboard
//! file of the same 32 bytes a chunk anyway, and a large dependency. The list is 0.05 % of the attachment, is sent once a hop, and leaves
//! chunks that are nothing but their bytes.
//!
//! # What lies in the folder
//! | file | is |
//! | --- | --- |
//! | `DIGEST` | a whole attachment |
//! | `DIGEST.list` | its size (8 bytes, little-endian) and its chunk list |
//! | `DIGEST.part` | one that is being received, in its full length; room on the disk is set aside when it begins |
//! | `DIGEST.progress` | a bit for each chunk of the part that is on stable storage |
//! | `new-N` | what is being written; removed at the next start |
//! | `quarantine/` | what did not fit together, for people to look at |
//!
//! A file gets its name only when its bytes are on stable storage. Bits of progress are set after the chunk's bytes
//! were synced, and only damage clears one, so any mixture of an old and a new file of progress is true: it says at most too little. Bits from
//! before a restart are believed until their chunk is read or the part is finished; either compares it with the list first, and one that is
//! damaged counts as not received. A whole attachment is compared chunk by chunk whenever it is read, so damage never gets past this room.
//!
//! Memory: 4 KiB for each part of 2 GiB, 64 KiB for each upload; lists stay on disk. Every attachment is counted with its list and in blocks
//! of 4 KiB, so that a bound on bytes is one on files as well.

mod chunks;
mod error;
mod files;
mod open;
mod partial;
mod read;
#[cfg(test)]
mod tests;
mod upload;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

pub use self::{
    chunks::{VALUE_BYTES, list_bytes, proves},
    error::{BeginError, FinishError, PutError, ReadError, StoreError},
    open::{Found, Partial, SetAside},
    partial::{Begun, Progress},
    read::Reader,
    upload::Upload,
};
use self::{files::Files, partial::Part};
use crate::model::{BlobDigest, Ranges};

/// An attachment that was forgotten and whose files are still there.
#[derive(Debug)]
#[must_use = "its files stay until it is cleaned"]
pub struct Forgotten {
    digest: BlobDigest,
    size: u64,
}

/// How much may be kept, MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The largest single attachment, `attachment-mib`.
    pub attachment_mib: u32,
    /// All of them on this disk, parts and uploads included, `attachments-mib`.
    pub attachments_mib: u32,
}

/// Blocks that file systems hand out.
const BLOCK_BYTES: u64 = 4096;

/// The room that an attachment of `size` bytes takes, its list included.
const fn cost(size: u64) -> u64 {
    let list = files::LIST_HEAD_BYTES + list_bytes(size);
    size.next_multiple_of(BLOCK_BYTES) + list.next_multiple_of(BLOCK_BYTES)
}

/// An attachment that is here.
#[derive(Clone, Debug)]
enum Entry {
    Whole(u64),
    Part(Arc<Part>),
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<BlobDigest, Entry>,
    /// What entries, uploads and the quarantine take or may come to take.
    bytes_used: u64,
}

#[derive(Debug)]
struct Inner {
    files: Files,
    bounds: Mutex<Bounds>,
    /// Held for moments only, never over a call to the disk.
    state: Mutex<State>,
    /// Held while names change in the folder. Taken before `state`.
    naming: Mutex<()>,
}

/// The attachments of a node. Cheap to clone; every method but [`Blobs::size`], [`Blobs::have`] and [`Blobs::bytes_used`] waits for the disk.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Blobs {
    /// The attachments in `folder`, which is made when it is missing, and what was found there. Leftovers of uploads are removed, and what
    /// does not fit together is set aside and told. Only one process may use the folder at a time.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, bounds: Bounds) -> std::io::Result<(Self, Found)> {
        let (files, found, state) = open::open(folder)?;
        let inner = Inner {
            files,
            bounds: Mutex::new(bounds),
            state: Mutex::new(state),
            naming: Mutex::default(),
        };
        Ok((Self(Arc::new(inner)), found))
    }

    /// Sets the bounds anew. What is here stays, even if it is more.
    pub fn set_bounds(&self, bounds: Bounds) {
        *lock(&self.0.bounds) = bounds;
    }

    /// The size of a whole attachment.
    pub fn size(&self, digest: &BlobDigest) -> Option<u64> {
        match lock(&self.0.state).entries.get(digest)? {
            Entry::Whole(size) => Some(*size),
            Entry::Part(_) => None,
        }
    }

    /// The chunks that are here, durable or not, of one that is being received; `None` for one that is whole or unknown.
    pub fn have(&self, digest: &BlobDigest) -> Option<Ranges> {
        self.part(digest).map(|part| part.have())
    }

    /// Bytes that attachments take or may come to take.
    pub fn bytes_used(&self) -> u64 {
        lock(&self.0.state).bytes_used
    }

    /// How many whole attachments there are.
    pub fn whole(&self) -> usize {
        let state = lock(&self.0.state);
        let is_whole = |entry: &&Entry| matches!(entry, Entry::Whole(_));
        state.entries.values().filter(is_whole).count()
    }

    /// Every whole attachment with its size and when it was last given or [touched](Self::touch).
    ///
    /// # Errors
    /// The disk failed.
    pub fn whole_since(&self) -> std::io::Result<Vec<(BlobDigest, u64, SystemTime)>> {
        let whole: Vec<_> = {
            let state = lock(&self.0.state);
            let size = |(digest, entry): (&BlobDigest, &Entry)| match entry {
                Entry::Whole(size) => Some((*digest, *size)),
                Entry::Part(_) => None,
            };
            state.entries.iter().filter_map(size).collect()
        };
        let mut since = Vec::with_capacity(whole.len());
        for (digest, size) in whole {
            match self.0.files.modified(&digest) {
                Ok(time) => since.push((digest, size, time)),
                // Removed in the meantime.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(since)
    }

    /// Makes the list of a whole attachment anew when only that was damaged; false when the attachment itself is.
    ///
    /// # Errors
    /// The disk failed.
    pub fn mend(&self, digest: &BlobDigest) -> std::io::Result<bool> {
        let _naming = lock(&self.0.naming);
        let Some(size) = self.size(digest) else {
            return Ok(false);
        };
        if self.0.files.len(digest, files::Role::Whole)? != size {
            return Ok(false);
        }
        open::mend_list(&self.0.files, digest, size)
    }

    /// Notes that a whole attachment was needed just now.
    ///
    /// # Errors
    /// It is not here, or the disk failed.
    pub fn touch(&self, digest: &BlobDigest) -> std::io::Result<()> {
        self.0.files.touch(digest)
    }

    /// Removes an attachment, whole or not; false when it was not here. Whoever is reading it reads on.
    ///
    /// # Errors
    /// The disk failed; the attachment is not here any more, until a restart finds what is left of it.
    pub fn remove(&self, digest: &BlobDigest) -> std::io::Result<bool> {
        match self.forget(digest) {
            Some(forgotten) => self.clean(forgotten).map(|()| true),
            None => Ok(false),
        }
    }

    /// Forgets an attachment, whole or not, without waiting for the disk: it is not here any more, and can come anew. Its files wait
    /// for [`clean`](Self::clean).
    pub fn forget(&self, digest: &BlobDigest) -> Option<Forgotten> {
        let entry = lock(&self.0.state).entries.remove(digest)?;
        let size = match &entry {
            Entry::Whole(size) => *size,
            Entry::Part(part) => {
                part.end();
                part.size()
            }
        };
        Some(Forgotten {
            digest: *digest,
            size,
        })
    }

    /// Removes the files of an attachment that was forgotten, unless it has come anew in the meantime.
    ///
    /// # Errors
    /// The disk failed; a restart finds what is left of it.
    pub fn clean(&self, forgotten: Forgotten) -> std::io::Result<()> {
        let Forgotten { digest, size } = forgotten;
        let _naming = lock(&self.0.naming);
        let came_anew = lock(&self.0.state).entries.contains_key(&digest);
        let cleaned = match came_anew {
            true => Ok(()),
            false => self.0.files.remove(&digest),
        };
        // What could not be removed is found, and counted again, at the next start.
        self.release(cost(size));
        cleaned
    }

    fn part(&self, digest: &BlobDigest) -> Option<Arc<Part>> {
        match lock(&self.0.state).entries.get(digest)? {
            Entry::Part(part) => Some(part.clone()),
            Entry::Whole(_) => None,
        }
    }

    /// Whether one more attachment of `size` bytes would find room now.
    ///
    /// # Errors
    /// The bound that it would pass.
    pub fn has_room(&self, size: u64) -> Result<(), StoreError> {
        let used = lock(&self.0.state).bytes_used;
        self.admit(size, used.saturating_add(cost(size)))
    }

    /// Takes `more` bytes of room for an attachment that has `size` bytes so far.
    fn reserve(&self, size: u64, more: u64) -> Result<(), StoreError> {
        let mut state = lock(&self.0.state);
        let used = state.bytes_used.saturating_add(more);
        self.admit(size, used)?;
        state.bytes_used = used;
        Ok(())
    }

    fn admit(&self, size: u64, used: u64) -> Result<(), StoreError> {
        const MIB: u64 = 1024 * 1024;
        let bounds = *lock(&self.0.bounds);
        if size > u64::from(bounds.attachment_mib) * MIB {
            return Err(StoreError::TooLarge {
                mib_max: bounds.attachment_mib,
            });
        }
        if used > u64::from(bounds.attachments_mib) * MIB {
            return Err(StoreError::Full {
                mib_max: bounds.attachments_mib,
            });
        }
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let mut state = lock(&self.0.state);
        debug_assert!(state.bytes_used >= bytes, "released twice");
        state.bytes_used = state.bytes_used.saturating_sub(bytes);
    }
}
