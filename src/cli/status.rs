//! `casegate status`: a node in numbers, its links and the units that it knows.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value};

use super::{
    client::{ApiOptions, Client},
    exit::{Failure, one_line},
    send::to_json,
    show::text,
    table::{Table, bytes, moment},
};

/// Show a node in numbers, its links and the units that it knows
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate status\n  \
        casegate status --json | jq '.links[] | {link, state, rtt_ms}'\n\n\
        `casegate top` shows the same as it changes.")]
pub struct StatusCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Print one JSON object: that of /v1/status, with `links` and `neighbours`, the lists of /v1/links and /v1/units
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    /// Prints it.
    ///
    /// # Errors
    /// The node cannot say.
    pub fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.api)?;
        let mut status: Map<String, Value> = client.read("/v1/status")?;
        let links: Value = client.read("/v1/links")?;
        let units: Value = client.read("/v1/units")?;
        // `units` is a number in the status.
        status.insert("links".into(), links["links"].clone());
        status.insert("neighbours".into(), units["units"].clone());
        let mut out = io::stdout().lock();
        let written = if self.json {
            writeln!(out, "{}", to_json(&status)?)
        } else {
            write(&mut out, &Value::Object(status))
        };
        written.map_err(|error| Failure::output(&error))
    }
}

fn write(out: &mut impl Write, status: &Value) -> io::Result<()> {
    let member = |name: &str| one_line(&text(&status[name]));
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let volume = |name: &str| {
        let volume = &status[name];
        let size = bytes(number(&volume["bytes"]));
        format!("{} messages, {size}", number(&volume["messages"]))
    };
    let mut line = |name: &str, value: String| writeln!(out, "{name:<10}{value}");
    line("unit", member("unit"))?;
    line("version", member("version"))?;
    if status["listens"] == true {
        line("hub", format!("knows {} units", member("units")))?;
    }
    if status.get("upstream").is_some() {
        line("upstream", member("upstream"))?;
    }
    line("started", moment(&member("started")))?;
    let ready = match status["ready"] == true {
        true => "takes submissions",
        false => "takes no submissions",
    };
    line("state", ready.into())?;
    line("sessions", member("sessions"))?;
    line("queued", volume("queued"))?;
    line("inbox", volume("inbox"))?;
    line(
        "awaiting",
        format!("receipts of {} messages", member("awaiting_receipts")),
    )?;
    let journal = bytes(number(&status["journal_bytes"]));
    let journal_max = bytes(number(&status["journal_bytes_max"]));
    line("journal", format!("{journal} of {journal_max}"))?;
    let attachments = &status["attachments"];
    let [used, used_max] = ["bytes", "bytes_max"].map(|name| bytes(number(&attachments[name])));
    let whole = number(&attachments["whole"]);
    line("attached", format!("{whole} files, {used} of {used_max}"))?;
    line("data", member("data_dir"))?;
    let list = |name: &str| {
        let list = status[name].as_array().map(Vec::as_slice);
        list.unwrap_or_default()
    };
    for warning in list("warnings") {
        line("warning", one_line(&text(warning)))?;
    }
    if !list("links").is_empty() {
        let mut table = Table::new([
            "LINK",
            "KIND",
            "NEIGHBOUR",
            "STATE",
            "RTT",
            "LOSS",
            "RATE",
            "IN FLIGHT",
            "SENT",
            "RECEIVED",
            "RATIO",
            "TODAY",
            "WHY",
        ]);
        for link in list("links") {
            let figure = |name: &str, unit: &str| match link[name].as_f64() {
                Some(figure) => format!("{figure:.1} {unit}"),
                None => String::new(),
            };
            table.row([
                text(&link["link"]),
                text(&link["kind"]),
                text(&link["neighbour"]),
                match link["takes"] == "express" {
                    true => format!("{}, urgent only", text(&link["state"])),
                    false => text(&link["state"]),
                },
                figure("rtt_ms", "ms"),
                figure("loss_percent", "%"),
                match link["rate_bps"].as_f64() {
                    Some(rate) => format!("{:.2} Mbit/s", rate / 1e6),
                    None => String::new(),
                },
                bytes(number(&link["in_flight_bytes"])),
                bytes(number(&link["bytes_sent"])),
                bytes(number(&link["bytes_received"])),
                match link["ratio_sent"].as_f64() {
                    Some(ratio) => format!("{ratio:.2}"),
                    None => String::new(),
                },
                today(&link["usage"]),
                match link["error"].is_null() {
                    true => text(&link["usage"]["express_only"]),
                    false => text(&link["error"]),
                },
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    let under_way = attachments["under_way"].as_array().map(Vec::as_slice);
    if let Some(under_way) = under_way.filter(|under_way| !under_way.is_empty()) {
        let mut table = Table::new([
            "ATTACHMENT",
            "WAY",
            "NEIGHBOUR",
            "SIZE",
            "DONE",
            "RATE",
            "LEFT",
        ]);
        for transfer in under_way {
            table.row(transfer_row(transfer));
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if !list("neighbours").is_empty() {
        let mut table = Table::new(["UNIT", "TITLE", "STATE", "LINKS", "SEEN", "WAITING", "SIZE"]);
        for unit in list("neighbours") {
            let state = match (unit["blocked"] == true, unit["connected"] == true) {
                (true, _) => "blocked",
                (_, true) => "connected",
                _ => "away",
            };
            table.row([
                text(&unit["unit"]),
                text(&unit["title"]),
                state.into(),
                text(&unit["links"]),
                moment(&text(&unit["seen"])),
                number(&unit["mailbox"]["messages"]).to_string(),
                bytes(number(&unit["mailbox"]["bytes"])),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    Ok(())
}

/// What a link has carried today, of its budget if it has one.
fn today(usage: &Value) -> String {
    let Some(carried) = usage["today_bytes"].as_u64() else {
        return String::new();
    };
    match usage["budget_bytes"].as_u64() {
        Some(budget) => format!("{} of {}", bytes(carried), bytes(budget)),
        None => bytes(carried),
    }
}

/// A row for an attachment on its way.
fn transfer_row(transfer: &Value) -> [String; 7] {
    let number = |name: &str| transfer[name].as_u64();
    let done = number("bytes").unwrap_or_default();
    let percent = number("size").map(|size| match size {
        0 => 100,
        size => u128::from(done) * 100 / u128::from(size),
    });
    let digest = text(&transfer["digest"]);
    [
        // Enough of it to tell it from others.
        digest.chars().take("blake3:".len() + 16).collect(),
        text(&transfer["way"]),
        text(&transfer["neighbour"]),
        number("size").map(bytes).unwrap_or_default(),
        percent.map_or_else(|| bytes(done), |percent| format!("{percent} %")),
        number("rate_bps").map_or_else(String::new, |rate| format!("{}/s", bytes(rate / 8))),
        number("seconds_left").map_or_else(String::new, |seconds| {
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            format!("{hours}:{minutes:02}:{:02}", seconds % 60)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attachment_on_its_way_is_told_with_what_is_known_of_it() {
        let digest = crate::model::BlobDigest::of(b"a scan");
        let row = transfer_row(&json!({
            "digest": digest, "way": "out", "neighbour": "hebi.hub", "size": 2_000_000, "bytes": 500_000,
            "rate_bps": 800_000, "seconds_left": 3_725,
        }));
        assert_eq!(row[0], digest.to_string()[..23]);
        assert_eq!(row[1..3], ["out", "hebi.hub"]);
        assert_eq!(row[4], "25 %");
        assert_eq!(row[6], "1:02:05");
        let row = transfer_row(&json!({
            "digest": digest, "way": "in", "neighbour": "hebi.hub", "bytes": 0,
        }));
        assert_eq!(row[3], "");
        assert_eq!(row[5..], ["", ""]);
    }
}
