//! Which copies go next, and over which session.

use std::collections::BTreeSet;

use super::super::{Paused, frame::Seq};
use super::{BATCH_PARCELS_MAX, CREDIT_AT_FIRST, Outbox};
use crate::{
    delivery::{input::SessionId, parcels::Parcels},
    model::{Lane, UnitId},
};

/// A batch takes no further parcel once it has so many bytes.
pub(in crate::delivery) const BATCH_BYTES_FULL: u64 = 64 * 1024;
/// Receivers without room that are remembered.
const CLOSED_MAX: usize = 16 * 1024;
/// Every so many turns the lower lane of a class goes first, so that it is never starved.
const SHARE_TURNS: u32 = 4;

impl Outbox {
    /// Gives back what a session had, when it has died.
    pub(in crate::delivery) fn give_back(
        &mut self,
        seqs: impl IntoIterator<Item = Seq>,
        parcels: &Parcels,
    ) {
        for seq in seqs {
            let Some(entry) = self.queue.get(seq).copied() else {
                continue;
            };
            self.unlease(seq, entry.lane, parcels.get(entry.slot).bytes);
            self.blocked.remove(seq);
            self.ready[entry.lane.index()].insert(seq);
        }
    }

    /// The neighbour cannot take these now.
    pub(in crate::delivery) fn park(&mut self, seq: Seq, parcels: &Parcels) {
        let Some(entry) = self.queue.get(seq).copied() else {
            return;
        };
        self.unlease(seq, entry.lane, parcels.get(entry.slot).bytes);
        self.ready[entry.lane.index()].remove(seq);
        self.blocked.insert(seq);
    }

    pub(in crate::delivery) fn set_credit(&mut self, credit: [u64; 4]) {
        self.credit = credit;
    }

    /// A receiver has no room. Of more than are remembered each is told with the parcel that comes back.
    pub(in crate::delivery) fn close(&mut self, unit: UnitId) {
        if self.closed.len() < CLOSED_MAX {
            self.closed.insert(unit);
        }
    }

    pub(in crate::delivery) fn open(&mut self, unit: &UnitId) {
        self.closed.remove(unit);
    }

    /// A new session: what the neighbour said in an earlier one no longer holds.
    pub(in crate::delivery) fn fresh_session(&mut self) {
        self.closed.clear();
        self.credit = [CREDIT_AT_FIRST; 4];
        self.unblock();
    }

    pub(in crate::delivery) fn is_closed(&self, unit: &UnitId) -> bool {
        self.closed.contains(unit)
    }

    /// Looks again at everything that was blocked.
    pub(in crate::delivery) fn unblock(&mut self) {
        let blocked = std::mem::take(&mut self.blocked);
        let mut at = 0;
        while let Some(seq) = blocked.next(at) {
            at = seq + 1;
            if let Some(entry) = self.queue.get(seq) {
                self.ready[entry.lane.index()].insert(seq);
            }
        }
    }

    /// Whether a batch of the class might be made: a quick look.
    pub(in crate::delivery) fn has_ready(&self, express: bool, paused: Paused) -> bool {
        lanes(express)
            .iter()
            .any(|lane| !paused.has(*lane) && !self.ready[lane.index()].is_empty())
    }

    /// Chooses the parcels of one batch, which takes no further one once it has `full` bytes, and leases them to `session`.
    ///
    /// Takes the most urgent lane of the class first, in order of number; every [`SHARE_TURNS`]th batch the lower lane goes first.
    /// A parcel's predecessors that have not left yet go before it, from whatever lane: so an urgent message of a case lends its
    /// urgency to the earlier ones, those of a paused lane among them.
    pub(in crate::delivery) fn pick(
        &mut self,
        express: bool,
        paused: Paused,
        session: SessionId,
        full: u64,
        parcels: &Parcels,
    ) -> Option<(Lane, Vec<Seq>)> {
        let [first, second] = lanes(express);
        self.turns = self.turns.wrapping_add(1);
        let order = if self.turns.is_multiple_of(SHARE_TURNS) {
            [second, first]
        } else {
            [first, second]
        };
        let order = order.into_iter().filter(|lane| !paused.has(*lane));
        order.into_iter().find_map(|lane| {
            let picked = self.pick_lane(lane, session, full, parcels);
            (!picked.is_empty()).then_some((lane, picked))
        })
    }

    fn pick_lane(
        &mut self,
        lane: Lane,
        session: SessionId,
        full: u64,
        parcels: &Parcels,
    ) -> Vec<Seq> {
        let mut picked: Vec<Seq> = Vec::new();
        let mut bytes = 0;
        let mut from = 0;
        while picked.len() < BATCH_PARCELS_MAX && bytes < full {
            let Some(seq) = self.ready[lane.index()].next(from) else {
                break;
            };
            if seq >= self.durable {
                break;
            }
            from = seq + 1;
            let Some(with_before) = self.with_predecessors(seq) else {
                self.ready[lane.index()].remove(seq);
                self.blocked.insert(seq);
                continue;
            };
            let size: u64 = with_before
                .iter()
                .filter_map(|s| self.queue.get(*s))
                .map(|entry| u64::from(parcels.get(entry.slot).bytes))
                .sum();
            let fits = picked.len() + with_before.len() <= BATCH_PARCELS_MAX
                && bytes + size <= 4 * BATCH_BYTES_FULL;
            if !picked.is_empty() && !fits {
                break;
            }
            if !self.has_credit(seq, parcels) {
                break;
            }
            for s in with_before.into_iter().take(BATCH_PARCELS_MAX) {
                self.lease(s, session, parcels);
                picked.push(s);
            }
            bytes += size;
        }
        picked
    }

    /// The number and those before it in its chains that have not left yet, first things first; none when one of them cannot go.
    fn with_predecessors(&self, seq: Seq) -> Option<Vec<Seq>> {
        let mut found = BTreeSet::new();
        let mut look = vec![seq];
        while let Some(seq) = look.pop() {
            let Some(entry) = self.queue.get(seq) else {
                continue; // acked or ended
            };
            if self.leased.contains_key(&seq) || !found.insert(seq) {
                continue;
            }
            let mut targets = self.for_whom(entry).iter();
            let shut = targets.any(|t| self.closed.contains(t.as_str()));
            let ends = self.endings.contains_key(&seq);
            if entry.held() || ends || shut || seq >= self.durable {
                return None;
            }
            look.extend(self.after(seq));
        }
        Some(found.into_iter().collect())
    }

    /// Receipts need no credit: they free space.
    fn has_credit(&self, seq: Seq, parcels: &Parcels) -> bool {
        let Some(entry) = self.queue.get(seq) else {
            return false;
        };
        let kept = parcels.get(entry.slot);
        let lane = entry.lane.index();
        let (in_flight, credit) = (self.in_flight[lane], self.credit[lane]);
        kept.is_receipt()
            || in_flight + u64::from(kept.bytes) <= credit
            || (in_flight == 0 && credit > 0)
    }

    fn lease(&mut self, seq: Seq, session: SessionId, parcels: &Parcels) {
        let Some(entry) = self.queue.get_mut(seq) else {
            return;
        };
        entry.set_maybe_there(true);
        let (lane, slot) = (entry.lane.index(), entry.slot);
        self.in_flight[lane] += u64::from(parcels.get(slot).bytes);
        self.ready[lane].remove(seq);
        self.blocked.remove(seq);
        self.leased.insert(seq, session);
        *self.under_way.entry(session).or_default() += u64::from(parcels.get(slot).bytes);
    }
}

pub(super) const fn lanes(express: bool) -> [Lane; 2] {
    if express {
        [Lane::Flash, Lane::Urgent]
    } else {
        [Lane::Normal, Lane::Bulk]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_neighbour_said_of_room_holds_when_all_is_numbered_afresh() {
        let unit: UnitId = "t.e1".parse().expect("a unit");
        let mut outbox = Outbox::default();
        outbox.set_credit([1, 1, 0, 0]);
        outbox.close(unit.clone());
        assert!(outbox.drain().is_empty());
        assert_eq!(outbox.credit, [1, 1, 0, 0]);
        assert!(outbox.is_closed(&unit));
        outbox.fresh_session();
        assert_eq!(outbox.credit, [CREDIT_AT_FIRST; 4]);
        assert!(!outbox.is_closed(&unit));
    }
}
