//! `casegate pause`, `resume` and `drain`: what goes to a neighbour is stopped and goes on; a node takes nothing new for a while.

use std::{
    io::{self, Write as _},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    client::{ApiOptions, Client},
    exit::{Failure, LATER},
    send::to_json,
    span::span,
    table::bytes,
    texts::{fill, t},
};
use crate::model::{Lane, UnitId};

/// How often a node that is drained is asked how far it has come.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Stop what goes to a neighbour, or one lane of it, until it is resumed
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate pause hebi.hub --lane bulk --reason 'the 3G link is dear today'\n  \
        casegate pause hebi.xunxian.tobacco\n\n\
        Nothing is lost: messages wait, keep their order and go on expiring. A restart of the node changes nothing. An operator's action, and \
        audited.")]
pub struct PauseCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// The neighbour: the hub, or at a hub a unit
    #[arg(value_name = "UNIT")]
    neighbour: UnitId,
    #[command(flatten)]
    rest: Rest,
}

/// Let what was paused for a neighbour go on; without a neighbour, end a drain
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  casegate resume hebi.hub --lane bulk\n  casegate resume hebi.hub\n  casegate resume"
)]
pub struct ResumeCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// The neighbour; none: the node takes submissions again
    #[arg(value_name = "UNIT")]
    neighbour: Option<UnitId>,
    #[command(flatten)]
    rest: Rest,
}

#[derive(Debug, Args)]
struct Rest {
    /// Only this lane: flash, urgent, normal or bulk
    #[arg(long, value_name = "LANE")]
    lane: Option<Lane>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Print what the node answers as JSON
    #[arg(long)]
    json: bool,
}

/// Take no new submissions and go on sending, before maintenance
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate drain --wait 30m && systemctl stop casegate@hub\n  \
        casegate resume\n\n\
        Applications get 503 and are told to come back. `casegate resume`, or a restart, ends it. An administrator's action, and audited. With \
        --wait it ends with 75 when something is still queued by then.")]
pub struct DrainCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// Wait until nothing is queued, at most so long: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", value_parser = span)]
    wait: Option<Duration>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Print what the node answers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Paused {
    paused: Vec<Lane>,
}

#[derive(Deserialize, Serialize)]
struct Drained {
    draining: bool,
    empty: bool,
    queued: Queued,
}

#[derive(Deserialize, Serialize)]
struct Queued {
    messages: u64,
    bytes: u64,
}

impl PauseCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        set(&self.api, &self.neighbour, &self.rest, "pause")
    }
}

impl ResumeCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<(), Failure> {
        if let Some(neighbour) = &self.neighbour {
            return set(&self.api, neighbour, &self.rest, "resume");
        }
        if self.rest.lane.is_some() {
            return Err(Failure::new(super::exit::BAD_DATA, t().resume_lane));
        }
        let mut client = Client::new(&self.api)?;
        client.as_operator()?;
        let body = to_json(&json!({ "reason": self.rest.reason }))?;
        let answer = client.post("/v1/resume", "application/json", body)?;
        say(self.rest.json, &answer, t().node_takes)
    }
}

fn set(api: &ApiOptions, neighbour: &UnitId, rest: &Rest, action: &str) -> Result<(), Failure> {
    let mut client = Client::new(api)?;
    client.as_operator()?;
    let body = match rest.lane {
        Some(lane) => json!({ "lane": lane, "reason": rest.reason }),
        None => json!({ "reason": rest.reason }),
    };
    let path = format!("/v1/neighbours/{neighbour}/{action}");
    let answer = client.post(&path, "application/json", to_json(&body)?)?;
    let Paused { paused } = client.parse(&answer)?;
    let told = match paused.is_empty() {
        true => fill(t().everything_goes, &[neighbour]),
        false => fill(t().lanes_paused, &[neighbour, &t().lanes(&paused)]),
    };
    say(rest.json, &answer, &told)
}

fn say(json: bool, answer: &str, told: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let said = if json { answer } else { told };
    writeln!(out, "{said}").map_err(|error| Failure::lost(&error))
}

impl DrainCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`]; 75 when something is still queued after the wait.
    pub fn run(self) -> Result<(), Failure> {
        let mut client = Client::new(&self.api)?;
        client.as_operator()?;
        let begun = Instant::now();
        let wait = self.wait.unwrap_or_default();
        let asked = to_json(&json!({ "reason": self.reason }))?;
        let mut answer = client.post("/v1/drain", "application/json", asked)?;
        loop {
            let drained: Drained = client.parse(&answer)?;
            let size = bytes(drained.queued.bytes);
            let queued = fill(t().volume, &[&drained.queued.messages, &size]);
            if drained.empty {
                return say(self.json, &answer, t().drained);
            }
            if begun.elapsed() >= wait {
                if self.wait.is_none() {
                    let told = fill(t().draining, &[&queued]);
                    return say(self.json, &answer, &told);
                }
                let text = fill(t().still_queued, &[&queued]);
                return Err(Failure::new(LATER, text));
            }
            thread::sleep(ASK_EVERY.min(wait.saturating_sub(begun.elapsed())));
            // A look, and no second line in the audit log.
            let status: serde_json::Value = client.read("/v1/status")?;
            let queued = &status["queued"];
            let seen = Drained {
                draining: status["draining"] == true,
                empty: queued["messages"] == 0,
                queued: Queued {
                    messages: queued["messages"].as_u64().unwrap_or_default(),
                    bytes: queued["bytes"].as_u64().unwrap_or_default(),
                },
            };
            answer = to_json(&seen)?;
        }
    }
}
