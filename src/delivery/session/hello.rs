//! Hello and resume: who the neighbour is and what it has.

use crate::delivery::{
    Close, Delivery, Event, SessionId,
    hop::{Hello, PROTOCOL_VERSION},
    record::Record,
};
use crate::model::{Log, Millis, UnitId};

use super::{Session, Stage};

/// How long a hub that lost its memory waits for units that it does not know to come back.
const AMNESIA_MS: Millis = 15 * 60 * 1000;
/// How long a node that took a new epoch at a neighbour's word takes no other one so; twice as long after each, up to
/// [`SET_BACK_DOUBLED_MAX`] times.
const SET_BACK_AGAIN_MS: Millis = 60_000;
const SET_BACK_DOUBLED_MAX: u32 = 11;
/// A difference between two clocks that people should know of.
const SKEW_TOLD_MS: u64 = 60_000;

impl Delivery {
    pub(super) fn on_hello(
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
        } else if self.sessions.get(&session).is_some_and(|live| {
            // Who takes a new epoch ends all sessions.
            live.epoch != 0 && live.epoch != hello.epoch
        }) {
            Some(Close::Protocol("a hello of another epoch"))
        } else {
            None
        };
        if let Some(why) = refused {
            self.close(session, why);
            return;
        }
        if let Some(live) = self.sessions.get_mut(&session) {
            live.epoch = hello.epoch;
        }
        let millis = hello.wall.wrapping_sub(self.now.wall) as i64;
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
        let was_forgotten = was_forgotten && !self.has(crate::delivery::Bug::SequenceReuse);
        if was_forgotten {
            self.take_fresh_epoch(session, log);
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
        let (hop, parcels) = self.hop_and_parcels(neighbour);
        // Numbers that were never given out, never sent, or given to something else: an earlier life did, and this folder has
        // forgotten it.
        let lost_own = hello
            .received
            .last()
            .is_some_and(|l| l >= hop.outbox.next())
            || hop.outbox.has_unsent(&hello.received)
            || hello.marks.iter().any(|(seq, mark)| {
                let queued = hop.outbox.get(*seq);
                queued.is_some_and(|queued| parcels.get(queued.slot).digest.mark() != *mark)
            });
        let lost_theirs = hello.base > hop.inbound.durable().gap(1);
        #[cfg(any(test, feature = "sim"))]
        let lost_own = lost_own && !self.has(crate::delivery::Bug::SequenceReuse);
        #[cfg(any(test, feature = "sim"))]
        let lost_theirs = lost_theirs && !self.has(crate::delivery::Bug::SequenceReuse);
        if lost_own || lost_theirs {
            self.take_fresh_epoch(session, log);
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
        if hello.next > 0 {
            hop.inbound.settle_at(hello.next);
        }
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
    pub(super) fn has_said_hello(&self, session: SessionId) -> bool {
        let Some(live) = self.sessions.get(&session) else {
            return false;
        };
        let numbered_at = self.hops.get(&live.neighbour).map_or(0, |h| h.numbered_at);
        live.hello_at.max(numbered_at) <= self.synced
    }

    /// This node's own hello has left: parcels may flow.
    pub(super) fn open(&mut self, session: SessionId, log: &mut dyn Log) {
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
        self.tell_terms(session);
        self.prove_if_second(session, &neighbour);
        let now = self.now.mono;
        let hop = self.hop(&neighbour);
        hop.outbox.fresh_session();
        // The hello was made some time ago, and more has come over another session since.
        hop.inbound.say_all();
        hop.inbound.ack_due = Some(now); // tells the credit
        hop.outbox.tell_again();
        self.tell_gone(&neighbour);
        self.offer(&neighbour);
        self.relieve_silent(&neighbour);
        if !early.is_empty() {
            self.arrive(session, &neighbour, early, log);
        }
        self.settle_orphans(&neighbour, log);
        self.blobs_say_again(&neighbour);
        self.pump(&neighbour);
    }

    /// Takes a new epoch: every hop is numbered afresh, and every session starts anew.
    pub(in crate::delivery) fn take_epoch(&mut self, epoch: u64, log: &mut dyn Log) {
        let wall = self.now.wall;
        self.commit(Record::Epoch { epoch, wall }, log);
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in all {
            self.close(session, Close::NewEpoch);
        }
    }

    /// This folder is older than what a neighbour remembers: it was copied or rolled back, or so the neighbour says. It costs all neighbours
    /// their sessions, so that one of them may bring it about now and then, and no more.
    fn take_fresh_epoch(&mut self, session: SessionId, log: &mut dyn Log) {
        let (count, at) = self.set_back;
        let patience = SET_BACK_AGAIN_MS << count.min(SET_BACK_DOUBLED_MAX);
        if count > 0 && self.now.mono < at + patience {
            self.close(session, Close::Protocol("it remembers what never was"));
            return;
        }
        self.set_back = (count + 1, self.now.mono);
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
    pub(in crate::delivery) fn settle_orphans(&mut self, neighbour: &UnitId, log: &mut dyn Log) {
        if self.hop(neighbour).inbound.has_settled() {
            let neighbour = neighbour.clone();
            self.commit(Record::Settled { neighbour }, log);
        }
    }
}
