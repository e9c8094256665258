//! The judgement of parcels that a neighbour brought: does the signature hold, and the signer.
//!
//! It runs in the worker pool, before the machine sees anything. A parcel whose signer's certificate is not known yet cannot be
//! judged: its whole batch waits until the certificate has come.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cloudevents, codec,
    delivery::{Arrival, hop::Entry},
    model::{Fingerprint, Millis, Reason, ReceiptItem, UnitId},
    parcel::{Header, Parcel, ParcelError},
    pki::SignerStore,
};

/// Most lines that one receipt may have.
pub(super) const RECEIPT_ITEMS_MAX: usize = 64;

/// Most that the decoder may claim for a receipt's lines, bytes.
const RECEIPT_BYTES_MAX: usize = 256 * 1024;

/// A batch that was unpacked; the headers are read, the signatures are not checked.
#[derive(Debug)]
pub(super) struct Opened {
    parcels: Vec<(Entry, Parcel, Option<Header>)>,
}

/// By what a batch is judged.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    /// The signers that this node knows.
    pub(super) signers: &'a SignerStore,
    /// Certificates that came and do not count.
    pub(super) untrusted: &'a BTreeMap<Fingerprint, Reason>,
    /// Units that the configuration cuts off.
    pub(super) blocked: &'a BTreeSet<UnitId>,
    /// Whether the neighbour is a hub whose word counts for when a signer was judged.
    pub(super) attests: bool,
    /// Largest body, bytes.
    pub(super) body_bytes_max: usize,
    /// Now, milliseconds since the Unix epoch.
    pub(super) now: Millis,
}

impl Opened {
    /// Reads the headers of a batch's parcels.
    pub(super) fn new(parcels: impl IntoIterator<Item = (Entry, Parcel)>) -> Self {
        let parcels = parcels.into_iter().map(|(entry, parcel)| {
            let header = parcel.header().ok();
            (entry, parcel, header)
        });
        Self {
            parcels: parcels.collect(),
        }
    }

    /// The signers that `bench` has to know before it can judge.
    pub(super) fn unknown(&self, bench: &Bench<'_>) -> BTreeSet<Fingerprint> {
        self.parcels
            .iter()
            .filter_map(|(_, _, header)| header.as_ref())
            .map(|header| header.signer)
            .filter(|signer| {
                !bench.untrusted.contains_key(signer) && bench.signers.get(signer).is_none()
            })
            .collect()
    }

    /// Judges every parcel. One whose signer is not known counts as one of an untrusted signer.
    pub(super) fn judge(self, bench: &Bench<'_>) -> Vec<Arrival> {
        self.parcels
            .into_iter()
            .map(|(entry, parcel, header)| bench.arrival(entry, parcel, header))
            .collect()
    }
}

impl Bench<'_> {
    fn arrival(&self, mut entry: Entry, parcel: Parcel, header: Option<Header>) -> Arrival {
        // The word of a hub counts, so that a parcel that waited for days outlives its signer's certificate.
        if !self.attests || entry.attested == 0 {
            entry.attested = self.now;
        }
        let mut receipt = Vec::new();
        let verdict = match &header {
            None => Err(Reason::Malformed),
            Some(header) => self
                .signature(&parcel, header, entry.attested)
                .and_then(|()| self.content(&parcel, header))
                .map(|items| receipt = items),
        };
        Arrival {
            entry,
            parcel,
            header,
            receipt,
            verdict,
        }
    }

    fn signature(&self, parcel: &Parcel, header: &Header, at: Millis) -> Result<(), Reason> {
        if let Some(reason) = self.untrusted.get(&header.signer) {
            return Err(*reason);
        }
        let signer = self
            .signers
            .get(&header.signer)
            .ok_or(Reason::UntrustedSigner)?;
        signer.check_sender(&header.sender)?;
        parcel
            .verify(signer.key())
            .map_err(|_: ParcelError| Reason::BadSignature)?;
        if !self.attests && self.blocked.contains(&header.sender) {
            return Err(Reason::RevokedSigner);
        }
        signer.check_time(at)
    }

    /// What an application could not be handed must not be accepted. Gives a receipt's lines.
    fn content(&self, parcel: &Parcel, header: &Header) -> Result<Vec<ReceiptItem>, Reason> {
        let body = parcel.body();
        if body.len() > self.body_bytes_max {
            return Err(Reason::TooLarge);
        }
        if !header.kind.is_receipt() {
            return cloudevents::check(header, &body)
                .map(|()| Vec::new())
                .map_err(|_| Reason::Malformed);
        }
        codec::decode::<Vec<ReceiptItem>, RECEIPT_BYTES_MAX>(&body)
            .ok()
            .filter(|items| !items.is_empty() && items.len() <= RECEIPT_ITEMS_MAX)
            .ok_or(Reason::Malformed)
    }
}
