//! What is said about a message on its way.

use std::fmt;

use bincode::{Decode, Encode};
use serde::Serialize;

use super::{Digest, Millis, Pattern};

/// What a signed receipt states about one message and one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A hub has it on stable storage, has judged its signer and passes it on.
    Relayed,
    /// It is in the receiver's inbox, on stable storage.
    Delivered,
    /// The receiver's application took it.
    Read,
    /// It was not let through; the reason says why.
    Refused,
    /// Its time ran out before it was delivered.
    Expired,
    /// An operator removed it.
    Dropped,
}

impl Outcome {
    /// Whether the message has reached an end for that receiver, so that its origin need not keep it any longer.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Outcome::Relayed)
    }
}

/// Why a message was refused, expired or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing to say.
    None,
    /// The signature does not verify.
    BadSignature,
    /// The signer's certificate does not chain to this node's CA, or lacks the signing key usage.
    UntrustedSigner,
    /// The signer's certificate names another unit than the sender.
    ForeignSigner,
    /// The signer's certificate was not valid when the first hub received the message.
    ExpiredSigner,
    /// The signer's certificate has been revoked, or its unit is blocked.
    RevokedSigner,
    /// The sender is not a unit that this neighbour may speak for.
    ForeignSender,
    /// The parcel's bytes do not read as a parcel.
    Malformed,
    /// No rule allows it.
    Policy,
    /// No such unit is known.
    UnknownUnit,
    /// The same sender used the same id for other content.
    IdConflict,
    /// The named target is not one that the signed receivers cover.
    ForeignTarget,
    /// Larger than this node takes.
    TooLarge,
    /// Its time had run out, or lies further ahead than allowed.
    Expiry,
    /// An operator dropped it.
    Operator,
    /// Some of the units that a pattern matched were not reached.
    Partly,
    /// The node that had it could not read it back from its disk.
    Damaged,
    /// An attachment is larger than a node on the way takes.
    AttachmentTooLarge,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Reason; 18] = [
        Reason::None,
        Reason::BadSignature,
        Reason::UntrustedSigner,
        Reason::ForeignSigner,
        Reason::ExpiredSigner,
        Reason::RevokedSigner,
        Reason::ForeignSender,
        Reason::Malformed,
        Reason::Policy,
        Reason::UnknownUnit,
        Reason::IdConflict,
        Reason::ForeignTarget,
        Reason::TooLarge,
        Reason::Expiry,
        Reason::Operator,
        Reason::Partly,
        Reason::Damaged,
        Reason::AttachmentTooLarge,
    ];

    /// The stable name, as in problem documents, receipts and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::None => "none",
            Reason::BadSignature => "bad-signature",
            Reason::UntrustedSigner => "untrusted-signer",
            Reason::ForeignSigner => "foreign-signer",
            Reason::ExpiredSigner => "expired-signer",
            Reason::RevokedSigner => "revoked-signer",
            Reason::ForeignSender => "foreign-sender",
            Reason::Malformed => "malformed",
            Reason::Policy => "policy",
            Reason::UnknownUnit => "unknown-unit",
            Reason::IdConflict => "id-conflict",
            Reason::ForeignTarget => "foreign-target",
            Reason::TooLarge => "too-large",
            Reason::Expiry => "expiry",
            Reason::Operator => "operator",
            Reason::Partly => "partly",
            Reason::Damaged => "damaged",
            Reason::AttachmentTooLarge => "attachment-too-large",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a receipt.
///
/// It names the parcel by its digest, so that it speaks of exactly those bytes and of nothing else that may bear the same id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReceiptItem {
    /// The parcel that it is about.
    pub parcel: Digest,
    /// The receiver that it speaks for: a unit, or the signed pattern when a hub sums one up.
    pub receiver: Pattern,
    /// What happened.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// When, by the clock of the node that says so, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// An operator's words, or the units that a pattern did not reach; at most [`ReceiptItem::NOTE_BYTES_MAX`] bytes.
    pub note: String,
}

impl ReceiptItem {
    /// Longest note, in bytes.
    pub const NOTE_BYTES_MAX: usize = 512;

    /// Whether it says the last that there is to say of what an earlier line of the same issuer is about.
    pub fn completes(&self, earlier: &Self) -> bool {
        self.outcome == Outcome::Read
            && earlier.outcome == Outcome::Delivered
            && (earlier.parcel, &earlier.receiver) == (self.parcel, &self.receiver)
    }
}

/// Where a message is, for one of its receivers, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits in an outbox.
    Queued,
    /// An operator holds it.
    Held,
    /// It is leased to a session.
    Sending,
    /// The next node has it on stable storage.
    Relayed,
    /// It is in the receiver's inbox.
    Delivered,
    /// The receiver's application took it.
    Read,
    /// Not let through.
    Refused,
    /// Its time ran out.
    Expired,
    /// An operator removed it.
    Dropped,
}

impl State {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Held => "held",
            State::Sending => "sending",
            State::Relayed => "relayed",
            State::Delivered => "delivered",
            State::Read => "read",
            State::Refused => "refused",
            State::Expired => "expired",
            State::Dropped => "dropped",
        }
    }

    /// Every state.
    pub const ALL: [State; 9] = [
        State::Queued,
        State::Held,
        State::Sending,
        State::Relayed,
        State::Delivered,
        State::Read,
        State::Refused,
        State::Expired,
        State::Dropped,
    ];

    /// Whether a receiver's state gives way to another. Delivered outranks every other end, and an end outranks what is under way.
    pub fn gives_way_to(self, new: State, reason: Reason) -> bool {
        match self {
            State::Read => false,
            // What lay in the inbox can be lost there before the application had it.
            State::Delivered => new == State::Read || reason == Reason::Damaged,
            State::Refused | State::Expired | State::Dropped => {
                matches!(new, State::Delivered | State::Read)
            }
            State::Relayed => new.is_terminal(),
            State::Queued | State::Held | State::Sending => true,
        }
    }

    /// Whether it is an end that its sender did not want.
    pub const fn is_failure(self) -> bool {
        matches!(self, State::Refused | State::Expired | State::Dropped)
    }

    /// Whether nothing more is awaited for that receiver.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            State::Delivered | State::Read | State::Refused | State::Expired | State::Dropped
        )
    }
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Relayed => State::Relayed,
            Outcome::Delivered => State::Delivered,
            Outcome::Read => State::Read,
            Outcome::Refused => State::Refused,
            Outcome::Expired => State::Expired,
            Outcome::Dropped => State::Dropped,
        }
    }
}
