//! The audit log, for operators.

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, Problem, access::Caller, attachments::blocking, find, request};
use crate::{
    model::Role,
    observe::{AuditAsk, AuditEntry},
};

/// How many entries a page has unless the call says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// Bytes of an export that are read at a time.
const PIECE_BYTES: u64 = 256 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    since: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    cursor: Option<String>,
    max: Option<String>,
}

#[derive(Serialize)]
struct Page {
    entries: Vec<AuditEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/audit`: a page of it, the newest entries first.
pub(super) async fn list<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.must_be(Role::Operator)?;
    let wanted = request::parameters(query)?;
    let max = find::given(wanted.max);
    let ask = AuditAsk {
        since: find::given(wanted.since)
            .map(|text| find::since(&text))
            .transpose()?,
        actor: find::text("actor", wanted.actor)?,
        action: find::text("action", wanted.action)?,
        before: find::given(wanted.cursor)
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| Problem::invalid("cursor", "is not one that this node gave"))?,
        max: request::count("max", max.as_deref(), PAGE_DEFAULT, PAGE_MAX)? as usize,
    };
    let page = api.gateway.audit(ask).await?;
    Ok(request::answer(Page {
        entries: page.entries,
        next: page.next.map(|at| at.to_string()),
    }))
}

/// `GET /v1/audit/export`: the whole log, signed up to its end.
pub(super) async fn export<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    let (file, bytes) = api.gateway.audit_export(actor).await?;
    let file = Arc::new(file);
    let pieces = stream::try_unfold(0, move |at| {
        let file = file.clone();
        async move {
            let piece = PIECE_BYTES.min(bytes - at);
            if piece == 0 {
                return Ok(None);
            }
            let read = blocking(move || read(&file, at, piece)).await?;
            Ok::<_, std::io::Error>(Some((read, at + piece)))
        }
    });
    let told = [
        (header::CONTENT_TYPE, "application/jsonl".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.jsonl\"".to_owned(),
        ),
    ];
    Ok((told, Body::from_stream(pieces)).into_response())
}

fn read(file: &File, at: u64, bytes: u64) -> std::io::Result<Bytes> {
    let mut piece = vec![0; bytes as usize];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}
