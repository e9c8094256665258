//! Digests and the names made of them.

use std::{fmt, str::FromStr, sync::LazyLock};

use bincode::{Decode, Encode};

use super::UnitId;

/// A message's name at every node and in every call: 128 bits of BLAKE3 over the sender and the CloudEvents id, written as 26
/// characters of lower-case base32 (RFC 4648, no padding).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MessageId(pub [u8; 16]);

/// A text is not a message's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a messageid is 26 characters of lower-case base32")]
pub struct MessageIdError;

/// 128 bits of BLAKE3 over content: of a whole parcel, or of what an application submitted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Digest(pub [u8; 16]);

/// 128 bits of BLAKE3 over a certificate's DER bytes: how a parcel names its signer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Fingerprint(pub [u8; 16]);

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

impl MessageId {
    /// The name of the message that `sender` calls `id`.
    pub fn of(sender: &UnitId, id: &str) -> Self {
        static NAMER: LazyLock<blake3::Hasher> =
            LazyLock::new(|| blake3::Hasher::new_derive_key("casegate 2026-11 message id"));
        let mut hasher = NAMER.clone();
        hasher.update(&(sender.as_str().len() as u32).to_le_bytes());
        hasher.update(sender.as_str().as_bytes());
        hasher.update(id.as_bytes());
        Self(first_half(hasher.finalize()))
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(first_half(blake3::hash(bytes)))
    }
}

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate_der: &[u8]) -> Self {
        Self(first_half(blake3::hash(certificate_der)))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = data_encoding::BASE32_NOPAD.encode(&self.0);
        text.make_ascii_lowercase();
        f.write_str(&text)
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 26 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(MessageIdError);
        }
        let bytes = data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| MessageIdError)?;
        bytes.try_into().map(Self).map_err(|_| MessageIdError)
    }
}

macro_rules! hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

hex!(Digest, Fingerprint);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MessageId {
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
    fn a_messageid_reads_back_as_it_was_written() {
        let id = MessageId::of(&"hebi.police".parse().expect("a unit"), "01HM");
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert!("A".repeat(26).parse::<MessageId>().is_err());
        assert!("é".repeat(13).parse::<MessageId>().is_err());
    }
}
