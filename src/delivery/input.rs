//! What the driver tells the machine.

use super::{
    by_hand::Epochs,
    hop::{Entry, Frame, LinkTerms, Seq},
};
use crate::{
    model::{
        BlobDigest, Digest, Lane, Limits, Location, Lsn, MessageId, Millis, Pattern, Policy,
        Ranges, Reason, UnitId,
    },
    parcel::{Header, Parcel},
};

/// Names an awaited answer; the driver chooses it.
pub type Ticket = u64;

/// Names a live session; the driver chooses it and never uses one twice.
pub type SessionId = u64;

/// Everything that can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// An application submits messages, all or none of them. Answered by [`Answer::Accepted`](super::Answer) or
    /// [`Answer::NotAccepted`](super::Answer).
    Submit {
        /// Whom to answer.
        ticket: Ticket,
        /// At least one.
        messages: Vec<Submission>,
    },
    /// Every record up to this one is on stable storage.
    Synced(Lsn),
    /// A session has been set up: mutual TLS says that the other end is `neighbour`.
    SessionUp {
        /// The session's name from now on.
        session: SessionId,
        /// The unit at the other end.
        neighbour: UnitId,
        /// The link that it runs over.
        link: LinkInfo,
    },
    /// A session has ended, for whatever reason. What was leased to it is free again.
    SessionDown {
        /// The session.
        session: SessionId,
    },
    /// The neighbour could not read some of what was sent over a session: all that is leased to it and not acked is to go again. What
    /// was read after all comes twice, and that is no harm.
    SendAgain {
        /// The session.
        session: SessionId,
    },
    /// A control frame came.
    Frame {
        /// The session that it came over.
        session: SessionId,
        /// The frame.
        frame: Frame,
    },
    /// A batch came; workers have unpacked it and judged every parcel.
    Arrivals {
        /// The session that it came over.
        session: SessionId,
        /// The parcels, in the batch's order.
        arrivals: Vec<Arrival>,
    },
    /// The session can carry that many more batches of each class.
    Grant {
        /// The session.
        session: SessionId,
        /// Batches of flash and urgent parcels.
        express: u16,
        /// Batches of normal and bulk parcels.
        bulk: u16,
    },
    /// What the transport knows of a session's path has changed noticeably.
    Path {
        /// The session.
        session: SessionId,
        /// What it knows now.
        path: Path,
    },
    /// On what terms this node, which has dialled the session, wants its link to be used from now on.
    Terms {
        /// The session.
        session: SessionId,
        /// The terms.
        terms: LinkTerms,
    },
    /// The application asks for messages. Answered by [`Answer::Inbox`](super::Answer), at the latest at `until`.
    Inbox {
        /// Whom to answer.
        ticket: Ticket,
        /// At most so many.
        max: u32,
        /// Answer with nothing at this moment of the monotonic clock.
        until: Millis,
    },
    /// Nobody waits for this answer any more. Messages that it handed over are free again.
    Forget {
        /// The ticket of an [`Input::Inbox`].
        ticket: Ticket,
    },
    /// The application is done with these messages. Answered by [`Answer::Acked`](super::Answer) after sync.
    InboxAck {
        /// Whom to answer.
        ticket: Ticket,
        /// The messages.
        messages: Vec<MessageId>,
    },
    /// The application gives leases back. Answered by [`Answer::Acked`](super::Answer).
    InboxRelease {
        /// Whom to answer.
        ticket: Ticket,
        /// The messages.
        messages: Vec<MessageId>,
    },
    /// An operator acts on messages, one after another. What is recorded of it is one group: all of it is done, or nothing. Answered by
    /// [`Answer::Ordered`](super::Answer) after sync.
    Operate {
        /// Whom to answer.
        ticket: Ticket,
        /// What to do.
        orders: Vec<Order>,
    },
    /// Copies are about to leave as a file: from now on they are held, and the neighbour may have them. Answered by
    /// [`Answer::Exported`](super::Answer) after sync.
    Export {
        /// Whom to answer.
        ticket: Ticket,
        /// The neighbour that they wait for.
        neighbour: UnitId,
        /// What the numbers mean something in.
        epochs: Epochs,
        /// Their numbers.
        seqs: Ranges,
    },
    /// Parcels came as a file, whose seal was checked; each was judged. Answered by [`Answer::Imported`](super::Answer) after sync.
    Import {
        /// Whom to answer.
        ticket: Ticket,
        /// The neighbour that made the file.
        neighbour: UnitId,
        /// What the numbers mean something in.
        epochs: Epochs,
        /// The parcels, in the file's order.
        arrivals: Vec<Arrival>,
    },
    /// An operator stops what goes to a neighbour, or lets it go on. Answered by [`Answer::Ordered`](super::Answer) after sync.
    Pause {
        /// Whom to answer.
        ticket: Ticket,
        /// The neighbour.
        neighbour: UnitId,
        /// The lane; none: all of them.
        lane: Option<Lane>,
        /// Whether it is to stop.
        paused: bool,
    },
    /// The answer to [`Output::MakeReceipt`](super::Output).
    ReceiptSigned {
        /// The number that the output had.
        number: u64,
        /// The signed receipt.
        parcel: Parcel,
        /// Its header.
        header: Header,
    },
    /// How much room the journal has now; the machine admits nothing beyond it.
    Room(Room),
    /// The operator's configuration was read anew.
    Settings(Box<Settings>),
    /// A segment holds little that is alive: its live parcels are to be written again.
    Compact {
        /// The segment's number.
        segment: u32,
    },
    /// The parcel at this place cannot be read back, now or later: its record is damaged or lost. What is here of it ends; it was neither
    /// sent nor handed over.
    Unreadable {
        /// The place, as the output named it.
        at: Location,
        /// The session and the number by which it was to leave; none when it was to be handed over.
        lease: Option<(SessionId, Seq)>,
    },
    /// The keeper of attachments says something of one. At the start it says what it has, before any session is up.
    Blob {
        /// The attachment.
        digest: BlobDigest,
        /// What.
        news: BlobNews,
    },
    /// Time has passed; see [`Delivery::next_timer`](super::Delivery::next_timer).
    Tick,
}

/// What the keeper of attachments says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobNews {
    /// Its description has come, or was here at the start, and these chunks; or just these are left of it, since others were damaged.
    Part {
        /// Its size, bytes.
        size: u64,
        /// The chunks, from 0 on.
        have: Ranges,
    },
    /// These chunks have come and were verified.
    Stored(Ranges),
    /// All of it is on stable storage: it has come, or was here at the start, or an application has brought it.
    Whole {
        /// Its size, bytes.
        size: u64,
    },
    /// It is larger than this node takes.
    TooLarge,
    /// There was no room for what came of it. It was not kept.
    NoRoom,
    /// Nothing of it is here any more: it was damaged, or removed.
    Lost,
    /// Something of it came over a session that it was not asked for over.
    Unasked {
        /// The session.
        session: SessionId,
    },
}

/// One message as an application submitted it, signed by the API's handler.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The signed parcel.
    pub parcel: Parcel,
    /// Its header.
    pub header: Header,
    /// Digest of what was submitted, before defaults: tells a repetition from another message under the same id.
    pub content: Digest,
}

/// One parcel of a batch, judged.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What the batch says of it.
    pub entry: Entry,
    /// The parcel.
    pub parcel: Parcel,
    /// Its header; none when it does not decode.
    pub header: Option<Header>,
    /// The lines of a receipt, when the kind is `receipt` and the body reads as one.
    pub receipt: Vec<crate::model::ReceiptItem>,
    /// Whether the signature and the signer hold.
    pub verdict: Result<(), Reason>,
}

/// The link that a session runs over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The link's name in the configuration of the node that dialled.
    pub name: String,
    /// The transport profile.
    pub kind: String,
}

/// What an operator wants of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keep it, and the later messages of its case, from being sent.
    Hold(MessageId),
    /// Undo a hold.
    Release(MessageId),
    /// Send it as soon as a session is there, whatever it waits for.
    Retry(MessageId),
    /// Move it to another lane.
    Reprioritise(MessageId, Lane),
    /// End it; its sender is told, with the reason.
    Drop(MessageId, String),
    /// End it as if its time were over; its sender is told, with the reason.
    Expire(MessageId, String),
}

impl Order {
    /// The message that it is about.
    pub fn message(&self) -> MessageId {
        match self {
            Order::Hold(id)
            | Order::Release(id)
            | Order::Retry(id)
            | Order::Reprioritise(id, _)
            | Order::Drop(id, _)
            | Order::Expire(id, _) => *id,
        }
    }
}

/// What is known of the path that a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Bytes of parcels that it carries a second, compressed as they are on it.
    pub rate: u64,
    /// How long it takes until the other end's answer is here, milliseconds.
    pub rtt_ms: u32,
    /// Whether it answers: false when something was sent that the peer's transport should have acknowledged for max(4 round trips, 600 ms),
    /// until it acknowledges something again.
    pub answers: bool,
}

/// What the journal has left, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that it may still grow by before its bound.
    pub free: u64,
    /// Its bound.
    pub bound: u64,
    /// Whether the disk itself is full: the next segment could not be set aside.
    pub disk_full: bool,
}

/// What the operator configured, as far as it concerns the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node's unit.
    pub unit: UnitId,
    /// The hub that it dials, if it has one.
    pub upstream: Option<UnitId>,
    /// Whether it listens.
    pub listens: bool,
    /// The units that its configuration names.
    pub units: Vec<KnownUnit>,
    /// Who may send what to whom.
    pub policy: Policy,
    /// Every bound.
    pub limits: Limits,
    /// Whether kinds ask for read receipts: those that do not.
    pub kinds_without_read: Vec<crate::model::Kind>,
}

/// A unit that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUnit {
    /// Its name.
    pub name: UnitId,
    /// Whether it is cut off.
    pub blocked: bool,
    /// The units behind it, when it is a county hub.
    pub serves: Vec<Pattern>,
}
