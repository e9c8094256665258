//! Batches: parcels are leased to sessions.

use crate::delivery::{
    Delivery, Departure, Output, SessionId, Step,
    hop::{BATCH_BYTES_FULL, Entry, Hop, Seq, Targets},
    parcels::Slot,
};
use crate::model::{Lane, UnitId};

impl Delivery {
    pub(in crate::delivery) fn pump_all(&mut self) {
        let neighbours: Vec<UnitId> = self
            .hops
            .iter()
            .filter(|(_, hop)| !hop.sessions.is_empty())
            .filter(|(n, hop)| !hop.outbox.is_empty() || self.blobs.serves(n))
            .map(|(n, _)| n.clone())
            .collect();
        for neighbour in neighbours {
            self.pump(&neighbour);
        }
    }

    /// Gives the sessions of a neighbour as many batches as they can carry.
    pub(in crate::delivery) fn pump(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        if hop.is_offering() {
            return; // first it is to be known what the neighbour lacks, or order would suffer
        }
        while self.pump_one(neighbour, true) {}
        while self.pump_bulk(neighbour) {}
    }

    /// Parcels go before runs of chunks, but for a run's turn.
    fn pump_bulk(&mut self, neighbour: &UnitId) -> bool {
        let hop = self.hops.get(neighbour);
        let paused = self.paused_towards(neighbour);
        if paused.has(Lane::Bulk) {
            // Attachments travel as bulk.
            return self.pump_one(neighbour, false);
        }
        let has_parcels = hop.is_some_and(|hop| hop.outbox.has_ready(false, paused));
        if has_parcels && self.is_runs_turn(neighbour) && self.pump_run(neighbour) {
            return true;
        }
        self.pump_one(neighbour, false) || self.pump_run(neighbour)
    }

    fn pump_one(&mut self, neighbour: &UnitId, express: bool) -> bool {
        let Some(hop) = self.hops.get(neighbour) else {
            return false;
        };
        let paused = self.paused_towards(neighbour);
        if !hop.outbox.has_ready(express, paused) {
            return false;
        }
        let waiting = hop.outbox.waiting(express);
        let size = waiting.min(BATCH_BYTES_FULL);
        let Some(session) = self.choose_session(neighbour, express, size, waiting) else {
            return false;
        };
        let (Some(live), Some(hop)) = (
            self.sessions.get_mut(&session),
            self.hops.get_mut(neighbour),
        ) else {
            return false;
        };
        let full = match hop.outbox.under_way(session) {
            0 => live.first_batch(),
            _ => BATCH_BYTES_FULL,
        };
        let Some((lane, seqs)) = hop
            .outbox
            .pick(express, paused, session, full, &self.parcels)
        else {
            return false;
        };
        live.use_grant(express);
        if live.leases.len() > 4096 {
            let outbox = &hop.outbox;
            live.leases
                .retain(|seq| outbox.lessee(*seq) == Some(session));
        }
        live.leases.extend(&seqs);
        let mut slots = Vec::with_capacity(seqs.len());
        slots.extend(
            seqs.iter()
                .filter_map(|seq| Some(hop.outbox.get(*seq)?.slot)),
        );
        let Some(hop) = self.hops.get(neighbour) else {
            return false;
        };
        let leaving = seqs.iter().filter_map(|seq| {
            Some(Departure {
                entry: self.entry_of(neighbour, hop, *seq)?,
                // Where it was, when it was written again and is not readable there yet.
                at: self.place_of(hop.outbox.get(*seq)?.slot),
            })
        });
        let parcels: Vec<Departure> = leaving.collect();
        // A flash message goes over two links. The copy is nobody's lease: should it be lost, nothing is.
        let copy = match lane {
            Lane::Flash => self.second_session(neighbour, session, size),
            _ => None,
        };
        let copied = copy.map(|session| (session, parcels.clone()));
        self.send_batch(neighbour, session, lane, &slots, parcels);
        if let Some((session, parcels)) = copied {
            if let Some(live) = self.sessions.get_mut(&session) {
                live.use_grant(express);
            }
            self.send_batch(neighbour, session, lane, &slots, parcels);
        }
        true
    }

    /// What a batch says of a copy.
    pub(in crate::delivery) fn entry_of(
        &self,
        neighbour: &UnitId,
        hop: &Hop,
        seq: Seq,
    ) -> Option<Entry> {
        let queued = hop.outbox.get(seq)?;
        let for_whom = hop.outbox.for_whom(queued);
        let you = for_whom.len() == 1 && for_whom[0].as_str() == neighbour.as_str();
        let targets = if queued.as_signed() {
            Targets::Signed
        } else if you {
            Targets::You
        } else {
            Targets::Named(for_whom.to_vec())
        };
        let after = hop.outbox.after(seq).filter(|b| *b < seq);
        #[cfg(any(test, feature = "sim"))]
        let after = after.filter(|_| self.bug != Some(crate::delivery::Bug::ReorderInCase));
        Some(Entry {
            seq,
            after: after.map(|before| seq - before).collect(),
            targets,
            attested: self.parcels.get(queued.slot).attested(),
        })
    }

    fn send_batch(
        &mut self,
        neighbour: &UnitId,
        session: SessionId,
        lane: Lane,
        slots: &[Slot],
        parcels: Vec<Departure>,
    ) {
        let Some(live) = self.sessions.get(&session) else {
            return;
        };
        let link = live.link.name.clone();
        for slot in slots {
            let what = Step::Sent {
                neighbour: neighbour.clone(),
                link: link.clone(),
            };
            self.step(*slot, self.now.wall, what);
        }
        self.outputs.push_back(Output::Batch {
            session,
            lane,
            parcels,
        });
        self.ack_along(neighbour);
    }
}
