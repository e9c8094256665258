//! How many more batches the owner may send: pure accounting.

use super::profile::{BULK_STREAMS_MAX, EXPRESS_STREAMS_MAX};

/// Which of the two classes of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Flash and urgent: bounded by streams alone.
    Express,
    /// Normal and bulk: bounded by streams and by bytes.
    Bulk,
}

/// More batches that the owner may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) express: u16,
    pub(super) bulk: u16,
}

/// What is under way and what has been granted and not yet used.
///
/// What quinn holds of bulk is bounded by the gate. Here it is bounded how much waits before the gate: half the gate's window again, so
/// that there is something to write as soon as there is room, and little is decided early. A grant is for batches whose sizes are not
/// known yet, so they are assumed to have the average size of recent ones. There is always a grant for one when none waits: were the
/// next one granted only when the last was carried, the line would be idle for a round trip after each.
#[derive(Debug)]
pub(super) struct Room {
    express_under_way: u16,
    express_granted: u16,
    bulk_under_way: u16,
    bulk_granted: u16,
    /// Bytes of bulk batches that quinn does not yet have all of.
    bulk_waiting_bytes: u64,
    bulk_mean_bytes: u64,
}

/// The size that a bulk batch is assumed to have before any was sent.
const FIRST_MEAN_BYTES: u64 = 16 * 1024;

impl Room {
    pub(super) fn new() -> Self {
        Self {
            express_under_way: 0,
            express_granted: 0,
            bulk_under_way: 0,
            bulk_granted: 0,
            bulk_waiting_bytes: 0,
            bulk_mean_bytes: FIRST_MEAN_BYTES,
        }
    }

    /// A batch is on its way; it uses a grant, if there is one.
    pub(super) fn sent(&mut self, class: Class, bytes: u64) {
        match class {
            Class::Express => {
                self.express_granted = self.express_granted.saturating_sub(1);
                self.express_under_way += 1;
            }
            Class::Bulk => {
                self.bulk_granted = self.bulk_granted.saturating_sub(1);
                self.bulk_under_way += 1;
                self.bulk_waiting_bytes += bytes;
                self.bulk_mean_bytes = (self.bulk_mean_bytes * 7 + bytes).div_ceil(8).max(1);
            }
        }
    }

    /// Whether batches of either class are under way: express, and others.
    pub(super) fn classes_under_way(&self) -> (bool, bool) {
        (self.express_under_way > 0, self.bulk_under_way > 0)
    }

    /// Quinn has all of a batch.
    pub(super) fn written(&mut self, class: Class, bytes: u64) {
        if class == Class::Bulk {
            self.bulk_waiting_bytes -= bytes;
        }
    }

    /// The peer has all of a batch.
    pub(super) fn carried(&mut self, class: Class) {
        match class {
            Class::Express => self.express_under_way -= 1,
            Class::Bulk => self.bulk_under_way -= 1,
        }
    }

    /// Batches under way.
    pub(super) fn under_way(&self) -> u32 {
        u32::from(self.express_under_way + self.bulk_under_way)
    }

    /// Grants what fits, where quinn holds at most `bulk_window` bytes of bulk.
    pub(super) fn grant(&mut self, bulk_window: u64) -> Option<Grant> {
        let express =
            EXPRESS_STREAMS_MAX.saturating_sub(self.express_under_way + self.express_granted);
        let bulk = self.bulk_that_fits(bulk_window);
        self.express_granted += express;
        self.bulk_granted += bulk;
        let grant = Grant { express, bulk };
        (grant != Grant::default()).then_some(grant)
    }

    fn bulk_that_fits(&self, window: u64) -> u16 {
        let outstanding = self.bulk_under_way + self.bulk_granted;
        let streams = BULK_STREAMS_MAX.saturating_sub(outstanding);
        let promised = u64::from(self.bulk_granted) * self.bulk_mean_bytes;
        let waiting = self.bulk_waiting_bytes + promised;
        let fits = (window / 2).saturating_sub(waiting) / self.bulk_mean_bytes;
        let fits = u16::try_from(fits).unwrap_or(u16::MAX);
        let least = u16::from(waiting == 0);
        fits.max(least).min(streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bulk_batch_is_always_granted_when_none_waits() {
        let mut room = Room::new();
        let first = room.grant(0);
        assert_eq!(
            first,
            Some(Grant {
                express: 4,
                bulk: 1
            })
        );
        assert_eq!(room.grant(0), None);
        room.sent(Class::Bulk, 1_000_000);
        assert_eq!(room.grant(50_000), None);
        // The next one is to be at hand when the last one's end is on its way.
        room.written(Class::Bulk, 1_000_000);
        assert_eq!(
            room.grant(50_000),
            Some(Grant {
                express: 0,
                bulk: 1
            })
        );
    }

    #[test]
    fn bulk_stays_within_its_window_and_its_streams() {
        let mut room = Room::new();
        let (window, batch) = (64_000, 1_000);
        let (mut granted, mut waiting) = (0, 0);
        for turn in 0..200 {
            granted += room.grant(window).map_or(0, |grant| grant.bulk);
            if granted > 0 {
                granted -= 1;
                waiting += 1;
                room.sent(Class::Bulk, batch);
            } else if waiting > 0 && turn % 2 == 0 {
                waiting -= 1;
                room.written(Class::Bulk, batch);
            } else if room.bulk_under_way > waiting {
                room.carried(Class::Bulk);
            }
            assert!(room.bulk_waiting_bytes <= window / 2);
            assert!(room.bulk_under_way + room.bulk_granted <= BULK_STREAMS_MAX);
        }
        while granted > 0 {
            granted -= 1;
            room.sent(Class::Bulk, batch);
        }
        room.grant(window);
        // Batches turned out to be small, so all the streams are in use.
        assert_eq!(room.bulk_under_way + room.bulk_granted, BULK_STREAMS_MAX);
    }

    #[test]
    fn bulk_leaves_express_its_streams() {
        let mut room = Room::new();
        room.grant(u64::MAX);
        for _ in 0..BULK_STREAMS_MAX {
            room.sent(Class::Bulk, 1);
        }
        room.sent(Class::Express, 1);
        assert_eq!(room.grant(u64::MAX), None);
        room.carried(Class::Express);
        assert_eq!(
            room.grant(u64::MAX),
            Some(Grant {
                express: 1,
                bulk: 0
            })
        );
    }
}
