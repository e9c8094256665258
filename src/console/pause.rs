//! Stopping what goes to a neighbour, draining the node, and undoing either.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};

use super::{
    Console,
    session::Said,
    show::Chip,
    texts::{Texts, fill},
    visit::Visit,
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, UnitView},
    model::{Lane, Role, UnitId},
};

/// Longest reason, bytes, as in the API's calls.
pub(super) const REASON_BYTES_MAX: usize = 512;

/// What goes to a neighbour, lane by lane.
pub(super) struct Sending {
    pub(super) neighbour: String,
    pub(super) lanes: Vec<(Chip, Chip)>,
    pub(super) may_pause: bool,
    pub(super) may_resume: bool,
}

impl Sending {
    pub(super) fn of(t: &Texts, unit: &UnitView) -> Self {
        let lane = |lane: Lane| (t.lane(lane), t.sending(unit.paused.contains(&lane)));
        Self {
            neighbour: unit.unit.to_string(),
            lanes: Lane::ALL.map(lane).into(),
            may_pause: unit.paused.len() < Lane::ALL.len(),
            may_resume: !unit.paused.is_empty(),
        }
    }
}

/// `POST /console/pause`: `action` is `pause` or `resume`, `neighbour`, `lane` unless it is all of them, and `reason`.
pub(super) async fn pause<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = set_paused(&console, &visit, body).await;
    answer(&visit, made)
}

async fn set_paused<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Operator).await?;
    let pauses = form.text("action") == "pause";
    let reason = form.text("reason");
    let lane = form.given("lane").map(str::parse::<Lane>).transpose();
    let (Ok(neighbour), Ok(lane)) = (form.text("neighbour").parse::<UnitId>(), lane) else {
        return Ok(console.back(open, &form, Said::bad(t.words.cause_invalid)));
    };
    if let Some(said) = unfit(t, reason, pauses) {
        return Ok(console.back(open, &form, said));
    }
    let gateway = console.api.gateway();
    let unit = neighbour.clone();
    let paused = gateway
        .set_paused(&open.actor, unit, lane, pauses, reason)
        .await?;
    let said = match paused.len() {
        0 => fill(t.pause_none_now, &[&neighbour]),
        all if all == Lane::ALL.len() => fill(t.paused_now, &[&neighbour]),
        _ => fill(t.paused_lanes_now, &[&neighbour, &t.lanes(&paused)]),
    };
    Ok(console.back(open, &form, Said::good(said)))
}

/// `POST /console/drain`: `action` is `drain` or `resume`, and `reason`.
pub(super) async fn drain<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = set_drained(&console, &visit, body).await;
    answer(&visit, made)
}

async fn set_drained<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Administrator).await?;
    let drains = form.text("action") == "drain";
    let reason = form.text("reason");
    if let Some(said) = unfit(t, reason, drains) {
        return Ok(console.back(open, &form, said));
    }
    let gateway = console.api.gateway();
    gateway.set_drained(&open.actor, drains, reason).await?;
    let said = if drains { t.drain_begun } else { t.drain_ended };
    Ok(console.back(open, &form, Said::good(said)))
}

/// What is wrong with a reason, if anything. What stops something has one.
fn unfit(t: &Texts, reason: &str, is_needed: bool) -> Option<Said> {
    match reason.len() {
        0 if is_needed => Some(Said::bad(t.reason_missing)),
        0..=REASON_BYTES_MAX => None,
        _ => Some(Said::bad(t.field_too_long)),
    }
}
