//! What the session may do to a connection's window.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use quinn::congestion::{Controller, ControllerMetrics};
use quinn_proto::RttEstimator;

use super::{super::profile::ACK_DELAY, meter::Meter};

/// The window of a connection that is being closed, in bytes: more than was ever in flight, so that nothing is held back, and more
/// than the pacer paces.
const OPEN_WINDOW_BYTES: u64 = 1 << 40;

/// A handle on one connection's window, on every path of it.
#[derive(Clone, Debug)]
pub(in crate::link) struct Valve(Arc<State>);

#[derive(Debug)]
struct State {
    born: Instant,
    open: AtomicBool,
    /// Bytes that may go beyond what is in flight, whatever the window.
    lift_bytes: AtomicU64,
    /// Bytes in flight: exact after every ack, and too many rather than too few in between.
    in_flight_bytes: AtomicU64,
    /// When the peer had last acknowledged all that was in flight, milliseconds after `born`.
    settled_ms: AtomicU64,
    /// When it had last acknowledged anything, or when something was sent after a while in which nothing was in flight.
    answered_ms: AtomicU64,
    /// What the line carries, bytes a second; 0 before it is known.
    rate: AtomicU64,
    /// The shortest round trip of the last [`SHORTEST_OF`] acks, microseconds; 0 before there was any.
    trip_us: AtomicU64,
    /// How long an ack usually takes at most, microseconds; 0 before there was any.
    patience_us: AtomicU64,
    /// When anything was last sent, milliseconds after `born`.
    sent_ms: AtomicU64,
    /// When packets were last sent again, milliseconds after `born` and one more; 0 before.
    again_ms: AtomicU64,
}

/// The clock of quinn's runtime, which a test may have paused.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Acks that are remembered.
const TRIPS: usize = 8;
/// Acks of which the shortest round trip counts. QUIC's own mean remembers an outage or a queue for dozens of them, which on a link that is little
/// used are minutes.
const SHORTEST_OF: usize = 4;
/// An ack is overdue when it takes longer than each of those remembered, and than the peer may wait with it, by an eighth of a round trip, and by no
/// less than this: a timer and two schedulers.
const OVERDUE_MIN: Duration = Duration::from_millis(20);

impl Valve {
    pub(in crate::link) fn new() -> Self {
        Self(Arc::new(State {
            born: now(),
            open: AtomicBool::new(false),
            lift_bytes: AtomicU64::new(0),
            in_flight_bytes: AtomicU64::new(0),
            settled_ms: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            trip_us: AtomicU64::new(0),
            patience_us: AtomicU64::new(0),
            sent_ms: AtomicU64::new(0),
            again_ms: AtomicU64::new(0),
        }))
    }

    /// Milliseconds since the valve was made.
    pub(in crate::link) fn now_ms(&self) -> u64 {
        now().saturating_duration_since(self.0.born).as_millis() as u64
    }

    /// When the peer had last acknowledged all that was in flight, on the clock of [`Self::now_ms`].
    pub(in crate::link) fn settled_ms(&self) -> u64 {
        self.0.settled_ms.load(Relaxed)
    }

    /// For how long nothing has been sent.
    pub(in crate::link) fn quiet(&self) -> Duration {
        let since = self.0.sent_ms.load(Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(since))
    }

    /// Bytes that the peer has not acknowledged, or a few too many.
    pub(in crate::link) fn in_flight(&self) -> u64 {
        self.0.in_flight_bytes.load(Relaxed)
    }

    /// How long the peer takes at most to acknowledge what goes alone, by the last few acks: its own delay, what waits on the line and
    /// the radio's moods included.
    pub(in crate::link) fn patience(&self) -> Option<Duration> {
        let us = Some(self.0.patience_us.load(Relaxed)).filter(|us| *us > 0);
        us.map(Duration::from_micros)
    }

    /// What is in flight is sent again: an ack of it says nothing of how long the way is (Karn's algorithm, RFC 6298, section 3).
    pub(in crate::link) fn sent_again(&self) {
        self.0.again_ms.store(self.now_ms() + 1, Relaxed);
    }

    /// Since when the peer has not acknowledged anything although something is in flight, as far as is known: what the transport gave up
    /// or threw away without an acknowledgement is known only after the next one.
    pub(in crate::link) fn unanswered_since_ms(&self) -> Option<u64> {
        let in_flight = self.0.in_flight_bytes.load(Relaxed) > 0;
        in_flight.then(|| self.0.answered_ms.load(Relaxed))
    }

    /// What the line carries, bytes a second, once it was measured.
    pub(in crate::link) fn rate(&self) -> Option<u64> {
        Some(self.0.rate.load(Relaxed)).filter(|rate| *rate > 0)
    }

    /// The shortest round trip of the last few acks.
    pub(in crate::link) fn trip(&self) -> Option<Duration> {
        let trip = Some(self.0.trip_us.load(Relaxed)).filter(|us| *us > 0);
        trip.map(Duration::from_micros)
    }

    fn ms_of(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.0.born).as_millis() as u64
    }

    /// Puts `controller` behind the valve.
    pub(super) fn fit(&self, controller: Box<dyn Controller>, now: Instant) -> Box<dyn Controller> {
        Box::new(Valved {
            controller,
            valve: self.clone(),
            meter: Meter::new(now),
            round_trip: Duration::ZERO,
            of_ack: None,
            trips: [None; TRIPS],
            next_trip: 0,
        })
    }

    /// Lets one packet of at most `bytes` out, even if the window is full of packets that will never be acknowledged.
    ///
    /// QUIC's own probes (RFC 9002, section 6.2) ignore the window too, but the time between two of them doubles without bound.
    pub(in crate::link) fn lift(&self, bytes: u64) {
        self.0.lift_bytes.store(bytes, Relaxed);
    }

    /// Closes the connection, and sees that the peer is told.
    ///
    /// quinn-proto 0.11.19 asks the congestion window before it sends CONNECTION_CLOSE for as long as stream data is pending, and
    /// reads no acks after a close, so that a window that is full then stays full: the peer of a blocked connection never learns
    /// of its end. Nothing but the close can go out by an open window, because a closed connection sends nothing else.
    pub(in crate::link) fn close(
        &self,
        connection: &quinn::Connection,
        code: quinn::VarInt,
        reason: &[u8],
    ) {
        connection.close(code, reason);
        self.0.open.store(true, Relaxed);
        // Changes nothing and wakes quinn's driver, which may have found the window full since the first one.
        connection.close(code, reason);
    }
}

/// Another controller, behind a valve.
struct Valved {
    controller: Box<dyn Controller>,
    valve: Valve,
    meter: Meter,
    round_trip: Duration,
    /// The shortest round trip among the packets of the ack that is being read, and of the last acks.
    of_ack: Option<Duration>,
    trips: [Option<Duration>; TRIPS],
    next_trip: usize,
}

impl Valved {
    fn note_trip(&mut self) {
        let Some(trip) = self.of_ack.take() else {
            return;
        };
        if let Some(slot) = self.trips.get_mut(self.next_trip % TRIPS) {
            *slot = Some(trip);
        }
        self.next_trip += 1;
        let newest = (1..=SHORTEST_OF).filter_map(|back| self.next_trip.checked_sub(back));
        let newest = newest.filter_map(|n| *self.trips.get(n % TRIPS)?);
        let shortest = newest.min().unwrap_or(trip);
        let longest = self.trips.iter().flatten().max().copied().unwrap_or(trip);
        let longest = longest.max(shortest + ACK_DELAY);
        let patience = longest + (shortest / 8).max(OVERDUE_MIN);
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.valve.0.trip_us.store(us(shortest), Relaxed);
        self.valve.0.patience_us.store(us(patience), Relaxed);
    }
}

impl Controller for Valved {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        let state = &self.valve.0;
        if state.in_flight_bytes.fetch_add(bytes, Relaxed) == 0 {
            state.answered_ms.store(self.valve.ms_of(now), Relaxed);
            self.meter.begins(now);
        }
        state.sent_ms.store(self.valve.ms_of(now), Relaxed);
        state.lift_bytes.store(0, Relaxed);
        self.controller.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.meter.acked(bytes);
        if self.valve.ms_of(sent) >= self.valve.0.again_ms.load(Relaxed) {
            let trip = now.saturating_duration_since(sent);
            self.of_ack = Some(self.of_ack.map_or(trip, |shortest| shortest.min(trip)));
        }
        self.round_trip = rtt.get();
        self.controller.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        let state = &self.valve.0;
        state.in_flight_bytes.store(in_flight, Relaxed);
        state.answered_ms.store(self.valve.ms_of(now), Relaxed);
        self.note_trip();
        let state = &self.valve.0;
        if let Some(rate) = self.meter.ack_read(now, app_limited, self.round_trip) {
            state.rate.store(rate, Relaxed);
        }
        if in_flight == 0 {
            state.settled_ms.store(self.valve.now_ms(), Relaxed);
        }
        state.lift_bytes.store(0, Relaxed);
        self.controller
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.controller
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.controller.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        let state = &self.valve.0;
        if state.open.load(Relaxed) {
            return OPEN_WINDOW_BYTES;
        }
        let window = self.controller.window();
        match state.lift_bytes.load(Relaxed) {
            0 => window,
            lift => window.max(state.in_flight_bytes.load(Relaxed) + lift),
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.controller.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            controller: self.controller.clone_box(),
            valve: self.valve.clone(),
            meter: self.meter.clone(),
            round_trip: self.round_trip,
            of_ack: self.of_ack,
            trips: self.trips,
            next_trip: self.next_trip,
        })
    }

    fn initial_window(&self) -> u64 {
        self.controller.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
