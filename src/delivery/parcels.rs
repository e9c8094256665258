//! The parcels that a node has: metadata only, never bodies.

use std::hash::BuildHasher as _;

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{blocks::Blocks, hop::Seq};
use crate::{
    codec::Each,
    model::{Digest, Lane, Location, Lsn, MessageId, Millis, Pattern, Reason, State, UnitId},
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
    /// The record that brought it, or that brought what it had waited for: parcels go on in this order.
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
    slots: Blocks<Kept>,
    index: Index,
}

/// Where the parcels of a message, and the parcel of a digest, are.
#[derive(Debug, Default)]
struct Index {
    by_message: HashTable<Slot>,
    by_digest: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

impl Index {
    /// Enters a parcel that is about to be put into a slot.
    fn enter(&mut self, slots: &Blocks<Kept>, slot: Slot, kept: &Kept) {
        let hasher = &self.hasher;
        let of = |s: &Slot| slots.get(*s);
        self.by_message
            .insert_unique(hasher.hash_one(kept.message), slot, |s| {
                hasher.hash_one(of(s).map_or(kept.message, |k| k.message))
            });
        self.by_digest
            .insert_unique(hasher.hash_one(kept.digest), slot, |s| {
                hasher.hash_one(of(s).map_or(kept.digest, |k| k.digest))
            });
    }
}

impl Parcels {
    pub(super) fn insert(&mut self, kept: Kept) -> Slot {
        let slot = self.slots.next_place();
        self.index.enter(&self.slots, slot, &kept);
        let put = self.slots.put(kept);
        debug_assert_eq!(put, slot);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Kept {
        let kept = self.slots.take(slot);
        let kept = kept.unwrap_or_else(|| unreachable!("a slot is given up once"));
        let index = &mut self.index;
        for (table, hash) in [
            (&mut index.by_message, index.hasher.hash_one(kept.message)),
            (&mut index.by_digest, index.hasher.hash_one(kept.digest)),
        ] {
            if let Ok(entry) = table.find_entry(hash, |s| *s == slot) {
                entry.remove();
            }
        }
        kept
    }

    pub(super) fn get(&self, slot: Slot) -> &Kept {
        let kept = self.slots.get(slot);
        kept.unwrap_or_else(|| unreachable!("a slot in use is filled"))
    }

    /// The parcel in a slot that may have been given up.
    pub(super) fn find(&self, slot: Slot) -> Option<&Kept> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Kept {
        let kept = self.slots.get_mut(slot);
        kept.unwrap_or_else(|| unreachable!("a slot in use is filled"))
    }

    /// Every parcel of a message: more than one only while another content under the same id passes through a hub.
    pub(super) fn of_message(&self, message: MessageId) -> impl Iterator<Item = Slot> + '_ {
        let index = &self.index;
        index
            .by_message
            .iter_hash(index.hasher.hash_one(message))
            .copied()
            .filter(move |s| self.get(*s).message == message)
    }

    pub(super) fn of_digest(&self, digest: Digest) -> Option<Slot> {
        let index = &self.index;
        index
            .by_digest
            .find(index.hasher.hash_one(digest), |s| {
                self.get(*s).digest == digest
            })
            .copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Kept)> {
        self.slots.iter()
    }

    /// Those after a slot.
    pub(super) fn iter_after(&self, after: Option<Slot>) -> impl Iterator<Item = (Slot, &Kept)> {
        self.slots.iter_from(after.map_or(0, |slot| slot + 1))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Everything, each in its slot, for a checkpoint: encoded as a list of (slot, parcel).
    pub(super) fn snapshot(&self) -> impl Encode + '_ {
        Each {
            len: self.len(),
            items: || self.iter(),
        }
    }
}

/// From what [`Parcels::snapshot`] encoded, one after another.
impl<C> Decode<C> for Parcels {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let len = u64::decode(decoder)?;
        let mut parcels = Self::default();
        let items = (0..len).map(|_| Decode::decode(decoder));
        let index = &mut parcels.index;
        parcels.slots.put_all(items, |slots, slot, kept| {
            index.enter(slots, slot, kept);
        })?;
        Ok(parcels)
    }
}

bincode::impl_borrow_decode!(Parcels);

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
