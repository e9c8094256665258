//! `casegate demo`: a hub, two units and the links between them on this machine, and a few hundred messages and a scan through them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use super::{
    texts::{fill, help, t},
    trial::{Cast, Flow, Line, MESSAGES_MAX, Pace, Trial},
};
use crate::{config::LinkKind, emulator::Profile};

/// Messages unless `--messages` says otherwise.
const MESSAGES_DEFAULT: u32 = 300;
/// The part of the messages that waits when the links come up.
const BACKLOG: f64 = 1.0 / 3.0;
/// Time from one of the other messages to the next, both units together.
const GAP: Duration = Duration::from_millis(40);
/// The other messages take so long at most, however many there are.
const PACED_WITHIN: Duration = Duration::from_secs(15);
const SEED: u64 = 20_240_115;

/// Watch a hub and two units exchange messages over an emulated link
#[derive(Debug, Args)]
#[command(
    long_about = "Watch a hub and two units exchange messages over an emulated link. Everything happens on this machine, in a \
                  folder that is removed at the end. The exit code is 0 only when every message arrived once, unchanged and in \
                  the order of its case, and the scan that is attached to the last one as it was.",
    after_help = "Examples:\n  \
                  casegate demo\n  \
                  casegate demo --link 3g-poor --messages 300 --json"
)]
pub struct DemoOptions {
    /// The link between each unit and the hub
    #[arg(long, value_enum, default_value_t = Link::Outage)]
    link: Link,
    /// How many (message, receiver) pairs to send
    #[arg(long, value_name = "N", default_value_t = MESSAGES_DEFAULT, value_parser = RangedU64ValueParser::<u32>::new().range(1..=MESSAGES_MAX))]
    messages: u32,
    /// The folder for keys, configurations and data; it must be empty or missing. Default: a new one for temporary files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Leave the folder, with configurations that `casegate run` takes
    #[arg(long)]
    keep: bool,
}

/// A link, by the name of its emulated profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Link {
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

/// Runs the demo. Returns the exit code.
pub fn run(options: &DemoOptions) -> u8 {
    let paced = f64::from(options.messages) * (1.0 - BACKLOG);
    let trial = Trial {
        cast: Cast::DEMO,
        line: options.link.line(),
        seed: SEED,
        messages: options.messages,
        flow: Flow::Both,
        pace: Pace {
            backlog: BACKLOG,
            gap: GAP.min(PACED_WITHIN.div_f64(paced.max(1.0))),
        },
        scan_bytes: Some(options.link.scan_bytes()),
    };
    match trial.run(options.data.as_deref(), options.keep) {
        Ok(report) => {
            if options.json {
                println!("{}", report.json());
            } else {
                print!("{report}");
                if !options.keep {
                    let other = match options.link {
                        Link::Poor => "3g-outage",
                        _ => "3g-poor",
                    };
                    println!("{}", fill(t().trial_next, &[&other]));
                }
            }
            report.tell_faults()
        }
        Err(error) => error.tell(),
    }
}

impl Link {
    /// How long the link is cut, once half of the messages are submitted.
    const CUT: Duration = Duration::from_secs(5);

    /// Bytes of the scan: a quarter of a minute over a modem.
    fn scan_bytes(self) -> usize {
        match self {
            Self::Poor => 500_000,
            Self::Exclusive | Self::Good | Self::Outage | Self::Lan => 2_000_000,
        }
    }

    fn line(self) -> Line {
        let value = self.to_possible_value();
        let (name, help) = value.map_or_else(Default::default, |value| {
            let help = value.get_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            (value.get_name().to_owned(), help)
        });
        Line {
            profile: match self {
                Self::Exclusive => Profile::exclusive(),
                // The profile's own outages come by the clock; the demo's comes when it can be seen.
                Self::Good | Self::Outage => Profile::mobile_good(),
                Self::Poor => Profile::mobile_poor(),
                Self::Lan => Profile::lan(),
            },
            kind: match self {
                Self::Exclusive => LinkKind::Exclusive,
                Self::Good | Self::Poor | Self::Outage => LinkKind::ThreeG,
                Self::Lan => LinkKind::Lan,
            },
            cut: (self == Self::Outage).then_some(Self::CUT),
            words: format!("{name} ({help})"),
            told: fill(t().demo_link, &[&name, &help::in_language(&help)]),
        }
    }
}
