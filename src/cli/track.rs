//! `casegate track`: the circulation of one case.

use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use super::{
    client::{ApiOptions, CallError, Client, escaped},
    exit::{BAD_DATA, Failure, one_line},
    receive::compact,
    show::text,
    table::{Table, moment},
};

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
    case: String,
}

impl TrackCommand {
    /// Prints the case's circulation.
    ///
    /// # Errors
    /// The case is not known, or the node cannot say.
    pub fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.api)?;
        let answer = client
            .get(&format!("/v1/cases/{}", escaped(&self.case)))
            .map_err(|error| match error {
                // The path itself is not known.
                CallError::Refused(refused) if refused.is("not-found") => Failure::new(
                    BAD_DATA,
                    format!(
                        "{}: this node keeps no circulation of cases; ask one that does, or run a newer casegate there",
                        client.api()
                    ),
                ),
                error => error.into(),
            })?;
        let mut out = io::stdout().lock();
        let written = if self.json {
            writeln!(out, "{}", compact(&answer))
        } else {
            let view: Value = client.parse(&answer)?;
            self.write(&mut out, &view)
        };
        written.map_err(|error| Failure::output(&error))
    }

    fn write(&self, out: &mut impl Write, view: &Value) -> io::Result<()> {
        let messages = view["messages"].as_array().map(Vec::as_slice);
        let messages = messages.unwrap_or_default();
        writeln!(
            out,
            "case {}: {} messages",
            one_line(&self.case),
            messages.len()
        )?;
        if messages.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            "ACCEPTED",
            "KIND",
            "FROM",
            "TO",
            "STATE",
            "TITLE",
            "MESSAGEID",
        ]);
        for message in messages {
            let member = |name: &str| text(&message[name]);
            table.row([
                moment(&member("accepted")),
                member("type"),
                member("from"),
                member("to"),
                member("state"),
                member("subject"),
                member("messageid"),
            ]);
        }
        table.write(out)
    }
}
