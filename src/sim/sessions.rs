//! Sessions between nodes: dialling, frames and batches on their way.

use crate::{
    codec,
    delivery::{Arrival, Departure, Frame, Input, LinkInfo, Path, SessionId, Takes},
    model::{Lane, Reason, ReceiptItem},
};

use super::world::{Kept, World, broken};
use super::{
    agenda::{Event, MILLISECOND, NodeIndex, SECOND},
    hops::Direction,
    net::{Batch, CHILD, EndState, PARENT, SessionIndex},
    plan::HUB,
};

impl World {
    pub(super) fn dial(&mut self, child: NodeIndex, link: usize) -> Kept {
        let parent = match self.nodes.get(child) {
            Some(node) => node.parent,
            None => Some(HUB),
        };
        let Some(parent) = parent else { return Ok(()) };
        let is_rogue = child >= self.nodes.len();
        if !(is_rogue || self.is_up(child)) || self.net.has_session(child, link) {
            return Ok(());
        }
        let is_cut = self.net.link(child, link).is_some_and(|l| l.is_cut());
        if is_cut || !self.is_up(parent) {
            let backoff = 100 * MILLISECOND + self.rng.below(5 * SECOND);
            self.agenda.after(backoff, Event::Dial { child, link });
            return Ok(());
        }
        let ends = [child, parent].map(|node| {
            let life = self.nodes.get(node).map_or(0, |n| n.life);
            (node, life, self.name())
        });
        let session = self
            .net
            .connect(link, ends, &mut self.rng, &mut self.agenda);
        self.stats.sessions += 1;
        self.line(|| format!("n{child} dials n{parent} over link {link}: session {session}"));
        Ok(())
    }

    /// Whether an end's node still lives the life in which the session was set up.
    fn is_current(&self, session: SessionIndex, end: usize) -> bool {
        let end = &self.net.sessions[session].ends[end];
        match self.nodes.get(end.node) {
            Some(node) => node.life == end.life && node.run.is_some(),
            None => true,
        }
    }

    pub(super) fn up(&mut self, session: SessionIndex, end: usize) -> Kept {
        if self.net.sessions[session].ends[end].state != EndState::Coming
            || !self.is_current(session, end)
        {
            return Ok(());
        }
        let side = &mut self.net.sessions[session].ends[end];
        side.state = EndState::Up;
        side.agreement.plant(self.options.bug);
        let (node, id) = self.net.end(session, end);
        let other = self.net.sessions[session].ends[1 - end].node;
        if node >= self.nodes.len() {
            return self.rogue_is_up(session);
        }
        let link = self.net.sessions[session].link;
        let link = LinkInfo {
            name: format!("l{link}"),
            kind: "lan".into(),
        };
        let neighbour = self.unit(other);
        self.line(|| format!("n{node} session {id} with {neighbour} is up"));
        self.give(
            node,
            Input::SessionUp {
                session: id,
                neighbour,
                link,
            },
        )?;
        self.tell_path(session, end)?;
        if end == CHILD {
            self.tell_terms(session)?;
        }
        if self.options.faults.silence && self.net.is_cut(session) {
            let of = &self.net.sessions[session];
            let (child, link) = (of.child, of.link);
            self.agenda.after(SECOND, Event::Answers { child, link });
        }
        let (express, bulk) = (4, self.plan.bulk_grants);
        self.net.sessions[session].ends[end].grants = [express, bulk];
        self.give(
            node,
            Input::Grant {
                session: id,
                express,
                bulk,
            },
        )
    }

    pub(super) fn down(&mut self, session: SessionIndex, end: usize) -> Kept {
        let is_current = self.is_current(session, end);
        let was_up = self.net.sessions[session].ends[end].state == EndState::Up;
        if !self.net.over(session, end) {
            return Ok(());
        }
        let (node, id) = self.net.end(session, end);
        let (child, link) = (
            self.net.sessions[session].child,
            self.net.sessions[session].link,
        );
        if end == CHILD {
            let delay = 50 * MILLISECOND + self.rng.below(2 * SECOND);
            self.agenda.after(delay, Event::Dial { child, link });
        }
        if !is_current || !was_up || node >= self.nodes.len() {
            return Ok(());
        }
        self.line(|| format!("n{node} session {id} is down"));
        self.give(node, Input::SessionDown { session: id })
    }

    pub(super) fn room(&mut self, session: SessionIndex, end: usize, express: bool) -> Kept {
        let side = &mut self.net.sessions[session].ends[end];
        if side.state != EndState::Up || !self.is_current(session, end) {
            return Ok(());
        }
        let side = &mut self.net.sessions[session].ends[end];
        side.grants[usize::from(!express)] += 1;
        let (node, session) = (side.node, side.id);
        if node >= self.nodes.len() {
            return Ok(());
        }
        self.give(
            node,
            Input::Grant {
                session,
                express: u16::from(express),
                bulk: u16::from(!express),
            },
        )
    }

    /// An end's driver tells what it knows of the path.
    fn tell_path(&mut self, session: SessionIndex, end: usize) -> Kept {
        let (node, id) = self.net.end(session, end);
        let of = &self.net.sessions[session];
        let answers = of.ends[end].answers;
        let Some(link) = self.net.links.get(&of.child).and_then(|l| l.get(of.link)) else {
            return Ok(());
        };
        let path = Path {
            rate: link.bytes_per_ms * 1000,
            rtt_ms: (2 * link.latency / MILLISECOND) as u32,
            answers,
        };
        self.give(node, Input::Path { session: id, path })
    }

    /// An end learns whether its path answers.
    pub(super) fn hears(&mut self, session: SessionIndex, end: usize, answers: bool) -> Kept {
        let is_current = self.is_current(session, end);
        let side = &mut self.net.sessions[session].ends[end];
        if side.state != EndState::Up
            || side.node >= self.nodes.len()
            || !is_current
            || side.answers == answers
        {
            return Ok(());
        }
        side.answers = answers;
        let (node, id) = (side.node, side.id);
        self.line(|| format!("n{node} session {id} answers: {answers}"));
        self.tell_path(session, end)
    }

    /// The ends of a link's sessions learn whether it answers.
    pub(super) fn answers(&mut self, child: NodeIndex, link: usize) -> Kept {
        for session in self.net.live().to_vec() {
            let of = &self.net.sessions[session];
            if (of.child, of.link) != (child, link) {
                continue;
            }
            let answers = !self.net.is_cut(session);
            self.hears(session, CHILD, answers)?;
            self.hears(session, PARENT, answers)?;
        }
        Ok(())
    }

    /// The end that has dialled learns on what terms the link is to be used.
    pub(super) fn tell_terms(&mut self, session: SessionIndex) -> Kept {
        let is_current = self.is_current(session, CHILD);
        let of = &mut self.net.sessions[session];
        let terms = match self.net.links.get(&of.child).and_then(|l| l.get(of.link)) {
            Some(link) => link.terms,
            None => return Ok(()),
        };
        let side = &mut of.ends[CHILD];
        if side.state != EndState::Up || side.node >= self.nodes.len() || !is_current {
            return Ok(());
        }
        side.terms = terms;
        let (node, session) = (side.node, side.id);
        self.give(node, Input::Terms { session, terms })
    }

    /// An end learns that the other could not read a batch.
    pub(super) fn unread(&mut self, session: SessionIndex, end: usize) -> Kept {
        let (node, id) = self.net.end(session, end);
        let is_up = self.net.sessions[session].ends[end].state == EndState::Up;
        if !is_up || node >= self.nodes.len() || !self.is_current(session, end) {
            return Ok(());
        }
        self.line(|| format!("n{node} session {id} sends again"));
        self.give(node, Input::SendAgain { session: id })
    }

    /// The direction that parcels from `end` go in, as its last hello named it.
    pub(super) fn direction(&self, session: SessionIndex, end: usize) -> Option<Direction> {
        let ends = &self.net.sessions[session].ends;
        let (from_epoch, to_epoch) = ends[end].hello?;
        Some(Direction {
            from: ends[end].node,
            to: ends[1 - end].node,
            from_epoch,
            to_epoch,
        })
    }

    pub(super) fn send(&mut self, node: NodeIndex, id: SessionId, frame: Frame) -> Kept {
        let Some((session, end)) = self.net.find(node, id) else {
            return Ok(());
        };
        self.line(|| format!("n{node} session {id} > {frame:?}"));
        self.stats.frames += 1;
        let synced = self.nodes[node]
            .run
            .as_ref()
            .map_or(0, |r| r.journal.synced());
        if let Frame::Hello(hello) = &frame {
            self.net.sessions[session].ends[end].hello = Some((hello.epoch, hello.peer_epoch));
        }
        self.hello_leaves((session, end), &frame);
        let theirs = self.direction(session, end).map(|d| Direction {
            from: d.to,
            to: d.from,
            from_epoch: d.to_epoch,
            to_epoch: d.from_epoch,
        });
        if let Some(direction) = theirs {
            match &frame {
                Frame::Hello(hello) => self.hops.greets(direction, hello, synced),
                Frame::Ack(ack) => self.hops.acks(direction, ack, synced),
                _ => Ok(()),
            }
            .map_err(|what| broken("G2", what))?;
        }
        let direction = self.direction(session, end);
        self.net.send(
            (session, end),
            (frame, direction),
            &mut self.rng,
            &mut self.agenda,
        );
        Ok(())
    }

    pub(super) fn send_batch(
        &mut self,
        node: NodeIndex,
        id: SessionId,
        lane: Lane,
        parcels: &[Departure],
    ) -> Kept {
        let Some((session, end)) = self.net.find(node, id) else {
            return Ok(());
        };
        self.stats.batches += 1;
        self.line(|| {
            let entries: Vec<_> = parcels.iter().map(|p| &p.entry).collect();
            format!("n{node} session {id} >> {lane} {entries:?}")
        });
        let class = usize::from(!lane.has_reserve());
        let grants = &mut self.net.sessions[session].ends[end].grants[class];
        *grants = grants
            .checked_sub(1)
            .ok_or_else(|| broken("G7", format!("n{node} sends a batch that was not granted")))?;
        let terms = self.net.sessions[session].ends[end].terms;
        if terms.takes == Takes::Express && !lane.has_reserve() {
            let what = format!("n{node} sends {lane} over a link that takes only what is urgent");
            return Err(broken("G7", what));
        }
        let direction = self
            .direction(session, end)
            .ok_or_else(|| broken("G2", format!("n{node} sends parcels before a hello")))?;
        let neighbour = self.net.sessions[session].ends[1 - end].node;
        let mut packed = Vec::with_capacity(parcels.len());
        for departure in parcels {
            let Some(parcel) = self.read_back(node, departure.at)? else {
                // As production: the session ends, and what was leased to it goes over another.
                self.net
                    .close((session, end), &mut self.rng, &mut self.agenda);
                return Ok(());
            };
            let (at, seq) = (departure.at, departure.entry.seq);
            if self.is_rotten(node, at, parcel.digest(), Some((id, seq))) {
                continue;
            }
            self.hops
                .sends(direction, departure.entry.seq, parcel.digest())
                .map_err(|what| broken("G3", what))?;
            packed.push((departure.entry.clone(), parcel, Ok(())));
        }
        let Some((_, last, _)) = packed.last() else {
            // Nothing is left of the batch.
            let express = lane.has_reserve();
            let room = Event::Room {
                session,
                end,
                express,
            };
            self.agenda.after(1, room);
            return Ok(());
        };
        // What goes before the last was lent its urgency, and needs no credit of its own.
        let is_free = last.header().is_ok_and(|h| h.kind.is_receipt());
        let credit = self.credits.get(&(node, neighbour));
        if packed.len() == parcels.len() && !is_free && credit.is_some_and(|c| c[lane.index()] == 0)
        {
            let what = format!("n{node} sends to n{neighbour}, which gives no credit for {lane}");
            return Err(broken("G7", what));
        }
        let against = self.compress((session, end), &packed)?;
        let batch = Box::new(Batch {
            lane,
            direction: Some(direction),
            parcels: packed,
            against,
            run: None,
        });
        self.net
            .send_batch((session, end), batch, &mut self.rng, &mut self.agenda);
        Ok(())
    }

    pub(super) fn control(&mut self, session: SessionIndex, end: usize) -> Kept {
        let Some((frame, direction)) = self.net.arriving(session, end) else {
            return Ok(());
        };
        let (node, id) = self.net.end(session, end);
        if node >= self.nodes.len() {
            return self.rogue_hears(session, &frame);
        }
        if !self.is_current(session, end) {
            return Ok(());
        }
        self.line(|| format!("n{node} session {id} < {frame:?}"));
        if self.history_comes((session, end), &frame, direction)? {
            return Ok(());
        }
        if let Frame::Ack(ack) = &frame {
            let neighbour = self.net.sessions[session].ends[1 - end].node;
            self.credits.insert((node, neighbour), ack.credit);
        }
        if let Frame::Terms(terms) = &frame {
            self.net.sessions[session].ends[end].terms = *terms;
        }
        self.give_from(node, Input::Frame { session: id, frame }, direction)
    }

    pub(super) fn batch(&mut self, session: SessionIndex, end: usize, batch: Box<Batch>) -> Kept {
        let Some(batch) = self.net.arriving_batch(session, end, batch, &mut self.rng) else {
            return Ok(());
        };
        let express = batch.lane.has_reserve();
        let back = self.net.latency(session);
        let other = 1 - end;
        self.agenda.after(
            back,
            Event::Room {
                session,
                end: other,
                express,
            },
        );
        let (node, id) = self.net.end(session, end);
        if node >= self.nodes.len() {
            self.rogue_receives(session, &batch);
            return Ok(());
        }
        if !self.is_current(session, end) {
            return Ok(());
        }
        if let Some(run) = batch.run {
            return self.run_arrives(session, end, run);
        }
        if std::mem::take(&mut self.net.sessions[session].ends[end].reads_nothing) {
            self.line(|| format!("n{node} session {id} cannot read a batch"));
            let end = other;
            self.agenda.after(back, Event::Unread { session, end });
            return Ok(());
        }
        if let Some(against) = batch.against
            && !self.reads((session, end), against)?
        {
            return Ok(());
        }
        self.line(|| {
            let seqs: Vec<_> = batch.parcels.iter().map(|(e, ..)| e.seq).collect();
            format!("n{node} session {id} << {seqs:?}")
        });
        let wall = self.now(node).wall;
        let attests = self.nodes[node].parent.is_some() && end == CHILD;
        let direction = batch.direction;
        let arrivals: Vec<Arrival> = batch
            .parcels
            .into_iter()
            .map(|(mut entry, parcel, mut verdict)| {
                if !attests || entry.attested == 0 {
                    entry.attested = wall;
                }
                let header = parcel.header().ok();
                let receipt = match &header {
                    Some(h) if h.kind.is_receipt() => {
                        codec::decode::<Vec<ReceiptItem>, 262_144>(&parcel.body())
                            .unwrap_or_default()
                    }
                    _ => Vec::new(),
                };
                if header.is_none() {
                    verdict = Err(Reason::Malformed);
                }
                Arrival {
                    entry,
                    parcel,
                    header,
                    receipt,
                    verdict,
                }
            })
            .collect();
        self.keeps((session, end), &arrivals);
        self.give_from(
            node,
            Input::Arrivals {
                session: id,
                arrivals,
            },
            direction,
        )
    }
}
