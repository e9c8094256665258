//! The keys of the base. One tree holds everything, so that a batch is one change.
//!
//! ```text
//! p                      position, count, gaps
//! v                      version
//! w                      what a message took when the base was written anew, bytes
//! m  key 16              a page of entries, by their keys
//! n  name 25             a page of names
//! r  number 8            names that came or went and are in no page yet
//! s  grain 1  number 8   a page of samples, for charts
//! ```

use crate::model::{Digest, Location, MessageId, Millis};

/// The key of an entry: when the message was accepted and where its parcel stood in the journal, all big-endian. So the newest is
/// last, and of those that were accepted in the same millisecond the one that this node stored last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) [u8; Key::BYTES]);

/// By what an entry is found: what sort of name it is, eight bytes of what it says, and the entry's key. Two that begin alike are told
/// apart by their entries.
pub(super) type Name = [u8; NAME_BYTES];

pub(super) const NAME_BYTES: usize = 1 + 8 + Key::BYTES;

/// What the entries of one name have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stem([u8; 9]);

pub(super) const POSITION: &[u8] = b"p";
pub(super) const VERSION: &[u8] = b"v";
pub(super) const MESSAGE_BYTES: &[u8] = b"w";
pub(super) const RECENT: u8 = b'r';

impl Key {
    pub(super) const BYTES: usize = 16;
    pub(super) const FIRST: Self = Self([0; Self::BYTES]);
    pub(super) const LAST: Self = Self([0xff; Self::BYTES]);

    pub(super) fn new(accepted: Millis, at: Location) -> Self {
        let mut key = [0; Self::BYTES];
        key[..8].copy_from_slice(&accepted.to_be_bytes());
        key[8..12].copy_from_slice(&at.segment.to_be_bytes());
        key[12..].copy_from_slice(&at.offset.to_be_bytes());
        Self(key)
    }

    /// The first that a message accepted at this time may have.
    pub(super) fn since(accepted: Millis) -> Self {
        let mut first = Self::FIRST;
        first.0[..8].copy_from_slice(&accepted.to_be_bytes());
        first
    }

    /// The one right after it, if there is any.
    pub(super) fn next(self) -> Option<Self> {
        let next = u128::from_be_bytes(self.0).checked_add(1)?;
        Some(Self(next.to_be_bytes()))
    }

    /// The one right before it, if there is any.
    pub(super) fn before(self) -> Option<Self> {
        let before = u128::from_be_bytes(self.0).checked_sub(1)?;
        Some(Self(before.to_be_bytes()))
    }

    pub(super) fn accepted(&self) -> Millis {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Millis::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Stem {
    pub(super) fn message(message: &MessageId) -> Self {
        Self::new(b'm', &message.0)
    }

    /// Of a parcel, for receipts.
    pub(super) fn parcel(digest: &Digest) -> Self {
        Self::new(b'p', &digest.0)
    }

    pub(super) fn case(case: &str) -> Self {
        Self::new(b'c', &Digest::of(case.as_bytes()).0)
    }

    fn new(sort: u8, of: &[u8; 16]) -> Self {
        let mut stem = [sort; 9];
        stem[1..].copy_from_slice(&of[..8]);
        Self(stem)
    }

    pub(super) fn of(self, key: &Key) -> Name {
        let mut name = [0; NAME_BYTES];
        name[..9].copy_from_slice(&self.0);
        name[9..].copy_from_slice(&key.0);
        name
    }
}

/// The key of the entry that a name leads to.
pub(super) fn key_of(name: &Name) -> Key {
    let mut key = Key::FIRST;
    key.0.copy_from_slice(&name[9..]);
    key
}
