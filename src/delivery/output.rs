//! What the machine wants done.

use super::{
    by_hand::{Imported, NotByHand},
    hop::{Entry, Frame},
    input::{SessionId, Ticket},
};
use crate::model::{
    BlobDigest, Digest, Kind, Lane, Location, MessageId, Millis, Pattern, Ranges, Reason,
    ReceiptItem, State, UnitId,
};

/// An action for the driver to carry out.
#[derive(Debug)]
pub enum Output {
    /// Answer whoever holds the ticket.
    Reply {
        /// Whose input this answers.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Send a frame on a session's control stream.
    Send {
        /// The session.
        session: SessionId,
        /// The frame.
        frame: Frame,
    },
    /// Read these parcels from the journal, pack them into one batch and send it.
    ///
    /// The batch leaves without a parcel that cannot be read, and that is told by [`Input::Unreadable`](super::Input::Unreadable). A
    /// batch that has none left does not leave: its grant is given again.
    Batch {
        /// The session.
        session: SessionId,
        /// The most urgent lane in it.
        lane: Lane,
        /// The parcels, in order.
        parcels: Vec<Departure>,
    },
    /// End a session: its neighbour broke the rules or is no longer welcome, or both sides must start afresh.
    Close {
        /// The session.
        session: SessionId,
        /// Why, for the log and for the other end.
        why: Close,
    },
    /// Sign a receipt and hand it back as [`Input::ReceiptSigned`](super::Input::ReceiptSigned).
    MakeReceipt {
        /// To be given back.
        number: u64,
        /// The unit that is told.
        to: UnitId,
        /// At most 64 lines: the body is their encoding.
        items: Vec<ReceiptItem>,
        /// When the receipt may be forgotten, milliseconds since the Unix epoch.
        expires: Millis,
    },
    /// The payload at this place is no longer needed.
    Freed(Location),
    /// A neighbour is asked for an attachment: take its description and its chunks from that neighbour, and from no other.
    BlobFetch {
        /// The attachment.
        digest: BlobDigest,
        /// The neighbour.
        from: UnitId,
    },
    /// Take nothing of the attachment any more. What is here of it stays.
    BlobClose(BlobDigest),
    /// Send a run of chunks of an attachment, against one bulk grant.
    ///
    /// One that cannot be read is told by [`BlobNews::Lost`](super::BlobNews::Lost), and its grant is given again.
    BlobRun {
        /// The session.
        session: SessionId,
        /// The attachment.
        digest: BlobDigest,
        /// Whether its description goes before the chunks.
        describe: bool,
        /// The first chunk.
        first: u64,
        /// How many chunks; none with a description when no chunk is here yet.
        count: u64,
    },
    /// Nothing needs the attachment now. Ask [`Delivery::needs_blob`](super::Delivery::needs_blob) before it is removed.
    BlobFreed(BlobDigest),
    /// Something that people want to know of.
    Event(Event),
}

/// A parcel that leaves in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What the batch says of it.
    pub entry: Entry,
    /// Where its bytes are.
    pub at: Location,
}

/// Why the machine ends a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Close {
    /// The neighbour broke the protocol.
    #[error("the neighbour broke the protocol: {0}")]
    Protocol(&'static str),
    /// The neighbour's hello names another unit than its certificate.
    #[error("the neighbour calls itself {0}, which is not what its certificate says")]
    Unit(UnitId),
    /// The neighbour speaks another version.
    #[error("the neighbour speaks version {0} of the protocol")]
    Version(u16),
    /// The unit is blocked in the configuration.
    #[error("the unit is blocked")]
    Blocked,
    /// The node does not know this neighbour, or has reached its bound of units.
    #[error("the neighbour is not one that this node has sessions with")]
    NotANeighbour,
    /// One of the two has a new epoch: everything is numbered afresh.
    #[error("a new epoch begins")]
    NewEpoch,
    /// The unit has more sessions than it may have; the oldest goes.
    #[error("the unit has opened a newer session")]
    Replaced,
}

/// The answer to an input with a ticket.
#[derive(Debug)]
pub enum Answer {
    /// All of the submitted messages are on stable storage, now or from an earlier time.
    Accepted(Vec<Accepted>),
    /// None of the submitted messages was accepted, because of one.
    NotAccepted {
        /// Its index.
        index: usize,
        /// Why.
        why: NotAccepted,
    },
    /// Messages for the application, each leased.
    Inbox(Vec<Handed>),
    /// How many were known, and which were not.
    Acked {
        /// Messages acked or released.
        acked: usize,
        /// Messages that are not in the inbox.
        unknown: Vec<MessageId>,
    },
    /// Which copies are carried by hand from now on, by their numbers.
    Exported(Result<Ranges, NotByHand>),
    /// What became of the parcels of a file.
    Imported(Result<Imported, NotByHand>),
    /// What came of an operator's orders, one by one.
    Ordered(Vec<Result<(), OrderRefused>>),
}

/// A message that the node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub message: MessageId,
    /// Its state, for the receiver that is furthest behind.
    pub state: State,
    /// Whether it had been accepted before.
    pub repeated: bool,
}

/// Why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// The same id was used for other content.
    #[error("the id was used before, for other content")]
    Conflict,
    /// No rule allows it.
    #[error("no rule of the policy allows {kind} from this unit to {to}")]
    Policy {
        /// The receiver.
        to: Pattern,
        /// The kind.
        kind: Kind,
    },
    /// This node knows every unit, and this one is not known.
    #[error("no unit {0} is known")]
    UnknownUnit(Pattern),
    /// It is already past its time, or the node's memory of such old messages is gone.
    #[error("its time is past")]
    Expired,
    /// A receiver's mailbox at the hub is full.
    #[error("the mailbox of {0} is full")]
    MailboxFull(UnitId),
    /// An attachment that it names is not here.
    #[error("no attachment {0} is here; bring it first")]
    Attachment(BlobDigest),
    /// A bound is reached.
    #[error("{name} is reached: {bound}")]
    Bound {
        /// The bound's name in `[limits]`.
        name: &'static str,
        /// Its value.
        bound: u64,
    },
    /// The disk is full.
    #[error(
        "the node's disk is full: free some room; until then only urgent messages are taken, as long as there is some left"
    )]
    DiskFull,
}

/// Why an operator's order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// No such message is queued here.
    #[error("no message of that name is queued here")]
    NotQueued,
    /// It is not held.
    #[error("the message is not held")]
    NotHeld,
    /// It is ending already.
    #[error("the message is already ending")]
    Ending,
    /// There is no such neighbour.
    #[error("no neighbour of that name is known here")]
    UnknownNeighbour,
}

/// A message handed to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Its name.
    pub message: MessageId,
    /// Where its parcel is.
    pub at: Location,
    /// When this node received it, milliseconds since the Unix epoch.
    pub received: Millis,
}

/// Something that happened to a message or to a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a message.
    Message {
        /// The message.
        message: MessageId,
        /// When, by this node's clock, milliseconds since the Unix epoch.
        at: Millis,
        /// What.
        what: Step,
    },
    /// Every end of a message that was submitted here is known: custody of it ends, and this node has nothing of it any more.
    Concluded {
        /// The message.
        message: MessageId,
        /// When it was accepted, milliseconds since the Unix epoch.
        accepted: Millis,
        /// When its last end became known here.
        at: Millis,
        /// The parcel's size, bytes.
        bytes: u32,
        /// The lane that it was last in.
        lane: Lane,
        /// The receiver, when one was signed.
        receiver: Option<Pattern>,
        /// How it ended: the first bad end, if there is one.
        state: State,
        /// Why, when it ended badly.
        reason: Reason,
    },
    /// A parcel that did not count as a message was refused.
    Refused {
        /// The neighbour that brought it.
        neighbour: UnitId,
        /// Why.
        reason: Reason,
        /// Its digest.
        parcel: Digest,
    },
    /// A parcel cannot be read back from the journal: what was here of it ends.
    Unreadable {
        /// The parcel.
        parcel: Digest,
        /// Its message.
        message: MessageId,
        /// Where it should be.
        at: Location,
    },
    /// A line of a receipt was taken: it may be about a message that has left the queues.
    Receipt {
        /// The parcel that it is about.
        parcel: Digest,
        /// The line.
        item: ReceiptItem,
        /// Who says so.
        issuer: UnitId,
    },
    /// A receipt for another unit is on stable storage on its way to it; its lines hold.
    ReceiptPasses {
        /// Where its parcel is.
        location: Location,
    },
    /// A session is ready for parcels.
    Open {
        /// The session.
        session: SessionId,
        /// The neighbour.
        neighbour: UnitId,
        /// The link.
        link: String,
    },
    /// A session's path does not answer any more, or does so again.
    Silence {
        /// The session.
        session: SessionId,
        /// The neighbour.
        neighbour: UnitId,
        /// The link.
        link: String,
        /// Whether it is silent now.
        silent: bool,
        /// Parcels that now go over other links.
        moved: u64,
    },
    /// A neighbour lost its memory, or this node did: the hop was numbered afresh.
    Reset {
        /// The neighbour.
        neighbour: UnitId,
        /// Parcels offered again.
        offered: u64,
    },
    /// This node took a new epoch.
    Epoch(u64),
    /// A unit was met for the first time.
    UnitMet(UnitId),
    /// The neighbour's clock is far from this node's, in milliseconds (theirs less ours).
    ClockSkew {
        /// The neighbour.
        neighbour: UnitId,
        /// The difference.
        millis: i64,
    },
}

/// One step of a message's timeline at this node.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum Step {
    /// The application submitted it and it is on stable storage; the header is at the location.
    Accepted {
        /// Where the parcel is.
        location: Location,
        /// The parcel's digest.
        parcel: Digest,
        /// The parcel's size, bytes.
        bytes: u32,
        /// The lane.
        lane: Lane,
    },
    /// It came from a neighbour and is on stable storage.
    Received {
        /// Where the parcel is.
        location: Location,
        /// The parcel's digest.
        parcel: Digest,
        /// The parcel's size, bytes.
        bytes: u32,
        /// The lane.
        lane: Lane,
        /// The neighbour.
        from: UnitId,
    },
    /// It waits for a neighbour.
    Queued {
        /// The neighbour.
        neighbour: UnitId,
        /// For whom the copy is.
        receivers: Vec<Pattern>,
    },
    /// It left over a link.
    Sent {
        /// The neighbour.
        neighbour: UnitId,
        /// The link.
        link: String,
    },
    /// The session that carried it died before an ack, or its link fell silent.
    Returned {
        /// The neighbour.
        neighbour: UnitId,
        /// The link.
        link: String,
    },
    /// The neighbour has it on stable storage.
    Acked {
        /// The neighbour.
        neighbour: UnitId,
    },
    /// It is in this node's inbox.
    Delivered,
    /// It was handed to the application.
    Handed,
    /// The application acked it.
    Taken,
    /// It ended here.
    Ended {
        /// For whom.
        receiver: Pattern,
        /// How.
        state: State,
        /// Why.
        reason: Reason,
    },
    /// An operator held it.
    Held,
    /// An operator released it.
    Released,
    /// An operator moved it to another lane.
    Reprioritised {
        /// The lane.
        lane: Lane,
    },
    /// The neighbour cannot take it now.
    Parked {
        /// The neighbour.
        neighbour: UnitId,
    },
    /// It was written to a file that is carried to the neighbour; it is held here.
    Exported {
        /// The neighbour.
        neighbour: UnitId,
    },
}
