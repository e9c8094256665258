//! The chains of an outbox: what is queued of each, and what its next number comes after.

use std::{collections::HashMap, hash::BuildHasher as _, mem, num::NonZeroU64};

use hashbrown::DefaultHashBuilder;

use super::super::frame::Seq;
use crate::delivery::parcels::{Blocks, Index, Links, NOWHERE, Number, Place};

/// A chain of which something is queued: the first and the last number, the others follow from [`Entry::next`](super::queue::Entry).
#[derive(Debug)]
pub(super) struct Chain {
    key: NonZeroU64,
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// Its end, when there is one with one number; otherwise [`MANY`], and they stand beside.
    target: Number,
    tail: Seq,
    link: Place,
}

/// The target that stands for no end or for several.
const MANY: Number = Number::MAX;

/// The numbers that the next one of a chain comes after, for one target. It is the last number; when that one ended here, those that it
/// came after. An acked one counts as long as anything of its chain is queued: the neighbour may have it and wait for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// A number of [`Outbox::targets`](super::Outbox) that is one target.
    pub(super) target: Number,
    pub(super) seqs: Vec<Seq>,
}

/// Chains of one block: a hub has many mailboxes with few of them.
const CHAINS: usize = 16;

/// Chains by their keys.
#[derive(Debug, Default)]
pub(super) struct Chains {
    chains: Blocks<Chain, CHAINS>,
    index: Index,
    hasher: DefaultHashBuilder,
    many: HashMap<Place, Vec<Tail>>,
}

struct ByKey<'a> {
    chains: &'a mut Blocks<Chain, CHAINS>,
    hasher: &'a DefaultHashBuilder,
}

impl Links for ByKey<'_> {
    fn hash(&self, place: Place) -> u64 {
        let key = self.chains.get(place).map(|chain| chain.key.get());
        self.hasher.hash_one(key.unwrap_or_default())
    }

    fn next(&self, place: Place) -> Place {
        self.chains.get(place).map_or(NOWHERE, |chain| chain.link)
    }

    fn set_next(&mut self, place: Place, next: Place) {
        if let Some(chain) = self.chains.get_mut(place) {
            chain.link = next;
        }
    }
}

impl Chains {
    pub(super) fn find(&self, key: u64) -> Option<Place> {
        let mut at = self.index.first(self.hasher.hash_one(key));
        while let Some(chain) = self.chains.get(at) {
            if chain.key.get() == key {
                return Some(at);
            }
            at = chain.link;
        }
        None
    }

    /// A new chain with nothing in it; none when the key is 0.
    pub(super) fn begin(&mut self, key: u64) -> Option<Place> {
        let place = self.chains.put(Chain {
            key: NonZeroU64::new(key)?,
            first: 0,
            last: 0,
            target: MANY,
            tail: 0,
            link: NOWHERE,
        });
        let (chains, hasher) = (&mut self.chains, &self.hasher);
        self.index.insert(&mut ByKey { chains, hasher }, place);
        Some(place)
    }

    /// Nothing is queued of it any more. Its tails, whose targets are in use no longer.
    pub(super) fn finish(&mut self, place: Place) -> Vec<Tail> {
        let tails = self.take_tails(place);
        let (chains, hasher) = (&mut self.chains, &self.hasher);
        self.index.remove(&mut ByKey { chains, hasher }, place);
        self.chains.take(place);
        tails
    }

    pub(super) fn get(&self, place: Place) -> &Chain {
        let chain = self.chains.get(place);
        chain.unwrap_or_else(|| unreachable!("a chain that was found is there"))
    }

    pub(super) fn get_mut(&mut self, place: Place) -> &mut Chain {
        let chain = self.chains.get_mut(place);
        chain.unwrap_or_else(|| unreachable!("a chain that was found is there"))
    }

    /// Puts a number at its end in the place of the one that is there, when both are for this one target; tells that one.
    pub(super) fn follow(&mut self, place: Place, target: Number, seq: Seq) -> Option<Seq> {
        let chain = self.get_mut(place);
        (chain.target == target && target != MANY).then(|| mem::replace(&mut chain.tail, seq))
    }

    pub(super) fn take_tails(&mut self, place: Place) -> Vec<Tail> {
        let chain = self.get_mut(place);
        match mem::replace(&mut chain.target, MANY) {
            MANY => self.many.remove(&place).unwrap_or_default(),
            target => vec![Tail {
                target,
                seqs: vec![chain.tail],
            }],
        }
    }

    pub(super) fn set_tails(&mut self, place: Place, tails: Vec<Tail>) {
        let chain = self.get_mut(place);
        match &tails[..] {
            [Tail { target, seqs }] if let [seq] = seqs[..] => {
                (chain.target, chain.tail) = (*target, seq);
            }
            _ => {
                self.many.insert(place, tails);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Every chain's key and tails.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Vec<(Number, Vec<Seq>)>)> {
        self.chains.iter().map(|(place, chain)| {
            let tails = match chain.target {
                MANY => {
                    let tails = self.many.get(&place).into_iter().flatten();
                    tails.map(|tail| (tail.target, tail.seqs.clone())).collect()
                }
                target => vec![(target, vec![chain.tail])],
            };
            (chain.key.get(), tails)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_stands_in_the_chain_and_others_beside() {
        let tail = |target, seqs: &[Seq]| Tail {
            target,
            seqs: seqs.to_vec(),
        };
        let mut chains = Chains::default();
        assert_eq!((chains.begin(0), chains.find(7)), (None, None));
        let place = chains.begin(7).expect("a key");
        assert_eq!(chains.find(7), Some(place));
        assert_eq!(chains.follow(place, 1, 5), None);
        chains.set_tails(place, vec![tail(1, &[5])]);
        assert_eq!(chains.follow(place, 1, 6), Some(5));
        assert_eq!(chains.take_tails(place), [tail(1, &[6])]);
        let two = vec![tail(1, &[6]), tail(2, &[3, 4])];
        chains.set_tails(place, two.clone());
        assert_eq!(chains.follow(place, 1, 7), None);
        assert_eq!((chains.finish(place), chains.find(7)), (two, None));
        assert!(chains.many.is_empty() && chains.len() == 0);
        assert_eq!(size_of::<Option<Chain>>(), 40);
    }
}
