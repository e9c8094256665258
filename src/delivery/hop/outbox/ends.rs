//! Copies that end here: the neighbour is told, and those that come after inherit.

use super::super::frame::Seq;
use super::{Ending, Outbox, Queued, overlap};
use crate::model::Ranges;

impl Outbox {
    /// Takes out what ended here, and remembers to tell the neighbour. What came after it comes after what it came after itself: the
    /// neighbour, which never has it, cannot know those.
    pub(in crate::delivery) fn end(&mut self, seq: Seq) -> Option<Queued> {
        let queued = self.remove(seq)?;
        self.gone.insert(seq);
        self.untold.insert(seq);
        if let Some(chain) = self.chains.get_mut(&queued.chain) {
            let ends = chain.tails.iter_mut().map(|tail| &mut tail.seqs);
            ends.for_each(|seqs| inherit(seqs, seq, &queued.after));
            for later in chain.queued.range(seq..) {
                if let Some(later) = self.queue.get_mut(later) {
                    inherit(&mut later.after, seq, &queued.after);
                }
            }
        }
        Some(queued)
    }

    /// A copy is to end: it no longer goes, unless it is under way already.
    pub(in crate::delivery) fn begin_ending(&mut self, seq: Seq, ending: Ending) {
        let Some(queued) = self.queue.get_mut(&seq) else {
            return;
        };
        queued.ending = Some(Box::new(ending));
        self.endings.insert(seq);
        self.untold.insert(seq);
        if !self.places.contains_key(&seq) {
            self.park(seq);
        }
    }

    /// The neighbour has answered, or has shown that it knows.
    pub(in crate::delivery) fn gone_known(&mut self, seqs: &Ranges) {
        if self.gone.is_empty() {
            return;
        }
        self.gone = self
            .gone
            .iter()
            .flat_map(|(start, end)| start..=end)
            .filter(|seq| !seqs.contains(*seq))
            .collect();
    }

    /// Numbers that the neighbour is to be told of now, each once in a session: those that ended, and those that are to end.
    ///
    /// One that is to end may have been sent, and what comes after it too. When the neighbour learns that it is gone, it releases what
    /// it has of that; so it learns it only once it has, or knows to be gone, all that came before.
    pub(in crate::delivery) fn take_untold(&mut self) -> Ranges {
        let told: Vec<Seq> = self
            .untold
            .iter()
            .copied()
            .filter(|seq| !self.follows_others(*seq))
            .collect();
        for seq in &told {
            self.untold.remove(seq);
        }
        told.into_iter().collect()
    }

    /// Whether something of its chain and for its targets is queued before it that is not to end as well.
    fn follows_others(&self, seq: Seq) -> bool {
        let Some(queued) = self.queue.get(&seq) else {
            return false; // it ended here, and nothing that comes after it had left
        };
        let Some(chain) = self.chains.get(&queued.chain) else {
            return false;
        };
        chain
            .queued
            .range(..seq)
            .filter_map(|before| self.queue.get(before))
            .filter(|before| before.ending.is_none())
            .flat_map(|before| &before.for_whom)
            .any(|target| queued.for_whom.iter().any(|t| overlap(t, target)))
    }

    /// Everything that ended or is to end is to be told again: what was told before may have died with a session.
    pub(in crate::delivery) fn tell_again(&mut self) {
        self.untold = self.endings.clone();
        for (start, end) in self.gone.iter() {
            self.untold.extend(start..=end);
        }
    }
}

/// Puts `heirs` in the place of `seq`.
fn inherit(seqs: &mut Vec<Seq>, seq: Seq, heirs: &[Seq]) {
    let Some(at) = seqs.iter().position(|s| *s == seq) else {
        return;
    };
    seqs.splice(at..=at, heirs.iter().copied());
    seqs.sort_unstable();
    seqs.dedup();
}
