//! Sessions: they come and go, and what neighbours say over them.

mod acks;
mod batches;
mod choice;
mod custody;
mod hello;
mod links;

pub use self::choice::Trust;
use self::links::Line;
use super::{
    Close, Delivery, LinkInfo, Output, SessionId, Step,
    hop::{BATCH_BYTES_FULL, Epoch, Frame, Hello, LinkTerms, PROTOCOL_VERSION, Seq},
    input::Path,
    record::Record,
};
use crate::model::{Log, Lsn, UnitId};

use super::Arrival;

/// A live session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) neighbour: UnitId,
    pub(super) link: LinkInfo,
    line: Line,
    stage: Stage,
    /// The neighbour's epoch as it has said it here; 0 before.
    epoch: Epoch,
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

/// How long the line may take for the first batch of a backlog, about.
const FIRST_BATCH_MS: u64 = 25;
/// The first batch of a backlog takes no further parcel once it has so many bytes, however slow the line is.
const FIRST_BATCH_BYTES_MIN: u64 = 8 * 1024;
/// Parcels that may come ahead of a hello.
const EARLY_MAX: usize = 4096;
/// Bytes of parcels that may come ahead of a hello: more than the credit of every lane before any was told, and a large batch.
const EARLY_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Session {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Batches that it may still be given.
    fn grants(&self, express: bool) -> u16 {
        if express { self.express } else { self.bulk }
    }

    /// What is known of its line, for people.
    pub(super) fn line(&self) -> (Path, LinkTerms, Trust) {
        (self.line.path, self.line.terms, self.line.trust())
    }

    /// The bytes of a batch when nothing else is under way. Nothing of a batch is of use before its last byte: on a slow line a backlog begins to
    /// arrive the sooner, the smaller its first batch.
    fn first_batch(&self) -> u64 {
        let in_time = self.line.path.rate.saturating_mul(FIRST_BATCH_MS) / 1000;
        in_time.clamp(FIRST_BATCH_BYTES_MIN, BATCH_BYTES_FULL)
    }

    pub(super) fn use_grant(&mut self, express: bool) {
        let grants = match express {
            true => &mut self.express,
            false => &mut self.bulk,
        };
        *grants = grants.saturating_sub(1);
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
                line: Line::default(),
                stage: Stage::ExpectHello { early: Vec::new() },
                epoch: 0,
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
            marks: hop.inbound.marks(),
            base: hop.outbox.base(),
            next: match hop.is_offering() {
                true => 0,
                false => hop.outbox.next(),
            },
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
        self.give_back(session, &neighbour, &gone.link.name, gone.leases);
        // Whoever is still there goes on with what came back, and hears again what may not have been heard.
        self.parked.retain(
            |(_, output)| !matches!(output, Output::Send { session: s, .. } if *s == session),
        );
        self.offer(&neighbour);
        self.hop(&neighbour).outbox.tell_again();
        self.tell_gone(&neighbour);
        self.ack_soon(&neighbour);
        self.blobs_session_down(session, &neighbour);
        self.pump(&neighbour);
    }

    /// What was leased to a session that lives on, and was not acked, goes again.
    pub(super) fn send_again(&mut self, session: SessionId) {
        #[cfg(any(test, feature = "sim"))]
        if self.has(super::Bug::NotSentAgain) {
            return;
        }
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        let leases = std::mem::take(&mut live.leases);
        let (neighbour, link) = (live.neighbour.clone(), live.link.name.clone());
        self.give_back(session, &neighbour, &link, leases);
        self.pump(&neighbour);
    }

    fn give_back(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        link: &str,
        mut leases: Vec<Seq>,
    ) -> u64 {
        let (hop, parcels) = self.hop_and_parcels(neighbour);
        let outbox = &mut hop.outbox;
        leases.retain(|seq| outbox.lessee(*seq) == Some(session));
        let slots: Vec<_> = leases
            .iter()
            .filter_map(|seq| Some(outbox.get(*seq)?.slot))
            .collect();
        let count = leases.len() as u64;
        outbox.give_back(leases, parcels);
        for slot in slots {
            let what = Step::Returned {
                neighbour: neighbour.clone(),
                link: link.to_owned(),
            };
            self.step(slot, self.now.wall, what);
        }
        count
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
                let bytes: usize = early.iter().map(|a| a.parcel.bytes().len()).sum();
                if early.len() > EARLY_MAX || bytes > EARLY_BYTES_MAX {
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
            Frame::Numbered(next) => {
                self.hop(&neighbour).inbound.settle_at(next);
                self.settle_orphans(&neighbour, log);
            }
            Frame::Offer(parcels) => self.on_offer(session, parcels),
            Frame::OfferAnswer(answer) => self.on_offer_answer(&neighbour, answer, log),
            Frame::Terms(terms) => self.terms_told(session, terms),
            Frame::Want(want) => self.on_want(session, &neighbour, want),
            Frame::Unwant(digest) => self.on_unwant(&neighbour, digest),
            Frame::Have(have) => self.on_have(session, &neighbour, have),
            Frame::Absent(absent) => self.on_absent(&neighbour, absent),
            Frame::Present(digest) => self.on_present(&neighbour, digest),
            Frame::WantCertificates(_)
            | Frame::Certificate(_)
            | Frame::Dictionaries(_)
            | Frame::DictionaryAnswer(..)
            | Frame::Generation(_)
            | Frame::GenerationAnswer(..)
            | Frame::Moved => {
                debug_assert!(
                    false,
                    "the driver serves certificates, dictionaries and generations, and minds addresses"
                );
            }
        }
        self.pump(&neighbour);
    }
}
