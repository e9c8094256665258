//! The links that a demo can be run over.

use std::time::Duration;

use clap::ValueEnum;

use crate::{config::LinkKind, emulator::Profile};

/// A link, by the name of its emulated profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Line {
    /// The municipal exclusive channel: 10 Mbit/s, 10 ms
    Exclusive,
    /// A modem with good reception: 1 Mbit/s up, 3 down, 50 ms, 0.5 % loss
    #[value(name = "3g-good")]
    Good,
    /// A modem with poor reception: 256 kbit/s up, 512 down, 150 ms, 40 ms of jitter, 3 % loss in bursts
    #[value(name = "3g-poor")]
    Poor,
    /// 3g-good that is cut for five seconds in the middle
    #[value(name = "3g-outage")]
    Outage,
    /// A local network
    Lan,
}

impl Line {
    /// How long the link is cut, once half of the messages are submitted.
    const CUT: Duration = Duration::from_secs(5);

    /// How the emulator makes it.
    pub(super) fn profile(self) -> Profile {
        match self {
            Self::Exclusive => Profile::exclusive(),
            // The profile's own outages come by the clock; the demo's comes when it can be seen.
            Self::Good | Self::Outage => Profile::mobile_good(),
            Self::Poor => Profile::mobile_poor(),
            Self::Lan => Profile::lan(),
        }
    }

    /// How the nodes treat it.
    pub(super) fn kind(self) -> LinkKind {
        match self {
            Self::Exclusive => LinkKind::Exclusive,
            Self::Good | Self::Poor | Self::Outage => LinkKind::ThreeG,
            Self::Lan => LinkKind::Lan,
        }
    }

    /// How long it is cut in the middle of the demo, if it is.
    pub(super) fn cut(self) -> Option<Duration> {
        (self == Self::Outage).then_some(Self::CUT)
    }

    /// Bytes of the scan: a good quarter of a minute over a modem.
    pub(super) fn scan_bytes(self) -> usize {
        match self {
            Self::Poor => 500_000,
            Self::Exclusive | Self::Good | Self::Outage | Self::Lan => 2_000_000,
        }
    }

    /// Its name, and what it is like.
    pub(super) fn describe(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| {
            let help = value.get_help().map(ToString::to_string);
            format!("{} ({})", value.get_name(), help.unwrap_or_default())
        })
    }
}
