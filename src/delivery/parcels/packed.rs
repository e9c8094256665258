//! Rows of numbers, written with as many bits for each column as its numbers are apart.

use std::array;

/// Rows that are only read, each found at once.
#[derive(Debug)]
pub(super) struct Packed<const N: usize> {
    /// The least number of each column, which is taken from all of them.
    least: [u64; N],
    bits: [u8; N],
    words: Box<[u64]>,
}

impl<const N: usize> Packed<N> {
    /// Packs rows; those that are not used come back as they happen to.
    pub(super) fn of(rows: &[[u64; N]], is_used: impl Fn(usize) -> bool) -> Self {
        let used = || rows.iter().enumerate().filter(|(at, _)| is_used(*at));
        let mut least = [u64::MAX; N];
        let mut most = [0; N];
        for (_, row) in used() {
            for (n, number) in row.iter().enumerate() {
                least[n] = least[n].min(*number);
                most[n] = most[n].max(*number);
            }
        }
        let apart = |n: usize| most[n].saturating_sub(least[n]);
        let bits = array::from_fn(|n| (u64::BITS - apart(n).leading_zeros()) as u8);
        let width = width(&bits);
        let mut words = vec![0; (rows.len() * width).div_ceil(u64::BITS as usize)];
        for (at, row) in used() {
            let mut bit = at * width;
            for n in 0..N {
                write(&mut words, bit, bits[n], row[n] - least[n]);
                bit += usize::from(bits[n]);
            }
        }
        Self {
            least,
            bits,
            words: words.into(),
        }
    }

    /// The row at a place below the number of rows that were packed.
    pub(super) fn row(&self, at: usize) -> [u64; N] {
        let mut bit = at * width(&self.bits);
        array::from_fn(|n| {
            let number = read(&self.words, bit, self.bits[n]);
            bit += usize::from(self.bits[n]);
            self.least[n].wrapping_add(number)
        })
    }
}

/// Bits of a row.
fn width(bits: &[u8]) -> usize {
    bits.iter().map(|bits| usize::from(*bits)).sum()
}

/// The word in which a number of so many bits begins, where in it, and how many of its bits are in the next one.
fn place(bit: usize, bits: u8) -> (usize, u32, u32) {
    let (word, shift) = (bit / u64::BITS as usize, bit as u32 % u64::BITS);
    (
        word,
        shift,
        (shift + u32::from(bits)).saturating_sub(u64::BITS),
    )
}

fn write(words: &mut [u64], bit: usize, bits: u8, number: u64) {
    if bits == 0 {
        return;
    }
    let (word, shift, beyond) = place(bit, bits);
    words[word] |= number << shift;
    if beyond > 0 {
        words[word + 1] |= number >> (u64::BITS - shift);
    }
}

fn read(words: &[u64], bit: usize, bits: u8) -> u64 {
    if bits == 0 {
        return 0;
    }
    let (word, shift, beyond) = place(bit, bits);
    let mut number = words[word] >> shift;
    if beyond > 0 {
        number |= words[word + 1] << (u64::BITS - shift);
    }
    number & (u64::MAX >> (u64::BITS - u32::from(bits)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_back_and_take_no_more_than_their_spread(
            rows in prop::collection::vec((any::<[u64; 3]>(), 0..3u32, any::<bool>()), 0..70),
            narrow in 0..64u32,
        ) {
            // A column of anything, one of numbers that are near each other, one of which all are alike.
            let row = |([any, near, _], more, _): &([u64; 3], u32, bool)| {
                [*any, (near >> narrow) + u64::from(*more), 7]
            };
            let numbers: Vec<[u64; 3]> = rows.iter().map(row).collect();
            let packed = Packed::of(&numbers, |at| rows[at].2);
            for (at, (.., is_used)) in rows.iter().enumerate() {
                let read = packed.row(at);
                if *is_used {
                    prop_assert_eq!(read, numbers[at]);
                }
            }
            let spread = |n: usize| {
                let used = || (0..rows.len()).filter(|at| rows[*at].2).map(|at| numbers[at][n]);
                let apart = used().max().unwrap_or(0) - used().min().unwrap_or(0);
                (u64::BITS - apart.leading_zeros()) as usize
            };
            let bits: usize = (0..3).map(spread).sum();
            prop_assert_eq!(packed.words.len(), (rows.len() * bits).div_ceil(64));
        }
    }
}
