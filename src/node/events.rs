//! The one place that every event of the machine passes: from here it goes to the log, the metrics, the audit log, the index and traces.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use crate::{
    delivery::{Event, Step},
    index::Feed,
    model::{Lane, Lsn, MessageId, Millis, State},
    observe::{Audit, Entry, Metrics},
    traces,
};

/// Refusals that wait to be written into the audit log. It is synced for each; when a flood of them comes the log and the metrics
/// still tell of every one, and the audit log of how many it lacks.
const REFUSALS_MAX: usize = 64;

/// Where events go.
pub(super) struct Events {
    metrics: Arc<Metrics>,
    index: Feed,
    traces: traces::Feed,
    refusals: mpsc::SyncSender<Refusal>,
    unaudited: u64,
}

struct Refusal {
    at: Millis,
    neighbour: String,
    reason: String,
}

impl Events {
    /// Starts the thread that writes refusals into the audit log; it ends when this is dropped.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        metrics: Arc<Metrics>,
        audit: Arc<Audit>,
        index: Feed,
        traces: traces::Feed,
    ) -> std::io::Result<Self> {
        let (refusals, waiting) = mpsc::sync_channel(REFUSALS_MAX);
        thread::Builder::new()
            .name("audit".into())
            .stack_size(128 * 1024)
            .spawn(move || record(&audit, &waiting))?;
        Ok(Self {
            metrics,
            index,
            traces,
            refusals,
            unaudited: 0,
        })
    }

    /// Takes an event. `lsn` is the last record that the machine appended before it, and `lane` tells a message's lane while the
    /// machine has it.
    pub(super) fn take(
        &mut self,
        lsn: Lsn,
        now: Millis,
        event: &Event,
        lane: impl Fn(&MessageId) -> Option<Lane>,
    ) {
        self.index.take(lsn, event);
        self.traces.take(lsn, event);
        match event {
            Event::Message { message, what, .. } => self.message(message, what, lane),
            Event::Refused {
                neighbour,
                reason,
                parcel,
            } => {
                tracing::warn!(unit = %neighbour, %reason, %parcel, "a parcel was refused");
                self.metrics.refused(*reason);
                self.audit(
                    now,
                    neighbour.as_str(),
                    format!("parcel {parcel}: {reason}"),
                );
            }
            Event::Unreadable {
                parcel,
                message,
                at,
            } => {
                tracing::error!(%message, %parcel, segment = at.segment, offset = at.offset, "a parcel cannot be read back from the journal; it ends here, and its sender is told");
                self.audit(now, "journal", format!("message {message}: damaged"));
            }
            Event::Receipt {
                parcel,
                item,
                issuer,
            } => {
                tracing::debug!(%parcel, receiver = %item.receiver, outcome = ?item.outcome, %issuer, "a receipt came");
            }
            Event::Concluded { .. } | Event::ReceiptPasses { .. } => {}
            Event::Open {
                session,
                neighbour,
                link,
            } => tracing::info!(unit = %neighbour, link, session, "a session is open"),
            Event::Silence {
                session,
                neighbour,
                link,
                silent: true,
                moved,
            } => {
                tracing::warn!(unit = %neighbour, link, session, moved, "a link does not answer; what it had goes over another, if there is one");
            }
            Event::Silence {
                session,
                neighbour,
                link,
                silent: false,
                ..
            } => tracing::info!(unit = %neighbour, link, session, "a link answers again"),
            Event::Reset { neighbour, offered } => {
                tracing::warn!(unit = %neighbour, offered, "the hop was numbered afresh; parcels are offered again");
            }
            Event::Epoch(epoch) => tracing::info!(epoch, "a new epoch begins"),
            Event::UnitMet(unit) => tracing::info!(%unit, "a unit was met for the first time"),
            Event::ClockSkew { neighbour, millis } => {
                tracing::warn!(unit = %neighbour, millis, "the neighbour's clock is far from this one's");
            }
        }
    }

    /// Everything up to this record is durable: the index may know of it, and traces.
    pub(super) fn synced(&mut self, synced: Lsn, now: impl FnOnce() -> Millis) {
        self.index.release(synced);
        self.traces.synced(synced, now);
    }

    fn message(&self, message: &MessageId, step: &Step, lane: impl Fn(&MessageId) -> Option<Lane>) {
        tracing::debug!(%message, ?step, "a message went on");
        let metrics = &self.metrics;
        let lane_of = |message| lane(message).unwrap_or(Lane::Normal);
        match step {
            Step::Accepted { lane, .. } => metrics.accepted(*lane),
            Step::Received { lane, .. } => metrics.received(*lane),
            Step::Delivered => metrics.delivered(lane_of(message)),
            Step::Ended { state, reason, .. } => match state {
                State::Expired => metrics.expired(lane_of(message)),
                State::Dropped => metrics.dropped(lane_of(message)),
                State::Refused => metrics.refused(*reason),
                _ => {}
            },
            _ => {}
        }
    }

    fn audit(&mut self, at: Millis, neighbour: &str, mut reason: String) {
        if self.unaudited > 0 {
            reason.push_str(&format!("; {} more before it", self.unaudited));
        }
        let refusal = Refusal {
            at,
            neighbour: neighbour.to_owned(),
            reason,
        };
        match self.refusals.try_send(refusal) {
            Ok(()) => self.unaudited = 0,
            Err(_) => self.unaudited += 1,
        }
    }
}

fn record(audit: &Audit, waiting: &mpsc::Receiver<Refusal>) {
    for refusal in waiting {
        let entry = Entry {
            actor: "node",
            action: "refuse",
            subject: &refusal.neighbour,
            reason: &refusal.reason,
        };
        if let Err(error) = audit.record(refusal.at, entry) {
            tracing::error!(%error, "a refusal is not in the audit log");
        }
    }
}
