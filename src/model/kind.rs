//! Kinds of message.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use super::{
    Lane,
    unit::{decode_name, is_segment},
};

/// What a message is about: a dotted lower-case name such as `case.transfer`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Arc<str>);

/// The kind of the gateway's own receipts. No application may submit it.
pub const RECEIPT_KIND: &str = "receipt";

/// A text is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kind: write segments of a-z, 0-9 and inner \"-\", joined by dots")]
pub struct KindError(String);

impl Kind {
    /// Longest kind, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The gateway's own `receipt`.
    pub fn receipt() -> Self {
        Self(RECEIPT_KIND.into())
    }

    /// Whether this is the gateway's own `receipt`.
    pub fn is_receipt(&self) -> bool {
        *self.0 == *RECEIPT_KIND
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= Self::BYTES_MAX && text.split('.').all(is_segment) {
            Ok(Self(text.into()))
        } else {
            Err(KindError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for Kind {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for Kind {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decode_name(decoder, Self::BYTES_MAX)
    }
}

bincode::impl_borrow_decode!(Kind);

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What the gateway does with a kind unless the message says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRule {
    /// The lane it travels in.
    pub lane: Lane,
    /// Days from acceptance until it expires.
    pub expires_days: u16,
    /// Whether the sender is told that the receiving application took it (`read`), beside `delivered`.
    pub read_receipt: bool,
    /// Whether what this node sends of it is compressed, and what comes after it against it.
    pub compressed: bool,
}

/// The kinds that this node lets applications submit, with their rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(BTreeMap<Kind, KindRule>);

impl Kinds {
    /// The rule of `kind`, if this node knows it.
    pub fn get(&self, kind: &Kind) -> Option<KindRule> {
        self.0.get(kind).copied()
    }

    /// Adds a kind, or replaces its rule.
    pub fn insert(&mut self, kind: Kind, rule: KindRule) {
        self.0.insert(kind, rule);
    }

    /// Those that are not compressed.
    pub fn plain(&self) -> BTreeSet<Kind> {
        let plain = self.iter().filter(|(_, rule)| !rule.compressed);
        plain.map(|(kind, _)| kind.clone()).collect()
    }

    /// Every kind, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Kind, KindRule)> {
        self.0.iter().map(|(kind, rule)| (kind, *rule))
    }
}

/// The kinds of the platforms that connect administrative law enforcement with criminal justice.
impl Default for Kinds {
    fn default() -> Self {
        use Lane::{Bulk, Normal, Urgent};
        const BUILT_IN: &[(&str, Lane, u16, bool)] = &[
            ("case.transfer", Normal, 30, true),
            ("case.receipt", Normal, 30, true),
            ("case.filing", Normal, 30, true),
            ("case.step", Normal, 30, true),
            ("case.material", Bulk, 30, true),
            ("case.supervision", Urgent, 30, true),
            ("case.judgment", Normal, 30, true),
            ("penalty.decision", Normal, 30, true),
            ("penalty.approval", Normal, 30, true),
            ("consultation.question", Normal, 30, true),
            ("consultation.reply", Normal, 30, true),
            ("enforcement.info", Bulk, 30, true),
            ("notice", Normal, 30, false),
            ("forum.theme", Bulk, 30, false),
            ("forum.reply", Bulk, 30, false),
            ("directive", Urgent, 30, true),
            ("report", Normal, 30, true),
            ("exchange", Normal, 30, true),
            ("supervision.special", Normal, 30, true),
            ("dutycrime.lead", Urgent, 30, true),
            ("discipline.lead", Urgent, 30, true),
            ("warning.deadline", Urgent, 30, true),
            ("warning.amount", Urgent, 30, true),
            ("warning.history", Urgent, 30, true),
            ("statistics.monthly", Bulk, 30, true),
        ];
        Self(
            BUILT_IN
                .iter()
                .map(|&(name, lane, expires_days, read_receipt)| {
                    let rule = KindRule {
                        lane,
                        expires_days,
                        read_receipt,
                        compressed: true,
                    };
                    (Kind(name.into()), rule)
                })
                .collect(),
        )
    }
}
