//! Chunks of an attachment on their way to a neighbour that wants it: a stream of its own for each run.
//!
//! ```text
//! head u8 (12 << 4 | 1 with the description) | digest 32 | [size LEB128 | list] | first LEB128 | count LEB128 | bytes
//! ```
//! The list has 32 bytes for each chunk of the attachment, and none when there is one. Every chunk has 64 KiB, but for the attachment's
//! last. Nothing is compressed: what agencies attach is scans and archives, and who verifies a chunk has its bytes at once.

use bytes::Bytes;

use super::varint;
use crate::model::{BlobDigest, CHUNK_BYTES, chunk_count, chunk_len};

/// The upper half of the first byte, where a batch has its version.
const MARK: u8 = 12;

/// Largest attachment that can be described, bytes: its list has 1 MiB.
pub const DESCRIBED_BYTES_MAX: u64 = 2 << 30;

/// Most chunks of one run.
pub const RUN_CHUNKS_MAX: u64 = 16;

const LIST_BYTES_MAX: usize = (DESCRIBED_BYTES_MAX / CHUNK_BYTES * 32) as usize;

/// Longest run, in bytes.
pub const RUN_BYTES_MAX: usize =
    1 + 32 + 10 + LIST_BYTES_MAX + 10 + 10 + (RUN_CHUNKS_MAX * CHUNK_BYTES) as usize;

/// What a neighbour sent is no run of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunks of an attachment that do not read")]
pub struct ChunksError;

/// A run of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// The attachment.
    pub digest: BlobDigest,
    /// Its description, when that goes before them.
    pub description: Option<Description>,
    /// The number of the first.
    pub first: u64,
    /// Each one's bytes, in order.
    pub chunks: Vec<Bytes>,
}

/// What must be known of an attachment before its chunks can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its size, bytes.
    pub size: u64,
    /// Its chunk list; empty when there is one chunk only.
    pub list: Bytes,
}

/// Whether what came on a stream is chunks, and not a batch.
pub fn is_chunks(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|head| head >> 4 == MARK)
}

/// The bytes before the chunks themselves.
pub fn chunks_head(
    digest: &BlobDigest,
    description: Option<(u64, &[u8])>,
    first: u64,
    count: u64,
) -> Vec<u8> {
    let list = description.map_or(0, |(_, list)| list.len());
    let mut out = Vec::with_capacity(1 + 32 + 30 + list + (count * CHUNK_BYTES) as usize);
    out.push(MARK << 4 | u8::from(description.is_some()));
    out.extend_from_slice(&digest.0);
    if let Some((size, list)) = description {
        varint::put(&mut out, size);
        out.extend_from_slice(list);
    }
    varint::put(&mut out, first);
    varint::put(&mut out, count);
    out
}

/// Reads a run. Nothing is copied.
///
/// # Errors
/// It does not read.
pub fn read_chunks(bytes: &Bytes) -> Result<Chunks, ChunksError> {
    let (head, rest) = bytes.split_first().ok_or(ChunksError)?;
    let (digest, mut rest) = rest.split_at_checked(32).ok_or(ChunksError)?;
    let digest = BlobDigest(digest.try_into().map_err(|_| ChunksError)?);
    let description = match head ^ (MARK << 4) {
        0 => None,
        1 => {
            let size = varint::take(&mut rest).ok_or(ChunksError)?;
            if size > DESCRIBED_BYTES_MAX {
                // Its list is not looked at, nor what follows: the attachment is too large for everybody.
                return Ok(Chunks {
                    digest,
                    description: Some(Description {
                        size,
                        list: Bytes::new(),
                    }),
                    first: 0,
                    chunks: Vec::new(),
                });
            }
            let length = match chunk_count(size) {
                1 => 0,
                count => count as usize * 32,
            };
            let (list, after) = rest.split_at_checked(length).ok_or(ChunksError)?;
            rest = after;
            let list = bytes.slice_ref(list);
            Some(Description { size, list })
        }
        _ => return Err(ChunksError),
    };
    let first = varint::take(&mut rest).ok_or(ChunksError)?;
    let count = varint::take(&mut rest).ok_or(ChunksError)?;
    if count > RUN_CHUNKS_MAX || first > DESCRIBED_BYTES_MAX {
        return Err(ChunksError);
    }
    let mut chunks = Vec::new();
    for number in first..first + count {
        // Only an attachment's last chunk is shorter, and only that of an empty one has nothing.
        let wanted = match &description {
            Some(description) => chunk_len(description.size, number).ok_or(ChunksError)?,
            None => rest.len().min(CHUNK_BYTES as usize),
        };
        let (chunk, after) = rest.split_at_checked(wanted).ok_or(ChunksError)?;
        chunks.push(bytes.slice_ref(chunk));
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(Chunks {
            digest,
            description,
            first,
            chunks,
        }),
        false => Err(ChunksError),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(size: u64, describe: bool, first: u64, count: u64) -> (Bytes, Chunks) {
        let digest = BlobDigest([7; 32]);
        let list = vec![
            5;
            if chunk_count(size) == 1 {
                0
            } else {
                chunk_count(size) as usize * 32
            }
        ];
        let description = describe.then_some((size, &list[..]));
        let mut bytes = chunks_head(&digest, description, first, count);
        let mut chunks = Vec::new();
        for number in first..first + count {
            let chunk = vec![number as u8; chunk_len(size, number).expect("a chunk")];
            bytes.extend_from_slice(&chunk);
            chunks.push(Bytes::from(chunk));
        }
        let list = Bytes::from(list.clone());
        let description = describe.then_some(Description { size, list });
        let chunks = Chunks {
            digest,
            description,
            first,
            chunks,
        };
        (bytes.into(), chunks)
    }

    #[test]
    fn a_run_reads_back_with_its_description_and_without() {
        for (size, first, count) in [
            (0, 0, 1),
            (0, 0, 0),
            (1, 0, 1),
            (CHUNK_BYTES, 0, 1),
            (CHUNK_BYTES + 1, 1, 1),
            (3 * CHUNK_BYTES - 7, 0, 3),
            (40 * CHUNK_BYTES, 20, 16),
            (DESCRIBED_BYTES_MAX, 32_767, 1),
        ] {
            for describe in [true, false] {
                let (bytes, chunks) = run(size, describe, first, count);
                assert!(is_chunks(&bytes) && bytes.len() <= RUN_BYTES_MAX);
                assert_eq!(read_chunks(&bytes), Ok(chunks), "{size} {first} {count}");
            }
        }
    }

    #[test]
    fn one_that_is_cut_or_has_more_does_not_read() {
        let (bytes, _) = run(3 * CHUNK_BYTES - 7, true, 0, 3);
        for length in (0..bytes.len()).step_by(997) {
            assert!(read_chunks(&bytes.slice(..length)).is_err(), "{length}");
        }
        let more = Bytes::from([&bytes[..], &[0]].concat());
        assert_eq!(read_chunks(&more), Err(ChunksError));
        let (past, _) = run(CHUNK_BYTES, false, 0, 1);
        let mut past = past.to_vec();
        past[33] = 200; // a first chunk whose number goes on
        assert!(read_chunks(&past.into()).is_err());
        let many = chunks_head(&BlobDigest([7; 32]), None, 0, RUN_CHUNKS_MAX + 1);
        assert_eq!(read_chunks(&many.into()), Err(ChunksError));
    }

    #[test]
    fn what_is_beyond_every_bound_is_told_by_its_size_alone() {
        let head = chunks_head(&BlobDigest([7; 32]), Some((u64::MAX, &[])), 0, 0);
        let read = read_chunks(&head.into()).expect("it reads");
        assert_eq!(read.description.map(|d| d.size), Some(u64::MAX));
        assert!(read.chunks.is_empty());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), describes in any::<bool>()) {
            if let Some(head) = bytes.first_mut() {
                *head = MARK << 4 | u8::from(describes);
            }
            let _ = read_chunks(&bytes.into());
        }
    }
}
