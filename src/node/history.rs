//! What the index and the node give each other, and what is shown of what the index knows.

use std::{
    cell::RefCell,
    iter,
    sync::{Arc, Weak},
};

use tokio::sync::oneshot;

use super::{command::Command, handle::NodeHandle, judge::receipt_lines, shared::Shared};
use crate::{
    api::{
        AttachedView, Cause, GapView, HappeningView, MessageView, ReceiptView, ReceiverView,
        Refusal, StepView,
    },
    delivery::{Delivery, ParcelView},
    index::{Bounds, Entry, Gap, Happening, Line, Source, Unavailable, What},
    journal::Ahead,
    model::{
        BlobDigest, Digest, Location, MessageId, Millis, Pattern, Reason, ReceiptItem, State,
        UnitId,
    },
    observe,
    parcel::{Header, Parcel},
};

/// The attribute with the names of attached files, in the order of `attachments`.
const NAMES_OF_FILES: &str = "attachmentnames";

/// Messages that were lost and are told in the log, and in one entry of the audit log.
const LOST_TOLD_MAX: usize = 1000;
const LOST_AUDITED_MAX: usize = 30;
/// Messages that the index takes over at a time when it lacks some. Everybody else waits so long.
const LIVE_AT_ONCE: usize = 256;

/// The node as the index asks it.
pub(super) struct IndexSource {
    /// The index does not keep a node alive.
    shared: Weak<Shared>,
    /// Messages are asked for in the order in which they came, nearly.
    ahead: RefCell<Ahead>,
}

impl IndexSource {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            ahead: RefCell::default(),
        }
    }

    fn read(&self, at: Location) -> Option<Parcel> {
        let reader = self.shared.upgrade()?.reader().ok()?;
        let read = reader.read_on(at, &mut self.ahead.borrow_mut());
        Parcel::read(read.ok()?).ok()
    }
}

impl Source for IndexSource {
    fn header(&self, at: Location) -> Option<Header> {
        self.read(at)?.stored_header().ok()
    }

    fn parcel(&self, at: Location) -> Option<(Digest, u32)> {
        let parcel = self.read(at)?;
        let bytes = u32::try_from(parcel.bytes().len()).ok()?;
        Some((parcel.digest(), bytes))
    }

    fn receipt(&self, at: Location) -> Option<(UnitId, Vec<ReceiptItem>)> {
        let parcel = self.read(at)?;
        Some((parcel.header().ok()?.sender, receipt_lines(&parcel.body())?))
    }

    fn live(&self, after: Option<u32>) -> Option<(Vec<ParcelView>, Option<u32>)> {
        let (seen, answer) = oneshot::channel();
        let look = move |machine: &Delivery| {
            // The index may be gone.
            drop(seen.send(machine.messages(after, LIVE_AT_ONCE)));
        };
        let commands = self.shared.upgrade()?.commands.clone();
        commands.blocking_send(Command::Look(Box::new(look))).ok()?;
        drop(commands);
        answer.blocking_recv().ok()
    }

    fn lost(&self, messages: &[Entry]) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        for entry in messages.iter().take(LOST_TOLD_MAX) {
            tracing::error!(
                message = %entry.message,
                from = %entry.from,
                "a message was in a record of the journal that is lost; unless a neighbour still has it, it has to be sent again"
            );
        }
        if !messages.is_empty() {
            let count = messages.len();
            tracing::error!(count, "messages were lost with the journal's damage");
            let names: Vec<String> = messages
                .iter()
                .take(LOST_AUDITED_MAX)
                .map(|entry| entry.message.to_string())
                .collect();
            let audited = shared.audit.record(
                shared.clock.wall(),
                observe::Entry {
                    actor: "node",
                    action: "lose",
                    subject: "journal",
                    reason: &format!(
                        "{count} messages were in damaged records: {}",
                        names.join(" ")
                    ),
                },
            );
            if let Err(error) = audited {
                tracing::error!(%error, "what was lost is not in the audit log");
            }
        }
    }

    fn now(&self) -> Millis {
        self.shared
            .upgrade()
            .map_or(0, |shared| shared.clock.wall())
    }

    fn bounds(&self) -> Bounds {
        let limits = self
            .shared
            .upgrade()
            .map(|shared| shared.live().settings.limits);
        let limits = limits.unwrap_or_default();
        Bounds {
            retention_days: limits.retention_days,
            messages_max: limits.index_messages,
        }
    }
}

impl NodeHandle {
    /// Everything that is known of a message: from the queues as they are, and from the index.
    pub(super) async fn message_view(
        &self,
        message: MessageId,
    ) -> Result<Option<MessageView>, Refusal> {
        let queued = self.look(move |machine| machine.find(&message)).await?;
        let known = self.shared.index.message(message).await;
        let Some(queued) = queued else {
            let entry = known.map_err(unavailable)?;
            let gaps = self.shared.index.gaps().await.map_err(unavailable)?;
            return Ok(entry.map(|entry| view(entry, true, gaps)));
        };
        let header = self.headers(vec![queued.location]).await;
        let header = header.map(|mut read| read.pop().flatten());
        if let Ok(Some(entry)) = known {
            let mut view = queued_view(view(entry, true, Vec::new()), &queued);
            if let Ok(Some((header, _))) = header {
                view.attachments = self.attached(&header);
            }
            return Ok(Some(view));
        }
        // An index that has failed or is behind is no reason to know nothing.
        let header = header?;
        Ok(header.map(|(header, bytes)| {
            let attachments = self.attached(&header);
            let first = StepView {
                at: queued.received,
                step: if queued.origin {
                    "accepted"
                } else {
                    "received"
                },
                bytes: Some(bytes),
                priority: Some(queued.lane),
                ..StepView::default()
            };
            let view = MessageView {
                messageid: queued.message,
                subject: header.text("subject").map(str::to_owned),
                id: header.id,
                from: header.sender,
                to: header.to,
                kind: header.kind,
                caseid: header.case,
                priority: queued.lane,
                accepted: header.accepted,
                expires: header.expires,
                bytes,
                attachments,
                state: State::Queued,
                receivers: Vec::new(),
                receipts: Vec::new(),
                timeline: vec![first],
                steps_left_out: 0,
                incomplete: Vec::new(),
            };
            queued_view(view, &queued)
        }))
    }

    /// The attachments that a header names.
    fn attached(&self, header: &Header) -> Vec<AttachedView> {
        let names = header.text(NAMES_OF_FILES).unwrap_or_default();
        let names = names.split(' ').map(readable).chain(iter::repeat(None));
        let digests = header.attachments.iter().copied().map(BlobDigest);
        let attached = digests.zip(names).map(|(digest, name)| AttachedView {
            size: self.shared.blobs.size(&digest),
            digest,
            name,
        });
        attached.collect()
    }
}

/// The name of a file, of which the sender has written some characters as `%XX`; none when it is none.
fn readable(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok()?[0]);
        rest = after;
    }
    let text = String::from_utf8(bytes).ok()?;
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Puts into a view what the queues say at this moment.
fn queued_view(mut view: MessageView, queued: &ParcelView) -> MessageView {
    let hops = queued.hops.iter();
    let hops = hops.flat_map(|hop| hop.receivers.iter().map(|r| (r, hop.state, Reason::None)));
    let signed = queued.receivers.iter();
    let signed = signed.map(|receiver| (&receiver.target, receiver.state, receiver.reason));
    let now: Vec<(&Pattern, State, Reason)> = match queued.origin {
        true => signed.collect(),
        false => hops.collect(),
    };
    for (target, state, reason) in now {
        let known = view.receivers.iter_mut().find(|r| r.receiver == *target);
        match known {
            // A receipt may be here before the ack of the copy that it is about.
            Some(known) if known.state == state || !known.state.gives_way_to(state, reason) => {}
            Some(known) => {
                known.state = state;
                known.reason = told(reason);
            }
            None => view.receivers.push(ReceiverView {
                receiver: target.clone(),
                state,
                reason: told(reason),
                at: queued.received,
                note: None,
            }),
        }
    }
    let states = view.receivers.iter().map(|receiver| receiver.state);
    let hops = queued.hops.iter().map(|hop| hop.state);
    let inbox = queued.inbox.map(|_| State::Delivered);
    let state = states.min().or_else(|| hops.chain(inbox).min());
    view.state = state.unwrap_or(State::Queued);
    view
}

/// What the index knows of a message.
pub(super) fn view(entry: Entry, with_timeline: bool, gaps: Vec<Gap>) -> MessageView {
    let state = entry.state();
    let bytes = entry.bytes.into();
    let receipts = entry.timeline.iter().filter_map(|line| match &line.what {
        What::Receipt {
            receiver,
            outcome,
            reason,
            note,
            issuer,
        } => Some(ReceiptView {
            outcome: *outcome,
            receiver: receiver.clone(),
            at: line.at,
            issuer: issuer.clone(),
            reason: told(*reason),
            note: words(note),
        }),
        _ => None,
    });
    let receipts = receipts.collect();
    let timeline = entry.timeline.into_iter().filter(|_| with_timeline);
    MessageView {
        messageid: entry.message,
        id: entry.id,
        from: entry.from,
        to: entry.to,
        kind: entry.kind,
        caseid: entry.case,
        subject: entry.subject,
        priority: entry.lane,
        accepted: entry.accepted,
        expires: entry.expires,
        bytes,
        attachments: Vec::new(),
        state,
        receipts,
        timeline: timeline
            .map(|line| step(line.at, line.what, bytes))
            .collect(),
        receivers: entry
            .receivers
            .into_iter()
            .map(|receiver| ReceiverView {
                receiver: receiver.target,
                state: receiver.state,
                reason: told(receiver.reason),
                at: receiver.at,
                note: words(&receiver.note),
            })
            .collect(),
        steps_left_out: entry.left_out,
        incomplete: gap_views(gaps),
    }
}

/// Something that has just happened.
pub(super) fn happening_view(happening: &Happening) -> HappeningView {
    let Line { at, what } = happening.line.clone();
    HappeningView {
        messageid: happening.message,
        from: happening.from.clone(),
        kind: happening.kind.clone(),
        caseid: happening.case.clone(),
        priority: happening.lane,
        state: happening.state,
        step: step(at, what, happening.bytes.into()),
    }
}

pub(super) fn gap_views(gaps: Vec<Gap>) -> Vec<GapView> {
    let view = |Gap { at, why }| GapView { at, why };
    gaps.into_iter().map(view).collect()
}

/// What the API tells when the index does not answer.
pub(super) fn unavailable(error: Unavailable) -> Refusal {
    Refusal::new(Cause::IndexUnavailable, error.to_string())
}

fn told(reason: Reason) -> Option<Reason> {
    Some(reason).filter(|reason| *reason != Reason::None)
}

fn words(note: &str) -> Option<String> {
    Some(note.to_owned()).filter(|note| !note.is_empty())
}

fn step(at: Millis, what: What, bytes: u64) -> StepView {
    let mut view = StepView {
        at,
        ..StepView::default()
    };
    view.step = match what {
        What::Accepted { lane } => {
            (view.bytes, view.priority) = (Some(bytes), Some(lane));
            "accepted"
        }
        What::Received { from, lane } => {
            (view.neighbour, view.bytes, view.priority) = (from, Some(bytes), Some(lane));
            "received"
        }
        What::Queued { neighbour } => {
            view.neighbour = Some(neighbour);
            "queued"
        }
        What::Sent { neighbour, link } => {
            (view.neighbour, view.link) = (Some(neighbour), Some(link));
            view.bytes = Some(bytes);
            "sent"
        }
        What::Returned { neighbour, link } => {
            (view.neighbour, view.link) = (Some(neighbour), Some(link));
            "returned"
        }
        What::Acked { neighbour } => {
            view.neighbour = Some(neighbour);
            "acked"
        }
        What::Delivered => "delivered",
        What::Handed => "handed",
        What::Taken => "taken",
        What::Ended {
            receiver,
            state,
            reason,
        } => {
            (view.receiver, view.state) = (Some(receiver), Some(state));
            view.reason = told(reason);
            "ended"
        }
        What::Held => "held",
        What::Released => "released",
        What::Reprioritised { lane } => {
            view.priority = Some(lane);
            "reprioritised"
        }
        What::Exported { neighbour } => {
            view.neighbour = Some(neighbour);
            "exported"
        }
        What::Parked { neighbour } => {
            view.neighbour = Some(neighbour);
            "parked"
        }
        What::Receipt {
            receiver,
            outcome,
            reason,
            note,
            issuer,
        } => {
            (view.receiver, view.outcome) = (Some(receiver), Some(outcome));
            (view.reason, view.note) = (told(reason), words(&note));
            view.issuer = Some(issuer);
            "receipt"
        }
    };
    view
}
