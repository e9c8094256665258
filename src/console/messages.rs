//! Finding messages.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Console,
    form::{Form, address},
    show::{Chip, When, bytes, local_time},
    texts::Texts,
    turn::Turn,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, MessageView},
    index::{Cursor, Search},
    model::{Lane, MessageId, Pattern, State as MessageState},
};

/// Messages on a page.
const PAGE: usize = 50;
/// Longest text that is sought, bytes.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Template)]
#[template(path = "messages.html")]
struct Page {
    f: Frame,
    asked: Asked,
    /// Fields whose text cannot be used, and why.
    wrong: Vec<(&'static str, String)>,
    kinds: Vec<Choice>,
    states: Vec<Choice>,
    rows: Vec<Row>,
    turn: Turn,
    lanes: Vec<Choice>,
    /// The address of the same search in the other order, and whether the oldest come first now.
    turned: String,
    is_oldest_first: bool,
    export: String,
    incomplete: Vec<String>,
}

/// What the form says.
#[derive(Default)]
struct Asked {
    id: String,
    case: String,
    from: String,
    to: String,
    since: String,
    q: String,
}

/// An entry of a list.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// A message in a table.
pub(super) struct Row {
    pub(super) messageid: String,
    pub(super) subject: String,
    pub(super) case: String,
    pub(super) case_href: String,
    pub(super) kind: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) lane: Chip,
    pub(super) state: Chip,
    pub(super) accepted: When,
    pub(super) bytes: String,
}

/// `GET /console/messages`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let t = visit.t();
    let asked = &visit.query;
    if let Ok(id) = asked.text("id").parse::<MessageId>() {
        return Ok(Redirect::to(&format!("/console/messages/{id}")).into_response());
    }
    let (search, mut wrong) = search(t, asked, PAGE);
    let is_oldest_first = search.forward;
    if asked.given("id").is_some() {
        wrong.push(("id", t.field_id_wrong.to_owned()));
    }
    let gateway = console.api.gateway();
    let found = match wrong.is_empty() {
        true => gateway.search(search).await?,
        false => Default::default(),
    };
    let text = |name| asked.text(name).to_owned();
    let next = found.next.as_deref().unwrap_or_default();
    render(&Page {
        f: visit.frame("messages", t.messages),
        asked: Asked {
            id: text("id"),
            case: text("case"),
            from: text("from"),
            to: text("to"),
            since: text("since"),
            q: text("q"),
        },
        wrong,
        kinds: kinds(t, gateway.intake().kinds, asked.text("kind")),
        states: MessageState::ALL
            .into_iter()
            .map(|state| Choice {
                value: state.as_str().into(),
                text: t.state(state).text.into(),
                is_chosen: asked.text("state") == state.as_str(),
            })
            .collect(),
        rows: found.messages.iter().map(|view| row(t, view)).collect(),
        turn: turn(t, asked, next),
        lanes: lanes(t, asked.text("lane")),
        turned: match is_oldest_first {
            true => again("/console/messages", asked, "newest", ""),
            false => again("/console/messages", asked, "oldest", ""),
        },
        is_oldest_first,
        export: again("/console/messages.csv", asked, asked.text("order"), ""),
        incomplete: found.incomplete.iter().map(|gap| gap.why.clone()).collect(),
    })
}

/// Every kind that this node knows.
pub(super) fn kinds(t: &Texts, known: &crate::model::Kinds, chosen: &str) -> Vec<Choice> {
    let choice = |(kind, _): (&crate::model::Kind, _)| Choice {
        value: kind.to_string(),
        text: t.kind(kind),
        is_chosen: kind.as_str() == chosen,
    };
    known.iter().map(choice).collect()
}

/// Every lane.
pub(super) fn lanes(t: &Texts, chosen: &str) -> Vec<Choice> {
    let choice = |lane: Lane| Choice {
        value: lane.as_str().into(),
        text: t.lane(lane).text.into(),
        is_chosen: lane.as_str() == chosen,
    };
    Lane::ALL.map(choice).into()
}

/// The other pages of the search.
fn turn(t: &'static Texts, asked: &Form, next: &str) -> Turn {
    let order = asked.text("order");
    let at = |cursor| again("/console/messages", asked, order, cursor);
    let first = asked.given("cursor").map_or_else(String::new, |_| at(""));
    let next = match next {
        "" => String::new(),
        next => at(next),
    };
    match order {
        "oldest" => Turn::oldest_first(t, first, next),
        _ => Turn::newest_first(t, first, next),
    }
}

/// The same search, in this order and from another place on.
fn again(path: &str, asked: &Form, order: &str, cursor: &str) -> String {
    let names = ["q", "case", "kind", "lane", "state", "from", "to", "since"];
    let mut parameters: Vec<_> = names.map(|name| (name, asked.text(name))).to_vec();
    parameters.push(("order", if order == "oldest" { order } else { "" }));
    parameters.push(("cursor", cursor));
    address(path, &parameters)
}

/// What is sought, and what of it cannot be used.
pub(super) fn search(t: &Texts, asked: &Form, max: usize) -> (Search, Vec<(&'static str, String)>) {
    let mut wrong = Vec::new();
    let mut pattern = |name: &'static str| {
        let given = asked.given(name)?;
        match given.parse::<Pattern>() {
            Ok(pattern) => Some(pattern),
            Err(_) => {
                wrong.push((name, t.field_pattern_wrong.to_owned()));
                None
            }
        }
    };
    let (kind, from, to) = (pattern("kind"), pattern("from"), pattern("to"));
    let since = asked.given("since").and_then(|given| {
        let moment = if given.len() == "2026-11-24".len() {
            local_time(&format!("{given}T00:00:00"))
        } else {
            local_time(given)
        };
        if moment.is_none() {
            wrong.push(("since", t.field_time_wrong.to_owned()));
        }
        moment
    });
    let mut text = |name: &'static str| {
        let given = asked.given(name)?;
        if given.len() > TEXT_BYTES_MAX {
            wrong.push((name, t.field_too_long.to_owned()));
            return None;
        }
        Some(given.to_owned())
    };
    let search = Search {
        max,
        // One that reads as none begins anew.
        cursor: asked.given("cursor").and_then(Cursor::parse),
        forward: asked.text("order") == "oldest",
        lane: asked.text("lane").parse().ok(),
        state: MessageState::ALL
            .into_iter()
            .find(|state| state.as_str() == asked.text("state")),
        kind,
        case: text("case"),
        to,
        from,
        since,
        text: text("q"),
    };
    (search, wrong)
}

pub(super) fn row(t: &Texts, view: &MessageView) -> Row {
    let case = view.caseid.clone().unwrap_or_default();
    Row {
        messageid: view.messageid.to_string(),
        subject: view.subject.clone().unwrap_or_default(),
        case_href: address("/console/case", &[("name", &case)]),
        case,
        kind: t.kind(&view.kind),
        from: view.from.to_string(),
        to: listed(&view.to),
        lane: t.lane(view.priority),
        state: t.state(view.state),
        accepted: When::brief(view.accepted),
        bytes: bytes(view.bytes),
    }
}

/// Receivers in one text.
pub(super) fn listed(to: &[Pattern]) -> String {
    let names: Vec<_> = to.iter().map(Pattern::to_string).collect();
    names.join(", ")
}
