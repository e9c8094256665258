//! What can be wrong with an event.

use std::fmt;

/// An event is not taken: what is wrong, with which attribute or against which bound, and in which element of a batch.
///
/// It carries no more of the event than an attribute's name and, for a kind or a receiver, the first characters of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// The sort of problem.
    pub problem: Problem,
    /// The attribute that it is about.
    pub attribute: Option<String>,
    /// The bound that was passed: its name in the configuration, and what it is set to, in the name's unit.
    pub bound: Option<(&'static str, u64)>,
    /// What is wrong and what to write instead, one phrase for people.
    pub detail: String,
    /// The element of the batch, from 0.
    pub index: Option<usize>,
}

/// The sort of problem: stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not UTF-8 or not JSON.
    InvalidJson,
    /// JSON, but not an event that can be carried.
    InvalidEvent,
    /// The type is not a kind that this node knows.
    UnknownKind,
    /// The source is not this node's unit.
    ForeignSource,
    /// The expiry is past, or lies too far ahead.
    Expires,
    /// The data is nested too deeply.
    Nesting,
    /// The data, or the batch, is over its bound.
    TooLarge,
}

impl Problem {
    /// The stable name, as in a problem document's `type`.
    pub const fn slug(self) -> &'static str {
        match self {
            Problem::InvalidJson => "invalid-json",
            Problem::InvalidEvent => "invalid-event",
            Problem::UnknownKind => "unknown-kind",
            Problem::ForeignSource => "foreign-source",
            Problem::Expires => "expires",
            Problem::Nesting => "nesting",
            Problem::TooLarge => "too-large",
        }
    }

    /// The same in words, without the particulars of one event.
    pub const fn title(self) -> &'static str {
        match self {
            Problem::InvalidJson => "the body is not UTF-8 JSON",
            Problem::InvalidEvent => "the event cannot be carried as it is",
            Problem::UnknownKind => "this node does not know the kind",
            Problem::ForeignSource => "the source is not this node's unit",
            Problem::Expires => "the expiry is past or too far ahead",
            Problem::Nesting => "the data is nested too deeply",
            Problem::TooLarge => "the event or the batch is too large",
        }
    }

    /// The HTTP status that it is answered with (RFC 9110, section 15).
    pub const fn status(self) -> u16 {
        match self {
            Problem::InvalidJson => 400,
            Problem::ForeignSource => 403,
            Problem::TooLarge => 413,
            Problem::InvalidEvent | Problem::UnknownKind | Problem::Expires | Problem::Nesting => {
                422
            }
        }
    }
}

impl EventError {
    /// Longest attribute name that an error repeats, in characters.
    const NAME_CHARS_MAX: usize = 64;

    pub(super) fn new(problem: Problem, detail: impl Into<String>) -> Self {
        Self {
            problem,
            attribute: None,
            bound: None,
            detail: detail.into(),
            index: None,
        }
    }

    /// An attribute of the event is not as it must be.
    pub(super) fn attribute(name: &str, detail: impl Into<String>) -> Self {
        Self::new(Problem::InvalidEvent, detail).about(name)
    }

    pub(super) fn about(mut self, name: &str) -> Self {
        self.attribute = Some(name.chars().take(Self::NAME_CHARS_MAX).collect());
        self
    }

    pub(super) fn bounded(mut self, name: &'static str, limit: u64) -> Self {
        self.bound = Some((name, limit));
        self
    }

    pub(super) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index}: ")?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, "{attribute}: ")?;
        }
        f.write_str(&self.detail)
    }
}

impl std::error::Error for EventError {}
