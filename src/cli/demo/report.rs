//! What a demo comes to.

use std::{fmt, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    ledger::{Balance, Ledger},
    line::Line,
    scan::Scan,
    world::Wire,
};
use crate::{emulator::Counters, model::Lane};

/// The result of a demo.
#[derive(Debug)]
pub(super) struct Report {
    line: Line,
    balance: Balance,
    wire: Wire,
    scan: Scan,
    /// The folder, when it stays.
    kept: Option<PathBuf>,
    /// What went wrong, a line each.
    pub(super) faults: Vec<String>,
}

/// The object that `--json` prints.
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
    attachment: Attachment,
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

/// `null` when nothing came.
#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Report {
    pub(super) fn new(
        line: Line,
        ledger: &Ledger,
        wire: Wire,
        scan: Scan,
        kept: Option<PathBuf>,
    ) -> Self {
        let mut balance = ledger.balance();
        let mut faults = std::mem::take(&mut balance.faults);
        let untold = balance.fault_count - faults.len() as u64;
        if untold > 0 {
            faults.push(format!("and {untold} more"));
        }
        faults.extend(scan.fault.clone());
        Self {
            line,
            balance,
            wire,
            scan,
            kept,
            faults,
        }
    }

    fn missing(&self) -> u64 {
        self.balance.sent - self.balance.delivered
    }

    /// 0 only when every message came once, as it was sent and in the order of its case.
    pub(super) fn exit_code(&self) -> u8 {
        let good = self.missing() == 0 && self.balance.duplicated == 0;
        if good && self.balance.fault_count == 0 && self.scan.fault.is_none() {
            0
        } else {
            70
        }
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        let latencies = self.sorted(|_| true);
        let figures = Figures {
            sent: self.balance.sent,
            delivered: self.balance.delivered,
            missing: self.missing(),
            duplicated: self.balance.duplicated,
            payload_bytes: self.balance.payload_bytes,
            wire_bytes_up: self.wire.up.offered_bytes,
            wire_bytes_down: self.wire.down.offered_bytes,
            seconds: self.balance.time.as_millis() as f64 / 1e3,
            latency_ms: Latency {
                p50: percentile(&latencies, 50).map(milliseconds),
                p99: percentile(&latencies, 99).map(milliseconds),
            },
            attachment: Attachment {
                bytes: self.scan.bytes,
                seconds: self.scan.time.as_millis() as f64 / 1e3,
                wire_bytes_up: self.scan.wire_bytes_up,
                resumed: self.scan.resumed,
                digest_equal: self.scan.digest_equal,
            },
        };
        serde_json::to_string(&figures).expect("numbers always are JSON")
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
}

impl Report {
    fn write_scan(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scan = &self.scan;
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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = &self.balance;
        writeln!(f, "\nlink              {}", self.line.describe())?;
        writeln!(f, "sent              {:>12}", balance.sent)?;
        writeln!(f, "delivered         {:>12}", balance.delivered)?;
        writeln!(f, "missing           {:>12}", self.missing())?;
        writeln!(f, "duplicated        {:>12}", balance.duplicated)?;
        writeln!(f, "payload bytes     {:>12}", balance.payload_bytes)?;
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
        self.write_scan(f)?;
        writeln!(
            f,
            "\nWire bytes are UDP payload and {} a packet, handshakes, acks and receipts included. Latency is from the call that\n\
             submits to the call that receives, at another unit.\n",
            crate::emulator::PACKET_OVERHEAD_BYTES
        )?;
        match &self.kept {
            Some(folder) => {
                let folder = folder.display();
                writeln!(f, "kept in {folder}. Next, each in a terminal of its own:")?;
                for name in ["hebi.hub", "hebi.tobacco", "hebi.police"] {
                    writeln!(f, "  casegate run --config {folder}/{name}.toml")?;
                }
                writeln!(
                    f,
                    "and then the API of a node, at `listen` under [api] in its file: /v1/status, /v1/links, /metrics"
                )
            }
            None => writeln!(
                f,
                "Next: --link {} for another link, --keep for the configurations and the data, README.md for a hub of your own.",
                match self.line {
                    Line::Poor => "3g-outage",
                    _ => "3g-poor",
                }
            ),
        }
    }
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
