//! What an operator does about messages that wait.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};

use super::{
    Console,
    form::Form,
    session::Said,
    texts::{Texts, fill},
    visit::Visit,
    wrong::{Wrong, answer},
};
use crate::{
    api::{Action, Gateway},
    model::{MessageId, ReceiptItem, Role},
};

/// Messages of one form at most.
const MESSAGES_MAX: usize = 1000;
/// Refusals that are told one by one.
const TOLD_MAX: usize = 8;

/// `POST /console/act`: `id` once or often, `action`, and what the action needs.
pub(super) async fn act<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = make(&console, &visit, body).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Operator).await?;
    let messages = chosen(&form);
    let said = match action(t, &form) {
        _ if messages.is_empty() => Said::bad(t.act_none_chosen),
        Err(why) => Said::bad(why),
        Ok(action) => {
            let mut done = 0;
            let mut refused = Vec::new();
            for message in &messages {
                let gateway = console.api.gateway();
                match gateway.act(&open.actor, *message, action.clone()).await {
                    Ok(()) => done += 1,
                    Err(refusal) => refused.push((message, refusal.cause)),
                }
            }
            let mut lines = Vec::new();
            if done > 0 {
                lines.push(fill(t.done(&action), &[&done]));
            }
            let told = refused.iter().take(TOLD_MAX);
            lines.extend(
                told.map(|(message, cause)| fill(t.act_refused, &[message, &t.cause(*cause)])),
            );
            if refused.len() > TOLD_MAX {
                lines.push(fill(t.act_more_refused, &[&(refused.len() - TOLD_MAX)]));
            }
            Said {
                good: refused.is_empty(),
                lines,
            }
        }
    };
    Ok(console.back(open, &form, said))
}

/// The messages that a form names.
pub(super) fn chosen(form: &Form) -> Vec<MessageId> {
    let named = form.all("id").filter_map(|id| id.parse().ok());
    named.take(MESSAGES_MAX).collect()
}

fn action(t: &Texts, form: &Form) -> Result<Action, &'static str> {
    let told = |field: &str| {
        let reason = form.text(field);
        let fits = (1..=ReceiptItem::NOTE_BYTES_MAX).contains(&reason.len());
        fits.then(|| reason.to_owned()).ok_or(t.act_no_reason)
    };
    match form.text("action") {
        "hold" => Ok(Action::Hold),
        "release" => Ok(Action::Release),
        "retry" => Ok(Action::Retry),
        "reprioritise" => {
            let lane = form.text("priority").parse();
            lane.map(Action::Reprioritise).map_err(|_| t.act_no_lane)
        }
        "drop" => told("reason").map(Action::Drop),
        "expire" => told("expire-reason").map(Action::Expire),
        _ => Err(t.act_unknown),
    }
}
