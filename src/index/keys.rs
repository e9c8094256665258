//! The keys of the base. One tree holds everything, so that a batch is one change.
//!
//! ```text
//! p                        position, count, gaps
//! v                        version
//! m  key 32                a message's entry
//! n  message 16            the key of its entry
//! d  digest 16             likewise, by the parcel's digest, for receipts
//! c  case 16  key 32       nothing: the messages of a case, in order
//! ```

use crate::model::{Digest, Location, MessageId, Millis};

/// The key of an entry: when the message was accepted, where its parcel stood in the journal, and its name, all big-endian. So the
/// newest is last, and of those that were accepted in the same millisecond the one that this node stored last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) [u8; Key::BYTES]);

pub(super) const POSITION: &[u8] = b"p";
pub(super) const VERSION: &[u8] = b"v";

impl Key {
    pub(super) const BYTES: usize = 32;

    pub(super) fn new(accepted: Millis, at: Location, message: &MessageId) -> Self {
        let mut key = [0; Self::BYTES];
        key[..8].copy_from_slice(&accepted.to_be_bytes());
        key[8..12].copy_from_slice(&at.segment.to_be_bytes());
        key[12..16].copy_from_slice(&at.offset.to_be_bytes());
        key[16..].copy_from_slice(&message.0);
        Self(key)
    }

    /// The same with another time.
    pub(super) fn since(mut self, accepted: Millis) -> Self {
        self.0[..8].copy_from_slice(&accepted.to_be_bytes());
        self
    }

    /// From the end of whatever key holds it.
    pub(super) fn last_of(bytes: &[u8]) -> Option<Self> {
        bytes.last_chunk::<{ Self::BYTES }>().copied().map(Self)
    }

    pub(super) fn accepted(&self) -> Millis {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Millis::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    pub(super) fn message(&self) -> MessageId {
        let mut message = [0; 16];
        message.copy_from_slice(&self.0[16..]);
        MessageId(message)
    }

    pub(super) fn entry(&self) -> Vec<u8> {
        [b"m", &self.0[..]].concat()
    }

    pub(super) fn of_case(&self, case: &str) -> Vec<u8> {
        [&case_prefix(case), &self.0[..]].concat()
    }
}

pub(super) fn name(message: &MessageId) -> Vec<u8> {
    [b"n", &message.0[..]].concat()
}

pub(super) fn parcel(digest: &Digest) -> Vec<u8> {
    [b"d", &digest.0[..]].concat()
}

/// What the keys of a case's messages begin with.
pub(super) fn case_prefix(case: &str) -> Vec<u8> {
    [b"c", &Digest::of(case.as_bytes()).0[..]].concat()
}
