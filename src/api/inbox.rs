//! Handing messages to the application.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Extension,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, Handed, InboxAsk, Problem, Settled, request, until_stopped};
use crate::{
    cloudevents::{self, Mode},
    model::MessageId,
};

/// Longest time that a call waits for the first message.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// How many messages a call hands out unless it says otherwise.
const MAX_DEFAULT: u32 = 100;
/// Most messages that one ack or release names.
const NAMED_MAX: usize = 10_000;

/// What was leased to the answer that a connection is writing. Connections answer one request after another, so that the next
/// request tells that the answer before it was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten(Arc<Mutex<Vec<MessageId>>>);

impl Unwritten {
    /// Forgets what it held and holds these.
    pub(super) fn put(&self, messages: Vec<MessageId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = messages;
    }

    /// Takes what it holds.
    pub(super) fn take(&self) -> Vec<MessageId> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    max: Option<String>,
    wait: Option<String>,
}

/// `GET /v1/inbox`: leases messages; waits for the first.
pub(super) async fn pull<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    unwritten: Option<Extension<Unwritten>>,
    query: Result<Query<Pull>, QueryRejection>,
) -> Result<Response, Problem> {
    let Pull { max, wait } = request::parameters(query)?;
    let ask = InboxAsk {
        max: request::count("max", max.as_deref(), MAX_DEFAULT, api.limits.inbox_max)?,
        bytes_max: u64::from(api.limits.request_kib) * 1024,
        wait: match &wait {
            Some(text) => request::duration("wait", text, WAIT_MAX)?,
            None => Duration::ZERO,
        },
    };
    let handed = tokio::select! {
        biased;
        handed = api.gateway.inbox(ask) => handed?,
        () = until_stopped(api.stopping.clone()) => Vec::new(),
    };
    if let Some(Extension(unwritten)) = unwritten {
        unwritten.put(handed.iter().map(|h| h.header.message_id()).collect());
    }
    let bytes = handed.iter().map(|h| h.body.len()).sum();
    let batch = request::offload(bytes, move || write_batch(&handed)).await;
    Ok(([(header::CONTENT_TYPE, Mode::BATCH)], Body::from(batch)).into_response())
}

fn write_batch(handed: &[Handed]) -> Vec<u8> {
    let bodies: usize = handed.iter().map(|h| h.body.len() + 1024).sum();
    let mut batch = Vec::with_capacity(bodies + 2);
    batch.push(b'[');
    for message in handed {
        let from = batch.len();
        if from > 1 {
            batch.push(b',');
        }
        let Handed {
            header,
            body,
            received,
        } = message;
        if let Err(error) = cloudevents::write_event(header, body, *received, &mut batch) {
            // The node checks what it receives, so this is damage that no checksum saw. The lease ends and others go on.
            batch.truncate(from);
            let message = header.message_id();
            tracing::error!(%message, %error, "a message in the inbox makes no event");
        }
    }
    batch.push(b']');
    batch
}

/// A list of messages; a text that is no messageid is a message that is not known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    messageids: Vec<String>,
}

impl Named {
    fn read(self) -> Result<(Vec<MessageId>, Vec<String>), Problem> {
        if self.messageids.len() > NAMED_MAX {
            let detail = format!("names more than {NAMED_MAX} messages; send it in parts");
            return Err(
                Problem::invalid("messageids", detail).bounded("messageids", NAMED_MAX as u64)
            );
        }
        let (mut messages, mut strange) = (Vec::new(), Vec::new());
        for text in self.messageids {
            match text.parse() {
                Ok(message) => messages.push(message),
                Err(_) => strange.push(text),
            }
        }
        Ok((messages, strange))
    }
}

#[derive(Serialize)]
struct Acked {
    acked: usize,
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct Released {
    released: usize,
    unknown: Vec<String>,
}

/// `POST /v1/inbox/ack`: the application is done with them.
pub(super) async fn ack<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    body: Body,
) -> Result<Response, Problem> {
    let named: Named = request::json(&api.bodies, body).await?;
    let (messages, strange) = named.read()?;
    let settled = match messages.is_empty() {
        true => Settled::default(),
        false => api.gateway.inbox_ack(messages).await?,
    };
    Ok(request::answer(Acked {
        acked: settled.known,
        unknown: unknown(&settled, strange),
    }))
}

/// `POST /v1/inbox/release`: gives leases back.
pub(super) async fn release<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    body: Body,
) -> Result<Response, Problem> {
    let named: Named = request::json(&api.bodies, body).await?;
    let (messages, strange) = named.read()?;
    let settled = match messages.is_empty() {
        true => Settled::default(),
        false => api.gateway.inbox_release(messages).await?,
    };
    Ok(request::answer(Released {
        released: settled.known,
        unknown: unknown(&settled, strange),
    }))
}

fn unknown(settled: &Settled, strange: Vec<String>) -> Vec<String> {
    let known_names = settled.unknown.iter().map(MessageId::to_string);
    known_names.chain(strange).collect()
}
