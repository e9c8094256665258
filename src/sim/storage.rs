//! A node's writes, syncs, checkpoints and compaction, each in its own time.

use crate::{
    delivery::{Delivery, Input},
    journal::WriteError,
};

use super::agenda::{DiskStep, Event, Life, NodeIndex, SECOND, Us};
use super::world::{Kept, World, broken};

/// What a checkpoint of the machine has.
fn state_of(machine: &Delivery) -> Vec<u8> {
    let mut state = Vec::new();
    // Memory takes every write.
    let _ = machine.checkpoint(&mut state);
    state
}

impl World {
    fn disk_delay(&mut self, node: NodeIndex) -> Us {
        let most = 2 * self.plan.sync;
        let slow = self.nodes[node].slow_until > self.agenda.now();
        let delay = self.rng.between(self.plan.sync / 4, most);
        if slow {
            delay + self.rng.below(2 * SECOND)
        } else {
            delay
        }
    }

    /// Has everything that waits written, unless a write is under way.
    pub(super) fn write(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_mut() else {
            return;
        };
        if run.writing.is_none()
            && run.written.is_none()
            && let Some(write) = run.journal.take_write()
        {
            run.writing = Some(write);
            self.go_on(node, DiskStep::Write);
        }
    }

    fn go_on(&mut self, node: NodeIndex, step: DiskStep) {
        let delay = match step {
            DiskStep::Write | DiskStep::Checkpoint => self.disk_delay(node),
            DiskStep::Written | DiskStep::Checkpointed => self.rng.below(200),
        };
        let life = self.nodes[node].life;
        self.agenda.after(delay, Event::Disk { node, life, step });
    }

    pub(super) fn disk(&mut self, node: NodeIndex, life: Life, step: DiskStep) -> Kept {
        if self.nodes[node].life != life {
            return Ok(());
        }
        let before = self.nodes[node].disk.troubles();
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        match step {
            DiskStep::Write => {
                #[allow(
                    clippy::result_large_err,
                    reason = "a full disk hands back what is still to be written"
                )]
                let written = run.writing.take().map(|write| write.run());
                let failed = written.as_ref().and_then(|w| w.as_ref().err());
                let failed = failed.map(ToString::to_string);
                run.written = written;
                self.has_a_reason(node, before, failed)?;
                self.go_on(node, DiskStep::Written);
            }
            DiskStep::Written => {
                let Some(written) = run.written.take() else {
                    return Ok(());
                };
                let has_failed = matches!(written, Err(WriteError::Failed { .. }));
                let synced = run.journal.finished(written);
                let is_unmarked = run.marked_until.take_if(|lsn| *lsn <= synced).is_some();
                self.nodes[node].is_marked &= !is_unmarked;
                if has_failed {
                    self.storage_fails(node);
                    return Ok(());
                }
                self.start_checkpoint(node);
                self.trace.mark(1, synced);
                return self.give(node, Input::Synced(synced));
            }
            DiskStep::Checkpoint => {
                let done = run.checkpointing.take().map(|job| job.run());
                let failed = done.as_ref().and_then(|d| d.as_ref().err());
                let failed = failed.map(ToString::to_string);
                run.checkpointed = done;
                self.has_a_reason(node, before, failed)?;
                self.go_on(node, DiskStep::Checkpointed);
            }
            DiskStep::Checkpointed => {
                let Some(done) = run.checkpointed.take() else {
                    return Ok(());
                };
                run.journal.checkpointed(&done);
                self.stats.checkpoints += u64::from(done.is_ok());
            }
        }
        Ok(())
    }

    /// What fails does so because the disk did.
    fn has_a_reason(&self, node: NodeIndex, before: u64, failed: Option<String>) -> Kept {
        match failed {
            Some(failed) if self.nodes[node].disk.troubles() == before => {
                let what = format!("n{node}'s disk works, and yet: {failed}");
                Err(broken("G8", what))
            }
            _ => Ok(()),
        }
    }

    /// Starts a checkpoint that waits, once all that it covers is durable.
    fn start_checkpoint(&mut self, node: NodeIndex) {
        let Some(run) = self.nodes[node].run.as_mut() else {
            return;
        };
        let synced = run.journal.synced();
        if let Some(job) = run.checkpoint.take_if(|job| job.lsn() <= synced) {
            run.checkpointing = Some(job);
            self.go_on(node, DiskStep::Checkpoint);
        }
    }

    pub(super) fn keep_house(&mut self, node: NodeIndex, life: Life) -> Kept {
        if self.nodes[node].life != life {
            return Ok(());
        }
        self.nodes[node].others_take_room();
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        run.is_house_due = false;
        if let Some(segment) = run.journal.victim() {
            self.stats.compactions += 1;
            self.give(node, Input::Compact { segment })?;
        }
        let Some(run) = self.nodes[node].run.as_mut() else {
            return Ok(());
        };
        let busy =
            run.checkpoint.is_some() || run.checkpointing.is_some() || run.checkpointed.is_some();
        if !busy && run.journal.checkpoint_due() {
            self.write(node);
            let node_settings = self.nodes[node].settings.clone();
            if let Some(run) = self.nodes[node].run.as_mut() {
                let state = state_of(&run.machine);
                let restored = Delivery::restore(node_settings, &mut &state[..]);
                if !restored.is_ok_and(|restored| state_of(&restored) == state) {
                    let what = "a checkpoint that is restored writes another one";
                    return Err(broken("G8", what));
                }
                run.checkpoint = run.journal.checkpoint(std::iter::once(state));
            }
            self.start_checkpoint(node);
        }
        if let Some(run) = self.nodes[node].run.as_mut()
            && run.writing.is_none()
            && run.written.is_none()
            && let Some(write) = run.journal.retry()
        {
            run.writing = Some(write);
            self.go_on(node, DiskStep::Write);
        }
        // As production: room is asked for again though nothing else happens.
        if let Some(run) = self.nodes[node].run.as_mut()
            && !run.is_house_due
            && run.journal.room().disk_full()
        {
            run.is_house_due = true;
            self.agenda.after(SECOND, Event::House { node, life });
        }
        Ok(())
    }
}
