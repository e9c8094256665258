//! One direction of a link as a queue model without a clock.

use std::collections::VecDeque;

use super::{Direction, Outages, SplitMix64, trace::Reader};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives.
    Deliver {
        /// When its last bit leaves the sender's side, microseconds after the start.
        departs_us: u64,
        /// When it arrives, microseconds after the start.
        at_us: u64,
    },
    /// It does not.
    Dropped(Loss),
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The buffer was full.
    Buffer,
    /// It was lost on the way, at random or in a burst.
    Line,
    /// The link was out.
    Outage,
}

/// One direction of a link: serialisation at a rate, a droptail buffer counted in bytes, loss, delay and jitter.
///
/// Offer packets in order of time. A packet takes its share of the line even when it is then lost; one that finds the buffer
/// full takes nothing. Memory is bounded by the buffer: it holds two numbers for every packet that waits.
#[derive(Debug)]
pub struct Pipe {
    direction: Direction,
    outages: Outages,
    /// When the line is free again, nanoseconds: whole microseconds would round a fast link's rate.
    free_ns: u64,
    /// How far its trace has come, if it has one.
    reader: Reader,
    /// What waits or is being serialised: when it has left, and its bytes.
    waiting: VecDeque<(u64, u64)>,
    waiting_bytes: u64,
    bad: bool,
    last_arrival_us: u64,
}

impl Pipe {
    /// An empty pipe whose time starts at 0.
    pub fn new(direction: Direction, outages: Outages) -> Self {
        Self {
            direction,
            outages,
            free_ns: 0,
            reader: Reader::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            bad: false,
            last_arrival_us: 0,
        }
    }

    /// Bytes that wait or are being serialised at `now_us`.
    pub fn waiting_bytes(&mut self, now_us: u64) -> u64 {
        let now_ns = now_us.saturating_mul(1000);
        while let Some((left_ns, bytes)) = self.waiting.front().copied() {
            if left_ns > now_ns {
                break;
            }
            self.waiting.pop_front();
            self.waiting_bytes -= bytes;
        }
        self.waiting_bytes
    }

    /// Whether every packet arrives twice.
    pub fn carries_twice(&self) -> bool {
        self.direction.twice
    }

    /// Decides about a packet of `bytes` (headers included) that is handed over at `now_us` microseconds after the start.
    pub fn offer(&mut self, now_us: u64, bytes: u64, random: &mut SplitMix64) -> Verdict {
        if self.waiting_bytes(now_us) + bytes > self.direction.buffer_bytes {
            return Verdict::Dropped(Loss::Buffer);
        }
        let departs_us = self.serialise(now_us, bytes);
        // The same draws for every packet, so that one packet's fate does not shift another's random numbers.
        let lost = self.is_lost(random);
        let spread = random.unit() * 2.0 - 1.0;
        if self.outages.covers(departs_us) {
            return Verdict::Dropped(Loss::Outage);
        }
        if lost {
            return Verdict::Dropped(Loss::Line);
        }
        let jitter_us = self.direction.jitter.as_micros() as f64 * spread;
        let delay_us = (self.direction.delay.as_micros() as f64 + jitter_us).max(0.0) as u64;
        let mut at_us = departs_us + delay_us;
        if let Some(span) = self.direction.backwards {
            let span_us = (span.as_micros() as u64).max(1);
            at_us += 2 * (span_us - departs_us % span_us);
        } else if !self.direction.reorder {
            at_us = at_us.max(self.last_arrival_us);
            self.last_arrival_us = at_us;
        }
        Verdict::Deliver { departs_us, at_us }
    }

    fn serialise(&mut self, now_us: u64, bytes: u64) -> u64 {
        let now_ns = now_us.saturating_mul(1000);
        if let Some(trace) = &self.direction.trace {
            let left_us = self.reader.leave(trace, now_us, bytes);
            self.waiting.push_back((left_us * 1000, bytes));
            self.waiting_bytes += bytes;
            return left_us;
        }
        let Some(rate_bps) = self.direction.rate_bps else {
            return now_us;
        };
        let takes_ns = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(rate_bps.max(1));
        self.free_ns = self.free_ns.max(now_ns).saturating_add(takes_ns as u64);
        self.waiting.push_back((self.free_ns, bytes));
        self.waiting_bytes += bytes;
        self.free_ns / 1000
    }

    fn is_lost(&mut self, random: &mut SplitMix64) -> bool {
        let alone = random.unit() < self.direction.loss;
        let (turn, fate) = (random.unit(), random.unit());
        let Some(burst) = self.direction.burst else {
            return alone;
        };
        self.bad = if self.bad {
            turn >= burst.leave
        } else {
            turn < burst.enter
        };
        alone || (self.bad && fate < burst.loss)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::emulator::{Burst, Profile};

    fn at(verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Deliver { at_us, .. } => at_us,
            Verdict::Dropped(why) => panic!("dropped: {why:?}"),
        }
    }

    #[test]
    fn packets_leave_one_after_another_at_the_rate() {
        let direction = Direction {
            rate_bps: Some(1_000_000),
            delay: Duration::from_millis(50),
            ..Direction::PERFECT
        };
        let mut pipe = Pipe::new(direction, Outages::default());
        let mut random = SplitMix64::new(1);
        // 1,250 bytes are 10 ms at 1 Mbit/s.
        let arrivals: Vec<u64> = (0..3)
            .map(|_| at(pipe.offer(1_000, 1_250, &mut random)))
            .collect();
        assert_eq!(arrivals, [61_000, 71_000, 81_000]);
        assert_eq!(pipe.waiting_bytes(1_000), 3 * 1_250);
        assert_eq!(pipe.waiting_bytes(11_000), 2 * 1_250);
        assert_eq!(at(pipe.offer(500_000, 1_250, &mut random)), 560_000);
    }

    #[test]
    fn a_full_buffer_drops_the_newest_and_costs_the_line_nothing() {
        let direction = Direction {
            rate_bps: Some(8_000),
            buffer_bytes: 2_500,
            ..Direction::PERFECT
        };
        let mut pipe = Pipe::new(direction, Outages::default());
        let mut random = SplitMix64::new(1);
        assert_eq!(at(pipe.offer(0, 1_000, &mut random)), 1_000_000);
        assert_eq!(at(pipe.offer(0, 1_000, &mut random)), 2_000_000);
        let third = pipe.offer(0, 1_000, &mut random);
        assert_eq!(third, Verdict::Dropped(Loss::Buffer));
        assert_eq!(at(pipe.offer(1_000_000, 1_000, &mut random)), 3_000_000);
    }

    #[test]
    fn jitter_keeps_order_unless_it_is_allowed_to_break_it() {
        for reorder in [false, true] {
            let direction = Direction {
                delay: Duration::from_millis(100),
                jitter: Duration::from_millis(40),
                reorder,
                ..Direction::PERFECT
            };
            let mut pipe = Pipe::new(direction, Outages::default());
            let mut random = SplitMix64::new(7);
            let arrivals: Vec<u64> = (0..200)
                .map(|n| at(pipe.offer(n * 1_000, 100, &mut random)))
                .collect();
            assert_eq!(arrivals.is_sorted(), !reorder);
            for (n, arrival) in arrivals.iter().enumerate() {
                assert!(arrival - n as u64 * 1_000 >= 60_000);
            }
        }
    }

    #[test]
    fn what_leaves_within_a_span_arrives_after_it_and_the_last_first() {
        let direction = Direction {
            delay: Duration::from_millis(5),
            backwards: Some(Duration::from_millis(10)),
            ..Direction::PERFECT
        };
        let mut pipe = Pipe::new(direction, Outages::default());
        let mut random = SplitMix64::new(1);
        let arrivals = [0, 1_000, 9_999, 10_000, 19_000]
            .map(|now_us| at(pipe.offer(now_us, 100, &mut random)));
        assert_eq!(arrivals, [25_000, 24_000, 15_001, 35_000, 26_000]);
    }

    #[test]
    fn losses_are_as_many_and_come_in_bursts_as_long_as_the_profile_says() {
        let direction = Direction {
            burst: Some(Burst::of(0.03, 4.0)),
            ..Direction::PERFECT
        };
        let mut pipe = Pipe::new(direction, Outages::default());
        let mut random = SplitMix64::new(42);
        let (mut lost, mut bursts, mut before) = (0u32, 0u32, false);
        for n in 0..200_000 {
            let now = pipe.offer(n, 100, &mut random) == Verdict::Dropped(Loss::Line);
            lost += u32::from(now);
            bursts += u32::from(now && !before);
            before = now;
        }
        let share = f64::from(lost) / 200_000.0;
        let length = f64::from(lost) / f64::from(bursts);
        assert!((0.025..0.035).contains(&share), "{share}");
        assert!((3.6..4.4).contains(&length), "{length}");
    }

    #[test]
    fn what_would_leave_during_an_outage_is_lost() {
        let profile = Profile::mobile_outage();
        let mut pipe = Pipe::new(
            Direction {
                loss: 0.0,
                ..profile.up
            },
            profile.outages,
        );
        let mut random = SplitMix64::new(1);
        assert!(matches!(
            pipe.offer(9_980_000, 1_250, &mut random),
            Verdict::Deliver { .. }
        ));
        // Handed over before the outage, but its turn comes after it has begun.
        assert_eq!(
            pipe.offer(9_985_000, 1_250, &mut random),
            Verdict::Dropped(Loss::Outage)
        );
        assert!(matches!(
            pipe.offer(25_000_000, 1_250, &mut random),
            Verdict::Deliver { .. }
        ));
    }

    #[test]
    fn one_seed_gives_one_history() {
        let run = |seed| {
            let profile = Profile::mobile_poor();
            let mut pipe = Pipe::new(profile.up, profile.outages);
            let mut random = SplitMix64::new(seed);
            (0..2_000)
                .map(|n| pipe.offer(n * 20_000, 700, &mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
