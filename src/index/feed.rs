//! The way of events from the owner to the index's thread: bounded, and the owner never waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bincode::{Decode, Encode};
use tokio::sync::watch;

use super::{Unavailable, base::Base, lost::Lost, news::News};
use crate::{
    codec,
    delivery::{Event, Step},
    model::{Digest, Location, Lsn, MessageId, Millis, ReceiptItem, UnitId},
};

/// Events that may wait for the index; each takes about 80 bytes.
pub(super) const EVENTS_MAX: usize = 300_000;
/// From here on only what changes a message's state is taken in; attempts are left out of the timelines.
const EVENTS_THIN: usize = EVENTS_MAX / 2;
/// Events that are worth waking the thread for, unless somebody waits for it.
const EVENTS_MANY: usize = 1024;
/// How long fewer events wait for more.
const EVENTS_GATHER: Duration = Duration::from_millis(200);
/// Room for events that an index which has caught up keeps.
const EVENTS_KEPT_ROOM: usize = 1024;

/// How the index is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it does not follow any more.
    pub failed: Option<String>,
    /// Whether it answers.
    pub open: bool,
    /// It knows everything up to this record.
    pub position: Lsn,
    /// Events that it has not taken yet.
    pub waiting: u64,
    /// Messages that it knows.
    pub messages: u64,
    /// How many times it was set aside and begun anew since the start.
    pub rebuilt: u64,
    /// Whether it may lack something, as its answers tell.
    pub incomplete: bool,
    /// What was lost with records of the journal that the start did not find, as far as it knew of it.
    pub lost: Arc<Lost>,
}

/// The owner's end.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    /// Events whose records are not durable yet.
    held: VecDeque<(Lsn, Packed)>,
    /// What was released last.
    released: Lsn,
    /// Events in the queue when it was looked at last.
    waiting: usize,
    /// Whether an event found no room.
    lost: bool,
    /// Where events are packed.
    space: Vec<u8>,
}

/// An event that the index wants, as it waits: many may.
#[derive(Debug)]
struct Packed(Box<[u8]>);

/// Most that the decoder may claim for an event, bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

impl Packed {
    /// The event; there is always one.
    fn unpack(&self) -> Option<Event> {
        let told = codec::decode::<Told, EVENT_BYTES_MAX>(&self.0);
        debug_assert!(told.is_ok(), "{told:?}");
        told.ok().map(Event::from)
    }
}

/// The events that the index wants.
#[derive(Debug, Encode, Decode)]
enum Told {
    Message(MessageId, Millis, Step),
    Receipt(Digest, ReceiptItem, UnitId),
    ReceiptPasses(Location),
    Epoch(u64),
    Reset(UnitId, u64),
}

impl Told {
    fn of(event: &Event) -> Option<Self> {
        Some(match event.clone() {
            Event::Message { message, at, what } => Self::Message(message, at, what),
            Event::Receipt {
                parcel,
                item,
                issuer,
            } => Self::Receipt(parcel, item, issuer),
            Event::ReceiptPasses { location } => Self::ReceiptPasses(location),
            Event::Epoch(epoch) => Self::Epoch(epoch),
            Event::Reset { neighbour, offered } => Self::Reset(neighbour, offered),
            _ => return None,
        })
    }

    /// `space` is written over.
    fn pack(&self, space: &mut Vec<u8>) -> Packed {
        space.clear();
        codec::encode_into(self, space);
        Packed(Box::from(&space[..]))
    }
}

impl From<Told> for Event {
    fn from(told: Told) -> Self {
        match told {
            Told::Message(message, at, what) => Self::Message { message, at, what },
            Told::Receipt(parcel, item, issuer) => Self::Receipt {
                parcel,
                item,
                issuer,
            },
            Told::ReceiptPasses(location) => Self::ReceiptPasses { location },
            Told::Epoch(epoch) => Self::Epoch(epoch),
            Told::Reset(neighbour, offered) => Self::Reset { neighbour, offered },
        }
    }
}

/// What the index's ends share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For those who wait for the thread: it has come further.
    done: Condvar,
    progress: watch::Sender<Progress>,
    /// For those who listen.
    pub(super) news: News,
}

#[derive(Clone, Default)]
struct Progress {
    applied: Lsn,
    flushed: Lsn,
    base: Option<Base>,
    health: Health,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<(Lsn, Packed)>,
    /// All events of the records up to this one were in the queue.
    through: Lsn,
    /// Some found no room.
    lost: bool,
    /// Somebody wants to know of everything up to this record.
    asked: Lsn,
    flush_wanted: Lsn,
    suspect: Option<String>,
    stop: bool,
    /// Nobody takes anything any more.
    closed: bool,
}

/// Something for the thread to do.
pub(super) struct Work {
    /// Events, in order, at most as many as were asked for.
    pub(super) events: Vec<(Lsn, Event)>,
    /// With these events the index knows everything up to this record.
    pub(super) through: Lsn,
    /// Somebody waits until everything up to this record can be read.
    pub(super) asked: Lsn,
    /// Before these events some were lost.
    pub(super) lost: bool,
    /// Everything up to this record is to be on disk.
    pub(super) flush: Lsn,
    /// Somebody who read it found it damaged.
    pub(super) suspect: Option<String>,
    /// There is nothing left, and the thread is to end.
    pub(super) stop: bool,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            held: VecDeque::new(),
            released: 0,
            waiting: 0,
            lost: false,
            space: Vec::new(),
        }
    }

    /// Takes an event; `lsn` is the last record that the machine had appended when it told it.
    pub fn take(&mut self, lsn: Lsn, event: &Event) {
        let Some(told) = Told::of(event) else {
            return;
        };
        let is_attempt = match &told {
            Told::Message(_, _, what) => matches!(
                what,
                Step::Queued { .. }
                    | Step::Sent { .. }
                    | Step::Returned { .. }
                    | Step::Handed
                    | Step::Parked { .. }
            ),
            Told::Receipt(..) | Told::ReceiptPasses(_) | Told::Epoch(_) | Told::Reset(..) => false,
        };
        let waiting = self.waiting + self.held.len();
        if waiting >= EVENTS_MAX {
            self.lost = true;
        } else if waiting < EVENTS_THIN || !is_attempt {
            self.held.push_back((lsn, told.pack(&mut self.space)));
        }
    }

    /// Everything up to this record is durable: lets the events go that it was told of by then. Call it after whatever may have
    /// told events; it is cheap when there are none.
    pub fn release(&mut self, synced: Lsn) {
        let ready = self.held.partition_point(|(lsn, _)| *lsn <= synced);
        if ready == 0 && synced == self.released && !self.lost {
            return;
        }
        self.released = synced;
        let mut queue = self.shared.lock();
        let before = queue.events.len();
        if queue.closed {
            self.held.drain(..ready);
        } else {
            queue.events.extend(self.held.drain(..ready));
        }
        // Waking the thread for every few events would cost more than they do.
        self.waiting = queue.events.len();
        let has_begun = before == 0 && self.waiting > 0;
        let are_many = before < EVENTS_MANY && self.waiting >= EVENTS_MANY;
        let is_wanted = queue.flush_wanted > queue.through;
        queue.through = queue.through.max(synced);
        queue.lost |= std::mem::take(&mut self.lost);
        let is_lost = queue.lost;
        drop(queue);
        if has_begun || are_many || is_wanted || is_lost {
            self.shared.work.notify_one();
        }
        if self.held.is_empty() {
            self.held.shrink_to(EVENTS_KEPT_ROOM);
        }
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            progress: watch::Sender::default(),
            news: News::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that are in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.lock().events.len()
    }

    /// Waits, at most so long, for something to do; takes at most `max` events. A few events wait a little for others, unless somebody
    /// waits for the thread.
    pub(super) fn work(&self, max: usize, within: Duration) -> Work {
        let flushed = self.progress.borrow().flushed;
        let applied = self.progress.borrow().applied;
        let nobody_waits = |queue: &Queue| {
            queue.asked <= applied
                && queue.flush_wanted <= flushed
                && queue.suspect.is_none()
                && !queue.lost
                && !queue.stop
        };
        let idle = |queue: &mut Queue| queue.events.is_empty() && nobody_waits(queue);
        let waited = self.work.wait_timeout_while(self.lock(), within, idle);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let few = |queue: &mut Queue| {
            (1..EVENTS_MANY).contains(&queue.events.len()) && nobody_waits(queue)
        };
        let gather = within.min(EVENTS_GATHER);
        let waited = self.work.wait_timeout_while(queue, gather, few);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = queue.events.len().min(max);
        let events: Vec<(Lsn, Packed)> = queue.events.drain(..count).collect();
        let through = match (events.last(), queue.events.front()) {
            (_, None) => queue.through,
            (Some((last, _)), Some((next, _))) if next > last => *last,
            (Some((last, _)), _) => last.saturating_sub(1),
            (None, Some((next, _))) => next.saturating_sub(1),
        };
        if queue.events.is_empty() {
            queue.events.shrink_to(EVENTS_KEPT_ROOM);
        }
        let events = events.into_iter();
        Work {
            events: events
                .filter_map(|(lsn, packed)| Some((lsn, packed.unpack()?)))
                .collect(),
            through,
            asked: queue.asked,
            lost: std::mem::take(&mut queue.lost),
            flush: queue.flush_wanted,
            suspect: queue.suspect.take(),
            stop: queue.stop && queue.events.is_empty(),
        }
    }

    /// The thread has come further.
    pub(super) fn tell(&self, applied: Lsn, flushed: Lsn, messages: u64) {
        self.progress.send_modify(|progress| {
            progress.applied = applied;
            progress.flushed = flushed;
            progress.health.position = applied;
            progress.health.messages = messages;
        });
        self.wake_waiters();
    }

    /// The base can be asked.
    pub(super) fn open(&self, base: Base, rebuilt: u64, incomplete: bool) {
        self.progress.send_modify(|progress| {
            progress.health.open = true;
            progress.health.failed = None;
            progress.health.rebuilt = rebuilt;
            progress.health.incomplete = incomplete;
            progress.base = Some(base);
        });
        self.wake_waiters();
    }

    /// It was found out what was lost with the journal.
    pub(super) fn tell_lost(&self, lost: Lost) {
        self.progress
            .send_modify(|progress| progress.health.lost = Arc::new(lost));
    }

    /// Nobody can ask the base any more.
    pub(super) fn take_base(&self) -> Option<Base> {
        let mut base = None;
        self.progress.send_modify(|progress| {
            progress.health.open = false;
            base = progress.base.take();
        });
        base
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stop
    }

    /// The index does not follow for now.
    pub(super) fn fail(&self, why: &str) {
        self.progress
            .send_modify(|progress| progress.health.failed = Some(why.to_owned()));
        self.wake_waiters();
    }

    /// Lets some time pass, unless the thread is to end.
    pub(super) fn pause(&self, pause: Duration) {
        let waited = self
            .work
            .wait_timeout_while(self.lock(), pause, |queue| !queue.stop);
        drop(waited);
    }

    /// Nothing is followed any more. `why` is none when the node stops.
    pub(super) fn close(&self, why: Option<String>) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.events = VecDeque::new();
        drop(queue);
        self.progress.send_modify(|progress| {
            progress.base = None;
            progress.health.open = false;
            progress.health.failed = why;
        });
        self.wake_waiters();
    }

    /// Whoever waits for the thread looks again. The lock is taken so that none looked before and waits after.
    fn wake_waiters(&self) {
        drop(self.lock());
        self.done.notify_all();
    }

    fn is_following(&self) -> bool {
        self.progress.borrow().health.failed.is_none()
    }

    pub(super) fn flush_through(&self, lsn: Lsn, within: Duration) {
        let deadline = Instant::now() + within;
        let mut queue = self.lock();
        queue.flush_wanted = queue.flush_wanted.max(lsn);
        self.work.notify_one();
        while !queue.closed && self.is_following() && self.progress.borrow().flushed < lsn {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(lsn, "the index is too far behind to wait for it");
                return;
            }
            let waited = self.done.wait_timeout(queue, left);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits, no longer than `within`, until the index knows everything that is durable now.
    pub(super) async fn caught_up(&self, within: Duration) {
        let through = {
            let mut queue = self.lock();
            queue.asked = queue.through;
            queue.through
        };
        if self.progress.borrow().applied < through {
            self.work.notify_one();
        }
        let mut progress = self.progress.subscribe();
        let caught_up = progress
            .wait_for(|p| p.health.failed.is_some() || (p.base.is_some() && p.applied >= through));
        // What it knows by then is told.
        let _ = tokio::time::timeout(within, caught_up).await;
    }

    pub(super) fn base(&self) -> Result<Base, Unavailable> {
        let progress = self.progress.borrow();
        match (&progress.base, &progress.health.failed) {
            (Some(base), _) => Ok(base.clone()),
            (None, Some(why)) => Err(Unavailable::Failed(why.clone())),
            (None, None) => Err(Unavailable::Opening),
        }
    }

    pub(super) fn health(&self) -> Health {
        Health {
            waiting: self.waiting() as u64,
            ..self.progress.borrow().health.clone()
        }
    }

    pub(super) fn suspect(&self, why: &str) {
        self.lock().suspect = Some(why.to_owned());
        self.work.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }
}

/// The index follows no node that is gone.
impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}
