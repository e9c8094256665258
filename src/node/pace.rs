//! How fast attachments come and go, for people who wait for them. Nothing here decides anything.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::model::{BlobDigest, UnitId};

/// A rate is that of this time and of as much before it.
const WINDOW: Duration = Duration::from_secs(5);
/// A rate of less than this is none.
const WINDOW_LEAST: Duration = Duration::from_millis(500);
/// What has not moved for so long is forgotten.
const STANDS_AFTER: Duration = Duration::from_secs(60);
/// Beyond so many, what stands is forgotten.
const KEPT_MAX: usize = 256;

/// An attachment, the neighbour, and whether it leaves for it.
type Way = (BlobDigest, UnitId, bool);

/// The pace of each attachment that moves.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<HashMap<Way, Pace>>);

#[derive(Debug)]
struct Pace {
    since: Instant,
    bytes: u64,
    /// The window before this one.
    before: Option<(Duration, u64)>,
    last: Instant,
}

impl Paces {
    fn ways(&self) -> MutexGuard<'_, HashMap<Way, Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes have come or gone.
    pub(super) fn moved(
        &self,
        digest: BlobDigest,
        neighbour: &UnitId,
        leaves: bool,
        bytes: u64,
        now: Instant,
    ) {
        let mut ways = self.ways();
        if ways.len() >= KEPT_MAX {
            ways.retain(|_, pace| now.duration_since(pace.last) < STANDS_AFTER);
        }
        if ways.len() >= KEPT_MAX {
            return;
        }
        let pace = ways
            .entry((digest, neighbour.clone(), leaves))
            .or_insert(Pace {
                since: now,
                bytes: 0,
                before: None,
                last: now,
            });
        if now.duration_since(pace.last) >= STANDS_AFTER {
            (pace.since, pace.bytes, pace.before) = (now, 0, None);
        }
        let window = now.duration_since(pace.since);
        if window >= WINDOW {
            pace.before = Some((window, pace.bytes));
            (pace.since, pace.bytes) = (now, 0);
        }
        pace.bytes += bytes;
        pace.last = now;
    }

    /// Bits a second lately; none when that is not known or nothing moves.
    pub(super) fn rate_bps(
        &self,
        digest: BlobDigest,
        neighbour: &UnitId,
        leaves: bool,
        now: Instant,
    ) -> Option<u64> {
        let ways = self.ways();
        let pace = ways.get(&(digest, neighbour.clone(), leaves))?;
        let (window, bytes) = pace.before.unwrap_or_default();
        let window = window + now.duration_since(pace.since);
        if window < WINDOW_LEAST || now.duration_since(pace.last) >= STANDS_AFTER {
            return None;
        }
        let bits = (bytes + pace.bytes) as f64 * 8.0;
        Some((bits / window.as_secs_f64()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_and_ends_when_nothing_moves() {
        let paces = Paces::default();
        let (digest, unit) = (BlobDigest::of(b"a"), "hebi.a".parse().expect("a unit"));
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let rate = |ms| paces.rate_bps(digest, &unit, false, at(ms));
        assert_eq!(rate(0), None);
        // 10 kB each second, then 100 kB each second.
        for second in 0..10 {
            paces.moved(digest, &unit, false, 10_000, at(second * 1000));
        }
        let slow = rate(10_000).expect("a rate");
        assert!((72_000..88_001).contains(&slow), "{slow}");
        for second in 10..30 {
            paces.moved(digest, &unit, false, 100_000, at(second * 1000));
        }
        let fast = rate(30_000).expect("a rate");
        assert!((720_000..960_000).contains(&fast), "{fast}");
        assert!(rate(60_000).expect("a rate") < fast / 2);
        assert_eq!(rate(90_000), None);
        assert_eq!(paces.rate_bps(digest, &unit, true, at(30_000)), None);
        // It begins anew.
        paces.moved(digest, &unit, false, 10_000, at(200_000));
        assert_eq!(rate(201_000), Some(80_000));
    }

    #[test]
    fn what_stands_makes_room() {
        let paces = Paces::default();
        let unit = "hebi.a".parse().expect("a unit");
        let start = Instant::now();
        for n in 0..2 * KEPT_MAX {
            let digest = BlobDigest::of(&n.to_le_bytes());
            paces.moved(digest, &unit, true, 1, start);
        }
        assert_eq!(paces.ways().len(), KEPT_MAX);
        paces.moved(BlobDigest::of(b"a"), &unit, true, 1, start + STANDS_AFTER);
        assert_eq!(paces.ways().len(), 1);
    }
}
