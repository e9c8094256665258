//! The ids of traces and spans. They follow from what they name, so that nodes agree on them without a word on the wire, and a span
//! that is told twice is the same span.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use serde::{Serialize, Serializer};

use crate::model::{MessageId, Millis, UnitId};

/// A trace's id: the 16 bytes of the message's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId([u8; 16]);

/// A span's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SpanId([u8; 8]);

impl TraceId {
    /// The trace of a message; none of one whose name is all zero, which OTLP has for no trace. No name that was made by BLAKE3 is.
    pub(super) fn of(message: &MessageId) -> Option<Self> {
        (message.0 != [0; 16]).then_some(Self(message.0))
    }
}

impl SpanId {
    /// The span over all of a message, which every other one has for its parent.
    pub(super) fn root(message: &MessageId) -> Self {
        Self::hashed(&[&message.0])
    }

    /// What a unit did to a message, towards whom and over which link, and since when.
    pub(super) fn of(
        unit: &UnitId,
        message: &MessageId,
        operation: &str,
        [whom, link]: [&str; 2],
        since: Millis,
    ) -> Self {
        let since = since.to_le_bytes();
        let unit = unit.as_str().as_bytes();
        Self::hashed(&[
            &message.0,
            unit,
            operation.as_bytes(),
            whom.as_bytes(),
            link.as_bytes(),
            &since,
        ])
    }

    fn hashed(parts: &[&[u8]]) -> Self {
        static NAMER: LazyLock<blake3::Hasher> =
            LazyLock::new(|| blake3::Hasher::new_derive_key("casegate 2026-12 span id"));
        let mut hasher = NAMER.clone();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut id = [0; 8];
        let mut bytes = hasher.finalize_xof();
        // OTLP has zero for no span.
        while id == [0; 8] {
            bytes.fill(&mut id);
        }
        Self(id)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> UnitId {
        name.parse().expect("a unit")
    }

    #[test]
    fn a_trace_is_called_as_its_message_and_none_is_called_nothing() {
        let message = MessageId::of(&unit("hebi.a"), "1");
        assert_eq!(TraceId::of(&message), Some(TraceId(message.0)));
        assert_eq!(TraceId::of(&MessageId([0; 16])), None);
    }

    #[test]
    fn whatever_differs_in_anything_has_another_id_and_all_else_the_same() {
        let (a, b) = (unit("hebi.a"), unit("hebi.b"));
        let (one, other) = (MessageId::of(&a, "1"), MessageId::of(&a, "2"));
        let all = [
            SpanId::root(&one),
            SpanId::root(&other),
            SpanId::of(&a, &one, "relay", ["hebi.hub", ""], 7),
            SpanId::of(&b, &one, "relay", ["hebi.hub", ""], 7),
            SpanId::of(&a, &other, "relay", ["hebi.hub", ""], 7),
            SpanId::of(&a, &one, "wait", ["hebi.hub", ""], 7),
            SpanId::of(&a, &one, "relay", ["hebi.hu", ""], 7),
            SpanId::of(&a, &one, "relay", ["hebi.hub", ""], 8),
            SpanId::of(&a, &one, "relay", ["hebi.hub", "3g"], 7),
            SpanId::of(&a, &one, "relay", ["hebi.hub3g", ""], 7),
            SpanId::of(&a, &one, "rela", ["yhebi.hub", ""], 7),
        ];
        for (at, id) in all.iter().enumerate() {
            assert!(!all[..at].contains(id), "{at}");
            assert_ne!(id.0, [0; 8]);
        }
        assert_eq!(all[2], SpanId::of(&a, &one, "relay", ["hebi.hub", ""], 7));
        // Nodes of other versions agree on it.
        let fixed = SpanId::root(&MessageId([7; 16]));
        assert_eq!(HEXLOWER.encode(&fixed.0), "4da1596970876852");
    }
}
