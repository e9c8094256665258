//! Parcels whose bytes cannot be read back: the journal's record is damaged (G8).

use super::{Delivery, Event, SessionId, hop::Seq, record::Record};
use crate::model::{Location, Log, Reason, State};

impl Delivery {
    /// Ends what cannot be read. Its sender is told by a receipt, unless the neighbour turns out to have the copy already.
    pub(super) fn unreadable(
        &mut self,
        at: Location,
        lease: Option<(SessionId, Seq)>,
        log: &mut dyn Log,
    ) {
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::UnreadableKept) {
            return;
        }
        let found = self
            .parcels
            .iter()
            .find(|(slot, _)| self.place_of(*slot) == at);
        let Some((slot, kept)) = found else {
            self.return_moved(lease);
            return;
        };
        let (parcel, message) = (kept.digest, kept.message);
        let copies = self.parcels.copies_of(slot);
        self.event(Event::Unreadable {
            parcel,
            message,
            at,
        });
        if self.inbox.contains(slot) {
            let wall = self.now.wall;
            self.commit(Record::Unreadable { parcel, wall }, log);
        }
        for (neighbour, seq) in copies {
            let (state, reason) = (State::Refused, Reason::Damaged);
            self.begin_end(&neighbour, seq, state, reason, "", log);
        }
        self.serve_polls();
        self.reopen();
    }

    /// It was only written again elsewhere, or has ended: a copy that did not leave is free again, and is read from its new place.
    fn return_moved(&mut self, lease: Option<(SessionId, Seq)>) {
        let Some((session, seq)) = lease else { return };
        let Some(live) = self.sessions.get(&session) else {
            return;
        };
        let neighbour = live.neighbour.clone();
        let (hop, parcels) = self.hop_and_parcels(&neighbour);
        if hop.outbox.lessee(seq) == Some(session) {
            hop.outbox.give_back([seq], parcels);
            self.pump(&neighbour);
        }
    }
}
