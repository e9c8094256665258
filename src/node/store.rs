//! The journal as the owner uses it: the front, the thread that writes, and when a checkpoint is made.

use std::{
    io::{self, Write},
    mem,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    delivery,
    index::Index,
    journal::{self, CheckpointJob, Done, Job, Journal, Reader, Room, WriteError, Writer},
    model::{Location, Log, Lsn},
};

/// Where the journal is.
#[cfg(not(test))]
pub(super) type NodeDisk = crate::journal::Folder;
/// Where the journal is: a folder that a test can fill up or let fail.
#[cfg(test)]
pub(super) type NodeDisk = super::tests::disk::TestDisk;

/// Reads parcels back.
pub(super) type JournalReader = Reader<NodeDisk>;

/// A job that has come back.
pub(super) type JobDone = Done<NodeDisk>;

/// Bytes that may wait for a write. Beyond, the owner takes no more commands until one has come back.
const PENDING_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of one part of a checkpoint's state, and parts that may wait for the thread that writes them.
const PART_BYTES: usize = 128 * 1024;
const PARTS_WAIT: usize = 4;

/// How long a checkpoint waits for the index. One that is further behind must do without what the checkpoint makes superfluous.
const INDEX_FLUSHES_WITHIN: Duration = Duration::from_secs(10);

/// The journal and the threads that write it.
pub(super) struct Store {
    journal: Journal<NodeDisk>,
    writer: Writer<NodeDisk>,
    /// A checkpoint may be large; writes do not wait for it. One at a time.
    checkpointer: SyncSender<(CheckpointJob<NodeDisk>, Receiver<()>)>,
    done: mpsc::UnboundedReceiver<JobDone>,
    /// When the write that is under way began.
    writing: Option<Instant>,
    /// A checkpoint that waits until all that it covers, up to this record, is durable; and what it waits for.
    checkpoint: Option<(Lsn, SyncSender<()>)>,
    checkpointing: bool,
    /// On a paused clock: tells what is done, and keeps time from running while the checkpoint's thread works.
    #[cfg(test)]
    paused: (
        mpsc::UnboundedSender<JobDone>,
        Option<super::tests::paused::Hold>,
    ),
}

/// A checkpoint's state on its way to the thread that writes it.
pub(super) struct Parts {
    part: Vec<u8>,
    parts: SyncSender<Vec<u8>>,
}

impl Write for Parts {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() + bytes.len() > PART_BYTES {
            self.flush()?;
        }
        self.part.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES));
        let sent = self.parts.send(part);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What a job's end means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// Everything up to this record is durable; the write took so long.
    Synced(Lsn, Duration),
    /// A checkpoint was made.
    Checkpoint,
    /// Nothing that matters to anyone else.
    Nothing,
    /// The storage failed: nothing more becomes durable.
    Failed(String),
}

impl Store {
    /// Starts the threads; they end when this is dropped. A checkpoint makes records superfluous that `index` is derived from: it is on
    /// disk before.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(journal: Journal<NodeDisk>, index: Index) -> io::Result<Self> {
        // A write and a checkpoint are all that is ever under way, so that this channel needs no bound.
        let (tell, done) = mpsc::unbounded_channel();
        let tell_written = tell.clone();
        #[cfg(test)]
        let paused = (tell.clone(), None);
        // The owner waits for every job before it ends.
        let writer = Writer::spawn(move |done| drop(tell_written.send(done)))?;
        let (checkpointer, jobs) = sync_channel::<(CheckpointJob<NodeDisk>, Receiver<()>)>(1);
        thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                for (job, covered) in jobs {
                    let lsn = job.lsn();
                    let done = job.write().and_then(|written| {
                        // When nobody says so any more, it is found to be too early.
                        if covered.recv().is_ok() {
                            index.flush_through(lsn, INDEX_FLUSHES_WITHIN);
                        }
                        written.settle()
                    });
                    drop(tell.send(Done::Checkpoint(done)));
                }
            })?;
        Ok(Self {
            journal,
            writer,
            checkpointer,
            done,
            writing: None,
            checkpoint: None,
            checkpointing: false,
            #[cfg(test)]
            paused,
        })
    }

    /// Reads payloads back.
    pub(super) fn reader(&self) -> JournalReader {
        self.journal.reader()
    }

    /// What the machine appends to.
    pub(super) fn log(&mut self) -> &mut impl Log {
        &mut self.journal
    }

    /// The group to come may take so many bytes of payloads.
    pub(super) fn expect(&mut self, payload_bytes: u64) {
        // Records and frames are small beside the payloads of a group that is worth the call.
        self.journal.expect(payload_bytes + payload_bytes / 8);
    }

    /// The records since the last end are one group.
    pub(super) fn end_group(&mut self) {
        self.journal.end_group();
    }

    /// A payload is no longer needed.
    pub(super) fn freed(&mut self, location: Location) {
        self.journal.freed(location);
    }

    /// The number of the last record.
    pub(super) fn appended(&self) -> Lsn {
        self.journal.appended()
    }

    /// The number of the last durable record.
    pub(super) fn synced(&self) -> Lsn {
        self.journal.synced()
    }

    /// How much room there is, in the journal's own words.
    pub(super) fn room(&self) -> Room {
        self.journal.room()
    }

    /// The segment that should be given up.
    pub(super) fn victim(&self) -> Option<u32> {
        self.journal.victim()
    }

    /// What of a segment is alive, bytes.
    pub(super) fn live_bytes(&self, segment: u32) -> u64 {
        self.journal.live_bytes(segment)
    }

    /// Whether something waits to be written and no write is under way.
    pub(super) fn may_write(&self) -> bool {
        self.writing.is_none() && self.journal.appended() > self.journal.synced()
    }

    /// Has everything that waits written, unless a write is under way: what comes meanwhile goes together in the next. Tells whether a
    /// write has begun.
    pub(super) fn write(&mut self) -> bool {
        if self.writing.is_some() {
            return false;
        }
        let write = self.journal.take_write();
        let begins = write.is_some();
        if let Some(write) = write {
            self.give(write);
        }
        begins
    }

    /// Tries again what found no room on the disk.
    pub(super) fn retry(&mut self) {
        if self.writing.is_none()
            && let Some(write) = self.journal.retry()
        {
            self.give(write);
        }
    }

    /// Makes a checkpoint when one is due, or in any case when `wanted`. `state` writes what the machine is at this moment; it waits
    /// for the thread that makes it smaller and gives it to the system.
    pub(super) fn checkpoint(
        &mut self,
        wanted: bool,
        state: impl FnOnce(&mut Parts) -> io::Result<()>,
    ) {
        let busy = self.checkpointing || self.checkpoint.is_some();
        if busy || !(wanted || self.journal.checkpoint_due()) {
            return;
        }
        self.write();
        let (parts, coming) = sync_channel(PARTS_WAIT);
        let Some(job) = self.journal.checkpoint(coming.into_iter()) else {
            return;
        };
        let (covered, waits) = sync_channel(1);
        self.checkpoint = Some((job.lsn(), covered));
        if let Err(busy) = self.checkpointer.try_send((job, waits)) {
            unreachable!("one checkpoint at a time: {busy}");
        }
        let mut parts = Parts {
            part: Vec::with_capacity(PART_BYTES),
            parts,
        };
        // When the thread takes no more, it says why.
        let _ = state(&mut parts).and_then(|()| parts.flush());
        self.start_checkpoint();
    }

    /// Waits for a job to come back. May be dropped at any time; nothing is lost.
    pub(super) async fn done(&mut self) -> JobDone {
        match self.done.recv().await {
            Some(done) => done,
            None => unreachable!("the threads hold senders as long as the store has them"),
        }
    }

    /// Takes note of a job that has come back.
    pub(super) fn landed(&mut self, done: JobDone) -> Landed {
        match done {
            Done::Write(outcome) => {
                let took = self
                    .writing
                    .take()
                    .map_or(Duration::ZERO, |began| began.elapsed());
                let failure = match &outcome {
                    Err(error @ WriteError::Failed { .. }) => Some(error.to_string()),
                    Err(WriteError::Full { .. }) => {
                        tracing::error!("the disk is full; records wait until there is room");
                        None
                    }
                    Ok(_) => None,
                };
                let synced = self.journal.finished(outcome);
                if let Some(failure) = failure {
                    return Landed::Failed(failure);
                }
                self.start_checkpoint();
                Landed::Synced(synced, took)
            }
            Done::Checkpoint(outcome) => {
                self.checkpoint = None;
                self.checkpointing = false;
                #[cfg(test)]
                drop(self.paused.1.take());
                self.journal.checkpointed(&outcome);
                match outcome {
                    Ok(done) => {
                        if let Some(error) = done.left {
                            tracing::warn!(%error, "a checkpoint has no second file, nothing is set aside for the next one, or files that it makes superfluous stay; the next one tries again");
                        }
                        Landed::Checkpoint
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no checkpoint was made");
                        Landed::Nothing
                    }
                }
            }
        }
    }

    /// Whether nothing is being written to the journal's files and nothing is being removed.
    pub(super) fn is_still(&self) -> bool {
        self.writing.is_none() && !self.checkpointing
    }

    /// Whether so much waits to be written that no more should be taken in.
    pub(super) fn is_behind(&self) -> bool {
        let between = self.writing.is_some() && self.journal.is_between_segments();
        between || self.room().bytes_pending > PENDING_BYTES_MAX
    }

    /// Whether nothing is left to write, or nothing can be written.
    pub(super) fn is_settled(&self) -> bool {
        let room = self.room();
        let resting = self.writing.is_none() && !self.checkpointing;
        let written = self.journal.synced() == self.journal.appended();
        room.failed || (resting && (room.full || (written && self.checkpoint.is_none())))
    }

    fn give(&mut self, write: journal::Write<NodeDisk>) {
        self.writing = Some(Instant::now());
        #[cfg(test)]
        if let Some(takes) = super::tests::paused::sync_takes() {
            super::tests::paused::write(write, takes, self.paused.0.clone());
            return;
        }
        if let Err(busy) = self.writer.send(Job::Write(write)) {
            unreachable!("one write at a time: {busy}");
        }
    }

    /// Starts a checkpoint that waits, once all that it covers is durable.
    fn start_checkpoint(&mut self) {
        let synced = self.journal.synced();
        if let Some((_, covered)) = self.checkpoint.take_if(|(lsn, _)| *lsn <= synced) {
            self.checkpointing = true;
            #[cfg(test)]
            {
                self.paused.1 = super::tests::paused::hold();
            }
            // It may have failed already; then it says so.
            let _ = covered.try_send(());
        }
    }
}

/// The room as the machine knows it.
pub(super) fn for_machine(room: &Room) -> delivery::Room {
    delivery::Room {
        free: room.free(),
        bound: room.bytes_max,
        disk_full: room.disk_full(),
    }
}
