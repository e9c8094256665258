//! What a trial comes to.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use super::{
    Trial,
    cast::{Cast, unit},
    ledger::{Balance, Ledger},
    line::Line,
    scan::Scan,
    world::Wire,
};
use crate::{
    cli::{
        lines::{left, right},
        texts::{fill, t},
    },
    emulator::Counters,
    model::Lane,
};

/// The result of a trial.
#[derive(Debug)]
pub(in crate::cli) struct Report {
    line: Line,
    cast: Cast,
    seed: u64,
    /// What the units submit, and what the hub does, bytes.
    payload: Ways,
    balance: Balance,
    wire: Wire,
    /// The scan, when there was one.
    scan: Option<Scan>,
    /// The folder, when it stays.
    kept: Option<PathBuf>,
    /// What went wrong, a line each.
    faults: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Ways {
    up: u64,
    down: u64,
}

/// The object that the demo's `--json` prints.
#[derive(Serialize)]
struct Figures {
    sent: u64,
    delivered: u64,
    missing: u64,
    duplicated: u64,
    payload_bytes: u64,
    wire_bytes_up: u64,
    wire_bytes_down: u64,
    seconds: f64,
    latency_ms: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<Attachment>,
}

/// The scan, whose bytes are in none of the figures above.
#[derive(Serialize)]
struct Attachment {
    bytes: u64,
    /// From the call that names it to the call that is handed the message.
    seconds: f64,
    wire_bytes_up: u64,
    /// Whether the link was cut in the middle, and what had come before was not sent again.
    resumed: bool,
    /// Whether it arrived with the digest that it left with.
    digest_equal: bool,
}

/// The object that the lab's `--json` prints.
#[derive(Serialize)]
struct LinkFigures<'a> {
    link: &'a str,
    seed: u64,
    payload_bytes_up: u64,
    payload_bytes_down: u64,
    #[serde(flatten)]
    figures: Figures,
}

/// `null` when nothing came.
#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Report {
    pub(super) fn new(
        trial: &Trial,
        ledger: &Ledger,
        wire: Wire,
        scan: Option<Scan>,
        kept: Option<PathBuf>,
    ) -> Self {
        let down = ledger.payload_bytes_of(&unit(trial.cast.hub));
        let mut balance = ledger.balance();
        let mut faults = std::mem::take(&mut balance.faults);
        let untold = balance.fault_count - faults.len() as u64;
        if untold > 0 {
            faults.push(fill(t().fault_more, &[&untold]));
        }
        faults.extend(scan.as_ref().and_then(|scan| scan.fault.clone()));
        Self {
            line: trial.line.clone(),
            cast: trial.cast,
            seed: trial.seed,
            payload: Ways {
                up: balance.payload_bytes - down,
                down,
            },
            balance,
            wire,
            scan,
            kept,
            faults,
        }
    }

    /// Tells what went wrong on standard error. Returns the exit code: 0 only when every message came once, as it was sent and in the
    /// order of its case.
    pub(in crate::cli) fn tell_faults(&self) -> u8 {
        for fault in &self.faults {
            eprintln!("{fault}");
        }
        let good = self.missing() == 0 && self.balance.duplicated == 0;
        let scan_is_good = self.scan.as_ref().is_none_or(|scan| scan.fault.is_none());
        if good && scan_is_good && self.balance.fault_count == 0 {
            0
        } else {
            70
        }
    }

    fn missing(&self) -> u64 {
        self.balance.sent - self.balance.delivered
    }

    /// One line of JSON.
    pub(in crate::cli) fn json(&self) -> String {
        serde_json::to_string(&self.figures()).expect("numbers always are JSON")
    }

    /// One line of JSON that also says what link it was, and what was submitted at either end.
    pub(in crate::cli) fn json_of_link(&self) -> String {
        let figures = LinkFigures {
            link: &self.line.words,
            seed: self.seed,
            payload_bytes_up: self.payload.up,
            payload_bytes_down: self.payload.down,
            figures: self.figures(),
        };
        serde_json::to_string(&figures).expect("numbers always are JSON")
    }

    fn figures(&self) -> Figures {
        let latencies = self.sorted(|_| true);
        Figures {
            sent: self.balance.sent,
            delivered: self.balance.delivered,
            missing: self.missing(),
            duplicated: self.balance.duplicated,
            payload_bytes: self.balance.payload_bytes,
            wire_bytes_up: self.wire.up.offered_bytes,
            wire_bytes_down: self.wire.down.offered_bytes,
            seconds: self.balance.time.as_micros() as f64 / 1e6,
            latency_ms: Latency {
                p50: percentile(&latencies, 50).map(milliseconds),
                p99: percentile(&latencies, 99).map(milliseconds),
            },
            attachment: self.scan.as_ref().map(|scan| Attachment {
                bytes: scan.bytes,
                seconds: scan.time.as_micros() as f64 / 1e6,
                wire_bytes_up: scan.wire_bytes_up,
                resumed: scan.resumed,
                digest_equal: scan.digest_equal,
            }),
        }
    }

    fn sorted(&self, wanted: impl Fn(Lane) -> bool) -> Vec<Duration> {
        let of = self
            .balance
            .latencies
            .iter()
            .filter(|(lane, _)| wanted(*lane));
        let mut latencies: Vec<_> = of.map(|(_, latency)| *latency).collect();
        latencies.sort_unstable();
        latencies
    }

    fn write_wire(&self, f: &mut fmt::Formatter<'_>, name: &str, of: Counters) -> fmt::Result {
        let lost = of.dropped_buffer + of.dropped_line + of.dropped_outage;
        let ratio = of.offered_bytes as f64 / self.balance.payload_bytes.max(1) as f64;
        let (name, ratio) = (left(name, 18), format!("{ratio:.2}"));
        let told = fill(t().report_wire, &[&ratio, &of.offered_packets, &lost]);
        writeln!(f, "{name}{:>12}   {told}", of.offered_bytes)
    }

    /// What to do next, when the folder stays.
    fn write_kept(&self, f: &mut fmt::Formatter<'_>, folder: &Path) -> fmt::Result {
        let folder = folder.display();
        writeln!(f, "{}", fill(t().report_kept, &[&folder]))?;
        for name in [self.cast.hub].iter().chain(self.cast.units) {
            writeln!(f, "  casegate run --config {folder}/{name}.toml")?;
        }
        writeln!(f, "{}", t().report_api)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = &self.balance;
        writeln!(f, "\n{}{}", left(t().report_link, 18), self.line.told)?;
        for (name, count) in [
            (t().report_sent, balance.sent),
            (t().report_delivered, balance.delivered),
            (t().report_missing, self.missing()),
            (t().report_duplicated, balance.duplicated),
        ] {
            writeln!(f, "{}{count:>12}", left(name, 18))?;
        }
        let payload = left(t().report_payload, 18);
        write!(f, "{payload}{:>12}", balance.payload_bytes)?;
        match self.payload {
            Ways { down: 0, .. } => writeln!(f)?,
            Ways { up, down } => writeln!(f, "   {}", fill(t().report_submitted, &[&up, &down]))?,
        }
        self.write_wire(f, t().report_up, self.wire.up)?;
        self.write_wire(f, t().report_down, self.wire.down)?;
        let seconds = format!("{:.1}", balance.time.as_secs_f64());
        let seconds = right(&fill(t().report_seconds, &[&seconds]), 12);
        writeln!(f, "{}{seconds}", left(t().report_time, 18))?;
        writeln!(
            f,
            "\n{} {} {} {}",
            left(t().report_latency, 12),
            right(t().report_messages, 8),
            right(t().report_median, 11),
            right(t().report_p99, 11)
        )?;
        for lane in Lane::ALL {
            write_latency(f, t().words.lane(lane), &self.sorted(|of| of == lane))?;
        }
        write_latency(f, t().report_all, &self.sorted(|_| true))?;
        if let Some(scan) = &self.scan {
            write_scan(f, scan)?;
        }
        let overhead = crate::emulator::PACKET_OVERHEAD_BYTES;
        writeln!(f, "\n{}\n", fill(t().report_note, &[&overhead]))?;
        match &self.kept {
            Some(folder) => self.write_kept(f, folder),
            None => Ok(()),
        }
    }
}

fn write_scan(f: &mut fmt::Formatter<'_>, scan: &Scan) -> fmt::Result {
    let ratio = scan.wire_bytes_up as f64 / scan.bytes.max(1) as f64;
    let (seconds, ratio) = (
        format!("{:.1}", scan.time.as_secs_f64()),
        format!("{ratio:.2}"),
    );
    let cut = match (scan.was_cut, scan.resumed) {
        (true, true) => t().report_resumed,
        (true, false) => t().report_anew,
        (false, _) => "",
    };
    let digest = match scan.digest_equal {
        true => t().report_equal,
        false => t().report_unequal,
    };
    let values: [&dyn fmt::Display; 5] = [&seconds, &scan.wire_bytes_up, &ratio, &cut, &digest];
    let (name, told) = (
        left(t().report_scan, 18),
        fill(t().report_scan_sent, &values),
    );
    writeln!(f, "\n{name}{:>12}   {told}", scan.bytes)
}

fn write_latency(f: &mut fmt::Formatter<'_>, name: &str, sorted: &[Duration]) -> fmt::Result {
    let shown = |percent| {
        percentile(sorted, percent).map_or_else(
            || "-".to_owned(),
            |latency| format!("{:.0}", milliseconds(latency)),
        )
    };
    writeln!(
        f,
        "  {} {:>8} {:>11} {:>11}",
        left(name, 10),
        sorted.len(),
        shown(50),
        shown(99)
    )
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// The nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let of = |count: u64| -> Vec<_> { (1..=count).map(Duration::from_millis).collect() };
        let at = |count, percent| percentile(&of(count), percent).map(|d| d.as_millis());
        assert_eq!(at(0, 50), None);
        assert_eq!((at(1, 50), at(1, 99)), (Some(1), Some(1)));
        assert_eq!((at(200, 50), at(200, 99)), (Some(100), Some(198)));
    }
}
