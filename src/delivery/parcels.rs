//! The parcels that a node has: metadata only, never bodies.

use std::hash::BuildHasher as _;

use bincode::{Decode, Encode};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::hop::Seq;
use crate::model::{
    Digest, Lane, Location, Lsn, MessageId, Millis, Pattern, Reason, State, UnitId,
};

/// Names a parcel in the table of parcels; used again once the parcel is gone.
pub(super) type Slot = u32;

/// What a node keeps in memory of one parcel.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct Kept {
    pub(super) message: MessageId,
    pub(super) digest: Digest,
    /// Digest of (sender, case); 0 when there is no case and so no order.
    pub(super) chain: u64,
    pub(super) sender: UnitId,
    /// Whoever is told what becomes of a copy that ends here: the sender, or the hub that expanded a pattern.
    pub(super) reply_to: UnitId,
    pub(super) accepted: Millis,
    pub(super) received: Millis,
    /// The record that brought it: parcels came in this order.
    pub(super) order: Lsn,
    pub(super) expires: Millis,
    pub(super) attested: Millis,
    pub(super) location: Location,
    /// The parcel's size.
    pub(super) bytes: u32,
    pub(super) lane: Lane,
    pub(super) is_receipt: bool,
    /// Whether the sender wants to know that the application took it.
    pub(super) wants_read: bool,
    /// Copies in outboxes, by neighbour.
    pub(super) copies: Vec<(UnitId, Seq)>,
    /// Whether it is in the inbox, and how many times it waits for a predecessor.
    pub(super) uses: u32,
    /// At the origin: each signed receiver and where its copy is. Elsewhere empty.
    pub(super) receivers: Vec<Receiver>,
}

/// A receiver, as the origin keeps it until its terminal receipt has come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Receiver {
    pub(super) target: Pattern,
    pub(super) state: State,
    pub(super) reason: Reason,
}

impl Kept {
    /// Whether nothing is awaited any more: the parcel and its body can go.
    pub(super) fn is_over(&self) -> bool {
        self.uses == 0
            && self.copies.is_empty()
            && self.receivers.iter().all(|r| r.state.is_terminal())
    }

    /// Whether this node is the origin and keeps custody.
    pub(super) fn in_custody(&self) -> bool {
        self.receivers.iter().any(|r| !r.state.is_terminal())
    }
}

/// The table of parcels, found by message and by digest.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    slots: Vec<Option<Box<Kept>>>,
    free: Vec<Slot>,
    by_message: HashTable<Slot>,
    by_digest: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

impl Parcels {
    pub(super) fn insert(&mut self, kept: Kept) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        self.enter(slot, &kept);
        self.slots[slot as usize] = Some(Box::new(kept));
        slot
    }

    /// Enters a slot that is about to be filled into the two indexes.
    fn enter(&mut self, slot: Slot, kept: &Kept) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let of = |s: &Slot| slots.get(*s as usize).and_then(Option::as_deref);
        self.by_message
            .insert_unique(hasher.hash_one(kept.message), slot, |s| {
                hasher.hash_one(of(s).map_or(kept.message, |k| k.message))
            });
        self.by_digest
            .insert_unique(hasher.hash_one(kept.digest), slot, |s| {
                hasher.hash_one(of(s).map_or(kept.digest, |k| k.digest))
            });
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Kept {
        let kept = self.slots[slot as usize]
            .take()
            .unwrap_or_else(|| unreachable!("a slot is given up once"));
        for (table, hash) in [
            (&mut self.by_message, self.hasher.hash_one(kept.message)),
            (&mut self.by_digest, self.hasher.hash_one(kept.digest)),
        ] {
            if let Ok(entry) = table.find_entry(hash, |s| *s == slot) {
                entry.remove();
            }
        }
        self.free.push(slot);
        *kept
    }

    pub(super) fn get(&self, slot: Slot) -> &Kept {
        at(&self.slots, slot)
    }

    /// The parcel in a slot that may have been given up.
    pub(super) fn find(&self, slot: Slot) -> Option<&Kept> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Kept {
        self.slots[slot as usize]
            .as_deref_mut()
            .unwrap_or_else(|| unreachable!("a slot in use is filled"))
    }

    /// Every parcel of a message: more than one only while another content under the same id passes through a hub.
    pub(super) fn of_message(&self, message: MessageId) -> impl Iterator<Item = Slot> + '_ {
        self.by_message
            .iter_hash(self.hasher.hash_one(message))
            .copied()
            .filter(move |s| self.get(*s).message == message)
    }

    pub(super) fn of_digest(&self, digest: Digest) -> Option<Slot> {
        self.by_digest
            .find(self.hasher.hash_one(digest), |s| {
                self.get(*s).digest == digest
            })
            .copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Kept)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, kept)| Some((slot as Slot, kept.as_deref()?)))
    }

    /// Those after a slot.
    pub(super) fn iter_after(&self, after: Option<Slot>) -> impl Iterator<Item = (Slot, &Kept)> {
        let first = after.map_or(0, |slot| slot as usize + 1);
        let slots = self.slots.iter().enumerate().skip(first);
        slots.filter_map(|(slot, kept)| Some((slot as Slot, kept.as_deref()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Everything, each in its slot, for a checkpoint.
    pub(super) fn snapshot(&self) -> Vec<(Slot, Kept)> {
        self.iter()
            .map(|(slot, kept)| (slot, kept.clone()))
            .collect()
    }

    pub(super) fn restore(snapshot: Vec<(Slot, Kept)>) -> Self {
        let mut parcels = Self::default();
        let size = snapshot.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
        parcels.slots.resize(size as usize, None);
        for (slot, kept) in snapshot {
            parcels.enter(slot, &kept);
            parcels.slots[slot as usize] = Some(Box::new(kept));
        }
        parcels.free = (0..size)
            .filter(|slot| parcels.slots[*slot as usize].is_none())
            .collect();
        parcels
    }
}

fn at(slots: &[Option<Box<Kept>>], slot: Slot) -> &Kept {
    slots[slot as usize]
        .as_deref()
        .unwrap_or_else(|| unreachable!("a slot in use is filled"))
}

/// The key of a chain: messages of one sender and one case keep their order. Two chains that fall on the same key are ordered
/// together, which does no harm.
pub(super) fn chain(sender: &UnitId, case: Option<&str>) -> u64 {
    let Some(case) = case else { return 0 };
    let mut hasher = blake3::Hasher::new_derive_key("casegate 2026-11 chain");
    hasher.update(&(sender.as_str().len() as u32).to_le_bytes());
    hasher.update(sender.as_str().as_bytes());
    hasher.update(case.as_bytes());
    let hash = hasher.finalize();
    let key = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
    key.max(1)
}
