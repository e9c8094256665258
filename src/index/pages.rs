//! A sorted map in sled whose pairs are packed into pages. sled does about as much for a pair of 25 bytes as for one of 4 KiB, so the
//! pairs that are near each other share one of its.

use std::{collections::VecDeque, iter::Peekable, ops::Range};

use sled::{Batch, Db, IVec};

use super::{
    base::BaseError,
    keys::{Key, NAME_BYTES},
};
use crate::codec::LARGE_BYTES;

/// One map: keys of a fixed length, and values if it has any.
///
/// A page's own key is the least that its pairs may have; the first page's is empty, and it is never removed. So the page of a key is
/// the last one that does not come after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages<const KEY: usize> {
    prefix: u8,
    has_values: bool,
    /// A page that is longer is parted.
    page_bytes_max: usize,
}

/// The entries, by their keys. sled keeps 256 times up to sixteen pages in memory, whatever it is told: those of entries, which are
/// written all the time, are small.
pub(super) const ENTRIES: Pages<{ Key::BYTES }> = Pages {
    prefix: b'm',
    has_values: true,
    page_bytes_max: 2048,
};

/// The names, which hold the keys that they lead to.
pub(super) const NAMES: Pages<NAME_BYTES> = Pages {
    prefix: b'n',
    has_values: false,
    page_bytes_max: 4096,
};

/// The bytes before a value: its length.
const LENGTH_BYTES: usize = 4;

/// A page, and its own key.
type Page = (IVec, IVec);

impl<const KEY: usize> Pages<KEY> {
    /// What a key holds.
    pub(super) fn get(&self, db: &Db, key: &[u8; KEY]) -> Result<Option<Vec<u8>>, BaseError> {
        let Some((_, page)) = self.page_of(db, key)? else {
            return Ok(None);
        };
        for pair in self.pairs(&page) {
            let (at, value) = pair?;
            if at == key {
                return Ok(page.get(value).map(<[u8]>::to_vec));
            }
        }
        Ok(None)
    }

    /// Uses the page of a key, and does nothing with it.
    pub(super) fn touch(&self, db: &Db, key: &[u8; KEY]) -> Result<(), BaseError> {
        let mut name = [0; 32];
        name[0] = self.prefix;
        name[1..=KEY].copy_from_slice(key);
        db.contains_key(&name[..=KEY])?;
        Ok(())
    }

    /// The pairs whose keys are in the range, the least first or the greatest first. What changes meanwhile may be seen or not; nothing
    /// is seen twice.
    pub(super) fn scan<'d>(
        &self,
        db: &'d Db,
        from: [u8; KEY],
        through: [u8; KEY],
        forward: bool,
    ) -> Scan<'d, KEY> {
        Scan {
            pages: *self,
            db,
            from: Some(from),
            through: Some(through),
            forward,
            page: None,
            pairs: VecDeque::new(),
            ended: from > through,
        }
    }

    /// Adds to `batch` what `changes`, in the order of their keys, make of the pages: a value is put in the place of the one before, and
    /// none takes a pair away.
    pub(super) fn change(
        &self,
        db: &Db,
        changes: impl IntoIterator<Item = ([u8; KEY], Option<Vec<u8>>)>,
        batch: &mut Batch,
    ) -> Result<(), BaseError> {
        let mut changes = changes.into_iter().peekable();
        // One block for all, which goes straight back to the system.
        let mut bytes = Vec::with_capacity(LARGE_BYTES);
        while let Some((first, _)) = changes.peek() {
            let (at, old) = match self.page_of(db, first)? {
                Some(page) => page,
                None => (IVec::from(&[self.prefix]), IVec::default()),
            };
            let after = self.beside(db.get_gt(&at)?);
            let ends = after.as_ref().map(|(key, _)| &key[1..]);
            let mut pairs = Vec::new();
            bytes.clear();
            self.merge(&old, ends, &mut changes, &mut pairs, &mut bytes)?;
            if bytes.is_empty() && at.len() > 1 {
                batch.remove(at);
                continue;
            }
            // What is appended fills its pages; what is inserted leaves room in both halves.
            let page_bytes = match ends {
                None => self.page_bytes_max,
                Some(_) => bytes.len() / bytes.len().div_ceil(self.page_bytes_max).max(1),
            };
            let mut own = at;
            let mut begun = 0;
            for pair in &pairs {
                if pair.start > begun && pair.end - begun > page_bytes {
                    batch.insert(own, &bytes[begun..pair.start]);
                    begun = pair.start;
                    own = IVec::from([&[self.prefix], &bytes[begun..begun + KEY]].concat());
                }
            }
            batch.insert(own, &bytes[begun..]);
        }
        Ok(())
    }

    /// Puts together what is in a page and what is to be in it.
    fn merge(
        &self,
        old: &[u8],
        ends: Option<&[u8]>,
        changes: &mut Peekable<impl Iterator<Item = ([u8; KEY], Option<Vec<u8>>)>>,
        pairs: &mut Vec<Range<usize>>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let mut put = |key: &[u8; KEY], value: &[u8]| {
            let begin = bytes.len();
            bytes.extend_from_slice(key);
            if self.has_values {
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                bytes.extend_from_slice(value);
            }
            pairs.push(begin..bytes.len());
        };
        let mut there = self.pairs(old).peekable();
        let is_here = |key: &[u8; KEY]| ends.is_none_or(|ends| &key[..] < ends);
        while let Some((key, new)) = changes.next_if(|(key, _)| is_here(key)) {
            while let Some(pair) = there.next_if(|pair| !matches!(pair, Ok((at, _)) if **at > key))
            {
                let (at, value) = pair?;
                if *at != key {
                    put(at, old.get(value).unwrap_or_default());
                }
            }
            if let Some(new) = new {
                put(&key, &new);
            }
        }
        for pair in there {
            let (at, value) = pair?;
            put(at, old.get(value).unwrap_or_default());
        }
        Ok(())
    }

    /// The page that holds a key, if it is there.
    fn page_of(&self, db: &Db, key: &[u8; KEY]) -> Result<Option<Page>, BaseError> {
        let right_after = [&[self.prefix], &key[..], &[0]].concat();
        Ok(self.beside(db.get_lt(right_after)?))
    }

    /// A page that was found beside another, unless it belongs to something else.
    fn beside(&self, found: Option<Page>) -> Option<Page> {
        let is_page = |key: &IVec| {
            key.first() == Some(&self.prefix) && (key.len() == 1 || key.len() == 1 + KEY)
        };
        found.filter(|(key, _)| is_page(key))
    }

    fn pairs<'p>(&self, page: &'p [u8]) -> Pairs<'p, KEY> {
        Pairs {
            page,
            at: 0,
            has_values: self.has_values,
        }
    }
}

/// The pairs of a page: keys, and where in the page their values are.
struct Pairs<'p, const KEY: usize> {
    page: &'p [u8],
    at: usize,
    has_values: bool,
}

impl<'p, const KEY: usize> Iterator for Pairs<'p, KEY> {
    type Item = Result<(&'p [u8; KEY], Range<usize>), BaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.page.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        let pair = self.pair(rest);
        if pair.is_none() {
            self.at = self.page.len();
        }
        Some(pair.ok_or(BaseError::Page))
    }
}

impl<'p, const KEY: usize> Pairs<'p, KEY> {
    fn pair(&mut self, rest: &'p [u8]) -> Option<(&'p [u8; KEY], Range<usize>)> {
        let (key, rest) = rest.split_first_chunk::<KEY>()?;
        let mut begin = self.at + KEY;
        let mut length = 0;
        if self.has_values {
            let bytes = rest.first_chunk::<LENGTH_BYTES>()?;
            length = u32::from_le_bytes(*bytes) as usize;
            begin += LENGTH_BYTES;
        }
        let value = begin..begin.checked_add(length)?;
        self.page.get(value.clone())?;
        self.at = value.end;
        Some((key, value))
    }
}

/// See [`Pages::scan`].
pub(super) struct Scan<'d, const KEY: usize> {
    pages: Pages<KEY>,
    db: &'d Db,
    /// What is still to come lies between these.
    from: Option<[u8; KEY]>,
    through: Option<[u8; KEY]>,
    forward: bool,
    /// The page that was looked at last.
    page: Option<Page>,
    pairs: VecDeque<([u8; KEY], Range<usize>)>,
    ended: bool,
}

impl<const KEY: usize> Scan<'_, KEY> {
    /// Looks at the next page; false when there is none.
    fn turn(&mut self) -> Result<bool, BaseError> {
        let (Some(from), Some(through)) = (self.from, self.through) else {
            return Ok(false);
        };
        let found = match (&self.page, self.forward) {
            (None, true) => self.pages.page_of(self.db, &from)?,
            (None, false) => self.pages.page_of(self.db, &through)?,
            (Some((at, _)), true) => self.pages.beside(self.db.get_gt(at)?),
            (Some((at, _)), false) => self.pages.beside(self.db.get_lt(at)?),
        };
        let Some((at, page)) = found else {
            return Ok(false);
        };
        for pair in self.pages.pairs(&page) {
            let (key, value) = pair?;
            if (from..=through).contains(key) {
                self.pairs.push_back((*key, value));
            }
        }
        // The pages beyond have nothing to give.
        self.ended = match self.forward {
            true => at.get(1..).is_some_and(|least| least > &through[..]),
            false => at.get(1..).is_some_and(|least| least <= &from[..]),
        };
        self.page = Some((at, page));
        Ok(true)
    }
}

impl<const KEY: usize> Iterator for Scan<'_, KEY> {
    type Item = Result<([u8; KEY], Vec<u8>), BaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.forward {
                true => self.pairs.pop_front(),
                false => self.pairs.pop_back(),
            };
            if let Some((key, value)) = next {
                // A page that is parted meanwhile shows none of its pairs again.
                match self.forward {
                    true => self.from = beside(key, true),
                    false => self.through = beside(key, false),
                }
                let (_, page) = self.page.as_ref()?;
                return Some(Ok((key, page.get(value).unwrap_or_default().to_vec())));
            }
            if self.ended {
                return None;
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The key right after or right before one.
fn beside<const KEY: usize>(mut key: [u8; KEY], after: bool) -> Option<[u8; KEY]> {
    for byte in key.iter_mut().rev() {
        let (next, carries) = match after {
            true => byte.overflowing_add(1),
            false => byte.overflowing_sub(1),
        };
        *byte = next;
        if !carries {
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SMALL: Pages<2> = Pages {
        prefix: b'm',
        has_values: true,
        page_bytes_max: 4096,
    };

    fn db() -> Db {
        let config = sled::Config::new().temporary(true);
        let db = config.open().expect("a base");
        // What is beside the pages.
        for beside in [&b"l"[..], b"n", b"p"] {
            db.insert(beside, b"x").expect("stored");
        }
        db
    }

    fn change(db: &Db, changes: &BTreeMap<[u8; 2], Option<Vec<u8>>>) {
        let mut batch = Batch::default();
        let changes = changes.iter().map(|(key, value)| (*key, value.clone()));
        SMALL.change(db, changes, &mut batch).expect("it reads");
        db.apply_batch(batch).expect("stored");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pages_hold_what_a_sorted_map_holds(
            turns in prop::collection::vec(
                prop::collection::btree_map(
                    any::<[u8; 2]>(),
                    prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..900)),
                    0..60,
                ),
                1..12,
            ),
            (a, b) in any::<([u8; 2], [u8; 2])>(),
        ) {
            let db = db();
            let mut model = BTreeMap::new();
            for turn in &turns {
                change(&db, turn);
                for (key, value) in turn {
                    match value {
                        Some(value) => model.insert(*key, value.clone()),
                        None => model.remove(key),
                    };
                }
            }
            for (key, value) in &model {
                prop_assert_eq!(SMALL.get(&db, key).expect("it reads"), Some(value.clone()));
            }
            prop_assert_eq!(SMALL.get(&db, &a).expect("it reads"), model.get(&a).cloned());
            for (from, through) in [([0; 2], [0xff; 2]), (a.min(b), a.max(b))] {
                let forward = SMALL.scan(&db, from, through, true).collect::<Result<Vec<_>, _>>();
                let backward = SMALL.scan(&db, from, through, false).collect::<Result<Vec<_>, _>>();
                let model: Vec<_> = model.range(from..=through).map(|(k, v)| (*k, v.clone())).collect();
                prop_assert_eq!(forward.expect("it reads"), model.clone());
                let backward = backward.expect("it reads").into_iter().rev();
                prop_assert_eq!(backward.collect::<Vec<_>>(), model);
            }
        }
    }

    #[test]
    fn a_page_that_is_parted_while_it_is_read_shows_nothing_twice() {
        let db = db();
        let some = |keys: std::ops::Range<u8>| -> BTreeMap<_, _> {
            keys.map(|n| ([1, n], Some(vec![n; 100]))).collect()
        };
        change(&db, &some(0..30));
        for forward in [true, false] {
            let mut scan = SMALL.scan(&db, [0; 2], [0xff; 2], forward);
            let mut seen = vec![scan.next().expect("a pair").expect("it reads").0];
            change(&db, &some(0..200));
            seen.extend(scan.map(|pair| pair.expect("it reads").0));
            if !forward {
                seen.reverse();
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
            assert!(seen.len() >= 30);
        }
    }

    #[test]
    fn a_page_that_is_cut_short_is_damage() {
        let db = db();
        db.insert(b"m", &[1, 2, 9, 0, 0, 0, 7][..]).expect("stored");
        assert!(matches!(SMALL.get(&db, &[1, 2]), Err(BaseError::Page)));
    }
}
