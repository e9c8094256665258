//! What a line carries, measured by what is acknowledged while there is enough to send.

use std::time::{Duration, Instant};

/// A rate counts for so many spans of measuring.
const SPANS: usize = 8;
/// The shortest span over which a rate is measured; otherwise it is a round trip.
const SPAN_MIN: Duration = Duration::from_millis(20);

/// The best rate of the last [`SPANS`] spans that say something of the line: those in which the window was used, and those of an application
/// with little to send only when they show that the line carries more than is known.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    began: Instant,
    bytes: u64,
    /// Whether the window, and not the application, was the limit at any time in this span.
    used: bool,
    last: [f64; SPANS],
    next: usize,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            bytes: 0,
            used: false,
            last: [0.0; SPANS],
            next: 0,
        }
    }

    /// Something is sent after a while in which nothing was in flight.
    pub(super) fn begins(&mut self, now: Instant) {
        self.began = now;
        self.bytes = 0;
        self.used = false;
    }

    pub(super) fn acked(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// An ack was read. Gives the rate, bytes a second, when a span has ended and it is known.
    pub(super) fn ack_read(
        &mut self,
        now: Instant,
        app_limited: bool,
        round_trip: Duration,
    ) -> Option<u64> {
        self.used |= !app_limited;
        let span = now.saturating_duration_since(self.began);
        if span < round_trip.max(SPAN_MIN) {
            return None;
        }
        let rate = self.bytes as f64 / span.as_secs_f64();
        let best = self.best();
        let says_something = self.used || (best > 0.0 && rate > best);
        if says_something && let Some(slot) = self.last.get_mut(self.next % SPANS) {
            *slot = rate;
            self.next += 1;
        }
        self.begins(now);
        Some(self.best() as u64).filter(|rate| *rate > 0)
    }

    fn best(&self) -> f64 {
        self.last.iter().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    #[test]
    fn a_line_that_got_slower_is_believed_after_some_round_trips() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut at = |span: u32, bytes| {
            meter.acked(bytes);
            meter.ack_read(start + TRIP * span, false, TRIP)
        };
        assert_eq!(at(1, 1_000), Some(10_000));
        for span in 2..=SPANS as u32 {
            assert_eq!(at(span, 100), Some(10_000));
        }
        assert_eq!(at(SPANS as u32 + 1, 100), Some(1_000));
    }

    #[test]
    fn an_application_with_little_to_send_says_nothing_of_the_line() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.acked(10);
        assert_eq!(meter.ack_read(start + TRIP, true, TRIP), None);
        let start = start + TRIP;
        meter.acked(1_000);
        assert_eq!(meter.ack_read(start + TRIP / 2, false, TRIP), None);
        assert_eq!(meter.ack_read(start + TRIP, false, TRIP), Some(10_000));
        for span in 2..40 {
            meter.acked(10);
            assert_eq!(
                meter.ack_read(start + TRIP * span, true, TRIP),
                Some(10_000)
            );
        }
        // Unless it shows that the line carries more.
        meter.acked(2_000);
        assert_eq!(meter.ack_read(start + TRIP * 40, true, TRIP), Some(20_000));
    }
}
