//! `casegate queue`: what waits for neighbours, and what operators do about it.

use std::io::{self, BufWriter, Write};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{ApiOptions, CallError, Client, escaped},
    exit::Failure,
    send::to_json,
    show,
    table::{Table, bytes, moment},
};
use crate::model::{Lane, MessageId, UnitId};

/// Most entries of one call.
const PAGE_MAX: u32 = 1000;

/// See and change what waits for neighbours
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate queue list --all --json | jq -r .messageid\n  \
        casegate queue drop MESSAGEID --reason 'sent by mistake, see note 17'\n\n\
        hold, release, retry, reprioritise and drop are operators' actions and need the operators' token: that of --token-file or \
        CASEGATE_OPERATOR_TOKEN, else that of operator.token in the node's data folder, which its owner may read. All are audited.")]
pub struct QueueCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what waits, the oldest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many entries
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_MAX)))]
        max: u32,
        /// Go on where a page ended
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
        /// Everything, page by page
        #[arg(long, conflicts_with_all = ["max", "cursor"])]
        all: bool,
    },
    /// Tell everything that is known of a message
    Show {
        /// Its messageid
        message: MessageId,
    },
    /// Keep messages, and later ones of their cases, from being sent
    Hold(Named),
    /// Undo a hold
    Release(Named),
    /// Send messages as soon as a session is there
    Retry(Named),
    /// Move messages to another lane
    #[command(alias = "reprioritize")]
    Reprioritise {
        #[command(flatten)]
        named: Named,
        /// flash, urgent, normal or bulk
        #[arg(long, value_name = "LANE")]
        priority: Lane,
    },
    /// End messages; their senders are told why
    Drop {
        #[command(flatten)]
        named: Named,
        /// Why, in words for the sender and the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print everything that waits as JSON lines: each entry with all that is known of its message
    Export {
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// Their messageids
    #[arg(required = true, value_name = "MESSAGEID")]
    messages: Vec<MessageId>,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only what is queued, held or sending
    #[arg(long, value_name = "STATE", value_parser = ["queued", "held", "sending"])]
    state: Option<String>,
    /// Only what waits for this neighbour
    #[arg(long, value_name = "UNIT")]
    neighbour: Option<UnitId>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Value>,
    total: u64,
    next: Option<String>,
}

impl QueueCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`]. Of several messages, those before the one that failed are done.
    pub fn run(self) -> Result<(), Failure> {
        let mut client = Client::new(&self.api)?;
        let (named, action, body) = match self.action {
            Action::List {
                filter,
                max,
                cursor,
                all,
            } => {
                let listing = Listing {
                    client: &client,
                    filter,
                    json: self.json,
                };
                return listing.list(max, cursor, all);
            }
            Action::Export { filter } => {
                let listing = Listing {
                    client: &client,
                    filter,
                    json: true,
                };
                return listing.export();
            }
            Action::Show { message } => return show::show(&client, message, self.json),
            Action::Hold(named) => (named, "hold", json!({})),
            Action::Release(named) => (named, "release", json!({})),
            Action::Retry(named) => (named, "retry", json!({})),
            Action::Reprioritise { named, priority } => {
                (named, "reprioritise", json!({ "priority": priority }))
            }
            Action::Drop { named, reason } => (named, "drop", json!({ "reason": reason })),
        };
        client.as_operator()?;
        let body = to_json(&body)?;
        for message in named.messages {
            let path = format!("/v1/queue/{message}/{action}");
            let answer = client
                .post(&path, "application/json", &body)
                .map_err(|error| Failure::from(error).within(&format!("{message}: "), ""))?;
            let mut out = io::stdout().lock();
            match self.json {
                true => writeln!(out, "{answer}"),
                false => writeln!(out, "{message}: {action} is done"),
            }
            .map_err(|error| Failure::lost(&error))?;
        }
        Ok(())
    }
}

/// Looking through the queue.
struct Listing<'a> {
    client: &'a Client,
    filter: Filter,
    json: bool,
}

impl Listing<'_> {
    fn page(&self, max: u32, cursor: Option<&str>) -> Result<Page, CallError> {
        let mut path = format!("/v1/queue?max={max}");
        let mut ask = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                path += &format!("&{name}={}", escaped(value));
            }
        };
        ask("cursor", cursor);
        ask("state", self.filter.state.as_deref());
        ask(
            "neighbour",
            self.filter.neighbour.as_ref().map(UnitId::as_str),
        );
        self.client.read(&path)
    }

    fn list(&self, max: u32, mut cursor: Option<String>, all: bool) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let max = if all { PAGE_MAX } else { max };
        loop {
            let page = self.page(max, cursor.as_deref())?;
            self.write(&mut out, &page.messages)
                .and_then(|()| out.flush())
                .map_err(|error| Failure::output(&error))?;
            match page.next {
                Some(next) if all => cursor = Some(next),
                Some(next) => {
                    eprintln!(
                        "{} wait in all; go on with --cursor {next}, or take --all",
                        page.total
                    );
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }

    fn write(&self, out: &mut impl Write, entries: &[Value]) -> io::Result<()> {
        if self.json {
            return entries
                .iter()
                .try_for_each(|entry| writeln!(out, "{entry}"));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            "MESSAGEID",
            "FOR",
            "STATE",
            "LANE",
            "KIND",
            "CASE",
            "FROM",
            "SIZE",
            "ACCEPTED",
        ]);
        for entry in entries {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            table.row([
                text("messageid"),
                text("neighbour"),
                text("state"),
                text("priority"),
                text("type"),
                text("caseid"),
                text("from"),
                bytes(entry["bytes"].as_u64().unwrap_or_default()),
                moment(&text("accepted")),
            ]);
        }
        table.write(out)
    }

    fn export(&self) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut cursor = None;
        loop {
            let page = self.page(PAGE_MAX, cursor.as_deref())?;
            for mut entry in page.messages {
                let message = entry["messageid"].as_str().unwrap_or_default();
                let view: Value = match self.client.read(&format!("/v1/messages/{message}")) {
                    Ok(view) => view,
                    // It has left the queue in the meantime.
                    Err(CallError::Refused(refused)) if refused.is("unknown-message") => continue,
                    Err(error) => return Err(error.into()),
                };
                if let (Some(entry), Value::Object(view)) = (entry.as_object_mut(), view) {
                    // The entry speaks of this neighbour, the view of all.
                    for (name, value) in view {
                        entry.entry(name).or_insert(value);
                    }
                }
                writeln!(out, "{entry}").map_err(|error| Failure::output(&error))?;
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return out.flush().map_err(|error| Failure::output(&error)),
            }
        }
    }
}
