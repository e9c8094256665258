//! What the API shows, as JSON. Times are told in milliseconds since the Unix epoch and written as RFC 3339.

mod message;
mod neighbour;
mod status;

use serde::{Serialize, Serializer};

pub use self::{
    message::{
        AttachedView, GapView, HappeningView, MessagePage, MessageView, QueueEntry, QueuePage,
        ReceiptView, ReceiverView, StepView,
    },
    neighbour::{LinkUsage, LinkView, UnitView},
    status::{AttachmentsView, DamageView, Status, TransferView, Warned, Warning},
};
use crate::model::Millis;

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

fn some_time<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}
