//! A change of the base that is being made: entries are read once, changed in memory, and written together.

use std::collections::HashMap;

use super::{
    base::{Base, BaseError, Position},
    entry::Entry,
    keys::{self, Key},
};
use crate::{
    codec,
    model::{Digest, Location, MessageId},
};

pub(super) struct Draft<'a> {
    base: &'a Base,
    open: HashMap<MessageId, Option<Opened>>,
    parcels: HashMap<Digest, MessageId>,
}

struct Opened {
    key: Key,
    entry: Entry,
    is_new: bool,
    is_changed: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(base: &'a Base) -> Self {
        Self {
            base,
            open: HashMap::new(),
            parcels: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.values().all(Option::is_none)
    }

    /// A message's entry, to be changed.
    pub(super) fn entry(&mut self, message: MessageId) -> Result<Option<&mut Entry>, BaseError> {
        if !self.open.contains_key(&message) {
            let found = match self.base.key_of(keys::name(&message))? {
                Some(key) => self.base.entry(&key)?.map(|entry| Opened {
                    key,
                    entry,
                    is_new: false,
                    is_changed: false,
                }),
                None => None,
            };
            self.open.insert(message, found);
        }
        let opened = self.open.get_mut(&message).and_then(Option::as_mut);
        Ok(opened.map(|opened| {
            opened.is_changed = true;
            &mut opened.entry
        }))
    }

    /// The entry of the message whose parcel has this digest.
    pub(super) fn of_parcel(&mut self, parcel: Digest) -> Result<Option<&mut Entry>, BaseError> {
        let message = match self.parcels.get(&parcel) {
            Some(message) => Some(*message),
            None => {
                let key = self.base.key_of(keys::parcel(&parcel))?;
                key.map(|key| key.message())
            }
        };
        match message {
            Some(message) => self.entry(message),
            None => Ok(None),
        }
    }

    /// A message that was not known, whose parcel is at this place.
    pub(super) fn insert(&mut self, entry: Entry, at: Location) -> &mut Entry {
        let message = entry.message;
        let key = Key::new(entry.accepted, at, &message);
        self.parcels.insert(entry.parcel, message);
        let opened = self.open.entry(message).or_default().insert(Opened {
            key,
            entry,
            is_new: true,
            is_changed: true,
        });
        &mut opened.entry
    }

    /// Writes everything: the entries together with the position that they lead to.
    pub(super) fn write(self, position: &mut Position) -> Result<(), BaseError> {
        let mut batch = sled::Batch::default();
        let mut names = Vec::new();
        for opened in self.open.into_values().flatten() {
            let Opened {
                key,
                entry,
                is_new,
                is_changed,
            } = opened;
            if is_new {
                names.push((keys::name(&entry.message), key));
                names.push((keys::parcel(&entry.parcel), key));
                if let Some(case) = &entry.case {
                    batch.insert(key.of_case(case), &[]);
                }
                position.messages += 1;
            }
            if is_changed {
                batch.insert(key.entry(), codec::encode(&entry));
            }
        }
        batch.insert(keys::POSITION, codec::encode(position));
        // They are scattered over the base: in order, a page is read and written once for all of its names. One that leads nowhere,
        // because the batch did not come after it, is as good as none.
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.base.insert_names(names)?;
        self.base.apply(batch)
    }
}
