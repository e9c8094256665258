//! Batches on their way in: unpacked within bounds and judged, in the worker pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    judge::{Bench, Opened},
    live::Live,
    shared::Shared,
};
use crate::{
    delivery::Arrival,
    link::Received,
    model::{Digest, Fingerprint, Millis, Reason, UnitId},
    wire::{self, BatchError, BatchLimits},
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
    /// The dictionary with this number, against which it was compressed, is not here any more.
    Lost(u64),
    /// It is not a batch that this node takes.
    Broken(BatchError),
}

/// A neighbour's dictionary that a batch needs.
pub(super) struct OwnDictionary {
    /// What the batch calls it.
    pub(super) number: u64,
    /// Which it is.
    pub(super) id: Digest,
    /// Whose it is.
    pub(super) neighbour: UnitId,
    /// Where it is kept.
    pub(super) shared: Arc<Shared>,
}

/// What is taken in one batch. A parcel that is larger than this node's own bound for messages is refused by name, so it must come in.
pub(super) fn batch_limits(live: &Live) -> BatchLimits {
    let body = live.settings.limits.message_kib as usize * 1024;
    BatchLimits {
        plain_bytes: BATCH_BYTES_MIN.max(body + PARCEL_BYTES),
        ..BatchLimits::default()
    }
}

/// Unpacks a batch and judges its parcels, if all their signers are known. `own` is what it was compressed against, if that is not
/// built in; `attests` and `now` are those of [`Bench`].
pub(super) fn judge(
    batch: Received,
    live: &Live,
    untrusted: &BTreeMap<Fingerprint, Reason>,
    limits: &BatchLimits,
    own: Option<OwnDictionary>,
    attests: bool,
    now: Millis,
) -> Judged {
    let dictionary = match &own {
        None => None,
        Some(own) => match own.shared.shelf.get(&own.neighbour, own.id) {
            Some(dictionary) => Some(dictionary),
            None => return Judged::Lost(own.number),
        },
    };
    let parcels = match wire::unpack(&batch, limits, match &dictionary { Some(d) => wire::Text::Dictionary(d), None => wire::Text::Nothing }) {
        Ok(parcels) => parcels,
        Err(error) => return Judged::Broken(error),
    };
    let bench = Bench {
        signers: &live.signers,
        untrusted,
        blocked: &live.blocked,
        attests,
        body_bytes_max: live.settings.limits.message_kib as usize * 1024,
        now,
    };
    let opened = Opened::new(parcels);
    let unknown = opened.unknown(&bench);
    if !unknown.is_empty() {
        return Judged::Unknown(batch, unknown);
    }
    drop(batch);
    Judged::Arrivals(opened.judge(&bench))
}
