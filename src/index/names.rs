//! Names that came or went and are in no page yet. A name falls anywhere among all the others, so that many are put into the pages
//! together; until then they are in memory, and in the base as they came.

use std::{collections::BTreeSet, ops::Range};

use sled::{Batch, Db};

use super::{
    base::BaseError,
    keys::{NAME_BYTES, Name, RECENT},
};

/// How many are kept before they are put into pages: of some 65,000 messages.
pub(super) const NAMES_MAX: usize = 200_000;
/// How many are put into pages in one change, and how many of their records go in one. sled frees nothing that it has replaced before a
/// change is done, and up to sixteen records go through its hands for each.
const NAMES_AT_ONCE: usize = 2048;
const RECORDS_AT_ONCE: usize = 64;
/// Most of one record, bytes.
const RECORD_BYTES_MAX: usize = 4096;

/// A name, and whether it came or went.
pub(super) type Change = (Name, bool);

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Runs of names, each in order and without a name twice, and less than half as long as the one before: a tree of so many would
    /// take twice the memory. What a later run says of a name counts.
    runs: Vec<Vec<Change>>,
    /// How many they are in all.
    count: usize,
    /// The numbers of the records that hold them.
    records: Range<u64>,
}

impl Recent {
    /// From the records that were written.
    pub(super) fn read(db: &Db) -> Result<Self, BaseError> {
        let mut recent = Self::default();
        let mut changes = Vec::new();
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
            let names = names
                .iter()
                .map(|[is_there, name @ ..]| (*name, *is_there != 0));
            changes.extend(names);
        }
        recent.take(changes);
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
    pub(super) fn take(&mut self, mut changes: Vec<Change>) {
        // Of one name the last counts.
        changes.reverse();
        changes.sort_by_key(|(name, _)| *name);
        changes.dedup_by_key(|(name, _)| *name);
        self.count += changes.len();
        self.runs.push(changes);
        self.merge(|older, newer| newer * 2 >= older);
    }

    /// Makes them one run, to be put into pages.
    pub(super) fn merge_all(&mut self) {
        self.merge(|_, _| true);
    }

    /// Makes one run of the last two, as long as it should by how long they are.
    fn merge(&mut self, should: impl Fn(usize, usize) -> bool) {
        while let [.., older, newer] = &self.runs[..]
            && should(older.len(), newer.len())
        {
            let one = merged(older, newer);
            self.count -= older.len() + newer.len() - one.len();
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(one);
        }
    }

    /// Whether it is time to put them into pages.
    pub(super) fn is_full(&self) -> bool {
        self.count >= NAMES_MAX
    }

    /// The names in a range that came, and those that went.
    pub(super) fn range(&self, from: Name, through: Name) -> (BTreeSet<Name>, BTreeSet<Name>) {
        let (mut came, mut went) = (BTreeSet::new(), BTreeSet::new());
        for (name, is_there) in self
            .runs
            .iter()
            .flat_map(|run| within(run, &from, &through))
        {
            let (now, before) = match is_there {
                true => (&mut came, &mut went),
                false => (&mut went, &mut came),
            };
            before.remove(name);
            now.insert(*name);
        }
        (came, went)
    }

    /// Those of the first run in order, a part at a time: all, once they are one.
    pub(super) fn portions(&self) -> impl Iterator<Item = &[Change]> {
        let all: &[Change] = self.runs.first().map_or(&[], Vec::as_slice);
        all.chunks(NAMES_AT_ONCE)
    }

    /// They are in the pages: changes that have their records go, the oldest first.
    pub(super) fn forget(&self) -> impl Iterator<Item = Batch> {
        let Range { start, end } = self.records;
        (start..end).step_by(RECORDS_AT_ONCE).map(move |first| {
            let mut batch = Batch::default();
            for number in (first..end).take(RECORDS_AT_ONCE) {
                batch.remove(&key(number)[..]);
            }
            batch
        })
    }

    /// Their records are gone.
    pub(super) fn clear(&mut self) {
        (self.runs, self.count) = (Vec::new(), 0);
        self.records.start = self.records.end;
    }
}

/// The names of a run that lie in a range.
fn within<'r>(run: &'r [Change], from: &Name, through: &Name) -> &'r [Change] {
    let rest = &run[run.partition_point(|(name, _)| name < from)..];
    // They are few, mostly none.
    let after = rest.iter().position(|(name, _)| name > through);
    &rest[..after.unwrap_or(rest.len())]
}

/// One run of two.
fn merged(older: &[Change], newer: &[Change]) -> Vec<Change> {
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let mut older = older.iter().peekable();
    for change in newer {
        while let Some(earlier) = older.next_if(|(name, _)| *name < change.0) {
            merged.push(*earlier);
        }
        older.next_if(|(name, _)| *name == change.0);
        merged.push(*change);
    }
    merged.extend(older);
    merged
}

fn key(number: u64) -> Vec<u8> {
    [&[RECENT], &number.to_be_bytes()[..]].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Names of which many are the same.
    fn name(n: u16) -> Name {
        let mut name = Name::default();
        name[7..9].copy_from_slice(&n.to_be_bytes());
        name
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_last_word_on_a_name_counts(
            turns in prop::collection::vec(
                prop::collection::vec((any::<u16>(), any::<bool>()), 0..20_000),
                1..5,
            ),
            (a, b) in any::<(u16, u16)>(),
        ) {
            let mut recent = Recent::default();
            let mut model = BTreeMap::new();
            for turn in turns {
                let changes: Vec<Change> = turn.iter().map(|(n, is)| (name(*n), *is)).collect();
                model.extend(changes.iter().copied());
                recent.take(changes);
            }
            prop_assert!(recent.runs.iter().all(|run| run.is_sorted_by(|a, b| a.0 < b.0)));
            let (from, through) = (name(a.min(b)), name(a.max(b)));
            let (came, went) = recent.range(from, through);
            for (name, is_there) in model.range(from..=through) {
                prop_assert_eq!((came.contains(name), went.contains(name)), (*is_there, !is_there));
            }
            prop_assert_eq!(came.len() + went.len(), model.range(from..=through).count());
            recent.merge_all();
            prop_assert_eq!(recent.count, model.len());
            let all: Vec<Change> = recent.portions().flatten().copied().collect();
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        }
    }
}
