//! When queued messages end, by the hour: so that it can be told in time how many are about to.

use std::collections::BTreeMap;

use crate::model::Millis;

const HOUR_MS: Millis = 3_600_000;

/// How many of the queue end in each hour since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Expiring(BTreeMap<u64, u32>);

impl Expiring {
    pub(super) fn add(&mut self, expires: Millis) {
        *self.0.entry(expires / HOUR_MS).or_default() += 1;
    }

    pub(super) fn take(&mut self, expires: Millis) {
        let hour = expires / HOUR_MS;
        if let Some(count) = self.0.get_mut(&hour) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&hour);
            }
        }
    }

    /// How many end by then, or later in the hour that this is in.
    pub(super) fn by(&self, at: Millis) -> u64 {
        let counts = self.0.range(..=at / HOUR_MS);
        counts.map(|(_, count)| u64::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_time_is_counted_and_what_has_left_is_not() {
        let mut expiring = Expiring::default();
        for hour in [5, 7, 7, 9] {
            expiring.add(hour * HOUR_MS + 100);
        }
        let by = |expiring: &Expiring, hour| expiring.by(hour * HOUR_MS);
        assert_eq!(
            (by(&expiring, 4), by(&expiring, 5), by(&expiring, 8)),
            (0, 1, 3)
        );
        expiring.take(7 * HOUR_MS + 3);
        expiring.take(5 * HOUR_MS);
        assert_eq!((by(&expiring, 6), by(&expiring, 100)), (0, 2));
        expiring.take(5 * HOUR_MS);
        assert_eq!(by(&expiring, 100), 2);
    }
}
