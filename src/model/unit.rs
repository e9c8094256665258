//! A unit's name.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use bincode::{
    Decode, Encode,
    de::{Decoder, read::Reader as _},
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use super::name::shared;

/// An agency's identity: a dotted, hierarchical, lower-case name such as `hebi.xunxian.tobacco`.
///
/// One to sixteen segments of `a-z`, `0-9` and inner `-`, at most [`UnitId::BYTES_MAX`] bytes in all. A segment may be digits
/// (`hebi.410621.031`). A `UnitId` that exists is valid. Cloning it is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(Arc<str>);

/// Why a text is not a unit's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitIdError {
    /// Nothing was given.
    #[error("a unit's name is empty")]
    Empty,
    /// Longer than [`UnitId::BYTES_MAX`] bytes or [`UnitId::SEGMENTS_MAX`] segments.
    #[error(
        "a unit's name has at most {} bytes in {} segments",
        UnitId::BYTES_MAX,
        UnitId::SEGMENTS_MAX
    )]
    TooLong,
    /// A segment is empty, or has a character that a name cannot have.
    #[error(
        "\"{0}\" is not a unit's name: write segments of a-z, 0-9 and inner \"-\", joined by dots"
    )]
    Segment(String),
}

impl UnitId {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 128;
    /// Most segments of a name.
    pub const SEGMENTS_MAX: usize = 16;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The dotted name's segments, from the most general to the most special.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

pub(super) fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.starts_with('-')
        && !segment.ends_with('-')
        && segment
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl FromStr for UnitId {
    type Err = UnitIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(UnitIdError::Empty);
        }
        if text.len() > Self::BYTES_MAX || text.split('.').count() > Self::SEGMENTS_MAX {
            return Err(UnitIdError::TooLong);
        }
        if !text.split('.').all(is_segment) {
            return Err(UnitIdError::Segment(text.to_owned()));
        }
        Ok(Self(shared(text)))
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for UnitId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Encode for UnitId {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for UnitId {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decode_name(decoder, Self::BYTES_MAX)
    }
}

bincode::impl_borrow_decode!(UnitId);

/// Decodes a short text without an allocation before its length is known to be small, then parses it.
pub(super) fn decode_name<T: FromStr<Err: fmt::Display>, D: Decoder>(
    decoder: &mut D,
    bytes_max: usize,
) -> Result<T, DecodeError> {
    let length = u64::decode(decoder)?;
    let mut buffer = [0u8; 256];
    let name = usize::try_from(length)
        .ok()
        .filter(|length| *length <= bytes_max)
        .and_then(|length| buffer.get_mut(..length))
        .ok_or(DecodeError::Other("a name is too long"))?;
    decoder.claim_bytes_read(name.len())?;
    decoder.reader().read(name)?;
    std::str::from_utf8(name)
        .map_err(|inner| DecodeError::Utf8 { inner })?
        .parse()
        .map_err(|e: T::Err| DecodeError::OtherString(e.to_string()))
}

impl serde::Serialize for UnitId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for UnitId {
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
    fn a_segment_may_be_digits() {
        assert!("hebi.410621.031".parse::<UnitId>().is_ok());
    }

    #[test]
    fn upper_case_gaps_and_blanks_are_refused() {
        for text in [
            "",
            "Hebi",
            "hebi..police",
            ".hebi",
            "hebi.",
            "he bi",
            "-a",
            "鹤壁",
        ] {
            assert!(text.parse::<UnitId>().is_err(), "{text}");
        }
        assert_eq!("a".repeat(129).parse::<UnitId>(), Err(UnitIdError::TooLong));
    }
}
