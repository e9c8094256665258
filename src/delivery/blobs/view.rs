//! What people and the API may know of attachments.

use super::{Fetch, Here};
use crate::delivery::Delivery;
use crate::model::{BlobDigest, UnitId};

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

impl Delivery {
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
