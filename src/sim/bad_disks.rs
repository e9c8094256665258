//! Disks that fail, disks that are full, and what a node makes of a copy of its disk that is damaged.

use super::{
    agenda::{Event, MILLISECOND, NodeIndex, SECOND},
    disk::Operation,
    node::Replayed,
    rng::Rng,
    world::{Kept, World, broken},
};
use crate::{
    delivery::{Delivery, Input},
    journal::Journal,
    model::Now,
};

/// Of a thousand starts so many are tried on a damaged copy first.
const DAMAGED_PER_MILLE: u64 = 200;
/// How much a full disk still takes, in segments.
const LEFT_SEGMENTS: u64 = 2;

impl World {
    /// A node's disk fails at some operation soon, and at every one of its kind after that, until the node is started anew.
    pub(super) fn break_disk(&mut self, node: NodeIndex) {
        if !self.is_up(node) || self.nodes[node].is_broken {
            return;
        }
        let operations = [Operation::Write, Operation::Sync, Operation::Allocate];
        let operation = *self.rng.pick(&operations).unwrap_or(&Operation::Sync);
        self.line(|| format!("n{node}'s disk fails at the next {operation:?}"));
        let after = self.rng.below(3);
        self.nodes[node].disk.fail(operation, after, u64::MAX);
        self.nodes[node].is_broken = true;
        self.stats.bad_disks += 1;
        let life = self.nodes[node].life;
        let pause = self.rng.magnitude(10, 10_000) * MILLISECOND;
        self.agenda.after(pause, Event::Restart { node, life });
    }

    /// A node's disk is full for a while, or nearly so.
    pub(super) fn fill_disk(&mut self, node: NodeIndex) {
        if self.nodes[node].is_full {
            return;
        }
        let left = self
            .rng
            .below(LEFT_SEGMENTS * u64::from(self.plan.segment_bytes));
        let disk = &self.nodes[node].disk;
        disk.set_capacity(Some(disk.used() + left));
        self.nodes[node].is_full = true;
        self.stats.bad_disks += 1;
        self.line(|| format!("n{node}'s disk has {left} bytes left"));
        let pause = self.rng.magnitude(100, 20_000) * MILLISECOND;
        self.agenda.after(pause, Event::Emptied { node });
    }

    pub(super) fn empty_disk(&mut self, node: NodeIndex) {
        if std::mem::take(&mut self.nodes[node].is_full) {
            self.nodes[node].disk.set_capacity(None);
            self.line(|| format!("n{node}'s disk has room again"));
        }
    }

    /// From now on a node's disk is as good as any. What has failed stays so until the node is started anew.
    pub(super) fn mend_disk(&mut self, node: NodeIndex) {
        self.empty_disk(node);
        if self.nodes[node].is_broken {
            self.nodes[node].disk.heal();
            let life = self.nodes[node].life;
            self.agenda.after(SECOND / 2, Event::Restart { node, life });
        }
    }

    /// A write has failed.
    pub(super) fn write_failed(&mut self, node: NodeIndex, is_full: bool, why: String) -> Kept {
        let this = &self.nodes[node];
        if this.is_broken || (is_full && (this.is_full || self.plan.has_bad_disks)) {
            self.line(|| format!("n{node}: {why}"));
            return Ok(());
        }
        Err(broken("G8", format!("a write failed for no reason: {why}")))
    }

    /// Whatever has become of its disk, a node starts on it, goes on, and can write what it is down again. This is tried on a copy: what a
    /// node can still promise after damage is not what this world is about.
    pub(super) fn start_on_damaged_copy(&mut self, node: NodeIndex) -> Kept {
        if !self.options.faults.bad_disks {
            return Ok(());
        }
        // A source of its own: the world is the same without this.
        let mut own = self.rng.clone();
        if !own.per_mille(DAMAGED_PER_MILLE) {
            return Ok(());
        }
        let copy = self.nodes[node].disk.fork();
        copy.set_capacity(None);
        let mut told = Vec::new();
        for _ in 0..own.between(1, 4) {
            told.extend(damage(&copy, &mut own));
        }
        let failed = |what: String| {
            let what = format!("n{node} on a damaged copy ({}): {what}", told.join(", "));
            Err(broken("G8", what))
        };
        let settings = self.nodes[node].settings.clone();
        let mut replayed = Replayed::new(settings.clone());
        let opened = Journal::open(
            copy,
            self.nodes[node].journal_settings,
            [7; 32],
            &mut replayed,
        );
        let (mut journal, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) => return failed(format!("the journal: {error}")),
        };
        if let Some(error) = replayed.error {
            return failed(format!("a record is not understood: {error}"));
        }
        self.stats.damaged_starts += 1;
        self.stats.damaged_places += recovery.damage.len() as u64;
        let mut machine = replayed
            .machine
            .unwrap_or_else(|| Delivery::new(settings.clone()));
        for location in machine.live() {
            journal.live(location);
        }
        let now = Now {
            mono: 0,
            wall: self.latest_wall(),
        };
        machine.start(now, own.next() | 1, !recovery.is_clean(), &mut journal);
        journal.end_group();
        for seconds in [1, 60, 3_600, 40 * 24 * 3_600] {
            while machine.poll_output().is_some() {}
            let now = Now {
                mono: seconds * 1000,
                wall: now.wall + seconds * 1000,
            };
            machine.handle(now, Input::Tick, &mut journal);
            journal.end_group();
            let last = journal.appended();
            machine.handle(now, Input::Synced(last), &mut journal);
            journal.end_group();
        }
        let mut state = Vec::new();
        if machine.checkpoint(&mut state).is_err() {
            return failed("its state cannot be written".into());
        }
        match Delivery::restore(settings, &mut &state[..]) {
            Ok(_) => Ok(()),
            Err(error) => failed(format!("its state does not read: {error}")),
        }
    }
}

/// Damages one file of a disk, and says how.
fn damage(disk: &super::disk::SimDisk, own: &mut Rng) -> Option<String> {
    use crate::journal::{Disk as _, File as _};
    let names = disk.list().ok()?;
    let name = own.pick(&names)?.clone();
    let file = disk.open(&name).ok()?;
    let len = file.len().ok()?.max(1);
    Some(match own.below(5) {
        0 | 1 => {
            let bit = own.below(len * 8);
            disk.flip(&name, bit);
            format!("bit {bit} of {name} is flipped")
        }
        2 => {
            let at = own.below(len);
            file.set_len(at).ok()?;
            format!("{name} is cut off at {at}")
        }
        3 => {
            let (at, bytes) = (own.below(len), own.between(1, 2_000));
            let end = (at + bytes).min(len);
            file.write_at(&vec![0; (end - at) as usize], at).ok()?;
            format!("{name} has zeros from {at} to {end}")
        }
        _ => {
            disk.remove(&name).ok()?;
            format!("{name} is not there")
        }
    })
}
