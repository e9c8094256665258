//! What the journal takes on disk, what of it is alive, and what to give up next.

use std::collections::BTreeMap;

use crate::model::{Location, Lsn};

/// How much room there is, for whoever admits new work: the journal itself never refuses a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of segments (set aside or written) and of the checkpoint.
    pub bytes_used: u64,
    /// Segment files, the one made ahead of need included.
    pub segments: u64,
    /// Bytes that the journal may take in all.
    pub bytes_max: u64,
    /// Of those, bytes that only urgent work, acks and receipts may take.
    pub bytes_reserve: u64,
    /// Bytes of records with a live payload.
    pub bytes_live: u64,
    /// Bytes in memory on their way to the disk.
    pub bytes_pending: u64,
    /// Bytes left in the segment that is written to.
    pub bytes_left: u64,
    /// Of those, bytes that only acks and receipts may take when there is no next segment: they are what makes room again.
    pub bytes_left_reserve: u64,
    /// The next segment could not be made yet: the disk is full or nearly so, and `bytes_left` is what there is.
    pub spare_missing: bool,
    /// A write waits for room on the disk.
    pub full: bool,
    /// Storage failed: nothing more becomes durable until a restart.
    pub failed: bool,
}

impl Room {
    /// Whether the disk has no room for the next segment, or for what waits to be written.
    pub fn disk_full(&self) -> bool {
        self.full || self.spare_missing
    }

    /// Bytes that new work may take. When the disk is full, what is left of the last segment is for urgent work, but for the last of
    /// it, and nothing once a write has found no room.
    pub fn free(&self) -> u64 {
        let bounded = self
            .bytes_max
            .saturating_sub(self.bytes_used)
            .saturating_sub(self.bytes_pending);
        match (self.full, self.disk_full()) {
            (true, _) => 0,
            (false, true) => bounded.min(self.bytes_left_new()),
            (false, false) => bounded,
        }
    }

    /// Bytes of the segment that is written to that new work may take.
    fn bytes_left_new(&self) -> u64 {
        self.bytes_left.saturating_sub(self.bytes_left_reserve)
    }

    /// Whether `bytes` of new work may come in; `reserved` work may use the reserve, and what is left when the disk is full but for the
    /// last of it. That is for the acks and receipts that free space, which nobody asks about.
    pub fn admits(&self, bytes: u64, reserved: bool) -> bool {
        if self.failed || self.full {
            return false;
        }
        if self.spare_missing && (!reserved || bytes > self.bytes_left_new()) {
            return false;
        }
        let kept = if reserved { 0 } else { self.bytes_reserve };
        let wanted = bytes
            .saturating_add(self.bytes_used)
            .saturating_add(self.bytes_pending);
        wanted <= self.bytes_max.saturating_sub(kept)
    }
}

/// A segment's account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Bytes of frames with a live payload.
    pub(super) live: u64,
    /// The number of the last record in it, 0 when that is not known to matter any more.
    pub(super) last: Lsn,
    /// Nothing more is written to it.
    pub(super) sealed: bool,
    /// A checkpoint that is under way removes it.
    pub(super) doomed: bool,
    /// A payload in it could not be read to be copied.
    pub(super) unreadable: bool,
}

/// The accounts of all segments but the spare one.
#[derive(Debug, Default)]
pub(super) struct Accounts(pub(super) BTreeMap<u32, Account>);

impl Accounts {
    pub(super) fn live(&mut self, location: Location) {
        if let Some(account) = self.0.get_mut(&location.segment) {
            account.live += u64::from(location.len);
        }
    }

    pub(super) fn freed(&mut self, location: Location) {
        if let Some(account) = self.0.get_mut(&location.segment) {
            debug_assert!(
                account.live >= location.len.into(),
                "freed twice: {location:?}"
            );
            account.live = account.live.saturating_sub(location.len.into());
        }
    }

    pub(super) fn unreadable(&mut self, number: u32) {
        if let Some(account) = self.0.get_mut(&number) {
            account.unreadable = true;
        }
    }

    pub(super) fn bytes_used(&self) -> u64 {
        self.0.values().map(|account| account.bytes).sum()
    }

    pub(super) fn bytes_live(&self) -> u64 {
        self.0.values().map(|account| account.live).sum()
    }

    /// Whether a checkpoint would remove anything.
    pub(super) fn any_dead(&self) -> bool {
        self.0.values().any(|a| a.sealed && a.live == 0)
    }

    /// Marks the segments that a checkpoint of everything up to `lsn` makes superfluous.
    pub(super) fn doom(&mut self, lsn: Lsn) -> Vec<u32> {
        let mut doomed = Vec::new();
        for (number, account) in &mut self.0 {
            if account.sealed && account.live == 0 && account.last <= lsn {
                account.doomed = true;
                doomed.push(*number);
            }
        }
        doomed
    }

    /// Takes the marks back: what is still there stays for the next checkpoint.
    pub(super) fn pardon(&mut self) {
        for account in self.0.values_mut() {
            account.doomed = false;
        }
    }

    /// The sealed segment with the smallest live share, if its share is below `live_percent` and all such segments take more than
    /// `slack_percent` beyond what is alive in them.
    pub(super) fn victim(&self, live_percent: u32, slack_percent: u32) -> Option<u32> {
        let candidates = || {
            self.0
                .iter()
                .filter(|(_, a)| a.sealed && !a.doomed && !a.unreadable && a.live > 0)
        };
        let (bytes, live) = candidates().fold((0, 0), |(bytes, live), (_, a)| {
            (bytes + a.bytes, live + a.live)
        });
        if bytes * 100 <= live * (100 + u64::from(slack_percent)) {
            return None;
        }
        candidates()
            .filter(|(_, a)| a.live * 100 < a.bytes * u64::from(live_percent))
            .min_by_key(|(_, a)| (a.live << 10) / a.bytes.max(1))
            .map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(segments: &[(u64, u64)]) -> Accounts {
        let accounts = segments.iter().zip(1..).map(|((bytes, live), number)| {
            let account = Account {
                bytes: *bytes,
                live: *live,
                sealed: true,
                ..Account::default()
            };
            (number, account)
        });
        Accounts(accounts.collect())
    }

    #[test]
    fn the_emptiest_segment_is_given_up_first_and_none_when_it_is_not_worth_it() {
        let victim = |segments: &[(u64, u64)]| accounts(segments).victim(50, 15);
        assert_eq!(victim(&[(100, 40), (100, 10), (100, 90)]), Some(2));
        assert_eq!(victim(&[(100, 60), (100, 90)]), None);
        assert_eq!(victim(&[(100, 0)]), None, "a checkpoint removes that one");
        assert_eq!(victim(&[(10, 1), (1000, 1000), (1000, 990)]), None);
        let mut accounts = accounts(&[(100, 40), (100, 10)]);
        accounts.unreadable(2);
        assert_eq!(accounts.victim(50, 15), Some(1));
    }

    #[test]
    fn the_reserve_is_for_reserved_work_and_a_full_disk_for_little_more() {
        let room = Room {
            bytes_used: 80,
            bytes_max: 100,
            bytes_reserve: 10,
            bytes_left: 8,
            bytes_left_reserve: 3,
            ..Room::default()
        };
        assert!(room.admits(10, false) && !room.admits(11, false));
        assert!(room.admits(20, true) && !room.admits(21, true));
        let near = Room {
            spare_missing: true,
            ..room
        };
        assert!(!near.admits(1, false) && near.admits(5, true) && !near.admits(6, true));
        assert_eq!(near.free(), 5);
        assert!(!Room { full: true, ..room }.admits(0, true));
        assert!(
            !Room {
                failed: true,
                ..room
            }
            .admits(0, true)
        );
    }
}
