//! Whether the peer is still there, and how soon it is noticed that it is there again.
//!
//! After an outage QUIC finds the path again by its probe timeout (RFC 9002, section 6.2), which doubles with every probe: a
//! minute of outage is followed by up to a minute more of silence, and a path on which everything that fits into the window was
//! lost sends nothing else meanwhile. So while something waits for an answer and nothing comes, a session probes by itself, with
//! an empty control message that gets past the window ([`super::congestion::Valve::lift`]): the first that is acknowledged
//! tells QUIC what was lost, and ends its backing off. A probe takes about 50 bytes, or up to a packet where bulk waits for its
//! turn. A session with nothing under way sends none.
//!
//! Before that, when a message that goes alone is not acknowledged in the usual time, its packets are sent once more ([`super::tail`]), and a few
//! times again at short intervals: that is how a lost packet costs a third of a round trip, and not one and a half.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{
        Notify,
        mpsc::{Sender, WeakSender},
    },
    time::{Instant, sleep_until, timeout},
};

use super::{
    Event, PathNews,
    congestion::Valve,
    flaw::{Flaw, planted},
    tail::{KEPT_MAX, Tails},
};

/// How often it is looked whether anything has come while nothing is awaited.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked while something is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// No more than this is in flight when its last packets are sent again: with more, acks say what is lost.
const TAIL_BYTES_MAX: u64 = KEPT_MAX as u64 * 1_300;
/// How often the last packets are sent again: a burst of loss that lasts longer is an outage, and left to probes.
const AGAIN_MAX: u32 = 10;
/// The time between the first two such tries is a third of a round trip, no less and no more; it doubles up to the same most, since it may
/// be the peer's processor that is late.
const AGAIN_LEAST: Duration = Duration::from_millis(40);
const AGAIN_MOST: Duration = Duration::from_millis(100);
/// A path is silent too long after two round trips, and no sooner than this.
const PATIENCE_MIN: Duration = Duration::from_millis(300);
/// The time between two probes; half of it is what a message waits on average once the path is back. A session without an answer ends after its
/// idle timeout, and its probes with it: of about 70 bytes each, no more than 65 KB in two minutes.
const PROBE_EVERY: Duration = Duration::from_millis(130);
/// Where more waits, which fills the first probes up to whole packets, it is a round trip, and no more than this.
const PROBE_BULK_MOST: Duration = Duration::from_millis(250);
/// What a probe may take on the wire, bytes: a packet of the least size that every path must carry (RFC 9000, section 14), and
/// what quinn counts beside it.
const PROBE_BYTES_MAX: u64 = 1_300;

/// When a session last heard from its peer, and since when it waits for it.
#[derive(Debug)]
pub(super) struct Pulse {
    valve: Valve,
    datagrams: AtomicU64,
    // Milliseconds on the valve's clock.
    heard_ms: AtomicU64,
    /// When something was first sent that the peer has not acknowledged.
    asked_ms: AtomicU64,
    batches: AtomicU32,
    waits: Notify,
    tails: Arc<Tails>,
    /// The address whose last packets are kept.
    kept_for: Mutex<Option<SocketAddr>>,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Expected<'a>(&'a Pulse);

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.0.batches.fetch_sub(1, Relaxed);
    }
}

impl Pulse {
    pub(super) fn new(valve: Valve, tails: Arc<Tails>) -> Self {
        Self {
            valve,
            datagrams: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            asked_ms: AtomicU64::new(0),
            batches: AtomicU32::new(0),
            waits: Notify::new(),
            tails,
            kept_for: Mutex::new(None),
        }
    }

    /// For how long nothing has come, as far as was noticed.
    pub(super) fn silent(&self, connection: &quinn::Connection) -> Duration {
        let now = self.valve.now_ms();
        let datagrams = connection.stats().udp_rx.datagrams;
        if self.datagrams.swap(datagrams, Relaxed) != datagrams {
            self.heard_ms.store(now, Relaxed);
        }
        Duration::from_millis(now.saturating_sub(self.heard_ms.load(Relaxed)))
    }

    /// Something is sent to which the peer's transport answers.
    pub(super) fn asks(&self, connection: &quinn::Connection) {
        if !self.owes_answer() {
            self.lets_go();
            let peer = connection.remote_address();
            self.tails.begin(peer);
            *self.kept_for() = Some(peer);
            // Not before the last answer, even in the same millisecond.
            let now = self.valve.now_ms().max(self.valve.settled_ms() + 1);
            self.asked_ms.store(now, Relaxed);
            self.waits.notify_one();
        }
    }

    /// A batch is sent, and the peer's transport will have all of it when the guard is dropped.
    pub(super) fn expects(&self, connection: &quinn::Connection) -> Expected<'_> {
        self.batches.fetch_add(1, Relaxed);
        self.asks(connection);
        Expected(self)
    }

    /// Notices what comes, repeats what is overdue, probes when nothing comes that should, and tells what has become of the path, for as long as
    /// it is polled.
    pub(super) async fn watch(
        &self,
        connection: &quinn::Connection,
        control: &WeakSender<Box<Bytes>>,
        events: &Sender<Event>,
    ) {
        let mut due = Instant::now();
        let mut tries = 0;
        let mut told = None;
        let mut address = connection.remote_address();
        loop {
            self.silent(connection);
            self.tell(connection, &mut told, events);
            if connection.remote_address() != address && events.try_send(Event::Moved).is_ok() {
                address = connection.remote_address();
            }
            let Some(waited) = self.waited().max(self.unanswered()) else {
                self.lets_go();
                tries = 0;
                let _ = timeout(LISTEN_EVERY, self.waits.notified()).await;
                continue;
            };
            let overdue = self.valve.patience().unwrap_or(Duration::MAX);
            let silent = PATIENCE_MIN.max(2 * self.trip(connection));
            if waited < overdue.min(silent) {
                tries = 0;
                due = Instant::now() + (overdue.min(silent) - waited);
            } else if Instant::now() >= due {
                let is_tail = self.valve.in_flight() <= TAIL_BYTES_MAX;
                if waited >= overdue && tries < AGAIN_MAX && is_tail && self.again() {
                    tries += 1;
                    if waited >= silent {
                        // It may be the ack that was lost, and a packet that comes twice is not acknowledged twice.
                        self.probe(control);
                    }
                    due = Instant::now() + again_gap(self.trip(connection), tries);
                } else if waited >= silent {
                    self.probe(control);
                    due = Instant::now() + probe_gap(is_tail, self.trip(connection));
                } else {
                    due = Instant::now() + (silent - waited);
                }
            }
            sleep_until(due.min(Instant::now() + LOOK_EVERY)).await;
        }
    }

    fn trip(&self, connection: &quinn::Connection) -> Duration {
        let rtt = connection.rtt();
        self.valve.trip().map_or(rtt, |trip| trip.min(rtt))
    }

    /// Sends the last packets once more.
    fn again(&self) -> bool {
        let Some(peer) = *self.kept_for() else {
            return false;
        };
        self.valve.sent_again();
        self.tails.again(peer)
    }

    /// Sends something that the peer's transport answers at once.
    fn probe(&self, control: &WeakSender<Box<Bytes>>) {
        if planted(Flaw::NeverProbes) {
            return;
        }
        self.valve.lift(PROBE_BYTES_MAX);
        // No room means that control messages wait, and they do as well.
        if let Some(control) = control.upgrade() {
            let _ = control.try_send(Box::default());
        }
    }

    /// Nothing is in flight: nothing need be sent again.
    pub(super) fn lets_go(&self) {
        if let Some(peer) = self.kept_for().take() {
            self.tails.end(peer);
        }
    }

    fn kept_for(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.kept_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells news of the path. Where there is no room for them, the next look tells what is true then.
    fn tell(
        &self,
        connection: &quinn::Connection,
        told: &mut Option<(PathNews, Instant)>,
        events: &Sender<Event>,
    ) {
        let now = Instant::now();
        let news = PathNews::of(connection, &self.valve, self.unanswered());
        let is_news = told.is_none_or(|(told, at)| news.differs(&told, now - at));
        if is_news && events.try_send(Event::Path(Box::new(news))).is_ok() {
            *told = Some((news, now));
        }
    }

    /// How long the peer has owed an answer.
    fn waited(&self) -> Option<Duration> {
        let waits = self.owes_answer() || self.batches.load(Relaxed) > 0;
        let since = self.asked_ms.load(Relaxed).max(self.heard_ms.load(Relaxed));
        waits.then(|| Duration::from_millis(self.valve.now_ms().saturating_sub(since)))
    }

    /// How long the peer's transport has acknowledged nothing of what it should. What may be an error of counting is settled by a probe
    /// before anybody calls the path silent.
    pub(super) fn unanswered(&self) -> Option<Duration> {
        let waits = self.owes_answer() || self.batches.load(Relaxed) > 0;
        let since = self.valve.unanswered_since_ms().filter(|_| waits)?;
        let since = since.max(self.asked_ms.load(Relaxed));
        Some(Duration::from_millis(
            self.valve.now_ms().saturating_sub(since),
        ))
    }

    fn owes_answer(&self) -> bool {
        self.asked_ms.load(Relaxed) > self.valve.settled_ms()
    }
}

/// How long after the last packets were sent again for the `tries`th time they are sent once more.
fn again_gap(trip: Duration, tries: u32) -> Duration {
    let first = (trip / 3).clamp(AGAIN_LEAST, AGAIN_MOST);
    (first * 2_u32.pow(tries - 1)).min(AGAIN_MOST)
}

/// How long after a probe the next one follows.
fn probe_gap(is_small: bool, trip: Duration) -> Duration {
    if is_small {
        PROBE_EVERY
    } else {
        trip.clamp(PROBE_EVERY, PROBE_BULK_MOST)
    }
}
