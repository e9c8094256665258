//! A queue as a file, for the day when the link is a stick in somebody's pocket.
//!
//! ```text
//! "casegate stick 1\n" | manifest length u32 LE | manifest (codec) | seal 64 | certificate length u16 LE | certificate (DER)
//! parcel*        as they are, in the manifest's order
//! attachment*    as they are, in the manifest's order
//! ```
//!
//! The seal is the exporting node's own, over the manifest; the manifest has the digest of everything that follows. So a file that is cut, longer,
//! or changed in any byte is found out before a single message of it is taken. What is in it can be read by whoever has it.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    codec,
    delivery::{Epochs, hop::Entry},
    model::{BlobDigest, Digest, Millis, UnitId},
};

/// What a file begins with.
pub const STICK_MAGIC: &[u8] = b"casegate stick 1\n";
/// Most messages of one file.
pub const STICK_MESSAGES_MAX: usize = 5_000;
/// Most bytes of all its parcels.
pub const STICK_PARCELS_BYTES_MAX: u64 = 64 << 20;
/// Most attachments of one file.
const STICK_ATTACHMENTS_MAX: usize = 10_000;
/// Most signers' certificates.
const STICK_CERTIFICATES_MAX: usize = 4_096;
/// Largest manifest, bytes.
const STICK_MANIFEST_BYTES_MAX: usize = 8 << 20;
/// Bytes of a seal.
pub const STICK_SEAL_BYTES: usize = 64;
/// Largest certificate, bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 << 10;
/// What the decoder may claim for a manifest: what it reads into is larger than its bytes.
const MANIFEST_CLAIM_MAX: usize = 32 << 20;

/// What a file has, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// The node that made it.
    pub from: UnitId,
    /// The neighbour that it is for.
    pub to: UnitId,
    /// What the numbers mean something in.
    pub epochs: Epochs,
    /// When it was made, milliseconds since the Unix epoch.
    pub made: Millis,
    /// The parcels.
    pub parcels: Vec<Carried>,
    /// Their attachments, each once.
    pub attachments: Vec<(BlobDigest, u64)>,
    /// The certificates of all who signed the parcels, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A parcel of a file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Carried {
    /// What a batch would say of it.
    pub entry: Entry,
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub bytes: u32,
}

/// What stands before the parcels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickHead {
    /// The manifest as it was sealed.
    pub manifest: Bytes,
    /// The seal.
    pub seal: [u8; STICK_SEAL_BYTES],
    /// The certificate of whoever sealed it, DER.
    pub certificate: Vec<u8>,
}

/// Bytes are not a file that was exported, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StickError {
    /// Something else altogether.
    #[error("it is not a file that `casegate queue export` has made")]
    Foreign,
    /// It announces more than a file has.
    #[error("it is damaged: its {what} has {bytes} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How many.
        bytes: u64,
    },
    /// The manifest does not read.
    #[error("it is damaged: its manifest does not read")]
    Manifest,
    /// It announces more than a file may have.
    #[error("it has more than a file may: {0}")]
    Bound(&'static str),
}

impl Manifest {
    /// Its bytes, to be sealed.
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// It does not read, or goes beyond a bound.
    pub fn read(bytes: &[u8]) -> Result<Self, StickError> {
        let manifest = codec::decode::<Self, MANIFEST_CLAIM_MAX>(bytes);
        let manifest = manifest.map_err(|_| StickError::Manifest)?;
        let bound = |within: bool, what| {
            if within {
                Ok(())
            } else {
                Err(StickError::Bound(what))
            }
        };
        bound(manifest.parcels.len() <= STICK_MESSAGES_MAX, "messages")?;
        bound(
            manifest.parcels_bytes() <= STICK_PARCELS_BYTES_MAX,
            "bytes of messages",
        )?;
        bound(
            manifest.attachments.len() <= STICK_ATTACHMENTS_MAX,
            "attachments",
        )?;
        bound(
            manifest.certificates.len() <= STICK_CERTIFICATES_MAX,
            "certificates",
        )?;
        Ok(manifest)
    }

    /// Bytes of all its parcels.
    pub fn parcels_bytes(&self) -> u64 {
        self.parcels
            .iter()
            .map(|carried| u64::from(carried.bytes))
            .sum()
    }

    /// Bytes of all its attachments.
    pub fn attachments_bytes(&self) -> u64 {
        let sizes = self.attachments.iter().map(|(_, size)| *size);
        sizes.fold(0, u64::saturating_add)
    }
}

impl StickHead {
    /// What the file begins with.
    pub fn encode(&self) -> Bytes {
        let Self {
            manifest,
            seal,
            certificate,
        } = self;
        let mut out = STICK_MAGIC.to_vec();
        out.extend_from_slice(&(manifest.len() as u32).to_le_bytes());
        out.extend_from_slice(manifest);
        out.extend_from_slice(seal);
        out.extend_from_slice(&(certificate.len() as u16).to_le_bytes());
        out.extend_from_slice(certificate);
        out.into()
    }
}

/// How many bytes the manifest has, by what a file begins with: [`STICK_MAGIC`] and 4 bytes.
///
/// # Errors
/// It is not such a file.
pub fn manifest_bytes(beginning: &[u8]) -> Result<usize, StickError> {
    let rest = beginning
        .strip_prefix(STICK_MAGIC)
        .ok_or(StickError::Foreign)?;
    let bytes: [u8; 4] = rest.try_into().map_err(|_| StickError::Foreign)?;
    let bytes = u32::from_le_bytes(bytes) as usize;
    if bytes > STICK_MANIFEST_BYTES_MAX {
        let bytes = bytes as u64;
        return Err(StickError::TooLarge {
            what: "manifest",
            bytes,
        });
    }
    Ok(bytes)
}

/// How many bytes the certificate has.
///
/// # Errors
/// More than one has.
pub fn certificate_bytes(announced: [u8; 2]) -> Result<usize, StickError> {
    let bytes = usize::from(u16::from_le_bytes(announced));
    if bytes > CERTIFICATE_BYTES_MAX {
        let bytes = bytes as u64;
        return Err(StickError::TooLarge {
            what: "certificate",
            bytes,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::hop::Targets;

    fn manifest() -> Manifest {
        Manifest {
            from: "hebi.tobacco".parse().expect("a unit"),
            to: "hebi.hub".parse().expect("a unit"),
            epochs: Epochs {
                own: u64::MAX,
                peer: 7,
            },
            made: 1_790_000_000_000,
            parcels: vec![Carried {
                entry: Entry {
                    seq: 3,
                    after: vec![1, 2],
                    targets: Targets::Signed,
                    attested: 0,
                },
                digest: Digest([3; 16]),
                bytes: 200,
            }],
            attachments: vec![(BlobDigest([9; 32]), 1 << 40)],
            certificates: vec![vec![1, 2, 3]],
        }
    }

    #[test]
    fn a_manifest_reads_back_and_no_other_bytes_do() {
        let manifest = manifest();
        let bytes = manifest.encode();
        assert_eq!(Manifest::read(&bytes), Ok(manifest.clone()));
        assert_eq!(
            Manifest::read(&bytes[..bytes.len() - 1]),
            Err(StickError::Manifest)
        );
        assert_eq!(
            Manifest::read(&[&bytes[..], &[0]].concat()),
            Err(StickError::Manifest)
        );
        let mut large = manifest;
        large.parcels[0].bytes = u32::MAX;
        let refused = Manifest::read(&large.encode());
        assert_eq!(refused, Err(StickError::Bound("bytes of messages")));
    }

    #[test]
    fn a_head_says_how_long_its_parts_are_within_bounds() {
        let head = StickHead {
            manifest: manifest().encode(),
            seal: [5; STICK_SEAL_BYTES],
            certificate: vec![6; 300],
        };
        let bytes = head.encode();
        let (beginning, rest) = bytes.split_at(STICK_MAGIC.len() + 4);
        let length = manifest_bytes(beginning).expect("a file");
        assert_eq!(rest[..length], head.manifest[..]);
        let announced = [rest[length + 64], rest[length + 65]];
        assert_eq!(certificate_bytes(announced), Ok(300));
        assert_eq!(rest.len(), length + 64 + 2 + 300);

        let foreign = manifest_bytes(b"%PDF-1.7 and what follows");
        assert_eq!(foreign, Err(StickError::Foreign));
        let large = [STICK_MAGIC, &[0xff; 4]].concat();
        let too_large = manifest_bytes(&large);
        assert!(
            matches!(too_large, Err(StickError::TooLarge { .. })),
            "{too_large:?}"
        );
        assert!(certificate_bytes([0xff, 0xff]).is_err());
    }
}
