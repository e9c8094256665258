//! The text that a batch is compressed against.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use zstd::{
    dict::{DecoderDictionary, EncoderDictionary},
    zstd_safe::get_dict_id_from_dict,
};

use super::{history::History, squeeze};
use crate::model::Digest;

/// Largest dictionary, in bytes. Of 16, 64 and 112 KiB this one left the least.
pub const DICTIONARY_BYTES_MAX: usize = 112 * 1024;

/// The built-in dictionary: [`super::built_in_dictionary`] made it from what [`crate::sample`] writes, from nobody's messages.
pub(super) const BUILT_IN_BYTES: &[u8] = include_bytes!("dictionary.bin");

static BUILT_IN: LazyLock<Arc<Dictionary>> = LazyLock::new(|| {
    let made = Dictionary::read(Cow::Borrowed(BUILT_IN_BYTES));
    Arc::new(made.unwrap_or_else(|error| unreachable!("the built-in dictionary: {error}")))
});

/// A dictionary in zstd's format, read and found usable.
pub struct Dictionary {
    id: Digest,
    text: Cow<'static, [u8]>,
    /// Digested for decompression; shared by all threads.
    digested: DecoderDictionary<'static>,
    /// What PPMd writes for the text alone; made when it is first needed.
    learnt: OnceLock<Vec<u8>>,
}

/// Bytes are not a dictionary that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// There are too many.
    #[error("a dictionary of {0} bytes is larger than {DICTIONARY_BYTES_MAX}")]
    TooLarge(usize),
    /// They are not in zstd's dictionary format, or zstd finds their tables wrong.
    #[error("not a dictionary in zstd's format")]
    Format,
}

impl Dictionary {
    /// Takes a dictionary as [`super::train`] makes it, or as a neighbour sent it: it is judged, whoever it comes from.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DictionaryError> {
        Self::read(Cow::Owned(bytes))
    }

    fn read(text: Cow<'static, [u8]>) -> Result<Self, DictionaryError> {
        if text.len() > DICTIONARY_BYTES_MAX {
            return Err(DictionaryError::TooLarge(text.len()));
        }
        // Without zstd's mark it would take any bytes as they are.
        get_dict_id_from_dict(&text).ok_or(DictionaryError::Format)?;
        // A dictionary that can be read with but not written with is of no use to anybody.
        EncoderDictionary::try_copy(&text, 1).map_err(|_| DictionaryError::Format)?;
        let digested = DecoderDictionary::try_copy(&text).map_err(|_| DictionaryError::Format)?;
        Ok(Self {
            id: Digest::of(&text),
            text,
            digested,
            learnt: OnceLock::new(),
        })
    }

    /// The one that every node has. Two versions of this program may have different ones, so neighbours compare the identifier.
    pub fn built_in() -> &'static Arc<Self> {
        &BUILT_IN
    }

    /// The first 16 bytes of BLAKE3 over [`Dictionary::bytes`].
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The dictionary, in zstd's format.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn digested(&self) -> &DecoderDictionary<'static> {
        &self.digested
    }

    /// See [`squeeze::learnt`].
    pub(super) fn learnt(&self) -> &[u8] {
        self.learnt.get_or_init(|| squeeze::learnt(&self.text))
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({}, {} bytes)", self.id, self.text.len())
    }
}

/// What batches may be compressed against in a session. The number names it in a batch's head.
#[derive(Clone, Debug, Default)]
pub enum Against {
    /// Nothing: 0.
    Nothing,
    /// The dictionary that both ends have built in: 1.
    #[default]
    BuiltIn,
    /// One of the sender's own that the receiver has said to have, by the number from 2 on that it was offered under in this session.
    Own(u64, Arc<Dictionary>),
    /// A dictionary and earlier parcels of the same sender: a generation that the receiver has said to have, by the number that it was
    /// offered under in this session.
    History(u64, Arc<History>),
}

impl Against {
    /// The number of the built-in dictionary.
    pub const BUILT_IN: u64 = 1;
    /// The first number of a sender's own dictionary.
    pub const OWN_FIRST: u64 = 2;

    pub(super) fn text(&self) -> Text<'_> {
        match self {
            Against::Nothing => Text::Nothing,
            Against::BuiltIn => Text::Dictionary(&BUILT_IN),
            Against::Own(_, dictionary) => Text::Dictionary(dictionary),
            Against::History(_, history) => Text::History(history),
        }
    }
}

/// What a group's bytes are compressed against.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// Nothing.
    Nothing,
    /// A dictionary.
    Dictionary(&'a Dictionary),
    /// A dictionary and earlier parcels.
    History(&'a History),
}

impl<'a> Text<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Text::Nothing => &[],
            Text::Dictionary(dictionary) => dictionary.bytes(),
            Text::History(history) => history.text(),
        }
    }

    pub(super) fn id(self) -> Option<Digest> {
        match self {
            Text::Nothing => None,
            Text::Dictionary(dictionary) => Some(dictionary.id()),
            Text::History(history) => Some(history.id()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_dictionary_is_refused_by_name() {
        let built_in = Dictionary::built_in();
        assert_eq!(built_in.bytes(), BUILT_IN_BYTES);
        let refused = |bytes: Vec<u8>| Dictionary::new(bytes).expect_err("not a dictionary");
        assert_eq!(refused(Vec::new()), DictionaryError::Format);
        assert_eq!(
            refused(b"any text would do for zstd itself".repeat(40)),
            DictionaryError::Format
        );
        assert_eq!(
            refused(vec![0x37; DICTIONARY_BYTES_MAX + 1]),
            DictionaryError::TooLarge(DICTIONARY_BYTES_MAX + 1)
        );
        // Tables that are cut off, or noise after the mark.
        assert_eq!(
            refused(BUILT_IN_BYTES[..60].to_vec()),
            DictionaryError::Format
        );
        let mut noise = BUILT_IN_BYTES.to_vec();
        noise[8..200].fill(0xff);
        assert_eq!(refused(noise), DictionaryError::Format);
    }
}
