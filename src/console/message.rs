//! One message: where it is, what happened to it, and what can be done about it.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    Console,
    form::address,
    messages::{Choice, lanes, listed},
    show::{Chip, When, bytes, span},
    texts::{Texts, fill},
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{AttachedView, Gateway, MessageView, ReceiptView, ReceiverView, StepView},
    model::{MessageId, Millis, ReceiptItem, State as MessageState},
};

#[derive(Template)]
#[template(path = "message.html")]
struct Page {
    f: Frame,
    messageid: String,
    id: String,
    subject: String,
    kind: String,
    kind_name: String,
    case: String,
    case_href: String,
    from: String,
    to: String,
    lane: Chip,
    state: Chip,
    accepted: When,
    expires: When,
    expires_in: String,
    bytes: String,
    receivers: Vec<Receiver>,
    receipts: Vec<Receipt>,
    attachments: Vec<Attachment>,
    timeline: Vec<Step>,
    left_out: u32,
    incomplete: Vec<String>,
    is_queued: bool,
    is_held: bool,
    lanes: Vec<Choice>,
    /// Whether the visitor may read what it says.
    says: bool,
    reason_max: usize,
}

struct Receiver {
    name: String,
    state: Chip,
    at: When,
    why: String,
}

struct Receipt {
    outcome: Chip,
    receiver: String,
    issuer: String,
    at: When,
    why: String,
}

struct Attachment {
    name: String,
    digest: String,
    size: String,
}

/// A step of the timeline.
pub(super) struct Step {
    pub(super) at: When,
    pub(super) after: String,
    pub(super) tone: &'static str,
    pub(super) text: &'static str,
    pub(super) detail: String,
}

/// `GET /console/messages/{messageid}`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    Path(messageid): Path<String>,
    visit: Visit,
) -> Response {
    let made = make(&console, &visit, &messageid).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    messageid: &str,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let unknown = Wrong::Unknown(t.message_unknown);
    let Ok(messageid) = messageid.parse::<MessageId>() else {
        return Err(unknown);
    };
    let gateway = console.api.gateway();
    let view = gateway.message(messageid).await?.ok_or(unknown)?;
    let now = gateway.intake().accepted;
    let title = view.subject.clone().unwrap_or_else(|| t.kind(&view.kind));
    let case = view.caseid.clone().unwrap_or_default();
    let waits = is_queued(&view);
    render(&Page {
        f: visit.frame("messages", &title),
        messageid: messageid.to_string(),
        id: view.id.clone(),
        subject: title,
        kind: t.kind(&view.kind),
        kind_name: view.kind.to_string(),
        case_href: address("/console/case", &[("name", &case)]),
        case,
        from: view.from.to_string(),
        to: listed(&view.to),
        lane: t.lane(view.priority),
        state: t.state(view.state),
        accepted: When::exact(view.accepted),
        expires: When::exact(view.expires),
        expires_in: expires_in(t, &view, now),
        bytes: bytes(view.bytes),
        receivers: view.receivers.iter().map(|one| receiver(t, one)).collect(),
        receipts: view.receipts.iter().map(|one| receipt(t, one)).collect(),
        attachments: view
            .attachments
            .iter()
            .map(|one| attachment(t, one))
            .collect(),
        timeline: timeline(t, &view.timeline),
        left_out: view.steps_left_out,
        incomplete: view.incomplete.iter().map(|gap| gap.why.clone()).collect(),
        is_queued: waits,
        is_held: view.state == MessageState::Held,
        lanes: lanes(t, ""),
        says: visit.may_act() && console.api.bodies_are_shown(),
        reason_max: ReceiptItem::NOTE_BYTES_MAX,
    })
}

/// Whether it waits here for a neighbour, so that something can be done about it.
fn is_queued(view: &MessageView) -> bool {
    let waits = |state| {
        matches!(
            state,
            MessageState::Queued | MessageState::Held | MessageState::Sending
        )
    };
    waits(view.state) || view.receivers.iter().any(|receiver| waits(receiver.state))
}

/// How long there is until it expires, unless it has ended.
pub(super) fn expires_in(t: &Texts, view: &MessageView, now: Millis) -> String {
    if view.state.is_terminal() {
        return String::new();
    }
    match view.expires.checked_sub(now) {
        Some(left) => fill(t.expires_in, &[&span(t, left / 1000)]),
        None => t.expires_past.to_owned(),
    }
}

fn receiver(t: &Texts, view: &ReceiverView) -> Receiver {
    Receiver {
        name: view.receiver.to_string(),
        state: t.state(view.state),
        at: When::exact(view.at),
        why: t.why(view.reason, view.note.as_deref()),
    }
}

fn receipt(t: &Texts, view: &ReceiptView) -> Receipt {
    Receipt {
        outcome: t.state(view.outcome.into()),
        receiver: view.receiver.to_string(),
        issuer: view.issuer.to_string(),
        at: When::exact(view.at),
        why: t.why(view.reason, view.note.as_deref()),
    }
}

fn attachment(t: &Texts, view: &AttachedView) -> Attachment {
    let digest = view.digest.to_string();
    let name = view.name.clone().unwrap_or_default();
    Attachment {
        name: match name.as_str() {
            "" => t.attachment_unnamed.to_owned(),
            name => name.to_owned(),
        },
        size: view
            .size
            .map_or_else(|| t.attachment_not_here.to_owned(), bytes),
        digest,
    }
}

/// The steps, each with the time since the one before.
pub(super) fn timeline(t: &'static Texts, steps: &[StepView]) -> Vec<Step> {
    let mut before = None;
    let step = |step: &StepView| {
        let after = before.map(|before| step.at.saturating_sub(before));
        before = Some(step.at);
        let (tone, text) = t.step(step);
        Step {
            at: When::precise(step.at),
            after: after.map_or_else(String::new, elapsed),
            tone: tone.class(),
            text,
            detail: detail(t, step),
        }
    };
    steps.iter().map(step).collect()
}

/// A time between two steps, to the millisecond when it is short.
pub(super) fn elapsed(ms: Millis) -> String {
    match ms {
        0..1000 => format!("+{ms} ms"),
        1000..60_000 => format!("+{:.1} s", ms as f64 / 1000.0),
        60_000..3_600_000 => format!("+{} min", ms / 60_000),
        _ => format!("+{:.1} h", ms as f64 / 3_600_000.0),
    }
}

fn detail(t: &Texts, step: &StepView) -> String {
    let mut parts = Vec::new();
    let mut part = |template: &str, value: Option<String>| {
        parts.extend(value.map(|value| fill(template, &[&value])));
    };
    let outgoing = matches!(step.step, "received");
    let neighbour = if outgoing { t.step_from } else { t.step_to };
    part(neighbour, step.neighbour.as_ref().map(ToString::to_string));
    part(t.step_link, step.link.clone());
    part(
        t.step_receiver,
        step.receiver.as_ref().map(ToString::to_string),
    );
    part(t.step_issuer, step.issuer.as_ref().map(ToString::to_string));
    part("{}", step.priority.map(|lane| t.lane(lane).text.to_owned()));
    part("{}", step.bytes.filter(|_| step.step != "sent").map(bytes));
    let why = t.why(step.reason, step.note.as_deref());
    part("{}", Some(why).filter(|why| !why.is_empty()));
    parts.join(" · ")
}
