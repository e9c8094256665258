//! The keeper of attachments: what comes of them over sessions is verified and written, what leaves is read, in the worker pool.
//!
//! The machine decides what is fetched and from whom, and what is sent; here it is carried out over [`blob`](crate::blob). Chunks are made
//! durable often enough that a node that dies asks for little again, and seldom enough that the disk is not what a fast line waits for.
//! What is acked of them to a neighbour is no promise: a new session tells what is there.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::pace::Paces;
use crate::{
    blob::{BeginError, Begun, Blobs, FinishError, Found, PutError, ReadError, StoreError},
    delivery::{BlobNews, SessionId},
    model::{BlobDigest, Ranges, UnitId, chunk_count},
    observe::Metrics,
    wire::{self, Chunks, Description},
};

/// Chunks that may have been written and not synced: 4 MiB.
const UNSYNCED_CHUNKS_MAX: u32 = 64;
/// How long a chunk may stay so while others come.
const SYNC_EVERY: Duration = Duration::from_millis(250);

/// The keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    blobs: Blobs,
    /// Attachments that are taken, each from one neighbour.
    taken: Mutex<HashMap<BlobDigest, Taking>>,
    /// Since when something that had been needed is not any more, in this run of the node.
    freed: Mutex<HashMap<BlobDigest, SystemTime>>,
    /// How fast they come and go.
    pub(super) paces: Paces,
    metrics: Arc<Metrics>,
    /// How much room something that came did not find, bytes.
    lacking: AtomicU64,
    /// Told when that is so.
    pub(super) no_room: Notify,
}

#[derive(Debug)]
struct Taking {
    from: UnitId,
    /// Whether its description is here, or was.
    was_described: bool,
    unsynced: u32,
    synced: Instant,
}

/// A neighbour sent what is not part of the attachment that it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunksFault {
    /// It does not even read.
    #[error(transparent)]
    Broken(#[from] wire::ChunksError),
    /// The list proves nothing.
    #[error(
        "of an attachment that it was asked for, the neighbour sent a list that is not its own: {0}"
    )]
    List(BeginError),
    /// A chunk is none of the attachment.
    #[error("of an attachment that it was asked for, the neighbour sent what is not its own: {0}")]
    Chunk(PutError),
}

/// What came, and what it is about.
pub(super) type News = (BlobDigest, BlobNews);

impl Keeper {
    /// A keeper of these.
    pub(super) fn new(blobs: Blobs, metrics: Arc<Metrics>) -> Self {
        Self {
            blobs,
            taken: Mutex::default(),
            freed: Mutex::default(),
            paces: Paces::default(),
            metrics,
            lacking: AtomicU64::new(0),
            no_room: Notify::new(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<BlobDigest, Taking>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attachment is taken from this neighbour from now on, and from no other.
    pub(super) fn take_from(&self, digest: BlobDigest, from: UnitId) {
        let taking = Taking {
            from,
            was_described: self.blobs.have(&digest).is_some(),
            unsynced: 0,
            synced: Instant::now(),
        };
        self.taken().insert(digest, taking);
    }

    /// Nothing of it is taken any more.
    pub(super) fn close(&self, digest: &BlobDigest) {
        self.taken().remove(digest);
    }

    /// Nothing needs it now: from this moment on it is kept for a while. Waits for the disk.
    pub(super) fn freed(&self, digest: BlobDigest) {
        // What is whole says so itself after a restart, too. What is not, or is gone, need not.
        let _ = self.blobs.touch(&digest);
        // Later than that: what is touched after this was brought again.
        self.freed_since().insert(digest, SystemTime::now());
    }

    /// Since when something that had been needed is not any more, in this run of the node.
    pub(super) fn freed_since(&self) -> MutexGuard<'_, HashMap<BlobDigest, SystemTime>> {
        self.freed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much room was lacking, bytes.
    pub(super) fn take_lacking(&self) -> u64 {
        self.lacking.swap(0, Ordering::Relaxed)
    }

    /// Takes what came over a session. Waits for the disk.
    ///
    /// # Errors
    /// The neighbour sent what it was not asked for; nothing of that stays.
    pub(super) fn came(
        &self,
        session: SessionId,
        neighbour: &UnitId,
        bytes: &Bytes,
    ) -> Result<Vec<News>, ChunksFault> {
        let Chunks {
            digest,
            description,
            first,
            chunks,
        } = wire::read_chunks(bytes)?;
        let is_asked = self
            .taken()
            .get(&digest)
            .is_some_and(|taking| taking.from == *neighbour);
        if !is_asked {
            return Ok(vec![(digest, BlobNews::Unasked { session })]);
        }
        let mut news = Vec::new();
        if let Some(description) = description
            && !self.described(digest, &description, &mut news)?
        {
            return Ok(news);
        }
        let mut stored = Ranges::new();
        let mut is_complete = false;
        let mut fresh = 0;
        let mut failed = None;
        for (number, chunk) in (first..).zip(&chunks) {
            match self.blobs.put(&digest, number, chunk) {
                Ok(progress) => {
                    stored.insert_range(number, number);
                    is_complete = progress.is_complete();
                    fresh += if progress.is_new {
                        chunk.len() as u64
                    } else {
                        0
                    };
                }
                Err(PutError::Store(error)) => {
                    failed = Some(error);
                    break;
                }
                Err(PutError::DamagedList) => {
                    self.begin_anew(digest, &mut news);
                    return Ok(news);
                }
                Err(PutError::Unknown(_)) if self.blobs.have(&digest).is_none() => {
                    // It was removed, and whoever was to tell that may not have; or it overtakes its description.
                    if self.was_described(&digest, false) {
                        news.push((digest, BlobNews::Lost));
                    }
                    return Ok(news);
                }
                Err(fault) => return Err(ChunksFault::Chunk(fault)),
            }
        }
        self.metrics.attachment_received(fresh);
        self.paces
            .moved(digest, neighbour, false, fresh, Instant::now());
        if let Some(error) = failed {
            self.failed(digest, error, &mut news);
        } else if !stored.is_empty() {
            let count = stored.count() as u32;
            news.push((digest, BlobNews::Stored(stored)));
            self.make_durable(digest, count, is_complete, &mut news);
        }
        Ok(news)
    }

    /// Takes a description; false when nothing more is to be taken.
    fn described(
        &self,
        digest: BlobDigest,
        description: &Description,
        news: &mut Vec<News>,
    ) -> Result<bool, ChunksFault> {
        let size = description.size;
        if size > wire::DESCRIBED_BYTES_MAX {
            news.push((digest, BlobNews::TooLarge));
            return Ok(false);
        }
        let have = match self.blobs.begin(digest, size, &description.list) {
            Ok(Begun::New) => Ranges::new(),
            Ok(Begun::Partly(have)) => have,
            Ok(Begun::Whole) => {
                news.push((digest, BlobNews::Whole { size }));
                return Ok(false);
            }
            Err(BeginError::Store(StoreError::TooLarge { .. })) => {
                news.push((digest, BlobNews::TooLarge));
                return Ok(false);
            }
            Err(BeginError::Store(error)) => {
                if matches!(error, StoreError::Full { .. }) {
                    self.lacking.fetch_max(size, Ordering::Relaxed);
                    self.no_room.notify_one();
                }
                self.failed(digest, error, news);
                return Ok(false);
            }
            Err(BeginError::OtherSize(_)) => {
                // One of two neighbours lied. All begins anew, by this one's word; a lie shows in the last chunk.
                self.begin_anew(digest, news);
                return Ok(false);
            }
            Err(fault @ BeginError::WrongList(_)) => return Err(ChunksFault::List(fault)),
        };
        self.was_described(&digest, true);
        news.push((digest, BlobNews::Part { size, have }));
        Ok(true)
    }

    /// Notes whether the description of what is being received is here, and tells whether it was.
    fn was_described(&self, digest: &BlobDigest, is_now: bool) -> bool {
        let mut taken = self.taken();
        let taking = taken.get_mut(digest);
        taking.is_some_and(|taking| std::mem::replace(&mut taking.was_described, is_now))
    }

    /// Nothing of one that is being received is of any use.
    fn begin_anew(&self, digest: BlobDigest, news: &mut Vec<News>) {
        tracing::warn!(%digest, "what is here of an attachment does not fit together; all of it is fetched again");
        match self.blobs.remove(&digest) {
            Ok(_) => news.push((digest, BlobNews::Lost)),
            Err(error) => self.failed(digest, error.into(), news),
        }
    }

    /// Chunks were written: makes them durable when it is time, and the attachment whole when it is complete.
    fn make_durable(
        &self,
        digest: BlobDigest,
        count: u32,
        is_complete: bool,
        news: &mut Vec<News>,
    ) {
        if is_complete {
            match self.blobs.finish(&digest) {
                Ok(size) => news.push((digest, BlobNews::Whole { size })),
                Err(FinishError::Missing(missing)) => {
                    tracing::warn!(%digest, chunks = missing.count(), "chunks of an attachment were damaged on the disk, and are fetched again");
                    self.tell_part(digest, news);
                }
                Err(FinishError::Store(error)) => {
                    if self.blobs.have(&digest).is_none() {
                        news.push((digest, BlobNews::Lost));
                    }
                    self.failed(digest, error, news);
                }
                Err(FinishError::Unknown(_)) => news.push((digest, BlobNews::Lost)),
            }
            return;
        }
        let is_due = match self.taken().get_mut(&digest) {
            Some(taking) => {
                taking.unsynced += count;
                let is_due =
                    taking.unsynced >= UNSYNCED_CHUNKS_MAX || taking.synced.elapsed() >= SYNC_EVERY;
                if is_due {
                    taking.unsynced = 0;
                    taking.synced = Instant::now();
                }
                is_due
            }
            None => true,
        };
        if is_due && let Err(FinishError::Store(error)) = self.blobs.sync(&digest) {
            self.failed(digest, error, news);
        }
    }

    /// What is left of one that is being received.
    fn tell_part(&self, digest: BlobDigest, news: &mut Vec<News>) {
        let size = self.blobs.reader(&digest).map(|reader| reader.size());
        news.push(match (self.blobs.have(&digest), size) {
            (Some(have), Ok(size)) => (digest, BlobNews::Part { size, have }),
            _ => (digest, BlobNews::Lost),
        });
    }

    /// There is no room, or the disk failed: what was not durable has to come again, and later.
    fn failed(&self, digest: BlobDigest, error: StoreError, news: &mut Vec<News>) {
        tracing::warn!(%digest, %error, "an attachment cannot be kept now; it is fetched again later");
        news.push((digest, BlobNews::NoRoom));
        if self.blobs.have(&digest).is_some() {
            self.tell_part(digest, news);
        }
    }

    /// Reads a run for a neighbour. Waits for the disk. The inner error lasts: it is what is left of the attachment.
    ///
    /// # Errors
    /// It cannot be read just now.
    pub(super) fn pack(
        &self,
        neighbour: &UnitId,
        digest: BlobDigest,
        describe: bool,
        first: u64,
        count: u64,
    ) -> Result<Result<Bytes, News>, ReadError> {
        let read = || read_run(&self.blobs, digest, describe, first, count);
        let read = match read() {
            Err(error) if error.is_lasting() && self.mend(&digest)? => {
                tracing::warn!(%digest, %error, "the list of an attachment was damaged, and is made anew");
                read()
            }
            read => read,
        };
        let (out, gone) = match read {
            Ok(read) => read,
            Err(error) if error.is_lasting() => {
                tracing::error!(%digest, %error, "an attachment cannot be read");
                let mut news = Vec::new();
                self.tell_damaged(digest, &mut news);
                return Ok(Err(news.pop().unwrap_or((digest, BlobNews::Lost))));
            }
            Err(error) => return Err(error),
        };
        self.metrics.attachment_sent(gone);
        self.paces
            .moved(digest, neighbour, true, gone, Instant::now());
        Ok(Ok(out.into()))
    }

    /// Whether only the list of an attachment was damaged, which was made anew.
    ///
    /// # Errors
    /// What is wrong cannot be found out just now: too many open files, a full disk.
    fn mend(&self, digest: &BlobDigest) -> Result<bool, ReadError> {
        match self.blobs.mend(digest).map_err(ReadError::from) {
            Err(error) if error.is_lasting() => {
                tracing::error!(%digest, %error, "an attachment cannot be read");
                Ok(false)
            }
            mended => mended,
        }
    }

    /// A chunk is damaged. A whole attachment that is so goes: it is fetched again from where it came, if that is possible.
    pub(super) fn tell_damaged(&self, digest: BlobDigest, news: &mut Vec<News>) {
        if self.blobs.have(&digest).is_some() {
            let list = self.blobs.reader(&digest).map(|reader| reader.list());
            match list {
                Ok(Err(ReadError::DamagedList)) => self.begin_anew(digest, news),
                _ => self.tell_part(digest, news),
            }
            return;
        }
        match self.mend(&digest) {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                // Nothing is thrown away that may be sound.
                tracing::error!(%digest, %error, "an attachment cannot be read now, and stays");
                return;
            }
        }
        tracing::error!(%digest, "an attachment is damaged, and is removed; it is fetched again where that is possible");
        if let Err(error) = self.blobs.remove(&digest) {
            tracing::error!(%digest, %error, "a damaged attachment cannot be removed");
        }
        news.push((digest, BlobNews::Lost));
    }
}

/// A run of an attachment's chunks as it goes over a session, and how many bytes of the attachment are in it.
fn read_run(
    blobs: &Blobs,
    digest: BlobDigest,
    describe: bool,
    first: u64,
    count: u64,
) -> Result<(Vec<u8>, u64), ReadError> {
    let reader = blobs.reader(&digest)?;
    let list = match describe {
        true => Some(reader.list()?),
        false => None,
    };
    let description = list.as_deref().map(|list| (reader.size(), list));
    let mut out = wire::chunks_head(&digest, description, first, count);
    let mut chunk = Vec::new();
    let mut gone = 0;
    for number in first..first + count {
        reader.chunk(number, &mut chunk)?;
        out.extend_from_slice(&chunk);
        gone += chunk.len() as u64;
    }
    Ok((out, gone))
}

/// What the machine is told of what was found at the start.
pub(super) fn found(blobs: &Blobs, found: Found) -> Vec<News> {
    let whole = found.whole.into_iter();
    let mut news: Vec<News> = whole
        .map(|(digest, size)| (digest, BlobNews::Whole { size }))
        .collect();
    for part in found.partial {
        let is_complete = part.have.gap(0) >= chunk_count(part.size);
        let finished = is_complete.then(|| blobs.finish(&part.digest));
        let found = match finished {
            Some(Ok(size)) => BlobNews::Whole { size },
            _ => BlobNews::Part {
                size: part.size,
                have: blobs.have(&part.digest).unwrap_or(part.have),
            },
        };
        news.push((part.digest, found));
    }
    news
}
