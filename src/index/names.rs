//! Names that came or went and are in no page yet. A name falls anywhere among all the others, so that many are put into the pages
//! together; until then they are in memory, and in the base as they came.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use sled::{Batch, Db};

use super::{
    base::BaseError,
    keys::{NAME_BYTES, Name, RECENT},
};

/// How many are kept before they are put into pages: of some 65,000 messages.
pub(super) const NAMES_MAX: usize = 200_000;
/// How many are put into pages in one change.
const NAMES_AT_ONCE: usize = 8192;
/// Most of one record, bytes.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// A name, and whether it came or went.
pub(super) type Change = (Name, bool);

#[derive(Debug, Default)]
pub(super) struct Recent {
    names: BTreeMap<Name, bool>,
    /// The numbers of the records that hold them.
    records: Range<u64>,
}

impl Recent {
    /// From the records that were written.
    pub(super) fn read(db: &Db) -> Result<Self, BaseError> {
        let mut recent = Self::default();
        for record in db.scan_prefix([RECENT]) {
            let (key, value) = record?;
            let number = key.get(1..).and_then(|number| number.try_into().ok());
            let number = u64::from_be_bytes(number.ok_or(BaseError::Page)?);
            if recent.records.is_empty() {
                recent.records.start = number;
            }
            recent.records.end = number + 1;
            let (names, left) = value.as_chunks::<{ NAME_BYTES + 1 }>();
            if !left.is_empty() {
                return Err(BaseError::Page);
            }
            for [is_there, name @ ..] in names {
                recent.names.insert(*name, *is_there != 0);
            }
        }
        Ok(recent)
    }

    /// Adds the records that bring these to `batch`.
    pub(super) fn record(&mut self, changes: &[Change], batch: &mut Batch) {
        for part in changes.chunks(RECORD_BYTES_MAX / (NAME_BYTES + 1)) {
            let mut record = Vec::with_capacity(part.len() * (NAME_BYTES + 1));
            for (name, is_there) in part {
                record.push(u8::from(*is_there));
                record.extend_from_slice(name);
            }
            batch.insert(key(self.records.end), record);
            self.records.end += 1;
        }
    }

    /// They are recorded.
    pub(super) fn take(&mut self, changes: Vec<Change>) {
        self.names.extend(changes);
    }

    /// Whether it is time to put them into pages.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= NAMES_MAX
    }

    /// The names in a range that came, and those that went.
    pub(super) fn range(&self, from: Name, through: Name) -> (BTreeSet<Name>, BTreeSet<Name>) {
        let found = self.names.range(from..=through);
        let (mut came, mut went) = (BTreeSet::new(), BTreeSet::new());
        for (name, is_there) in found {
            match is_there {
                true => came.insert(*name),
                false => went.insert(*name),
            };
        }
        (came, went)
    }

    /// All of them in order, a part at a time.
    pub(super) fn portions(&self) -> impl Iterator<Item = impl Iterator<Item = Change>> {
        let parts = (0..self.names.len()).step_by(NAMES_AT_ONCE);
        let mut names = self.names.iter().map(|(name, is_there)| (*name, *is_there));
        parts.map(move |_| {
            let part: Vec<_> = names.by_ref().take(NAMES_AT_ONCE).collect();
            part.into_iter()
        })
    }

    /// They are in the pages: adds to `batch` that their records go.
    pub(super) fn forget(&self, batch: &mut Batch) {
        for number in self.records.clone() {
            batch.remove(&key(number)[..]);
        }
    }

    /// Their records are gone.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.records.start = self.records.end;
    }
}

fn key(number: u64) -> Vec<u8> {
    [&[RECENT], &number.to_be_bytes()[..]].concat()
}
