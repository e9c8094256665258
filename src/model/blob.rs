//! The name of an attachment, and how it is cut into chunks.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};

/// Bytes of a chunk, the last one of an attachment excepted. A power of two of BLAKE3's own 1 KiB chunks, so that each is a subtree of
/// the attachment's hash tree.
pub const CHUNK_BYTES: u64 = 64 * 1024;

/// How many chunks an attachment of `size` bytes has: at least one, which is empty when the attachment is.
pub const fn chunk_count(size: u64) -> u64 {
    match size.div_ceil(CHUNK_BYTES) {
        0 => 1,
        count => count,
    }
}

/// How many bytes chunk `number` of an attachment of `size` bytes has; `None` past the end.
pub fn chunk_len(size: u64, number: u64) -> Option<usize> {
    if number >= chunk_count(size) {
        return None;
    }
    let len = (size - number * CHUNK_BYTES).min(CHUNK_BYTES);
    usize::try_from(len).ok()
}

/// All 256 bits of BLAKE3 over an attachment: its name at every node and in every call, written `blake3:` and 64 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct BlobDigest(pub [u8; 32]);

/// A text is not an attachment's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attachment's digest is \"blake3:\" and 64 lower-case hexadecimal digits")]
pub struct BlobDigestError;

impl BlobDigest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Its 64 hexadecimal digits, without what stands before them.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The digest with these 64 hexadecimal digits.
    ///
    /// # Errors
    /// They are not 64 lower-case ones.
    pub fn from_hex(hex: &str) -> Result<Self, BlobDigestError> {
        data_encoding::HEXLOWER
            .decode(hex.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(BlobDigestError)
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", self.hex())
    }
}

impl fmt::Debug for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobDigest {
    type Err = BlobDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("blake3:")
            .ok_or(BlobDigestError)
            .and_then(Self::from_hex)
    }
}

impl serde::Serialize for BlobDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for BlobDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachments_name_reads_back_as_it_was_written() {
        let digest = BlobDigest::of(b"a scan");
        let text = digest.to_string();
        assert_eq!(text.len(), 71);
        assert_eq!(text.parse(), Ok(digest));
        for wrong in [
            "",
            "blake3:",
            &text[7..],
            &text[..70],
            &text.to_uppercase(),
            &text.replace("blake3", "sha256"),
        ] {
            assert_eq!(wrong.parse::<BlobDigest>(), Err(BlobDigestError), "{wrong}");
        }
    }

    #[test]
    fn chunks_cover_an_attachment_and_end_where_it_ends() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 1 << 31] {
            let count = chunk_count(size);
            let bytes: usize = (0..count).filter_map(|n| chunk_len(size, n)).sum();
            assert_eq!(bytes as u64, size);
            assert_eq!(chunk_len(size, count), None);
        }
        assert_eq!((chunk_count(0), chunk_len(0, 0)), (1, Some(0)));
        assert_eq!(chunk_len(u64::MAX, u64::MAX), None);
    }
}
