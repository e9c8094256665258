//! What a dictionary is worth: measured on messages that it was not trained on.

use serde::Serialize;

use super::messages::Message;
use crate::{
    delivery::hop::Entry,
    parcel::Parcel,
    wire::{self, Against, BATCH_PARCELS_MAX, Compression, Compressor, Effort, Settings},
};

/// Bytes of headers and bodies in a batch of a backlog.
const BATCH_BYTES: usize = 64 * 1024;

/// Bytes on the wire for each byte submitted, signatures included.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ratios {
    /// Against the built-in dictionary.
    pub(super) built_in: f64,
    /// Against this one.
    pub(super) own: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Gain {
    /// How many messages it was measured on.
    pub(super) messages: usize,
    /// Bytes of them as they were submitted.
    pub(super) submitted_bytes: usize,
    /// Each message alone, as when there is no backlog.
    pub(super) alone: Ratios,
    /// A backlog in batches of 64 KiB, with zstd's best level.
    pub(super) batches: Ratios,
    /// The same with the densest method, for slow links.
    pub(super) densest: Ratios,
}

impl Gain {
    /// Measures it. Every message is taken for one of one unit.
    pub(super) fn of(own: &Against, messages: &[&Message]) -> Self {
        let submitted_bytes = messages.iter().map(|message| message.submitted).sum();
        let entries: Vec<(Entry, Parcel)> = messages
            .iter()
            .zip(1..)
            .map(|(message, seq)| {
                let in_case = message.parcel.header().is_ok_and(|h| h.case.is_some());
                (wire::likely_entry(seq, in_case), message.parcel.clone())
            })
            .collect();
        let ratios = |effort, bytes| {
            let ratio = |against: &Against| {
                let sent = sent(&entries, against, effort, bytes);
                sent as f64 / submitted_bytes as f64
            };
            Ratios {
                built_in: ratio(&Against::BuiltIn),
                own: ratio(own),
            }
        };
        Self {
            messages: messages.len(),
            submitted_bytes,
            alone: ratios(Effort::Level(9), 0),
            batches: ratios(Effort::Level(19), BATCH_BYTES),
            densest: ratios(Effort::Densest, BATCH_BYTES),
        }
    }
}

/// Bytes of all batches.
fn sent(entries: &[(Entry, Parcel)], against: &Against, effort: Effort, bytes: usize) -> usize {
    let settings = Settings {
        // A unit's outbox has one sender.
        compression: Compression::Shared,
        effort,
        against: against.clone(),
        ..Settings::default()
    };
    let mut compressor = Compressor::new();
    let mut sent = 0;
    let mut rest = entries;
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest
            .iter()
            .take(BATCH_PARCELS_MAX)
            .take_while(|(_, parcel)| {
                size += parcel.bytes().len();
                size <= bytes
            });
        let (batch, after) = rest.split_at(fits.count().max(1));
        sent += wire::pack(batch, &settings, &mut compressor).len();
        rest = after;
    }
    sent
}
