//! Batches on their way out: parcels read from the journal and packed, in the worker pool.

use std::cell::RefCell;

use bytes::Bytes;

use super::store::JournalReader;
use crate::{
    delivery::Departure,
    journal::ReadError,
    link::LinkKind,
    parcel::{Parcel, ParcelError},
    wire::{self, Compression, Compressor, Effort},
};

thread_local! {
    /// Each worker's own, kept from one batch to the next.
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new());
}

/// A batch that is ready to go.
#[derive(Debug)]
pub(super) struct Packed {
    /// What goes over the link.
    pub(super) bytes: Bytes,
    /// What its parcels have, bytes.
    pub(super) payload_bytes: u64,
}

/// A batch cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// A parcel cannot be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read is not a parcel.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
}

/// Reads and packs.
pub(super) fn pack(
    reader: &JournalReader,
    departures: Vec<Departure>,
    kind: LinkKind,
    compression: Compression,
) -> Result<Packed, PackError> {
    let mut payload_bytes = 0;
    let mut entries = Vec::with_capacity(departures.len());
    for Departure { entry, at } in departures {
        let bytes = reader.read(at)?;
        payload_bytes += bytes.len() as u64;
        entries.push((entry, Parcel::read(bytes)?));
    }
    let settings = wire::Settings {
        compression,
        effort: effort(kind, entries.len()),
        dictionary: true,
    };
    let bytes = COMPRESSOR.with_borrow_mut(|compressor| wire::pack(&entries, settings, compressor));
    Ok(Packed {
        bytes,
        payload_bytes,
    })
}

/// Lets go of what this thread keeps between batches: it has had nothing to do for a while.
pub(super) fn shed() {
    COMPRESSOR.with_borrow_mut(Compressor::shed);
}

/// A slow line is worth a processor's time when there is a backlog; somebody waits for a parcel that goes alone.
fn effort(kind: LinkKind, parcels: usize) -> Effort {
    match kind {
        LinkKind::Mobile if parcels > 1 => Effort::Level(19),
        LinkKind::Mobile | LinkKind::Exclusive => Effort::Level(9),
        LinkKind::Lan => Effort::Level(3),
    }
}
