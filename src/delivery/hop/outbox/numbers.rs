//! Sets of numbers that lie near each other: a bit each.

use std::collections::BTreeMap;

use super::super::frame::Seq;

/// Numbers of one word.
const BITS: u64 = u64::BITS as u64;

/// A set of numbers, in words of 64 that have at least one.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl Numbers {
    pub(super) fn insert(&mut self, seq: Seq) {
        let word = self.words.entry(seq / BITS).or_default();
        let bit = 1 << (seq % BITS);
        self.len += u64::from(*word & bit == 0);
        *word |= bit;
    }

    /// Takes a number out; false when it was not there.
    pub(super) fn remove(&mut self, seq: Seq) -> bool {
        let Some(word) = self.words.get_mut(&(seq / BITS)) else {
            return false;
        };
        let bit = 1 << (seq % BITS);
        let was_there = *word & bit != 0;
        *word &= !bit;
        if *word == 0 {
            self.words.remove(&(seq / BITS));
        }
        self.len -= u64::from(was_there);
        was_there
    }

    /// The lowest number at `from` or after it.
    pub(super) fn next(&self, from: Seq) -> Option<Seq> {
        let mut words = self.words.range(from / BITS..);
        let (&at, &word) = words.next()?;
        let word = match at == from / BITS {
            true => word & (u64::MAX << (from % BITS)),
            false => word,
        };
        let (at, word) = match word {
            0 => words.next().map(|(at, word)| (*at, *word))?,
            word => (at, word),
        };
        Some(at * BITS + u64::from(word.trailing_zeros()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_order_across_words() {
        let mut numbers = Numbers::default();
        for seq in [1, 63, 64, 700, 64] {
            numbers.insert(seq);
        }
        let found = |numbers: &Numbers| {
            let next = |seq: &Seq| numbers.next(seq + 1);
            std::iter::successors(numbers.next(0), next).collect::<Vec<_>>()
        };
        assert_eq!((found(&numbers), numbers.len()), (vec![1, 63, 64, 700], 4));
        assert!(numbers.remove(64) && !numbers.remove(64));
        assert_eq!(numbers.next(64), Some(700));
        assert!([1, 63, 700].iter().all(|seq| numbers.remove(*seq)));
        assert!(numbers.is_empty() && numbers.words.is_empty());
    }
}
