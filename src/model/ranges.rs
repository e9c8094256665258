//! Sets of sequence numbers.

use std::{collections::BTreeMap, fmt};

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// A set of numbers kept as disjoint, non-adjacent closed ranges.
///
/// Encoded as the number of ranges, then for each the gap since the end of the one before and its length less one, all varints. It
/// decodes whatever its number of ranges, for what a node has written it must read back: whoever takes one from a neighbour bounds it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// The empty set.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ranges it takes.
    pub fn ranges(&self) -> usize {
        self.0.len()
    }

    /// How many numbers are in it, or the greatest number when there are more.
    pub fn count(&self) -> u64 {
        self.iter().fold(0, |count: u64, (start, end)| {
            count.saturating_add((end - start).saturating_add(1))
        })
    }

    /// Whether `n` is in it.
    pub fn contains(&self, n: u64) -> bool {
        self.0
            .range(..=n)
            .next_back()
            .is_some_and(|(_, end)| n <= *end)
    }

    /// Adds `n`; false when it was there.
    pub fn insert(&mut self, n: u64) -> bool {
        if self.contains(n) {
            return false;
        }
        self.insert_range(n, n);
        true
    }

    /// Adds the closed range from `start` to `end`.
    pub fn insert_range(&mut self, mut start: u64, mut end: u64) {
        debug_assert!(start <= end);
        while let Some((&s, &e)) = self.0.range(..=end.saturating_add(1)).next_back() {
            if e.saturating_add(1) < start {
                break;
            }
            self.0.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.0.insert(start, end);
    }

    /// Adds every number of `other`.
    pub fn union(&mut self, other: &Ranges) {
        for (start, end) in other.iter() {
            self.insert_range(start, end);
        }
    }

    /// Takes `n` out.
    pub fn remove(&mut self, n: u64) {
        self.remove_range(n, n);
    }

    /// Takes out the closed range from `start` to `end`.
    pub fn remove_range(&mut self, start: u64, end: u64) {
        while let Some((&s, &e)) = self.0.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.0.remove(&s);
            if e > end {
                self.0.insert(end + 1, e);
            }
            if s < start {
                self.0.insert(s, start - 1);
            }
        }
    }

    /// Takes out every number of `other`.
    pub fn remove_all(&mut self, other: &Ranges) {
        for (start, end) in other.iter() {
            self.remove_range(start, end);
        }
    }

    /// Takes out every number below `n`.
    pub fn remove_below(&mut self, n: u64) {
        let kept = self.0.split_off(&n);
        if let Some((_, end)) = self.0.pop_last()
            && end >= n
        {
            self.0.clear();
            self.0.insert(n, end);
        } else {
            self.0.clear();
        }
        self.0.extend(kept);
    }

    /// The numbers that are not in `other`.
    pub fn without(&self, other: &Ranges) -> Ranges {
        let mut left = Ranges::new();
        for (start, end) in self.iter() {
            let mut at = start;
            loop {
                match other.run(at) {
                    Some((first, last)) if first <= end => {
                        if at < first {
                            left.0.insert(at, first - 1);
                        }
                        if last >= end {
                            break;
                        }
                        at = last + 1;
                    }
                    _ => {
                        left.0.insert(at, end);
                        break;
                    }
                }
            }
        }
        left
    }

    /// The same numbers in sets of at most so many ranges.
    pub fn pieces(&self, ranges_max: usize) -> impl Iterator<Item = Ranges> {
        let mut rest = self.iter();
        std::iter::from_fn(move || {
            let piece: BTreeMap<u64, u64> = rest.by_ref().take(ranges_max).collect();
            (!piece.is_empty()).then_some(Ranges(piece))
        })
    }

    /// The ranges, lowest first, as (first, last).
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.0.iter().map(|(start, end)| (*start, *end))
    }

    /// The first number from `from` on that is not in it.
    pub fn gap(&self, from: u64) -> u64 {
        match self.0.range(..=from).next_back() {
            Some((_, end)) if *end >= from => end.saturating_add(1),
            _ => from,
        }
    }

    /// The first run of numbers from `from` on that are in it, as (first, last).
    pub fn run(&self, from: u64) -> Option<(u64, u64)> {
        match self.0.range(..=from).next_back() {
            Some((_, end)) if *end >= from => Some((from, *end)),
            _ => self
                .0
                .range(from..)
                .next()
                .map(|(start, end)| (*start, *end)),
        }
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u64> {
        self.0.values().next_back().copied()
    }

    /// The greatest `w` such that 1 to `w` are all in it; 0 when 1 is not.
    pub fn watermark(&self) -> u64 {
        match self.0.first_key_value() {
            Some((start, end)) if *start <= 1 => *end,
            _ => 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut set = Self::new();
        for n in numbers {
            set.insert_range(n, n);
        }
        set
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(start, end)| start..=end))
            .finish()
    }
}

impl Encode for Ranges {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.0.len() as u64).encode(encoder)?;
        let mut before = 0;
        for (start, end) in self.iter() {
            (start - before).encode(encoder)?;
            (end - start).encode(encoder)?;
            before = end;
        }
        Ok(())
    }
}

impl<C> Decode<C> for Ranges {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        let mut set = Self::new();
        let mut before = 0u64;
        for i in 0..count {
            let gap = u64::decode(decoder)?;
            let length = u64::decode(decoder)?;
            if i > 0 && gap < 2 {
                return Err(DecodeError::Other("ranges overlap or touch"));
            }
            let start = before.checked_add(gap);
            let end = start.and_then(|start| start.checked_add(length));
            let (Some(start), Some(end)) = (start, end) else {
                return Err(DecodeError::Other("a range passes the greatest number"));
            };
            set.0.insert(start, end);
            before = end;
        }
        Ok(set)
    }
}

bincode::impl_borrow_decode!(Ranges);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    #[test]
    fn all_numbers_are_a_set_like_any_other() {
        let mut all = Ranges::new();
        all.insert_range(0, u64::MAX);
        let read = codec::decode::<Ranges, 4096>(&codec::encode(&all)).expect("decodes");
        assert_eq!(read, all);
        assert_eq!(all.count(), u64::MAX);
        let some: Ranges = [0, 7, u64::MAX].into_iter().collect();
        assert_eq!(
            all.without(&some).iter().collect::<Vec<_>>(),
            [(1, 6), (8, u64::MAX - 1)]
        );
        assert!(some.without(&all).is_empty());
    }

    #[test]
    fn what_a_node_has_written_reads_back_however_many_gaps_it_has() {
        let gaps: Ranges = (0..100_000).map(|n| 3 * n).collect();
        let encoded = codec::encode(&gaps);
        let read = codec::decode::<Ranges, { 16 << 20 }>(&encoded).expect("decodes");
        assert_eq!(read, gaps);
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_what_was_inserted(inserted in prop::collection::vec((1u64..60, 0u64..5), 0..40)) {
            let mut set = BTreeSet::new();
            let mut ranges = Ranges::new();
            for (start, length) in inserted {
                set.extend(start..=start + length);
                ranges.insert_range(start, start + length);
            }
            for n in 0..70 {
                prop_assert_eq!(ranges.contains(n), set.contains(&n));
            }
            prop_assert_eq!(ranges.count(), set.len() as u64);
            let mut watermark = 0;
            while set.contains(&(watermark + 1)) {
                watermark += 1;
            }
            prop_assert_eq!(ranges.watermark(), watermark);
            let read = codec::decode::<Ranges, 4096>(&codec::encode(&ranges)).expect("decodes");
            prop_assert_eq!(read, ranges);
        }

        #[test]
        fn runs_and_gaps_are_found_from_anywhere(inserted in prop::collection::vec((0u64..60, 0u64..5), 0..20), from in 0u64..70) {
            let mut set = BTreeSet::new();
            let mut ranges = Ranges::new();
            for (start, length) in inserted {
                set.extend(start..=start + length);
                ranges.insert_range(start, start + length);
            }
            prop_assert_eq!(Some(ranges.gap(from)), (from..).find(|n| !set.contains(n)));
            let first = set.range(from..).next().copied();
            let last = first.and_then(|first| (first..).find(|n| !set.contains(&(n + 1))));
            prop_assert_eq!(ranges.run(from), first.zip(last));
        }

        #[test]
        fn what_another_set_has_is_left_out(
            a in prop::collection::vec((0u64..60, 0u64..9), 0..20),
            b in prop::collection::vec((0u64..60, 0u64..9), 0..20),
        ) {
            let set = |of: &[(u64, u64)]| {
                let mut ranges = Ranges::new();
                for (start, length) in of {
                    ranges.insert_range(*start, start + length);
                }
                ranges
            };
            let (a, b) = (set(&a), set(&b));
            let left = a.without(&b);
            for n in 0..80 {
                prop_assert_eq!(left.contains(n), a.contains(n) && !b.contains(n));
            }
            let mut less = a.clone();
            less.remove_all(&b);
            prop_assert_eq!(&less, &left);
            let mut again = Ranges::new();
            for piece in left.pieces(3) {
                prop_assert!(piece.ranges() <= 3);
                again.union(&piece);
            }
            prop_assert_eq!(again, left);
        }

        #[test]
        fn what_is_taken_out_is_gone_and_nothing_else(inserted in prop::collection::vec((1u64..60, 0u64..5), 0..40), n in 0u64..70) {
            let mut ranges = Ranges::new();
            for (start, length) in inserted {
                ranges.insert_range(start, start + length);
            }
            let (mut without, mut above) = (ranges.clone(), ranges.clone());
            without.remove(n);
            above.remove_below(n);
            for m in 0..70 {
                prop_assert_eq!(without.contains(m), ranges.contains(m) && m != n);
                prop_assert_eq!(above.contains(m), ranges.contains(m) && m >= n);
            }
        }
    }
}
