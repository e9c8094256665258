//! A node in numbers, its attachments, what was found damaged, and what it warns of.

use serde::{Serialize, Serializer};

use super::{PerLane, Volume, text_of_time, time};
use crate::{
    language::{Language, Notices, fill},
    model::{BlobDigest, Lane, MessageId, Millis, UnitId},
};

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
