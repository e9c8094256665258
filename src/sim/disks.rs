//! Disks that are full or fail for a while, and what production makes of it: a full disk refuses new work and goes on when there is room;
//! a write or a sync that fails is the end of all promises until a restart; what cannot be read ends.

use crate::{
    journal::{Journal, ReadError},
    model::Location,
    parcel::Parcel,
};

use super::{
    agenda::{Event, NodeIndex, SECOND, Us},
    disk::Operation,
    node::{Node, Replayed},
    world::{Broken, Kept, World, broken},
};

/// How long a node may take to notice that its disk has room again.
const NOTICES_WITHIN: Us = 15 * SECOND;
/// Of a thousand starts so many are tried first on a copy that does not read everywhere.
const UNREADABLE_PER_MILLE: u64 = 300;

impl Node {
    /// The disk is full no more and works again.
    pub(super) fn mend_disk(&mut self, now: Us) {
        self.has_greedy_others = false;
        self.disk.set_capacity(None);
        self.disk.heal();
        self.bad_until = self.bad_until.min(now);
    }

    /// What has come free on a full disk is gone at once, where others are greedy.
    pub(super) fn others_take_room(&self) {
        if self.has_greedy_others {
            self.disk.set_capacity(Some(self.disk.used()));
        }
    }
}

impl World {
    /// A node's disk has little room left, or none.
    pub(super) fn fill_disk(&mut self, node: NodeIndex) {
        let until = self.agenda.now() + self.rng.between(SECOND, 20 * SECOND);
        let left = self.rng.below(2 * u64::from(self.plan.segment_bytes));
        let this = &mut self.nodes[node];
        this.disk.set_capacity(Some(this.disk.used() + left));
        this.full_until = this.full_until.max(until);
        // No draw of its own: worlds stay what they were.
        let greedy = left.is_multiple_of(4);
        this.has_greedy_others = greedy;
        this.others_take_room();
        self.line(|| match greedy {
            true => format!("n{node}'s disk is full, and others take what comes free"),
            false => format!("n{node}'s disk has {left} bytes left"),
        });
        self.agenda.at(until, Event::Sound { node });
    }

    /// A node's disk fails at some of what it is to do.
    pub(super) fn break_disk(&mut self, node: NodeIndex) {
        let until = self.agenda.now() + self.rng.between(SECOND, 10 * SECOND);
        let operation = match self.rng.below(100) {
            0..30 => Operation::Read,
            30..50 => Operation::Write,
            50..85 => Operation::Sync,
            _ => Operation::Allocate,
        };
        let (after, times) = (self.rng.below(8), self.rng.magnitude(1, 20));
        self.nodes[node].disk.fail(operation, after, times);
        let this = &mut self.nodes[node];
        this.bad_until = this.bad_until.max(until);
        self.line(|| format!("n{node}'s disk fails at {times} times {operation:?} after {after}"));
        self.agenda.at(until, Event::Sound { node });
    }

    /// Whether a node may say that its disk is full. One that can make no file has no room for the next segment either.
    pub(super) fn may_be_full(&self, node: NodeIndex) -> bool {
        let this = &self.nodes[node];
        let until = this.full_until.max(this.bad_until);
        until > 0 && self.agenda.now() < until + NOTICES_WITHIN
    }

    /// A node's storage failed: it takes and passes on nothing until it is started again, whatever else its power does before that.
    pub(super) fn storage_fails(&mut self, node: NodeIndex) {
        let must_know = self.must_know(node);
        let Some(mut run) = self.nodes[node].run.take() else {
            return;
        };
        self.stats.storage_failures += 1;
        self.line(|| format!("n{node}'s storage failed"));
        self.nodes[node].must_know = must_know;
        self.nodes[node].promised = run.journal.synced();
        // It has a thread of its own, and covers only what is durable.
        if let Some(job) = run.checkpointing.take() {
            let _ = job.run();
        }
        self.goes_down(node, run);
        if self.rng.per_mille(500) {
            self.line(|| format!("n{node}'s power goes"));
            self.nodes[node].disk.crash(self.rng.next());
            self.nodes[node].blobs.crash(&mut self.attachments.rng);
        }
    }

    /// Reads a parcel back, as workers do: `None` when that is not possible just now. One that the device gives up is rotten from then on,
    /// unless it is a receipt: what one told is told again only when its message expires.
    pub(super) fn read_back(
        &mut self,
        node: NodeIndex,
        at: Location,
    ) -> Result<Option<Parcel>, Broken> {
        let this = &mut self.nodes[node];
        let Some(run) = this.run.as_ref() else {
            return Ok(None);
        };
        let parcel = |bytes| {
            Parcel::read(bytes)
                .map_err(|e| broken("G8", format!("n{node} has no parcel at {at:?}: {e}")))
        };
        let cannot = |e: ReadError| {
            broken(
                "G8",
                format!("n{node} cannot read the parcel at {at:?}: {e}"),
            )
        };
        let before = this.disk.troubles();
        match run.reader.read(at) {
            Ok(bytes) => return parcel(bytes).map(Some),
            Err(error) if this.disk.troubles() == before => return Err(cannot(error)),
            Err(_) => {}
        }
        let read = this.disk.untroubled(|| run.reader.read(at));
        let parcel = parcel(read.map_err(cannot)?)?;
        let Some(index) = self.ledger.of_parcel(&parcel.digest()) else {
            return Ok(None);
        };
        if self.rng.per_mille(300) {
            return Ok(None);
        }
        self.line(|| format!("n{node} cannot read {at:?} any more"));
        self.ledger.get_mut(index).is_damaged = true;
        self.nodes[node].rotten.insert((at, parcel.digest()));
        Ok(Some(parcel))
    }

    /// What cannot be read at a start is damage that is told of, and never the end of what had been promised. This is tried on a copy.
    pub(super) fn start_on_unreadable_copy(&mut self, node: NodeIndex) -> Kept {
        self.nodes[node].disk.heal_of(Operation::Read);
        let this = &self.nodes[node];
        // A source of its own: the world is the same without this.
        let mut own = self.rng.clone();
        own.next();
        if !self.options.faults.bad_disks || !own.per_mille(UNREADABLE_PER_MILLE) {
            return Ok(());
        }
        let copy = this.disk.fork();
        let (after, times) = (own.below(30), own.magnitude(1, 4));
        copy.fail(Operation::Read, after, times);
        let mut replayed = Replayed::new(this.settings.clone());
        let opened = Journal::open(copy, this.journal_settings, [7; 32], &mut replayed);
        // A folder that cannot be had is told, and nothing is changed.
        let Ok((_, recovery)) = opened else {
            return Ok(());
        };
        if let Some(error) = replayed.error {
            let what = format!("n{node}: a record is not understood: {error}");
            return Err(broken("G8", what));
        }
        let promised = self.nodes[node].promised;
        let is_whole = recovery.last >= promised || self.nodes[node].is_set_back;
        if recovery.is_clean() && !is_whole {
            let what = format!(
                "n{node} cannot read {times} times after {after}, tells of no damage, and has records up to {} of {promised}",
                recovery.last
            );
            return Err(broken("G8", what));
        }
        Ok(())
    }
}
