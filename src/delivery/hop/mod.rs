//! One neighbour: the queue towards it, what came from it, and the sessions with it.

mod frame;
mod inbound;
mod outbox;
mod paused;

use std::collections::BTreeSet;

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};

pub use frame::{
    Absent, Ack, CREDIT_UNIT_BYTES, Dictionaries, DictionaryAnswer, DictionaryRefusal, Entry,
    Epoch, Frame, GENERATION_RANGES_MAX, Generation, GenerationAnswer, GoneAnswer, Have, Hello,
    LinkTerms, MARKS_MAX, OfferAnswer, OfferedDictionary, PROTOCOL_VERSION, Seq, Takes, Targets,
    WANT_SENDERS_MAX, Want,
};
pub(super) use inbound::{Inbound, Waiting};
pub use outbox::Depth;
pub(super) use outbox::{BATCH_BYTES_FULL, Ending, Outbox, Queued};
pub use paused::Paused;

use super::{input::SessionId, parcels::Parcels};
use crate::model::{Digest, Lsn};

/// What a node keeps of one neighbour.
#[derive(Debug, Default)]
pub(super) struct Hop {
    /// The neighbour's epoch that both directions are numbered against; 0 before they met.
    pub(super) peer_epoch: Epoch,
    pub(super) outbox: Outbox,
    pub(super) inbound: Inbound,
    /// Parcels that the neighbour, which lost its memory, is asked about before anything is sent.
    pub(super) offers: BTreeSet<Digest>,
    // What follows lives as long as the node runs.
    pub(super) sessions: BTreeSet<SessionId>,
    /// The record that numbered the hop afresh; nothing is said of the new numbers before it is synced.
    pub(super) numbered_at: Lsn,
    /// Whether offers were told in a live session, and the last of them.
    pub(super) offered: bool,
    pub(super) offered_through: Option<Digest>,
    /// What the neighbour has said so far that it lacks.
    pub(super) lacked: Vec<Digest>,
}

impl Hop {
    /// What of it is durable, for a checkpoint.
    pub(super) fn snapshot(&self) -> impl Encode + '_ {
        let offers: BTreeSet<Digest> = self.offers.iter().chain(&self.lacked).copied().collect();
        (
            self.peer_epoch,
            self.outbox.snapshot(),
            self.inbound.snapshot(),
            offers,
        )
    }

    /// From what [`Hop::snapshot`] encoded, with the parcels that it is about.
    pub(super) fn decode<D: Decoder<Context = ()>>(
        decoder: &mut D,
        parcels: &Parcels,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            peer_epoch: Decode::decode(decoder)?,
            outbox: Outbox::decode(decoder, parcels)?,
            inbound: Inbound::restore(Decode::decode(decoder)?),
            offers: Decode::decode(decoder)?,
            ..Self::default()
        })
    }

    /// Whether it is still to be known what the neighbour lacks: then everything is numbered afresh, and until then no number is spoken of.
    pub(super) fn is_offering(&self) -> bool {
        self.offered || !self.offers.is_empty()
    }

    /// What was recovered is durable.
    pub(super) fn recovered(&mut self) {
        self.outbox.recovered();
        self.inbound.recovered();
    }
}
