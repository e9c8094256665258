//! Batches: parcels are leased to sessions.

use crate::delivery::{
    Delivery, Departure, Output, SessionId, Step,
    hop::{Entry, Hop, Targets},
};
use crate::model::UnitId;

use super::Session;

impl Delivery {
    /// The newest session with a neighbour over which parcels flow.
    pub(in crate::delivery) fn open_session(&self, hop: &Hop) -> Option<SessionId> {
        self.open_sessions(hop).next()
    }

    /// The sessions with a neighbour over which parcels flow, the newest first.
    pub(in crate::delivery) fn open_sessions(&self, hop: &Hop) -> impl Iterator<Item = SessionId> {
        let newest_first = hop.sessions.iter().rev();
        newest_first
            .copied()
            .filter(|id| self.sessions.get(id).is_some_and(Session::is_open))
    }

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
        let sessions: Vec<SessionId> = hop.sessions.iter().rev().copied().collect();
        for session in sessions {
            while self.pump_one(neighbour, session, true) {}
            while self.pump_bulk(neighbour, session) {}
        }
        while self.pump_run(neighbour) {}
    }

    /// Parcels go before runs of chunks, but for a run's turn.
    fn pump_bulk(&mut self, neighbour: &UnitId, session: SessionId) -> bool {
        let live = self.sessions.get(&session);
        if !live.is_some_and(Session::has_bulk_grant) {
            return false;
        }
        let hop = self.hops.get(neighbour);
        let has_parcels = hop.is_some_and(|hop| hop.outbox.has_ready(false));
        if has_parcels && self.is_runs_turn(neighbour) && self.pump_run(neighbour) {
            return true;
        }
        self.pump_one(neighbour, session, false)
    }

    fn pump_one(&mut self, neighbour: &UnitId, session: SessionId, express: bool) -> bool {
        let Some(live) = self.sessions.get_mut(&session).filter(|s| s.is_open()) else {
            return false;
        };
        let Some(hop) = self.hops.get_mut(neighbour) else {
            return false;
        };
        let grants = if express {
            &mut live.express
        } else {
            &mut live.bulk
        };
        if *grants == 0 || !hop.outbox.has_ready(express) {
            return false;
        }
        let Some((lane, seqs)) = hop.outbox.pick(express, session, &self.parcels) else {
            return false;
        };
        *grants -= 1;
        if live.leases.len() > 4096 {
            let outbox = &hop.outbox;
            live.leases
                .retain(|seq| outbox.lessee(*seq) == Some(session));
        }
        live.leases.extend(&seqs);
        let link = live.link.name.clone();
        let mut parcels = Vec::with_capacity(seqs.len());
        let mut slots = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let Some(queued) = hop.outbox.get(seq) else {
                continue;
            };
            let slot = queued.slot;
            let kept = self.parcels.get(slot);
            // Written again and not readable there yet?
            let before = self.moving.get(&slot).map(|(_, before)| *before);
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
            parcels.push(Departure {
                entry: Entry {
                    seq,
                    after: after.map(|before| seq - before).collect(),
                    targets,
                    attested: kept.attested(),
                },
                at: before.unwrap_or(kept.location),
            });
            slots.push(slot);
        }
        for slot in slots {
            let what = Step::Sent {
                neighbour: neighbour.clone(),
                link: link.clone(),
            };
            self.step(slot, self.now.wall, what);
        }
        self.outputs.push_back(Output::Batch {
            session,
            lane,
            parcels,
        });
        true
    }
}
