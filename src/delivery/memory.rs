//! The memory of messages that were accepted or delivered, so that none is taken twice (G4).

use std::collections::{BTreeMap, HashMap};

use bincode::{Decode, Encode};

use crate::model::{Digest, MessageId, Millis};

/// Remembers a digest per message until some time after the message's expiry.
///
/// What was given up is summed up in one durable number, `purged`: nothing that expires at or before it is taken any more, so a
/// clock that steps back opens no window.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashMap<MessageId, Remembered>,
    /// Messages by the minute of their expiry.
    by_expiry: BTreeMap<Millis, Vec<MessageId>>,
    purged: Millis,
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Remembered {
    digest: Digest,
    expires: Millis,
}

/// A [`Memory`] as a checkpoint has it.
#[derive(Debug, Encode, Decode)]
pub(super) struct MemorySnapshot {
    known: Vec<(MessageId, Remembered)>,
    purged: Millis,
}

const SLOT_MS: Millis = 60_000;

impl Memory {
    pub(super) fn get(&self, message: &MessageId) -> Option<Digest> {
        self.known.get(message).map(|r| r.digest)
    }

    /// Nothing that expires at or before this moment is remembered.
    pub(super) fn purged(&self) -> Millis {
        self.purged
    }

    pub(super) fn insert(&mut self, message: MessageId, digest: Digest, expires: Millis) {
        let before = self.known.insert(message, Remembered { digest, expires });
        if before.is_none_or(|b| b.expires != expires) {
            self.by_expiry
                .entry(expires / SLOT_MS)
                .or_default()
                .push(message);
        }
    }

    /// Forgets a message that was received but not released, when it is to come again.
    pub(super) fn forget(&mut self, message: &MessageId) {
        self.known.remove(message);
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
            for message in slot.remove() {
                if self
                    .known
                    .get(&message)
                    .is_some_and(|r| r.expires <= through)
                {
                    self.known.remove(&message);
                }
            }
        }
        self.purged = self.purged.max(through);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot {
            known: self.known.iter().map(|(id, r)| (*id, *r)).collect(),
            purged: self.purged,
        }
    }

    pub(super) fn restore(snapshot: MemorySnapshot) -> Self {
        let mut memory = Self {
            known: HashMap::with_capacity(snapshot.known.len()),
            by_expiry: BTreeMap::new(),
            purged: snapshot.purged,
        };
        for (id, r) in snapshot.known {
            memory.insert(id, r.digest, r.expires);
        }
        memory
    }
}
