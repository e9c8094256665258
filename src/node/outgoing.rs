//! Batches on their way out: parcels read from the journal and packed, in the worker pool.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use super::{dictionaries::Choice, remembered::OfHop, store::JournalReader};
use crate::{
    delivery::{
        Departure,
        generations::{Agreed, Way},
        hop::{Entry, Seq},
    },
    journal::ReadError,
    link::LinkKind,
    model::{Kind, Location, UnitId},
    parcel::Parcel,
    wire::{self, Against, Compression, Compressor, Effort},
};

thread_local! {
    /// Each worker's own, kept from one batch to the next.
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new());
}

/// A batch that is ready to go.
#[derive(Debug)]
pub(super) struct Packed {
    /// What goes over the link; none when no parcel could be read.
    pub(super) bytes: Option<Bytes>,
    /// What its parcels have, bytes.
    pub(super) payload_bytes: u64,
    /// Whose texts later batches may be compressed against.
    pub(super) senders: BTreeSet<UnitId>,
    /// Parcels that cannot be read back, and go without.
    pub(super) unreadable: Vec<Unreadable>,
}

/// A parcel that cannot be read back, now or later.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// The number by which it was to leave.
    pub(super) seq: Seq,
    /// Where it should be.
    pub(super) at: Location,
}

/// A batch cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// A parcel cannot be read back just now.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a session's batches may be compressed against.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// Dictionaries.
    pub(super) choice: Choice,
    /// The hop's history, where it is of use.
    pub(super) history: Option<OfHop>,
    /// What of it is agreed on.
    pub(super) agreed: Agreed,
    /// Kinds that are compressed against nothing, and nothing against them.
    pub(super) plain: Arc<BTreeSet<Kind>>,
}

impl Common {
    fn of(&self, entries: &[(Entry, Parcel)], effort: Effort) -> Against {
        let history = self.history.as_ref();
        history
            .and_then(|history| history.against(entries, &self.agreed, &self.choice, effort))
            .unwrap_or_else(|| self.choice.of(entries))
    }
}

/// Reads and packs, against what both ends have in `common`.
///
/// # Errors
/// The storage failed in a way that may pass.
pub(super) fn pack(
    reader: &JournalReader,
    departures: Vec<Departure>,
    kind: LinkKind,
    compression: Compression,
    common: &Common,
) -> Result<Packed, PackError> {
    let mut payload_bytes = 0;
    let mut entries = Vec::with_capacity(departures.len());
    let mut unreadable = Vec::new();
    for Departure { entry, at } in departures {
        match read(reader, at)? {
            Ok(parcel) => {
                payload_bytes += parcel.bytes().len() as u64;
                entries.push((entry, parcel));
            }
            Err(error) => {
                tracing::error!(
                    segment = at.segment,
                    offset = at.offset,
                    error,
                    "a parcel that was to be sent cannot be read"
                );
                let seq = entry.seq;
                unreadable.push(Unreadable { seq, at });
            }
        }
    }
    if entries.is_empty() {
        return Ok(Packed {
            bytes: None,
            payload_bytes,
            senders: BTreeSet::new(),
            unreadable,
        });
    }
    let effort = effort(kind, entries.len());
    let settings = wire::Settings {
        compression,
        plain: common.plain.clone(),
        effort,
        against: common.of(&entries, effort),
    };
    let bytes =
        COMPRESSOR.with_borrow_mut(|compressor| wire::pack(&entries, &settings, compressor));
    let senders = match &common.history {
        Some(history) => history.keep(Way::Sent, &entries, &common.plain),
        None => BTreeSet::new(),
    };
    Ok(Packed {
        bytes: Some(bytes),
        payload_bytes,
        senders,
        unreadable,
    })
}

/// Reads one parcel back. The inner error lasts, and says why; the outer one may pass.
pub(super) fn read(
    reader: &JournalReader,
    at: Location,
) -> Result<Result<Parcel, String>, ReadError> {
    match reader.read(at) {
        Ok(bytes) => Ok(Parcel::read(bytes).map_err(|error| error.to_string())),
        Err(error) if error.is_lasting() => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Lets go of what this thread keeps between batches: it has had nothing to do for a while.
pub(super) fn shed() {
    COMPRESSOR.with_borrow_mut(Compressor::shed);
}

/// A slow line is worth a processor's time when there is a backlog; somebody waits for a parcel that goes alone.
fn effort(kind: LinkKind, parcels: usize) -> Effort {
    match kind {
        LinkKind::Mobile if parcels > 1 => Effort::Densest,
        LinkKind::Mobile | LinkKind::Exclusive => Effort::Level(9),
        LinkKind::Lan => Effort::Level(3),
    }
}
