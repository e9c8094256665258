//! A bounded pool of threads for what costs time on a processor or waits for the disk: verifying, signing, zstd, reading parcels.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

/// Stack of one worker. zstd and the signature library keep their large tables on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// Work that waits or is under way, for each thread: enough to keep it busy, and a bound on what the jobs hold.
const JOBS_PER_THREAD_MAX: usize = 16;

/// How long a thread waits for work before it lets go of what it keeps in memory.
const IDLE_AFTER: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// The pool. Clones share it; its threads end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Workers(Arc<Pool>);

/// How soon a job is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Before all bulk work: somebody waits for it.
    Express,
    /// When nothing more urgent waits.
    Bulk,
}

/// The job panicked, or the pool is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker failed")]
pub(super) struct WorkerFailed;

struct Pool {
    threads: usize,
    queue: Arc<Queue>,
    /// One permit for every job that waits or is under way, for each urgency, so that bulk never shuts express out.
    room: [Arc<Semaphore>; 2],
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    arrived: Condvar,
}

#[derive(Default)]
struct Jobs {
    express: VecDeque<Job>,
    bulk: VecDeque<Job>,
    ended: bool,
}

impl Workers {
    /// A pool of so many threads; without any, work is done where it is asked for. Each calls `idle` when it has had nothing to do for [`IDLE_AFTER`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(threads: usize, idle: fn()) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        for n in 0..threads {
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("worker-{n}"))
                .stack_size(STACK_BYTES)
                .spawn(move || queue.work(idle))?;
        }
        let room = || Arc::new(Semaphore::new(threads * JOBS_PER_THREAD_MAX));
        Ok(Self(Arc::new(Pool {
            threads,
            queue,
            room: [room(), room()],
        })))
    }

    /// Has a thread do `work` and waits for what comes of it. While the pool is full, waits for room first. A caller that stops
    /// waiting does not stop the work.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkerFailed> {
        if self.0.threads == 0 {
            return catch_unwind(AssertUnwindSafe(work)).map_err(|_| WorkerFailed);
        }
        let room = self.0.room[urgency as usize].clone();
        let permit = room.acquire_owned().await.map_err(|_| WorkerFailed)?;
        let (done, result) = oneshot::channel();
        self.0.queue.push(
            urgency,
            Box::new(move || {
                let outcome = work();
                drop(permit);
                // Nobody waits any more: fine.
                let _ = done.send(outcome);
            }),
        );
        result.await.map_err(|_| WorkerFailed)
    }
}

impl Queue {
    fn push(&self, urgency: Urgency, job: Job) {
        let mut jobs = self.lock();
        match urgency {
            Urgency::Express => jobs.express.push_back(job),
            Urgency::Bulk => jobs.bulk.push_back(job),
        }
        drop(jobs);
        self.arrived.notify_one();
    }

    fn work(&self, idle: fn()) {
        while let Some(job) = self.next(idle) {
            // A panic is a bug of ours in one job: whoever waits for it is told by the dropped sender, and the thread goes on.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a worker's job panicked");
            }
        }
    }

    fn next(&self, idle: fn()) -> Option<Job> {
        let mut jobs = self.lock();
        let mut rested = false;
        loop {
            let job = jobs.express.pop_front().or_else(|| jobs.bulk.pop_front());
            if job.is_some() {
                return job;
            }
            if jobs.ended {
                return None;
            }
            if rested {
                let woken = self.arrived.wait(jobs);
                jobs = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let woken = self.arrived.wait_timeout(jobs, IDLE_AFTER);
            let (woken, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            jobs = woken;
            if timeout.timed_out() && jobs.express.is_empty() && jobs.bulk.is_empty() {
                rested = true;
                drop(jobs);
                idle();
                jobs = self.lock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.arrived.notify_all();
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workers")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let workers = Workers::start(1, || {}).expect("a thread");
        let failed: Result<(), _> = workers
            .run(Urgency::Express, || panic!("this job is meant to fail"))
            .await;
        assert_eq!(failed, Err(WorkerFailed));
        assert_eq!(workers.run(Urgency::Bulk, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn express_work_passes_bulk_work_that_waits() {
        let workers = Workers::start(1, || {}).expect("a thread");
        let (go, gate) = mpsc::channel::<()>();
        let (busy, started) = oneshot::channel();
        let first = workers.run(Urgency::Bulk, move || {
            let _ = busy.send(());
            gate.recv().is_ok()
        });
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = order.clone();
            move || order.lock().expect("not poisoned").push(name)
        };
        let bulk = workers.run(Urgency::Bulk, note("bulk"));
        let express = workers.run(Urgency::Express, note("express"));
        let open = async {
            started.await.expect("the first job runs");
            // Both others wait in the queue by now: `join!` polls in order.
            go.send(()).expect("the first job waits");
        };
        let (first, bulk, express, ()) = tokio::join!(first, bulk, express, open);
        assert_eq!((first, bulk, express), (Ok(true), Ok(()), Ok(())));
        assert_eq!(*order.lock().expect("not poisoned"), ["express", "bulk"]);
    }
}
