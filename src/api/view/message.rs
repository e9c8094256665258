//! Messages, their receipts and steps, and the queue.

use serde::Serialize;

use super::time;
use crate::model::{
    BlobDigest, Kind, Lane, MessageId, Millis, Outcome, Pattern, Reason, State, UnitId,
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

fn is_zero(number: &u32) -> bool {
    *number == 0
}
