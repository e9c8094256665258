//! The text that a batch is compressed against.

use std::sync::LazyLock;

use zstd::dict::DecoderDictionary;

/// Names a dictionary in a batch.
pub(super) type DictionaryId = u64;

/// No dictionary at all.
pub(super) const NONE: DictionaryId = 0;

/// The built-in one. Numbers from 2 on are for dictionaries that neighbours agree on: trained from a unit's own traffic, or what
/// the receiver has acked.
pub(super) const BUILT_IN: DictionaryId = 1;

/// The built-in dictionary, in zstd's dictionary format: trained on what [`crate::sample`] writes, on nobody's messages. It is part
/// of the protocol: another text is another number.
pub static DICTIONARY: &[u8] = include_bytes!("dictionary.bin");

/// The built-in dictionary, digested for decompression; shared by all threads.
pub(super) static DIGESTED: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));
