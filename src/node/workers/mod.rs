//! Threads for what costs time on a processor or waits for the disk: verifying, signing, zstd, reading parcels.
//!
//! Whoever has work done has a desk: each session its own, and everybody else the node's. The desks take turns, so that a neighbour that
//! sends as fast as it can keeps nobody waiting but itself: somebody else's job waits for one turn of each busy desk. A turn is a step
//! of a job: a large batch is judged parcel by parcel. Express jobs have a thread of their own besides, and all others give way to it
//! and to the threads that hand things on.

mod turns;

use std::{
    io, mem,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

pub(super) use self::turns::Urgency;
use self::turns::{DeskNumber, Jobs, Next};

/// Stack of one worker. zstd and the signature library keep their large tables on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// Jobs of one desk that wait or are under way, for each thread: enough to keep it busy, and a bound on what the jobs hold.
const JOBS_PER_THREAD_MAX: usize = 16;

/// How long a thread waits for work before it lets go of what it keeps in memory.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// By how much threads that take all jobs are nicer (nice(2)) than the rest of the node: on a busy processor a batch that is judged would
/// hold up what is ready to go on.
const NICER: i32 = 5;

/// The pool. Clones share it and its desk; its threads end when the last clone and the last desk are dropped.
#[derive(Clone, Debug)]
pub(super) struct Workers(Desk);

/// Where somebody's jobs wait. Clones share it.
#[derive(Clone)]
pub(super) struct Desk {
    pool: Arc<Pool>,
    number: DeskNumber,
    /// One permit for every job that waits or is under way, for each urgency, so that bulk never shuts express out.
    room: [Arc<Semaphore>; 2],
}

/// The job panicked, or the pool is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker failed")]
pub(super) struct WorkerFailed;

/// Takes a step; says whether that was the last one.
type Job = Box<dyn FnMut() -> bool + Send>;

struct Pool {
    threads: usize,
    desks: AtomicU64,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// For threads that take all jobs.
    arrived: Condvar,
    /// For the one that takes express ones only.
    express_arrived: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Jobs<Job>,
    /// The thread for express jobs waits for one.
    express_waits: bool,
    ended: bool,
}

/// What a thread takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    All,
    /// Express jobs: they need not wait until a step of a bulk job is taken.
    Express,
}

impl Workers {
    /// A pool of so many threads, and one for express jobs; without any, work is done where it is asked for. Each calls `idle` when it
    /// has had nothing to do for [`IDLE_AFTER`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(threads: usize, idle: fn()) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let start = |name: String, takes| {
            let queue = queue.clone();
            let thread = thread::Builder::new().name(name).stack_size(STACK_BYTES);
            thread.spawn(move || queue.work(takes, idle)).map(drop)
        };
        for n in 0..threads {
            start(format!("worker-{n}"), Takes::All)?;
        }
        if threads > 0 {
            start("express".to_owned(), Takes::Express)?;
        }
        let pool = Pool {
            threads,
            desks: AtomicU64::new(0),
            queue,
        };
        Ok(Self(Desk::new(Arc::new(pool))))
    }

    /// A desk of one's own.
    pub(super) fn desk(&self) -> Desk {
        Desk::new(self.0.pool.clone())
    }

    /// As [`Desk::run`], at the node's own desk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkerFailed> {
        self.0.run(urgency, work).await
    }
}

impl Desk {
    fn new(pool: Arc<Pool>) -> Self {
        let room = || Arc::new(Semaphore::new(pool.threads * JOBS_PER_THREAD_MAX));
        Self {
            number: pool.desks.fetch_add(1, Relaxed),
            room: [room(), room()],
            pool,
        }
    }

    /// Has a thread do `work` and waits for what comes of it. While the desk is full, waits for room first. A caller that stops
    /// waiting does not stop the work.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkerFailed> {
        let mut work = Some(work);
        let step = move || match work.take() {
            Some(work) => ControlFlow::Break(work()),
            None => unreachable!("no step follows the last one"),
        };
        self.run_in_steps(urgency, step).await
    }

    /// As [`Desk::run`], for work that takes a while: `step` is called until it gives something. Between two steps others get their turn.
    pub(super) async fn run_in_steps<T: Send + 'static>(
        &self,
        urgency: Urgency,
        mut step: impl FnMut() -> ControlFlow<T> + Send + 'static,
    ) -> Result<T, WorkerFailed> {
        if self.pool.threads == 0 {
            let all = move || {
                loop {
                    if let ControlFlow::Break(outcome) = step() {
                        return outcome;
                    }
                }
            };
            return catch_unwind(AssertUnwindSafe(all)).map_err(|_| WorkerFailed);
        }
        let room = self.room[urgency as usize].clone();
        let permit = room.acquire_owned().await.map_err(|_| WorkerFailed)?;
        let (done, result) = oneshot::channel();
        let mut waits = Some((done, permit));
        let job = move || {
            let ControlFlow::Break(outcome) = step() else {
                return false;
            };
            if let Some((done, permit)) = waits.take() {
                drop(permit);
                // Nobody waits any more: fine.
                let _ = done.send(outcome);
            }
            true
        };
        self.pool.queue.push(urgency, self.number, Box::new(job));
        result.await.map_err(|_| WorkerFailed)
    }
}

impl Queue {
    fn push(&self, urgency: Urgency, desk: DeskNumber, job: Job) {
        let mut state = self.lock();
        state.jobs.push(urgency, desk, job);
        let at_once = urgency == Urgency::Express && mem::take(&mut state.express_waits);
        drop(state);
        match at_once {
            true => self.express_arrived.notify_one(),
            false => self.arrived.notify_one(),
        }
    }

    fn work(&self, takes: Takes, idle: fn()) {
        if takes == Takes::All {
            // Not allowed: then it takes its share like everybody else.
            let _ = rustix::process::nice(NICER);
        }
        let mut unfinished = None;
        while let Some(mut next) = self.next(takes, unfinished.take(), idle) {
            // A panic is a bug of ours in one job: whoever waits for it is told by the dropped sender, and the thread goes on.
            match catch_unwind(AssertUnwindSafe(&mut next.job)) {
                Ok(true) => {}
                Ok(false) => unfinished = Some(next),
                Err(_) => tracing::error!("a worker's job panicked"),
            }
        }
    }

    /// The next job to take a step of, which is the unfinished one when no other waits.
    fn next(&self, takes: Takes, unfinished: Option<Next<Job>>, idle: fn()) -> Option<Next<Job>> {
        let mut state = self.lock();
        if let Some(unfinished) = unfinished {
            state.jobs.push_again(unfinished);
        }
        let mut rested = false;
        loop {
            let (next, arrived) = match takes {
                Takes::All => (state.jobs.pop(), &self.arrived),
                Takes::Express => (state.jobs.pop_express(), &self.express_arrived),
            };
            if next.is_some() {
                return next;
            }
            if state.ended {
                return None;
            }
            state.express_waits |= takes == Takes::Express;
            if rested {
                let woken = arrived.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let woken = arrived.wait_timeout(state, IDLE_AFTER);
            let (woken, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() {
                rested = true;
                drop(state);
                idle();
                state = self.lock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.arrived.notify_all();
        self.queue.express_arrived.notify_all();
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Desk");
        shown.field("number", &self.number).finish_non_exhaustive()
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
    async fn express_work_does_not_wait_for_bulk_work_that_is_under_way() {
        let workers = Workers::start(1, || {}).expect("a thread");
        let (go, gate) = mpsc::channel::<()>();
        let (busy, started) = oneshot::channel();
        let bulk = workers.run(Urgency::Bulk, move || {
            let _ = busy.send(());
            gate.recv().is_ok()
        });
        let express = async {
            started.await.expect("the bulk job runs");
            let done = workers.run(Urgency::Express, || 7).await;
            go.send(()).expect("the bulk job waits");
            done
        };
        assert_eq!(tokio::join!(bulk, express), (Ok(true), Ok(7)));
    }

    #[tokio::test]
    async fn between_two_steps_others_get_their_turn() {
        let workers = Workers::start(1, || {}).expect("a thread");
        let order = Arc::new(Mutex::new(String::new()));
        let note = |name: char| {
            let order = order.clone();
            move || order.lock().expect("not poisoned").push(name)
        };
        let (go, gate) = mpsc::channel::<()>();
        let (long, mut left) = (note('a'), 3);
        let long = workers.0.run_in_steps(Urgency::Bulk, move || {
            // The first step takes until the other job waits.
            if left == 3 {
                gate.recv().expect("it opens");
            }
            long();
            left -= 1;
            match left {
                0 => ControlFlow::Break("done"),
                _ => ControlFlow::Continue(()),
            }
        });
        let desk = workers.desk();
        let other = desk.run(Urgency::Bulk, note('b'));
        // `join!` polls in order: both wait or are under way when the gate opens.
        let open = async { go.send(()).expect("the first step waits") };
        let (long, other, ()) = tokio::join!(long, other, open);
        assert_eq!((long, other), (Ok("done"), Ok(())));
        assert_eq!(*order.lock().expect("not poisoned"), "abaa");
    }
}
