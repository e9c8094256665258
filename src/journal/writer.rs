//! The writer thread.

use std::{
    io,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
};

use super::{
    checkpoint::{CheckpointError, CheckpointJob, Checkpointed},
    disk::Disk,
    write::{Write, WriteError, Written},
};

/// Jobs that may wait: a write and a checkpoint are all that there ever are at once.
const JOBS_MAX: usize = 2;

/// Work for the writer thread.
#[derive(Debug)]
pub enum Job<D: Disk> {
    /// A write.
    Write(Write<D>),
    /// A checkpoint. The writes sent before it are durable when it runs, unless they failed.
    Checkpoint(CheckpointJob<D>),
}

/// What became of a job: for [`Journal::finished`](super::Journal::finished) or
/// [`Journal::checkpointed`](super::Journal::checkpointed).
#[derive(Debug)]
pub enum Done<D: Disk> {
    /// Of a write.
    Write(Result<Written, WriteError<D>>),
    /// Of a checkpoint.
    Checkpoint(Result<Checkpointed, CheckpointError>),
}

/// The writer thread takes no more work now, or its callback panicked. The job comes back.
#[derive(Debug, thiserror::Error)]
#[error("the journal's writer takes no more work")]
pub struct Busy<D: Disk>(pub Job<D>);

/// A thread that runs jobs in the order in which they were sent and calls back after each.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    jobs: Option<SyncSender<Job<D>>>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Disk> Writer<D> {
    /// Starts the thread. `done` is called on it, once for each job; it should hand the result to the journal's owner and return.
    pub fn spawn(mut done: impl FnMut(Done<D>) + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                for job in queue {
                    done(match job {
                        Job::Write(write) => Done::Write(write.run()),
                        Job::Checkpoint(checkpoint) => Done::Checkpoint(checkpoint.run()),
                    });
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Sends a job; never waits.
    pub fn send(&self, job: Job<D>) -> Result<(), Busy<D>> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => Busy(job),
            }),
            None => Err(Busy(job)),
        }
    }
}

/// Waits for the jobs that were sent.
impl<D: Disk> Drop for Writer<D> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A callback that panicked has said so already.
            let _ = thread.join();
        }
    }
}
