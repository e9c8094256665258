//! What comes after what: a copy enters its chain, and leaves it.

use super::{
    Outbox,
    chains::Tail,
    queue::{BESIDE, Entry, near},
};
use crate::{
    delivery::{
        hop::frame::Seq,
        parcels::{Number, Place},
    },
    model::Pattern,
};

impl Outbox {
    /// Enters the copy into its chain, and notes which numbers it comes after.
    pub(super) fn link(&mut self, seq: Seq, for_whom: Number, key: u64) {
        let found = self.chains.find(key);
        let Some(place) = found.or_else(|| self.chains.begin(key)) else {
            return;
        };
        self.append(place, seq);
        if let Some(before) = self.chains.follow(place, for_whom, seq) {
            self.set_after(seq, vec![before]);
            return;
        }
        let mut tails = self.chains.take_tails(place);
        let patterns = self.targets.get(for_whom).clone();
        let mut after: Vec<Seq> = tails
            .iter()
            .filter(|tail| {
                let mut ends = self.targets.get(tail.target).iter();
                ends.any(|end| patterns.iter().any(|target| overlap(end, target)))
            })
            .flat_map(|tail| tail.seqs.iter().copied())
            .collect();
        after.sort_unstable();
        after.dedup();
        for target in patterns {
            let target = self.targets.take(&vec![target]);
            match tails.iter_mut().find(|tail| tail.target == target) {
                Some(tail) => {
                    tail.seqs = vec![seq];
                    self.targets.give(target);
                }
                None => tails.push(Tail {
                    target,
                    seqs: vec![seq],
                }),
            }
        }
        self.chains.set_tails(place, tails);
        self.set_after(seq, after);
    }

    /// Enters a number as the last one of its chain.
    pub(super) fn append(&mut self, place: Place, seq: Seq) {
        let chain = self.chains.get_mut(place);
        let last = std::mem::replace(&mut chain.last, seq);
        match last {
            0 => chain.first = seq,
            last => self.set_next(last, seq),
        }
    }

    /// Takes a number out of its chain, of which `next` is the next one.
    pub(super) fn unlink(&mut self, seq: Seq, next: Option<Seq>, key: u64) {
        let Some(place) = self.chains.find(key) else {
            return;
        };
        let chain = self.chains.get_mut(place);
        if chain.first == seq {
            chain.first = next.unwrap_or_default();
            if chain.first == 0 {
                for tail in self.chains.finish(place) {
                    self.targets.give(tail.target);
                }
            }
            return;
        }
        // Copies leave nearly in order: it is not far from the first.
        let mut before = chain.first;
        while let Some(at) = self.next_of(before).filter(|at| *at < seq) {
            before = at;
        }
        match next {
            Some(next) => self.set_next(before, next),
            None => {
                self.chains.get_mut(place).last = before;
                self.nexts.remove(&before);
                if let Some(entry) = self.queue.get_mut(before) {
                    entry.set_next(0);
                }
            }
        }
    }

    /// Numbers of a chain that are queued, from `first` on.
    pub(super) fn chained(&self, first: Option<Seq>) -> impl Iterator<Item = Seq> + '_ {
        std::iter::successors(first, |seq| self.next_of(*seq))
    }

    pub(super) fn next_of(&self, seq: Seq) -> Option<Seq> {
        match self.queue.get(seq)?.next() {
            0 => None,
            BESIDE => self.nexts.get(&seq).copied(),
            far => Some(seq + Seq::from(far)),
        }
    }

    fn set_next(&mut self, seq: Seq, next: Seq) {
        let far = near(next - seq);
        self.nexts.remove(&seq);
        if far == BESIDE {
            self.nexts.insert(seq, next);
        }
        if let Some(entry) = self.queue.get_mut(seq) {
            entry.set_next(far);
        }
    }

    /// Numbers that must be released first at the neighbour.
    pub(in crate::delivery) fn after(&self, seq: Seq) -> impl Iterator<Item = Seq> + '_ {
        let back = self.queue.get(seq).map_or(0, Entry::after);
        let (near, beside) = match back {
            0 => (None, None),
            BESIDE => (None, self.afters.get(&seq)),
            back => (Some(seq - Seq::from(back)), None),
        };
        near.into_iter()
            .chain(beside.into_iter().flatten().copied())
    }

    pub(super) fn set_after(&mut self, seq: Seq, after: Vec<Seq>) {
        let back = match after[..] {
            [] => 0,
            [before] if before < seq => near(seq - before),
            _ => BESIDE,
        };
        self.afters.remove(&seq);
        if back == BESIDE {
            self.afters.insert(seq, after);
        }
        if let Some(entry) = self.queue.get_mut(seq) {
            entry.set_after(back);
        }
    }
}

/// Whether two targets may mean the same unit.
fn overlap(a: &Pattern, b: &Pattern) -> bool {
    match (a.is_name(), b.is_name()) {
        (true, true) => a == b,
        (true, false) => b.matches(a.as_str()),
        (false, true) => a.matches(b.as_str()),
        (false, false) => true,
    }
}
