//! Backups: what an operator takes of a node that runs, and the node that starts on it, a while later.

use super::{agenda::NodeIndex, world::World};

impl World {
    /// An operator takes a backup of a node, or the node's disk is gone and it starts on the last one.
    pub(super) fn back_up_or_restore(&mut self, node: NodeIndex) {
        if self.nodes[node].put_by.is_some() && self.rng.per_mille(600) {
            self.restore_backup(node);
        } else {
            self.back_up(node);
        }
    }

    /// As `casegate backup` does it: the journal between two writes and while no checkpoint is made, then the attachments that are whole.
    fn back_up(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_ref() else {
            return;
        };
        let is_still = run.writing.is_none()
            && run.written.is_none()
            && run.checkpointing.is_none()
            && run.checkpointed.is_none();
        if !is_still {
            return;
        }
        self.line(|| format!("a backup is taken of n{node}"));
        let journal = self.nodes[node].disk.fork();
        let mut blobs = self.nodes[node].blobs.clone();
        blobs.crash(&mut self.attachments.rng);
        self.nodes[node].put_by = Some((self.agenda.now(), journal, blobs));
    }

    fn restore_backup(&mut self, node: NodeIndex) {
        let Some((taken_at, journal, blobs)) = self.nodes[node].put_by.clone() else {
            return;
        };
        self.line(|| format!("n{node} is restored from its backup of {taken_at}"));
        self.stats.restored += 1;
        self.crash(node);
        // The backup stays what it is, whatever becomes of the node.
        self.set_back(node, taken_at, journal.fork(), blobs);
        self.nodes[node].is_marked = true;
    }

    /// A node has started, with a new epoch if its folder was marked: the mark goes when that is durable.
    pub(super) fn marked_until(&mut self, node: NodeIndex) {
        if self.nodes[node].is_marked
            && let Some(run) = self.nodes[node].run.as_mut()
        {
            run.marked_until = Some(run.journal.appended());
        }
    }
}
