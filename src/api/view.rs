//! What the API shows, as JSON. Times are told in milliseconds since the Unix epoch and written as RFC 3339.

use serde::{Serialize, Serializer};

use crate::{
    language::{Language, Notices, fill},
    model::{BlobDigest, Kind, Lane, MessageId, Millis, Outcome, Pattern, Reason, State, UnitId},
};

/// Everything that a node knows of one message.
#[derive(Clone, Debug, Serialize)]
pub struct MessageView {
    /// The message's name.
    pub messageid: MessageId,
    /// The CloudEvents id.
    pub id: String,
    /// The sender.
    pub from: UnitId,
    /// The receivers as they were signed.
    pub to: Vec<Pattern>,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caseid: Option<String>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The lane that it travels in.
    pub priority: Lane,
    /// When its sender accepted it.
    #[serde(serialize_with = "time")]
    pub accepted: Millis,
    /// When it expires.
    #[serde(serialize_with = "time")]
    pub expires: Millis,
    /// The parcel's size in bytes.
    pub bytes: u64,
    /// Its attachments, as long as the message itself is here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachedView>,
    /// The state of the receiver that is furthest behind.
    pub state: State,
    /// Every receiver that is known.
    pub receivers: Vec<ReceiverView>,
    /// What signed receipts say of it, the earliest first.
    pub receipts: Vec<ReceiptView>,
    /// What happened to it at this node and what receipts say of other nodes, the earliest first. Lists of messages have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<StepView>,
    /// Attempts that the timeline had no room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps_left_out: u32,
    /// What the index may not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<GapView>,
}

/// An attachment that a message names.
#[derive(Clone, Debug, Serialize)]
pub struct AttachedView {
    /// Its name.
    pub digest: BlobDigest,
    /// The name of its file, as the sender gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its size, bytes, when it is here whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A line of a signed receipt.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptView {
    /// What it states.
    pub outcome: Outcome,
    /// The receiver that it speaks for.
    pub receiver: Pattern,
    /// When, by the clock of the node that says so.
    #[serde(serialize_with = "time")]
    pub at: Millis,
    /// The unit that signed it.
    pub issuer: UnitId,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// An operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that the index may not know.
#[derive(Clone, Debug, Serialize)]
pub struct GapView {
    /// When it was noticed.
    #[serde(serialize_with = "time")]
    pub at: Millis,
    /// What may be missing, and why.
    pub why: String,
}

/// A page of messages.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessagePage {
    /// The messages, without their timelines.
    pub messages: Vec<MessageView>,
    /// The cursor of the next page, when there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What the index may not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<GapView>,
}

/// A message's state for one receiver.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiverView {
    /// A unit, or a pattern that has not been expanded here.
    pub receiver: Pattern,
    /// The state.
    pub state: State,
    /// Why, when it ended otherwise than by being delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// When it came to this state.
    #[serde(serialize_with = "time")]
    pub at: Millis,
    /// An operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One step of a message's timeline. Members that do not belong to a step are left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepView {
    /// When, by the clock of the node that says so.
    #[serde(serialize_with = "time")]
    pub at: Millis,
    /// What: `accepted`, `received`, `queued`, `sent`, `returned`, `acked`, `delivered`, `handed`, `taken`, `receipt`, `ended`,
    /// `held`, `released`, `reprioritised` or `parked`.
    pub step: &'static str,
    /// The neighbour that it went to or came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<UnitId>,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The parcel's size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Lane>,
    /// The receiver that the step is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Pattern>,
    /// The unit that signed the receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<UnitId>,
    /// What the receipt states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The state in which it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// An operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that has just happened to a message.
#[derive(Clone, Debug, Serialize)]
pub struct HappeningView {
    /// The message's name.
    pub messageid: MessageId,
    /// The sender.
    pub from: UnitId,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caseid: Option<String>,
    /// The lane that it travels in.
    pub priority: Lane,
    /// The state of the receiver that is furthest behind, by now.
    pub state: State,
    /// What happened.
    pub step: StepView,
}

/// A page of the queue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QueuePage {
    /// The entries, the oldest first.
    pub messages: Vec<QueueEntry>,
    /// How many entries there are in all.
    pub total: u64,
    /// The cursor of the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message that waits for a neighbour.
#[derive(Clone, Debug, Serialize)]
pub struct QueueEntry {
    /// The message's name.
    pub messageid: MessageId,
    /// The neighbour that it waits for.
    pub neighbour: UnitId,
    /// The sender.
    pub from: UnitId,
    /// The receivers as they were signed.
    pub to: Vec<Pattern>,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caseid: Option<String>,
    /// The lane that it waits in.
    pub priority: Lane,
    /// Whether it waits, is held or is under way.
    pub state: State,
    /// Whether an operator has stopped its lane.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether it is held because it was written to a file that is carried to the neighbour.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exported: bool,
    /// The link that it is under way on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The parcel's size in bytes.
    pub bytes: u64,
    /// When its sender accepted it.
    #[serde(serialize_with = "time")]
    pub accepted: Millis,
    /// When it expires.
    #[serde(serialize_with = "time")]
    pub expires: Millis,
}

/// A link to a neighbour, and the session over it.
#[derive(Clone, Debug, Serialize)]
pub struct LinkView {
    /// The neighbour at the other end.
    pub neighbour: UnitId,
    /// The link's name.
    pub link: String,
    /// The link's kind.
    pub kind: String,
    /// Whether a session is open.
    pub up: bool,
    /// How it is relied on: `sound`; `proving`, when it answers again or is new beside another one; `silent`, when what was sent over it is not
    /// answered; `opening`; `down`.
    pub state: &'static str,
    /// Since when it has been up or down.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub since: Option<Millis>,
    /// The other end's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The smoothed round trip, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Packets lost, percent of those sent in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<f64>,
    /// What the link carries from here, bits a second, as estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bps: Option<u64>,
    /// What was sent over the last half minute, UDP payload included, bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bps: Option<u64>,
    /// What was received over the last half minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bps: Option<u64>,
    /// Parcels sent over the last half minute, before compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_sent_bps: Option<u64>,
    /// What was sent in this session, UDP payload included, bytes.
    pub bytes_sent: u64,
    /// What was received in this session, UDP payload included, bytes.
    pub bytes_received: u64,
    /// Parcels sent in this session, before compression, bytes. What went twice counts twice.
    pub payload_sent: u64,
    /// Parcels received in this session, bytes.
    pub payload_received: u64,
    /// Bytes sent for each byte of the parcels sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_sent: Option<f64>,
    /// Bytes received for each byte of the parcels received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_received: Option<f64>,
    /// Bytes of parcels that are under way from here and not acked.
    pub in_flight_bytes: u64,
    /// What of messages goes over it: `all`, or `express`, flash and urgent ones only.
    pub takes: &'static str,
    /// How much later normal and bulk messages may rather arrive over another link, seconds.
    pub cost_s: f64,
    /// What a link that this node dials has carried and may carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<LinkUsage>,
    /// Batches sent in this session by lane, bytes.
    pub lanes_sent: PerLane,
    /// What this node's own messages are compressed against in this session: `none`, `built-in`, or the id of the node's dictionary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<String>,
    /// Why the last session ended, or why none could be set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a link has carried, as it is paid for: IP and UDP headers and attempts to connect included.
#[derive(Clone, Debug, Serialize)]
pub struct LinkUsage {
    /// Bytes sent since the node started.
    pub wire_sent: u64,
    /// Bytes received since the node started.
    pub wire_received: u64,
    /// Bytes carried both ways since midnight.
    pub today_bytes: u64,
    /// What it may carry a day, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_bytes: Option<u64>,
    /// Why only flash and urgent messages go over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub express_only: Option<&'static str>,
}

/// A unit that a node knows.
#[derive(Clone, Debug, Serialize)]
pub struct UnitView {
    /// Its name.
    pub unit: UnitId,
    /// Its title in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether a session with it is open.
    pub connected: bool,
    /// Whether it is cut off.
    pub blocked: bool,
    /// Lanes towards it that an operator has stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<Lane>,
    /// The links that sessions are open over.
    pub links: Vec<String>,
    /// When it was last connected.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub seen: Option<Millis>,
    /// What waits for it.
    pub mailbox: Volume,
    /// Messages that wait for it, by lane.
    pub mailbox_lanes: PerLane,
    /// When the oldest of them came here.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub oldest: Option<Millis>,
    /// Messages among them that are not sent whatever link is there: they are held, their receiver is full, or they come after one that waits.
    pub waiting: u64,
    /// Until when the certificate is good that it last showed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub certificate_expires: Option<Millis>,
}

/// How far a node that is drained has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drained {
    /// Whether it takes no submissions.
    pub draining: bool,
    /// Whether nothing is queued for any neighbour, receipts among it.
    pub empty: bool,
    /// What is.
    pub queued: Volume,
}

/// Messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// How many.
    pub messages: u64,
    /// Their parcels, bytes.
    pub bytes: u64,
}

/// A number for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the lanes by their names")]
pub struct PerLane {
    pub flash: u64,
    pub urgent: u64,
    pub normal: u64,
    pub bulk: u64,
}

impl From<[u64; 4]> for PerLane {
    /// In the order of [`Lane::ALL`].
    fn from([flash, urgent, normal, bulk]: [u64; 4]) -> Self {
        Self {
            flash,
            urgent,
            normal,
            bulk,
        }
    }
}

/// A node's attachments.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AttachmentsView {
    /// How many are here whole.
    pub whole: u64,
    /// What all take on disk, those that are coming and what is set aside included, bytes.
    pub bytes: u64,
    /// The bound on that, bytes.
    pub bytes_max: u64,
    /// Those that come from neighbours or go to them now.
    pub under_way: Vec<TransferView>,
}

/// An attachment on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransferView {
    /// Its name.
    pub digest: BlobDigest,
    /// The neighbour that it comes from or goes to.
    pub neighbour: UnitId,
    /// `in` or `out`.
    pub way: &'static str,
    /// Its size, bytes, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes that are where it goes.
    pub bytes: u64,
    /// What has come or gone lately, bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_bps: Option<u64>,
    /// How long the rest takes at that rate, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// What a start found damaged.
#[derive(Clone, Debug, Serialize)]
pub struct DamageView {
    /// The places in the journal, one phrase each, with the numbers of the records that are lost.
    pub places: Vec<String>,
    /// Messages that were in lost records and had not ended here, as far as the index knew them. A neighbour may still have them.
    pub messages: Vec<MessageId>,
    /// How many more there are.
    pub messages_more: u64,
    /// Attachments of messages accepted here that are not here any more. Brought again, they go on.
    pub attachments: Vec<BlobDigest>,
}

/// A node in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The node's unit.
    pub unit: UnitId,
    /// Its data folder, where the operators' token is.
    pub data_dir: String,
    /// The program's version.
    pub version: &'static str,
    /// The hub that it dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UnitId>,
    /// Whether it is a hub.
    pub listens: bool,
    /// When it started.
    #[serde(serialize_with = "time")]
    pub started: Millis,
    /// Its run of sequence numbers.
    pub epoch: u64,
    /// Whether it takes submissions.
    pub ready: bool,
    /// Whether it is drained for maintenance.
    pub draining: bool,
    /// Open sessions.
    pub sessions: u64,
    /// Units that it knows.
    pub units: u64,
    /// What waits for neighbours.
    pub queued: Volume,
    /// Messages that wait for neighbours, by lane.
    pub queued_lanes: PerLane,
    /// What waits for the local application.
    pub inbox: Volume,
    /// Attachments.
    pub attachments: AttachmentsView,
    /// Messages that were accepted here and have not ended for every receiver.
    pub awaiting_receipts: u64,
    /// The journal on disk, bytes.
    pub journal_bytes: u64,
    /// The journal's bound, bytes.
    pub journal_bytes_max: u64,
    /// Damaged stretches of the journal that the start found and set aside.
    pub quarantined: u64,
    /// What they were, and what was lost with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<DamageView>,
    /// What an operator should look at, one phrase each.
    pub warnings: Vec<Warned>,
}

/// A warning, and how it is told. Programs read it as a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warned {
    /// The warning.
    pub warning: Warning,
    /// It in words.
    pub text: String,
}

impl Serialize for Warned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The node takes no messages, and why.
    NotReady(String),
    /// An operator drains the node.
    Drained {
        /// How many messages are still queued.
        queued: u64,
    },
    /// An operator has paused what is for a neighbour.
    Paused {
        /// The neighbour.
        unit: UnitId,
        /// Which lanes.
        lanes: Vec<Lane>,
    },
    /// The disk is full.
    DiskFull,
    /// The journal was damaged in so many places.
    Quarantined(u64),
    /// So many messages were lost with damaged records.
    MessagesLost(u64),
    /// So many attachments of messages that were accepted here are damaged.
    AttachmentsDamaged(usize),
    /// Files in folders, or posts, do not go as they should.
    Local(String),
    /// A link is kept for what is urgent.
    ExpressOnly {
        /// The link.
        link: String,
        /// Why.
        why: &'static str,
    },
    /// The audit log was changed by somebody else.
    AuditDamaged(String),
    /// The index has stopped.
    IndexFailed(String),
    /// The index has gaps.
    IndexIncomplete,
    /// A certificate of the node's own runs out.
    CertificateExpires {
        /// Whether it is the one that signs, and not that of TLS.
        signs: bool,
        /// When.
        at: Millis,
    },
}

impl Warning {
    /// It in a language. What it was given in words is in that language already, or in nobody's.
    pub(crate) fn told(self, language: Language) -> Warned {
        let n = Notices::of(language);
        let text = match &self {
            Self::NotReady(why) | Self::Local(why) => why.clone(),
            Self::Drained { queued: 0 } => n.drained.to_owned(),
            Self::Drained { queued } => fill(n.draining, &[queued]),
            Self::Paused { unit, lanes } => fill(n.paused, &[unit, &n.lanes(lanes)]),
            Self::DiskFull => n.disk_full.to_owned(),
            Self::Quarantined(places) => fill(n.quarantined, &[places]),
            Self::MessagesLost(count) => fill(n.messages_lost, &[count]),
            Self::AttachmentsDamaged(count) => fill(n.attachments_damaged, &[count]),
            Self::ExpressOnly { link, why } => fill(n.express_only, &[link, why]),
            Self::AuditDamaged(why) => fill(n.audit_damaged, &[why]),
            Self::IndexFailed(why) => fill(n.index_failed, &[why]),
            Self::IndexIncomplete => n.index_incomplete.to_owned(),
            Self::CertificateExpires { signs, at } => {
                let text = match signs {
                    true => n.signing_expires,
                    false => n.tls_expires,
                };
                fill(text, &[&text_of_time(*at, 0)])
            }
        };
        Warned {
            warning: self,
            text,
        }
    }
}

/// RFC 3339 in UTC, with so many digits of a second.
fn text_of_time(at: Millis, digits: usize) -> String {
    let time = i64::try_from(at)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.digits$}")
}

/// Writes milliseconds since the Unix epoch as RFC 3339.
pub(super) fn time<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text_of_time(*at, 3))
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn some_time<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}
