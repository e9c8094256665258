//! An attachment that is being received, in chunks, from whoever has them.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex},
};

use super::{
    BeginError, Blobs, Entry, FinishError, PutError, StoreError,
    chunks::{Bits, proves, value_of},
    cost,
    files::{self, Role},
    lock,
};
use crate::model::{BlobDigest, CHUNK_BYTES, Ranges, chunk_count, chunk_len};

/// What an attachment was when its transfer was to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing of it is here.
    New,
    /// These chunks are here.
    Partly(Ranges),
    /// It is here; nothing has to be received.
    Whole,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whether the chunk was not here before.
    pub is_new: bool,
    /// Chunks that are here.
    pub chunks_here: u64,
    /// Chunks that there are.
    pub chunks: u64,
    /// Bytes that are here.
    pub bytes_here: u64,
}

impl Progress {
    /// Whether every chunk is here, so that the attachment can be finished.
    pub fn is_complete(&self) -> bool {
        self.chunks_here == self.chunks
    }
}

/// An attachment that is being received.
#[derive(Debug)]
pub(super) struct Part {
    size: u64,
    state: Mutex<State>,
    /// Held while its bytes are synced and its progress is written.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// Chunks that are written.
    here: Bits,
    /// Those whose progress is on stable storage.
    durable: Bits,
    /// Those that are believed to be there since a restart, and were not read since.
    believed: Bits,
    /// Open from the first write after a sync to the next sync: an error of a write that happens later is told to nobody else.
    written: Option<Arc<File>>,
    /// It has become whole or was removed.
    ended: bool,
}

impl Part {
    /// Chunks of `durable` were found at the start.
    pub(super) fn new(size: u64, durable: Bits) -> Self {
        Self {
            size,
            state: Mutex::new(State {
                here: durable.clone(),
                believed: durable.clone(),
                durable,
                written: None,
                ended: false,
            }),
            syncing: Mutex::default(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn has(&self, number: u64) -> bool {
        lock(&self.state).here.has(number)
    }

    pub(super) fn have(&self) -> Ranges {
        lock(&self.state).here.iter().collect()
    }

    /// Nothing is written to it any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.written = None;
    }

    /// A chunk is not what was written: it has to come again.
    pub(super) fn damaged(&self, number: u64) {
        let mut state = lock(&self.state);
        state.here.clear(number);
        state.believed.clear(number);
        state.durable.clear(number);
    }

    fn progress(&self, state: &State, is_new: bool) -> Progress {
        Progress {
            is_new,
            chunks_here: state.here.count(),
            chunks: chunk_count(self.size),
            bytes_here: state.here.size_of(self.size),
        }
    }

    fn all(&self) -> Ranges {
        let mut all = Ranges::new();
        all.insert_range(0, chunk_count(self.size) - 1);
        all
    }
}

impl Blobs {
    /// Begins to receive an attachment, or goes on with one: keeps the list, once it has proved itself, and sets room aside.
    ///
    /// # Errors
    /// The list proves nothing, there is no room, or the disk failed.
    pub fn begin(&self, digest: BlobDigest, size: u64, list: &[u8]) -> Result<Begun, BeginError> {
        if let Some(begun) = self.begun(&digest, size)? {
            return Ok(begun);
        }
        // Asked first, for the list of a size beyond the bound is beyond a bound too.
        self.reserve(size, 0)?;
        if !proves(&digest, size, list) {
            return Err(BeginError::WrongList(digest));
        }
        let _naming = lock(&self.0.naming);
        if let Some(begun) = self.begun(&digest, size)? {
            return Ok(begun);
        }
        self.reserve(size, cost(size))?;
        if let Err(error) = self.make_part(&digest, size, list) {
            // What is left of it is overwritten by the next attempt or removed at the next start.
            self.release(cost(size));
            return Err(StoreError::from(error).into());
        }
        let part = Part::new(size, Bits::none(chunk_count(size)));
        lock(&self.0.state)
            .entries
            .insert(digest, Entry::Part(Arc::new(part)));
        Ok(Begun::New)
    }

    fn begun(&self, digest: &BlobDigest, size: u64) -> Result<Option<Begun>, BeginError> {
        let entry = lock(&self.0.state).entries.get(digest).cloned();
        match entry {
            None => Ok(None),
            Some(Entry::Whole(_)) => Ok(Some(Begun::Whole)),
            Some(Entry::Part(part)) if part.size != size => Err(BeginError::OtherSize(part.size)),
            Some(Entry::Part(part)) => Ok(Some(Begun::Partly(part.have()))),
        }
    }

    fn make_part(&self, digest: &BlobDigest, size: u64, list: &[u8]) -> io::Result<()> {
        let files = &self.0.files;
        let mut kept = files.create()?;
        kept.file.write_all(&size.to_le_bytes())?;
        kept.file.write_all(list)?;
        let part = files.create()?;
        files::allocate(&part.file, size)?;
        let mut progress = files.create()?;
        let none = Bits::none(chunk_count(size));
        progress.file.write_all(none.as_bytes())?;
        let (kept, part, progress) = (kept.sync()?, part.sync()?, progress.sync()?);
        // A part without its list is a leftover; a part with the list, but without progress, has nothing.
        files.name(progress, digest, Role::Progress)?;
        files.name(kept, digest, Role::List)?;
        files.sync()?;
        files.name(part, digest, Role::Part)?;
        files.sync()
    }

    /// Takes a chunk: verifies it and writes it. It is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// It is not a chunk of an attachment that is being received, or the disk failed.
    pub fn put(
        &self,
        digest: &BlobDigest,
        number: u64,
        bytes: &[u8],
    ) -> Result<Progress, PutError> {
        let entry = lock(&self.0.state).entries.get(digest).cloned();
        let (size, part) = match entry {
            None => return Err(PutError::Unknown(*digest)),
            Some(Entry::Whole(size)) => (size, None),
            Some(Entry::Part(part)) => (part.size, Some(part)),
        };
        let chunks = chunk_count(size);
        let wanted = chunk_len(size, number).ok_or(PutError::PastTheEnd { number, chunks })?;
        if bytes.len() != wanted {
            return Err(PutError::WrongLength {
                number,
                given: bytes.len(),
                wanted,
            });
        }
        let complete = Progress {
            is_new: false,
            chunks_here: chunks,
            chunks,
            bytes_here: size,
        };
        let Some(part) = part else {
            return Ok(complete);
        };
        if part.has(number) {
            return Ok(part.progress(&lock(&part.state), false));
        }
        let value = match self.list_value(digest, size, number) {
            Ok(value) => value,
            Err(_) if self.part(digest).is_none() => return Err(PutError::Unknown(*digest)),
            Err(error) => return Err(StoreError::from(error).into()),
        };
        if value_of(size, number, bytes) != value {
            let list = self.0.files.open(digest, Role::List);
            let list = list.and_then(|list| files::list(&list, size));
            return Err(
                match proves(digest, size, &list.map_err(StoreError::from)?) {
                    true => PutError::WrongBytes(number),
                    false => PutError::DamagedList,
                },
            );
        }
        let mut state = lock(&part.state);
        if state.ended {
            return match self.size(digest) {
                Some(_) => Ok(complete),
                None => Err(PutError::Unknown(*digest)),
            };
        }
        let file = match &state.written {
            Some(file) => file.clone(),
            None => {
                let file = self.0.files.open(digest, Role::Part);
                let file = Arc::new(file.map_err(StoreError::from)?);
                state.written = Some(file.clone());
                file
            }
        };
        file.write_all_at(bytes, number * CHUNK_BYTES)
            .map_err(StoreError::from)?;
        let is_new = state.here.set(number);
        Ok(part.progress(&state, is_new))
    }

    fn list_value(&self, digest: &BlobDigest, size: u64, number: u64) -> io::Result<[u8; 32]> {
        let list = self.0.files.open(digest, Role::List)?;
        files::value(digest, size, &list, number)
    }

    /// Makes what was received durable, and gives all chunks that are.
    ///
    /// # Errors
    /// It is not being received, or the disk failed.
    pub fn sync(&self, digest: &BlobDigest) -> Result<Ranges, FinishError> {
        let entry = lock(&self.0.state).entries.get(digest).cloned();
        match entry {
            None => Err(FinishError::Unknown(*digest)),
            Some(Entry::Whole(size)) => Ok(Part::new(size, Bits::none(1)).all()),
            Some(Entry::Part(part)) => self.sync_part(digest, &part),
        }
    }

    fn sync_part(&self, digest: &BlobDigest, part: &Part) -> Result<Ranges, FinishError> {
        let _syncing = lock(&part.syncing);
        let (file, here) = {
            let mut state = lock(&part.state);
            (state.written.take(), state.here.clone())
        };
        let Some(file) = file else {
            return Ok(lock(&part.state).durable.iter().collect());
        };
        let synced = file.sync_data().and_then(|()| {
            let progress = self.0.files.open(digest, Role::Progress)?;
            progress.write_all_at(here.as_bytes(), 0)?;
            progress.sync_data()
        });
        let mut state = lock(&part.state);
        match synced {
            Ok(()) => {
                state.durable = here;
                Ok(state.durable.iter().collect())
            }
            Err(_) if state.ended => match self.size(digest) {
                Some(_) => Ok(part.all()),
                None => Err(FinishError::Unknown(*digest)),
            },
            Err(error) => {
                // What the system threw away it may report as written: all that was not durable has to come again.
                state.here = state.durable.clone();
                state.written = None;
                Err(StoreError::from(error).into())
            }
        }
    }

    /// Makes an attachment whole, once every chunk is here.
    ///
    /// # Errors
    /// Chunks are missing (some may have been found to be damaged only now), or the disk failed.
    pub fn finish(&self, digest: &BlobDigest) -> Result<u64, FinishError> {
        if let Some(size) = self.size(digest) {
            return Ok(size);
        }
        let part = self.part(digest).ok_or(FinishError::Unknown(*digest))?;
        self.reread(digest, &part)?;
        let durable = self.sync_part(digest, &part)?;
        let missing = part.all().without(&durable);
        if !missing.is_empty() {
            return Err(FinishError::Missing(missing));
        }
        let files = &self.0.files;
        let _naming = lock(&self.0.naming);
        if let Some(size) = self.size(digest) {
            return Ok(size);
        }
        if self
            .part(digest)
            .is_none_or(|now| !Arc::ptr_eq(&now, &part))
        {
            return Err(FinishError::Unknown(*digest));
        }
        if !lock(&part.state).here.is_full() {
            // Somebody read a chunk in the meantime that is damaged.
            return Err(FinishError::Missing(part.all().without(&part.have())));
        }
        files.promote(digest).map_err(StoreError::from)?;
        part.end();
        let synced = files.sync();
        let mut state = lock(&self.0.state);
        let is_this = |entry: &Entry| matches!(entry, Entry::Part(now) if Arc::ptr_eq(now, &part));
        if !state.entries.get(digest).is_some_and(is_this) {
            // Forgotten in the meantime: what is left of it is cleaned away.
            return Err(FinishError::Unknown(*digest));
        }
        if let Err(error) = synced {
            // Whether it has its name is not known before a restart.
            state.entries.remove(digest);
            drop(state);
            self.release(cost(part.size));
            return Err(StoreError::from(error).into());
        }
        state.entries.insert(*digest, Entry::Whole(part.size));
        drop(state);
        // A leftover that the next start removes, if it stays.
        let _ = files.remove_one(digest, Role::Progress);
        Ok(part.size)
    }

    /// Compares the chunks that a restart found with the list; those that are damaged count as not received.
    fn reread(&self, digest: &BlobDigest, part: &Arc<Part>) -> Result<(), FinishError> {
        let believed = lock(&part.state).believed.clone();
        if believed.count() == 0 {
            return Ok(());
        }
        let reader = match self.reader(digest) {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FinishError::Unknown(*digest));
            }
            Err(error) => return Err(StoreError::from(error).into()),
        };
        let mut bytes = Vec::new();
        for number in believed.iter() {
            match reader.chunk(number, &mut bytes) {
                Ok(()) => lock(&part.state).believed.clear(number),
                // It counts as missing now.
                Err(super::ReadError::Damaged(_)) => {}
                Err(
                    super::ReadError::NotHere
                    | super::ReadError::PastTheEnd
                    | super::ReadError::DamagedList,
                ) => {}
                Err(super::ReadError::Io(error)) => return Err(StoreError::from(error).into()),
            }
        }
        Ok(())
    }
}
