//! Submitting messages, and what became of one.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::Serialize;

use super::{Actor, Api, Gateway, Handed, Problem, access::Caller, guard, request};
use crate::{
    cloudevents::{self, EventError, Intake, Mode, Submission},
    model::{MessageId, Role, State as MessageState},
};

/// `POST /v1/messages`: one event or a batch, accepted as a whole.
pub(super) async fn submit<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let mode = Mode::of(
        guard::content_type(&headers),
        guard::has_event_headers(&headers),
    )
    .ok_or_else(|| {
        guard::unsupported_type(
            "write application/cloudevents+json, application/cloudevents-batch+json, or the attributes in ce- headers",
        )
    })?;
    let held = api.bodies.read(body).await?;
    let (gateway, bytes) = (api.gateway.clone(), held.bytes.clone());
    let messages = request::offload(bytes.len(), move || {
        read(&gateway.intake(), mode, &headers, bytes)
    })
    .await?;
    // Made before the messages go: the answer to a repeat is the same as the first one.
    let answer = accepted(mode, &messages);
    if !messages.is_empty() {
        api.gateway.submit(messages).await?;
    }
    Ok(answer)
}

/// `GET /v1/messages/{messageid}`: its state for every receiver, and its timeline.
pub(super) async fn show<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
) -> Result<Response, Problem> {
    let message = request::message(path)?;
    match api.gateway.message(message).await? {
        Some(view) => Ok(request::answer(view)),
        None => Err(request::unknown_message()),
    }
}

/// `GET /v1/messages/{messageid}/body`: the event as its receiver is handed it. For operators, where the node's settings allow it, and
/// never without a line in the audit log.
pub(super) async fn body<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    path: request::NamedInPath,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let event = event(&api, actor, request::message(path)?).await?;
    let kind = (header::CONTENT_TYPE, Mode::STRUCTURED);
    Ok(([kind], Body::from(event)).into_response())
}

/// A message as its receiver is handed it, in JSON.
pub(super) async fn event<G: Gateway>(
    api: &Api<G>,
    actor: &Actor,
    message: MessageId,
) -> Result<Vec<u8>, Problem> {
    if !api.guard.access.bodies_are_shown() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "bodies-not-shown",
            "operators of this node do not read what messages say",
            "set show-bodies = true under [api] and reload, if they may; every look is then in the audit log",
        ));
    }
    let Some(handed) = api.gateway.body(actor, message).await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-message",
            "no such message is known here",
            "no message of that messageid is here; one that has left keeps its history and not its body",
        )
        .about("messageid"));
    };
    let Handed {
        header,
        body,
        received,
    } = handed;
    let written = request::offload(body.len(), move || {
        let mut event = Vec::new();
        cloudevents::write_event(&header, &body, received, &mut event).map(|()| event)
    });
    Ok(written.await?)
}

fn read(
    intake: &Intake<'_>,
    mode: Mode,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<Submission>, EventError> {
    match mode {
        Mode::Structured => intake.structured(&body).map(|message| vec![message]),
        Mode::Batch => intake.batch(&body),
        Mode::Binary => {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()));
            intake.binary(headers, body).map(|message| vec![message])
        }
    }
}

#[derive(Serialize)]
struct Accepted<'a> {
    id: &'a str,
    messageid: MessageId,
    state: MessageState,
}

#[derive(Serialize)]
struct AcceptedBatch<'a> {
    accepted: Vec<Accepted<'a>>,
}

fn accepted(mode: Mode, messages: &[Submission]) -> Response {
    let mut accepted: Vec<_> = messages
        .iter()
        .map(|message| Accepted {
            id: &message.header.id,
            messageid: message.header.message_id(),
            state: MessageState::Queued,
        })
        .collect();
    let one = (mode != Mode::Batch).then(|| accepted.pop()).flatten();
    let answer = match one {
        Some(one) => request::answer(one),
        None => request::answer(AcceptedBatch { accepted }),
    };
    (StatusCode::ACCEPTED, answer).into_response()
}
