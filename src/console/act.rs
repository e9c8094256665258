//! What an operator does about messages that wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::State, response::Response};

use super::{
    Console,
    form::Form,
    queue::filter,
    session::Said,
    show::count,
    texts::{Texts, fill},
    visit::Visit,
    wrong::{Wrong, answer},
};
use crate::{
    api::{Acted, Action, Actor, Cause, Gateway, Refusal, Which},
    model::{MessageId, ReceiptItem, Role},
};

/// Messages that one form names at most.
const MESSAGES_MAX: usize = 500;
/// Messages that are acted on at once, of all that fit.
const AT_ONCE: u32 = 500;
/// How long one form acts on all that fit. Then it says that there is more.
const ACTS_WITHIN: Duration = Duration::from_secs(60);
/// Refusals that are told one by one.
const TOLD_MAX: usize = 8;

/// `POST /console/act`: `id` once or often, or `every` and `of`; `action`, and what the action needs.
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
    let said = match (which(&form, AT_ONCE), action(t, &form)) {
        (None, _) => Said::bad(t.act_none_chosen),
        (_, Err(why)) => Said::bad(why),
        (Some(which), Ok(action)) => {
            let outcome = act_on(console, &open.actor, which, &action).await?;
            told(t, &action, &outcome)
        }
    };
    Ok(console.back(open, &form, said))
}

/// What came of a form.
#[derive(Default)]
struct Outcome {
    done: u64,
    /// The first of those to which it was not done, and how many more there are.
    refused: Vec<(MessageId, Cause)>,
    more_refused: usize,
    /// Whether there may be more that fit.
    more: bool,
    /// Why it did not go on.
    failed: Option<Cause>,
}

impl Outcome {
    fn add(&mut self, acted: Acted) {
        self.done += acted.done;
        self.more = acted.next.is_some();
        let room = TOLD_MAX - self.refused.len();
        self.more_refused += acted.refused.len().saturating_sub(room);
        let refused = acted.refused.into_iter().take(room);
        self.refused
            .extend(refused.map(|(message, refusal)| (message, refusal.cause)));
    }
}

/// Does it, call by call when it is to be done to all that fit. Whoever goes away ends it between two calls, and what is done stays done when a
/// later call fails.
async fn act_on<G: Gateway>(
    console: &Console<G>,
    actor: &Actor,
    mut which: Which,
    action: &Action,
) -> Result<Outcome, Refusal> {
    let gateway = console.api.gateway();
    let mut all = Outcome::default();
    if let Which::Messages(named) = &which
        && let [message] = **named
    {
        // The audit log names it as what was acted on.
        match gateway.act(actor, message, action.clone()).await {
            Ok(()) => all.done = 1,
            Err(refusal) => all.refused.push((message, refusal.cause)),
        }
        return Ok(all);
    }
    let until = Instant::now() + ACTS_WITHIN;
    loop {
        let acted = gateway.act_on(actor, which.clone(), action.clone(), "");
        let acted = match acted.await {
            Ok(acted) => acted,
            Err(refusal) if all.done > 0 => {
                all.failed = Some(refusal.cause);
                return Ok(all);
            }
            Err(refusal) => return Err(refusal),
        };
        let next = acted.next.clone();
        all.add(acted);
        let (Some(next), Which::Fitting { cursor, .. }) = (next, &mut which) else {
            return Ok(all);
        };
        if Instant::now() >= until {
            return Ok(all);
        }
        *cursor = Some(next);
    }
}

/// What came of it, in words.
fn told(t: &Texts, action: &Action, outcome: &Outcome) -> Said {
    let mut lines = Vec::new();
    if outcome.done > 0 {
        lines.push(fill(t.done(action), &[&count(outcome.done)]));
    }
    let refused = outcome.refused.iter();
    lines.extend(refused.map(|(message, cause)| fill(t.act_refused, &[message, &t.cause(*cause)])));
    if outcome.more_refused > 0 {
        lines.push(fill(t.act_more_refused, &[&outcome.more_refused]));
    }
    lines.extend(outcome.failed.map(|cause| t.cause(cause).to_owned()));
    if outcome.more {
        lines.push(t.act_more_fit.to_owned());
    } else if lines.is_empty() {
        lines.push(t.queue_none.to_owned());
    }
    Said {
        good: outcome.refused.is_empty() && !outcome.more,
        lines,
    }
}

/// What a form is about: the messages that it names, or, when it says `every`, all of the queue that fits the filter under `of`. None when it
/// names nothing.
pub(super) fn which(form: &Form, max: u32) -> Option<Which> {
    if form.text("every") == "yes" {
        let filter = filter(&Form::of_query(Some(form.raw("of"))))?;
        return Some(Which::Fitting {
            filter,
            cursor: None,
            max,
        });
    }
    let named = form.all("id").filter_map(|id| id.parse().ok());
    let mut messages: Vec<_> = named.take(MESSAGES_MAX).collect();
    messages.sort_unstable();
    messages.dedup();
    (!messages.is_empty()).then_some(Which::Messages(messages))
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
