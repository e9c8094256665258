//! What people and the API may know of attachments.

use std::collections::BTreeSet;

use super::{Fetch, Here};
use crate::delivery::Delivery;
use crate::model::{BlobDigest, CHUNK_BYTES, Ranges, UnitId, chunk_count, chunk_len};

/// An attachment that is needed here, or is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobView {
    /// Its name.
    pub digest: BlobDigest,
    /// Its size, bytes, once that is known.
    pub size: Option<u64>,
    /// Chunks of it that are here.
    pub chunks: u64,
    /// Whether all of it is here.
    pub whole: bool,
    /// The neighbour that is asked for it now.
    pub from: Option<UnitId>,
    /// Messages here that name it.
    pub messages: u64,
    /// Neighbours that want it.
    pub wanted: u64,
}

/// An attachment on its way between this node and a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobOnItsWay {
    /// Its name.
    pub digest: BlobDigest,
    /// The neighbour.
    pub neighbour: UnitId,
    /// Whether it leaves this node.
    pub leaves: bool,
    /// Its size, bytes, once that is known.
    pub size: Option<u64>,
    /// Bytes of it that are where it goes.
    pub bytes: u64,
}

/// How many bytes of an attachment are in these chunks.
fn bytes_in(size: u64, chunks: &Ranges) -> u64 {
    let last = chunk_count(size) - 1;
    let short = CHUNK_BYTES - chunk_len(size, last).unwrap_or(0) as u64;
    let missing = if chunks.contains(last) { short } else { 0 };
    (chunks.count() * CHUNK_BYTES).saturating_sub(missing)
}

impl Delivery {
    /// Attachments that messages accepted here name and that are not here any more, at most `max`: they were damaged. Brought
    /// again, they go on.
    pub fn blobs_lost(&self, max: usize) -> Vec<BlobDigest> {
        let own = self.blobs.named.iter();
        let own = own.filter(|(slot, _)| self.parcels.get(**slot).is_own());
        let named = own.flat_map(|(_, digests)| digests.iter());
        let lost = named.filter(|digest| !self.blobs.is_whole(digest));
        let lost: BTreeSet<BlobDigest> = lost.copied().collect();
        lost.into_iter().take(max).collect()
    }

    /// What is on its way now, what comes first.
    pub fn blobs_on_their_way(&self) -> Vec<BlobOnItsWay> {
        let coming = self.blobs.fetches.iter().filter_map(|(digest, fetch)| {
            let Fetch::Asked { from, .. } = fetch else {
                return None;
            };
            let (size, bytes) = match self.blobs.here.get(digest) {
                Some(Here::Part { size, have }) => (Some(*size), bytes_in(*size, have)),
                Some(Here::Whole { size }) => (Some(*size), *size),
                None => (None, 0),
            };
            Some(BlobOnItsWay {
                digest: *digest,
                neighbour: from.clone(),
                leaves: false,
                size,
                bytes,
            })
        });
        let leaving = self.blobs.served.iter().flat_map(|(neighbour, served)| {
            served.under_way().map(|(digest, theirs)| {
                let size = self.blobs.here.get(digest).map(Here::size);
                BlobOnItsWay {
                    digest: *digest,
                    neighbour: neighbour.clone(),
                    leaves: true,
                    size,
                    bytes: size.map_or(0, |size| bytes_in(size, theirs)),
                }
            })
        });
        coming.chain(leaving).collect()
    }

    /// Attachments that are needed here.
    pub fn blobs(&self) -> impl Iterator<Item = BlobView> + '_ {
        self.blobs.needs.keys().map(|digest| self.blob(digest))
    }

    /// What is known of an attachment.
    pub fn blob(&self, digest: &BlobDigest) -> BlobView {
        let here = self.blobs.here.get(digest);
        let need = self.blobs.needs.get(digest);
        BlobView {
            digest: *digest,
            size: here.map(Here::size),
            chunks: match here {
                Some(Here::Part { have, .. }) => have.count(),
                Some(whole) => whole.count(),
                None => 0,
            },
            whole: self.blobs.is_whole(digest),
            from: match self.blobs.fetches.get(digest) {
                Some(Fetch::Asked { from, .. }) => Some(from.clone()),
                _ => None,
            },
            messages: need.map_or(0, |need| need.parcels.len() as u64),
            wanted: need.map_or(0, |need| need.wanted.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_counts_as_the_bytes_that_it_has() {
        for size in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7] {
            let count = chunk_count(size);
            let all: Ranges = (0..count).collect();
            assert_eq!(bytes_in(size, &all), size);
            assert_eq!(bytes_in(size, &Ranges::new()), 0);
            let first: Ranges = (0..count - 1).collect();
            assert_eq!(bytes_in(size, &first), (count - 1) * CHUNK_BYTES);
        }
    }
}
