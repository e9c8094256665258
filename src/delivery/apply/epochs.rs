//! New epochs: every number afresh, and what a neighbour lost is queued again.

use std::collections::BTreeSet;

use crate::delivery::{Delivery, Event, hop::Queued, parcels::Slot, record::Route};
use crate::model::{Digest, UnitId};

impl Delivery {
    pub(super) fn apply_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        let neighbours: Vec<UnitId> = self.hops.keys().cloned().collect();
        let custody = self.custody();
        for neighbour in neighbours {
            self.hop(&neighbour).inbound.renumber();
            self.renumber(&neighbour, Vec::new());
            // Numbers would have told what the neighbour has lost since: it may have been set back as well.
            if self.hop(&neighbour).peer_epoch != 0 {
                self.hop(&neighbour).offers = self.offers_to(&neighbour, &custody);
            }
        }
        self.event(Event::Epoch(epoch));
    }

    /// Parcels that this node answers for.
    fn custody(&self) -> Vec<Slot> {
        let all = self.parcels.iter().map(|(slot, _)| slot);
        all.filter(|slot| self.parcels.in_custody(*slot)).collect()
    }

    /// Those of them that went to a neighbour: it may have lost them.
    fn offers_to(&self, neighbour: &UnitId, custody: &[Slot]) -> BTreeSet<Digest> {
        #[cfg(any(test, feature = "sim"))]
        if self.has(crate::delivery::Bug::ForgottenCustody) {
            return BTreeSet::new();
        }
        custody
            .iter()
            .filter(|slot| !self.parcels.has_copy_for(**slot, neighbour))
            .filter(|slot| !self.targets_via(**slot, neighbour).is_empty())
            .map(|slot| self.parcels.get(*slot).digest)
            .collect()
    }

    pub(super) fn apply_reset(
        &mut self,
        neighbour: &UnitId,
        peer_epoch: u64,
        forget_waiting: bool,
    ) {
        let had_met = self.hop(neighbour).peer_epoch != 0;
        self.hop(neighbour).peer_epoch = peer_epoch;
        if forget_waiting {
            for waiting in self.hop(neighbour).inbound.reset() {
                let Some(slot) = waiting.slot else {
                    continue;
                };
                self.uncount_waiting(&waiting);
                self.parcels.end_use(slot);
                let message = self.parcels.get(slot).message;
                if waiting
                    .routes
                    .iter()
                    .any(|r| matches!(r, Route::Here { .. }))
                {
                    self.forget_seen(message);
                }
                self.let_go(slot);
            }
        } else {
            self.hop(neighbour).inbound.renumber();
        }
        self.renumber(neighbour, Vec::new());
        if had_met {
            let offers = self.offers_to(neighbour, &self.custody());
            let offered = offers.len() as u64;
            self.hop(neighbour).offers = offers;
            self.event(Event::Reset {
                neighbour: neighbour.clone(),
                offered,
            });
        }
    }

    /// The neighbour lacks these: they are queued again, among the others in the order in which they were accepted.
    pub(super) fn apply_requeued(&mut self, neighbour: &UnitId, lacked: &[Digest]) {
        self.hop(neighbour).offers.clear();
        let mut again = Vec::new();
        for digest in lacked {
            let Some(slot) = self.parcels.of_digest(*digest) else {
                continue;
            };
            let kept = self.parcels.get(slot);
            let for_whom = self.targets_via(slot, neighbour);
            if for_whom.is_empty() || self.parcels.has_copy_for(slot, neighbour) {
                continue;
            }
            again.push(Queued {
                slot,
                lane: kept.lane,
                as_signed: self.parcels.receivers(slot).map(|r| r.target).eq(&for_whom),
                for_whom,
            });
        }
        if again.is_empty() {
            let lsn = self.lsn;
            self.hop(neighbour).outbox.stay_until(lsn);
        } else {
            self.renumber(neighbour, again);
        }
    }

    /// Numbers everything towards a neighbour afresh, with `more` in its place by the time of acceptance.
    fn renumber(&mut self, neighbour: &UnitId, more: Vec<Queued>) {
        let lsn = self.lsn;
        let hop = self.hops.entry(neighbour.clone()).or_default();
        let mut all = hop.outbox.drain();
        if !more.is_empty() {
            all.extend(more.iter().map(|queued| hop.outbox.moved(queued)));
            all.sort_by_cached_key(|moved| self.parcels.get(moved.slot).order);
        }
        for moved in &all {
            self.parcels.drop_copies(moved.slot, neighbour, |_| true);
        }
        hop.outbox.renumber(all, lsn, &self.parcels);
        hop.numbered_at = lsn;
        hop.offered = false;
        for (seq, copy) in hop.outbox.iter() {
            self.parcels.add_copy(copy.slot, neighbour, seq);
        }
    }
}
