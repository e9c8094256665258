//! What the index knows of one message, and how events change it.

use bincode::{Decode, Encode};

use super::{keys::Stem, news::News};
use crate::{
    delivery::{ParcelView, Step},
    model::{
        Digest, Kind, Lane, MessageId, Millis, Outcome, Pattern, Reason, ReceiptItem, State, UnitId,
    },
    parcel::Header,
};

/// Most steps of a timeline; beyond, attempts are left out.
pub(super) const STEPS_MAX: usize = 96;
/// Most steps when all that can be left out is: ends and receipts of many receivers.
const STEPS_TOTAL_MAX: usize = 1024;
/// Most receivers of one entry: those that are signed, and those that a pattern was expanded to.
const RECEIVERS_MAX: usize = 1024;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Its name.
    pub message: MessageId,
    /// Its parcel.
    pub parcel: Digest,
    /// The CloudEvents id.
    pub id: String,
    /// The sender.
    pub from: UnitId,
    /// The receivers as signed.
    pub to: Vec<Pattern>,
    /// The kind.
    pub kind: Kind,
    /// The case.
    pub case: Option<String>,
    /// The title.
    pub subject: Option<String>,
    /// The lane that it was last in.
    pub lane: Lane,
    /// When its sender accepted it.
    pub accepted: Millis,
    /// When it expires.
    pub expires: Millis,
    /// The parcel's size.
    pub bytes: u32,
    /// Every receiver that is known here.
    pub receivers: Vec<Receiver>,
    /// What happened, the earliest first.
    pub timeline: Vec<Line>,
    /// Steps that found no room.
    pub left_out: u32,
}

/// A receiver of a message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receiver {
    /// A unit, or a pattern that was not expanded here.
    pub target: Pattern,
    /// Its state.
    pub state: State,
    /// Why, when it ended badly.
    pub reason: Reason,
    /// When it came to this state.
    pub at: Millis,
    /// An operator's words.
    pub note: String,
    /// The neighbour that it goes over.
    pub via: Option<UnitId>,
}

/// A step of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// When, milliseconds since the Unix epoch.
    pub at: Millis,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(
    missing_docs,
    reason = "the steps of `delivery::Step`, without what is said elsewhere"
)]
pub enum What {
    Accepted {
        lane: Lane,
    },
    Received {
        from: Option<UnitId>,
        lane: Lane,
    },
    Queued {
        neighbour: UnitId,
    },
    Sent {
        neighbour: UnitId,
        link: String,
    },
    Returned {
        neighbour: UnitId,
        link: String,
    },
    Acked {
        neighbour: UnitId,
    },
    Delivered,
    Handed,
    Taken,
    Ended {
        receiver: Pattern,
        state: State,
        reason: Reason,
    },
    Held,
    Released,
    Reprioritised {
        lane: Lane,
    },
    Parked {
        neighbour: UnitId,
    },
    Receipt {
        receiver: Pattern,
        outcome: Outcome,
        reason: Reason,
        note: String,
        issuer: UnitId,
    },
    Exported {
        neighbour: UnitId,
    },
}

impl What {
    /// Whether it may be left out: it says how the message went on, not how far it came.
    fn is_attempt(&self) -> bool {
        matches!(
            self,
            What::Queued { .. }
                | What::Sent { .. }
                | What::Returned { .. }
                | What::Handed
                | What::Parked { .. }
        )
    }
}

impl Entry {
    /// A message of which nothing has happened yet.
    pub(super) fn new(header: Header, parcel: Digest, bytes: u32) -> Self {
        Self {
            message: header.message_id(),
            parcel,
            subject: header.text("subject").map(str::to_owned),
            id: header.id,
            from: header.sender,
            to: header.to,
            kind: header.kind,
            case: header.case,
            lane: header.lane,
            accepted: header.accepted,
            expires: header.expires,
            bytes,
            receivers: Vec::new(),
            timeline: Vec::new(),
            left_out: 0,
        }
    }

    /// What its names begin with.
    pub(super) fn stems(&self) -> impl Iterator<Item = Stem> {
        let case = self.case.as_deref().map(Stem::case);
        [Stem::message(&self.message), Stem::parcel(&self.parcel)]
            .into_iter()
            .chain(case)
    }

    /// The state of the receiver that is furthest behind.
    pub fn state(&self) -> State {
        let states = self.receivers.iter().map(|receiver| receiver.state);
        states.min().unwrap_or(State::Queued)
    }

    /// Takes a step and tells of it. `me` is the node's own unit.
    pub(super) fn step(&mut self, me: &UnitId, at: Millis, step: &Step, news: &News) {
        let what = match step {
            Step::Accepted { lane, .. } => {
                for target in self.to.clone() {
                    self.settle(&target, State::Queued, Reason::None, at, "");
                }
                What::Accepted { lane: *lane }
            }
            Step::Received { lane, from, .. } => What::Received {
                from: Some(from.clone()),
                lane: *lane,
            },
            Step::Queued {
                neighbour,
                receivers,
            } => {
                for target in receivers {
                    self.settle(target, State::Queued, Reason::None, at, "");
                    if let Some(receiver) = self.receiver(target) {
                        receiver.via = Some(neighbour.clone());
                    }
                }
                let neighbour = neighbour.clone();
                What::Queued { neighbour }
            }
            Step::Sent { neighbour, link } => {
                self.under_way(Some(neighbour), State::Sending, at);
                let (neighbour, link) = (neighbour.clone(), link.clone());
                What::Sent { neighbour, link }
            }
            Step::Returned { neighbour, link } => {
                self.under_way(Some(neighbour), State::Queued, at);
                let (neighbour, link) = (neighbour.clone(), link.clone());
                What::Returned { neighbour, link }
            }
            Step::Acked { neighbour } => {
                self.under_way(Some(neighbour), State::Relayed, at);
                let neighbour = neighbour.clone();
                What::Acked { neighbour }
            }
            Step::Delivered => {
                self.settle(&me.into(), State::Delivered, Reason::None, at, "");
                What::Delivered
            }
            Step::Handed => What::Handed,
            Step::Taken => {
                self.settle(&me.into(), State::Read, Reason::None, at, "");
                What::Taken
            }
            Step::Ended {
                receiver,
                state,
                reason,
            } => {
                self.settle(receiver, *state, *reason, at, "");
                What::Ended {
                    receiver: receiver.clone(),
                    state: *state,
                    reason: *reason,
                }
            }
            Step::Held => {
                self.under_way(None, State::Held, at);
                What::Held
            }
            Step::Released => {
                self.under_way(None, State::Queued, at);
                What::Released
            }
            Step::Reprioritised { lane } => {
                self.lane = *lane;
                What::Reprioritised { lane: *lane }
            }
            Step::Exported { neighbour } => {
                self.under_way(Some(neighbour), State::Held, at);
                let neighbour = neighbour.clone();
                What::Exported { neighbour }
            }
            Step::Parked { neighbour } => What::Parked {
                neighbour: neighbour.clone(),
            },
        };
        let line = Line { at, what };
        news.tell(self, &line);
        self.note(line);
    }

    /// Takes a receipt's line and tells of it.
    pub(super) fn receipt(&mut self, item: &ReceiptItem, issuer: &UnitId, news: &News) {
        let state = item.outcome.into();
        self.settle(&item.receiver, state, item.reason, item.at, &item.note);
        let what = What::Receipt {
            receiver: item.receiver.clone(),
            outcome: item.outcome,
            reason: item.reason,
            note: item.note.clone(),
            issuer: issuer.clone(),
        };
        let line = Line { at: item.at, what };
        news.tell(self, &line);
        self.note(line);
    }

    /// Takes what the node says of a message that it still has, where that is more than is known.
    pub(super) fn catch_up(&mut self, me: &UnitId, view: &ParcelView) {
        let at = view.received;
        if self.timeline.is_empty() {
            let lane = self.lane;
            let first = match view.origin {
                true => What::Accepted { lane },
                false => What::Received { from: None, lane },
            };
            self.note(Line { at, what: first });
        }
        self.lane = view.lane;
        for receiver in &view.receivers {
            self.settle(&receiver.target, receiver.state, receiver.reason, at, "");
        }
        for hop in &view.hops {
            for target in &hop.receivers {
                self.settle(target, hop.state, Reason::None, at, "");
                if let Some(receiver) = self.receiver(target) {
                    receiver.via = Some(hop.neighbour.clone());
                }
            }
        }
        if view.inbox.is_some() {
            self.settle(&me.into(), State::Delivered, Reason::None, at, "");
        }
    }

    fn receiver(&mut self, target: &Pattern) -> Option<&mut Receiver> {
        self.receivers.iter_mut().find(|r| r.target == *target)
    }

    fn settle(&mut self, target: &Pattern, state: State, reason: Reason, at: Millis, note: &str) {
        if let Some(receiver) = self.receiver(target) {
            // What was lost with a damaged record came again.
            let is_back = receiver.reason == Reason::Damaged && state == State::Queued;
            let gives_way = is_back || receiver.state.gives_way_to(state, reason);
            if receiver.state != state && gives_way {
                receiver.state = state;
                receiver.reason = reason;
                receiver.at = at;
                note.clone_into(&mut receiver.note);
            }
        } else if self.receivers.len() < RECEIVERS_MAX {
            self.receivers.push(Receiver {
                target: target.clone(),
                state,
                reason,
                at,
                note: note.to_owned(),
                via: None,
            });
        }
    }

    /// The copies that have not left yet, of one neighbour or of all, come to this state.
    fn under_way(&mut self, neighbour: Option<&UnitId>, state: State, at: Millis) {
        for receiver in &mut self.receivers {
            let waits = matches!(receiver.state, State::Queued | State::Held | State::Sending);
            let is_meant = neighbour.is_none() || receiver.via.as_ref() == neighbour;
            if waits && is_meant && receiver.state != state {
                receiver.state = state;
                receiver.at = at;
            }
        }
    }

    pub(super) fn note(&mut self, line: Line) {
        if self.timeline.contains(&line) {
            return;
        }
        if self.timeline.len() >= STEPS_MAX && !self.make_room(&line) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        // A receipt comes later than what it tells, and tells the time of another node's clock.
        let place = self.timeline.partition_point(|before| before.at <= line.at);
        self.timeline.insert(place, line);
    }

    /// Leaves out an attempt for something that says more; the first attempts stay.
    fn make_room(&mut self, line: &Line) -> bool {
        let last = self.timeline.iter().rposition(|l| l.what.is_attempt());
        match last {
            _ if line.what.is_attempt() => false,
            Some(last) => {
                self.timeline.remove(last);
                self.left_out = self.left_out.saturating_add(1);
                true
            }
            None => self.timeline.len() < STEPS_TOTAL_MAX,
        }
    }
}
