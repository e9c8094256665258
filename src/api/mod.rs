//! The HTTP API: what applications and operators ask of a node, over loopback, and over the network with TLS.
//!
//! A request passes, in this order: [`serve`] (connections, bounded), `front` (one log line, panics, what is left of bodies, the
//! bound on requests), `guard` (hosts, origins, content types, tokens), the routing table below, and one of the rooms `messages`,
//! `find`, `inbox`, `attachments`, `uploads`, `queue`, `history`, `events` and `node`. Behind them stands a [`Gateway`], which the node's shell implements. Whatever is not an answer is
//! a [`Problem`].

mod access;
mod act;
mod attachments;
mod audit;
mod beside;
mod body;
mod door;
mod events;
mod find;
mod front;
mod gateway;
mod guard;
mod history;
mod inbox;
mod messages;
mod node;
mod problem;
mod queue;
mod range;
mod request;
mod server;
mod stick;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod uploads;
mod view;

use std::sync::Arc;

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware::from_fn_with_state,
    routing::{get, post, put},
};
use tokio::sync::{Semaphore, watch};

pub use access::{Access, Actor, Proof, TokenError};
pub use beside::Beside;
pub use door::Door;
pub use gateway::{
    Acted, Action, Cause, Exported, Gateway, Handed, Heard, Imported, InboxAsk, QueueAsk,
    QueueFilter, Refusal, RefusedCall, Settled, Which,
};
pub use history::{History, Span};
pub use problem::{Problem, TYPE_PREFIX};
pub use server::{Doors, serve};
pub use tls::{Tls, TlsError};
pub use token::{OPERATOR_TOKEN_FILE, Token};
pub use view::{
    AttachedView, AttachmentsView, DamageView, Drained, GapView, HappeningView, LinkUsage,
    LinkView, MessagePage, MessageView, PerLane, QueueEntry, QueuePage, ReceiptView, ReceiverView,
    Status, StepView, TransferView, UnitView, Volume, Warned, Warning,
};

use crate::{model::Limits, observe::Metrics};

/// What the operator configured for the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds: `request_kib`, `api_requests`, `inbox_max` are asked here, others by [`Gateway::intake`].
    pub limits: Limits,
    /// Host names besides `localhost` and the loopback addresses that a request may be addressed to, without a port.
    pub hosts: Vec<String>,
    /// Who is let in, and as whom.
    pub access: Access,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

/// What every call works with.
struct Api<G> {
    gateway: Arc<G>,
    guard: Arc<guard::Guard>,
    bodies: body::Bodies,
    attachments: Arc<Semaphore>,
    uploads: Arc<uploads::Uploads>,
    /// Files of queues that are exported or imported.
    sticks: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    limits: Limits,
    stopping: watch::Receiver<bool>,
}

/// Returns once the API is to stop.
async fn until_stopped(mut stopping: watch::Receiver<bool>) {
    // The sender is gone only when the API is.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The whole API as a service, with the room that `beside` makes. Long polls end once `stopping` is true.
fn router<G: Gateway>(
    gateway: Arc<G>,
    settings: Settings,
    beside: impl FnOnce(Beside<G>) -> Router,
    stopping: watch::Receiver<bool>,
) -> Router {
    let Settings {
        limits,
        hosts,
        access,
        metrics,
    } = settings;
    let guard = Arc::new(guard::Guard { hosts, access });
    let on_record = gateway.clone();
    let front = Arc::new(front::Front::new(
        guard.clone(),
        limits.api_requests,
        metrics,
        Box::new(move |call| on_record.refused(call)),
    ));
    let api = Arc::new(Api {
        gateway,
        guard,
        bodies: body::Bodies::new(limits.request_kib),
        attachments: Arc::new(Semaphore::new(attachments::CALLS_MAX)),
        uploads: Arc::default(),
        sticks: Arc::new(Semaphore::new(1)),
        listeners: Arc::new(Semaphore::new(events::LISTENERS_MAX)),
        limits,
        stopping,
    });
    let room = beside(Beside::new(api.clone()));
    Router::new()
        .route(
            "/v1/messages",
            post(messages::submit::<G>).get(find::messages::<G>),
        )
        .route("/v1/cases/{case}", get(find::case::<G>))
        .route("/v1/messages/{messageid}", get(messages::show::<G>))
        .route("/v1/messages/{messageid}/body", get(messages::body::<G>))
        .route("/v1/inbox", get(inbox::pull::<G>))
        .route("/v1/inbox/ack", post(inbox::ack::<G>))
        .route("/v1/inbox/release", post(inbox::release::<G>))
        .route("/v1/attachments", put(attachments::upload::<G>))
        .route("/v1/attachments/{digest}", get(attachments::download::<G>))
        .route("/v1/uploads", post(uploads::begin::<G>))
        .route(
            "/v1/uploads/{upload}",
            put(uploads::go_on::<G>).get(uploads::show::<G>),
        )
        .route("/v1/queue", get(queue::list::<G>))
        .route("/v1/queue/actions", post(act::actions::<G>))
        .route("/v1/queue/export", post(stick::export::<G>))
        .route("/v1/import", put(stick::import::<G>))
        .route("/v1/queue/{messageid}/expire", post(queue::expire::<G>))
        .route("/v1/queue/{messageid}/hold", post(queue::hold::<G>))
        .route("/v1/queue/{messageid}/release", post(queue::release::<G>))
        .route("/v1/queue/{messageid}/retry", post(queue::retry::<G>))
        .route(
            "/v1/queue/{messageid}/reprioritise",
            post(queue::reprioritise::<G>),
        )
        .route("/v1/queue/{messageid}/drop", post(queue::drop::<G>))
        .route("/v1/neighbours/{unit}/pause", post(act::pause::<G>))
        .route("/v1/neighbours/{unit}/resume", post(act::resume::<G>))
        .route("/v1/drain", post(act::drain::<G>))
        .route("/v1/resume", post(act::end_drain::<G>))
        .route("/v1/actor", get(node::actor::<G>))
        .route("/v1/audit", get(audit::list::<G>))
        .route("/v1/audit/export", get(audit::export::<G>))
        .route("/v1/backup", post(node::backup::<G>))
        .route("/v1/history", get(history::show::<G>))
        .route("/v1/links", get(node::links::<G>))
        .route("/v1/units", get(node::units::<G>))
        .route("/v1/status", get(node::status::<G>))
        .route("/v1/events", get(events::listen::<G>))
        .route("/v1/openapi.json", get(node::specification))
        .route("/metrics", get(node::metrics::<G>))
        .route("/healthz", get(node::alive))
        .route("/readyz", get(node::ready::<G>))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .with_state(api)
        .merge(room)
        .layer(from_fn_with_state(front, front::pass))
}

async fn no_such_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "there is nothing at this path",
        format!("{path} is no call of this API; /v1/openapi.json lists them"),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let method: String = method.as_str().chars().take(20).collect();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "the path does not take this method",
        format!("{path} does not take {method}; the Allow header names what it takes"),
    )
}
