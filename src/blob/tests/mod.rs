//! The room's promises, on real folders.

pub(super) mod crash;
mod damage;
mod partial;
mod upload;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Begun, Blobs, Bounds, Found};
use crate::model::{BlobDigest, CHUNK_BYTES, chunk_count};

/// Sizes around the edges of leaves and chunks.
pub(super) const SIZES: [u64; 11] = [
    0,
    1,
    1024,
    1025,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES,
    3 * CHUNK_BYTES + 7,
    8 * CHUNK_BYTES,
    23 * CHUNK_BYTES + 1000,
];

const BOUNDS: Bounds = Bounds {
    attachment_mib: 4,
    attachments_mib: 8,
};

/// A body of `size` bytes that no other size has.
pub(super) fn body(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A folder of attachments that a test uses.
struct Store {
    folder: TempDir,
    blobs: Blobs,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (blobs, found) = Blobs::open(folder.path(), BOUNDS).expect("opens");
        assert!(found.whole.is_empty() && found.partial.is_empty());
        Self { folder, blobs }
    }

    /// As a restart finds it.
    fn reopened(self) -> (Self, Found) {
        let Self { folder, blobs } = self;
        drop(blobs);
        let (blobs, found) = Blobs::open(folder.path(), BOUNDS).expect("opens");
        (Self { folder, blobs }, found)
    }

    fn given(&self, body: &[u8]) -> BlobDigest {
        let mut upload = self.blobs.upload().expect("room");
        for part in body.chunks(70_001) {
            upload.write(part).expect("written");
        }
        let (digest, size) = upload.finish().expect("finished");
        assert_eq!((digest, size), (BlobDigest::of(body), body.len() as u64));
        digest
    }

    /// All its bytes, each chunk verified.
    fn read(&self, digest: &BlobDigest) -> Vec<u8> {
        let reader = self.blobs.reader(digest).expect("here");
        let (mut all, mut chunk) = (Vec::new(), Vec::new());
        for n in 0..chunk_count(reader.size()) {
            reader.chunk(n, &mut chunk).expect("a chunk");
            all.extend_from_slice(&chunk);
        }
        all
    }

    fn begin(&self, body: &[u8]) -> (BlobDigest, Begun) {
        let digest = BlobDigest::of(body);
        let begun = self.blobs.begin(digest, body.len() as u64, &list(body));
        (digest, begun.expect("begun"))
    }

    /// The names in the folder, but for what is set aside.
    fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a text"))
        .filter(|name| name != "quarantine")
        .collect();
    names.sort();
    names
}

fn chunk(body: &[u8], n: u64) -> &[u8] {
    let start = (n * CHUNK_BYTES) as usize;
    &body[start..body.len().min(start + CHUNK_BYTES as usize)]
}

/// The chunk list of a body, by another way than the one that the room goes.
fn list(body: &[u8]) -> Vec<u8> {
    use blake3::hazmat::HasherExt as _;
    let mut list = Vec::new();
    let count = chunk_count(body.len() as u64);
    for n in (0..count).filter(|_| count > 1) {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(n * CHUNK_BYTES);
        list.extend(hasher.update(chunk(body, n)).finalize_non_root());
    }
    list
}
