//! The node itself: links, units, numbers, probes, and the API's own specification.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, LinkView, Problem, UnitView, request};
use crate::observe::Metrics;

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

/// `POST /v1/backup`: an operator's action.
pub(super) async fn backup<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    api.guard.admit_operator(&headers)?;
    let Nothing {} = request::json_or_nothing(&api.bodies, body).await?;
    let folder = api.gateway.backup().await?.display().to_string();
    Ok(request::answer(Backup { folder }))
}

/// `GET /v1/links`.
pub(super) async fn links<G: Gateway>(State(api): State<Arc<Api<G>>>) -> Result<Response, Problem> {
    let links = api.gateway.links().await?;
    Ok(request::answer(Links { links }))
}

/// `GET /v1/units`.
pub(super) async fn units<G: Gateway>(State(api): State<Arc<Api<G>>>) -> Result<Response, Problem> {
    let units = api.gateway.units().await?;
    Ok(request::answer(Units { units }))
}

/// `GET /v1/status`.
pub(super) async fn status<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
) -> Result<Response, Problem> {
    Ok(request::answer(api.gateway.status().await?))
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
