//! What a link is like.

use std::{str::FromStr, time::Duration};

use super::Trace;

/// One direction of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Bit/s on the wire, headers of IP and UDP included; `None` takes no time to serialise.
    pub rate_bps: Option<u64>,
    /// When packets can leave; takes the place of `rate_bps`.
    pub trace: Option<Trace>,
    /// Time from the last bit sent to the last bit received.
    pub delay: Duration,
    /// Each packet's delay differs from `delay` by a uniform amount of up to this much either way.
    pub jitter: Duration,
    /// Whether jitter may let a packet overtake an earlier one. Without it a packet that would arrive before its predecessor
    /// arrives with it, as on a radio link that keeps order.
    pub reorder: bool,
    /// What leaves within one of the spans into which this cuts the time arrives after it, the last first.
    pub backwards: Option<Duration>,
    /// Whether every packet arrives twice.
    pub twice: bool,
    /// Probability that a packet is lost, independent of every other.
    pub loss: f64,
    /// Losses that come in bursts, beside `loss`.
    pub burst: Option<Burst>,
    /// Bytes that wait to be serialised at most; a packet that would make it more is dropped (droptail).
    pub buffer_bytes: u64,
}

/// Burst loss after Gilbert and Elliott: in the good state nothing is lost, in the bad state much is. The state may change with
/// every packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Probability that a packet finds the link turn bad.
    pub enter: f64,
    /// Probability that a packet finds the link turn good again.
    pub leave: f64,
    /// Probability that a packet is lost while the link is bad.
    pub loss: f64,
}

impl Burst {
    /// Bursts that lose every packet, are `packets` long on average, and lose the fraction `loss` of all packets.
    pub fn of(loss: f64, packets: f64) -> Self {
        let leave = 1.0 / packets;
        Self {
            enter: leave * loss / (1.0 - loss),
            leave,
            loss: 1.0,
        }
    }
}

/// When the link carries nothing: a packet whose last bit would leave during an outage is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// From and to, after the emulator's start.
    pub windows: Vec<(Duration, Duration)>,
    /// The windows repeat with this period.
    pub period: Option<Duration>,
}

impl Outages {
    /// Outages in these windows, once each.
    pub fn at(windows: &[(Duration, Duration)]) -> Self {
        Self {
            windows: windows.to_vec(),
            period: None,
        }
    }

    /// The longest of them.
    pub fn longest(&self) -> Duration {
        let lengths = self
            .windows
            .iter()
            .map(|(from, to)| to.saturating_sub(*from));
        lengths.max().unwrap_or_default()
    }

    /// Whether the link is out at `at_us` microseconds after the start.
    pub fn covers(&self, at_us: u64) -> bool {
        let at = match self.period {
            Some(period) if !period.is_zero() => at_us % (period.as_micros() as u64).max(1),
            _ => at_us,
        };
        self.windows
            .iter()
            .any(|(from, to)| (from.as_micros()..to.as_micros()).contains(&u128::from(at)))
    }
}

/// A whole link. `up` is from the edge to the hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// From the edge to the hub.
    pub up: Direction,
    /// From the hub to the edge.
    pub down: Direction,
    /// When both directions are out.
    pub outages: Outages,
}

/// A text names no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a link; write one of lan, exclusive, 3g-good, 3g-poor, 3g-outage")]
pub struct ProfileError(String);

const KIB: u64 = 1024;

impl Direction {
    /// A direction that loses nothing and takes no time.
    pub const PERFECT: Self = Self {
        rate_bps: None,
        trace: None,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder: false,
        backwards: None,
        twice: false,
        loss: 0.0,
        burst: None,
        buffer_bytes: 64 * KIB * KIB,
    };

    fn of(rate_bps: u64, delay_ms: u64, buffer_kib: u64) -> Self {
        Self {
            rate_bps: Some(rate_bps),
            delay: Duration::from_millis(delay_ms),
            buffer_bytes: buffer_kib * KIB,
            ..Self::PERFECT
        }
    }
}

impl Profile {
    /// The presets' names, as [`FromStr`] reads them.
    pub const NAMES: [&'static str; 5] = ["lan", "exclusive", "3g-good", "3g-poor", "3g-outage"];

    /// A local network: no limit that matters.
    pub fn lan() -> Self {
        Self::both(Direction::PERFECT, Direction::PERFECT)
    }

    /// The municipal exclusive channel: 10 Mbit/s, 10 ms, no loss.
    pub fn exclusive() -> Self {
        let direction = Direction::of(10_000_000, 10, 256);
        Self::both(direction.clone(), direction)
    }

    /// A 3G modem with good reception: 1 Mbit/s up, 3 down, 50 ms, 0.5 % random loss.
    pub fn mobile_good() -> Self {
        let with_loss = |direction| Direction {
            loss: 0.005,
            ..direction
        };
        Self::both(
            with_loss(Direction::of(1_000_000, 50, 64)),
            with_loss(Direction::of(3_000_000, 50, 192)),
        )
    }

    /// A 3G modem with poor reception: 256 kbit/s up, 512 down, 150 ms, 40 ms of jitter, 3 % of all packets lost in bursts of
    /// four.
    pub fn mobile_poor() -> Self {
        let poor = |direction| Direction {
            jitter: Duration::from_millis(40),
            burst: Some(Burst::of(0.03, 4.0)),
            ..direction
        };
        Self::both(
            poor(Direction::of(256_000, 150, 32)),
            poor(Direction::of(512_000, 150, 64)),
        )
    }

    /// [`Profile::mobile_good`] that is out from 10 s to 25 s after the start, and again every 45 s.
    pub fn mobile_outage() -> Self {
        Self {
            outages: Outages {
                windows: vec![(Duration::from_secs(10), Duration::from_secs(25))],
                period: Some(Duration::from_secs(45)),
            },
            ..Self::mobile_good()
        }
    }

    /// The longest time in which one of the directions carries nothing.
    pub fn longest_gap(&self) -> Duration {
        let of_traces = [&self.up, &self.down]
            .into_iter()
            .filter_map(|direction| direction.trace.as_ref())
            .map(Trace::longest_gap);
        of_traces.fold(self.outages.longest(), Duration::max)
    }

    fn both(up: Direction, down: Direction) -> Self {
        Self {
            up,
            down,
            outages: Outages::default(),
        }
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "lan" => Ok(Self::lan()),
            "exclusive" => Ok(Self::exclusive()),
            "3g-good" => Ok(Self::mobile_good()),
            "3g-poor" => Ok(Self::mobile_poor()),
            "3g-outage" => Ok(Self::mobile_outage()),
            other => Err(ProfileError(other.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_name_and_nothing_else_does() {
        for name in Profile::NAMES {
            assert!(name.parse::<Profile>().is_ok(), "{name}");
        }
        assert!("4g".parse::<Profile>().is_err());
    }

    #[test]
    fn outages_repeat_with_their_period() {
        let outages = Profile::mobile_outage().outages;
        let out_at = |second: u64| outages.covers(second * 1_000_000);
        assert_eq!(
            [9, 10, 24, 25, 54, 55, 69, 70].map(out_at),
            [false, true, true, false, false, true, true, false]
        );
        let once = Outages::at(&[(Duration::from_secs(1), Duration::from_secs(2))]);
        assert!(once.covers(1_500_000) && !once.covers(46_500_000));
    }
}
