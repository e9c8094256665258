//! Sessions: hello, resume, acks and credit, offers, batches.

use super::{
    Close, Delivery, Departure, Event, LinkInfo, Output, SessionId, Step,
    hop::{Ack, Entry, Frame, GoneAnswer, Hello, Hop, OfferAnswer, PROTOCOL_VERSION, Seq, Targets},
    record::Record,
};
use crate::model::{Digest, Lane, Log, Lsn, Millis, Pattern, Ranges, UnitId};

use super::Arrival;

/// A live session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) neighbour: UnitId,
    pub(super) link: LinkInfo,
    stage: Stage,
    /// Batches that it may still be given: express, bulk.
    express: u16,
    bulk: u16,
    /// Numbers that were leased to it; some may be acked since.
    leases: Vec<Seq>,
    /// This node's last hello leaves when this record is synced; nothing may leave before it.
    hello_at: Lsn,
}

#[derive(Debug)]
enum Stage {
    /// The neighbour has not yet said a hello that fits this node's epoch. What it sends ahead of it waits here.
    ExpectHello { early: Vec<Arrival> },
    /// Both know each other's epochs; this node's own hello leaves when its record is synced.
    Opening { early: Vec<Arrival> },
    /// Parcels flow.
    Open,
}

/// An ack waits at most so long for company.
const ACK_DELAY_MS: Millis = 20;
/// So many numbers are acked at once.
const ACK_AT_ONCE: u64 = 64;
/// Bytes that a neighbour may have under way in one lane.
const CREDIT_MAX: u64 = 8 * 1024 * 1024;
/// Parcels that may come ahead of a hello.
const EARLY_MAX: usize = 4096;
/// Offers in one frame.
const OFFERS_MAX: usize = 1024;
/// How long a hub that lost its memory waits for units that it does not know to come back.
const AMNESIA_MS: Millis = 15 * 60 * 1000;
/// A difference between two clocks that people should know of.
const SKEW_TOLD_MS: u64 = 60_000;

impl Session {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }
}

impl Delivery {
    pub(super) fn session_up(
        &mut self,
        session: SessionId,
        neighbour: UnitId,
        link: LinkInfo,
        log: &mut dyn Log,
    ) {
        let refused = if self.is_blocked(&neighbour) {
            Some(Close::Blocked)
        } else if neighbour == self.settings.unit
            || !(self.is_upstream(&neighbour) || self.settings.listens)
            || (!self.is_known(&neighbour)
                && !self.is_upstream(&neighbour)
                && self.met.len() >= self.settings.limits.units as usize)
        {
            Some(Close::NotANeighbour)
        } else {
            None
        };
        if let Some(why) = refused {
            self.outputs.push_back(Output::Close { session, why });
            return;
        }
        if !self.is_upstream(&neighbour) && !self.met.contains(&neighbour) {
            let unit = neighbour.clone();
            self.commit(Record::UnitMet { unit }, log);
        }
        let replaced: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.neighbour == neighbour && s.link.name == link.name)
            .map(|(id, _)| *id)
            .collect();
        self.sessions.insert(
            session,
            Session {
                neighbour: neighbour.clone(),
                link,
                stage: Stage::ExpectHello { early: Vec::new() },
                express: 0,
                bulk: 0,
                leases: Vec::new(),
                hello_at: 0,
            },
        );
        self.hop(&neighbour).sessions.insert(session);
        for old in replaced {
            self.close(old, Close::Replaced);
        }
        self.say_hello(session);
    }

    fn say_hello(&mut self, session: SessionId) {
        let Some(live) = self.sessions.get(&session) else {
            return;
        };
        let Some(hop) = self.hops.get(&live.neighbour) else {
            return;
        };
        let frame = Frame::Hello(Hello {
            version: PROTOCOL_VERSION,
            unit: self.settings.unit.clone(),
            epoch: self.epoch,
            peer_epoch: hop.peer_epoch,
            received: hop.inbound.received(),
            base: hop.outbox.base(),
            next: hop.outbox.next(),
            wall: self.now.wall,
            link_kind: live.link.kind.clone(),
            link_name: live.link.name.clone(),
        });
        if let Some(live) = self.sessions.get_mut(&session) {
            live.hello_at = self.lsn;
        }
        // Nothing is said of new numbers before they are on stable storage: they would be given twice.
        self.after_sync(Output::Send { session, frame });
    }

    /// Ends a session from this side; the driver's `SessionDown` finds nothing left of it.
    pub(super) fn close(&mut self, session: SessionId, why: Close) {
        if self.sessions.contains_key(&session) {
            self.outputs.push_back(Output::Close { session, why });
            self.session_down(session);
        }
    }

    pub(super) fn session_down(&mut self, session: SessionId) {
        let Some(gone) = self.sessions.remove(&session) else {
            return;
        };
        let neighbour = gone.neighbour.clone();
        let hop = self.hop(&neighbour);
        hop.sessions.remove(&session);
        let mut back = gone.leases;
        back.retain(|seq| hop.outbox.lessee(*seq) == Some(session));
        let slots: Vec<_> = back
            .iter()
            .filter_map(|seq| Some(hop.outbox.get(*seq)?.slot))
            .collect();
        hop.offered = false;
        if hop.sessions.is_empty() {
            hop.inbound.forget_news();
        } else {
            hop.inbound.say_all();
        }
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::DroppedLease) {
            return;
        }
        self.hop(&neighbour).outbox.give_back(back);
        for slot in slots {
            let what = Step::Returned {
                neighbour: neighbour.clone(),
                link: gone.link.name.clone(),
            };
            self.step(slot, self.now.wall, what);
        }
        // Whoever is still there goes on with what came back, and hears again what may not have been heard.
        self.parked.retain(
            |(_, output)| !matches!(output, Output::Send { session: s, .. } if *s == session),
        );
        self.offer(&neighbour);
        self.hop(&neighbour).outbox.tell_again();
        self.tell_gone(&neighbour);
        self.ack_soon(&neighbour);
        self.pump(&neighbour);
    }

    pub(super) fn grant(&mut self, session: SessionId, express: u16, bulk: u16) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        live.express = live.express.saturating_add(express);
        live.bulk = live.bulk.saturating_add(bulk);
        let neighbour = live.neighbour.clone();
        self.pump(&neighbour);
    }

    pub(super) fn on_arrivals(
        &mut self,
        session: SessionId,
        arrivals: Vec<Arrival>,
        log: &mut dyn Log,
    ) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        let neighbour = live.neighbour.clone();
        match &mut live.stage {
            Stage::ExpectHello { early } | Stage::Opening { early } => {
                early.extend(arrivals);
                if early.len() > EARLY_MAX {
                    self.close(session, Close::Protocol("too much comes before hello"));
                }
            }
            Stage::Open => self.arrive(session, &neighbour, arrivals, log),
        }
    }

    pub(super) fn on_frame(&mut self, session: SessionId, frame: Frame, log: &mut dyn Log) {
        let Some(live) = self.sessions.get(&session) else {
            return;
        };
        let neighbour = live.neighbour.clone();
        if !matches!(frame, Frame::Hello(_)) && matches!(live.stage, Stage::ExpectHello { .. }) {
            self.close(session, Close::Protocol("a frame comes before hello"));
            return;
        }
        match frame {
            Frame::Hello(hello) => self.on_hello(session, &neighbour, hello, log),
            Frame::Ack(ack) => self.on_ack(session, &neighbour, ack, log),
            Frame::Gone(seqs) => self.on_gone(session, &neighbour, seqs, log),
            Frame::GoneAnswer(answer) => self.on_gone_answer(&neighbour, &answer, log),
            Frame::Offer(parcels) => self.on_offer(session, parcels),
            Frame::OfferAnswer(answer) => self.on_offer_answer(&neighbour, answer, log),
            Frame::WantCertificates(_) | Frame::Certificate(_) => {
                debug_assert!(false, "the driver serves certificates");
            }
        }
        self.pump(&neighbour);
    }

    // ---- hello and resume

    fn on_hello(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        hello: Hello,
        log: &mut dyn Log,
    ) {
        let refused = if hello.unit != *neighbour {
            Some(Close::Unit(hello.unit.clone()))
        } else if hello.version != PROTOCOL_VERSION {
            Some(Close::Version(hello.version))
        } else if hello.epoch == 0 {
            Some(Close::Protocol("a hello without an epoch"))
        } else if self.sessions.get(&session).is_some_and(Session::is_open) {
            Some(Close::Protocol("a hello in an open session"))
        } else {
            None
        };
        if let Some(why) = refused {
            self.close(session, why);
            return;
        }
        let millis = hello.wall as i64 - self.now.wall as i64;
        if millis.unsigned_abs() > SKEW_TOLD_MS {
            self.event(Event::ClockSkew {
                neighbour: neighbour.clone(),
                millis,
            });
        }
        if self.settings.listens && hello.peer_epoch != 0 && hello.peer_epoch != self.epoch {
            // It knew this hub before: the hub has lost its memory, of units too.
            self.amnesia_until = Some(self.now.mono + AMNESIA_MS);
        }
        let is_new = hello.epoch != self.hop(neighbour).peer_epoch;
        // It numbers against this node's present epoch and has spoken with it since, and this node has never heard of it.
        let was_forgotten = is_new
            && hello.peer_epoch == self.epoch
            && (!hello.received.is_empty() || hello.base > 1);
        #[cfg(any(test, feature = "sim"))]
        let was_forgotten = was_forgotten && !self.has(super::Bug::SequenceReuse);
        if was_forgotten {
            self.take_fresh_epoch(log);
            return;
        }
        if is_new {
            let met = self.hop(neighbour).peer_epoch != 0;
            let record = Record::HopReset {
                neighbour: neighbour.clone(),
                peer_epoch: hello.epoch,
                forget_waiting: met && self.is_upstream(neighbour),
            };
            self.commit(record, log);
            self.close_others(neighbour, session);
            self.say_hello(session);
        }
        if hello.peer_epoch != self.epoch {
            return; // It will learn of this node's epoch and say hello again.
        }
        let hop = self.hop(neighbour);
        // Numbers that were never given out, or never sent: an earlier life did, and this folder has forgotten it.
        let lost_own = hello
            .received
            .last()
            .is_some_and(|l| l >= hop.outbox.next())
            || hop.outbox.has_unsent(&hello.received);
        let lost_theirs = hello.base > hop.inbound.durable().watermark() + 1;
        #[cfg(any(test, feature = "sim"))]
        let lost_own = lost_own && !self.has(super::Bug::SequenceReuse);
        #[cfg(any(test, feature = "sim"))]
        let lost_theirs = lost_theirs && !self.has(super::Bug::SequenceReuse);
        if lost_own || lost_theirs {
            self.take_fresh_epoch(log);
            return;
        }
        let acked = Record::Acked {
            neighbour: neighbour.clone(),
            seqs: hello.received,
        };
        let Record::Acked { seqs, .. } = &acked else {
            return;
        };
        if !self.hop(neighbour).outbox.among(seqs).is_empty() {
            self.commit(acked, log);
        }
        let hop = self.hop(neighbour);
        hop.inbound.forget_gone_below(hello.base);
        hop.inbound.settle_at(hello.next);
        if let Some(live) = self.sessions.get_mut(&session)
            && let Stage::ExpectHello { early } = &mut live.stage
        {
            let early = std::mem::take(early);
            live.stage = Stage::Opening { early };
        }
        if self.has_said_hello(session) {
            self.open(session, log);
        }
    }

    /// Whether this node's last hello has left, with the numbers that the hop has now.
    fn has_said_hello(&self, session: SessionId) -> bool {
        let Some(live) = self.sessions.get(&session) else {
            return false;
        };
        let numbered_at = self.hops.get(&live.neighbour).map_or(0, |h| h.numbered_at);
        live.hello_at.max(numbered_at) <= self.synced
    }

    /// This node's own hello has left: parcels may flow.
    fn open(&mut self, session: SessionId, log: &mut dyn Log) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        let Stage::Opening { early } = std::mem::replace(&mut live.stage, Stage::Open) else {
            return;
        };
        let (neighbour, link) = (live.neighbour.clone(), live.link.name.clone());
        self.event(Event::Open {
            session,
            neighbour: neighbour.clone(),
            link,
        });
        let now = self.now.mono;
        let hop = self.hop(&neighbour);
        hop.outbox.fresh_session();
        // The hello was made some time ago, and more has come over another session since.
        hop.inbound.say_all();
        hop.inbound.ack_due = Some(now); // tells the credit
        hop.outbox.tell_again();
        self.tell_gone(&neighbour);
        self.offer(&neighbour);
        if !early.is_empty() {
            self.arrive(session, &neighbour, early, log);
        }
        self.settle_orphans(&neighbour, log);
        self.pump(&neighbour);
    }

    /// Takes a new epoch: every hop is numbered afresh, and every session starts anew.
    pub(super) fn take_epoch(&mut self, epoch: u64, log: &mut dyn Log) {
        let wall = self.now.wall;
        self.commit(Record::Epoch { epoch, wall }, log);
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in all {
            self.close(session, Close::NewEpoch);
        }
    }

    /// This folder is older than what a neighbour remembers: it was copied or rolled back.
    fn take_fresh_epoch(&mut self, log: &mut dyn Log) {
        let fresh = self.epoch ^ self.now.wall.rotate_left(20) ^ self.lsn.rotate_left(48);
        self.take_epoch(fresh.max(1), log);
    }

    fn close_others(&mut self, neighbour: &UnitId, but: SessionId) {
        let others: Vec<SessionId> = self.hop(neighbour).sessions.iter().copied().collect();
        for other in others.into_iter().filter(|other| *other != but) {
            self.close(other, Close::NewEpoch);
        }
    }

    /// What had waited in an earlier epoch is released once everything is here that the neighbour had then.
    pub(super) fn settle_orphans(&mut self, neighbour: &UnitId, log: &mut dyn Log) {
        if self.hop(neighbour).inbound.has_settled() {
            let neighbour = neighbour.clone();
            self.commit(Record::Settled { neighbour }, log);
        }
    }

    // ---- custody

    fn offer(&mut self, neighbour: &UnitId) {
        let hop = self.hop(neighbour);
        if hop.offers.is_empty() || hop.offered {
            return;
        }
        let offers: Vec<Digest> = hop.offers.iter().copied().collect();
        let Some(session) = self
            .hops
            .get(neighbour)
            .and_then(|hop| self.open_session(hop))
        else {
            return;
        };
        self.hop(neighbour).offered = true;
        for chunk in offers.chunks(OFFERS_MAX) {
            let frame = Frame::Offer(chunk.to_vec());
            self.outputs.push_back(Output::Send { session, frame });
        }
    }

    fn on_offer(&mut self, session: SessionId, parcels: Vec<Digest>) {
        let (had, lacked) = parcels
            .into_iter()
            .partition(|digest| self.parcels.of_digest(*digest).is_some());
        let frame = Frame::OfferAnswer(OfferAnswer { lacked, had });
        // What is here may not be synced yet.
        self.after_sync(Output::Send { session, frame });
    }

    fn on_offer_answer(&mut self, neighbour: &UnitId, answer: OfferAnswer, log: &mut dyn Log) {
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
        if !hop.offers.is_empty() || !hop.offered {
            return;
        }
        let lacked = std::mem::take(&mut hop.lacked);
        hop.offered = false;
        let record = Record::Requeued {
            neighbour: neighbour.clone(),
            lacked,
        };
        self.commit(record, log);
        self.tell_gone(neighbour);
    }

    // ---- acks and credit

    fn on_ack(&mut self, session: SessionId, neighbour: &UnitId, ack: Ack, log: &mut dyn Log) {
        let hop = self.hop(neighbour);
        if ack.received.last().is_some_and(|l| l >= hop.outbox.next()) {
            self.close(session, Close::Protocol("it acks what was never sent"));
            return;
        }
        hop.outbox.set_credit(ack.credit);
        for unit in ack.closed {
            hop.outbox.close(unit);
        }
        for unit in &ack.open {
            hop.outbox.open(unit);
        }
        let mut parked = Vec::new();
        for seq in hop.outbox.among(&ack.parked) {
            if let Some(queued) = hop.outbox.get(seq) {
                parked.push(queued.slot);
            }
            hop.outbox.park(seq);
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

    fn on_gone(&mut self, session: SessionId, neighbour: &UnitId, seqs: Ranges, log: &mut dyn Log) {
        if seqs.count() > 1_000_000 {
            self.close(session, Close::Protocol("too many numbers are gone"));
            return;
        }
        let hop = self.hop(neighbour);
        let (mut had, mut gone) = (Ranges::new(), Ranges::new());
        for seq in seqs.iter().flat_map(|(start, end)| start..=end) {
            let came = hop.inbound.has(seq) && !hop.inbound.is_gone(seq);
            if came { &mut had } else { &mut gone }.insert(seq);
        }
        if !gone.is_empty() {
            let record = Record::GoneIn {
                neighbour: neighbour.clone(),
                seqs: gone.clone(),
            };
            self.commit(record, log);
        }
        let frame = Frame::GoneAnswer(GoneAnswer { had, gone });
        self.after_sync(Output::Send { session, frame });
        self.settle_orphans(neighbour, log);
        self.pump_all();
    }

    fn on_gone_answer(&mut self, neighbour: &UnitId, answer: &GoneAnswer, log: &mut dyn Log) {
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
            let Some(ending) = self
                .hop(neighbour)
                .outbox
                .get(seq)
                .and_then(|q| q.ending.clone())
            else {
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

    pub(super) fn ack_soon(&mut self, neighbour: &UnitId) {
        let now = self.now.mono;
        let inbound = &mut self.hop(neighbour).inbound;
        if inbound.has_to_say() {
            let delay = if inbound.news() >= ACK_AT_ONCE {
                0
            } else {
                ACK_DELAY_MS
            };
            let due = inbound.ack_due.map_or(now + delay, |d| d.min(now + delay));
            inbound.ack_due = Some(due);
        }
    }

    /// Sends the acks that are due.
    pub(super) fn flush_acks(&mut self) {
        let now = self.now.mono;
        let due: Vec<UnitId> = self
            .hops
            .iter()
            .filter(|(_, hop)| hop.inbound.ack_due.is_some_and(|due| due <= now))
            .map(|(neighbour, _)| neighbour.clone())
            .collect();
        for neighbour in due {
            let Some(session) = self.hops.get(&neighbour).and_then(|h| self.open_session(h)) else {
                self.hop(&neighbour).inbound.ack_due = None;
                continue;
            };
            let credit = self.credit();
            let ack = self.hop(&neighbour).inbound.take_news(credit);
            let frame = Frame::Ack(ack);
            self.outputs.push_back(Output::Send { session, frame });
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
    pub(super) fn tell_starved(&mut self) {
        if self.credit().contains(&0) {
            return;
        }
        let now = self.now.mono;
        for hop in self.hops.values_mut() {
            if hop.inbound.found_room() {
                hop.inbound.ack_due = Some(now);
            }
        }
    }

    /// Tells neighbours of receivers that have room again: at three quarters of their bound.
    pub(super) fn reopen(&mut self) {
        let told: Vec<(UnitId, UnitId)> = self
            .hops
            .iter()
            .flat_map(|(n, hop)| hop.inbound.closed().map(|u| (n.clone(), u.clone())))
            .collect();
        for (neighbour, unit) in told {
            let is_here = unit == self.settings.unit;
            let (depth, bytes) = if is_here {
                (self.inbox.len(), self.inbox.bytes())
            } else {
                let total = self.hops.get(&unit).map(|h| h.outbox.total());
                let total = total.unwrap_or_default();
                (total.messages, total.bytes)
            };
            // A third more than there is must still fit.
            let takes = if is_here {
                self.inbox_takes(Lane::Normal, depth.div_ceil(3), bytes.div_ceil(3))
            } else {
                self.queue_takes(&unit, Lane::Normal, depth.div_ceil(3), bytes.div_ceil(3))
            };
            if takes.is_ok() {
                self.hop(&neighbour).inbound.open(unit);
                self.ack_soon(&neighbour);
            }
        }
    }

    /// Records are synced: what they stored can be acked, and what they queued can leave.
    pub(super) fn hops_synced(&mut self, log: &mut dyn Log) {
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

    // ---- batches

    /// The newest session with a neighbour over which parcels flow.
    pub(super) fn open_session(&self, hop: &Hop) -> Option<SessionId> {
        let newest_first = hop.sessions.iter().rev();
        newest_first
            .copied()
            .find(|id| self.sessions.get(id).is_some_and(Session::is_open))
    }

    pub(super) fn pump_all(&mut self) {
        let neighbours: Vec<UnitId> = self
            .hops
            .iter()
            .filter(|(_, hop)| !hop.sessions.is_empty() && !hop.outbox.is_empty())
            .map(|(n, _)| n.clone())
            .collect();
        for neighbour in neighbours {
            self.pump(&neighbour);
        }
    }

    /// Gives the sessions of a neighbour as many batches as they can carry.
    pub(super) fn pump(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        if hop.is_offering() {
            return; // first it is to be known what the neighbour lacks, or order would suffer
        }
        let sessions: Vec<SessionId> = hop.sessions.iter().rev().copied().collect();
        for session in sessions {
            for express in [true, false] {
                while self.pump_one(neighbour, session, express) {}
            }
        }
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
        let Some((lane, seqs)) = hop.outbox.pick(express, session) else {
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
            let kept = self.parcels.get(queued.slot);
            // Written again and not readable there yet?
            let before = self.moving.get(&queued.slot).map(|(_, before)| *before);
            let you = queued.for_whom.len() == 1 && queued.for_whom[0] == Pattern::from(neighbour);
            let targets = if queued.as_signed {
                Targets::Signed
            } else if you {
                Targets::You
            } else {
                Targets::Named(queued.for_whom.clone())
            };
            let after = queued.after.iter().filter(|b| **b < seq);
            #[cfg(any(test, feature = "sim"))]
            let after = after.filter(|_| self.bug != Some(super::Bug::ReorderInCase));
            parcels.push(Departure {
                entry: Entry {
                    seq,
                    after: after.map(|before| seq - before).collect(),
                    targets,
                    attested: kept.attested,
                },
                at: before.unwrap_or(kept.location),
            });
            slots.push(queued.slot);
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
