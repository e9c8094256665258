//! Signing and verifying.

use std::sync::OnceLock;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use bytes::Bytes;

use super::Header;
use crate::{
    codec,
    model::{Digest, Fingerprint},
};

const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 64;
const PREFIX_BYTES: usize = 1 + SIGNATURE_BYTES + 4;
/// What a header seldom exceeds, bytes.
const HEADER_BYTES_EXPECTED: usize = 1024;
const CONTEXT: &[u8] = b"casegate parcel 1\0";

/// Bytes are not a parcel, or not one that verifies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// Shorter than a parcel's fixed part, or than its header says.
    #[error("the parcel is cut short at {0} bytes")]
    Short(usize),
    /// Written by another version.
    #[error("parcel version {0} is not known")]
    Version(u8),
    /// The header does not decode, or is not the canonical encoding of what it says.
    #[error("the parcel's header does not decode: {0}")]
    Header(String),
    /// The signature does not verify under the signer's key.
    #[error("the parcel's signature does not verify")]
    Signature,
}

/// A unit's signing key and the certificate that carries its public half.
pub struct Signer {
    key: Ed25519KeyPair,
    certificate: Fingerprint,
}

impl Signer {
    /// A signer from a PKCS #8 document; `certificate` is the fingerprint of the certificate with the public half.
    ///
    /// # Errors
    /// The document is not an Ed25519 key.
    pub fn from_pkcs8(pkcs8: &[u8], certificate: Fingerprint) -> Result<Self, ParcelError> {
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|_| ParcelError::Signature)?;
        Ok(Self { key, certificate })
    }

    /// The certificate that parcels name.
    pub fn certificate(&self) -> Fingerprint {
        self.certificate
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.key.public_key().as_ref().into())
    }

    /// A signature over bytes whose beginning tells what they are.
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes).as_ref().to_vec()
    }

    /// Signs `header` and `body` into a parcel. The header's `signer` must be this signer's certificate.
    pub fn seal(&self, header: &Header, body: &[u8]) -> Parcel {
        debug_assert_eq!(header.signer, self.certificate);
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + HEADER_BYTES_EXPECTED + body.len());
        bytes.resize(PREFIX_BYTES, 0);
        codec::encode_into(header, &mut bytes);
        let header_bytes = bytes.len() - PREFIX_BYTES;
        let signature = self.key.sign(&to_be_signed(&bytes[PREFIX_BYTES..], body));
        bytes[0] = VERSION;
        bytes[1..1 + SIGNATURE_BYTES].copy_from_slice(signature.as_ref());
        bytes[1 + SIGNATURE_BYTES..PREFIX_BYTES]
            .copy_from_slice(&(header_bytes as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        Parcel {
            body_at: PREFIX_BYTES + header_bytes,
            bytes: bytes.into(),
            digest: OnceLock::new(),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.certificate)
    }
}

/// The public half of a signing key: 32 bytes (RFC 8032).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey(Box<[u8]>);

impl VerifyingKey {
    /// A key from a certificate's subject public key.
    pub fn new(public_key: &[u8]) -> Self {
        Self(public_key.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A parcel that reads as one; whether it verifies is another question.
#[derive(Clone)]
pub struct Parcel {
    bytes: Bytes,
    body_at: usize,
    /// Once somebody asked.
    digest: OnceLock<Digest>,
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Parcel {}

impl Parcel {
    /// What a parcel has besides its header and its body, in bytes.
    pub const OVERHEAD_BYTES: usize = PREFIX_BYTES;

    /// Finds the parts of a parcel.
    ///
    /// # Errors
    /// The bytes are cut short or of another version. The header is not looked at yet.
    pub fn read(bytes: Bytes) -> Result<Self, ParcelError> {
        let version = *bytes.first().ok_or(ParcelError::Short(0))?;
        if version != VERSION {
            return Err(ParcelError::Version(version));
        }
        let length = bytes
            .get(1 + SIGNATURE_BYTES..PREFIX_BYTES)
            .and_then(|l| l.try_into().ok())
            .map(u32::from_le_bytes)
            .ok_or(ParcelError::Short(bytes.len()))? as usize;
        if length > Header::BYTES_MAX {
            return Err(ParcelError::Header(format!("it is {length} bytes long")));
        }
        let body_at = PREFIX_BYTES + length;
        if bytes.len() < body_at {
            return Err(ParcelError::Short(bytes.len()));
        }
        Ok(Self {
            bytes,
            body_at,
            digest: OnceLock::new(),
        })
    }

    /// Joins the parts that a batch carries apart.
    pub fn join(signature: &[u8; SIGNATURE_BYTES], header: &[u8], body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + header.len() + body.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(signature);
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(body);
        Self {
            bytes: bytes.into(),
            body_at: PREFIX_BYTES + header.len(),
            digest: OnceLock::new(),
        }
    }

    /// The whole parcel.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its name for receipts: the digest of the whole. Whoever asks first computes it, and it is known from then on.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.bytes[1..1 + SIGNATURE_BYTES]
    }

    /// The header's bytes.
    pub fn header_bytes(&self) -> &[u8] {
        &self.bytes[PREFIX_BYTES..self.body_at]
    }

    /// The body.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.body_at..)
    }

    /// Decodes the header.
    ///
    /// # Errors
    /// It does not decode, or its bytes are not the one encoding that its fields have.
    pub fn header(&self) -> Result<Header, ParcelError> {
        let header = self.stored_header()?;
        if codec::encode(&header) != self.header_bytes() {
            return Err(ParcelError::Header("it is not in canonical form".into()));
        }
        Ok(header)
    }

    /// Decodes the header of a parcel that this node has stored: that its bytes are the one encoding was seen before.
    ///
    /// # Errors
    /// It does not decode.
    pub fn stored_header(&self) -> Result<Header, ParcelError> {
        codec::decode::<Header, { 4 * Header::BYTES_MAX }>(self.header_bytes())
            .map_err(|error| ParcelError::Header(error.to_string()))
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`ParcelError::Signature`] when it does not verify under `key`.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), ParcelError> {
        let signed = to_be_signed(self.header_bytes(), &self.bytes[self.body_at..]);
        UnparsedPublicKey::new(&ED25519, &key.0)
            .verify(&signed, self.signature())
            .map_err(|_| ParcelError::Signature)
    }
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parcel({} bytes)", self.bytes.len())
    }
}

fn to_be_signed(header: &[u8], body: &[u8]) -> [u8; CONTEXT.len() + 64] {
    let mut signed = [0; CONTEXT.len() + 64];
    let (context, digests) = signed.split_at_mut(CONTEXT.len());
    let (of_header, of_body) = digests.split_at_mut(32);
    context.copy_from_slice(CONTEXT);
    of_header.copy_from_slice(blake3::hash(header).as_bytes());
    of_body.copy_from_slice(blake3::hash(body).as_bytes());
    signed
}
