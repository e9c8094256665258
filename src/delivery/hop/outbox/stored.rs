//! An outbox in a checkpoint.

use std::collections::BTreeMap;

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};

use super::{Outbox, chains::Tail, queue::Entry};
use crate::{
    codec::Each,
    delivery::{
        hop::frame::Seq,
        parcels::{Names, Number, Parcels, Slot},
    },
    model::Lane,
};

impl Outbox {
    /// Everything durable, for a checkpoint.
    pub(in crate::delivery) fn snapshot(&self) -> impl Encode + '_ {
        let stored = |(seq, entry): (Seq, &Entry)| Stored {
            seq,
            slot: entry.slot,
            for_whom: entry.for_whom,
            after: entry.after(),
            lane: entry.lane,
            flags: entry.flags(),
        };
        let queue = Each {
            len: self.queue.len(),
            items: move || self.queue.iter().map(stored),
        };
        let afters: BTreeMap<Seq, &Vec<Seq>> = self.afters.iter().map(|(s, a)| (*s, a)).collect();
        let chains = Each {
            len: self.chains.len(),
            items: || self.chains.iter(),
        };
        let targets = self.targets.snapshot();
        let endings = &self.endings;
        (
            self.next, targets, queue, afters, endings, &self.gone, chains,
        )
    }

    /// From what [`Outbox::snapshot`] encoded, one after another, with the parcels that it is about.
    pub(in crate::delivery) fn decode<D: Decoder<Context = ()>>(
        decoder: &mut D,
        parcels: &Parcels,
    ) -> Result<Self, DecodeError> {
        let mut outbox = Self {
            next: Decode::decode(decoder)?,
            targets: Names::decode(decoder)?,
            ..Self::default()
        };
        outbox.durable = outbox.next;
        for _ in 0..u64::decode(decoder)? {
            let stored = Stored::decode(decoder)?;
            if parcels.find(stored.slot).is_none() || !outbox.targets.again(stored.for_whom) {
                return Err(DecodeError::Other("a copy is of nothing"));
            }
            let mut entry =
                Entry::new(stored.slot, stored.for_whom, stored.lane).flagged(stored.flags);
            entry.set_after(stored.after);
            outbox.queue.insert(stored.seq, entry);
            outbox.count(stored.seq, &entry, parcels);
        }
        outbox.afters = BTreeMap::decode(decoder)?.into_iter().collect();
        outbox.endings = Decode::decode(decoder)?;
        outbox.gone = Decode::decode(decoder)?;
        for _ in 0..u64::decode(decoder)? {
            let (key, tails) = <(u64, Vec<(Number, Vec<Seq>)>)>::decode(decoder)?;
            let tails = tails.into_iter();
            let tails: Vec<Tail> = tails.map(|(target, seqs)| Tail { target, seqs }).collect();
            let known = tails.iter().all(|tail| outbox.targets.again(tail.target));
            let place = outbox.chains.begin(key).filter(|_| known);
            let place = place.ok_or(DecodeError::Other("a chain has no key"))?;
            outbox.chains.set_tails(place, tails);
        }
        outbox.chain_up(parcels);
        Ok(outbox)
    }

    /// Finds the chains' numbers again.
    fn chain_up(&mut self, parcels: &Parcels) {
        let mut at = 0;
        loop {
            let Some((seq, entry)) = self.queue.range(at..=Seq::MAX).next() else {
                return;
            };
            let key = parcels.get(entry.slot).chain;
            at = seq + 1;
            let found = self.chains.find(key);
            if let Some(place) = found.or_else(|| self.chains.begin(key)) {
                self.append(place, seq);
            }
        }
    }
}

/// A copy as a checkpoint has it.
#[derive(Debug, Encode, Decode)]
struct Stored {
    seq: Seq,
    slot: Slot,
    for_whom: Number,
    after: u32,
    lane: Lane,
    flags: u8,
}
