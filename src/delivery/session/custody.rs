//! Custody: what a neighbour that lost its memory lacks is asked for and queued again (G3).

use crate::delivery::{
    Delivery, Output, SessionId,
    hop::{Frame, OfferAnswer},
    record::Record,
};
use crate::model::{Digest, Log, UnitId};

/// Offers in one frame.
const OFFERS_MAX: usize = 1024;
/// Offers that are not answered, at most: a session holds no more frames than so many offers make.
const OFFERED_MAX: usize = if SMALL { 3 } else { 64 * OFFERS_MAX };
/// Parcels in one record.
const REQUEUED_MAX: usize = if SMALL { 2 } else { 64 * 1024 };
/// Simulated worlds have few messages, and are to meet these bounds.
const SMALL: bool = cfg!(any(test, feature = "sim"));

impl Delivery {
    pub(super) fn offer(&mut self, neighbour: &UnitId) {
        let hop = self.hop(neighbour);
        if hop.offers.is_empty() || hop.offered {
            return;
        }
        self.offer_first(neighbour);
    }

    /// Makes the first of the offers that are not answered.
    fn offer_first(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        let Some(session) = self.open_session(hop) else {
            return;
        };
        let offers: Vec<Digest> = hop.offers.iter().take(OFFERED_MAX).copied().collect();
        let hop = self.hop(neighbour);
        hop.offered = true;
        hop.offered_through = offers.last().copied();
        for chunk in offers.chunks(OFFERS_MAX) {
            let frame = Frame::Offer(chunk.to_vec());
            self.outputs.push_back(Output::Send { session, frame });
        }
    }

    /// Tells how far this node has numbered what it had. Should it not arrive, the next hello says it.
    fn tell_numbered(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        let next = hop.outbox.next();
        if let Some(session) = self.open_session(hop) {
            let frame = Frame::Numbered(next);
            self.after_sync(Output::Send { session, frame });
        }
    }

    pub(super) fn on_offer(&mut self, session: SessionId, parcels: Vec<Digest>) {
        let (had, lacked) = parcels
            .into_iter()
            .partition(|digest| self.parcels.of_digest(*digest).is_some());
        let frame = Frame::OfferAnswer(OfferAnswer { lacked, had });
        self.answer(session, frame);
    }

    pub(super) fn on_offer_answer(
        &mut self,
        neighbour: &UnitId,
        answer: OfferAnswer,
        log: &mut dyn Log,
    ) {
        let hop = self.hop(neighbour);
        for digest in &answer.had {
            hop.offers.remove(digest);
        }
        let lacked: Vec<Digest> = answer
            .lacked
            .into_iter()
            .filter(|digest| hop.offers.contains(digest))
            .collect();
        hop.lacked.extend(&lacked);
        for digest in lacked {
            hop.offers.remove(&digest);
        }
        if !hop.offered {
            return;
        }
        if let Some(first) = hop.offers.first() {
            // Once all that was offered is answered, the next are.
            if hop.offered_through.is_none_or(|last| last < *first) {
                self.offer_first(neighbour);
            }
            return;
        }
        let mut lacked = std::mem::take(&mut hop.lacked);
        hop.offered = false;
        loop {
            let rest = lacked.split_off(lacked.len().min(REQUEUED_MAX));
            let record = Record::Requeued {
                neighbour: neighbour.clone(),
                lacked,
            };
            self.commit(record, log);
            lacked = rest;
            if lacked.is_empty() {
                break;
            }
        }
        self.tell_numbered(neighbour);
        self.tell_gone(neighbour);
    }
}
