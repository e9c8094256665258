//! A message for people: its head, its receivers, its timeline.

use std::io::{self, Write};

use serde_json::Value;

use super::{
    client::Client,
    exit::{Failure, one_line},
    table::{Table, bytes, fact, moment},
    texts::{self, t},
};
use crate::model::MessageId;

/// Members of a step that have a column, or are said by the column's name.
const STEP_COLUMNS: [&str; 3] = ["at", "step", "receiver"];

/// `casegate queue show`: prints what the node knows of a message.
///
/// # Errors
/// The message is not known, or the node cannot say.
pub fn show(client: &Client, message: MessageId, json: bool) -> Result<(), Failure> {
    let answer = client.get(&format!("/v1/messages/{message}"))?;
    let mut out = io::stdout().lock();
    let written = if json {
        writeln!(out, "{answer}")
    } else {
        let view: Value = client.parse(&answer)?;
        write(&mut out, &view)
    };
    written.map_err(|error| Failure::output(&error))
}

fn write(out: &mut impl Write, view: &Value) -> io::Result<()> {
    for (name, member) in [
        (t().message, "messageid"),
        (t().id, "id"),
        (t().from, "from"),
        (t().to, "to"),
        (t().kind, "type"),
        (t().case, "caseid"),
        (t().title, "subject"),
        (t().priority, "priority"),
        (t().state, "state"),
        (t().accepted, "accepted"),
        (t().expires, "expires"),
    ] {
        if let Some(value) = view.get(member) {
            let value = text(value);
            let value = match member {
                "accepted" | "expires" => moment(&value),
                "priority" => t().lane(&value),
                "state" => t().state(&value),
                _ => one_line(&value),
            };
            writeln!(out, "{}", fact(name, &value))?;
        }
    }
    if let Some(size) = view["bytes"].as_u64() {
        writeln!(out, "{}", fact(t().size, &bytes(size)))?;
    }
    let list = |name: &str| view[name].as_array().map(Vec::as_slice).unwrap_or_default();
    if !list("receivers").is_empty() {
        let mut table = Table::new([
            t().head_receiver,
            t().head_state,
            t().head_since,
            t().head_why,
        ]);
        for receiver in list("receivers") {
            let member = |name: &str| text(&receiver[name]);
            let why = [texts::reason(&member("reason")), member("note")];
            table.row([
                member("receiver"),
                t().state(&member("state")),
                moment(&member("at")),
                why.join(" ").trim().to_owned(),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if !list("timeline").is_empty() {
        let mut table = Table::new([
            t().head_time,
            t().head_step,
            t().head_receiver,
            t().head_more,
        ]);
        for step in list("timeline") {
            let members = step.as_object().into_iter().flatten();
            let more = members
                .filter(|(name, _)| !STEP_COLUMNS.contains(&name.as_str()))
                .map(|(name, value)| format!("{name}={}", text(value)));
            table.row([
                moment(&text(&step["at"])),
                texts::step(&text(&step["step"])),
                text(&step["receiver"]),
                more.collect::<Vec<_>>().join(" "),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    Ok(())
}

/// A value as people write it; nothing for what is not there.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
