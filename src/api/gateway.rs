//! What the API asks of the node behind it.

use std::{fs::File, future::Future, net::IpAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::Stream;

use super::{
    access::Actor,
    history::{History, Span},
    view::{
        Drained, HappeningView, LinkView, MessagePage, MessageView, QueuePage, Status, UnitView,
    },
};
use crate::{
    blob::Blobs,
    cloudevents::{Intake, Submission},
    delivery::{NotAccepted, OrderRefused},
    index::Search,
    language::Language,
    model::{BlobDigest, Lane, MessageId, Millis, Pattern, Reason, State, UnitId},
    observe::{AuditAsk, AuditPage},
    parcel::Header,
    wire::{Manifest, StickHead},
};

/// The node as the API sees it. Every call may be dropped before it answers; what it set in motion goes on or is undone, and
/// nothing is left half done.
pub trait Gateway: Send + Sync + 'static {
    /// What a submission that is taken at this moment is judged by.
    fn intake(&self) -> Intake<'_>;

    /// Accepts messages, all or none. Answers once every one of them is on stable storage (G1), now or from an earlier time: a
    /// message that was accepted before, with the same content, counts as accepted again and is not sent twice.
    ///
    /// # Errors
    /// Nothing was accepted; the refusal names the message by its index.
    fn submit(&self, messages: Vec<Submission>)
    -> impl Future<Output = Result<(), Refusal>> + Send;

    /// What is known of a message; none when it is not known.
    ///
    /// # Errors
    /// The node cannot say now.
    fn message(
        &self,
        message: MessageId,
    ) -> impl Future<Output = Result<Option<MessageView>, Refusal>> + Send;

    /// What a message says, as long as it is here; none when it is not. The node audits that somebody looks.
    ///
    /// # Errors
    /// The node cannot say now, or cannot put it on record.
    fn body(
        &self,
        actor: &Actor,
        message: MessageId,
    ) -> impl Future<Output = Result<Option<Handed>, Refusal>> + Send;

    /// A page of the messages that are known and fit.
    ///
    /// # Errors
    /// The index cannot answer now.
    fn search(&self, search: Search) -> impl Future<Output = Result<MessagePage, Refusal>> + Send;

    /// Leases messages to the application, oldest first. Waits for the first one. When the call is dropped, nothing stays leased.
    ///
    /// # Errors
    /// The node cannot hand out messages now.
    fn inbox(&self, ask: InboxAsk) -> impl Future<Output = Result<Vec<Handed>, Refusal>> + Send;

    /// The application is done with these messages. Answers once that is on stable storage.
    ///
    /// # Errors
    /// The acks are not on stable storage; they may be repeated.
    fn inbox_ack(
        &self,
        messages: Vec<MessageId>,
    ) -> impl Future<Output = Result<Settled, Refusal>> + Send;

    /// Gives leases back, so that the messages may be handed out again at once.
    ///
    /// # Errors
    /// The node cannot do so now; the leases end by themselves.
    fn inbox_release(
        &self,
        messages: Vec<MessageId>,
    ) -> impl Future<Output = Result<Settled, Refusal>> + Send;

    /// A page of what waits for neighbours, the oldest first.
    ///
    /// # Errors
    /// The cursor is not one that this node gave, or the node cannot say now.
    fn queue(&self, ask: QueueAsk) -> impl Future<Output = Result<QueuePage, Refusal>> + Send;

    /// An operator acts on a queued message; the node audits it. Answers once it is on stable storage.
    ///
    /// # Errors
    /// The message is not queued here, or not in a state for this.
    fn act(
        &self,
        actor: &Actor,
        message: MessageId,
        action: Action,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// An operator acts on several messages; the node audits it as one. Answers once it is on stable storage, all of it or nothing.
    ///
    /// # Errors
    /// Nothing was done. What could not be done to single messages is in the answer.
    fn act_on(
        &self,
        actor: &Actor,
        which: Which,
        action: Action,
        reason: &str,
    ) -> impl Future<Output = Result<Acted, Refusal>> + Send;

    /// Makes a file of what waits for one neighbour; the node audits it. What the file has is held from now on, until the neighbour acks it or
    /// an operator releases it; that is on stable storage when it answers.
    ///
    /// # Errors
    /// Nothing was exported. Which messages were left out is in the answer.
    fn export(
        &self,
        actor: &Actor,
        which: Which,
        neighbour: Option<UnitId>,
        reason: &str,
    ) -> impl Future<Output = Result<Exported, Refusal>> + Send;

    /// Checks what such a file begins with: who made it, for whom, and that it is of use here.
    ///
    /// # Errors
    /// It is damaged, foreign or of no use. Nothing was changed.
    fn open_stick(&self, head: StickHead)
    -> impl Future<Output = Result<Manifest, Refusal>> + Send;

    /// Takes the parcels of a file whose head was checked and whose attachments are here, as if they had come over a link; the node audits
    /// it. Answers once they are on stable storage.
    ///
    /// # Errors
    /// Nothing was taken; or, when the node stopped in the middle, not everything: the same file may be imported again.
    fn import(
        &self,
        actor: &Actor,
        manifest: Manifest,
        parcels: Vec<Bytes>,
    ) -> impl Future<Output = Result<Imported, Refusal>> + Send;

    /// An operator stops what goes to a neighbour, or lets it go on; the node audits it. Gives the lanes that are stopped now, once that is on
    /// stable storage.
    ///
    /// # Errors
    /// There is no such neighbour.
    fn set_paused(
        &self,
        actor: &Actor,
        neighbour: UnitId,
        lane: Option<Lane>,
        paused: bool,
        reason: &str,
    ) -> impl Future<Output = Result<Vec<Lane>, Refusal>> + Send;

    /// An administrator lets the node take no more submissions, or take them again; the node audits it.
    ///
    /// # Errors
    /// It cannot be put on record.
    fn set_drained(
        &self,
        actor: &Actor,
        drained: bool,
        reason: &str,
    ) -> impl Future<Output = Result<Drained, Refusal>> + Send;

    /// A page of the audit log, the newest entries first.
    ///
    /// # Errors
    /// It cannot be read now.
    fn audit(&self, ask: AuditAsk) -> impl Future<Output = Result<AuditPage, Refusal>> + Send;

    /// The audit log as it is now, signed up to its end, with a line of who exports it: the file, and how many bytes of it.
    ///
    /// # Errors
    /// It cannot be signed or read now.
    fn audit_export(
        &self,
        actor: &Actor,
    ) -> impl Future<Output = Result<(File, u64), Refusal>> + Send;

    /// Somebody made a call that they may not make. It is put on record as far as there are not too many.
    fn refused(&self, call: RefusedCall);

    /// Takes a backup of the node's data, as it is at one moment; the node audits it. Gives the folder in which it is, until the next
    /// one.
    ///
    /// # Errors
    /// It cannot be made now.
    fn backup(&self, actor: &Actor) -> impl Future<Output = Result<PathBuf, Refusal>> + Send;

    /// The links and the sessions over them; why there is none, in a language.
    ///
    /// # Errors
    /// The node cannot say now.
    fn links(
        &self,
        language: Language,
    ) -> impl Future<Output = Result<Vec<LinkView>, Refusal>> + Send;

    /// The units that this node knows, in order of name.
    ///
    /// # Errors
    /// The node cannot say now.
    fn units(&self) -> impl Future<Output = Result<Vec<UnitView>, Refusal>> + Send;

    /// The node over the last hour, day or month, as far as it was looked at.
    fn history(&self, span: Span) -> History;

    /// The node in numbers, with its warnings in a language.
    ///
    /// # Errors
    /// The node cannot say now.
    fn status(&self, language: Language) -> impl Future<Output = Result<Status, Refusal>> + Send;

    /// What happens to messages from now on, once it is on stable storage. Ends when the node does.
    fn listen(&self) -> impl Stream<Item = Heard> + Send + 'static;

    /// The attachments of this node.
    ///
    /// # Errors
    /// They cannot be had now.
    fn blobs(&self) -> Result<Blobs, Refusal>;

    /// Makes room for an attachment of `size` bytes, of what nobody needs any more, as far as there is such.
    fn make_room(&self, size: u64) -> impl Future<Output = ()> + Send;

    /// An application has brought an attachment: it is on stable storage. Answers once messages may name it.
    ///
    /// # Errors
    /// The node cannot take notice of it now.
    fn attached(
        &self,
        digest: BlobDigest,
        size: u64,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A chunk of an attachment was found to be damaged on the disk.
    fn attachment_damaged(&self, digest: BlobDigest) -> impl Future<Output = ()> + Send;

    /// Every metric in Prometheus' text format, version 0.0.4.
    fn metrics(&self) -> impl Future<Output = String> + Send;

    /// Whether the node takes submissions: its journal is recovered and in order, and it is not stopping. Never asks a session.
    ///
    /// # Errors
    /// Why it does not.
    fn ready(&self) -> Result<(), Refusal>;
}

/// A call that was refused because of who made it, or where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// Who made it, as far as that is known.
    pub actor: String,
    /// Its method and path.
    pub call: String,
    /// From which address, unless from this machine.
    pub from: Option<IpAddr>,
    /// The type of the problem.
    pub problem: &'static str,
}

/// A pull of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxAsk {
    /// At most so many messages, at least 1.
    pub max: u32,
    /// Stop after the message whose body brings all bodies to this many bytes. The first is handed out whatever its size.
    pub bytes_max: u64,
    /// How long to wait for the first message.
    pub wait: Duration,
}

/// A message handed to the application, leased to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The parcel's header.
    pub header: Header,
    /// The parcel's body.
    pub body: Bytes,
    /// When this node received it, milliseconds since the Unix epoch.
    pub received: Millis,
}

/// What somebody who listens hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Something happened to a message.
    Happening(Box<HappeningView>),
    /// So many happenings were not heard, because they were not taken fast enough.
    Lost(u64),
}

/// What became of a list of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// How many were known, and are done with or given back.
    pub known: usize,
    /// Those that are not in the inbox.
    pub unknown: Vec<MessageId>,
}

/// Which part of the queue to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAsk {
    /// At most so many entries, at least 1.
    pub max: u32,
    /// Where the page before this one ended, as [`QueuePage::next`] had it.
    pub cursor: Option<String>,
    /// Only entries that fit.
    pub filter: QueueFilter,
}

/// Entries of the queue that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// In this state.
    pub state: Option<State>,
    /// For this neighbour.
    pub neighbour: Option<UnitId>,
    /// In this lane.
    pub lane: Option<Lane>,
    /// Of a kind that this matches.
    pub kind: Option<Pattern>,
    /// Of this case.
    pub case: Option<String>,
    /// That came here at least so long ago, milliseconds.
    pub older_than: Option<Millis>,
}

/// On which messages an operator acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// On these, each once.
    Messages(Vec<MessageId>),
    /// On all of the queue that fit, at most so many.
    Fitting {
        /// Which.
        filter: QueueFilter,
        /// Where the call before this one ended, as [`Acted::next`] had it.
        cursor: Option<String>,
        /// At most so many.
        max: u32,
    },
}

/// What came of an action on several messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// To how many it was done.
    pub done: u64,
    /// To which it was not done, and why.
    pub refused: Vec<(MessageId, Refusal)>,
    /// Where to go on, when there may be more that fit.
    pub next: Option<String>,
}

/// A file with what waits for a neighbour, to be written out in this order.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What it begins with.
    pub head: Bytes,
    /// The parcels.
    pub parcels: Vec<Bytes>,
    /// The attachments that follow, and their sizes.
    pub attachments: Vec<(BlobDigest, u64)>,
    /// For whom it is.
    pub neighbour: UnitId,
    /// What it has.
    pub messages: Vec<MessageId>,
    /// What it has not, and why.
    pub left_out: Vec<(MessageId, String)>,
    /// Where to go on, when there may be more that fit.
    pub next: Option<String>,
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Who made it.
    pub from: UnitId,
    /// Messages that are here now.
    pub taken: u64,
    /// Messages that had come before.
    pub repeated: u64,
    /// Messages for which there is no room now.
    pub no_room: u64,
    /// Attachments that the file had.
    pub attachments: u64,
    /// Messages that ended here, and why; their senders are told.
    pub refused: Vec<(Option<MessageId>, Reason)>,
}

/// What an operator does to a queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep it, and later messages of its case, from being sent.
    Hold,
    /// Undo a hold.
    Release,
    /// Send it as soon as a session is there.
    Retry,
    /// Move it to another lane.
    Reprioritise(Lane),
    /// End it. Its sender is told why, in these words; they are not empty.
    Drop(String),
    /// End it as if its time were over. Its sender is told why, in these words; they are not empty.
    Expire(String),
}

impl Action {
    /// Its name in calls and in the audit log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Reprioritise(_) => "reprioritise",
            Self::Drop(_) => "drop",
            Self::Expire(_) => "expire",
        }
    }
}

/// The node does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The sort of refusal.
    pub cause: Cause,
    /// What is wrong and what to do, one phrase for people.
    pub detail: String,
    /// The attribute that it is about.
    pub attribute: Option<&'static str>,
    /// The bound that is reached, by its name in the configuration, and its value.
    pub bound: Option<(&'static str, u64)>,
    /// The message of a batch, from 0.
    pub index: Option<usize>,
}

/// Why the node does not do what it was asked: stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A parameter is not one that the node can use.
    InvalidRequest,
    /// No rule of the policy allows it.
    Policy,
    /// No such message is known, or it is not where the call looks for it.
    UnknownMessage,
    /// The id was used before, for other content.
    IdConflict,
    /// The message is not in a state for this.
    WrongState,
    /// There is no such neighbour.
    UnknownNeighbour,
    /// The node is drained for maintenance.
    Draining,
    /// The receiver is not a unit that is known.
    UnknownUnit,
    /// An attachment that the message names is not here.
    UnknownAttachment,
    /// The file is not one that this node takes.
    BadFile,
    /// All that is in the file has come before.
    AlreadyImported,
    /// Nothing can be carried between the two nodes by hand now.
    NotByHand,
    /// The message's time is past.
    Expires,
    /// The node has more to do than it can take on.
    Busy,
    /// A receiver's mailbox is full.
    MailboxFull,
    /// A queue, or the storage, has reached its bound.
    BoundReached,
    /// The disk is full.
    DiskFull,
    /// The journal is being recovered.
    Recovering,
    /// The node is stopping.
    Stopping,
    /// Stable storage has failed.
    StorageFailed,
    /// The index cannot answer now.
    IndexUnavailable,
    /// A part of the node has broken down.
    Internal,
}

impl Refusal {
    /// A refusal that names no attribute, bound or message.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            attribute: None,
            bound: None,
            index: None,
        }
    }

    /// What the machine says of a batch that it does not accept; `index` is the message's place in it.
    pub fn not_accepted(index: usize, why: &NotAccepted) -> Self {
        let (cause, attribute) = match why {
            NotAccepted::Conflict => (Cause::IdConflict, Some("id")),
            NotAccepted::Policy { .. } => (Cause::Policy, Some("to")),
            NotAccepted::UnknownUnit(_) => (Cause::UnknownUnit, Some("to")),
            NotAccepted::Expired => (Cause::Expires, Some("expires")),
            NotAccepted::Attachment(_) => (Cause::UnknownAttachment, Some("attachments")),
            NotAccepted::MailboxFull(_) => (Cause::MailboxFull, Some("to")),
            NotAccepted::Bound { .. } => (Cause::BoundReached, None),
            NotAccepted::DiskFull => (Cause::DiskFull, None),
        };
        let bound = match why {
            NotAccepted::Bound { name, bound } => Some((*name, *bound)),
            // It is the disk's own bound, which no setting names: nothing is left.
            NotAccepted::DiskFull => Some(("disk", 0)),
            _ => None,
        };
        Self {
            attribute,
            bound,
            index: Some(index),
            ..Self::new(cause, why.to_string())
        }
    }
}

impl From<OrderRefused> for Refusal {
    fn from(why: OrderRefused) -> Self {
        let cause = match why {
            OrderRefused::NotQueued => Cause::UnknownMessage,
            OrderRefused::NotHeld | OrderRefused::Ending => Cause::WrongState,
            OrderRefused::UnknownNeighbour => Cause::UnknownNeighbour,
        };
        Self::new(cause, why.to_string())
    }
}
