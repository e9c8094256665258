//! One neighbour: the queue towards it, what came from it, and the sessions with it.

mod frame;
mod inbound;
mod outbox;

use std::collections::BTreeSet;

use bincode::{Decode, Encode};

pub use frame::{
    Ack, Dictionaries, DictionaryAnswer, DictionaryRefusal, Entry, Epoch, Frame, GoneAnswer, Hello,
    OfferAnswer, OfferedDictionary, PROTOCOL_VERSION, Seq, Targets,
};
pub(super) use inbound::{Inbound, Waiting};
pub use outbox::Depth;
pub(super) use outbox::{Ending, Outbox, Queued};

use super::input::SessionId;
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
    /// Whether the offers were told in a live session.
    pub(super) offered: bool,
    /// What the neighbour has said so far that it lacks.
    pub(super) lacked: Vec<Digest>,
}

/// A [`Hop`] as a checkpoint has it.
#[derive(Debug, Decode)]
pub(in crate::delivery) struct Snapshot {
    peer_epoch: Epoch,
    outbox: outbox::Snapshot,
    inbound: inbound::Snapshot,
    offers: Vec<Digest>,
}

impl Hop {
    /// Encoded as a [`Snapshot`].
    pub(super) fn snapshot(&self) -> impl Encode + '_ {
        let offers: Vec<Digest> = self.offers.iter().chain(&self.lacked).copied().collect();
        (
            self.peer_epoch,
            self.outbox.snapshot(),
            self.inbound.snapshot(),
            offers,
        )
    }

    pub(super) fn restore(snapshot: Snapshot) -> Self {
        Self {
            peer_epoch: snapshot.peer_epoch,
            outbox: Outbox::restore(snapshot.outbox),
            inbound: Inbound::restore(snapshot.inbound),
            offers: snapshot.offers.into_iter().collect(),
            ..Self::default()
        }
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
