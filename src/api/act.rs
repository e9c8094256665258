//! What operators do to many messages, to neighbours and to the node.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    Action, Api, Drained, Gateway, Problem, QueueFilter, Which, access::Caller, queue, request,
};
use crate::model::{Lane, LaneError, MessageId, Role, UnitId};

/// How many messages one call acts on, unless it says fewer.
pub(super) const MESSAGES_MAX: u32 = 500;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 512;
/// Longest age that a filter names.
const AGE_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Actions {
    action: String,
    messageids: Option<Vec<String>>,
    filter: Option<Filter>,
    priority: Option<String>,
    #[serde(default)]
    reason: String,
    cursor: Option<String>,
    max: Option<u32>,
}

/// Which part of the queue, in a query or a body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) state: Option<String>,
    pub(super) neighbour: Option<String>,
    pub(super) lane: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) case: Option<String>,
    #[serde(rename = "older-than")]
    pub(super) older_than: Option<String>,
}

impl Filter {
    pub(super) fn read(self) -> Result<QueueFilter, Problem> {
        Ok(QueueFilter {
            state: self.state.as_deref().map(queue::state).transpose()?,
            neighbour: self
                .neighbour
                .map(|unit| unit_of("neighbour", &unit))
                .transpose()?,
            lane: self.lane.map(|text| lane_of("lane", &text)).transpose()?,
            kind: super::find::pattern("kind", self.kind)?,
            case: super::find::text("case", self.case)?,
            older_than: self
                .older_than
                .map(|text| age(&text))
                .transpose()?
                .map(|age| age.as_millis() as u64),
        })
    }
}

/// An age such as `90s`, `30m`, `12h` or `7d`.
fn age(text: &str) -> Result<Duration, Problem> {
    let wrong = || Problem::invalid("older-than", "write an age as 90s, 30m, 12h or 7d");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)).min(AGE_MAX))
}

fn unit_of(name: &str, text: &str) -> Result<UnitId, Problem> {
    text.parse()
        .map_err(|error: crate::model::UnitIdError| Problem::invalid(name, error.to_string()))
}

pub(super) fn lane_of(name: &str, text: &str) -> Result<Lane, Problem> {
    text.parse()
        .map_err(|error: LaneError| Problem::invalid(name, error.to_string()))
}

#[derive(Serialize)]
struct Acted<'a> {
    action: &'a str,
    done: u64,
    refused: Vec<Refused>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Refused {
    messageid: MessageId,
    why: String,
}

/// `POST /v1/queue/actions`: the same to several messages, or to all that fit, so many a call.
pub(super) async fn actions<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let asked: Actions = request::json(&api.bodies, body).await?;
    let reason = reason(&asked.reason)?;
    let action = action(&asked.action, asked.priority.as_deref(), reason)?;
    let which = match (asked.messageids, asked.filter) {
        (Some(named), None) => Which::Messages(messages(&named)?),
        (None, Some(filter)) => Which::Fitting {
            filter: filter.read()?,
            cursor: queue::cursor(asked.cursor)?,
            max: asked.max.unwrap_or(MESSAGES_MAX).clamp(1, MESSAGES_MAX),
        },
        _ => {
            let detail =
                "write either messageids or filter; an empty filter, {}, means all that waits";
            return Err(Problem::invalid("filter", detail));
        }
    };
    let name = action.as_str();
    let acted = api.gateway.act_on(actor, which, action, reason).await?;
    Ok(request::answer(Acted {
        action: name,
        done: acted.done,
        refused: acted
            .refused
            .into_iter()
            .map(|(messageid, refusal)| Refused {
                messageid,
                why: refusal.detail,
            })
            .collect(),
        more: acted.next.is_some(),
        cursor: acted.next,
    }))
}

pub(super) fn messages(named: &[String]) -> Result<Vec<MessageId>, Problem> {
    if named.is_empty() || named.len() > MESSAGES_MAX as usize {
        let detail = format!("name 1 to {MESSAGES_MAX} messages a call");
        return Err(
            Problem::invalid("messageids", detail).bounded("messageids", MESSAGES_MAX.into())
        );
    }
    let mut messages = named
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                let text: String = text.chars().take(64).collect();
                Problem::invalid("messageids", format!("\"{text}\" is no messageid"))
            })
        })
        .collect::<Result<Vec<MessageId>, _>>()?;
    messages.sort_unstable();
    messages.dedup();
    Ok(messages)
}

pub(super) fn reason(text: &str) -> Result<&str, Problem> {
    let reason = text.trim();
    if reason.len() > REASON_BYTES_MAX {
        let detail = format!("write at most {REASON_BYTES_MAX} bytes");
        return Err(Problem::invalid("reason", detail));
    }
    Ok(reason)
}

fn action(name: &str, priority: Option<&str>, reason: &str) -> Result<Action, Problem> {
    let told = || match reason {
        "" => Err(Problem::invalid(
            "reason",
            "the senders are told why: write at least a word",
        )),
        reason => Ok(reason.to_owned()),
    };
    Ok(match name {
        "hold" => Action::Hold,
        "release" => Action::Release,
        "retry" => Action::Retry,
        "reprioritise" => Action::Reprioritise(lane_of("priority", priority.unwrap_or_default())?),
        "drop" => Action::Drop(told()?),
        "expire" => Action::Expire(told()?),
        _ => {
            let detail = "write hold, release, retry, reprioritise, expire or drop";
            return Err(Problem::invalid("action", detail));
        }
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    lane: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
struct Paused {
    neighbour: UnitId,
    paused: Vec<Lane>,
}

/// `POST /v1/neighbours/{unit}/pause`.
pub(super) async fn pause<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    path: request::NamedInPath,
    body: Body,
) -> Result<Response, Problem> {
    set_paused(&api, &caller, path, body, true).await
}

/// `POST /v1/neighbours/{unit}/resume`.
pub(super) async fn resume<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    path: request::NamedInPath,
    body: Body,
) -> Result<Response, Problem> {
    set_paused(&api, &caller, path, body, false).await
}

async fn set_paused<G: Gateway>(
    api: &Api<G>,
    caller: &Caller,
    path: request::NamedInPath,
    body: Body,
    paused: bool,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let unit = path.ok().and_then(|Path(text)| text.parse::<UnitId>().ok());
    let neighbour = unit.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-neighbour",
            "no such neighbour is known here",
            "the path names no unit; /v1/units lists the neighbours",
        )
    })?;
    let Lanes { lane, reason: text } = request::json_or_nothing(&api.bodies, body).await?;
    let lane = lane.map(|text| lane_of("lane", &text)).transpose()?;
    let reason = reason(&text)?;
    let unit = neighbour.clone();
    let paused = api
        .gateway
        .set_paused(actor, unit, lane, paused, reason)
        .await?;
    Ok(request::answer(Paused { neighbour, paused }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    #[serde(default)]
    reason: String,
}

/// `POST /v1/drain`.
pub(super) async fn drain<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    set_drained(&api, &caller, body, true).await
}

/// `POST /v1/resume`.
pub(super) async fn end_drain<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    set_drained(&api, &caller, body, false).await
}

async fn set_drained<G: Gateway>(
    api: &Api<G>,
    caller: &Caller,
    body: Body,
    drained: bool,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Administrator)?;
    let Why { reason: text } = request::json_or_nothing(&api.bodies, body).await?;
    let reason = reason(&text)?;
    let drained: Drained = api.gateway.set_drained(actor, drained, reason).await?;
    Ok(request::answer(drained))
}
