//! The audit log: who did what, the newest first.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console,
    form::address,
    show::{Chip, Tone, When, local_time},
    turn::Turn,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, Warned, Warning},
    model::{MessageId, Role},
    observe::{AuditAsk, AuditEntry},
};

/// Entries on a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    f: Frame,
    actor: String,
    action: String,
    since: String,
    rows: Vec<Row>,
    turn: Turn,
    chain: Chip,
}

struct Row {
    line: u64,
    time: Option<When>,
    actor: String,
    action: String,
    subject: String,
    /// The page of the message that it is about.
    href: String,
    reason: String,
}

/// `GET /console/audit?actor=&action=&since=&before=`: for operators, as the call of the API.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let made = match visit.has(Role::Operator) {
        true => make(&console, &visit).await,
        false if visit.session.is_some() => Err(Wrong::NotAllowed(Role::Operator)),
        false => Err(Wrong::SignIn),
    };
    answer(&visit, made)
}

async fn make<G: Gateway>(console: &Console<G>, visit: &Visit) -> Result<Response, Wrong> {
    let asked = &visit.query;
    let text = |name| asked.given(name).map(str::to_owned);
    let since = asked.given("since");
    let ask = AuditAsk {
        since: since.and_then(|day| local_time(&format!("{day}T00:00:00"))),
        actor: text("actor"),
        action: text("action"),
        before: asked.given("before").and_then(|before| before.parse().ok()),
        max: PAGE,
    };
    let is_first = ask.before.is_none();
    let status = console.api.gateway().status(visit.language).await?;
    let is_damaged = |warned: &Warned| matches!(warned.warning, Warning::AuditDamaged(_));
    let (tone, text) = match status.warnings.iter().any(is_damaged) {
        true => (Tone::Bad, visit.t().audit_broken),
        false => (Tone::Good, visit.t().audit_sound),
    };
    let found = console.api.gateway().audit(ask).await?;
    let again = |before: &str| {
        let parameters = [
            ("actor", asked.text("actor")),
            ("action", asked.text("action")),
            ("since", asked.text("since")),
            ("before", before),
        ];
        address("/console/audit", &parameters)
    };
    render(&Page {
        f: visit.frame("audit", visit.t().audit),
        actor: asked.text("actor").to_owned(),
        action: asked.text("action").to_owned(),
        since: asked.text("since").to_owned(),
        rows: found.entries.into_iter().map(row).collect(),
        chain: Chip { tone, text },
        turn: Turn::newest_first(
            visit.t(),
            if is_first { String::new() } else { again("") },
            found
                .next
                .map_or_else(String::new, |next| again(&next.to_string())),
        ),
    })
}

fn row(entry: AuditEntry) -> Row {
    let time = entry.time.parse::<jiff::Timestamp>().ok();
    let time = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let is_message = entry.subject.parse::<MessageId>().is_ok();
    Row {
        line: entry.line,
        time: time.map(When::exact),
        actor: entry.actor,
        action: entry.action,
        href: match is_message {
            true => format!("/console/messages/{}", entry.subject),
            false => String::new(),
        },
        subject: entry.subject,
        reason: entry.reason,
    }
}
