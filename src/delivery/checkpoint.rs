//! The durable state as one value.

use std::{collections::BTreeMap, io};

use bincode::Decode;

use super::{
    Delivery, ReplayError, Settings,
    hop::{Epoch, Hop, Snapshot as HopSnapshot, Waiting},
    memory::Memory,
    parcels::{Parcels, Slot},
    receipts::{Fanout, Line, Owed},
};
use crate::{
    codec::{self, Each},
    model::{Digest, Lsn, Millis, UnitId},
};

/// Largest checkpoint, in bytes.
const CHECKPOINT_BYTES_MAX: usize = 8 * 1024 * 1024 * 1024;

#[derive(Debug, Decode)]
struct Checkpoint {
    lsn: Lsn,
    epoch: Epoch,
    wall: Millis,
    met: Vec<UnitId>,
    parcels: Parcels,
    sent: Memory,
    seen: Memory,
    hops: Vec<(UnitId, HopSnapshot)>,
    inbox: Vec<Slot>,
    owed: Vec<(UnitId, Vec<Line>)>,
    fanouts: Vec<(Digest, Vec<Fanout>)>,
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
        node.met = checkpoint.met.into_iter().collect();
        node.parcels = checkpoint.parcels;
        node.sent = checkpoint.sent;
        node.seen = checkpoint.seen;
        node.hops = checkpoint
            .hops
            .into_iter()
            .map(|(unit, hop)| (unit, Hop::restore(hop)))
            .collect::<BTreeMap<_, _>>();
        node.owed = Owed::restore(checkpoint.owed);
        node.fanouts = checkpoint.fanouts.into_iter().collect();
        for slot in checkpoint.inbox {
            if let Some(kept) = node.parcels.find(slot) {
                let (lane, chain, bytes) = (kept.lane, kept.chain, kept.bytes);
                node.inbox.push(slot, lane, chain, bytes, 0);
            }
        }
        let waiting: Vec<Waiting> = node
            .hops
            .values()
            .flat_map(|hop| hop.inbound.all_waiting().cloned())
            .collect();
        for waiting in &waiting {
            node.count_waiting(waiting);
        }
        for (slot, kept) in node.parcels.iter() {
            node.own += u64::from(!kept.receivers.is_empty());
            let second = kept.expires / 1000;
            node.expiries.entry(second).or_default().push(slot);
        }
        Ok(node)
    }
}
