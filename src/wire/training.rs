//! How dictionaries are made: from samples of what is really compressed, one for each message.

use super::{batch::compressible, dictionary::DICTIONARY_BYTES_MAX};
use crate::{
    codec,
    delivery::hop::{Entry, Seq, Targets},
    model::{Digest, Fingerprint, Kind, Lane, Millis, Outcome, Reason, ReceiptItem, UnitId},
    parcel::{BodyForm, Header, Parcel},
    sample::{Generator, Options, Sample},
};

/// Fewer messages than this do not make a dictionary that is worth its bytes.
pub const SAMPLES_MIN: usize = 500;

/// Training did not give a dictionary.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There are too few samples.
    #[error("{0} messages are too few to learn from; give at least {SAMPLES_MIN}")]
    TooFew(usize),
    /// They do not make one.
    #[error("{samples} samples of {bytes} bytes do not make a dictionary: {source}")]
    Unfit {
        /// How many there are.
        samples: usize,
        /// Bytes of all together.
        bytes: usize,
        /// What zstd says.
        source: std::io::Error,
    },
}

/// Trains a dictionary of at most `bytes_max` bytes on `samples`, each as [`compressible`] gives it for one parcel. The same
/// samples give the same dictionary.
///
/// # Errors
/// There is too little to learn from.
pub fn train(samples: &[Vec<u8>], bytes_max: usize) -> Result<Vec<u8>, TrainError> {
    if samples.len() < SAMPLES_MIN {
        return Err(TrainError::TooFew(samples.len()));
    }
    let bytes_max = bytes_max.min(DICTIONARY_BYTES_MAX);
    zstd::dict::from_samples(samples, bytes_max).map_err(|source| TrainError::Unfit {
        samples: samples.len(),
        bytes: samples.iter().map(Vec::len).sum(),
        source,
    })
}

/// What is compressed of a parcel that travels alone: a sample for [`train`]. `seq` is the number that it might have on its hop.
pub fn sample(parcel: &Parcel, seq: Seq) -> Vec<u8> {
    let in_case = parcel.header().is_ok_and(|header| header.case.is_some());
    compressible(&[(likely_entry(seq, in_case), parcel.clone())])
}

/// What a hop may say of a parcel with this number.
pub fn likely_entry(seq: Seq, in_case: bool) -> Entry {
    Entry {
        seq,
        // A case's message before it left a while ago.
        after: if in_case {
            vec![seq % 40 + 1]
        } else {
            Vec::new()
        },
        targets: Targets::Signed,
        attested: 0,
    }
}

/// A parcel that nobody signed: signatures are not compressed, so a sample needs none.
pub fn unsigned(header: &Header, body: &[u8]) -> Parcel {
    Parcel::join(&[0; 64], &codec::encode(header), body)
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
        samples.push(self::sample(&parcel, seq));
        if i % RECEIPT_EVERY == 0 {
            let sender = sample.to.as_unit().unwrap_or_else(|| sample.from.clone());
            let about = ReceiptItem {
                parcel: Digest::of(sample.event.as_bytes()),
                receiver: sample.to.clone(),
                ..about(&sender, seq, accepted)
            };
            let receipt = receipt_of(&sender, &sample.from, seq, about);
            samples.push(self::sample(&receipt, seq));
        }
    }
    train(&samples, DICTIONARY_BYTES_MAX)
}

const SEED: u64 = 310;

/// Messages are full of dates: those of several years, so that no year is the only one that is known.
const YEARS: u64 = 4;
const YEAR: Millis = 365 * 24 * 3600 * 1000;
const MESSAGES_A_YEAR: usize = 2_000;
const RECEIPT_EVERY: usize = 12;

/// A morning in January 2024, Beijing time.
const FIRST_DAY: Millis = 1_705_276_800_000;

fn sample_parcel(sample: &Sample, accepted: Millis) -> Parcel {
    let header = sample.header(Fingerprint([0; 16]), accepted);
    unsigned(&header, sample.body().as_bytes())
}

/// A receipt such as the gateway of `sender` makes for a message of `to`: a unit sends them beside what its applications submit.
pub fn receipt(sender: &UnitId, to: &UnitId, seq: Seq, at: Millis) -> Parcel {
    receipt_of(sender, to, seq, about(sender, seq, at))
}

fn about(receiver: &UnitId, seq: Seq, at: Millis) -> ReceiptItem {
    ReceiptItem {
        parcel: Digest::of(&seq.to_be_bytes()),
        receiver: receiver.into(),
        outcome: match seq % 4 {
            0 => Outcome::Relayed,
            1 => Outcome::Read,
            _ => Outcome::Delivered,
        },
        reason: Reason::None,
        at,
        note: String::new(),
    }
}

fn receipt_of(sender: &UnitId, to: &UnitId, seq: Seq, item: ReceiptItem) -> Parcel {
    let header = Header {
        sender: sender.clone(),
        id: Digest::of(&seq.to_le_bytes()).to_string(),
        to: vec![to.into()],
        kind: Kind::receipt(),
        case: None,
        lane: Lane::Normal,
        accepted: item.at,
        expires: item.at + 90 * 24 * 3600 * 1000,
        signer: Fingerprint([0; 16]),
        attachments: Vec::new(),
        form: BodyForm::Binary,
        attributes: Vec::new(),
    };
    unsigned(&header, &codec::encode(&vec![item]))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::wire::dictionary::{BUILT_IN_BYTES, Dictionary};

    /// Messages of a unit that writes as no other does: other characters stand for the generator's.
    pub(in crate::wire) fn town_messages(seed: u64, count: usize) -> Vec<(Entry, Parcel)> {
        let options = Options {
            start: FIRST_DAY,
            from: Some("hebi.tobacco".parse().expect("a unit")),
            to: None,
        };
        let other = |c: char| match c {
            '\u{4e00}'..='\u{8fff}' => char::from_u32(c as u32 + 0x0b17).unwrap_or(c),
            c => c,
        };
        Generator::with(seed, options)
            .take(count)
            .zip(1..)
            .map(|(message, seq)| {
                let header = message.header(Fingerprint([0; 16]), FIRST_DAY + seq);
                let body: String = message.body().chars().map(other).collect();
                let parcel = unsigned(&header, body.as_bytes());
                (likely_entry(seq, message.case.is_some()), parcel)
            })
            .collect()
    }

    /// What that unit has trained on them.
    pub(in crate::wire) fn town_dictionary() -> &'static Arc<Dictionary> {
        static TRAINED: LazyLock<Arc<Dictionary>> = LazyLock::new(|| {
            let messages = town_messages(1, 1000);
            let samples: Vec<Vec<u8>> = messages
                .iter()
                .map(|(entry, parcel)| sample(parcel, entry.seq))
                .collect();
            let bytes = train(&samples, DICTIONARY_BYTES_MAX).expect("a dictionary");
            Arc::new(Dictionary::new(bytes).expect("zstd's format"))
        });
        &TRAINED
    }

    #[test]
    fn the_built_in_dictionary_is_what_its_seed_makes() {
        let made = built_in_dictionary().expect("a dictionary");
        assert!(
            made == BUILT_IN_BYTES,
            "dictionary.bin is not what the generator makes any more: run `cargo run --release --example train-dictionary`"
        );
        assert!(BUILT_IN_BYTES.len() <= DICTIONARY_BYTES_MAX);
    }

    #[test]
    fn a_few_messages_do_not_make_a_dictionary() {
        let samples = vec![b"a message like any other".to_vec(); SAMPLES_MIN - 1];
        let error = train(&samples, DICTIONARY_BYTES_MAX).expect_err("too few");
        assert_eq!(
            error.to_string(),
            "499 messages are too few to learn from; give at least 500"
        );
    }
}
