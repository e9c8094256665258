//! The node itself: links, units, numbers, probes, and the API's own specification.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, LinkView, Problem, UnitView, access::Caller, request};
use crate::{language::Language, model::Role, observe::Metrics};

/// The specification, OpenAPI 3.1. A test holds it to the routing table.
pub(super) const SPECIFICATION: &str = include_str!("openapi.json");

#[derive(Serialize)]
struct Links {
    links: Vec<LinkView>,
}

#[derive(Serialize)]
struct Units {
    units: Vec<UnitView>,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Debug, Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct Backup {
    folder: String,
}

#[derive(Serialize)]
struct Known<'a> {
    name: &'a str,
    role: Role,
    bodies: bool,
}

/// `GET /v1/actor`: who the token says that asks, and what they may do.
pub(super) async fn actor<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Viewer)?;
    Ok(request::answer(Known {
        name: &actor.name,
        role: actor.role,
        bodies: actor.role >= Role::Operator && api.guard.access.bodies_are_shown(),
    }))
}

/// `POST /v1/backup`: an administrator's action.
pub(super) async fn backup<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Administrator)?;
    let Nothing {} = request::json_or_nothing(&api.bodies, body).await?;
    let folder = api.gateway.backup(actor).await?.display().to_string();
    Ok(request::answer(Backup { folder }))
}

/// `GET /v1/links`.
pub(super) async fn links<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    language: Language,
) -> Result<Response, Problem> {
    let links = api.gateway.links(language).await?;
    Ok(request::answer_in(language, Links { links }))
}

/// `GET /v1/units`.
pub(super) async fn units<G: Gateway>(State(api): State<Arc<Api<G>>>) -> Result<Response, Problem> {
    let units = api.gateway.units().await?;
    Ok(request::answer(Units { units }))
}

/// `GET /v1/status`.
pub(super) async fn status<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    language: Language,
) -> Result<Response, Problem> {
    let status = api.gateway.status(language).await?;
    Ok(request::answer_in(language, status))
}

/// `GET /metrics`: Prometheus' text format.
pub(super) async fn metrics<G: Gateway>(State(api): State<Arc<Api<G>>>) -> Response {
    let kind = (header::CONTENT_TYPE, Metrics::CONTENT_TYPE);
    ([kind], api.gateway.metrics().await).into_response()
}

/// `GET /healthz`: the process serves.
pub(super) async fn alive() -> Response {
    request::answer(Health { status: "ok" })
}

/// `GET /readyz`: the node takes submissions.
pub(super) async fn ready<G: Gateway>(State(api): State<Arc<Api<G>>>) -> Result<Response, Problem> {
    api.gateway.ready()?;
    Ok(request::answer(Health { status: "ready" }))
}

/// `GET /v1/openapi.json`.
pub(super) async fn specification() -> Response {
    let kind = (header::CONTENT_TYPE, "application/json");
    ([kind], SPECIFICATION).into_response()
}
