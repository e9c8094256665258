//! Which copies go next, and over which session.

use std::collections::BTreeSet;

use super::super::frame::Seq;
use super::{BATCH_PARCELS_MAX, CREDIT_AT_FIRST, Outbox, Place};
use crate::{
    delivery::input::SessionId,
    model::{Lane, UnitId},
};

/// A batch takes no further parcel once it has so many bytes.
const BATCH_BYTES_FULL: u64 = 64 * 1024;
/// Every so many turns the lower lane of a class goes first, so that it is never starved.
const SHARE_TURNS: u32 = 4;

impl Outbox {
    /// Gives back what a session had, when it has died.
    pub(in crate::delivery) fn give_back(&mut self, seqs: impl IntoIterator<Item = Seq>) {
        for seq in seqs {
            let Some(queued) = self.queue.get(&seq).cloned() else {
                continue;
            };
            self.unlease(seq, &queued);
            self.places.remove(&seq);
            self.ready[queued.lane.index()].insert(seq);
        }
    }

    /// The neighbour cannot take these now.
    pub(in crate::delivery) fn park(&mut self, seq: Seq) {
        let Some(queued) = self.queue.get(&seq).cloned() else {
            return;
        };
        self.unlease(seq, &queued);
        self.ready[queued.lane.index()].remove(&seq);
        self.places.insert(seq, Place::Blocked);
    }

    pub(in crate::delivery) fn set_credit(&mut self, credit: [u64; 4]) {
        self.credit = credit;
    }

    pub(in crate::delivery) fn close(&mut self, unit: UnitId) {
        self.closed.insert(unit);
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
        let blocked: Vec<Seq> = self
            .places
            .iter()
            .filter(|(_, place)| **place == Place::Blocked)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in blocked {
            if let Some(queued) = self.queue.get(&seq) {
                self.ready[queued.lane.index()].insert(seq);
                self.places.remove(&seq);
            }
        }
    }

    /// Whether a batch of the class might be made: a quick look.
    pub(in crate::delivery) fn has_ready(&self, express: bool) -> bool {
        lanes(express)
            .iter()
            .any(|lane| !self.ready[lane.index()].is_empty())
    }

    /// Chooses the parcels of one batch and leases them to `session`.
    ///
    /// Takes the most urgent lane of the class first, in order of number; every [`SHARE_TURNS`]th batch the lower lane goes first.
    /// A parcel's predecessors that have not left yet go before it, from whatever lane: so an urgent message of a case lends its
    /// urgency to the earlier ones.
    pub(in crate::delivery) fn pick(
        &mut self,
        express: bool,
        session: SessionId,
    ) -> Option<(Lane, Vec<Seq>)> {
        let [first, second] = lanes(express);
        self.turns = self.turns.wrapping_add(1);
        let order = if self.turns.is_multiple_of(SHARE_TURNS) {
            [second, first]
        } else {
            [first, second]
        };
        order.into_iter().find_map(|lane| {
            let picked = self.pick_lane(lane, session);
            (!picked.is_empty()).then_some((lane, picked))
        })
    }

    fn pick_lane(&mut self, lane: Lane, session: SessionId) -> Vec<Seq> {
        let mut picked: Vec<Seq> = Vec::new();
        let mut bytes = 0;
        let mut from = 0;
        while picked.len() < BATCH_PARCELS_MAX && bytes < BATCH_BYTES_FULL {
            let Some(seq) = self.ready[lane.index()].range(from..).next().copied() else {
                break;
            };
            if seq >= self.durable {
                break;
            }
            from = seq + 1;
            let Some(with_before) = self.with_predecessors(seq) else {
                self.ready[lane.index()].remove(&seq);
                self.places.insert(seq, Place::Blocked);
                continue;
            };
            let size: u64 = with_before
                .iter()
                .filter_map(|s| self.queue.get(s))
                .map(|q| u64::from(q.bytes))
                .sum();
            let fits = picked.len() + with_before.len() <= BATCH_PARCELS_MAX
                && bytes + size <= 4 * BATCH_BYTES_FULL;
            if !picked.is_empty() && !fits {
                break;
            }
            if !self.has_credit(seq) {
                break;
            }
            for s in with_before.into_iter().take(BATCH_PARCELS_MAX) {
                self.lease(s, session);
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
            let Some(queued) = self.queue.get(&seq) else {
                continue; // acked or ended
            };
            if matches!(self.places.get(&seq), Some(Place::Leased(_))) || !found.insert(seq) {
                continue;
            }
            let shut = queued
                .for_whom
                .iter()
                .any(|t| self.closed.contains(t.as_str()));
            if queued.held || queued.ending.is_some() || shut || seq >= self.durable {
                return None;
            }
            look.extend(&queued.after);
        }
        Some(found.into_iter().collect())
    }

    /// Receipts need no credit: they free space.
    fn has_credit(&self, seq: Seq) -> bool {
        let Some(queued) = self.queue.get(&seq) else {
            return false;
        };
        let lane = queued.lane.index();
        let (in_flight, credit) = (self.in_flight[lane], self.credit[lane]);
        queued.is_receipt
            || in_flight + u64::from(queued.bytes) <= credit
            || (in_flight == 0 && credit > 0)
    }

    fn lease(&mut self, seq: Seq, session: SessionId) {
        let Some(queued) = self.queue.get_mut(&seq) else {
            return;
        };
        queued.maybe_there = true;
        let lane = queued.lane.index();
        self.in_flight[lane] += u64::from(queued.bytes);
        self.ready[lane].remove(&seq);
        self.places.insert(seq, Place::Leased(session));
    }
}

const fn lanes(express: bool) -> [Lane; 2] {
    if express {
        [Lane::Flash, Lane::Urgent]
    } else {
        [Lane::Normal, Lane::Bulk]
    }
}
