//! The circulation of one case: who sent what to whom, when, and until when it is due.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console,
    form::address,
    message::{elapsed, expires_in},
    messages::listed,
    show::{Chip, When},
    texts::Texts,
    turn::Turn,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, MessageView},
    index::{Cursor, Search},
    model::{Millis, State as MessageState},
};

/// Messages on a page.
const PAGE: usize = 100;
/// Receivers of one message that are shown.
const RECEIVERS_SHOWN: usize = 12;
/// Longest name of a case, bytes.
const CASE_BYTES_MAX: usize = 1024;
/// What is due within a day is told with emphasis.
const DUE_SOON: Millis = 24 * 3600 * 1000;

#[derive(Template)]
#[template(path = "case.html")]
struct Page {
    f: Frame,
    name: String,
    units: Vec<String>,
    rows: Vec<Row>,
    turn: Turn,
    open: usize,
}

struct Row {
    messageid: String,
    subject: String,
    kind: String,
    from: String,
    to: String,
    lane: Chip,
    state: Chip,
    tone: &'static str,
    accepted: When,
    after: String,
    expires: When,
    expires_in: String,
    is_due: bool,
    receivers: Vec<(String, Chip, When, String)>,
    receivers_more: usize,
}

/// `GET /console/case?name=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let t = visit.t();
    let name = visit.query.text("name").to_owned();
    let gateway = console.api.gateway();
    let now = gateway.intake().accepted;
    let found = if name.is_empty() || name.len() > CASE_BYTES_MAX {
        Default::default()
    } else {
        let search = Search {
            max: PAGE,
            cursor: visit.query.given("cursor").and_then(Cursor::parse),
            case: Some(name.clone()),
            forward: true,
            ..Search::default()
        };
        gateway.search(search).await?
    };
    let mut units: Vec<String> = Vec::new();
    for message in &found.messages {
        let receivers = message.receivers.iter().map(|one| one.receiver.to_string());
        for unit in [message.from.to_string()].into_iter().chain(receivers) {
            if !units.contains(&unit) && units.len() < 64 {
                units.push(unit);
            }
        }
    }
    let mut before = None;
    let rows = found.messages.iter().map(|message| {
        let after = before.map(|before| message.accepted.saturating_sub(before));
        before = Some(message.accepted);
        row(t, message, after, now)
    });
    let open = |message: &&MessageView| !message.state.is_terminal();
    render(&Page {
        f: visit.frame("case", if name.is_empty() { t.case_page } else { &name }),
        units,
        rows: rows.collect(),
        turn: Turn::later(
            t,
            found.next.map_or_else(String::new, |next| {
                address("/console/case", &[("name", &name), ("cursor", &next)])
            }),
        ),
        open: found.messages.iter().filter(open).count(),
        name,
    })
}

fn row(t: &'static Texts, view: &MessageView, after: Option<Millis>, now: Millis) -> Row {
    let receivers = view.receivers.iter().take(RECEIVERS_SHOWN).map(|one| {
        (
            one.receiver.to_string(),
            t.state(one.state),
            When::exact(one.at),
            t.why(one.reason, one.note.as_deref()),
        )
    });
    let state = t.state(view.state);
    Row {
        messageid: view.messageid.to_string(),
        subject: view.subject.clone().unwrap_or_default(),
        kind: t.kind(&view.kind),
        from: view.from.to_string(),
        to: listed(&view.to),
        lane: t.lane(view.priority),
        state,
        tone: state.tone.class(),
        accepted: When::exact(view.accepted),
        after: after.map_or_else(String::new, elapsed),
        expires: When::exact(view.expires),
        expires_in: expires_in(t, view, now),
        is_due: !view.state.is_terminal() && view.expires < now + DUE_SOON
            || view.state == MessageState::Expired,
        receivers: receivers.collect(),
        receivers_more: view.receivers.len().saturating_sub(RECEIVERS_SHOWN),
    }
}
