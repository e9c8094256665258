//! What happened to messages, made into spans.

use super::{
    open::{Doing, Here, Open, Phase, Place},
    span::{Attribute, Failure, Operation, Span, Value},
};
use crate::{
    delivery::{Event, Step},
    model::{Lane, MessageId, Millis, Pattern, Reason, State, UnitId},
};

const RETURNED: Failure = Failure {
    kind: "returned",
    text: "the session ended, or its link fell silent, before an ack",
};
const PARKED: Failure = Failure {
    kind: "parked",
    text: "the neighbour cannot take it now",
};
const NOT_ACKED: Failure = Failure {
    kind: "not-acked",
    text: "the application did not ack it in time, or gave it back",
};

/// Tells spans from the events of one node.
#[derive(Debug)]
pub(super) struct Story {
    unit: UnitId,
    open: Open,
}

/// What one event of one message leads to.
struct Page<'a> {
    unit: &'a UnitId,
    message: MessageId,
    at: Millis,
    spans: &'a mut Vec<Span>,
}

impl Story {
    /// Of the node of this unit.
    pub(super) fn new(unit: UnitId) -> Self {
        Self {
            unit,
            open: Open::new(),
        }
    }

    /// Takes an event, which was on stable storage at `durable`, and adds the spans that end with it.
    pub(super) fn take(&mut self, event: Event, durable: Millis, spans: &mut Vec<Span>) {
        match event {
            Event::Message { message, at, what } => {
                let mut here = self.open.take(&message);
                let mut page = Page {
                    unit: &self.unit,
                    message,
                    at,
                    spans,
                };
                page.turn(&mut here, what, durable);
                self.open.put(message, here);
            }
            Event::Concluded {
                message,
                accepted,
                at,
                bytes,
                lane,
                receiver,
                state,
                reason,
            } => {
                let Some(mut root) = Span::root(message, accepted, at) else {
                    return;
                };
                root.destination = receiver.map_or(String::new(), |one| one.as_str().to_owned());
                root.attributes = of_parcel(Some(lane), Some(bytes));
                root.attributes.push(text("casegate.state", state.as_str()));
                root.error = state.is_failure().then(|| ended(state, reason));
                spans.push(root);
            }
            _ => {}
        }
    }
}

impl Page<'_> {
    fn turn(&mut self, here: &mut Here, what: Step, durable: Millis) {
        let at = self.at;
        match what {
            Step::Accepted { bytes, lane, .. } => {
                here.come(lane, bytes);
                self.own(
                    Operation::Accept,
                    durable,
                    of_parcel(Some(lane), Some(bytes)),
                );
            }
            Step::Received {
                bytes, lane, from, ..
            } => {
                here.come(lane, bytes);
                let mut attributes = of_parcel(Some(lane), Some(bytes));
                attributes.push(text("casegate.neighbour", from.as_str()));
                self.own(Operation::Receive, durable, attributes);
            }
            Step::Queued {
                neighbour,
                receivers,
            } => here.begin(Phase::wait(Place::Outbox(neighbour), at, receivers)),
            Step::Sent { neighbour, link } => {
                let place = Place::Outbox(neighbour);
                let doing = Doing::UnderWay(link);
                let waited = here.end(&place, &Doing::Waits);
                let again = here.end(&place, &doing);
                let waited = waited.inspect(|phase| self.phase(here, phase, None));
                let again = again.inspect(|phase| self.phase(here, phase, Some(RETURNED)));
                // It may be under way over another link too.
                let before = waited.or(again).or_else(|| here.at(&place).cloned());
                let before = before.unwrap_or_else(|| Phase::unknown(place, at));
                here.begin(before.then(doing, at));
            }
            Step::Returned { neighbour, link } => {
                let place = Place::Outbox(neighbour);
                let before = here.end(&place, &Doing::UnderWay(link));
                let before = before.inspect(|phase| self.phase(here, phase, Some(RETURNED)));
                if here.at(&place).is_none() {
                    let before = before.unwrap_or_else(|| Phase::unknown(place, at));
                    here.begin(before.then(Doing::Waits, at));
                }
            }
            Step::Parked { neighbour } => {
                let place = Place::Outbox(neighbour);
                let is_waiting = here.at(&place).is_some_and(|one| one.doing == Doing::Waits);
                if !is_waiting {
                    let before = self.left(here, &place, Some(PARKED));
                    here.begin(before.then(Doing::Waits, at));
                }
                here.note(Some(&place), at, "parked");
            }
            Step::Exported { neighbour } => {
                here.note(Some(&Place::Outbox(neighbour)), at, "exported");
            }
            Step::Acked { neighbour } => {
                let place = Place::Outbox(neighbour);
                let phase = self.left(here, &place, None);
                if !matches!(phase.doing, Doing::UnderWay(_)) {
                    // It was carried by hand, or the neighbour had it from before this node's start.
                    self.phase(here, &phase.then(Doing::UnderWay(String::new()), at), None);
                }
            }
            Step::Delivered => {
                self.own(Operation::Deliver, durable, Vec::new());
                let receivers = vec![Pattern::from(self.unit)];
                here.begin(Phase::wait(Place::Inbox, at, receivers));
            }
            Step::Handed => {
                let before = self.left(here, &Place::Inbox, Some(NOT_ACKED));
                here.begin(before.then(Doing::HandedOver, at));
            }
            Step::Taken => {
                let phase = self.left(here, &Place::Inbox, None);
                if phase.doing != Doing::HandedOver {
                    // It was handed over before this node's start.
                    self.phase(here, &phase.then(Doing::HandedOver, at), None);
                }
            }
            Step::Ended {
                receiver,
                state,
                reason,
            } => {
                let failure = ended(state, reason);
                for phase in here.end_for(&receiver) {
                    self.phase(here, &phase, Some(failure));
                }
                let end = Span::of(
                    self.unit,
                    self.message,
                    Operation::End,
                    receiver.as_str(),
                    (at, at),
                );
                self.spans.extend(end.map(|span| Span {
                    attributes: vec![text("casegate.state", state.as_str())],
                    error: Some(failure),
                    ..span
                }));
            }
            Step::Held => here.note(None, at, "held"),
            Step::Released => here.note(None, at, "released"),
            Step::Reprioritised { lane } => {
                here.lane = Some(lane);
                here.note(None, at, "moved to another lane");
            }
        }
    }

    /// All that was going on at a place is over, and that is told; `failure`, of what did not only wait. Gives the last of it, or that it
    /// is not known.
    fn left(&mut self, here: &mut Here, place: &Place, failure: Option<Failure>) -> Phase {
        let mut ended = here.end_all(place);
        for phase in &ended {
            let failure = failure.filter(|_| phase.doing != Doing::Waits);
            self.phase(here, phase, failure);
        }
        let last = ended.pop();
        last.unwrap_or_else(|| Phase::unknown(place.clone(), self.at))
    }

    /// A phase is over.
    fn phase(&mut self, here: &Here, phase: &Phase, failure: Option<Failure>) {
        let operation = match phase.doing {
            Doing::Unknown => return,
            Doing::Waits => Operation::Wait,
            Doing::UnderWay(_) => Operation::Relay,
            Doing::HandedOver => Operation::HandOver,
        };
        let whom = match &phase.place {
            Place::Inbox => self.unit,
            Place::Outbox(neighbour) => neighbour,
        };
        let mut attributes = of_parcel(here.lane, here.bytes);
        let link = match &phase.doing {
            Doing::UnderWay(link) => link.as_str(),
            _ => "",
        };
        if !link.is_empty() {
            attributes.push(text("casegate.link", link));
        }
        if phase.doing != Doing::Waits {
            attributes.push(("casegate.attempt", Value::Number(phase.attempts.into())));
        }
        let times = (phase.since, self.at);
        let span = Span::of(self.unit, self.message, operation, whom.as_str(), times);
        let span = span.map(|span| span.over(self.unit, link));
        self.spans.extend(span.map(|span| Span {
            attributes,
            notes: phase.notes.clone(),
            error: failure,
            ..span
        }));
    }

    /// What this unit did for itself, until it was on stable storage.
    fn own(&mut self, operation: Operation, durable: Millis, attributes: Vec<Attribute>) {
        let times = (self.at, durable);
        let span = Span::of(
            self.unit,
            self.message,
            operation,
            self.unit.as_str(),
            times,
        );
        self.spans
            .extend(span.map(|span| Span { attributes, ..span }));
    }
}

fn of_parcel(lane: Option<Lane>, bytes: Option<u32>) -> Vec<Attribute> {
    let lane = lane.map(|lane| text("casegate.lane", lane.as_str()));
    let bytes = bytes.map(|bytes| {
        let bytes = Value::Number(bytes.into());
        ("messaging.message.envelope.size", bytes)
    });
    lane.into_iter().chain(bytes).collect()
}

fn text(key: &'static str, value: &str) -> Attribute {
    (key, Value::Text(value.to_owned()))
}

fn ended(state: State, reason: Reason) -> Failure {
    Failure {
        kind: reason.as_str(),
        text: state.as_str(),
    }
}
