//! `casegate send`: one message from a file, or many from a file of CloudEvents.

use std::{
    fs,
    io::{self, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    attach::{self, Attached, Leaving},
    client::{ApiOptions, CallError, Client},
    events,
    exit::{BAD_DATA, Failure, INTERNAL},
    progress::{self, Goal},
    span::span,
    texts::{fill, t},
};
use crate::{
    cloudevents::{FILE_NAMES, FileData, Mode},
    model::{Kind, Lane, Pattern},
};

/// Largest data that is read, in bytes: what `limits.message-kib` may be set to at most.
const DATA_BYTES_MAX: u64 = 16 << 20;

/// Send a message, or many
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate send --to hebi.police --kind case.transfer --case 2026-0017 transfer.json\n  \
        echo '{\"text\":\"closed\"}' | casegate send --to 'hebi.**' --kind notice --wait delivered\n  \
        casegate send --to hebi.procuratorate --kind case.material --case 2026-0017 --attach scan.pdf --attach video.mp4\n  \
        casegate send --events month.jsonl --json\n\n\
        The messageid is printed; `casegate queue show MESSAGEID` tells what became of it. Sending the same --id (or the same \
        file of events) again is safe: what was accepted before is not sent twice.")]
pub struct SendCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// The receivers: units or patterns, such as hebi.police or hebi.*.tobacco
    #[arg(
        long,
        value_name = "UNIT|PATTERN",
        value_delimiter = ',',
        required_unless_present = "events"
    )]
    to: Vec<Pattern>,
    /// What sort of message it is, such as case.transfer
    #[arg(long, value_name = "KIND", required_unless_present = "events")]
    kind: Option<Kind>,
    /// The case that it belongs to; messages of one case stay in order
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// flash, urgent, normal or bulk [default: the kind's]
    #[arg(long, value_name = "LANE")]
    priority: Option<Lane>,
    /// When it expires: a time of RFC 3339, or a span from now such as 7d [default: the kind's]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Its title
    #[arg(long, visible_alias = "subject", value_name = "TEXT")]
    title: Option<String>,
    /// Its id, unique among this unit's messages [default: a random one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The id of the message that it answers
    #[arg(long, value_name = "ID")]
    in_reply_to: Option<String>,
    /// Another CloudEvents attribute; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// The data's media type [default: what the file's name or its content shows]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A file to attach, of any size; may be given several times
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Send a file of CloudEvents instead, one JSON object a line (- is standard input)
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = [
        "to", "kind", "case", "priority", "expires", "title", "id", "in_reply_to", "attributes", "content_type", "attach", "file",
    ])]
    events: Option<PathBuf>,
    /// Wait until every receiver's part is so far
    #[arg(long, value_enum, default_value_t = Goal::Accepted)]
    wait: Goal,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    wait_timeout: Duration,
    /// Print what the node answers as JSON, one object a message
    #[arg(long)]
    json: bool,
    /// The data; - is standard input, and so is nothing unless files are attached
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What the node answers to an accepted message.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
pub struct Accepted {
    /// The CloudEvents id.
    pub id: String,
    /// The message's name at every node.
    pub messageid: String,
    /// Its state.
    pub state: String,
}

impl SendCommand {
    /// Sends, and prints what was accepted.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.api)?;
        match &self.events {
            Some(file) => {
                let events = events::Events {
                    file,
                    goal: self.wait,
                    within: self.wait_timeout,
                    json: self.json,
                };
                events.send(&client)
            }
            None => self.send_one(&client),
        }
    }

    fn send_one(&self, client: &Client) -> Result<(), Failure> {
        let data = self.data()?;
        #[derive(Deserialize)]
        struct Status {
            unit: String,
        }
        let Status { unit } = client.read("/v1/status")?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => random_id()?,
        };
        let attached = attach::upload(client, &self.attach)?;
        let event = self.event(&unit, &id, &data, &attached)?;
        let answer = client
            .post("/v1/messages", Mode::STRUCTURED, event)
            .map_err(|error| {
                let unknown = matches!(&error, CallError::NotReachable(_));
                let failure = Failure::from(error);
                match unknown {
                    // The node may have it all the same.
                    true => failure.within("", &fill(t().again_with_id, &[&id])),
                    false => failure,
                }
            })?;
        let mut accepted: Accepted = client.parse(&answer)?;
        if self.wait != Goal::Accepted {
            let wait = progress::Wait::new(self.wait, self.wait_timeout);
            let mut leaving = Leaving::of(client, &attached);
            let waited = wait.until_seeing(client, &accepted.messageid, || leaving.look());
            leaving.end();
            accepted.state = waited?;
        }
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", to_json(&accepted)?),
            false => writeln!(out, "{}", accepted.messageid),
        }
        .map_err(|error| Failure::lost(&error))
    }

    /// The event, structured JSON; the data stands in it as it was given.
    fn event(
        &self,
        unit: &str,
        id: &str,
        data: &FileData,
        attached: &[Attached],
    ) -> Result<String, Failure> {
        let mut event = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                event.insert(name.to_owned(), Value::String(value));
            }
        };
        let to: Vec<_> = self.to.iter().map(ToString::to_string).collect();
        put("specversion", Some("1.0".into()));
        put("id", Some(id.into()));
        put("source", Some(format!("/unit/{unit}")));
        put("type", self.kind.as_ref().map(ToString::to_string));
        put("to", Some(to.join(",")));
        put("caseid", self.case.clone());
        put("priority", self.priority.map(|lane| lane.to_string()));
        put("expires", self.expires()?);
        put("subject", self.title.clone());
        put("inreplyto", self.in_reply_to.clone());
        put("datacontenttype", data.media_type.clone());
        let given = |text: String| (!text.is_empty()).then_some(text);
        put("attachments", given(attach::digests(attached)));
        put(FILE_NAMES, given(attach::names(attached)));
        for (name, value) in &self.attributes {
            if event
                .insert(name.clone(), Value::String(value.clone()))
                .is_some()
            {
                let text = fill(t().attribute_twice, &[name]);
                return Err(Failure::new(BAD_DATA, text));
            }
        }
        let mut text = to_json(&event)?;
        if let Some(member) = &data.member {
            // The closing brace makes room for the data.
            text.pop();
            text.push(',');
            text.push_str(member);
            text.push('}');
        }
        Ok(text)
    }

    fn expires(&self) -> Result<Option<String>, Failure> {
        let Some(text) = &self.expires else {
            return Ok(None);
        };
        let Ok(from_now) = span(text) else {
            // A time; the node judges it.
            return Ok(Some(text.clone()));
        };
        let at = jiff::Timestamp::now()
            .checked_add(from_now)
            .map_err(|_| Failure::new(BAD_DATA, fill(t().expires_far, &[text])))?;
        Ok(Some(format!("{at:.3}")))
    }

    fn data(&self) -> Result<FileData, Failure> {
        let given = self.content_type.as_deref();
        let file = self.file.as_deref().filter(|file| *file != Path::new("-"));
        let (name, bytes) = match file {
            Some(file) => {
                let name = file.display().to_string();
                let opened = fs::File::open(file).map_err(|error| unreadable(&name, &error))?;
                let bytes = read(&name, opened)?;
                (name, bytes)
            }
            None if self.file.is_none() && !self.attach.is_empty() => {
                return Ok(FileData {
                    media_type: given.map(str::to_owned),
                    member: None,
                });
            }
            None => {
                let input = io::stdin();
                if input.is_terminal() {
                    eprintln!("{}", t().reads_terminal);
                }
                (
                    t().standard_input.to_owned(),
                    read(t().standard_input, input)?,
                )
            }
        };
        let called = file
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy());
        FileData::new(called.as_deref(), given, bytes)
            .map_err(|error| Failure::new(BAD_DATA, fill(t().data_no_json, &[&name, &error])))
    }
}

fn read(name: &str, input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    input
        .take(DATA_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > DATA_BYTES_MAX {
        let mib = DATA_BYTES_MAX >> 20;
        let text = fill(t().data_too_large, &[&name, &mib]);
        return Err(Failure::new(BAD_DATA, text));
    }
    Ok(bytes)
}

/// A file cannot be read.
pub fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(BAD_DATA, fill(t().unreadable, &[&name, error]))
}

/// One line of JSON.
///
/// # Errors
/// It is a mistake of this program.
pub fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(INTERNAL, fill(t().no_json, &[&error])))
}

fn random_id() -> Result<String, Failure> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Failure::new(INTERNAL, t().no_random))?;
    Ok(HEXLOWER.encode(&random))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(t().attribute_wrong.to_owned()),
    }
}
