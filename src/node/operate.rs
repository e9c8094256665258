//! What operators do, and administrators: on messages, one, several or all that fit; to neighbours; to the node.
//!
//! Everything is on record before it is done. What is done to many is one input of the machine, and so one group of records: a crash in
//! the middle leaves all of it done, or nothing.

use std::sync::atomic::Ordering;

use super::handle::{NodeHandle, unexpected};
use crate::{
    api::{Acted, Action, Actor, Cause, Drained, QueueAsk, QueueFilter, Refusal, Volume, Which},
    delivery::{Answer, Input, Order},
    model::{Lane, MessageId, UnitId},
    observe::Audit,
};

/// As many messages as a line of the audit log names.
const NAMED_MAX: usize = 16;

impl NodeHandle {
    /// Acts on one message.
    pub(super) async fn act(
        &self,
        actor: &Actor,
        message: MessageId,
        action: Action,
    ) -> Result<(), Refusal> {
        self.ready()?;
        let reason = detail(&action, "");
        self.audit(actor, action.as_str(), message.to_string(), reason)
            .await?;
        let outcomes = self.order(vec![order(message, &action)]).await?;
        outcomes.into_iter().next().unwrap_or(Ok(()))
    }

    /// Acts on several messages.
    pub(super) async fn act_on(
        &self,
        actor: &Actor,
        which: Which,
        action: Action,
        reason: &str,
    ) -> Result<Acted, Refusal> {
        self.ready()?;
        let (messages, subject, next) = match which {
            Which::Messages(messages) => {
                let subject = format!("{} messages", messages.len());
                (messages, subject, None)
            }
            Which::Fitting {
                filter,
                cursor,
                max,
            } => {
                let subject = format!("all with {}", shown(&filter));
                let ask = QueueAsk {
                    max,
                    cursor,
                    filter,
                };
                let (found, next) = self.select(ask).await?;
                let mut messages: Vec<MessageId> =
                    found.into_iter().map(|(row, ..)| row.message).collect();
                // One message may wait for several neighbours.
                messages.sort_unstable();
                messages.dedup();
                (messages, subject, next)
            }
        };
        if messages.is_empty() {
            return Ok(Acted {
                next,
                ..Acted::default()
            });
        }
        let told = listed(messages.iter().copied(), &detail(&action, reason));
        self.audit(actor, action.as_str(), subject, told).await?;
        let orders = messages.iter().map(|message| order(*message, &action));
        let outcomes = self.order(orders.collect()).await?;
        let mut acted = Acted {
            next,
            ..Acted::default()
        };
        for (message, outcome) in messages.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => acted.done += 1,
                Err(refusal) => acted.refused.push((message, refusal)),
            }
        }
        Ok(acted)
    }

    async fn order(&self, orders: Vec<Order>) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        match self.ask(|ticket| Input::Operate { ticket, orders }).await? {
            Answer::Ordered(outcomes) => Ok(outcomes
                .into_iter()
                .map(|outcome| outcome.map_err(Refusal::from))
                .collect()),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops what goes to a neighbour, or lets it go on; gives the lanes that are stopped now.
    pub(super) async fn set_paused(
        &self,
        actor: &Actor,
        neighbour: UnitId,
        lane: Option<Lane>,
        paused: bool,
        reason: &str,
    ) -> Result<Vec<Lane>, Refusal> {
        self.ready()?;
        let action = if paused { "pause" } else { "resume" };
        let subject = match lane {
            Some(lane) => format!("{neighbour} {lane}"),
            None => neighbour.to_string(),
        };
        self.audit(actor, action, subject, reason.to_owned())
            .await?;
        let unit = neighbour.clone();
        let input = |ticket| Input::Pause {
            ticket,
            neighbour,
            lane,
            paused,
        };
        match self.ask(input).await? {
            Answer::Ordered(outcomes) => {
                outcomes.into_iter().collect::<Result<(), _>>()?;
            }
            other => return Err(unexpected(&other)),
        }
        let neighbours = self.look(|machine| machine.neighbours()).await?;
        let found = neighbours.into_iter().find(|view| view.unit == unit);
        Ok(found.map_or_else(Vec::new, |view| view.paused.lanes()))
    }

    /// Takes no more submissions, or takes them again.
    pub(super) async fn set_drained(
        &self,
        actor: &Actor,
        drained: bool,
        reason: &str,
    ) -> Result<Drained, Refusal> {
        self.ready()?;
        let action = if drained { "drain" } else { "end-drain" };
        self.audit(actor, action, String::new(), reason.to_owned())
            .await?;
        self.shared.draining.store(drained, Ordering::Relaxed);
        tracing::info!(drained, "an administrator drains the node, or ends it");
        self.drained().await
    }

    /// How far a node that is drained has come.
    pub(super) async fn drained(&self) -> Result<Drained, Refusal> {
        let neighbours = self.look(|machine| machine.neighbours()).await?;
        let lanes = neighbours.iter().flat_map(|n| &n.lanes);
        let queued = lanes.fold(Volume::default(), |sum, lane| Volume {
            messages: sum.messages + lane.messages,
            bytes: sum.bytes + lane.bytes,
        });
        Ok(Drained {
            draining: self.is_draining(),
            empty: queued.messages == 0,
            queued,
        })
    }

    pub(super) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// A node that is drained takes no submissions.
    pub(super) fn takes_submissions(&self) -> Result<(), Refusal> {
        if self.is_draining() {
            let detail = "the node is drained for maintenance: it sends what it has and takes nothing new; submit again when it is \
                 back, or let an administrator end it with `casegate resume`";
            return Err(Refusal::new(Cause::Draining, detail));
        }
        Ok(())
    }
}

fn order(message: MessageId, action: &Action) -> Order {
    match action {
        Action::Hold => Order::Hold(message),
        Action::Release => Order::Release(message),
        Action::Retry => Order::Retry(message),
        Action::Reprioritise(lane) => Order::Reprioritise(message, *lane),
        Action::Drop(why) => Order::Drop(message, why.clone()),
        Action::Expire(why) => Order::Expire(message, why.clone()),
    }
}

/// What the audit log tells beside the action.
fn detail(action: &Action, reason: &str) -> String {
    match action {
        Action::Reprioritise(lane) if reason.is_empty() => lane.to_string(),
        Action::Reprioritise(lane) => format!("{lane}; {reason}"),
        Action::Drop(why) | Action::Expire(why) => why.clone(),
        Action::Hold | Action::Release | Action::Retry => reason.to_owned(),
    }
}

/// How many messages, which when they are few, and why.
pub(super) fn listed(messages: impl Iterator<Item = MessageId>, detail: &str) -> String {
    let names: Vec<String> = messages.map(|message| message.to_string()).collect();
    let mut told = format!("{} messages", names.len());
    if names.len() <= NAMED_MAX {
        told = format!("{told}: {}", names.join(" "));
    }
    if !detail.is_empty() {
        told = format!("{told}; {detail}");
    }
    told
}

/// A filter in words, short enough for the audit log.
pub(super) fn shown(filter: &QueueFilter) -> String {
    let QueueFilter {
        state,
        neighbour,
        lane,
        kind,
        case,
        older_than,
    } = filter;
    let parts = [
        state.map(|state| format!("state={}", state.as_str())),
        neighbour.as_ref().map(|unit| format!("neighbour={unit}")),
        lane.map(|lane| format!("lane={lane}")),
        kind.as_ref().map(|kind| format!("kind={kind}")),
        older_than.map(|age| format!("older-than={}s", age / 1000)),
        case.as_ref().map(|case| format!("case={case}")),
    ];
    let mut text = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let mut end = text.len().min(Audit::PART_BYTES_MAX - 16);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_in_words_that_fit_the_audit_log() {
        let filter = QueueFilter {
            lane: Some(Lane::Bulk),
            older_than: Some(3_600_000),
            case: Some("浚烟立".repeat(150)),
            ..QueueFilter::default()
        };
        let text = shown(&filter);
        assert!(
            text.starts_with("lane=bulk older-than=3600s case=浚"),
            "{text}"
        );
        assert!(text.len() + "all with ".len() <= Audit::PART_BYTES_MAX);
    }
}
