//! Copies that end here: the neighbour is told, and those that come after inherit.

use super::super::frame::Seq;
use super::{Ending, Left, Outbox};
use crate::{delivery::parcels::Parcels, model::Ranges};

impl Outbox {
    /// Takes out what ended here, and remembers to tell the neighbour. What came after it comes after what it came after itself: the
    /// neighbour, which never has it, cannot know those.
    pub(in crate::delivery) fn end(&mut self, seq: Seq, parcels: &Parcels) -> Option<Left> {
        let after: Vec<Seq> = self.after(seq).collect();
        let next = self.next_of(seq);
        let left = self.remove(seq, parcels)?;
        self.gone.insert(seq);
        self.untold.insert(seq);
        if let Some(place) = self.chains.find(parcels.get(left.slot).chain) {
            let mut tails = self.chains.take_tails(place);
            let ends = tails.iter_mut().map(|tail| &mut tail.seqs);
            ends.for_each(|seqs| inherit(seqs, seq, &after));
            self.chains.set_tails(place, tails);
            let mut next = next;
            while let Some(later) = next {
                let mut afters: Vec<Seq> = self.after(later).collect();
                if afters.contains(&seq) {
                    inherit(&mut afters, seq, &after);
                    self.set_after(later, afters);
                }
                next = self.next_of(later);
            }
        }
        Some(left)
    }

    /// A copy is to end: it no longer goes, unless it is under way already.
    pub(in crate::delivery) fn begin_ending(
        &mut self,
        seq: Seq,
        ending: Ending,
        parcels: &Parcels,
    ) {
        if self.queue.get(seq).is_none() {
            return;
        }
        self.endings.insert(seq, ending);
        self.untold.insert(seq);
        if !self.leased.contains_key(&seq) {
            self.park(seq, parcels);
        }
    }

    /// The neighbour has answered, or has shown that it knows.
    pub(in crate::delivery) fn gone_known(&mut self, seqs: &Ranges) {
        self.gone.remove_all(seqs);
    }

    /// Numbers that the neighbour is to be told of now, each once in a session: those that ended, and those that are to end.
    ///
    /// One that is to end may have been sent, and what comes after it too. When the neighbour learns that it is gone, it releases what
    /// it has of that; so it learns it only once it has, or knows to be gone, all that came before.
    pub(in crate::delivery) fn take_untold(&mut self, parcels: &Parcels) -> Ranges {
        let told: Vec<Seq> = self
            .untold
            .iter()
            .copied()
            .filter(|seq| !self.follows_others(*seq, parcels))
            .collect();
        for seq in &told {
            self.untold.remove(seq);
        }
        told.into_iter().collect()
    }

    /// Whether something of its chain is queued before it that is not to end as well, for whatever targets: what the neighbour has acked may
    /// wait for that, and what comes after this one for what was acked.
    fn follows_others(&self, seq: Seq, parcels: &Parcels) -> bool {
        let Some(entry) = self.queue.get(seq) else {
            return false; // it ended here, and nothing that comes after it had left
        };
        let Some(place) = self.chains.find(parcels.get(entry.slot).chain) else {
            return false;
        };
        self.chained(Some(self.chains.get(place).first))
            .take_while(|before| *before < seq)
            .any(|before| self.ending(before).is_none())
    }

    /// Everything that ended or is to end is to be told again: what was told before may have died with a session.
    pub(in crate::delivery) fn tell_again(&mut self) {
        self.untold = self.endings.keys().copied().collect();
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
