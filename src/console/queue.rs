//! What waits for neighbours, to be acted on.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console,
    form::{Form, address},
    messages::{Choice, lanes, listed},
    pause::{REASON_BYTES_MAX, Sending},
    session::secret,
    show::{Chip, When, age, bytes, count, span},
    turn::Turn,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, QueueAsk, QueueFilter},
    model::{Lane, ReceiptItem, State as MessageState},
};

/// The states of what waits.
const WAITING: [MessageState; 3] = [
    MessageState::Queued,
    MessageState::Held,
    MessageState::Sending,
];
/// Messages on a page.
const PAGE: u32 = 100;
/// Longest cursor, bytes.
const CURSOR_BYTES_MAX: usize = 256;

#[derive(Template)]
#[template(path = "queue.html")]
struct Page {
    f: Frame,
    neighbours: Vec<Choice>,
    states: Vec<Choice>,
    rows: Vec<Row>,
    total: String,
    /// The filter, as a form says it that is about all that fits.
    of: String,
    turn: Turn,
    /// What goes to the neighbour that was chosen.
    sending: Option<Sending>,
    lanes: Vec<Choice>,
    reason_max: usize,
    pause_reason_max: usize,
    export_reason_max: usize,
    /// What the cookie of an answer will say that is a file.
    come: String,
}

struct Row {
    messageid: String,
    neighbour: String,
    from: String,
    to: String,
    kind: String,
    case: String,
    case_href: String,
    lane: Chip,
    state: Chip,
    link: String,
    bytes: String,
    accepted: When,
    age: String,
    expires_in: String,
}

/// `GET /console/queue?neighbour=&state=&lane=&cursor=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit).await;
    answer(&visit, made)
}

/// The part of the queue that a page shows; none when it names what there cannot be.
pub(super) fn filter(asked: &Form) -> Option<QueueFilter> {
    let state = |name: &str| WAITING.into_iter().find(|state| state.as_str() == name);
    let neighbour = asked.given("neighbour").map(str::parse).transpose();
    Some(QueueFilter {
        state: match asked.given("state") {
            Some(name) => Some(state(name)?),
            None => None,
        },
        lane: asked.given("lane").map(str::parse).transpose().ok()?,
        neighbour: neighbour.ok()?,
        ..QueueFilter::default()
    })
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let t = visit.t();
    let asked = &visit.query;
    let gateway = console.api.gateway();
    let now = gateway.intake().accepted;
    let cursor = asked
        .given("cursor")
        .filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX);
    let ask = QueueAsk {
        max: PAGE,
        cursor: cursor.map(str::to_owned),
        filter: filter(asked).unwrap_or_default(),
    };
    let filter = &ask.filter;
    let neighbour = filter
        .neighbour
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let state = filter.state.map_or("", MessageState::as_str);
    let lane = filter.lane.map_or("", Lane::as_str);
    let again = |cursor: &str| {
        let parameters = [
            ("neighbour", &*neighbour),
            ("state", state),
            ("lane", lane),
            ("cursor", cursor),
        ];
        address("/console/queue", &parameters)
    };
    let found = gateway.queue(ask).await?;
    let units = gateway.units().await?;
    let rows = found.messages.iter().map(|entry| {
        let case = entry.caseid.clone().unwrap_or_default();
        Row {
            messageid: entry.messageid.to_string(),
            neighbour: entry.neighbour.to_string(),
            from: entry.from.to_string(),
            to: listed(&entry.to),
            kind: t.kind(&entry.kind),
            case_href: address("/console/case", &[("name", &case)]),
            case,
            lane: t.lane(entry.priority),
            state: t.state(entry.state),
            link: entry.link.clone().unwrap_or_default(),
            bytes: bytes(entry.bytes),
            accepted: When::brief(entry.accepted),
            age: age(t, entry.accepted, now),
            expires_in: match entry.expires.checked_sub(now) {
                Some(left) => span(t, left / 1000),
                None => t.expires_past.to_owned(),
            },
        }
    });
    render(&Page {
        f: visit.frame("queue", t.queue),
        neighbours: units
            .iter()
            .filter(|unit| unit.mailbox.messages > 0 || *unit.unit.as_str() == *neighbour)
            .map(|unit| Choice {
                value: unit.unit.to_string(),
                text: format!("{} ({})", unit.unit, count(unit.mailbox.messages)),
                is_chosen: *unit.unit.as_str() == *neighbour,
            })
            .collect(),
        states: WAITING
            .map(|known| Choice {
                value: known.as_str().into(),
                text: t.state(known).text.into(),
                is_chosen: known.as_str() == state,
            })
            .into(),
        rows: rows.collect(),
        total: count(found.total),
        of: again("")
            .split_once('?')
            .map_or_else(String::new, |(_, of)| of.to_owned()),
        turn: Turn::oldest_first(
            t,
            asked
                .given("cursor")
                .map_or_else(String::new, |_| again("")),
            found.next.as_deref().map_or_else(String::new, again),
        ),
        sending: units
            .iter()
            .find(|unit| unit.unit.as_str() == neighbour)
            .map(|unit| Sending::of(t, unit)),
        lanes: lanes(t, lane),
        reason_max: ReceiptItem::NOTE_BYTES_MAX,
        pause_reason_max: REASON_BYTES_MAX,
        export_reason_max: REASON_BYTES_MAX,
        come: secret().ok_or(Wrong::Broken)?,
    })
}
