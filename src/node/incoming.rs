//! Batches on their way in: unpacked within bounds and judged, in the worker pool, step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::ControlFlow,
    sync::Arc,
};

use super::{
    dictionaries::Base,
    judge::{Bench, Opened},
    live::Live,
    remembered::OfHop,
    shared::Shared,
};
use crate::{
    delivery::{Arrival, generations::Way, hop::Generation},
    link::Received,
    model::{Digest, Fingerprint, Millis, Reason, UnitId},
    wire::{self, BatchError, BatchLimits, Dictionary, History, Text},
};

/// Least bytes of a batch, unpacked, that are taken, whatever the settings say of messages.
const BATCH_BYTES_MIN: usize = 4 * 1024 * 1024;
/// What a parcel has beside its body, at most, bytes.
const PARCEL_BYTES: usize = 64 * 1024;

/// What came of a batch.
#[derive(Debug)]
pub(super) enum Judged {
    /// Every parcel with its verdict.
    Arrivals(Vec<Arrival>),
    /// Some signers are not known; the batch as it came.
    Unknown(Received, BTreeSet<Fingerprint>),
    /// What it was compressed against is not here any more.
    Lost(Lost),
    /// It is not a batch that this node takes.
    Broken(BatchError),
}

/// What is not here any more, by the number that the batch has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// A dictionary.
    Dictionary(u64),
    /// A generation, or the dictionary before it.
    Generation(u64),
}

/// What a batch was compressed against, beside what every node has.
pub(super) enum Needed {
    /// Nothing.
    Nothing,
    /// A dictionary of the neighbour's: what the batch calls it, and which it is.
    Own(u64, Digest),
    /// A generation.
    Generation(OfGeneration),
}

/// A generation, and the dictionary before it.
pub(super) struct OfGeneration {
    /// Which.
    pub(super) generation: Arc<Generation>,
    /// The dictionary.
    pub(super) base: Base,
}

/// Where a batch has come from.
pub(super) struct Origin {
    /// Where dictionaries are kept.
    pub(super) shared: Arc<Shared>,
    /// Who has sent it.
    pub(super) neighbour: UnitId,
    /// The hop's history, where it is of use.
    pub(super) history: Option<OfHop>,
    /// What it takes to read it.
    pub(super) needed: Needed,
}

/// What a batch was compressed against.
enum Found {
    Nothing,
    Dictionary(Arc<Dictionary>),
    History(History),
}

impl Origin {
    fn find(&self) -> Result<Found, Lost> {
        let own = |id| self.shared.shelf.get(&self.neighbour, id);
        match &self.needed {
            Needed::Nothing => Ok(Found::Nothing),
            Needed::Own(number, id) => {
                let found = own(*id).map(Found::Dictionary);
                found.ok_or(Lost::Dictionary(*number))
            }
            Needed::Generation(OfGeneration { generation, base }) => {
                let base = match base {
                    Base::BuiltIn => Some(Dictionary::built_in().clone()),
                    Base::Own(id) => own(*id),
                };
                let found = base
                    .zip(self.history.as_ref())
                    .and_then(|(base, history)| history.named(generation, &base));
                found
                    .map(Found::History)
                    .ok_or(Lost::Generation(generation.number))
            }
        }
    }
}

/// What is taken in one batch. A parcel that is larger than this node's own bound for messages is refused by name, so it must come in.
pub(super) fn batch_limits(live: &Live) -> BatchLimits {
    let body = live.settings.limits.message_kib as usize * 1024;
    BatchLimits {
        plain_bytes: BATCH_BYTES_MIN.max(body + PARCEL_BYTES),
        ..BatchLimits::default()
    }
}

/// A batch that is being judged.
pub(super) struct Judging {
    /// The batch, until it is unpacked.
    batch: Option<Received>,
    court: Court,
    opened: Option<Opened>,
    judged: Vec<Arrival>,
}

/// By what a batch is judged.
pub(super) struct Court {
    /// What is in force.
    pub(super) live: Arc<Live>,
    /// Certificates that came and do not count.
    pub(super) untrusted: Arc<BTreeMap<Fingerprint, Reason>>,
    /// What is taken in one batch.
    pub(super) limits: BatchLimits,
    /// Where the batch has come from.
    pub(super) origin: Origin,
    /// As [`Bench::attests`].
    pub(super) attests: bool,
    /// As [`Bench::now`].
    pub(super) now: Millis,
}

impl Judging {
    /// Begins with nothing done.
    pub(super) fn new(batch: Received, court: Court) -> Self {
        Self {
            batch: Some(batch),
            court,
            opened: None,
            judged: Vec::new(),
        }
    }

    /// Unpacks the batch, which is the first step, or judges its next parcel. Parcels are judged if all their signers are known.
    pub(super) fn step(&mut self) -> ControlFlow<Judged> {
        if let Some(batch) = self.batch.take() {
            return match self.court.open(batch) {
                Ok(opened) => {
                    self.judged.reserve(opened.left());
                    self.opened = Some(opened);
                    ControlFlow::Continue(())
                }
                Err(judged) => ControlFlow::Break(*judged),
            };
        }
        let bench = self.court.bench();
        let next = self
            .opened
            .as_mut()
            .and_then(|opened| opened.judge_next(&bench));
        self.judged.extend(next);
        match &self.opened {
            Some(opened) if opened.left() > 0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(Judged::Arrivals(mem::take(&mut self.judged))),
        }
    }
}

impl Court {
    fn bench(&self) -> Bench<'_> {
        Bench {
            signers: &self.live.signers,
            untrusted: &self.untrusted,
            blocked: &self.live.blocked,
            attests: self.attests,
            body_bytes_max: self.live.settings.limits.message_kib as usize * 1024,
            now: self.now,
        }
    }

    fn open(&self, batch: Received) -> Result<Opened, Box<Judged>> {
        let found = self
            .origin
            .find()
            .map_err(|lost| Box::new(Judged::Lost(lost)))?;
        let given = match &found {
            Found::Nothing => Text::Nothing,
            Found::Dictionary(dictionary) => Text::Dictionary(dictionary),
            Found::History(history) => Text::History(history),
        };
        let parcels = wire::unpack(&batch, &self.limits, given)
            .map_err(|error| Box::new(Judged::Broken(error)))?;
        if let Some(history) = &self.origin.history {
            history.keep(Way::Came, &parcels, &BTreeSet::new());
        }
        let opened = Opened::new(parcels);
        let unknown = opened.unknown(&self.bench());
        match unknown.is_empty() {
            true => Ok(opened),
            false => Err(Judged::Unknown(batch, unknown).into()),
        }
    }
}
