//! Acks, credit, and numbers that are gone.

use crate::delivery::{
    Close, Delivery, Output, SessionId, Step,
    arrive::TOO_MANY_GAPS,
    hop::{Ack, CREDIT_UNIT_BYTES, Frame, GoneAnswer},
    record::Record,
};
use crate::model::{Lane, Log, Millis, Ranges, UnitId};

use super::Stage;

/// An ack waits at most so long for company: a receipt for what it acks, most of all.
const ACK_DELAY_MS: Millis = 25;
/// An ack of nothing but receipts: nobody's work waits for it, and within this time something else is likely to go that it can go with. Alone
/// it would be a packet, and another one for QUIC's ack of it.
const ACK_OF_RECEIPTS_DELAY_MS: Millis = 20_000;
/// So many numbers are acked at once.
const ACK_AT_ONCE: u64 = 64;
/// Most ranges of numbers in one record.
const GONE_RANGES_MAX: usize = 16 * 1024;
/// Bytes that a neighbour may have under way in one lane.
const CREDIT_MAX: u64 = 8 * 1024 * 1024;

impl Delivery {
    pub(super) fn on_ack(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        ack: Ack,
        log: &mut dyn Log,
    ) {
        let credit = ack.credit.map(|c| c.saturating_mul(CREDIT_UNIT_BYTES));
        #[cfg(any(test, feature = "sim"))]
        let credit = match self.has(crate::delivery::Bug::IgnoredCredit) {
            true => [CREDIT_MAX; 4],
            false => credit,
        };
        let (hop, parcels) = self.hop_and_parcels(neighbour);
        if ack.received.last().is_some_and(|l| l >= hop.outbox.next()) {
            self.close(session, Close::Protocol("it acks what was never sent"));
            return;
        }
        hop.outbox.set_credit(credit);
        for unit in ack.closed {
            hop.outbox.close(unit);
        }
        for unit in &ack.open {
            hop.outbox.open(unit);
        }
        let mut parked = Vec::new();
        // One that is acked in the same breath is gone when its step is told.
        for seq in hop.outbox.among(&ack.parked.without(&ack.received)) {
            if let Some(queued) = hop.outbox.get(seq) {
                parked.push(queued.slot);
            }
            hop.outbox.park(seq, parcels);
        }
        // What was parked may have found room since: a receiver can close and open within one ack.
        if !ack.open.is_empty() || ack.parked.is_empty() {
            hop.outbox.unblock();
        }
        if !hop.outbox.among(&ack.received).is_empty() {
            let record = Record::Acked {
                neighbour: neighbour.clone(),
                seqs: ack.received,
            };
            self.commit(record, log);
        }
        for slot in parked {
            let what = Step::Parked {
                neighbour: neighbour.clone(),
            };
            self.step(slot, self.now.wall, what);
        }
        self.tell_gone(neighbour);
        self.reopen();
    }

    pub(super) fn on_gone(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        seqs: Ranges,
        log: &mut dyn Log,
    ) {
        let inbound = &self.hop(neighbour).inbound;
        let (had, unknown) = inbound.split_gone(&seqs);
        if !inbound.takes_gone(&unknown) {
            self.close(session, Close::Protocol(TOO_MANY_GAPS));
            return;
        }
        let gone = seqs.without(&had);
        for seqs in unknown.pieces(GONE_RANGES_MAX) {
            let neighbour = neighbour.clone();
            self.commit(Record::GoneIn { neighbour, seqs }, log);
        }
        let frame = Frame::GoneAnswer(GoneAnswer { had, gone });
        self.answer(session, frame);
        self.settle_orphans(neighbour, log);
        self.pump_all();
    }

    pub(super) fn on_gone_answer(
        &mut self,
        neighbour: &UnitId,
        answer: &GoneAnswer,
        log: &mut dyn Log,
    ) {
        let hop = self.hop(neighbour);
        hop.outbox.gone_known(&answer.gone);
        hop.outbox.gone_known(&answer.had);
        if !hop.outbox.among(&answer.had).is_empty() {
            let record = Record::Acked {
                neighbour: neighbour.clone(),
                seqs: answer.had.clone(),
            };
            self.commit(record, log);
        }
        for seq in self.hop(neighbour).outbox.among(&answer.gone) {
            let Some(ending) = self.hop(neighbour).outbox.ending(seq).cloned() else {
                continue;
            };
            let record = Record::Ended {
                neighbour: neighbour.clone(),
                seq,
                state: ending.state,
                reason: ending.reason,
                note: ending.note,
                wall: self.now.wall,
            };
            self.commit(record, log);
            self.hop(neighbour).outbox.gone_known(&answer.gone);
        }
        self.hop(neighbour).outbox.unblock();
        self.tell_gone(neighbour);
        self.reopen();
    }

    pub(in crate::delivery) fn ack_soon(&mut self, neighbour: &UnitId) {
        let now = self.now.mono;
        let inbound = &mut self.hop(neighbour).inbound;
        if inbound.has_to_say() {
            let delay = match inbound.is_ack_awaited() {
                _ if inbound.news() >= ACK_AT_ONCE => 0,
                true => ACK_DELAY_MS,
                false => ACK_OF_RECEIPTS_DELAY_MS,
            };
            let due = inbound.ack_due.map_or(now + delay, |d| d.min(now + delay));
            inbound.ack_due = Some(due);
        }
    }

    /// A batch leaves for the neighbour: whatever is to be acked goes with it.
    pub(super) fn ack_along(&mut self, neighbour: &UnitId) {
        let now = self.now.mono;
        let inbound = &mut self.hop(neighbour).inbound;
        inbound.ack_due = inbound.ack_due.map(|_| now);
    }

    /// Sends the acks that are due.
    pub(in crate::delivery) fn flush_acks(&mut self) {
        let now = self.now.mono;
        let due: Vec<UnitId> = self
            .hops
            .iter()
            .filter(|(_, hop)| hop.inbound.ack_due.is_some_and(|due| due <= now))
            .map(|(neighbour, _)| neighbour.clone())
            .collect();
        for neighbour in due {
            let best = self
                .hops
                .get(&neighbour)
                .and_then(|hop| self.open_session(hop));
            let Some(best) = best else {
                self.hop(&neighbour).inbound.ack_due = None;
                continue;
            };
            // One byte for each lane, as long as there is plenty.
            let credit = self.credit().map(|c| c.div_ceil(CREDIT_UNIT_BYTES));
            let (ack, everywhere) = self.hop(&neighbour).inbound.take_news(credit);
            let others: Vec<SessionId> = match self.hops.get(&neighbour) {
                Some(hop) if everywhere => self.open_sessions(hop).map(|(id, _)| id).collect(),
                _ => Vec::new(),
            };
            let others = others.into_iter().filter(|other| *other != best);
            for session in std::iter::once(best).chain(others) {
                let frame = Frame::Ack(ack.clone());
                self.outputs.push_back(Output::Send { session, frame });
            }
        }
    }

    /// Bytes that a neighbour may have under way, by lane, with what the journal has left.
    fn credit(&self) -> [u64; 4] {
        Lane::ALL.map(|lane| {
            let Some(room) = self.room else {
                return CREDIT_MAX;
            };
            match self.journal_takes(lane, 0) {
                Ok(()) => (room.free / 4).min(CREDIT_MAX),
                Err(_) => 0,
            }
        })
    }

    /// There is room again for neighbours that were told that there is none.
    pub(in crate::delivery) fn tell_starved(&mut self) {
        if self.credit().contains(&0) {
            return;
        }
        #[cfg(any(test, feature = "sim"))]
        if self.has(crate::delivery::Bug::RoomUntold) {
            return;
        }
        let now = self.now.mono;
        for hop in self.hops.values_mut() {
            if hop.inbound.found_room() {
                hop.inbound.ack_due = Some(now);
            }
        }
    }

    /// Something has left: tells neighbours of receivers that have room again, at three quarters of their bound, and lets what was parked
    /// for another reason come again.
    pub(in crate::delivery) fn reopen(&mut self) {
        self.tell_starved();
        let told: Vec<(UnitId, UnitId)> = self
            .hops
            .iter()
            .flat_map(|(n, hop)| hop.inbound.closed().map(|u| (n.clone(), u.clone())))
            .collect();
        for (neighbour, unit) in told {
            let is_here = unit == self.settings.unit;
            let depth = self.load(&unit);
            let (depth, bytes) = (depth.messages, depth.bytes);
            // A third more than there is must still fit.
            let takes = if is_here {
                self.inbox_takes(Lane::Normal, depth.div_ceil(3), bytes.div_ceil(3))
            } else {
                self.queue_takes(&unit, Lane::Normal, depth.div_ceil(3), bytes.div_ceil(3))
            };
            if takes.is_ok() && self.receipts_take(&unit, 0) {
                self.hop(&neighbour).inbound.open(unit);
                self.ack_soon(&neighbour);
            }
        }
    }

    /// Records are synced: what they stored can be acked, and what they queued can leave.
    pub(in crate::delivery) fn hops_synced(&mut self, log: &mut dyn Log) {
        let synced = self.synced;
        let neighbours: Vec<UnitId> = self.hops.keys().cloned().collect();
        for neighbour in neighbours {
            let hop = self.hop(&neighbour);
            hop.outbox.synced(synced);
            if hop.inbound.synced(synced) {
                self.ack_soon(&neighbour);
            }
            let opening: Vec<SessionId> = self
                .sessions
                .iter()
                .filter(|(_, s)| {
                    s.neighbour == neighbour && matches!(s.stage, Stage::Opening { .. })
                })
                .map(|(id, _)| *id)
                .collect();
            for session in opening {
                if self.has_said_hello(session) {
                    self.open(session, log);
                }
            }
            self.settle_orphans(&neighbour, log);
            self.pump(&neighbour);
        }
    }
}
