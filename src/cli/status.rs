//! `casegate status`: a node in numbers, its links and the units that it knows.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value};

use super::{
    client::{ApiOptions, Client},
    exit::{Failure, one_line},
    send::to_json,
    show::text,
    table::{Table, bytes, fact, moment},
    texts::{Language, fill, language, t},
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
        let spoken = match self.json {
            // Programs read it.
            true => Language::English,
            false => language(),
        };
        let client = Client::new(&self.api)?.speaking(spoken);
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
        fill(t().volume, &[&number(&volume["messages"]), &size])
    };
    let mut line = |name: &str, value: String| writeln!(out, "{}", fact(name, &value));
    line(t().unit, member("unit"))?;
    line(t().version, member("version"))?;
    if status["listens"] == true {
        line(t().hub, fill(t().knows_units, &[&member("units")]))?;
    }
    if status.get("upstream").is_some() {
        line(t().upstream, member("upstream"))?;
    }
    line(t().started, moment(&member("started")))?;
    let ready = match status["ready"] == true {
        true => t().takes,
        false => t().takes_not,
    };
    line(t().state, ready.into())?;
    line(t().sessions, member("sessions"))?;
    line(t().queued, volume("queued"))?;
    line(t().inbox, volume("inbox"))?;
    line(
        t().awaiting,
        fill(t().awaiting_of, &[&member("awaiting_receipts")]),
    )?;
    let journal = bytes(number(&status["journal_bytes"]));
    let journal_max = bytes(number(&status["journal_bytes_max"]));
    line(t().journal, fill(t().of_bound, &[&journal, &journal_max]))?;
    let attachments = &status["attachments"];
    let [used, used_max] = ["bytes", "bytes_max"].map(|name| bytes(number(&attachments[name])));
    let whole = number(&attachments["whole"]);
    let files = fill(t().files_of_bound, &[&whole, &used, &used_max]);
    line(t().attached, files)?;
    line(t().data_folder, member("data_dir"))?;
    let list = |name: &str| {
        let list = status[name].as_array().map(Vec::as_slice);
        list.unwrap_or_default()
    };
    for warning in list("warnings") {
        line(t().warning_name, one_line(&text(warning)))?;
    }
    if !list("links").is_empty() {
        let mut table = Table::new([
            t().head_link,
            t().head_kind,
            t().head_neighbour,
            t().head_state,
            t().head_rtt,
            t().head_loss,
            t().head_capacity,
            t().head_in_flight,
            t().head_sent,
            t().head_received,
            t().head_ratio,
            t().head_today,
            t().head_why,
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
                t().link_state(&text(&link["state"]), &text(&link["takes"])),
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
            t().head_attachment,
            t().head_way,
            t().head_neighbour,
            t().head_size,
            t().head_done,
            t().head_rate,
            t().head_left,
        ]);
        for transfer in under_way {
            table.row(transfer_row(transfer));
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if !list("neighbours").is_empty() {
        let mut table = Table::new([
            t().head_unit,
            t().head_unit_title,
            t().head_state,
            t().head_links,
            t().head_seen,
            t().head_waiting,
            t().head_size,
        ]);
        for unit in list("neighbours") {
            let state = match (unit["blocked"] == true, unit["connected"] == true) {
                (true, _) => t().blocked,
                (_, true) => t().connected,
                _ => t().away,
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
        Some(budget) => fill(t().of_budget, &[&bytes(carried), &bytes(budget)]),
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
        t().way(&text(&transfer["way"])),
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
