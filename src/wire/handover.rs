//! A dictionary on its way to a neighbour that lacks it: a stream of its own, once.
//!
//! ```text
//! head u8 (13 << 4 | dictionary that it is compressed against) | number LEB128 | (plain length << 2 | method) LEB128 | packed bytes
//! ```

use bytes::Bytes;

use super::{
    dictionary::{Against, DICTIONARY_BYTES_MAX, Dictionary, DictionaryError},
    squeeze::{Compressor, Effort, Method, expand},
    varint,
};

/// The upper half of the first byte, where a batch has its version.
const MARK: u8 = 13;

/// Longest handover, in bytes.
const HANDOVER_BYTES_MAX: usize = DICTIONARY_BYTES_MAX + 1 + 10 + 10;

/// A neighbour's dictionary cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// It does not read.
    #[error("the handover of a dictionary does not read")]
    Broken,
    /// It is none that can be used.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
}

/// Whether what came on a stream is a dictionary, and not a batch.
pub fn is_handover(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|head| head >> 4 == MARK)
}

/// The number of the dictionary that is handed over.
///
/// # Errors
/// There is none.
pub fn handover_number(bytes: &[u8]) -> Result<u64, HandoverError> {
    let mut rest = bytes.get(1..).unwrap_or_default();
    varint::take(&mut rest).ok_or(HandoverError::Broken)
}

/// Writes a dictionary for a neighbour, under the number that it was offered by, as small as it gets. `against` is nothing or
/// what both have built in.
pub fn hand_over(number: u64, dictionary: &Dictionary, against: &Against) -> Bytes {
    let plain = dictionary.bytes().to_vec();
    let length = plain.len() as u64;
    let (method, packed) = Compressor::new().squeeze(plain, Effort::Densest, against.text());
    let mut out = vec![MARK << 4 | u8::from(matches!(against, Against::BuiltIn))];
    varint::put(&mut out, number);
    varint::put(&mut out, length << 2 | method as u64);
    out.extend_from_slice(&packed);
    out.into()
}

/// Reads what [`hand_over`] wrote. At most [`DICTIONARY_BYTES_MAX`] are allocated for it, whatever the bytes say.
///
/// # Errors
/// It is not a dictionary.
pub fn take_over(bytes: &[u8]) -> Result<Dictionary, HandoverError> {
    if bytes.len() > HANDOVER_BYTES_MAX {
        return Err(DictionaryError::TooLarge(bytes.len()).into());
    }
    let (head, mut rest) = bytes.split_first().ok_or(HandoverError::Broken)?;
    varint::take(&mut rest).ok_or(HandoverError::Broken)?;
    let against = match head {
        0xd0 => Against::Nothing,
        0xd1 => Against::BuiltIn,
        _ => return Err(HandoverError::Broken),
    };
    let length = varint::take(&mut rest).ok_or(HandoverError::Broken)?;
    let method = Method::from_number(length & 3).ok_or(HandoverError::Broken)?;
    let bytes = usize::try_from(length >> 2).unwrap_or(usize::MAX);
    if bytes > DICTIONARY_BYTES_MAX {
        return Err(DictionaryError::TooLarge(bytes).into());
    }
    let plain = expand(method, rest, bytes, against.text()).ok_or(HandoverError::Broken)?;
    Ok(Dictionary::new(plain)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::training::tests::town_dictionary;

    #[test]
    fn a_dictionary_comes_over_in_half_its_bytes_and_is_the_same() {
        let dictionary = town_dictionary();
        for against in [Against::Nothing, Against::BuiltIn] {
            let bytes = hand_over(7, dictionary, &against);
            assert!(is_handover(&bytes));
            assert!(
                bytes.len() * 2 < dictionary.bytes().len(),
                "{}",
                bytes.len()
            );
            assert_eq!(handover_number(&bytes), Ok(7));
            let taken = take_over(&bytes).expect("a dictionary");
            assert_eq!(taken.id(), dictionary.id());
        }
    }

    #[test]
    fn one_that_is_cut_or_changed_or_claims_too_much_is_refused() {
        let bytes = hand_over(7, town_dictionary(), &Against::BuiltIn);
        for length in (0..bytes.len()).step_by(2_971) {
            assert!(
                take_over(&bytes[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
        for at in (0..bytes.len()).step_by(9_973) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x10;
            if let Ok(taken) = take_over(&changed) {
                assert_ne!(taken.id(), town_dictionary().id(), "byte {at}");
            }
        }
        let mut claims = vec![MARK << 4, 2];
        varint::put(&mut claims, (1 << 40) << 2 | 1);
        assert_eq!(
            take_over(&claims).err(),
            Some(DictionaryError::TooLarge(1 << 40).into())
        );
        let long = [&bytes[..], &[0; HANDOVER_BYTES_MAX]].concat();
        assert_eq!(
            take_over(&long).err(),
            Some(DictionaryError::TooLarge(long.len()).into())
        );
    }
}
