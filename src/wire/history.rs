//! What is left of a parcel for later ones to be compressed against.

use std::fmt;

use super::{columns, dictionary::Dictionary};
use crate::{model::Digest, parcel::Parcel};

/// A batch with this many bytes of parcels or more is not compressed against what went before: a backlog has itself, and PPMd.
pub const HISTORY_BATCH_BYTES_MAX: usize = 16 * 1024;

/// The highest level at which a batch is compressed against history: whoever waits for a lone parcel waits a millisecond for it.
pub(super) const HISTORY_LEVEL_MAX: u8 = 9;

/// A parcel's text as it stands in a batch when it travels alone. None when it is not one.
pub fn history_text(parcel: &Parcel) -> Option<Vec<u8>> {
    let header = parcel.header().ok()?;
    Some(columns::text(&header, &parcel.body()))
}

/// A dictionary, and behind it the texts of earlier parcels: what a batch is compressed against.
pub struct History {
    id: Digest,
    /// A dictionary in zstd's format: whatever follows its tables is content, and the last of it is nearest.
    text: Vec<u8>,
}

impl History {
    /// The dictionary and the texts, oldest first; `id` is what neighbours call all this.
    pub fn new<'a>(
        id: Digest,
        dictionary: &Dictionary,
        texts: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut text = dictionary.bytes().to_vec();
        texts.for_each(|more| text.extend_from_slice(more));
        Self { id, text }
    }

    pub(super) fn id(&self) -> Digest {
        self.id
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({}, {} bytes)", self.id, self.text.len())
    }
}
