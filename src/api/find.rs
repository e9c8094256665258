//! Finding messages: search, and the circulation of a case.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, MessagePage, Problem, act, request};
use crate::{
    index::{Cursor, Search},
    model::{Millis, Pattern, PatternError, State as MessageState},
};

/// How many messages a page has unless the call says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// Longest text that is sought, and longest name of a case, bytes.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    max: Option<String>,
    cursor: Option<String>,
    order: Option<String>,
    lane: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    case: Option<String>,
    to: Option<String>,
    from: Option<String>,
    since: Option<String>,
    q: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    max: Option<String>,
    cursor: Option<String>,
}

/// `GET /v1/messages`: the messages that fit, the newest first or the oldest.
pub(super) async fn messages<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let search = request::parameters(query)?.search()?;
    Ok(request::answer(api.gateway.search(search).await?))
}

#[derive(Serialize)]
struct Case {
    case: String,
    #[serde(flatten)]
    page: MessagePage,
}

/// `GET /v1/cases/{case}`: the messages of a case, the earliest first.
pub(super) async fn case<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    query: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    let part = request::parameters(query)?;
    let Ok(Path(case)) = path else {
        return Err(unknown_case());
    };
    let search = Search {
        max: page(part.max)?,
        cursor: cursor(part.cursor)?,
        case: Some(case.clone()),
        forward: true,
        ..Search::default()
    };
    let is_first = search.cursor.is_none();
    let page = api.gateway.search(search).await?;
    if is_first && page.messages.is_empty() && page.next.is_none() {
        return Err(unknown_case());
    }
    Ok(request::answer(Case { case, page }))
}

fn unknown_case() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-case",
        "no such case is known here",
        "no message that is known here names that case",
    )
    .about("case")
}

impl Wanted {
    /// An empty parameter is one that was not given: a form's field that nobody filled in.
    fn search(self) -> Result<Search, Problem> {
        Ok(Search {
            max: page(self.max)?,
            cursor: cursor(self.cursor)?,
            forward: match given(self.order).as_deref() {
                None | Some("newest") => false,
                Some("oldest") => true,
                Some(_) => return Err(Problem::invalid("order", "write newest or oldest")),
            },
            lane: given(self.lane)
                .map(|text| act::lane_of("lane", &text))
                .transpose()?,
            state: given(self.state)
                .map(|text| {
                    let mut all = MessageState::ALL.into_iter();
                    all.find(|state| state.as_str() == text).ok_or_else(|| {
                        let names = MessageState::ALL.map(MessageState::as_str).join(", ");
                        Problem::invalid("state", format!("write one of {names}"))
                    })
                })
                .transpose()?,
            kind: pattern("kind", self.kind)?,
            case: text("case", self.case)?,
            to: pattern("to", self.to)?,
            from: pattern("from", self.from)?,
            since: given(self.since).map(|text| since(&text)).transpose()?,
            text: text("q", self.q)?,
        })
    }
}

pub(super) fn given(parameter: Option<String>) -> Option<String> {
    parameter.filter(|text| !text.is_empty())
}

fn page(max: Option<String>) -> Result<usize, Problem> {
    let max = given(max);
    let max = request::count("max", max.as_deref(), PAGE_DEFAULT, PAGE_MAX)?;
    Ok(max as usize)
}

fn cursor(cursor: Option<String>) -> Result<Option<Cursor>, Problem> {
    let read = |text: String| {
        Cursor::parse(&text)
            .ok_or_else(|| Problem::invalid("cursor", "is not one that this node gave"))
    };
    given(cursor).map(read).transpose()
}

pub(super) fn text(name: &str, parameter: Option<String>) -> Result<Option<String>, Problem> {
    let text = given(parameter);
    if text.as_ref().is_some_and(|t| t.len() > TEXT_BYTES_MAX) {
        let detail = format!("write at most {TEXT_BYTES_MAX} bytes");
        return Err(Problem::invalid(name, detail));
    }
    Ok(text)
}

pub(super) fn pattern(name: &str, parameter: Option<String>) -> Result<Option<Pattern>, Problem> {
    let read = |text: String| {
        text.parse()
            .map_err(|error: PatternError| Problem::invalid(name, error.to_string()))
    };
    given(parameter).map(read).transpose()
}

/// A moment, or a day from its beginning in UTC.
pub(super) fn since(text: &str) -> Result<Millis, Problem> {
    let midnight = || format!("{text}T00:00:00Z").parse();
    let moment: Result<jiff::Timestamp, _> = text.parse().or_else(|_| midnight());
    let Ok(moment) = moment else {
        let detail = "write a time as 2026-11-24T08:00:00Z or a day as 2026-11-24";
        return Err(Problem::invalid("since", detail));
    };
    // What was before 1970 was before every message.
    Ok(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}
