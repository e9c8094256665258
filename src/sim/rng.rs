//! The simulator's own random numbers.

use super::disk::SplitMix64;

/// A seeded sequence, the same on every machine, with the draws that a world needs.
#[derive(Clone, Debug)]
pub(super) struct Rng(SplitMix64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring worlds.
        let mut rng = Self(SplitMix64(seed ^ 0x6361_7365_6761_7465));
        rng.next();
        rng
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0.below(n)
    }

    /// A number of the closed range.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        debug_assert!(least <= most);
        least + self.below(most - least + 1)
    }

    /// As [`Rng::between`], and small numbers are as likely as large ones: even over the powers of two.
    pub(super) fn magnitude(&mut self, least: u64, most: u64) -> u64 {
        let least = least.max(1);
        let powers = (most / least).max(1).ilog2();
        let from = least << self.between(0, u64::from(powers));
        self.between(from, (from * 2).min(most).max(from))
    }

    pub(super) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// One of `from`; none when it is empty.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

/// SplitMix64's finaliser: every bit of the input touches every bit of the output.
pub(super) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_what_was_asked_for() {
        let mut rng = Rng::new(7);
        for _ in 0..10_000 {
            assert!((5..=9).contains(&rng.between(5, 9)));
            assert!((3..=100).contains(&rng.magnitude(3, 100)));
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.pick::<u8>(&[]), None);
    }
}
