//! The memory of messages that were accepted or delivered, so that none is taken twice (G4).

use std::{
    collections::{BTreeMap, HashSet},
    hash::BuildHasher as _,
    num::NonZeroU32,
};

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::parcels::Blocks;
use crate::{
    codec::Each,
    model::{Digest, MessageId, Millis},
};

/// Remembers a digest per message until some time after the message's expiry.
///
/// What was given up is summed up in one durable number, `purged`: nothing that expires at or before it is taken any more, so a
/// clock that steps back opens no window. A message takes about 50 bytes here.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: Blocks<Entry, ENTRIES>,
    /// Where the entries of the messages are that are known.
    known: HashTable<Place>,
    hasher: DefaultHashBuilder,
    /// Entries of messages that were forgotten before their minute was over.
    forgotten: HashSet<Place>,
    /// The last entry of each minute of expiry; those before it follow from [`Entry::before`]. Some may be of messages that are not
    /// known any more, or have another expiry since.
    by_expiry: BTreeMap<Millis, Place>,
    purged: Millis,
}

/// Where an entry is.
type Place = u32;

/// No place: there are never so many.
const NOWHERE: Place = Place::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    message: MessageId,
    digest: Digest,
    /// Seconds, rounded up: remembering for longer does no harm.
    expires_s: NonZeroU32,
    /// The entry before it in its minute.
    before: Place,
}

/// Entries of one block.
const ENTRIES: usize = 512;
const SLOT_MS: Millis = 60_000;

impl Memory {
    pub(super) fn get(&self, message: &MessageId) -> Option<Digest> {
        self.find(message).map(|(_, entry)| entry.digest)
    }

    /// Nothing that expires at or before this moment is remembered.
    pub(super) fn purged(&self) -> Millis {
        self.purged
    }

    pub(super) fn insert(&mut self, message: MessageId, digest: Digest, expires: Millis) {
        let expires_s = u32::try_from(expires.div_ceil(1000)).unwrap_or(u32::MAX);
        let expires_s = NonZeroU32::new(expires_s).unwrap_or(NonZeroU32::MIN);
        if let Some((_, entry)) = self.find(&message) {
            if (entry.digest, entry.expires_s) == (digest, expires_s) {
                return;
            }
            self.forget(&message);
        }
        let slot = Millis::from(expires_s.get()) * 1000 / SLOT_MS;
        let last = self.by_expiry.entry(slot).or_insert(NOWHERE);
        let place = self.entries.put(Entry {
            message,
            digest,
            expires_s,
            before: *last,
        });
        *last = place;
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.known
            .insert_unique(hasher.hash_one(message), place, |p| {
                hasher.hash_one(entries.get(*p).map_or(message, |entry| entry.message))
            });
    }

    /// Whether what expires then has been given up already.
    pub(super) fn is_past(&self, expires: Millis) -> bool {
        (expires.div_ceil(1000) * 1000 / SLOT_MS + 1) * SLOT_MS <= self.purged
    }

    /// Forgets a message that was received but not released, when it is to come again.
    pub(super) fn forget(&mut self, message: &MessageId) {
        let entries = &self.entries;
        let hash = self.hasher.hash_one(message);
        // Its entry goes with its minute.
        if let Ok(found) = self.known.find_entry(hash, |p| {
            entries.get(*p).is_some_and(|e| e.message == *message)
        }) {
            let (place, _) = found.remove();
            self.forgotten.insert(place);
        }
    }

    /// Whether [`Memory::purge`] up to `through` would forget anything.
    pub(super) fn has_expired(&self, through: Millis) -> bool {
        self.by_expiry
            .first_key_value()
            .is_some_and(|(slot, _)| (slot + 1) * SLOT_MS <= through)
    }

    /// When the next slot of messages expires.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.by_expiry
            .first_key_value()
            .map(|(slot, _)| (slot + 1) * SLOT_MS)
    }

    pub(super) fn purge(&mut self, through: Millis) {
        while let Some(slot) = self.by_expiry.first_entry() {
            if (slot.key() + 1) * SLOT_MS > through {
                break;
            }
            let mut place = slot.remove();
            while let Some(entry) = self.entries.take(place) {
                let hash = self.hasher.hash_one(entry.message);
                let is_forgotten = self.forgotten.remove(&place);
                if !is_forgotten && let Ok(found) = self.known.find_entry(hash, |p| *p == place) {
                    found.remove();
                }
                place = entry.before;
            }
        }
        self.purged = self.purged.max(through);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known and up to when nothing is, for a checkpoint.
    pub(super) fn snapshot(&self) -> impl Encode + '_ {
        // In the order of their places, so that the same memory is written in the same bytes.
        let known = Each {
            len: self.known.len(),
            items: || {
                let entries = self.entries.iter();
                let known = entries.filter(|(place, _)| !self.forgotten.contains(place));
                known.map(|(_, entry)| {
                    let expires = Millis::from(entry.expires_s.get()) * 1000;
                    (entry.message, entry.digest, expires)
                })
            },
        };
        (known, self.purged)
    }

    fn find(&self, message: &MessageId) -> Option<(Place, &Entry)> {
        let hash = self.hasher.hash_one(message);
        let entry = |place: &Place| self.entries.get(*place).filter(|e| e.message == *message);
        let place = self.known.find(hash, |place| entry(place).is_some())?;
        Some((*place, entry(place)?))
    }
}

/// From what [`Memory::snapshot`] encoded, one after another.
impl<C> Decode<C> for Memory {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut memory = Self::default();
        for _ in 0..u64::decode(decoder)? {
            let (message, digest, expires) = Decode::decode(decoder)?;
            memory.insert(message, digest, expires);
        }
        memory.purged = Millis::decode(decoder)?;
        Ok(memory)
    }
}

bincode::impl_borrow_decode!(Memory);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn id(n: u8) -> (MessageId, Digest) {
        (MessageId([n; 16]), Digest([n; 16]))
    }

    #[test]
    fn a_message_is_remembered_until_its_minute_is_over_and_not_taken_after_it() {
        let mut memory = Memory::default();
        let ((a, of_a), (b, of_b)) = (id(1), id(2));
        memory.insert(a, of_a, 59_500);
        memory.insert(b, of_b, 120_000);
        memory.purge(59_999);
        assert_eq!(memory.get(&a), Some(of_a), "its minute is not over");
        memory.purge(2 * SLOT_MS);
        assert_eq!((memory.get(&a), memory.get(&b)), (None, Some(of_b)));
        assert_eq!((memory.purged(), memory.len()), (2 * SLOT_MS, 1));
        assert_eq!(memory.next_expiry(), Some(3 * SLOT_MS));
        memory.purge(3 * SLOT_MS);
        assert_eq!((memory.len(), memory.next_expiry()), (0, None));
    }

    #[test]
    fn what_was_forgotten_can_come_again_with_another_expiry() {
        let mut memory = Memory::default();
        let ((a, first), (_, second)) = (id(1), id(2));
        memory.insert(a, first, 10_000);
        memory.forget(&a);
        assert_eq!(memory.get(&a), None);
        memory.insert(a, second, 200_000);
        memory.purge(SLOT_MS);
        assert_eq!(
            memory.get(&a),
            Some(second),
            "the entry that went was the old one"
        );
        // The place of that one is used again.
        let (b, of_b) = id(3);
        memory.insert(b, of_b, 200_000);
        assert_eq!(memory.entries.len(), 2);
        let bytes = codec::encode(&memory.snapshot());
        let restored: Memory = codec::decode::<_, 1024>(&bytes).expect("as encoded");
        assert_eq!(
            (restored.get(&a), restored.get(&b)),
            (Some(second), Some(of_b))
        );
        memory.purge(10 * SLOT_MS);
        assert_eq!((memory.len(), restored.len()), (0, 2));
    }
}
