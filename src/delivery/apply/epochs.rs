//! New epochs: every number afresh, and what a neighbour lost is queued again.

use crate::delivery::{
    Delivery, Event,
    hop::{Queued, Seq},
    parcels::Slot,
    record::Route,
};
use crate::model::{Digest, UnitId};

impl Delivery {
    pub(super) fn apply_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        let neighbours: Vec<UnitId> = self.hops.keys().cloned().collect();
        for neighbour in neighbours {
            self.hop(&neighbour).inbound.renumber();
            self.renumber(&neighbour, Vec::new());
        }
        self.event(Event::Epoch(epoch));
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
                let kept = self.parcels.get_mut(slot);
                kept.uses -= 1;
                let message = kept.message;
                if waiting
                    .routes
                    .iter()
                    .any(|r| matches!(r, Route::Here { .. }))
                {
                    self.seen.forget(&message);
                }
                self.let_go(slot);
            }
        } else {
            self.hop(neighbour).inbound.renumber();
        }
        self.renumber(neighbour, Vec::new());
        if had_met {
            let offers: Vec<Digest> = self
                .parcels
                .iter()
                .filter(|(_, kept)| kept.in_custody())
                .filter(|(_, kept)| !kept.copies.iter().any(|(hop, _)| hop == neighbour))
                .filter(|(_, kept)| !self.targets_via(kept, neighbour).is_empty())
                .map(|(_, kept)| kept.digest)
                .collect();
            #[cfg(any(test, feature = "sim"))]
            let offers = match self.has(crate::delivery::Bug::ForgottenCustody) {
                true => Vec::new(),
                false => offers,
            };
            let offered = offers.len() as u64;
            self.hop(neighbour).offers = offers.into_iter().collect();
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
            let for_whom = self.targets_via(kept, neighbour);
            if for_whom.is_empty() || kept.copies.iter().any(|(hop, _)| hop == neighbour) {
                continue;
            }
            again.push(Queued {
                slot,
                lane: kept.lane,
                bytes: kept.bytes,
                is_receipt: false,
                chain: kept.chain,
                after: Vec::new(),
                as_signed: kept.receivers.iter().map(|r| &r.target).eq(&for_whom),
                for_whom,
                held: false,
                ending: None,
                maybe_there: false,
            });
        }
        if !again.is_empty() {
            self.renumber(neighbour, again);
        }
    }

    /// Numbers everything towards a neighbour afresh, with `more` in its place by the time of acceptance.
    fn renumber(&mut self, neighbour: &UnitId, more: Vec<Queued>) {
        let lsn = self.lsn;
        let mut all = self.hop(neighbour).outbox.drain();
        if !more.is_empty() {
            all.extend(more);
            all.sort_by_key(|q| {
                let kept = self.parcels.get(q.slot);
                kept.order
            });
        }
        for queued in &all {
            self.parcels
                .get_mut(queued.slot)
                .copies
                .retain(|(hop, _)| hop != neighbour);
        }
        let hop = self.hop(neighbour);
        hop.outbox.renumber(all, lsn);
        hop.numbered_at = lsn;
        hop.offered = false;
        let numbered: Vec<(Seq, Slot)> = hop.outbox.iter().map(|(s, q)| (s, q.slot)).collect();
        for (seq, slot) in numbered {
            let copies = &mut self.parcels.get_mut(slot).copies;
            copies.push((neighbour.clone(), seq));
        }
    }
}
