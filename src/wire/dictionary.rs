//! The text that a batch is compressed against.

use std::sync::LazyLock;

use zstd::dict::DecoderDictionary;

use super::batch::compressible;
use crate::{
    codec,
    delivery::hop::{Entry, Targets},
    model::{Digest, Fingerprint, Kind, Lane, Millis, Outcome, Reason, ReceiptItem},
    parcel::{BodyForm, Header, Parcel},
    sample::{Generator, Options, Sample},
};

/// Names a dictionary in a batch.
pub(super) type DictionaryId = u64;

/// No dictionary at all.
pub(super) const NONE: DictionaryId = 0;

/// The built-in one. Numbers from 2 on are for dictionaries that neighbours agree on: trained from a unit's own traffic, or what
/// the receiver has acked.
pub(super) const BUILT_IN: DictionaryId = 1;

/// The built-in dictionary, in zstd's dictionary format: [`built_in_dictionary`] made it from what [`crate::sample`] writes, from
/// nobody's messages. It is part of the protocol: another text needs another number.
pub static DICTIONARY: &[u8] = include_bytes!("dictionary.bin");

/// The built-in dictionary, digested for decompression; shared by all threads.
pub(super) static DIGESTED: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// Largest dictionary, in bytes. Of 16, 64 and 112 KiB this one left the least.
const DICTIONARY_BYTES_MAX: usize = 112 * 1024;

/// Training did not give a dictionary.
#[derive(Debug, thiserror::Error)]
#[error(
    "{samples} samples of {bytes} bytes do not make a dictionary: {source}; give at least 500 messages"
)]
pub struct TrainError {
    samples: usize,
    bytes: usize,
    source: std::io::Error,
}

/// Trains a dictionary of at most 112 KiB on `samples`, each as [`compressible`] gives it for one parcel. The same samples give
/// the same dictionary.
///
/// # Errors
/// There is too little to learn from.
pub fn train(samples: &[Vec<u8>]) -> Result<Vec<u8>, TrainError> {
    zstd::dict::from_samples(samples, DICTIONARY_BYTES_MAX).map_err(|source| TrainError {
        samples: samples.len(),
        bytes: samples.iter().map(Vec::len).sum(),
        source,
    })
}

/// Makes the built-in dictionary again, from its seed: what `cargo run --release --example train-dictionary` writes to
/// `src/wire/dictionary.bin`.
///
/// # Errors
/// None that can be seen; see [`train`].
pub fn built_in_dictionary() -> Result<Vec<u8>, TrainError> {
    let mut samples = Vec::new();
    let years = (0..YEARS).flat_map(|year| {
        let options = Options {
            start: FIRST_DAY + year * YEAR,
            ..Options::default()
        };
        Generator::with(SEED + year, options).take(MESSAGES_A_YEAR)
    });
    for (i, sample) in years.enumerate() {
        let seq = i as u64 + 1;
        let accepted = FIRST_DAY + seq * 1_003;
        let parcel = sample_parcel(&sample, accepted);
        samples.push(alone(seq, sample.case.is_some(), &parcel));
        if i % RECEIPT_EVERY == 0 {
            samples.push(alone(seq, false, &receipt_parcel(&sample, seq, accepted)));
        }
    }
    train(&samples)
}

const SEED: u64 = 310;

/// Messages are full of dates: those of several years, so that no year is the only one that is known.
const YEARS: u64 = 4;
const YEAR: Millis = 365 * 24 * 3600 * 1000;
const MESSAGES_A_YEAR: usize = 2_000;
const RECEIPT_EVERY: usize = 12;

/// A morning in January 2024, Beijing time.
const FIRST_DAY: Millis = 1_705_276_800_000;

fn alone(seq: u64, in_case: bool, parcel: &Parcel) -> Vec<u8> {
    let entry = Entry {
        seq,
        after: if in_case {
            vec![seq % 40 + 1]
        } else {
            Vec::new()
        },
        targets: Targets::Signed,
        attested: 0,
    };
    compressible(&[(entry, parcel.clone())])
}

/// A parcel that nobody signed: signatures are not compressed, so the dictionary needs none.
fn unsigned(header: &Header, body: &[u8]) -> Parcel {
    Parcel::join(&[0; 64], &codec::encode(header), body)
}

fn sample_parcel(sample: &Sample, accepted: Millis) -> Parcel {
    let header = sample.header(Fingerprint([0; 16]), accepted);
    unsigned(&header, sample.body().as_bytes())
}

/// The receipt that the receiver's gateway makes.
fn receipt_parcel(about: &Sample, seq: u64, accepted: Millis) -> Parcel {
    let outcome = match seq % 4 {
        0 => Outcome::Relayed,
        1 => Outcome::Read,
        _ => Outcome::Delivered,
    };
    let item = ReceiptItem {
        parcel: Digest::of(about.event.as_bytes()),
        receiver: about.to.clone(),
        outcome,
        reason: Reason::None,
        at: accepted,
        note: String::new(),
    };
    let sender = about.to.as_unit().unwrap_or_else(|| about.from.clone());
    let header = Header {
        sender,
        id: Digest::of(&seq.to_le_bytes()).to_string(),
        to: vec![(&about.from).into()],
        kind: Kind::receipt(),
        case: None,
        lane: Lane::Normal,
        accepted,
        expires: accepted + 90 * 24 * 3600 * 1000,
        signer: Fingerprint([0; 16]),
        attachments: Vec::new(),
        form: BodyForm::Binary,
        attributes: Vec::new(),
    };
    unsigned(&header, &codec::encode(&vec![item]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_dictionary_is_what_its_seed_makes() {
        let made = built_in_dictionary().expect("a dictionary");
        assert!(
            made == DICTIONARY,
            "dictionary.bin is not what the generator makes any more: run `cargo run --release --example train-dictionary`"
        );
        assert!(DICTIONARY.len() <= DICTIONARY_BYTES_MAX);
    }
}
