//! A span: what a node did to a message, from when to when.

use super::ids::{SpanId, TraceId};
use crate::model::{MessageId, Millis, UnitId};

/// What was done. The names are those of docs/OPERATIONS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// All of it, from the application's call until every end is known.
    Send,
    /// The application's message was made durable.
    Accept,
    /// A neighbour's message was made durable.
    Receive,
    /// It waited for a neighbour, or in the inbox for the application.
    Wait,
    /// It was under way to a neighbour, until the ack.
    Relay,
    /// It was put into the inbox.
    Deliver,
    /// The application had it, until the ack.
    HandOver,
    /// It ended here.
    End,
}

impl Operation {
    /// The stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Accept => "accept",
            Self::Receive => "receive",
            Self::Wait => "wait",
            Self::Relay => "relay",
            Self::Deliver => "deliver",
            Self::HandOver => "hand over",
            Self::End => "end",
        }
    }

    /// The type among those of OpenTelemetry's conventions for messaging, where it is one of them.
    pub(super) const fn kind_of_operation(self) -> Option<&'static str> {
        match self {
            Self::Send | Self::Relay => Some("send"),
            Self::Accept => Some("create"),
            Self::Receive => Some("receive"),
            Self::HandOver => Some("process"),
            Self::End => Some("settle"),
            Self::Wait | Self::Deliver => None,
        }
    }

    /// OTLP's `SpanKind`.
    pub(super) const fn span_kind(self) -> u8 {
        const INTERNAL: u8 = 1;
        const CLIENT: u8 = 3;
        const PRODUCER: u8 = 4;
        const CONSUMER: u8 = 5;
        match self {
            Self::Send | Self::Accept => PRODUCER,
            Self::Relay => CLIENT,
            Self::Receive | Self::HandOver => CONSUMER,
            Self::Wait | Self::Deliver | Self::End => INTERNAL,
        }
    }
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    /// None of the span over all of a message.
    pub(super) parent: Option<SpanId>,
    pub(super) operation: Operation,
    pub(super) message: MessageId,
    /// To whom, or for whom: a unit or a pattern; empty when that is not one.
    pub(super) destination: String,
    /// Milliseconds since the Unix epoch.
    pub(super) start: Millis,
    /// Not before the start, even when the clock was set back.
    pub(super) end: Millis,
    pub(super) attributes: Vec<Attribute>,
    pub(super) notes: Vec<Note>,
    pub(super) error: Option<Failure>,
}

/// What is said of a span beside what all have.
pub(super) type Attribute = (&'static str, Value);

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

/// Something that happened meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) at: Millis,
    pub(super) name: &'static str,
}

/// Why it came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// A stable name, for `error.type`.
    pub(super) kind: &'static str,
    /// In words.
    pub(super) text: &'static str,
}

impl Span {
    /// The span over all of a message.
    pub(super) fn root(message: MessageId, start: Millis, end: Millis) -> Option<Self> {
        Some(Self {
            trace: TraceId::of(&message)?,
            id: SpanId::root(&message),
            parent: None,
            operation: Operation::Send,
            message,
            destination: String::new(),
            start,
            end: end.max(start),
            attributes: Vec::new(),
            notes: Vec::new(),
            error: None,
        })
    }

    /// What `unit` did.
    pub(super) fn of(
        unit: &UnitId,
        message: MessageId,
        operation: Operation,
        destination: &str,
        (start, end): (Millis, Millis),
    ) -> Option<Self> {
        let root = Self::root(message, start, end)?;
        Some(Self {
            id: SpanId::of(unit, &message, operation.name(), [destination, ""], start),
            parent: Some(root.id),
            operation,
            destination: destination.to_owned(),
            ..root
        })
    }

    /// What `unit` did, and over which link: an urgent message may begin to go over two at one time.
    pub(super) fn over(self, unit: &UnitId, link: &str) -> Self {
        let whom = [self.destination.as_str(), link];
        let id = SpanId::of(unit, &self.message, self.operation.name(), whom, self.start);
        Self { id, ..self }
    }
}
