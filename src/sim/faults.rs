//! What breaks, and how it comes back.

use crate::{
    delivery::{Input, LinkTerms, SessionId, Takes, hop::Seq},
    model::{Digest, Location},
    parcel::Parcel,
};

use super::{
    agenda::{Event, Life, MILLISECOND, NodeIndex, SECOND},
    attachments::BlobDisk,
    disk::SimDisk,
    node::{Asked, Run},
    plan::Fault,
    world::{Kept, World, broken},
};

impl World {
    /// Something breaks.
    pub(super) fn fault(&mut self) -> Kept {
        if self.is_calm {
            return Ok(());
        }
        let pause = self.rng.between(1, 2 * self.plan.fault_every);
        self.agenda.after(pause, Event::Fault);
        let Some(fault) = self.rng.pick(&self.plan.faults).copied() else {
            return Ok(());
        };
        let node = self.rng.below(self.nodes.len() as u64) as NodeIndex;
        self.stats.faults += 1;
        self.trace.mark(fault as u64, node as u64);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::Cut => self.cut(node, [true; 2]),
            Fault::Kill => {
                let live = self.net.live().to_vec();
                if let Some(session) = self.rng.pick(&live).copied() {
                    self.line(|| format!("session {session} dies"));
                    self.net.kill(session, &mut self.rng, &mut self.agenda);
                }
            }
            Fault::Slow => {
                let until = self.agenda.now() + self.rng.below(10 * SECOND);
                self.nodes[node].slow_until = until;
            }
            Fault::Lose => {
                if self.nodes[node].is_hub {
                    self.line(|| format!("n{node} loses its data folder"));
                    self.crash(node);
                    self.set_back(node, 0, SimDisk::new(), BlobDisk::default());
                }
            }
            Fault::Restore => self.restore(node),
            Fault::Rot => self.rot(node),
            Fault::Unread => {
                let live = self.net.live().to_vec();
                if let Some(session) = self.rng.pick(&live).copied() {
                    let end = self.rng.below(2) as usize;
                    if self.plan.has_history && self.rng.per_mille(700) {
                        self.line(|| format!("end {end} of session {session} forgets"));
                        self.forget_history((session, end));
                    } else {
                        let why = format!("end {end} of session {session} will not read a batch");
                        self.line(|| why);
                        self.net.sessions[session].ends[end].reads_nothing = true;
                    }
                }
            }
            Fault::Clock => {
                let by = self.rng.between(0, 40_000) as i64 - 20_000;
                self.line(|| format!("n{node}'s clock is set by {by} ms"));
                self.nodes[node].clock_off += by;
                self.clock_ahead = self.clock_ahead.max(self.nodes[node].clock_off);
            }
            Fault::Alarm => {
                let live = self.net.live().to_vec();
                if let Some(session) = self.rng.pick(&live).copied() {
                    let end = self.rng.below(2) as usize;
                    let (child, link) = (
                        self.net.sessions[session].child,
                        self.net.sessions[session].link,
                    );
                    let pause = self.rng.below(5 * SECOND);
                    self.agenda.after(pause, Event::Answers { child, link });
                    return self.hears(session, end, false);
                }
            }
            Fault::Terms => {
                let links = self.net.links.get(&node).map_or(0, Vec::len) as u64;
                let link = self.rng.below(links) as usize;
                let terms = LinkTerms {
                    cost_ms: self.rng.magnitude(1, 5_000) as u32,
                    takes: match self.rng.per_mille(500) {
                        true => Takes::Express,
                        false => Takes::All,
                    },
                };
                return self.use_link(node, link, terms);
            }
            Fault::Pause => return self.pause(),
            Fault::Full => self.fill_disk(node),
            Fault::Bad => self.break_disk(node),
            Fault::Backup => self.back_up_or_restore(node),
            Fault::OneWay => {
                let to_child = self.rng.per_mille(500);
                self.cut(node, [to_child, !to_child]);
            }
            Fault::Block => {
                if self.nodes[node].parent.is_some() {
                    let pause = self.rng.below(10 * SECOND);
                    self.agenda.after(pause, Event::Unblock { unit: node });
                    return self.block(node, true);
                }
            }
        }
        Ok(())
    }

    /// One of a node's parcels cannot be read any more. Receipts are spared: what one told is told again only when its message expires.
    fn rot(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_ref() else {
            return;
        };
        let live: Vec<Location> = run.machine.live().collect();
        let Some(at) = self.rng.pick(&live).copied() else {
            return;
        };
        let Some(parcel) = run.reader.read(at).ok().and_then(|b| Parcel::read(b).ok()) else {
            return;
        };
        if let Some(index) = self.ledger.of_parcel(&parcel.digest()) {
            self.line(|| format!("n{node} cannot read {at:?} any more"));
            self.ledger.get_mut(index).is_damaged = true;
            self.nodes[node].rotten.insert((at, parcel.digest()));
        }
    }

    /// Whether a parcel cannot be read; then the node learns of it soon.
    pub(super) fn is_rotten(
        &mut self,
        node: NodeIndex,
        at: Location,
        parcel: Digest,
        lease: Option<(SessionId, Seq)>,
    ) -> bool {
        let is_rotten = self.nodes[node].rotten.contains(&(at, parcel));
        if is_rotten {
            let life = self.nodes[node].life;
            let soon = self.rng.below(5 * MILLISECOND);
            self.agenda.after(
                soon,
                Event::Unreadable {
                    node,
                    life,
                    at,
                    lease,
                },
            );
        }
        is_rotten
    }

    /// A node learns that a parcel cannot be read.
    pub(super) fn unreadable(
        &mut self,
        node: NodeIndex,
        life: Life,
        at: Location,
        lease: Option<(SessionId, Seq)>,
    ) -> Kept {
        if self.nodes[node].life != life || !self.is_up(node) {
            return Ok(());
        }
        self.give(node, Input::Unreadable { at, lease })
    }

    /// The power of a node goes.
    pub(super) fn crash(&mut self, node: NodeIndex) {
        let must_know = self.must_know(node);
        let Some(run) = self.nodes[node].cut_power(&mut self.rng) else {
            return;
        };
        self.stats.crashes += 1;
        self.line(|| format!("n{node} crashes"));
        self.nodes[node].must_know = must_know;
        self.goes_down(node, run);
    }

    /// A node answers nobody any more, until it starts again.
    pub(super) fn goes_down(&mut self, node: NodeIndex, run: Run) {
        self.net.crash(node, &mut self.rng, &mut self.agenda);
        for waiting in run.tickets.into_values() {
            if let Asked::Submit {
                messages,
                is_other: false,
            } = waiting.asked
            {
                for message in messages {
                    self.ledger.get_mut(message).unanswered += 1;
                    if !self.nodes[node].retries.contains(&message) {
                        self.nodes[node].retries.push(message);
                    }
                }
            }
        }
        let pause = self.rng.magnitude(10, 8_000) * MILLISECOND;
        self.agenda.after(pause, Event::Start { node });
    }

    /// Messages that the node promised to keep and has not seen the end of.
    pub(super) fn must_know(&self, node: NodeIndex) -> Vec<usize> {
        let Some(run) = self.nodes[node].run.as_ref() else {
            return Vec::new();
        };
        (0..self.ledger.len())
            .filter(|index| {
                let message = self.ledger.get(*index);
                message.sender == node
                    && message.is_promised()
                    && run
                        .machine
                        .find(&message.id)
                        .is_some_and(|view| view.receivers.iter().any(|r| !r.state.is_terminal()))
            })
            .collect()
    }

    fn restore(&mut self, node: NodeIndex) {
        match self.nodes[node].backup.take() {
            None => {
                self.line(|| format!("n{node}'s data folder is copied"));
                let copy = self.nodes[node].disk.fork();
                copy.crash(self.rng.next());
                let mut blobs = self.nodes[node].blobs.clone();
                blobs.crash(&mut self.attachments.rng);
                self.nodes[node].backup = Some((self.agenda.now(), copy, blobs));
            }
            Some((made_at, copy, blobs)) => {
                self.line(|| format!("n{node} gets back its data folder of {made_at}"));
                self.crash(node);
                self.set_back(node, made_at, copy, blobs);
            }
        }
    }

    /// A node's disk is what it was at some earlier time; what was promised since is not.
    pub(super) fn set_back(&mut self, node: NodeIndex, to: u64, disk: SimDisk, blobs: BlobDisk) {
        self.stats.set_backs += 1;
        self.attachments.forget(node);
        let this = &mut self.nodes[node];
        this.disk = disk;
        this.blobs = blobs;
        this.is_set_back = true;
        this.is_marked = false;
        this.rotten.clear();
        this.set_back_to = Some(to);
        if this
            .backup
            .as_ref()
            .is_some_and(|(made_at, ..)| *made_at > to)
        {
            this.backup = None;
        }
        let is_hub = this.is_hub;
        let hub_of: Vec<NodeIndex> = (0..self.nodes.len()).map(|n| self.hub_of(n)).collect();
        for message in self.ledger.iter_mut() {
            // Custody is offered to a neighbour that lost its memory, and not past it: what was under way between two hubs ends when
            // it expires.
            if is_hub && let Some(hub) = hub_of.get(message.sender).copied() {
                for (receiver, copy) in &mut message.copies {
                    if hub_of.get(*receiver) != Some(&hub) && copy.taken_at.is_none() {
                        copy.is_excused = true;
                    }
                }
            }
            if message.sender == node && message.accepted_at.is_some_and(|at| at > to) {
                message.is_lost = true;
            }
            if message.sender == node && message.unanswered > 0 {
                message.is_lost = true;
            }
            if let Some(copy) = message.copies.get_mut(&node) {
                if copy.taken_at.is_none_or(|at| at > to) {
                    copy.taken_at = None;
                    copy.is_excused = true;
                }
                copy.lease = None;
            }
        }
    }

    /// The hub that a node is, or that it dials.
    fn hub_of(&self, node: NodeIndex) -> NodeIndex {
        match self.nodes[node].parent {
            Some(parent) if !self.nodes[node].is_hub => parent,
            _ => node,
        }
    }

    /// `ways`: what goes to the node that dials, and what goes to its upstream.
    fn cut(&mut self, child: NodeIndex, ways: [bool; 2]) {
        let links = self.net.links.get(&child).map_or(0, Vec::len) as u64;
        let link = self.rng.below(links) as usize;
        let pause = self.rng.magnitude(100, 20_000) * MILLISECOND;
        if let Some(cut) = self.net.link(child, link)
            && !cut.is_cut()
        {
            self.line(|| format!("link {link} of n{child} is cut: {ways:?}"));
            self.agenda.after(pause, Event::Mend { child, link });
            self.swallow(child, link, ways);
        }
    }

    /// A link carries nothing any more; its sessions notice in time.
    fn swallow(&mut self, child: NodeIndex, link: usize, ways: [bool; 2]) {
        let Some(cut) = self.net.link(child, link) else {
            return;
        };
        cut.cut = ways;
        let patience = (8 * cut.latency).max(600 * MILLISECOND);
        if self.options.faults.silence {
            self.agenda.after(patience, Event::Answers { child, link });
        }
    }

    /// The node that dials wants a link to be used on these terms.
    fn use_link(&mut self, child: NodeIndex, link: usize, terms: LinkTerms) -> Kept {
        let Some(used) = self.net.link(child, link) else {
            return Ok(());
        };
        used.terms = terms;
        self.line(|| format!("link {link} of n{child} is used on {terms:?}"));
        for session in self.net.live().to_vec() {
            let of = &self.net.sessions[session];
            if (of.child, of.link) == (child, link) {
                self.tell_terms(session)?;
            }
        }
        Ok(())
    }

    /// Blocks a unit at the hub that it dials, or lets it in again.
    pub(super) fn block(&mut self, unit: NodeIndex, is_blocked: bool) -> Kept {
        let Some(hub) = self.nodes[unit].parent else {
            return Ok(());
        };
        let name = self.unit(unit);
        self.line(|| format!("n{hub} blocks {name}: {is_blocked}"));
        let settings = &mut self.nodes[hub].settings;
        for known in settings.units.iter_mut().filter(|u| u.name == name) {
            known.blocked = is_blocked;
        }
        let settings = Box::new(settings.clone());
        self.give(hub, Input::Settings(settings))
    }

    /// A node starts.
    pub(super) fn start(&mut self, node: NodeIndex) -> Kept {
        if self.is_up(node) {
            return Ok(());
        }
        self.start_on_damaged_copy(node)?;
        self.start_on_unreadable_copy(node)?;
        let bug = self.options.bug;
        let now = self.agenda.now();
        let before = self.nodes[node].disk.troubles();
        let recovery = match self.nodes[node].recover(now, bug, &mut self.rng) {
            Ok(recovery) => recovery,
            Err(what) if self.nodes[node].disk.troubles() > before => {
                self.line(|| format!("n{node} does not start yet: {what}"));
                self.agenda.after(SECOND, Event::Start { node });
                return Ok(());
            }
            Err(what) => {
                let what = format!("n{node} does not start: {what}");
                return Err(broken("G8", what));
            }
        };
        let is_set_back = std::mem::take(&mut self.nodes[node].is_set_back);
        let (last, promised) = (recovery.last, self.nodes[node].promised);
        if !is_set_back && last < promised {
            let what = format!("n{node} has records up to {last}, and promised {promised}");
            return Err(broken("G1", what));
        }
        self.hops.recovered(node, recovery.last, is_set_back);
        self.stats.starts += 1;
        self.trace.mark(recovery.last, recovery.replayed);
        self.line(|| format!("n{node} starts: {recovery:?}"));
        // A folder that came back from a copy looks as good as any; now and then an operator says what was done. One that was restored is
        // marked.
        let is_known = is_set_back && self.rng.per_mille(300);
        let is_marked = self.nodes[node].is_marked;
        let epoch = self.rng.next() | 1;
        self.begin(node, epoch, is_known || is_marked)?;
        self.marked_until(node);
        let must_know = std::mem::take(&mut self.nodes[node].must_know);
        if !is_set_back {
            for index in must_know {
                let message = self.ledger.get(index);
                let is_known = self.nodes[node]
                    .run
                    .as_ref()
                    .is_some_and(|run| run.machine.find(&message.id).is_some());
                if !is_known {
                    let id = message.id;
                    return Err(broken(
                        "G1",
                        format!("n{node} forgot {id}, which it accepted"),
                    ));
                }
            }
        }
        for link in 0..self.net.links.get(&node).map_or(0, Vec::len) {
            let pause = self.rng.below(SECOND);
            self.agenda.after(pause, Event::Dial { child: node, link });
        }
        Ok(())
    }

    /// Nothing breaks any more: what is down comes back, and applications take what they are handed.
    pub(super) fn calm(&mut self) -> Kept {
        self.is_calm = true;
        self.line(|| "from now on nothing breaks".into());
        for child in 0..self.nodes.len() {
            self.nodes[child].slow_until = 0;
            self.nodes[child].mend_disk(self.agenda.now());
            let links = self.net.links.get(&child).map_or(0, Vec::len);
            // Of two links one may be bad for ever.
            let bad = (links > 1).then_some(child % 2);
            for link in 0..links {
                let is_bad = bad == Some(link);
                if is_bad && self.plan.has_holes {
                    if let Some(hole) = self.net.link(child, link) {
                        hole.is_hole = true;
                    }
                    self.swallow(child, link, [true; 2]);
                } else {
                    self.agenda.after(SECOND, Event::Mend { child, link });
                }
                let takes = match is_bad && self.plan.has_terms {
                    true => Takes::Express,
                    false => Takes::All,
                };
                if self.plan.has_terms {
                    let cost_ms = 1_000 * link as u32;
                    self.use_link(child, link, LinkTerms { cost_ms, takes })?;
                }
            }
            self.agenda.after(SECOND, Event::Start { node: child });
            self.agenda.after(SECOND, Event::Unblock { unit: child });
        }
        self.agenda.after(10 * SECOND, Event::Look);
        Ok(())
    }
}
