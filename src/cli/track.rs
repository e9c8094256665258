//! `casegate track`: the circulation of one case.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value};

use super::{
    client::{ApiOptions, CallError, Client, escaped},
    exit::{BAD_DATA, Failure, one_line},
    show::text,
    table::{Table, moment},
    texts::{fill, t},
};

/// Most messages of one call.
const PAGE_MAX: u32 = 1000;

/// Follow one case: every message of it that this node knows
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  casegate track 2026-0017")]
pub struct TrackCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Print what the node answers as one JSON object
    #[arg(long)]
    json: bool,
    /// The case, as --case and caseid have it
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    case: String,
}

impl TrackCommand {
    /// Prints the case's circulation.
    ///
    /// # Errors
    /// The case is not known, or the node cannot say.
    pub fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.api)?;
        let circulation = self.circulation(&client)?;
        let mut out = io::stdout().lock();
        let written = match self.json {
            true => writeln!(out, "{circulation}"),
            false => self.write(&mut out, &circulation),
        };
        written.map_err(|error| Failure::output(&error))
    }

    /// The pages of the answer as one.
    fn circulation(&self, client: &Client) -> Result<Value, Failure> {
        let path = format!("/v1/cases/{}?max={PAGE_MAX}", escaped(&self.case));
        let mut whole = self.page(client, &path)?;
        while let Some(Value::String(cursor)) = whole.remove("next") {
            let mut page = self.page(client, &format!("{path}&cursor={}", escaped(&cursor)))?;
            if let (Some(Value::Array(messages)), Some(Value::Array(more))) =
                (whole.get_mut("messages"), page.get_mut("messages"))
            {
                messages.append(more);
            }
            whole.extend(page.remove_entry("next"));
        }
        Ok(whole.into())
    }

    fn page(&self, client: &Client, path: &str) -> Result<Map<String, Value>, Failure> {
        client.read(path).map_err(|error| match error {
            // The path itself is not known.
            CallError::Refused(refused) if refused.is("not-found") => {
                Failure::new(BAD_DATA, fill(t().no_circulation, &[client.api()]))
            }
            error => error.into(),
        })
    }

    fn write(&self, out: &mut impl Write, view: &Value) -> io::Result<()> {
        let messages = view["messages"].as_array().map(Vec::as_slice);
        let messages = messages.unwrap_or_default();
        let in_short = fill(t().case_in_short, &[&one_line(&self.case), &messages.len()]);
        writeln!(out, "{in_short}")?;
        for gap in view["incomplete"].as_array().into_iter().flatten() {
            let [at, why] = ["at", "why"].map(|name| one_line(&text(&gap[name])));
            let told = fill(t().may_be_missing, &[&at, &why]);
            eprintln!("{}{told}", t().warning);
        }
        if messages.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            t().head_accepted,
            t().head_kind,
            t().head_from,
            t().head_to,
            t().head_lane,
            t().head_state,
            t().head_title,
            t().head_message,
        ]);
        for message in messages {
            let member = |name: &str| text(&message[name]);
            table.row([
                moment(&member("accepted")),
                member("type"),
                member("from"),
                member("to"),
                t().lane(&member("priority")),
                t().state(&member("state")),
                member("subject"),
                member("messageid"),
            ]);
        }
        table.write(out)
    }
}
