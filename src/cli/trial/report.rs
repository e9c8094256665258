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
use crate::{emulator::Counters, model::Lane};

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
            faults.push(format!("and {untold} more"));
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
        writeln!(
            f,
            "{name:<18}{:>12}   ratio {ratio:.2}, {} packets, {lost} of them lost",
            of.offered_bytes, of.offered_packets
        )
    }

    /// What to do next, when the folder stays.
    fn write_kept(&self, f: &mut fmt::Formatter<'_>, folder: &Path) -> fmt::Result {
        let folder = folder.display();
        writeln!(f, "kept in {folder}. Next, each in a terminal of its own:")?;
        for name in [self.cast.hub].iter().chain(self.cast.units) {
            writeln!(f, "  casegate run --config {folder}/{name}.toml")?;
        }
        writeln!(
            f,
            "and then the API of a node, at `listen` under [api] in its file: /v1/status, /v1/links, /metrics"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = &self.balance;
        writeln!(f, "\nlink              {}", self.line.words)?;
        writeln!(f, "sent              {:>12}", balance.sent)?;
        writeln!(f, "delivered         {:>12}", balance.delivered)?;
        writeln!(f, "missing           {:>12}", self.missing())?;
        writeln!(f, "duplicated        {:>12}", balance.duplicated)?;
        write!(f, "payload bytes     {:>12}", balance.payload_bytes)?;
        match self.payload {
            Ways { down: 0, .. } => writeln!(f)?,
            Ways { up, down } => writeln!(f, "   {up} submitted at the edge, {down} at the hub")?,
        }
        self.write_wire(f, "wire bytes up", self.wire.up)?;
        self.write_wire(f, "wire bytes down", self.wire.down)?;
        writeln!(
            f,
            "time              {:>10.1} s",
            balance.time.as_secs_f64()
        )?;
        writeln!(f, "\nlatency      messages   median ms      p99 ms")?;
        for lane in Lane::ALL {
            write_latency(f, lane.as_str(), &self.sorted(|of| of == lane))?;
        }
        write_latency(f, "all", &self.sorted(|_| true))?;
        if let Some(scan) = &self.scan {
            write_scan(f, scan)?;
        }
        writeln!(
            f,
            "\nWire bytes are UDP payload and {} a packet, handshakes, acks and receipts included. Latency is from the call that\n\
             submits to the call that receives, at another unit.\n",
            crate::emulator::PACKET_OVERHEAD_BYTES
        )?;
        match &self.kept {
            Some(folder) => self.write_kept(f, folder),
            None => Ok(()),
        }
    }
}

fn write_scan(f: &mut fmt::Formatter<'_>, scan: &Scan) -> fmt::Result {
    let ratio = scan.wire_bytes_up as f64 / scan.bytes.max(1) as f64;
    writeln!(
        f,
        "\nscan attached     {:>12}   bytes in {:.1} s, {} up, ratio {ratio:.2}{}, digest {}",
        scan.bytes,
        scan.time.as_secs_f64(),
        scan.wire_bytes_up,
        match (scan.was_cut, scan.resumed) {
            (true, true) => ", cut in the middle and gone on with",
            (true, false) => ", cut in the middle and begun anew",
            (false, _) => "",
        },
        if scan.digest_equal { "equal" } else { "WRONG" }
    )
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
        "  {name:<10} {:>8} {:>11} {:>11}",
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
