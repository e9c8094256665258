//! What waits for neighbours, and what operators do about it.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    Action, Actor, Api, Gateway, Problem, QueueAsk, access::Caller, act::Filter, find, request,
};
use crate::model::{Lane, MessageId, ReceiptItem, Role, State as MessageState};

/// How many entries a page has unless the call says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// Longest cursor, in bytes.
const CURSOR_BYTES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct List {
    max: Option<String>,
    cursor: Option<String>,
    state: Option<String>,
    neighbour: Option<String>,
    lane: Option<String>,
    kind: Option<String>,
    case: Option<String>,
    #[serde(rename = "older-than")]
    older_than: Option<String>,
}

/// A state that what is queued may be in.
pub(super) fn state(text: &str) -> Result<MessageState, Problem> {
    match text {
        "queued" => Ok(MessageState::Queued),
        "held" => Ok(MessageState::Held),
        "sending" => Ok(MessageState::Sending),
        _ => Err(Problem::invalid("state", "write queued, held or sending")),
    }
}

/// Where the page before ended, if there was one.
pub(super) fn cursor(given: Option<String>) -> Result<Option<String>, Problem> {
    let cursor = find::given(given);
    if cursor.as_ref().is_some_and(|c| c.len() > CURSOR_BYTES_MAX) {
        return Err(Problem::invalid("cursor", "is not one that this node gave"));
    }
    Ok(cursor)
}

/// `GET /v1/queue`: a page of it.
pub(super) async fn list<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Response, Problem> {
    let list = request::parameters(query)?;
    let max = request::count("max", list.max.as_deref(), PAGE_DEFAULT, PAGE_MAX)?;
    let cursor = cursor(list.cursor)?;
    let filter = Filter {
        state: find::given(list.state),
        neighbour: find::given(list.neighbour),
        lane: find::given(list.lane),
        kind: list.kind,
        case: list.case,
        older_than: find::given(list.older_than),
    };
    let ask = QueueAsk {
        max,
        cursor,
        filter: filter.read()?,
    };
    Ok(request::answer(api.gateway.queue(ask).await?))
}

#[derive(Debug, Deserialize)]
struct Nothing {}

#[derive(Debug, Deserialize)]
struct Reprioritise {
    priority: String,
}

#[derive(Debug, Deserialize)]
struct Drop {
    reason: String,
}

/// `POST /v1/queue/{messageid}/hold`.
pub(super) async fn hold<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    plain(&api, path, &caller, body, Action::Hold).await
}

/// `POST /v1/queue/{messageid}/release`.
pub(super) async fn release<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    plain(&api, path, &caller, body, Action::Release).await
}

/// `POST /v1/queue/{messageid}/retry`.
pub(super) async fn retry<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    plain(&api, path, &caller, body, Action::Retry).await
}

/// `POST /v1/queue/{messageid}/reprioritise` with `{"priority": LANE}`.
pub(super) async fn reprioritise<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let message = request::message(path)?;
    let Reprioritise { priority } = request::json(&api.bodies, body).await?;
    let lane: Lane = priority.parse().map_err(|error: crate::model::LaneError| {
        Problem::invalid("priority", error.to_string())
    })?;
    act(&api, actor, message, Action::Reprioritise(lane)).await
}

/// `POST /v1/queue/{messageid}/drop` with `{"reason": TEXT}`, which is not empty.
pub(super) async fn drop<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    end(&api, path, &caller, body, Action::Drop).await
}

/// `POST /v1/queue/{messageid}/expire` with `{"reason": TEXT}`, which is not empty.
pub(super) async fn expire<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    end(&api, path, &caller, body, Action::Expire).await
}

/// An action that ends a message.
async fn end<G: Gateway>(
    api: &Api<G>,
    path: request::NamedInPath,
    caller: &Caller,
    body: Body,
    action: impl FnOnce(String) -> Action,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let message = request::message(path)?;
    let Drop { reason } = request::json(&api.bodies, body).await?;
    let reason = reason.trim();
    let bytes_max = ReceiptItem::NOTE_BYTES_MAX;
    if reason.is_empty() || reason.len() > bytes_max {
        let detail = format!("the sender is told why: write 1 to {bytes_max} bytes");
        return Err(Problem::invalid("reason", detail));
    }
    act(api, actor, message, action(reason.to_owned())).await
}

/// An action that needs no more than a message.
async fn plain<G: Gateway>(
    api: &Api<G>,
    path: request::NamedInPath,
    caller: &Caller,
    body: Body,
    action: Action,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let message = request::message(path)?;
    let Nothing {} = request::json_or_nothing(&api.bodies, body).await?;
    act(api, actor, message, action).await
}

#[derive(Serialize)]
struct Done {
    messageid: MessageId,
    done: &'static str,
}

async fn act<G: Gateway>(
    api: &Api<G>,
    actor: &Actor,
    messageid: MessageId,
    action: Action,
) -> Result<Response, Problem> {
    let done = action.as_str();
    api.gateway.act(actor, messageid, action).await?;
    Ok(request::answer(Done { messageid, done }))
}
