//! Several links to one neighbour: what each session is given, and what becomes of it when a link falls silent.
//!
//! Quinn repeats what is lost on a session's own path, for ever if need be. A path that does not answer for max(4 round trips, 600 ms)
//! is *silent*; the driver says so. Then what was leased to it goes over another session that answers, and so does whatever was said
//! over it and may not have been heard. The neighbour drops what comes twice. A session that is alone keeps its leases: nothing would be won.
//! A link that answers again, or that is new beside another one, proves itself for [`PROVING_MS`] before it gets work that another can do.

use crate::delivery::{
    Delivery, Event, Output, SessionId,
    hop::{Frame, Hop, LinkTerms, Seq, Takes},
    input::Path,
};
use crate::model::{Lane, Millis, UnitId};

use super::{
    Session,
    choice::{Candidate, Cargo, Trust, choose, second},
};

/// How long a link has to answer before it gets work that another link can do.
pub(super) const PROVING_MS: Millis = 5_000;

/// What is assumed of a path before it is known.
const PATH_AT_FIRST: Path = Path {
    rate: 32 * 1024,
    rtt_ms: 333,
    answers: true,
};

/// What is known of a session's line, and what it is used for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) path: Path,
    pub(super) terms: LinkTerms,
    /// Until when it has to prove itself, monotonic.
    proving: Option<Millis>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            path: PATH_AT_FIRST,
            terms: LinkTerms::default(),
            proving: None,
        }
    }
}

impl Line {
    pub(super) fn trust(&self) -> Trust {
        match (self.path.answers, self.proving) {
            (false, _) => Trust::Silent,
            (true, Some(_)) => Trust::Proving,
            (true, None) => Trust::Sound,
        }
    }
}

impl Delivery {
    // ---- the choice

    /// The session that takes `size` bytes of a lane's class now, when `waiting` bytes in all wait there; none when they are to wait.
    /// Batches are given out by it, and whatever else is leased to sessions.
    pub(in crate::delivery) fn choose_session(
        &self,
        neighbour: &UnitId,
        express: bool,
        size: u64,
        waiting: u64,
    ) -> Option<SessionId> {
        let hop = self.hops.get(neighbour)?;
        if let (Some(only), 1) = (hop.sessions.first(), hop.sessions.len()) {
            let live = self.sessions.get(only).filter(|s| s.is_open())?;
            return (live.grants(express) > 0 && self.carries(live, express)).then_some(*only);
        }
        let candidates: Vec<Candidate> = self
            .candidates(hop, express)
            .filter(|(live, _)| self.carries(live, express))
            .map(|(_, candidate)| candidate)
            .collect();
        let can_wait = !express;
        choose(
            &candidates,
            Cargo {
                size,
                waiting,
                can_wait,
            },
        )
    }

    /// Whether parcels of a class may go over a session's link.
    fn carries(&self, live: &Session, express: bool) -> bool {
        #[cfg(any(test, feature = "sim"))]
        if self.has(crate::delivery::Bug::IgnoredTerms) {
            return true;
        }
        express || live.line.terms.takes == Takes::All
    }

    /// A session of another link for a copy of a flash message.
    pub(super) fn second_session(
        &self,
        neighbour: &UnitId,
        first: SessionId,
        size: u64,
    ) -> Option<SessionId> {
        let hop = self.hops.get(neighbour).filter(|h| h.sessions.len() > 1)?;
        let candidates: Vec<Candidate> = self.candidates(hop, true).map(|(_, c)| c).collect();
        second(&candidates, first, size)
    }

    fn candidates(&self, hop: &Hop, express: bool) -> impl Iterator<Item = (&Session, Candidate)> {
        // The newest first: of equals it is the one that was set up by what is known last.
        hop.sessions.iter().rev().filter_map(move |session| {
            let live = self.sessions.get(session).filter(|s| s.is_open())?;
            let candidate = Candidate {
                session: *session,
                path: live.line.path,
                under_way: hop.outbox.under_way(*session)
                    + self.runs_under_way(&live.neighbour, *session),
                cost_ms: live.line.terms.cost_ms.into(),
                trust: live.line.trust(),
                has_room: live.grants(express) > 0,
            };
            Some((live, candidate))
        })
    }

    /// The session to say something over: one that answers, and of these the one that is cheap and quick.
    pub(in crate::delivery) fn open_session(&self, hop: &Hop) -> Option<SessionId> {
        self.open_sessions(hop)
            .min_by_key(|(_, live)| {
                let Line { path, terms, .. } = &live.line;
                let delay = u64::from(terms.cost_ms) + u64::from(path.rtt_ms);
                (live.line.trust(), delay)
            })
            .map(|(session, _)| session)
    }

    /// Answers what came over `session`, once all is synced: over the same, for whoever asked asks again when that one is gone, and over
    /// another that is better relied on. The other end of the other one may be gone already, which asks nobody again.
    pub(super) fn answer(&mut self, session: SessionId, frame: Frame) {
        let live = self.sessions.get(&session);
        let silent = live.filter(|live| live.line.trust() == Trust::Silent);
        let other = silent
            .and_then(|live| self.hops.get(&live.neighbour))
            .and_then(|hop| self.open_session(hop))
            .filter(|other| *other != session);
        if let Some(session) = other {
            let frame = frame.clone();
            self.after_sync(Output::Send { session, frame });
        }
        self.after_sync(Output::Send { session, frame });
    }

    /// The sessions with a neighbour over which parcels flow, the newest first.
    pub(in crate::delivery) fn open_sessions(
        &self,
        hop: &Hop,
    ) -> impl Iterator<Item = (SessionId, &Session)> {
        let newest_first = hop.sessions.iter().rev();
        newest_first.filter_map(|id| {
            let live = self.sessions.get(id).filter(|s| s.is_open())?;
            Some((*id, live))
        })
    }

    // ---- what is known of links

    /// A session is open: beside another one that can be relied on, it has to prove itself.
    pub(super) fn prove_if_second(&mut self, session: SessionId, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour) else {
            return;
        };
        let others = self.open_sessions(hop).filter(|(id, _)| *id != session);
        if others
            .into_iter()
            .any(|(_, s)| s.line.trust() == Trust::Sound)
        {
            self.prove(session);
        }
    }

    fn prove(&mut self, session: SessionId) {
        let until = self.now.mono + PROVING_MS;
        if let Some(live) = self.sessions.get_mut(&session) {
            live.line.proving = Some(until);
            self.proving.insert((until, session));
        }
    }

    /// Links that have answered for long enough can be relied on again.
    pub(in crate::delivery) fn end_proving(&mut self) {
        while let Some((until, session)) = self.proving.first().copied() {
            if until > self.now.mono {
                return;
            }
            self.proving.pop_first();
            let Some(live) = self.sessions.get_mut(&session) else {
                continue;
            };
            if live.line.proving == Some(until) {
                live.line.proving = None;
                let neighbour = live.neighbour.clone();
                self.pump(&neighbour);
            }
        }
    }

    /// The driver tells what it knows of a session's path.
    pub(in crate::delivery) fn on_path(&mut self, session: SessionId, path: Path) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        let before = std::mem::replace(&mut live.line.path, path);
        let neighbour = live.neighbour.clone();
        match (before.answers, path.answers) {
            (true, false) => self.fell_silent(session, &neighbour),
            (false, true) => self.answers_again(session, &neighbour),
            _ => {}
        }
        self.pump(&neighbour);
    }

    fn fell_silent(&mut self, session: SessionId, neighbour: &UnitId) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        let link = live.link.name.clone();
        live.line.proving = None;
        let moved = self.shift(session, neighbour);
        let silent = true;
        self.tell_of_link(session, neighbour, link, silent, moved);
    }

    fn answers_again(&mut self, session: SessionId, neighbour: &UnitId) {
        self.prove(session);
        let Some(live) = self.sessions.get(&session) else {
            return;
        };
        let link = live.link.name.clone();
        self.tell_of_link(session, neighbour, link, false, 0);
        self.relieve_silent(neighbour);
    }

    /// There may be a session by now that takes what silent ones cannot get rid of.
    pub(super) fn relieve_silent(&mut self, neighbour: &UnitId) {
        let Some(hop) = self.hops.get(neighbour).filter(|h| h.sessions.len() > 1) else {
            return;
        };
        let silent: Vec<SessionId> = self
            .open_sessions(hop)
            .filter(|(_, s)| s.line.trust() == Trust::Silent)
            .map(|(id, _)| id)
            .collect();
        for session in silent {
            self.shift(session, neighbour);
        }
    }

    /// What a silent session was given goes over others, as far as one that answers takes it; so does what was said over it and may not
    /// have been heard. Says how many parcels go.
    fn shift(&mut self, session: SessionId, neighbour: &UnitId) -> u64 {
        let Some(hop) = self.hops.get(neighbour) else {
            return 0;
        };
        let answering = |express: bool| {
            self.open_sessions(hop)
                .any(|(_, s)| s.line.trust() < Trust::Silent && self.carries(s, express))
        };
        let (express, rest) = (answering(true), answering(false));
        if !express {
            return 0;
        }
        let Some(live) = self.sessions.get_mut(&session) else {
            return 0;
        };
        let link = live.link.name.clone();
        let leases = std::mem::take(&mut live.leases);
        let outbox = &self.hop(neighbour).outbox;
        let goes = |seq: &Seq| {
            let lane = outbox.get(*seq).map(|entry| entry.lane);
            rest || lane.is_some_and(Lane::has_reserve)
        };
        let (goes, stays): (Vec<Seq>, Vec<Seq>) = leases.into_iter().partition(goes);
        #[cfg(any(test, feature = "sim"))]
        let (goes, stays) = match self.has(crate::delivery::Bug::SilentLeaseKept) {
            true => (Vec::new(), [goes, stays].concat()),
            false => (goes, stays),
        };
        if let Some(live) = self.sessions.get_mut(&session) {
            live.leases = stays;
        }
        let moved = self.give_back(session, neighbour, &link, goes);
        let hop = self.hop(neighbour);
        hop.inbound.say_all();
        hop.offered = false;
        hop.outbox.tell_again();
        self.offer(neighbour);
        self.tell_gone(neighbour);
        self.ack_soon(neighbour);
        self.shift_runs(session, neighbour, rest);
        moved
    }

    fn tell_of_link(
        &mut self,
        session: SessionId,
        neighbour: &UnitId,
        link: String,
        silent: bool,
        moved: u64,
    ) {
        self.event(Event::Silence {
            session,
            neighbour: neighbour.clone(),
            link,
            silent,
            moved,
        });
    }

    // ---- terms

    /// The node that dials says on what terms a link is to be used; the neighbour is told as soon as the session is open.
    pub(in crate::delivery) fn on_terms(&mut self, session: SessionId, terms: LinkTerms) {
        let Some(live) = self.sessions.get_mut(&session) else {
            return;
        };
        if std::mem::replace(&mut live.line.terms, terms) == terms {
            return;
        }
        let neighbour = live.neighbour.clone();
        if live.is_open() {
            let frame = Frame::Terms(terms);
            self.outputs.push_back(Output::Send { session, frame });
        }
        self.relieve_silent(&neighbour);
        self.pump(&neighbour);
    }

    /// The neighbour has dialled and says on what terms its link is to be used.
    pub(super) fn terms_told(&mut self, session: SessionId, terms: LinkTerms) {
        if let Some(live) = self.sessions.get_mut(&session) {
            live.line.terms = terms;
            let neighbour = live.neighbour.clone();
            self.relieve_silent(&neighbour);
        }
    }

    /// With a session that has just opened, says what differs from what the neighbour assumes.
    pub(super) fn tell_terms(&mut self, session: SessionId) {
        let terms = self.sessions.get(&session).map(|live| live.line.terms);
        if let Some(terms) = terms.filter(|terms| *terms != LinkTerms::default()) {
            let frame = Frame::Terms(terms);
            self.outputs.push_back(Output::Send { session, frame });
        }
    }
}
