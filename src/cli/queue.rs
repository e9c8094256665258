//! `casegate queue`: what waits for neighbours, and what operators do about it.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{ApiOptions, CallError, Client, escaped},
    exit::{BAD_DATA, Failure},
    send::to_json,
    show, stick,
    table::{Table, bytes, moment},
    texts::{fill, t},
};
use crate::{
    csv,
    model::{Lane, MessageId, Pattern, UnitId},
};

/// Most entries of one call.
const PAGE_MAX: u32 = 1000;

/// See and change what waits for neighbours
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate queue list --all --json | jq -r .messageid\n  \
        casegate queue list --all --csv > queue.csv\n  \
        casegate queue drop MESSAGEID --reason 'sent by mistake, see note 17'\n  \
        casegate queue export --out /media/stick/queue.casegate --neighbour hebi.hub\n  \
        casegate queue expire --all --kind statistics.monthly --older-than 7d --reason 'the month is over'\n\n\
        hold, release, retry, reprioritise, expire and drop are operators' actions and need the operators' token: that of --token-file or \
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
        /// Print a table for a spreadsheet (RFC 4180)
        #[arg(long, conflicts_with = "json")]
        csv: bool,
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
    /// End messages as if their time were over; their senders are told why
    Expire {
        #[command(flatten)]
        named: Named,
        /// Why, in words for the sender and the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Write what waits for a neighbour to a file that is imported there, for the day when the link is a stick; without --out,
    /// print everything that waits as JSON lines, each entry with all that is known of its message
    Export {
        /// The file to make, and PATH.2 and so on when one does not take it all; needs an administrator's token
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT", requires = "out")]
        reason: Option<String>,
        /// With --out: only these messages
        #[arg(value_name = "MESSAGEID", requires = "out")]
        messages: Vec<MessageId>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// Their messageids
    #[arg(required_unless_present = "all", value_name = "MESSAGEID")]
    messages: Vec<MessageId>,
    /// All that wait and fit --state, --neighbour, --lane, --kind, --case and --older-than
    #[arg(long, conflicts_with = "messages")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only what is queued, held or sending
    #[arg(long, value_name = "STATE", value_parser = ["queued", "held", "sending"])]
    state: Option<String>,
    /// Only what waits for this neighbour
    #[arg(long, value_name = "UNIT")]
    neighbour: Option<UnitId>,
    /// Only what waits in this lane: flash, urgent, normal or bulk
    #[arg(long, value_name = "LANE")]
    lane: Option<Lane>,
    /// Only kinds that this matches, such as case.*
    #[arg(long, value_name = "KIND")]
    kind: Option<Pattern>,
    /// Only this case
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Only what came here at least so long ago: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE")]
    older_than: Option<String>,
}

impl Filter {
    /// Its members by the names that the API has for them, those that are set.
    fn members(&self) -> Vec<(&'static str, String)> {
        let text = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string);
        let members = [
            ("state", self.state.clone()),
            (
                "neighbour",
                text(self.neighbour.as_ref().map(|v| v as &dyn std::fmt::Display)),
            ),
            (
                "lane",
                text(self.lane.as_ref().map(|v| v as &dyn std::fmt::Display)),
            ),
            (
                "kind",
                text(self.kind.as_ref().map(|v| v as &dyn std::fmt::Display)),
            ),
            ("case", self.case.clone()),
            ("older-than", self.older_than.clone()),
        ];
        let set = members.into_iter();
        set.filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
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
                csv,
            } => {
                let listing = Listing {
                    client: &client,
                    filter,
                    shape: match (self.json, csv) {
                        (true, _) => Shape::Json,
                        (_, true) => Shape::Csv,
                        _ => Shape::Table,
                    },
                };
                return listing.list(max, cursor, all);
            }
            Action::Export {
                out: Some(out),
                reason,
                messages,
                filter,
            } => {
                client.as_operator()?;
                let ask = to_export(&messages, &filter, reason)?;
                return stick::export(&client, ask, &out, self.json);
            }
            Action::Export { filter, .. } => {
                let listing = Listing {
                    client: &client,
                    filter,
                    shape: Shape::Json,
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
            Action::Expire { named, reason } => (named, "expire", json!({ "reason": reason })),
        };
        client.as_operator()?;
        if named.all {
            return act_on_all(&client, &named.filter, action, body, self.json);
        }
        if !named.filter.members().is_empty() {
            return Err(Failure::new(BAD_DATA, t().named_and_filter));
        }
        let body = to_json(&body)?;
        for message in named.messages {
            let path = format!("/v1/queue/{message}/{action}");
            let answer = client
                .post(&path, "application/json", &body)
                .map_err(|error| {
                    Failure::from(error).within(&format!("{message}{}", t().colon), "")
                })?;
            let mut out = io::stdout().lock();
            match self.json {
                true => writeln!(out, "{answer}"),
                false => writeln!(out, "{message}{}{}", t().colon, done(action)),
            }
            .map_err(|error| Failure::lost(&error))?;
        }
        Ok(())
    }
}

/// What a file is to have: these messages, or all that fit.
fn to_export(
    messages: &[MessageId],
    filter: &Filter,
    reason: Option<String>,
) -> Result<Value, Failure> {
    let mut members: serde_json::Map<String, Value> = filter
        .members()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut ask = json!({ "reason": reason.unwrap_or_default() });
    if messages.is_empty() {
        ask["filter"] = members.into();
        return Ok(ask);
    }
    if let Some(neighbour) = members.remove("neighbour") {
        ask["neighbour"] = neighbour;
    }
    if !members.is_empty() {
        return Err(Failure::new(BAD_DATA, t().named_but_neighbour));
    }
    let names = messages.iter().map(ToString::to_string);
    ask["messageids"] = names.collect::<Vec<_>>().into();
    Ok(ask)
}

#[derive(Deserialize)]
struct Acted {
    done: u64,
    refused: Vec<Value>,
    cursor: Option<String>,
}

/// Acts on all that fit, call by call. Those that are done stay done when a later call fails.
fn act_on_all(
    client: &Client,
    filter: &Filter,
    action: &str,
    mut body: Value,
    json: bool,
) -> Result<(), Failure> {
    let members = filter.members().into_iter();
    let filter: serde_json::Map<_, _> = members
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    body["action"] = action.into();
    body["filter"] = filter.into();
    let (mut acted_on, mut refused) = (0, 0);
    let mut out = io::stdout().lock();
    loop {
        let answer = client
            .post("/v1/queue/actions", "application/json", to_json(&body)?)
            .map_err(|error| {
                Failure::from(error).within(&fill(t().after_messages, &[&acted_on]), "")
            })?;
        let acted: Acted = client.parse(&answer)?;
        acted_on += acted.done;
        refused += acted.refused.len();
        if json {
            writeln!(out, "{answer}").map_err(|error| Failure::lost(&error))?;
        }
        match acted.cursor {
            Some(cursor) => body["cursor"] = cursor.into(),
            None => break,
        }
    }
    if json {
        return Ok(());
    }
    let told = match refused {
        0 => fill(t().done_to, &[&done(action), &acted_on]),
        more => fill(t().done_to_some, &[&done(action), &acted_on, &more]),
    };
    writeln!(out, "{told}").map_err(|error| Failure::lost(&error))
}

/// That an action is done.
fn done(action: &str) -> &'static str {
    match action {
        "hold" => t().done_hold,
        "release" => t().done_release,
        "retry" => t().done_retry,
        "reprioritise" => t().done_reprioritise,
        "expire" => t().done_expire,
        _ => t().done_drop,
    }
}

/// A value of an entry in a spreadsheet's cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Looking through the queue.
struct Listing<'a> {
    client: &'a Client,
    filter: Filter,
    shape: Shape,
}

/// How entries are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// For a spreadsheet.
    Csv,
}

/// What of an entry a spreadsheet is given, by the names that the API has for it.
const COLUMNS: [&str; 12] = [
    "messageid",
    "neighbour",
    "state",
    "exported",
    "paused",
    "priority",
    "type",
    "caseid",
    "from",
    "bytes",
    "accepted",
    "expires",
];

impl Listing<'_> {
    fn page(&self, max: u32, cursor: Option<&str>) -> Result<Page, CallError> {
        let mut path = format!("/v1/queue?max={max}");
        let mut ask = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                path += &format!("&{name}={}", escaped(value));
            }
        };
        ask("cursor", cursor);
        for (name, value) in self.filter.members() {
            ask(name, Some(&value));
        }
        self.client.read(&path)
    }

    fn list(&self, max: u32, mut cursor: Option<String>, all: bool) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let max = if all { PAGE_MAX } else { max };
        if self.shape == Shape::Csv {
            let mut head = String::new();
            csv::line(&mut head, &COLUMNS);
            out.write_all(head.as_bytes())
                .map_err(|error| Failure::output(&error))?;
        }
        loop {
            let page = self.page(max, cursor.as_deref())?;
            self.write(&mut out, &page.messages)
                .and_then(|()| out.flush())
                .map_err(|error| Failure::output(&error))?;
            match page.next {
                Some(next) if all => cursor = Some(next),
                Some(next) => {
                    eprintln!("{}", fill(t().more_wait, &[&page.total, &next]));
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }

    fn write(&self, out: &mut impl Write, entries: &[Value]) -> io::Result<()> {
        match self.shape {
            Shape::Table => {}
            Shape::Json => {
                let mut entries = entries.iter();
                return entries.try_for_each(|entry| writeln!(out, "{entry}"));
            }
            Shape::Csv => {
                return entries.iter().try_for_each(|entry| {
                    let mut text = String::new();
                    csv::line(&mut text, &COLUMNS.map(|name| cell(&entry[name])));
                    out.write_all(text.as_bytes())
                });
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            t().head_message,
            t().head_for,
            t().head_state,
            t().head_lane,
            t().head_kind,
            t().head_case,
            t().head_from,
            t().head_size,
            t().head_accepted,
        ]);
        for entry in entries {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let state = t().state(&text("state"));
            table.row([
                text("messageid"),
                text("neighbour"),
                match (entry["exported"] == true, entry["paused"] == true) {
                    (true, _) => fill(t().state_exported, &[&state]),
                    (_, true) => fill(t().state_paused, &[&state]),
                    _ => state,
                },
                t().lane(&text("priority")),
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
