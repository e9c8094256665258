//! Changes of the base that are being made: entries are read once, changed in memory, and written together. What is told of a message
//! comes in quick succession, so that entries stay here for a while after they were written.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{
    base::{Base, BaseError, Position},
    entry::Entry,
    keys::Key,
};
use crate::{
    codec,
    model::{Digest, Location, MessageId},
};

pub(super) struct Draft {
    base: Base,
    /// On its own each: a table of them as they are would be large, and copied as it grows.
    open: HashMap<MessageId, Box<Opened>>,
    parcels: HashMap<Digest, MessageId>,
    /// Entries that are to be written.
    changed: usize,
}

struct Opened {
    key: Key,
    entry: Entry,
    is_new: bool,
    is_changed: bool,
}

impl Draft {
    pub(super) fn new(base: Base) -> Self {
        Self {
            base,
            open: HashMap::new(),
            parcels: HashMap::new(),
            changed: 0,
        }
    }

    /// How many entries are to be written.
    pub(super) fn changed(&self) -> usize {
        self.changed
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether it has a message's entry.
    pub(super) fn has(&self, message: &MessageId) -> bool {
        self.open.contains_key(message)
    }

    /// A message's entry, to be changed.
    pub(super) fn entry(&mut self, message: MessageId) -> Result<Option<&mut Entry>, BaseError> {
        if !self.open.contains_key(&message)
            && let Some((key, entry)) = self.base.message(&message)?
        {
            self.put(key, entry, false);
        }
        Ok(self.opened(&message))
    }

    /// The entry of the message whose parcel has this digest.
    pub(super) fn of_parcel(&mut self, parcel: Digest) -> Result<Option<&mut Entry>, BaseError> {
        let message = match self.parcels.get(&parcel) {
            Some(message) => *message,
            None => match self.base.parcel(&parcel)? {
                Some((key, entry)) => self.put(key, entry, false),
                None => return Ok(None),
            },
        };
        Ok(self.opened(&message))
    }

    /// A message that is not known, whose parcel is at this place.
    pub(super) fn insert(&mut self, entry: Entry, at: Location) -> Option<&mut Entry> {
        let key = Key::new(entry.accepted, at);
        let message = self.put(key, entry, true);
        self.opened(&message)
    }

    fn put(&mut self, key: Key, entry: Entry, is_new: bool) -> MessageId {
        let message = entry.message;
        self.parcels.insert(entry.parcel, message);
        let opened = Opened {
            key,
            entry,
            is_new,
            is_changed: false,
        };
        self.open.insert(message, Box::new(opened));
        message
    }

    fn opened(&mut self, message: &MessageId) -> Option<&mut Entry> {
        let opened = self.open.get_mut(message)?;
        self.changed += usize::from(!opened.is_changed);
        opened.is_changed = true;
        Some(&mut opened.entry)
    }

    /// Writes everything: the entries together with the position that they lead to.
    pub(super) fn write(&mut self, position: &mut Position) -> Result<(), BaseError> {
        let mut entries = Vec::with_capacity(self.changed);
        let mut names = Vec::new();
        // What has not changed since the last time is let go.
        self.open.retain(|_, opened| {
            if !opened.is_changed {
                self.parcels.remove(&opened.entry.parcel);
                return false;
            }
            if opened.is_new {
                let stems = opened.entry.stems();
                names.extend(stems.map(|stem| (stem.of(&opened.key), true)));
                position.messages += 1;
            }
            entries.push((opened.key, Some(codec::encode(&opened.entry))));
            (opened.is_new, opened.is_changed) = (false, false);
            true
        });
        self.changed = 0;
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.base.write(position, entries, names)
    }

    /// These messages are not in the base any more.
    pub(super) fn forget(&mut self, messages: &BTreeSet<MessageId>) {
        if !messages.is_empty() {
            self.open.retain(|message, _| !messages.contains(message));
            self.parcels
                .retain(|_, message| !messages.contains(message));
        }
    }

    /// Lets go of everything that is written.
    pub(super) fn rest(&mut self) {
        if self.changed == 0 {
            self.open = HashMap::new();
            self.parcels = HashMap::new();
        }
    }
}
