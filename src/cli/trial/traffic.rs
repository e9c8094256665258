//! The applications of a trial: they submit, receive and ack.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use super::{
    error::TrialError,
    http::Client,
    ledger::Ledger,
    plan::{Event, Planned},
    progress::Progress,
    world::{LOOK_EVERY, Member, World},
};
use crate::cli::texts::{fill, t};

/// Most messages of one batch.
const BATCH_MESSAGES_MAX: usize = 100;
/// How long receipts and the queues may take to settle after the last delivery.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// A submission that is answered "try again later" is tried again after this, and so often.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 20;

/// When messages are submitted.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Pace {
    /// The part of the messages that waits when the links come up and is submitted at once.
    pub(in crate::cli) backlog: f64,
    /// Time from one of the other messages to the next, all units together.
    pub(in crate::cli) gap: Duration,
}

/// Sends everything of the plan, and receives until everything has come and nothing waits any more, or nothing comes any more.
///
/// # Errors
/// A node does not answer, or refuses a message.
pub(super) async fn exchange(
    world: &World,
    pace: &Pace,
    ledger: &Ledger,
    progress: &Progress,
) -> Result<(), TrialError> {
    let over = AtomicBool::new(false);
    let receive = try_join_all(world.members().map(|member| receive(member, ledger, &over)));
    let send = try_join_all(world.members().map(|member| send(member, pace, ledger)));
    let conduct = async {
        try_join(send, watch(world, ledger, progress)).await?;
        progress.phase(t().trial_settling);
        let deadline = Instant::now() + SETTLED_WITHIN;
        while !world.is_quiet().await? && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        over.store(true, Relaxed);
        Ok(())
    };
    try_join(conduct, receive).await.map(drop)
}

/// Cuts the links in the middle when the line is one that is cut, and ends when everything has come or nothing comes any more.
async fn watch(world: &World, ledger: &Ledger, progress: &Progress) -> Result<(), TrialError> {
    let (pairs, messages) = (ledger.pairs(), ledger.plan().len());
    progress.phase(&fill(t().trial_traffic, &[&messages, &pairs]));
    let (began, quiet_within) = (Instant::now(), world.line().quiet_within());
    let mut cut_ahead = world.line().cut;
    let mut mend_at: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let submitted = ledger.submitted();
        if submitted * 2 >= messages
            && let Some(cut) = cut_ahead.take()
        {
            world.cut(true);
            mend_at = Some(now + cut);
            progress.phase(&fill(t().trial_cut, &[&cut.as_secs()]));
        }
        if mend_at.is_some_and(|at| at <= now) {
            world.cut(false);
            mend_at = None;
            progress.phase(t().trial_mended);
        }
        let (delivered, last) = ledger.delivered();
        let is_cut = mend_at.is_some();
        progress.delivered(delivered, if is_cut { t().trial_is_cut } else { "" });
        let through = delivered == pairs && mend_at.is_none();
        let given_up = submitted == messages
            && now.saturating_duration_since(last.unwrap_or(began)) > quiet_within;
        if through || given_up {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A unit's application that submits: what waited at once, and the rest by and by.
async fn send(member: &Member, pace: &Pace, ledger: &Ledger) -> Result<(), TrialError> {
    let messages = ledger.plan().len();
    let backlog = (messages as f64 * pace.backlog) as usize;
    let mine: Vec<(usize, &Planned)> = ledger
        .plan()
        .iter()
        .enumerate()
        .filter(|(_, planned)| planned.from == member.unit)
        .collect();
    let (waited, rest) = mine.split_at(mine.partition_point(|(place, _)| *place < backlog));
    for batch in waited.chunks(BATCH_MESSAGES_MAX) {
        let texts: Vec<_> = batch.iter().map(|(_, planned)| &*planned.text).collect();
        for (place, _) in batch {
            ledger.submit(*place, Instant::now());
        }
        let body = format!("[{}]", texts.join(","));
        submit(member, "application/cloudevents-batch+json", &body).await?;
    }
    let began = tokio::time::Instant::now();
    for (place, planned) in rest {
        sleep_until(began + pace.gap * (place - backlog) as u32).await;
        ledger.submit(*place, Instant::now());
        submit(member, "application/cloudevents+json", &planned.text).await?;
    }
    Ok(())
}

pub(super) async fn submit(
    member: &Member,
    kind: &'static str,
    body: &str,
) -> Result<(), TrialError> {
    let mut tries = 1;
    loop {
        let (status, text) = member
            .client
            .post("/v1/messages", kind, body.to_owned())
            .await?;
        match status {
            202 => return Ok(()),
            429 | 503 | 507 if tries < TRIES_MAX => {
                tries += 1;
                sleep(AGAIN_AFTER).await;
            }
            _ => {
                let told = fill(t().trial_refused, &[&member.unit, &text]);
                return Err(TrialError::internal(told));
            }
        }
    }
}

/// An application that receives: it pulls and acks until all is over and nothing comes any more.
async fn receive(member: &Member, ledger: &Ledger, over: &AtomicBool) -> Result<(), TrialError> {
    loop {
        let last = over.load(Relaxed);
        let events = pull(&member.client, if last { 0 } else { 1 }).await?;
        let at = Instant::now();
        for event in &events {
            ledger.receive(&member.unit, event, at);
        }
        if !events.is_empty() {
            ack(&member.client, &events).await?;
        } else if last {
            return Ok(());
        }
    }
}

pub(super) async fn pull(client: &Client, wait_s: u32) -> Result<Vec<Event>, TrialError> {
    let (status, text) = client.get(&format!("/v1/inbox?wait={wait_s}s")).await?;
    let wrong = |why: &dyn std::fmt::Display| TrialError::internal(format!("/v1/inbox: {why}"));
    if status != 200 {
        return Err(wrong(&text));
    }
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

pub(super) async fn ack(client: &Client, events: &[Event]) -> Result<(), TrialError> {
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event.get("messageid"))
        .collect();
    let body = json!({ "messageids": names }).to_string();
    let (status, text) = client
        .post("/v1/inbox/ack", "application/json", body)
        .await?;
    if status != 200 {
        return Err(TrialError::internal(format!("/v1/inbox/ack: {text}")));
    }
    Ok(())
}
