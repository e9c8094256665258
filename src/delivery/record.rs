//! What the journal keeps: the only thing that changes the machine's state.

use bincode::{Decode, Encode};

use super::{
    hop::{Epoch, Paused, Seq},
    receipts::Line,
};
use crate::model::{
    Digest, Lane, MessageId, Millis, Pattern, Ranges, Reason, ReceiptItem, State, UnitId,
};

/// A journal record. Its encoding is version 1 of the journal's content; variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Record {
    /// The node took a new epoch: every hop is numbered afresh.
    Epoch { epoch: Epoch, wall: Millis },
    /// An application submitted the parcel that is the payload.
    Accepted {
        wall: Millis,
        content: Digest,
        routes: Vec<Route>,
        refused: Vec<(Pattern, Reason)>,
    },
    /// A neighbour brought the parcel that is the payload; there is no payload when nothing of it stays here.
    Received(Box<Received>),
    /// A neighbour has these of this node's numbers on stable storage.
    Acked { neighbour: UnitId, seqs: Ranges },
    /// A neighbour's numbers that will not come.
    GoneIn { neighbour: UnitId, seqs: Ranges },
    /// A parcel is to end, once the neighbour has said that it does not have it.
    Ending {
        neighbour: UnitId,
        seq: Seq,
        state: State,
        reason: Reason,
        note: String,
        wall: Millis,
    },
    /// A parcel ended here, before the neighbour had it.
    Ended {
        neighbour: UnitId,
        seq: Seq,
        state: State,
        reason: Reason,
        note: String,
        wall: Millis,
    },
    /// The neighbour has a new epoch: the hop is numbered afresh.
    HopReset {
        neighbour: UnitId,
        peer_epoch: Epoch,
        /// Whether what waits for a predecessor is forgotten, because its origin will offer it again.
        forget_waiting: bool,
    },
    /// Everything that the neighbour had when this node took a new epoch is here: what had waited then is released.
    Settled { neighbour: UnitId },
    /// The neighbour has told which offered parcels it lacks: the hop is numbered afresh with them.
    Requeued {
        neighbour: UnitId,
        lacked: Vec<Digest>,
    },
    /// A unit was met.
    UnitMet { unit: UnitId },
    /// The node signed a receipt, the payload, for the first `lines` that it owed to `to`.
    ReceiptMade {
        to: UnitId,
        lines: u32,
        route: Option<UnitId>,
        wall: Millis,
    },
    /// The application is done with these messages.
    InboxAcked {
        messages: Vec<MessageId>,
        wall: Millis,
    },
    /// An operator held a message.
    Held { message: MessageId },
    /// An operator released a message.
    Released { message: MessageId },
    /// An operator moved a message to another lane.
    Reprioritised { message: MessageId, lane: Lane },
    /// The memory of what expired before this moment was given up.
    Purged { through: Millis },
    /// An origin waited long enough for a receipt.
    GivenUp { parcel: Digest, wall: Millis },
    /// A fan-out's time ran out.
    FanoutEnded { parcel: Digest, wall: Millis },
    /// A live payload was written again, so that its old segment can go.
    Kept { parcel: Digest },
    /// A parcel in the inbox cannot be read: it will not be handed over.
    Unreadable { parcel: Digest, wall: Millis },
    /// All the attachments of a parcel in the inbox are here: it is delivered.
    Attached { parcel: Digest, wall: Millis },
    /// A parcel in the inbox ends because its attachments did not come.
    Unattached {
        parcel: Digest,
        state: State,
        reason: Reason,
        wall: Millis,
    },
    /// An operator stopped what goes to a neighbour, or let it go on: the lanes that are stopped from now on.
    Paused { neighbour: UnitId, lanes: Paused },
    /// Copies were given out as a file: they are held, and the neighbour may have them.
    Exported { neighbour: UnitId, seqs: Ranges },
}

/// A parcel from a neighbour, and what is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Received {
    pub(super) neighbour: UnitId,
    pub(super) seq: Seq,
    /// Of the parcel's digest, see [`crate::delivery::hop::Hello::marks`].
    pub(super) mark: u64,
    /// Numbers of the same hop that must be released first.
    pub(super) after: Vec<Seq>,
    pub(super) attested: Millis,
    pub(super) wall: Millis,
    pub(super) routes: Vec<Route>,
    /// Receipts that the parcel made this node owe at once: refusals and repetitions.
    pub(super) owed: Vec<(UnitId, Line)>,
    /// The lines of a receipt for this node that hold.
    pub(super) lines: Vec<ReceiptItem>,
    /// Who signed those lines.
    pub(super) issuer: Option<UnitId>,
}

/// Where one copy of a parcel goes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Route {
    /// Into this node's inbox. `reply_to` is told what becomes of it.
    Here { reply_to: UnitId },
    /// To a neighbour, for these targets.
    Neighbour {
        unit: UnitId,
        targets: Vec<Pattern>,
        /// Whether they are just those that the sender signed.
        as_signed: bool,
    },
    /// A pattern was expanded, or passed on: this node sums up what comes of it, and tells `back`.
    Fanout {
        pattern: Pattern,
        units: Vec<UnitId>,
        back: UnitId,
    },
}
