//! Cubic that does not fill a deep buffer.
//!
//! Cubic (RFC 9438) grows until something is lost. On an exclusive channel with a second of buffer that is a second of delay for
//! every urgent message. Four times what the line holds (its rate times its shortest round trip) leaves cubic the room that it
//! needs for its own shape, and bounds the queue at three round trips.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use quinn::congestion::{Controller, ControllerMetrics};
use quinn_proto::RttEstimator;

/// The cap, in times what the line holds.
const LINES: f64 = 4.0;
/// No cap below this, bytes: a line is not measured by a handful of packets.
const CAP_BYTES_MIN: u64 = 64 * 1024;
/// A rate counts for so many spans of measuring.
const SPANS: usize = 8;
/// The shortest span over which a rate is measured.
const SPAN_MIN: Duration = Duration::from_millis(20);

pub(super) struct Capped {
    cubic: Box<dyn Controller>,
    rates: Rates,
    cap: Option<u64>,
}

impl Capped {
    pub(super) fn new(cubic: Box<dyn Controller>, now: Instant) -> Self {
        Self {
            cubic,
            rates: Rates::new(now),
            cap: None,
        }
    }
}

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        let shortest = now.saturating_duration_since(sent).min(rtt.min());
        if let Some(rate) = self.rates.acked(now, bytes, rtt.get()) {
            let holds = rate * shortest.as_secs_f64();
            self.cap = Some(((holds * LINES) as u64).max(CAP_BYTES_MIN));
        }
        // At the cap there is no use in growing: cubic would be far beyond it when the line gets slower.
        let capped = self.cap.is_some_and(|cap| self.cubic.window() >= cap);
        self.cubic
            .on_ack(now, sent, bytes, app_limited || capped, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.cubic
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.cubic
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().min(self.cap.unwrap_or(u64::MAX))
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            cubic: self.cubic.clone_box(),
            rates: self.rates.clone(),
            cap: self.cap,
        })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The rate at which bytes are acknowledged, bytes a second: the best of the last [`SPANS`] spans of a round trip each.
#[derive(Clone)]
struct Rates {
    began: Instant,
    bytes: u64,
    last: [f64; SPANS],
    next: usize,
}

impl Rates {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            bytes: 0,
            last: [0.0; SPANS],
            next: 0,
        }
    }

    /// The best rate, each time that a span has ended.
    fn acked(&mut self, now: Instant, bytes: u64, round_trip: Duration) -> Option<f64> {
        self.bytes += bytes;
        let span = now.saturating_duration_since(self.began);
        if span < round_trip.max(SPAN_MIN) {
            return None;
        }
        if let Some(slot) = self.last.get_mut(self.next % SPANS) {
            *slot = self.bytes as f64 / span.as_secs_f64();
        }
        self.next += 1;
        self.began = now;
        self.bytes = 0;
        Some(self.last.iter().copied().fold(0.0, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_of_the_last_spans_counts_and_an_older_one_is_forgotten() {
        let start = Instant::now();
        let mut rates = Rates::new(start);
        let trip = Duration::from_millis(100);
        let at = |spans: u32| start + trip * spans;
        assert_eq!(rates.acked(start + trip / 2, 500, trip), None);
        assert_eq!(rates.acked(at(1), 500, trip), Some(10_000.0));
        for span in 2..=SPANS as u32 {
            assert_eq!(rates.acked(at(span), 100, trip), Some(10_000.0));
        }
        assert_eq!(rates.acked(at(SPANS as u32 + 1), 100, trip), Some(1_000.0));
    }
}
