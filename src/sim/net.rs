//! The network between a node and its upstream: links that break, and the sessions over them.
//!
//! A session behaves as a QUIC connection does. Its control frames arrive in order; its batches arrive whole, each by itself. When
//! it dies, an end learns of it in its own time, and of what was under way some arrives and some does not.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    delivery::{
        LinkTerms, SessionId,
        generations::Agreement,
        hop::{Entry, Epoch, Frame},
    },
    model::{Lane, Reason},
    parcel::Parcel,
};

use super::{
    agenda::{Agenda, Event, Life, MILLISECOND, NodeIndex, SECOND, Us},
    attachments::{CHUNK_WEIGHT, Run},
    generations::Against,
    hops::Direction,
    rng::Rng,
};

/// A session's place among all sessions that ever were.
pub(super) type SessionIndex = usize;

/// The end of a session at the node that dialled.
pub(super) const CHILD: usize = 0;
/// The end of a session at the upstream.
pub(super) const PARENT: usize = 1;

/// Parcels on their way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lane: Lane,
    /// By which numbers it was sent.
    pub(super) direction: Option<Direction>,
    /// Each parcel, what the batch says of it, and what the other end's workers will find.
    pub(super) parcels: Vec<(Entry, Parcel, Result<(), Reason>)>,
    /// What it is compressed against.
    pub(super) against: Option<Against>,
    /// Chunks of an attachment, in place of parcels.
    pub(super) run: Option<Run>,
}

impl Batch {
    pub(super) fn bytes(&self) -> u64 {
        self.parcels
            .iter()
            .map(|(_, parcel, _)| parcel.bytes().len() as u64)
            .chain(self.run.iter().map(|run| run.count * CHUNK_WEIGHT))
            .sum()
    }
}

/// One path between a node and its upstream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) latency: Us,
    pub(super) jitter: Us,
    pub(super) bytes_per_ms: u64,
    /// What goes to the node that dials is not carried, and what goes to its upstream.
    pub(super) cut: [bool; 2],
    /// It stays cut.
    pub(super) is_hole: bool,
    /// On what terms the node that dials wants it to be used.
    pub(super) terms: LinkTerms,
}

/// A session, alive or not.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) child: NodeIndex,
    pub(super) link: usize,
    pub(super) ends: [End; 2],
    /// Nothing that is sent from now on arrives.
    is_dead: bool,
}

/// One end of a session.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: NodeIndex,
    pub(super) life: Life,
    pub(super) id: SessionId,
    pub(super) state: EndState,
    /// Control frames on their way to this end.
    coming: VecDeque<(Frame, Option<Direction>)>,
    /// How many of them still arrive, once the session is dead.
    coming_left: usize,
    /// What this end has agreed on with the other.
    pub(super) agreement: Agreement,
    /// The next batch that comes to this end will not be read.
    pub(super) reads_nothing: bool,
    /// When the last of them arrives.
    coming_until: Us,
    /// Arrivals that found the link cut.
    stalled_frames: usize,
    #[allow(
        clippy::vec_box,
        reason = "batches go about boxed: they come in and go on so"
    )]
    stalled_batches: Vec<Box<Batch>>,
    /// The epochs that this end's last hello named: its own and the other's.
    pub(super) hello: Option<(Epoch, Epoch)>,
    /// Batches that this end may still send, express and bulk.
    pub(super) grants: [u16; 2],
    /// Whether this end was told that the path answers.
    pub(super) answers: bool,
    /// On what terms this end was told to use the link.
    pub(super) terms: LinkTerms,
}

/// What an end knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    /// It is being set up.
    Coming,
    /// It is up, as far as this end knows.
    Up,
    /// It is over for this end.
    Over,
}

/// All links and sessions.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// By the node that dials.
    pub(super) links: BTreeMap<NodeIndex, Vec<Link>>,
    pub(super) sessions: Vec<Session>,
    /// Sessions of which an end is not over.
    live: Vec<SessionIndex>,
}

impl Link {
    /// Whether it carries nothing at least one way: then nothing is acknowledged over it.
    pub(super) fn is_cut(&self) -> bool {
        self.cut != [false; 2]
    }
}

impl Net {
    pub(super) fn link(&mut self, child: NodeIndex, link: usize) -> Option<&mut Link> {
        self.links.get_mut(&child)?.get_mut(link)
    }

    /// The node at an end, and what it calls the session.
    pub(super) fn end(&self, index: SessionIndex, end: usize) -> (NodeIndex, SessionId) {
        let end = &self.sessions[index].ends[end];
        (end.node, end.id)
    }

    /// How long the least thing takes over a session.
    pub(super) fn latency(&self, index: SessionIndex) -> Us {
        let session = &self.sessions[index];
        self.links
            .get(&session.child)
            .and_then(|links| links.get(session.link))
            .map_or(MILLISECOND, |link| link.latency)
    }

    fn delay(&self, child: NodeIndex, link: usize, bytes: u64, rng: &mut Rng) -> Us {
        let Some(link) = self.links.get(&child).and_then(|l| l.get(link)) else {
            return MILLISECOND;
        };
        link.latency + rng.below(link.jitter + 1) + bytes * MILLISECOND / link.bytes_per_ms.max(1)
    }

    /// Sets up a session; both ends learn of it in their own time.
    pub(super) fn connect(
        &mut self,
        link: usize,
        ends: [(NodeIndex, Life, SessionId); 2],
        rng: &mut Rng,
        agenda: &mut Agenda,
    ) -> SessionIndex {
        let index = self.sessions.len();
        let child = ends[CHILD].0;
        let ends = ends.map(|(node, life, id)| End {
            node,
            life,
            id,
            state: EndState::Coming,
            coming: VecDeque::new(),
            coming_left: 0,
            agreement: Agreement::default(),
            reads_nothing: false,
            coming_until: 0,
            stalled_frames: 0,
            stalled_batches: Vec::new(),
            hello: None,
            grants: [0; 2],
            answers: true,
            terms: LinkTerms::default(),
        });
        self.sessions.push(Session {
            child,
            link,
            ends,
            is_dead: false,
        });
        self.live.push(index);
        for end in [CHILD, PARENT] {
            let up = self.delay(child, link, 0, rng) + self.delay(child, link, 0, rng);
            self.sessions[index].ends[end].coming_until = agenda.now() + up;
            let session = index;
            agenda.after(up, Event::Up { session, end });
        }
        index
    }

    /// The session and end that a node calls `id`.
    pub(super) fn find(&self, node: NodeIndex, id: SessionId) -> Option<(SessionIndex, usize)> {
        self.live.iter().rev().find_map(|index| {
            let ends = &self.sessions[*index].ends;
            let end = ends.iter().position(|e| e.node == node && e.id == id)?;
            Some((*index, end))
        })
    }

    /// Puts a control frame on its way from `end`.
    pub(super) fn send(
        &mut self,
        (index, end): (SessionIndex, usize),
        frame: (Frame, Option<Direction>),
        rng: &mut Rng,
        agenda: &mut Agenda,
    ) {
        let (child, link) = (self.sessions[index].child, self.sessions[index].link);
        let delay = self.delay(child, link, 40, rng);
        let session = &mut self.sessions[index];
        if session.is_dead {
            return;
        }
        let other = &mut session.ends[1 - end];
        other.coming_until = other.coming_until.max(agenda.now() + delay);
        other.coming.push_back(frame);
        let (session, end) = (index, 1 - end);
        agenda.at(other.coming_until, Event::Control { session, end });
    }

    /// Puts a batch on its way from `end`.
    pub(super) fn send_batch(
        &mut self,
        (index, end): (SessionIndex, usize),
        batch: Box<Batch>,
        rng: &mut Rng,
        agenda: &mut Agenda,
    ) {
        let (child, link) = (self.sessions[index].child, self.sessions[index].link);
        // Packing, the trip, and the other end's workers.
        let delay = self.delay(child, link, batch.bytes(), rng) + rng.below(5 * MILLISECOND);
        if self.sessions[index].is_dead {
            return;
        }
        // A stream may be served late, whatever was sent after it.
        let late = if rng.per_mille(50) {
            rng.below(2 * SECOND)
        } else {
            0
        };
        let (session, end) = (index, 1 - end);
        agenda.after(
            delay + late,
            Event::Batch {
                session,
                end,
                batch,
            },
        );
    }

    /// The control frame that reaches `end` now, if one does.
    pub(super) fn arriving(
        &mut self,
        index: SessionIndex,
        end: usize,
    ) -> Option<(Frame, Option<Direction>)> {
        let is_cut = self.is_cut_to(index, end);
        let session = &mut self.sessions[index];
        let end = &mut session.ends[end];
        if end.state == EndState::Over {
            end.coming.clear();
            return None;
        }
        if session.is_dead {
            end.coming_left = end.coming_left.checked_sub(1)?;
        } else if is_cut {
            end.stalled_frames += 1;
            return None;
        }
        end.coming.pop_front()
    }

    /// The batch, when it reaches `end` now.
    pub(super) fn arriving_batch(
        &mut self,
        index: SessionIndex,
        end: usize,
        batch: Box<Batch>,
        rng: &mut Rng,
    ) -> Option<Box<Batch>> {
        let is_cut = self.is_cut_to(index, end);
        let session = &mut self.sessions[index];
        let end = &mut session.ends[end];
        match end.state {
            EndState::Over => None,
            _ if session.is_dead => rng.per_mille(500).then_some(batch),
            _ if is_cut => {
                end.stalled_batches.push(batch);
                None
            }
            _ => Some(batch),
        }
    }

    pub(super) fn is_cut(&self, index: SessionIndex) -> bool {
        self.link_of(index).is_some_and(Link::is_cut)
    }

    /// Whether nothing reaches an end.
    fn is_cut_to(&self, index: SessionIndex, end: usize) -> bool {
        self.link_of(index).is_some_and(|link| link.cut[end])
    }

    fn link_of(&self, index: SessionIndex) -> Option<&Link> {
        let session = &self.sessions[index];
        self.links.get(&session.child)?.get(session.link)
    }

    /// A link works again: what stood still goes on.
    pub(super) fn mend(
        &mut self,
        child: NodeIndex,
        link: usize,
        rng: &mut Rng,
        agenda: &mut Agenda,
    ) {
        if let Some(link) = self.link(child, link) {
            if link.is_hole {
                return;
            }
            link.cut = [false; 2];
        }
        for index in self.live.clone() {
            if self.sessions[index].child != child || self.sessions[index].link != link {
                continue;
            }
            for end in [CHILD, PARENT] {
                let delay = self.delay(child, link, 0, rng);
                let side = &mut self.sessions[index].ends[end];
                let frames = std::mem::take(&mut side.stalled_frames);
                let batches = std::mem::take(&mut side.stalled_batches);
                side.coming_until = side.coming_until.max(agenda.now() + delay);
                let (at, session) = (side.coming_until, index);
                for _ in 0..frames {
                    agenda.at(at, Event::Control { session, end });
                }
                for batch in batches {
                    let delay = self.delay(child, link, batch.bytes(), rng);
                    agenda.after(
                        delay,
                        Event::Batch {
                            session,
                            end,
                            batch,
                        },
                    );
                }
            }
        }
    }

    /// A session dies; each end learns of it in its own time.
    pub(super) fn kill(&mut self, index: SessionIndex, rng: &mut Rng, agenda: &mut Agenda) {
        self.lose(index, rng);
        for end in [CHILD, PARENT] {
            self.tell(index, end, rng, agenda);
        }
    }

    /// From now on nothing that is sent arrives, and of what is under way only some.
    fn lose(&mut self, index: SessionIndex, rng: &mut Rng) {
        let session = &mut self.sessions[index];
        if session.is_dead {
            return;
        }
        session.is_dead = true;
        for end in &mut session.ends {
            end.coming_left = rng.below(end.coming.len() as u64 + 1) as usize;
            end.stalled_frames = 0;
            end.stalled_batches.clear();
        }
    }

    fn tell(&mut self, index: SessionIndex, end: usize, rng: &mut Rng, agenda: &mut Agenda) {
        if self.sessions[index].ends[end].state == EndState::Over {
            return;
        }
        // A reset or a close is quick; the idle timer is not.
        let delay = if rng.per_mille(600) {
            rng.below(500 * MILLISECOND)
        } else {
            rng.below(30 * SECOND)
        };
        let session = index;
        agenda.after(delay, Event::Down { session, end });
    }

    /// An end closes the session.
    pub(super) fn close(
        &mut self,
        (index, end): (SessionIndex, usize),
        rng: &mut Rng,
        agenda: &mut Agenda,
    ) {
        self.lose(index, rng);
        let session = index;
        agenda.after(rng.below(2 * MILLISECOND), Event::Down { session, end });
        self.tell(index, 1 - end, rng, agenda);
    }

    /// A node is gone: so are its ends, and the others will learn of it.
    pub(super) fn crash(&mut self, node: NodeIndex, rng: &mut Rng, agenda: &mut Agenda) {
        for index in self.live.clone() {
            for end in [CHILD, PARENT] {
                if self.sessions[index].ends[end].node == node {
                    self.lose(index, rng);
                    self.over(index, end);
                    self.tell(index, 1 - end, rng, agenda);
                }
            }
        }
    }

    /// Notes that a session is over for one end; false when it had been before.
    pub(super) fn over(&mut self, index: SessionIndex, end: usize) -> bool {
        let session = &mut self.sessions[index];
        let was = std::mem::replace(&mut session.ends[end].state, EndState::Over);
        session.ends[end].coming.clear();
        if session.ends.iter().all(|e| e.state == EndState::Over) {
            self.live.retain(|i| *i != index);
        }
        was != EndState::Over
    }

    /// Sessions that are not over for both ends.
    pub(super) fn live(&self) -> &[SessionIndex] {
        &self.live
    }

    /// Whether the node that dials believes that it has a session over this link, or will soon.
    pub(super) fn has_session(&self, child: NodeIndex, link: usize) -> bool {
        self.live.iter().any(|index| {
            let session = &self.sessions[*index];
            session.child == child
                && session.link == link
                && session.ends[CHILD].state != EndState::Over
        })
    }
}
