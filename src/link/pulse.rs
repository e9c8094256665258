//! Whether the peer is still there, and how soon it is noticed that it is there again.
//!
//! After an outage QUIC finds the path again by its probe timeout (RFC 9002, section 6.2), which doubles with every probe: a
//! minute of outage is followed by up to a minute more of silence, and a path on which everything that fits into the window was
//! lost sends nothing else meanwhile. So while something waits for an answer and nothing comes, a session probes by itself, with
//! an empty control message that gets past the window ([`super::congestion::Valve::lift`]): the first that is acknowledged
//! tells QUIC what was lost, and ends its backing off. A probe takes about 50 bytes, or up to a packet where bulk waits for its
//! turn. A session with nothing under way sends none.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{
        Notify,
        mpsc::{Sender, WeakSender},
    },
    time::{Instant, sleep, timeout},
};

use super::{Event, PathNews, congestion::Valve};

/// How often it is looked whether anything has come while nothing is awaited.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked while something is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A path is silent too long after two round trips, and no sooner than this.
const PATIENCE_MIN: Duration = Duration::from_millis(300);
/// The time between two probes at first.
const PROBE_FIRST: Duration = Duration::from_millis(200);
/// The longest time between two probes.
const PROBE_LONGEST: Duration = Duration::from_millis(500);
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
    pub(super) fn new(valve: Valve) -> Self {
        Self {
            valve,
            datagrams: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            asked_ms: AtomicU64::new(0),
            batches: AtomicU32::new(0),
            waits: Notify::new(),
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
    pub(super) fn asks(&self) {
        if !self.owes_answer() {
            // Not before the last answer, even in the same millisecond.
            let now = self.valve.now_ms().max(self.valve.settled_ms() + 1);
            self.asked_ms.store(now, Relaxed);
            self.waits.notify_one();
        }
    }

    /// A batch is sent, and the peer's transport will have all of it when the guard is dropped.
    pub(super) fn expects(&self) -> Expected<'_> {
        self.batches.fetch_add(1, Relaxed);
        self.asks();
        Expected(self)
    }

    /// Notices what comes, probes when nothing does that should, and tells what has become of the path, for as long as it is polled.
    pub(super) async fn watch(
        &self,
        connection: &quinn::Connection,
        control: &WeakSender<Bytes>,
        events: &Sender<Event>,
    ) {
        let mut gap = PROBE_FIRST;
        let mut due = Instant::now();
        let mut told = None;
        loop {
            self.silent(connection);
            self.tell(connection, &mut told, events);
            let waited = self.waited().max(self.unanswered());
            let Some(waited) = waited else {
                let _ = timeout(LISTEN_EVERY, self.waits.notified()).await;
                continue;
            };
            if waited < PATIENCE_MIN.max(2 * connection.rtt()) {
                gap = PROBE_FIRST;
                due = Instant::now();
            } else if Instant::now() >= due {
                self.valve.lift(PROBE_BYTES_MAX);
                // No room means that control messages wait, and they do as well.
                if let Some(control) = control.upgrade() {
                    let _ = control.try_send(Bytes::new());
                }
                due = Instant::now() + gap;
                gap = (gap + gap / 4).min(PROBE_LONGEST);
            }
            sleep(LOOK_EVERY).await;
        }
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
        if is_news && events.try_send(Event::Path(news)).is_ok() {
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
