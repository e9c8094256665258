//! What a hop remembers, as workers use it: what batches are compressed against, and what is kept of them for later ones.

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;

use super::{dictionaries::Choice, shared::Shared};
use crate::{
    delivery::{
        generations::{Agreed, Epochs, Text, Way},
        hop::{Entry, Generation},
    },
    model::{Kind, UnitId},
    parcel::Parcel,
    wire::{self, Against, Dictionary, Effort, History},
};

/// A batch for which more work is done makes itself small: less history than this is not worth the lower level that goes with it.
const DENSEST_BYTES_MIN: usize = 64 * 1024;

/// The history of the hop with one neighbour.
#[derive(Clone)]
pub(super) struct OfHop {
    pub(super) shared: Arc<Shared>,
    pub(super) neighbour: UnitId,
    /// What this node's hello has named in the session.
    pub(super) epochs: Epochs,
}

impl fmt::Debug for OfHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfHop({})", self.neighbour)
    }
}

impl OfHop {
    /// What a batch to the neighbour is to be compressed against, when that is a generation: one of whoever wrote all of it.
    pub(super) fn against(
        &self,
        entries: &[(Entry, Parcel)],
        agreed: &Agreed,
        choice: &Choice,
        effort: Effort,
    ) -> Option<Against> {
        if agreed.is_empty() || !self.shared.generations().takes(bytes_of(entries)) {
            return None;
        }
        let sender = only_sender(entries)?;
        let generation = agreed.get(&sender)?;
        let (base, dictionary) = choice.base_of(&sender)?;
        if generation.base != base {
            return None;
        }
        let now = self.shared.clock.mono();
        let mut all = self.shared.generations();
        let texts = all.ours(now, &self.neighbour, generation, dictionary.id())?;
        drop(all);
        let bytes: usize = texts.iter().map(Bytes::len).sum();
        if effort == Effort::Densest && bytes < DENSEST_BYTES_MIN {
            return None;
        }
        let history = joined(generation, dictionary, &texts);
        Some(Against::History(generation.number, Arc::new(history)))
    }

    /// What the neighbour compressed a batch against, if it is still here.
    pub(super) fn named(&self, generation: &Generation, base: &Dictionary) -> Option<History> {
        let now = self.shared.clock.mono();
        let mut all = self.shared.generations();
        let texts = all.theirs(now, &self.neighbour, generation, base.id())?;
        drop(all);
        Some(joined(generation, base, &texts))
    }

    /// Keeps what later batches may repeat, which no parcel of the `plain` kinds is. Whoever of the batch's senders it was kept of.
    pub(super) fn keep(
        &self,
        way: Way,
        entries: &[(Entry, Parcel)],
        plain: &BTreeSet<Kind>,
    ) -> BTreeSet<UnitId> {
        let takes = self.shared.generations().takes(bytes_of(entries));
        let texts: Vec<Text> = match takes {
            true => entries
                .iter()
                .filter_map(|entry| text(entry, plain))
                .collect(),
            false => Vec::new(),
        };
        if texts.is_empty() {
            if way == Way::Sent {
                self.forget(entries);
            }
            return BTreeSet::new();
        }
        let senders = texts.iter().map(|text| text.sender.clone()).collect();
        let now = self.shared.clock.mono();
        let mut all = self.shared.generations();
        all.remember(now, (&self.neighbour, self.epochs), way, texts);
        senders
    }

    /// These go in a way that the neighbour does not remember.
    pub(super) fn forget(&self, entries: &[(Entry, Parcel)]) {
        let seqs = entries.iter().map(|(entry, _)| entry.seq);
        self.shared.generations().forget(&self.neighbour, seqs);
    }
}

fn joined(generation: &Generation, base: &Dictionary, texts: &[Bytes]) -> History {
    History::new(generation.id, base, texts.iter().map(Bytes::as_ref))
}

fn text((entry, parcel): &(Entry, Parcel), plain: &BTreeSet<Kind>) -> Option<Text> {
    let header = parcel.header().ok()?;
    let is_left_out = plain.contains(&header.kind);
    let bytes = match is_left_out {
        true => Bytes::new(),
        false => wire::history_text(parcel)?.into(),
    };
    Some(Text {
        seq: entry.seq,
        sender: header.sender,
        parcel: parcel.digest(),
        bytes,
        is_left_out,
    })
}

fn bytes_of(entries: &[(Entry, Parcel)]) -> usize {
    let parcels = entries.iter().map(|(_, parcel)| parcel.bytes().len());
    parcels.sum()
}

/// Who wrote all of it; nobody when there are several.
fn only_sender(entries: &[(Entry, Parcel)]) -> Option<UnitId> {
    let mut only: Option<UnitId> = None;
    for (_, parcel) in entries {
        let header = parcel.header().ok()?;
        match &only {
            None => only = Some(header.sender),
            Some(sender) if *sender == header.sender => {}
            Some(_) => return None,
        }
    }
    only
}
