//! Ends: expiry, drops, and the receipts that tell of them.

use super::{
    Answer, Delivery, Output, Ticket,
    apply::Carried,
    expiries::{Second, is_over},
    hop::{Frame, Seq},
    parcels::Slot,
    record::Record,
};
use crate::{
    model::{Digest, Log, Lsn, MessageId, Millis, Pattern, Payload, Reason, State, UnitId},
    parcel::{Header, Parcel},
};

/// How long the memory of messages outlives their expiry, beside the custody grace: a late copy meets it.
const MEMORY_MARGIN_MS: Millis = 3_600_000;

impl Delivery {
    pub(super) fn memory_margin(&self) -> Millis {
        self.custody_grace() + MEMORY_MARGIN_MS
    }

    fn custody_grace(&self) -> Millis {
        Millis::from(self.settings.limits.custody_grace_s) * 1000
    }

    /// Ends what is past its time.
    pub(super) fn expire(&mut self, log: &mut dyn Log) {
        let now = self.now.wall;
        loop {
            let blocks = self.expiries.take_due(now);
            if blocks.is_empty() {
                break;
            }
            let turns = blocks.iter().flat_map(|block| self.turns(*block));
            let turns = turns.filter(|(second, ..)| is_over(*second, now));
            let mut turns: Vec<(Second, Lsn, Slot)> = turns.collect();
            // In the order of their times, then of their coming.
            turns.sort_unstable();
            for (_, _, slot) in turns {
                self.expire_one(slot, log);
            }
            for block in blocks {
                let next = self.turns(block).map(|(second, ..)| second).min();
                if let Some(second) = next {
                    self.expiries.note(block, second);
                }
            }
        }
        self.expire_fanouts(log);
    }

    /// When the parcels of a block are due next, and in which order they came.
    fn turns(&self, block: Slot) -> impl Iterator<Item = (Second, Lsn, Slot)> + '_ {
        let grace = self.custody_grace();
        self.parcels.block(block).filter_map(move |(slot, kept)| {
            let second = kept.due(self.parcels.in_custody(slot), grace)?;
            Some((second, kept.order, slot))
        })
    }

    fn expire_one(&mut self, slot: Slot, log: &mut dyn Log) {
        // One that was due before it may have been the last thing that it was kept for.
        if self.parcels.find(slot).is_none() {
            return;
        }
        let (now, grace) = (self.now.wall, self.custody_grace());
        let (parcel, expires) = self.parcels.change(slot, |kept| {
            kept.had_turn();
            (kept.digest, kept.expires)
        });
        let gives_up = self.parcels.in_custody(slot) && now >= expires + grace;
        for (neighbour, seq) in self.parcels.copies_of(slot) {
            self.begin_end(&neighbour, seq, State::Expired, Reason::Expiry, "", log);
        }
        if self.inbox.is_shut(slot) {
            let record = Record::Unattached {
                parcel,
                state: State::Expired,
                reason: Reason::Expiry,
                wall: now,
            };
            self.commit(record, log);
            self.reopen();
        }
        if gives_up && self.parcels.find(slot).is_some() {
            self.commit(Record::GivenUp { parcel, wall: now }, log);
        }
    }

    /// Ends a copy: at once when the neighbour cannot have it, else once the neighbour has said so.
    pub(super) fn begin_end(
        &mut self,
        neighbour: &UnitId,
        seq: Seq,
        state: State,
        reason: Reason,
        note: &str,
        log: &mut dyn Log,
    ) {
        let wall = self.now.wall;
        let hop = self.hop(neighbour);
        let Some(queued) = hop.outbox.get(seq) else {
            return;
        };
        if hop.outbox.ending(seq).is_some() {
            return;
        }
        let (neighbour, note) = (neighbour.clone(), note.to_owned());
        let record = if queued.maybe_there() {
            Record::Ending {
                neighbour: neighbour.clone(),
                seq,
                state,
                reason,
                note,
                wall,
            }
        } else {
            Record::Ended {
                neighbour: neighbour.clone(),
                seq,
                state,
                reason,
                note,
                wall,
            }
        };
        self.commit(record, log);
        self.tell_gone(&neighbour);
    }

    /// Tells a neighbour what ended, and what is to end, as far as it may be told now.
    pub(super) fn tell_gone(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        if hop.is_offering() {
            return; // its numbers are about to change
        }
        let Some(session) = self.open_session(hop) else {
            return;
        };
        let (hop, parcels) = self.hop_and_parcels(neighbour);
        let gone = hop.outbox.take_untold(parcels);
        if !gone.is_empty() {
            let frame = Frame::Gone(gone);
            self.after_sync(Output::Send { session, frame });
        }
    }

    fn expire_fanouts(&mut self, log: &mut dyn Log) {
        let limit = self.now.wall.saturating_sub(self.custody_grace());
        let over: Vec<Digest> = self
            .fanouts
            .iter()
            .filter(|(_, all)| all.iter().all(|f| f.expires <= limit))
            .map(|(parcel, _)| *parcel)
            .collect();
        for parcel in over {
            let wall = self.now.wall;
            self.commit(Record::FanoutEnded { parcel, wall }, log);
        }
    }

    pub(super) fn next_fanout_end(&self) -> Option<Millis> {
        let expiries = self.fanouts.values().flatten().map(|f| f.expires);
        expiries.min().map(|at| at + self.custody_grace())
    }

    /// Gives up the memory of messages that are long past.
    pub(super) fn purge(&mut self, log: &mut dyn Log) {
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::PurgeTooEarly) {
            self.seen = super::Memory::default();
            let all: Vec<Slot> = self.parcels.iter().map(|(slot, _)| slot).collect();
            all.into_iter()
                .for_each(|slot| self.parcels.set_seen(slot, false));
        }
        let through = self.now.wall.saturating_sub(self.memory_margin());
        if self.sent.has_expired(through) || self.seen.has_expired(through) {
            self.commit(Record::Purged { through }, log);
            self.reopen();
        }
    }

    /// The neighbours that this hub lost from its memory had their time to come back.
    pub(super) fn end_amnesia(&mut self, log: &mut dyn Log) {
        if self.amnesia_until.is_none_or(|until| until > self.now.mono) {
            return;
        }
        self.amnesia_until = None;
        let strangers: Vec<(UnitId, Vec<Seq>)> = self
            .hops
            .iter()
            .filter(|(unit, _)| !self.is_known(unit) && !self.is_upstream(unit))
            .map(|(unit, hop)| (unit.clone(), hop.outbox.iter().map(|(s, _)| s).collect()))
            .collect();
        for (unit, seqs) in strangers {
            for seq in seqs {
                self.begin_end(&unit, seq, State::Refused, Reason::UnknownUnit, "", log);
            }
        }
    }

    // ---- receipts

    /// Asks for the signatures of receipts that are due.
    pub(super) fn ask_for_receipts(&mut self) {
        for to in self.owed.due(self.now.mono) {
            let (items, expires) = self.owed.begin(&to);
            let number = self.receipts_next;
            self.receipts_next += 1;
            self.receipts_asked.insert(number, to.clone());
            self.outputs.push_back(Output::MakeReceipt {
                number,
                to,
                items,
                expires: expires.max(self.now.wall) + self.custody_grace(),
            });
        }
    }

    pub(super) fn receipt_signed(
        &mut self,
        number: u64,
        parcel: &Parcel,
        header: &Header,
        log: &mut dyn Log,
    ) {
        let Some(to) = self.receipts_asked.remove(&number) else {
            return;
        };
        let Some(lines) = self.owed.in_signing(&to) else {
            return;
        };
        let route = self.next_hop(&Pattern::from(&to));
        let record = Record::ReceiptMade {
            to,
            lines,
            route: route.clone(),
            wall: self.now.wall,
        };
        #[cfg(any(test, feature = "sim"))]
        let route = route.filter(|_| !self.has(super::Bug::LostReceipt));
        if route.is_some() {
            let carried = Carried {
                header,
                bytes: parcel.bytes().len() as u32,
                digest: parcel.digest(),
            };
            self.commit_with(record, Some(carried), Payload::New(parcel.bytes()), log);
        } else {
            self.commit(record, log);
        }
    }

    // ---- the local application

    pub(super) fn inbox_ack(
        &mut self,
        ticket: Ticket,
        messages: Vec<MessageId>,
        log: &mut dyn Log,
    ) {
        let (known, unknown): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .partition(|id| self.inbox_slot(*id).is_some());
        let acked = known.len();
        if acked > 0 {
            let record = Record::InboxAcked {
                messages: known,
                wall: self.now.wall,
            };
            self.commit(record, log);
            self.reopen();
        }
        let answer = Answer::Acked { acked, unknown };
        self.after_sync(Output::Reply { ticket, answer });
        self.serve_polls();
    }

    pub(super) fn inbox_release(&mut self, ticket: Ticket, messages: &[MessageId]) {
        let mut acked = 0;
        let mut unknown = Vec::new();
        for message in messages {
            match self.inbox_slot(*message) {
                Some(slot) if self.inbox.release(slot) => acked += 1,
                _ => unknown.push(*message),
            }
        }
        let answer = Answer::Acked { acked, unknown };
        self.outputs.push_back(Output::Reply { ticket, answer });
        self.serve_polls();
    }

    fn inbox_slot(&self, message: MessageId) -> Option<Slot> {
        self.parcels
            .of_message(message)
            .find(|slot| self.inbox.contains(*slot) && !self.inbox.is_shut(*slot))
    }

    /// Answers applications that wait, while there is something for them, or when their time is up.
    pub(super) fn serve_polls(&mut self) {
        while let Some(poll) = self.polls.front() {
            let is_ready = self.inbox.has_ready(self.synced);
            if !is_ready && poll.until > self.now.mono {
                break;
            }
            let Some(poll) = self.polls.pop_front() else {
                break;
            };
            let mut handed = Vec::new();
            if is_ready {
                let lease = Millis::from(self.settings.limits.inbox_lease_s) * 1000;
                #[cfg(any(test, feature = "sim"))]
                let lease = if self.has(super::Bug::DoubleHandOver) {
                    0
                } else {
                    lease
                };
                let max = poll.max.min(self.settings.limits.inbox_max) as usize;
                let slots = self
                    .inbox
                    .lease(max, poll.ticket, self.now.mono + lease, self.synced);
                for slot in slots {
                    let kept = self.parcels.get(slot);
                    handed.push(super::Handed {
                        message: kept.message,
                        at: self.place_of(slot),
                        received: kept.received,
                    });
                    self.step(slot, self.now.wall, super::Step::Handed);
                }
            }
            let (ticket, answer) = (poll.ticket, Answer::Inbox(handed));
            self.outputs.push_back(Output::Reply { ticket, answer });
        }
        // Those behind the first may be due as well.
        let now = self.now.mono;
        let due: Vec<Ticket> = self
            .polls
            .iter()
            .filter(|poll| poll.until <= now)
            .map(|poll| poll.ticket)
            .collect();
        for ticket in due {
            self.polls.retain(|poll| poll.ticket != ticket);
            let answer = Answer::Inbox(Vec::new());
            self.outputs.push_back(Output::Reply { ticket, answer });
        }
    }
}
