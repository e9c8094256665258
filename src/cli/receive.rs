//! `casegate receive`: takes messages out of the inbox, and acks them once they are where they were wanted.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    attach,
    client::{ApiOptions, Client},
    exit::{Failure, one_line},
    save,
    send::to_json,
    span::span,
    stop::stop_flag,
    table::fact,
    texts::{fill, t},
};
use crate::model::MessageId;

/// Most messages that are leased at a time: they are written and acked well within a lease.
const PULL_MAX: u32 = 100;
/// How long one call waits, so that Ctrl-C is obeyed soon and a lease that comes with it is given back.
const PULL_WAIT: Duration = Duration::from_secs(1);

/// Take messages out of the inbox
#[derive(Debug, Args)]
#[command(
    long_about = "Take messages out of the inbox. A message is acked, and so not handed out again, once it is printed or, with \
                  --save, on stable storage with its attachments; what is not acked comes again.",
    after_help = "Examples:\n  \
        casegate receive --json | jq .data\n  \
        casegate receive --wait 30s --max 1\n  \
        casegate receive --follow --save /srv/inbox\n\n\
        --save DIR makes DIR and writes MESSAGEID.json, the whole CloudEvent as it came. Data that is not JSON is also written \
        by itself, to MESSAGEID.txt, .pdf, .bin or what its media type says, before that file is there. \
        Attachments are fetched, compared with their digests and written before it too, to MESSAGEID.1.NAME and so on."
)]
pub struct ReceiveCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Take so many messages at most [default: all that are there]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Wait so long for the first one; --follow waits on
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    wait: Duration,
    /// Go on until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Write each message to a file of its own in this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print one JSON object a line: the CloudEvent, or with --save where it is
    #[arg(long)]
    json: bool,
}

/// An event of the inbox.
#[derive(Debug)]
pub struct Received {
    /// Its name.
    pub message: MessageId,
    /// The event as it came.
    pub raw: Box<RawValue>,
    /// The same, read. Numbers in `data` may have lost digits here, and data that is nested too deep for a tree is a text.
    pub event: Value,
}

impl ReceiveCommand {
    /// Takes messages as it was asked.
    ///
    /// # Errors
    /// See [`Failure`]. What was not acked was given back, or will be when its lease ends.
    pub fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.api)?;
        if let Some(folder) = &self.save {
            save::prepare(folder)?;
        }
        let stop = stop_flag()?;
        let first_by = Instant::now() + self.wait;
        let mut taken = 0;
        while !stop.load(Ordering::Relaxed) {
            let left = self.max.map_or(u64::from(PULL_MAX), |max| max - taken);
            if left == 0 {
                break;
            }
            let wait = match (self.follow, taken) {
                (true, _) => PULL_WAIT,
                (false, 0) => first_by
                    .saturating_duration_since(Instant::now())
                    .min(PULL_WAIT),
                (false, _) => Duration::ZERO,
            };
            let max = left.min(PULL_MAX.into());
            let path = format!("/v1/inbox?max={max}&wait={}ms", wait.as_millis());
            let answer = client.get_after(&path, wait)?;
            let messages = read(&client, &answer)?;
            if messages.is_empty() {
                if self.follow || (taken == 0 && Instant::now() < first_by) {
                    continue;
                }
                break;
            }
            let handed_over = match stop.load(Ordering::Relaxed) {
                true => Ok(false),
                false => self.hand_over(&client, &messages).map(|()| true),
            };
            match handed_over {
                Ok(true) => settle(&client, "ack", &messages)?,
                Ok(false) => settle(&client, "release", &messages)?,
                Err(failure) => {
                    // The failure is what counts; without this the leases end by themselves.
                    let _ = settle(&client, "release", &messages);
                    return Err(failure.within("", t().comes_again));
                }
            }
            taken += messages.len() as u64;
        }
        Ok(())
    }

    /// Saves or prints messages; returns once they are there.
    fn hand_over(&self, client: &Client, messages: &[Received]) -> Result<(), Failure> {
        let files = match &self.save {
            Some(folder) => save::save(client, folder, messages)?,
            None => Vec::new(),
        };
        let mut text = String::new();
        for (at, message) in messages.iter().enumerate() {
            let line = match (files.get(at), self.json) {
                (Some(saved), true) => {
                    let mut told = json!({
                        "messageid": message.message,
                        "id": message.event["id"],
                        "source": message.event["source"],
                        "type": message.event["type"],
                        "file": saved.event.to_string_lossy(),
                    });
                    if !saved.attachments.is_empty() {
                        told["attachments"] = json!(saved.attachments);
                    }
                    to_json(&told)?
                }
                (Some(saved), false) => {
                    let attachments = saved.attachments.iter().map(|saved| &saved.file);
                    let files: Vec<_> = [&saved.event].into_iter().chain(attachments).collect();
                    let files = files.iter().map(|file| file.display().to_string());
                    files.collect::<Vec<_>>().join("\n")
                }
                (None, true) => compact(message.raw.get()),
                (None, false) => message.for_people(),
            };
            text.push_str(&line);
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::lost(&error))
    }
}

impl Received {
    /// A head of what people look at first, and the data.
    fn for_people(&self) -> String {
        let mut text = String::new();
        let mut put = |name: &str, member: &str| {
            if let Some(value) = self.event.get(member) {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let value = match member {
                    "priority" => t().lane(&value),
                    _ => value,
                };
                text += &fact(name, &one_line(&value));
                text.push('\n');
            }
        };
        put(t().message, "messageid");
        put(t().id, "id");
        put(t().from, "source");
        put(t().to, "to");
        put(t().kind, "type");
        put(t().case, "caseid");
        put(t().title, "subject");
        put(t().priority, "priority");
        put(t().received, "receivedtime");
        put(t().signed_by, "signedby");
        put(t().data_is, "datacontenttype");
        for (digest, name) in attach::of(&self.event) {
            let name = one_line(&name.unwrap_or_default());
            text += &fact(t().attached, &format!("{digest} {name}\n"));
        }
        text.push('\n');
        if let Some(data) = self.event.get("data") {
            let data = match data.as_str() {
                Some(data) => data.to_owned(),
                None => serde_json::to_string_pretty(data).unwrap_or_else(|_| data.to_string()),
            };
            // Lines are the data's own; nothing else may steer the terminal.
            for line in data.lines() {
                text += &one_line(line);
                text.push('\n');
            }
        } else if let Some(data) = self.event["data_base64"].as_str() {
            let bytes = data.len() / 4 * 3 - data.bytes().rev().take_while(|b| *b == b'=').count();
            text += &fill(t().data_no_text, &[&bytes]);
            text.push('\n');
        }
        text
    }
}

fn read(client: &Client, answer: &str) -> Result<Vec<Received>, Failure> {
    #[derive(Deserialize)]
    struct Named {
        messageid: MessageId,
    }
    let events: Vec<Box<RawValue>> = client.parse(answer)?;
    events
        .into_iter()
        .map(|raw| {
            let Named { messageid } = client.parse(raw.get())?;
            let members: BTreeMap<String, Box<RawValue>> = client.parse(raw.get())?;
            let tree = |raw: &RawValue| -> Value {
                serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().into())
            };
            let event = members.into_iter().map(|(name, raw)| (name, tree(&raw)));
            Ok(Received {
                message: messageid,
                event: event.collect(),
                raw,
            })
        })
        .collect()
}

/// Acks or releases.
fn settle(client: &Client, how: &str, messages: &[Received]) -> Result<(), Failure> {
    let named: Vec<_> = messages.iter().map(|message| message.message).collect();
    let body = to_json(&json!({ "messageids": named }))?;
    client.post(&format!("/v1/inbox/{how}"), "application/json", body)?;
    Ok(())
}

/// A text of JSON on one line: without the white space between its parts, and otherwise as it is, so that numbers keep their digits.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_one_line_keeps_every_digit_and_every_text() {
        let json = "{\n \"a b\" : [ 1.50 , \"x \\\" y\\\\\" ] , \"n\":1e400 }";
        let expected = "{\"a b\":[1.50,\"x \\\" y\\\\\"],\"n\":1e400}";
        assert_eq!(compact(json), expected);
    }
}
