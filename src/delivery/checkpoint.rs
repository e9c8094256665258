//! The durable state as one value.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use bincode::{Decode, de::Decoder, error::DecodeError};

use super::{
    Delivery, ReplayError, Settings,
    blobs::Blobs,
    hop::{Epoch, Hop, Paused, Waiting},
    memory::Memory,
    parcels::{Parcels, Slot},
    receipts::{Fanout, Line, Owed},
};
use crate::{
    codec::{self, Each},
    model::{BlobDigest, Digest, Lsn, Millis, UnitId},
};

/// Largest checkpoint, in bytes.
const CHECKPOINT_BYTES_MAX: usize = 8 * 1024 * 1024 * 1024;

/// The durable state, read.
struct Checkpoint {
    lsn: Lsn,
    epoch: Epoch,
    wall: Millis,
    met: BTreeSet<UnitId>,
    parcels: Parcels,
    sent: Memory,
    seen: Memory,
    hops: BTreeMap<UnitId, Box<Hop>>,
    inbox: Vec<Slot>,
    owed: Vec<(UnitId, Vec<Line>)>,
    fanouts: BTreeMap<Digest, Vec<Fanout>>,
    attachments: BTreeMap<Slot, Box<[BlobDigest]>>,
    /// Of the inbox, what is shut.
    shut: BTreeSet<Slot>,
    paused: BTreeMap<UnitId, Paused>,
}

/// Field by field, what is large one item after another.
impl Decode<()> for Checkpoint {
    fn decode<D: Decoder<Context = ()>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut checkpoint = Self {
            lsn: Decode::decode(decoder)?,
            epoch: Decode::decode(decoder)?,
            wall: Decode::decode(decoder)?,
            met: Decode::decode(decoder)?,
            parcels: Parcels::decode(decoder)?,
            sent: Decode::decode(decoder)?,
            seen: Decode::decode(decoder)?,
            hops: BTreeMap::new(),
            inbox: Vec::new(),
            owed: Vec::new(),
            fanouts: BTreeMap::new(),
            attachments: BTreeMap::new(),
            shut: BTreeSet::new(),
            paused: BTreeMap::new(),
        };
        for _ in 0..u64::decode(decoder)? {
            let unit = Decode::decode(decoder)?;
            let hop = Hop::decode(decoder, &checkpoint.parcels)?;
            checkpoint.hops.insert(unit, Box::new(hop));
        }
        checkpoint.inbox = Decode::decode(decoder)?;
        checkpoint.owed = Decode::decode(decoder)?;
        checkpoint.fanouts = Decode::decode(decoder)?;
        // A checkpoint that was written before there were attachments ends here.
        let Some(attachments) = unless_ended(Decode::decode(decoder))? else {
            return Ok(checkpoint);
        };
        checkpoint.attachments = attachments;
        checkpoint.shut = Decode::decode(decoder)?;
        // And one that was written before anything could be paused, here.
        if let Some(paused) = unless_ended(Decode::decode(decoder))? {
            checkpoint.paused = paused;
        }
        Ok(checkpoint)
    }
}

/// None when the checkpoint ended before it.
fn unless_ended<T>(read: Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(DecodeError::UnexpectedEnd { .. }) => Ok(None),
        Err(DecodeError::Io { inner, .. }) if inner.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Delivery {
    /// Writes the whole durable state, for a checkpoint: there is no second copy of it in memory.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn checkpoint(&self, out: &mut impl io::Write) -> io::Result<()> {
        let inbox: Vec<Slot> = self.inbox.slots().collect();
        let hops = Each {
            len: self.hops.len(),
            items: || self.hops.iter().map(|(unit, hop)| (unit, hop.snapshot())),
        };
        // Field by field as in `Checkpoint`.
        let state = (
            self.lsn,
            self.epoch,
            self.wall.max(self.now.wall),
            &self.met,
            self.parcels.snapshot(),
            self.sent.snapshot(),
            self.seen.snapshot(),
            hops,
            inbox,
            self.owed.snapshot(),
            &self.fanouts,
            (
                self.blobs.snapshot(),
                self.inbox.shut().collect::<BTreeSet<_>>(),
                &self.paused,
            ),
        );
        codec::encode_to(&state, out)
    }

    /// A node as a checkpoint has it.
    ///
    /// # Errors
    /// What comes from `state` is not a checkpoint of this version.
    pub fn restore(settings: Settings, state: &mut dyn io::Read) -> Result<Self, ReplayError> {
        let checkpoint = codec::decode_from::<Checkpoint, CHECKPOINT_BYTES_MAX>(state)?;
        let mut node = Self::new(settings);
        node.lsn = checkpoint.lsn;
        node.epoch = checkpoint.epoch;
        node.wall = checkpoint.wall;
        node.met = checkpoint.met;
        node.parcels = checkpoint.parcels;
        node.sent = checkpoint.sent;
        node.seen = checkpoint.seen;
        node.hops = checkpoint.hops;
        node.owed = Owed::restore(checkpoint.owed);
        node.fanouts = checkpoint.fanouts;
        node.paused = checkpoint.paused;
        for slot in checkpoint.inbox {
            if let Some(kept) = node.parcels.find(slot) {
                let (lane, chain, bytes) = (kept.lane, kept.chain, kept.bytes);
                let is_shut = checkpoint.shut.contains(&slot);
                node.inbox.push(slot, lane, chain, bytes, 0, is_shut);
            }
        }
        node.blobs = Blobs::restore(checkpoint.attachments);
        let waiting: Vec<Waiting> = node
            .hops
            .values()
            .flat_map(|hop| hop.inbound.all_waiting().cloned())
            .collect();
        for waiting in &waiting {
            node.count_waiting(waiting);
        }
        for (slot, kept) in node.parcels.iter() {
            node.expiries.note(slot, kept.expires / 1000);
        }
        Ok(node)
    }
}
