//! `casegate send`: one message from a file, or many from a file of CloudEvents.

use std::{
    fs,
    io::{self, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    attach::{self, Attached, Leaving},
    client::{ApiOptions, CallError, Client},
    events,
    exit::{BAD_DATA, Failure, INTERNAL},
    progress::{self, Goal},
    span::span,
};
use crate::{
    cloudevents::Mode,
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
                    true => failure.within(
                        "",
                        &format!("; send it with --id {id} so that it cannot go twice"),
                    ),
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
        data: &Data,
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
        put(attach::NAMES, given(attach::names(attached)));
        for (name, value) in &self.attributes {
            if event
                .insert(name.clone(), Value::String(value.clone()))
                .is_some()
            {
                let text =
                    format!("--attribute {name}: the attribute is given twice; leave one out");
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
        let at = jiff::Timestamp::now().checked_add(from_now).map_err(|_| {
            let text = format!("--expires {text}: lies too far ahead; write at most 90d");
            Failure::new(BAD_DATA, text)
        })?;
        Ok(Some(format!("{at:.3}")))
    }

    fn data(&self) -> Result<Data, Failure> {
        let file = self.file.as_deref().filter(|file| *file != Path::new("-"));
        let (name, bytes) = match file {
            Some(file) => {
                let name = file.display().to_string();
                let opened = fs::File::open(file).map_err(|error| unreadable(&name, &error))?;
                let bytes = read(&name, opened)?;
                (name, bytes)
            }
            None if self.file.is_none() && !self.attach.is_empty() => {
                return Data::new("", None, self.content_type.as_deref(), Vec::new());
            }
            None => {
                let input = io::stdin();
                if input.is_terminal() {
                    eprintln!("the data is read from this terminal; end it with Ctrl-D");
                }
                ("standard input".to_owned(), read("standard input", input)?)
            }
        };
        let given = self.content_type.as_deref();
        Data::new(&name, file, given, bytes)
    }
}

/// The data as a member of an event.
#[derive(Debug)]
struct Data {
    media_type: Option<String>,
    /// `"data":...` or `"data_base64":"..."`; none when there is no data.
    member: Option<String>,
}

impl Data {
    fn new(
        name: &str,
        file: Option<&Path>,
        given: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Self, Failure> {
        if bytes.is_empty() {
            return Ok(Self {
                media_type: given.map(str::to_owned),
                member: None,
            });
        }
        let by_name = file.and_then(Path::extension).and_then(|extension| {
            let extension = extension.to_str()?.to_ascii_lowercase();
            media_types().find_map(|(of, media_type)| (of == extension).then_some(media_type))
        });
        let media_type = given.or(by_name);
        let text = String::from_utf8(bytes);
        if media_type.is_none_or(crate::cloudevents::is_json)
            && let Ok(text) = &text
        {
            match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => {
                    return Ok(Self {
                        media_type: Some(media_type.unwrap_or("application/json").into()),
                        member: Some(format!("\"data\":{value}")),
                    });
                }
                Err(error) if media_type.is_some() => {
                    let text = format!(
                        "{name}: is not JSON: {error}; correct it, or name what it is with --content-type"
                    );
                    return Err(Failure::new(BAD_DATA, text));
                }
                Err(_) => {}
            }
        }
        match text {
            Ok(text) if media_type.is_none_or(|media_type| media_type.starts_with("text/")) => {
                Ok(Self {
                    media_type: Some(media_type.unwrap_or("text/plain").into()),
                    member: Some(format!("\"data\":{}", to_json(&text)?)),
                })
            }
            text => {
                let bytes = text.map_or_else(|error| error.into_bytes(), String::into_bytes);
                Ok(Self {
                    media_type: Some(media_type.unwrap_or("application/octet-stream").into()),
                    member: Some(format!("\"data_base64\":\"{}\"", BASE64.encode(&bytes))),
                })
            }
        }
    }
}

/// What the end of a file's name tells of its content, and the other way round: the first of a type is the one to write.
pub fn media_types() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("json", "application/json"),
        ("txt", "text/plain"),
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("xml", "application/xml"),
        ("pdf", "application/pdf"),
        ("zip", "application/zip"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("tif", "image/tiff"),
        ("tiff", "image/tiff"),
        ("ofd", "application/ofd"),
        ("doc", "application/msword"),
        (
            "docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
    ]
    .into_iter()
}

fn read(name: &str, input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    input
        .take(DATA_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > DATA_BYTES_MAX {
        let mib = DATA_BYTES_MAX >> 20;
        let text = format!("{name}: is larger than {mib} MiB, which no message may be; send less");
        return Err(Failure::new(BAD_DATA, text));
    }
    Ok(bytes)
}

/// A file cannot be read.
pub fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        BAD_DATA,
        format!("{name}: cannot be read: {error}; name what is there and this user may read"),
    )
}

/// One line of JSON.
///
/// # Errors
/// It is a mistake of this program.
pub fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(INTERNAL, format!("no JSON can be made: {error}")))
}

fn random_id() -> Result<String, Failure> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Failure::new(INTERNAL, "the random source failed; give an --id"))?;
    Ok(HEXLOWER.encode(&random))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(file: &str, given: Option<&str>, bytes: &[u8]) -> (Option<String>, Option<String>) {
        let data = Data::new(file, Some(Path::new(file)), given, bytes.to_vec());
        let data = data.expect("data");
        (data.media_type, data.member)
    }

    #[test]
    fn data_goes_as_what_its_name_or_its_content_shows() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            data("a.json", None, b" {\"n\": 1.50}\n"),
            (some("application/json"), some("\"data\":{\"n\": 1.50}"))
        );
        assert_eq!(
            data("a", None, b"[1]"),
            (some("application/json"), some("\"data\":[1]"))
        );
        assert_eq!(
            data("a", None, "烟草\n".as_bytes()),
            (some("text/plain"), some("\"data\":\"烟草\\n\""))
        );
        assert_eq!(
            data("a.pdf", None, b"{}"),
            (some("application/pdf"), some("\"data_base64\":\"e30=\""))
        );
        assert_eq!(
            data("a", None, b"\xff"),
            (
                some("application/octet-stream"),
                some("\"data_base64\":\"/w==\"")
            )
        );
        assert_eq!(
            data("a.json", Some("text/plain"), b"{"),
            (some("text/plain"), some("\"data\":\"{\""))
        );
        assert_eq!(data("a.json", None, b""), (None, None));
        let broken = Data::new("a.json", Some(Path::new("a.json")), None, b"{".to_vec());
        assert_eq!(broken.expect_err("not JSON").code, BAD_DATA);
    }
}
