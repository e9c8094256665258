//! `casegate lab`: an edge and a hub with a link between them that is planned, or was recorded.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use super::{
    exit,
    texts::{Language, Texts, fill, t},
    trial::{Cast, Flow, Line, MESSAGES_MAX, Pace, Trial},
};
use crate::{
    config::LinkKind,
    emulator::{Burst, Direction, Outages, Profile, Trace},
};

const MESSAGES_DEFAULT: u32 = 300;
/// Slowest and fastest line, kbit/s.
const KBIT: std::ops::RangeInclusive<u64> = 1..=10_000_000;
/// Longest delay, milliseconds: a satellite's, many times over.
const DELAY_MS_MAX: u64 = 60_000;

/// Try how casegate would do over a link: a preset, numbers of your own, or a recorded trace
#[derive(Debug, Args)]
#[command(
    long_about = "Try how casegate would do over a link that is planned or was recorded. An edge and a hub run on this machine, in a \
                  folder that is removed at the end, and exchange real-looking case messages over the emulated link, in real time. \
                  Numbers take the place of the preset's. The exit code is 0 only when every message arrived once, unchanged and in \
                  the order of its case.",
    after_help = "Examples:\n  \
                  casegate lab --link 3g-poor --messages 200\n  \
                  casegate lab --kind 3g --up-kbit 384 --down-kbit 2000 --delay-ms 150 --loss 2"
)]
pub struct LabOptions {
    #[command(flatten)]
    link: LinkOptions,
    /// How many messages to send
    #[arg(long, value_name = "N", default_value_t = MESSAGES_DEFAULT, value_parser = RangedU64ValueParser::<u32>::new().range(1..=MESSAGES_MAX))]
    messages: u32,
    /// Who sends them: up is the edge, down is the hub
    #[arg(long, value_enum, default_value_t = Flow::Both)]
    flow: Flow,
    /// Messages a second; without it all of them wait when the link comes up
    #[arg(long, value_name = "N", value_parser = positive)]
    per_second: Option<f64>,
    /// Decides which packets are lost and how much each is delayed: the same seed, the same luck
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// What the link is like.
#[derive(Debug, Args)]
struct LinkOptions {
    /// The preset to begin with
    #[arg(long, value_enum, default_value_t = Preset::Good)]
    link: Preset,
    /// How the nodes treat the link; default: as the preset's. Traces: 3g
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// A recording of the way up: a line for each moment, in milliseconds, at which a packet of 1,504 bytes could leave (mahimahi)
    #[arg(long, value_name = "FILE", requires = "trace_down", conflicts_with_all = ["up_kbit", "down_kbit"])]
    trace_up: Option<PathBuf>,
    /// A recording of the way down
    #[arg(long, value_name = "FILE", requires = "trace_up")]
    trace_down: Option<PathBuf>,
    /// Rate from the edge to the hub, kbit/s
    #[arg(long, value_name = "KBIT", value_parser = RangedU64ValueParser::<u64>::new().range(KBIT))]
    up_kbit: Option<u64>,
    /// Rate from the hub to the edge, kbit/s
    #[arg(long, value_name = "KBIT", value_parser = RangedU64ValueParser::<u64>::new().range(KBIT))]
    down_kbit: Option<u64>,
    /// Delay of each way, milliseconds
    #[arg(long, value_name = "MS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=DELAY_MS_MAX))]
    delay_ms: Option<u64>,
    /// The delay varies by up to so much either way, milliseconds
    #[arg(long, value_name = "MS", value_parser = RangedU64ValueParser::<u64>::new().range(0..=DELAY_MS_MAX))]
    jitter_ms: Option<u64>,
    /// Packets that are lost, percent of each way
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    loss: Option<f64>,
    /// Losses come in bursts of so many packets on average
    #[arg(long, value_name = "PACKETS", value_parser = burst)]
    burst: Option<f64>,
    /// What can wait at the sending end of each way, KiB; what finds it full is lost
    #[arg(long, value_name = "KIB", value_parser = RangedU64ValueParser::<u64>::new().range(2..=1_048_576))]
    buffer_kib: Option<u64>,
    /// When the link is out, seconds after the start: 10-25, or several: 10-25,60-90
    #[arg(long, value_name = "FROM-TO", value_delimiter = ',', value_parser = window)]
    outage: Vec<(Duration, Duration)>,
    /// The outages come again with this period, seconds
    #[arg(long, value_name = "SECONDS", requires = "outage", value_parser = seconds)]
    outage_every: Option<Duration>,
}

/// A link, by the name of its emulated profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// 10 Mbit/s, 10 ms
    Exclusive,
    /// 1 Mbit/s up, 3 down, 50 ms, 0.5 % loss
    #[value(name = "3g-good")]
    Good,
    /// 256 kbit/s up, 512 down, 150 ms, 40 ms of jitter, 3 % loss in bursts
    #[value(name = "3g-poor")]
    Poor,
    /// 3g-good that is out from 10 s to 25 s and then every 45 s
    #[value(name = "3g-outage")]
    Outage,
    /// A local network
    Lan,
}

/// How the nodes treat a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Exclusive,
    #[value(name = "3g")]
    ThreeG,
    Lan,
}

/// Runs the lab. Returns the exit code.
pub fn run(options: &LabOptions) -> u8 {
    let line = match options.link.line() {
        Ok(line) => line,
        Err(words) => {
            eprintln!("{words}");
            return exit::BAD_DATA;
        }
    };
    let trial = Trial {
        cast: Cast::LAB,
        line,
        seed: options.seed,
        messages: options.messages,
        flow: options.flow,
        pace: match options.per_second {
            Some(rate) => Pace {
                backlog: 0.0,
                gap: Duration::from_secs_f64(1.0 / rate),
            },
            None => Pace {
                backlog: 1.0,
                gap: Duration::ZERO,
            },
        },
        scan_bytes: None,
    };
    match trial.run(None, false) {
        Ok(report) => {
            match options.json {
                true => println!("{}", report.json_of_link()),
                false => print!("{report}"),
            }
            report.tell_faults()
        }
        Err(error) => error.tell(),
    }
}

impl LinkOptions {
    fn line(&self) -> Result<Line, String> {
        let mut profile = self.link.profile();
        if let Some((up, down)) = self.trace_up.as_ref().zip(self.trace_down.as_ref()) {
            for (name, file, direction) in [
                ("--trace-up", up, &mut profile.up),
                ("--trace-down", down, &mut profile.down),
            ] {
                let trace = Trace::read(file)
                    .map_err(|error| format!("{name} {}{}{error}", file.display(), t().colon))?;
                // The recording has the losses that were seen as gaps.
                *direction = Direction {
                    rate_bps: None,
                    trace: Some(trace),
                    loss: 0.0,
                    burst: None,
                    ..direction.clone()
                };
            }
        }
        for (kbit, direction) in [
            (self.up_kbit, &mut profile.up),
            (self.down_kbit, &mut profile.down),
        ] {
            self.adjust(kbit, direction);
        }
        if !self.outage.is_empty() {
            let longest = self.outage.iter().map(|(_, to)| *to).max();
            if self.outage_every.is_some_and(|every| Some(every) < longest) {
                return Err(t().outage_every.to_owned());
            }
            profile.outages = Outages {
                windows: self.outage.clone(),
                period: self.outage_every,
            };
        }
        let kind = match self.kind {
            Some(Kind::Exclusive) => LinkKind::Exclusive,
            Some(Kind::ThreeG) => LinkKind::ThreeG,
            Some(Kind::Lan) => LinkKind::Lan,
            None if self.trace_up.is_some() => LinkKind::ThreeG,
            None => self.link.kind(),
        };
        Ok(Line {
            words: describe(Texts::of(Language::English), &profile, kind),
            told: describe(t(), &profile, kind),
            profile,
            kind,
            cut: None,
        })
    }

    /// Puts the numbers that were given in the place of the preset's.
    fn adjust(&self, kbit: Option<u64>, direction: &mut Direction) {
        if let Some(kbit) = kbit {
            direction.rate_bps = Some(kbit * 1000);
        }
        if let Some(ms) = self.delay_ms {
            direction.delay = Duration::from_millis(ms);
        }
        if let Some(ms) = self.jitter_ms {
            direction.jitter = Duration::from_millis(ms);
        }
        if let Some(kib) = self.buffer_kib {
            direction.buffer_bytes = kib * 1024;
        }
        if self.loss.is_none() && self.burst.is_none() {
            return;
        }
        let loss = match (self.loss, direction.burst) {
            (Some(percent), _) => percent / 100.0,
            (None, Some(burst)) => burst.enter / (burst.enter + burst.leave) * burst.loss,
            (None, None) => direction.loss,
        };
        (direction.loss, direction.burst) = match self.burst {
            Some(packets) => (0.0, Some(Burst::of(loss, packets))),
            None => (loss, None),
        };
    }
}

impl Preset {
    fn profile(self) -> Profile {
        match self {
            Self::Exclusive => Profile::exclusive(),
            Self::Good => Profile::mobile_good(),
            Self::Poor => Profile::mobile_poor(),
            Self::Outage => Profile::mobile_outage(),
            Self::Lan => Profile::lan(),
        }
    }

    fn kind(self) -> LinkKind {
        match self {
            Self::Exclusive => LinkKind::Exclusive,
            Self::Good | Self::Poor | Self::Outage => LinkKind::ThreeG,
            Self::Lan => LinkKind::Lan,
        }
    }
}

/// What the link is like, in words.
fn describe(t: &Texts, profile: &Profile, kind: LinkKind) -> String {
    let way = |direction: &Direction| {
        let rate = match (&direction.trace, direction.rate_bps) {
            (Some(trace), _) => fill(t.lab_recording, &[&(trace.mean_bps() / 1000)]),
            (None, Some(bps)) => format!("{} kbit/s", bps / 1000),
            (None, None) => t.lab_unbounded.to_owned(),
        };
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let loss = match direction.burst {
            Some(burst) => {
                let share = direction.loss + burst.enter / (burst.enter + burst.leave) * burst.loss;
                let packets = format!("{:.0}", 1.0 / burst.leave);
                fill(t.lab_bursts, &[&percent(share), &packets])
            }
            None => fill(t.lab_loss, &[&percent(direction.loss)]),
        };
        let (delay, jitter) = (direction.delay.as_millis(), direction.jitter.as_millis());
        fill(t.lab_way, &[&rate, &delay, &jitter, &loss])
    };
    let (up, down) = (way(&profile.up), way(&profile.down));
    let mut words = fill(t.lab_line, &[&kind, &up, &down]);
    if !profile.outages.windows.is_empty() {
        let windows = profile.outages.windows.iter();
        let windows: Vec<_> = windows
            .map(|(from, to)| fill(t.lab_window, &[&from.as_secs_f64(), &to.as_secs_f64()]))
            .collect();
        words += &fill(t.lab_out, &[&windows.join(t.comma)]);
        if let Some(period) = profile.outages.period {
            words += &fill(t.lab_every, &[&period.as_secs_f64()]);
        }
    }
    words
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| t().no_number.to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    match number(text)? {
        rate if (0.001..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err(t().rate_wrong.to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match number(text)? {
        percent if (0.0..=90.0).contains(&percent) => Ok(percent),
        _ => Err(t().percent_wrong.to_owned()),
    }
}

fn burst(text: &str) -> Result<f64, String> {
    match number(text)? {
        packets if (1.0..=1000.0).contains(&packets) => Ok(packets),
        _ => Err(t().burst_wrong.to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match number(text)? {
        seconds if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(t().seconds_wrong.to_owned()),
    }
}

fn window(text: &str) -> Result<(Duration, Duration), String> {
    let ends = text.split_once('-').ok_or(t().window_wrong)?;
    let (from, to) = (seconds(ends.0)?, seconds(ends.1)?);
    match from < to {
        true => Ok((from, to)),
        false => Err(t().window_backwards.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Lab {
        #[command(flatten)]
        options: LabOptions,
    }

    fn line(arguments: &[&str]) -> Result<Line, String> {
        let arguments = ["lab"].iter().chain(arguments);
        let lab = Lab::try_parse_from(arguments).map_err(|error| error.to_string())?;
        lab.options.link.line()
    }

    #[test]
    fn numbers_take_the_place_of_the_presets() {
        let line = line(&[
            "--link",
            "3g-poor",
            "--up-kbit",
            "64",
            "--delay-ms",
            "300",
            "--loss",
            "10",
            "--outage",
            "5-9,20-21.5",
            "--outage-every",
            "60",
        ])
        .expect("a link");
        assert_eq!(line.profile.up.rate_bps, Some(64_000));
        assert_eq!(line.profile.down.rate_bps, Some(512_000));
        assert_eq!(line.profile.down.delay, Duration::from_millis(300));
        assert_eq!((line.profile.up.loss, line.profile.up.burst), (0.1, None));
        assert_eq!(
            line.words,
            "3g; up 64 kbit/s, 300 ms, 40 ms of jitter, 10.0 % loss; down 512 kbit/s, 300 ms, 40 ms of jitter, 10.0 % loss; \
             out at 5-9 s, 20-21.5 s, every 60 s"
        );
    }

    #[test]
    fn losses_stay_as_many_when_only_their_bursts_are_given() {
        let line = line(&["--link", "3g-poor", "--burst", "8"]).expect("a link");
        let burst = line.profile.up.burst.expect("bursts");
        let share = burst.enter / (burst.enter + burst.leave);
        assert!((share - 0.03).abs() < 1e-9, "{share}");
        assert!((burst.leave - 0.125).abs() < 1e-9);
    }

    #[test]
    fn a_recording_replaces_rates_and_losses() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let (up, down) = (file("up", "5\n10\n"), file("down", "5\n2\n"));
        let recorded =
            line(&["--link", "lan", "--trace-up", &up, "--trace-down", &up]).expect("a link");
        assert_eq!(recorded.kind, LinkKind::ThreeG);
        assert!(recorded.profile.down.trace.is_some());
        let told = line(&["--trace-up", &up, "--trace-down", &down]).expect_err("a refusal");
        assert!(
            told.starts_with(&format!("--trace-down {down}: line 2")),
            "{told}"
        );
        assert!(
            line(&["--trace-up", &up])
                .expect_err("one only")
                .contains("--trace-down")
        );
    }

    #[test]
    fn numbers_that_make_no_link_are_refused() {
        for arguments in [
            &["--loss", "91"][..],
            &["--loss", "nan"],
            &["--burst", "0.5"],
            &["--up-kbit", "0"],
            &["--outage", "9-5"],
            &["--outage", "9"],
            &["--outage-every", "10"],
            &["--outage", "5-20", "--outage-every", "10"],
            &["--link", "4g"],
        ] {
            assert!(line(arguments).is_err(), "{arguments:?}");
        }
    }
}
