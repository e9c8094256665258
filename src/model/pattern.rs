//! Patterns over units and kinds.

use std::{fmt, str::FromStr, sync::Arc};

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use super::{
    UnitId,
    name::shared,
    unit::{decode_name, is_segment},
};

/// A dotted pattern over units or kinds: `*` is one segment, `**` any number (none included). A plain name is a pattern that
/// matches itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a pattern: write segments of a-z, 0-9 and inner \"-\", \"*\" for one segment or \"**\" for any number, joined by dots"
)]
pub struct PatternError(String);

impl Pattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is a plain name.
    pub fn is_name(&self) -> bool {
        !self.0.contains('*')
    }

    /// The unit that a plain name names.
    pub fn as_unit(&self) -> Option<UnitId> {
        self.is_name().then(|| self.0.parse().ok()).flatten()
    }

    /// Whether the dotted `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_name() {
            return *self.0 == *name;
        }
        // Greedy with one point to come back to: linear in both for a single `**`, never exponential.
        let (mut pattern, mut rest) = (self.0.split('.'), name.split('.'));
        let mut back = None;
        loop {
            let (mut after, mut left) = (pattern.clone(), rest.clone());
            let Some(segment) = left.next() else {
                return pattern.all(|segment| segment == "**");
            };
            match after.next() {
                Some("**") => {
                    back = Some((after.clone(), rest.clone()));
                    pattern = after;
                }
                Some(wanted) if wanted == "*" || wanted == segment => {
                    (pattern, rest) = (after, left);
                }
                _ => {
                    let Some((star, from)) = &mut back else {
                        return false;
                    };
                    from.next();
                    (pattern, rest) = (star.clone(), from.clone());
                }
            }
        }
    }
}

impl From<&UnitId> for Pattern {
    fn from(unit: &UnitId) -> Self {
        Self(shared(unit.as_str()))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() <= UnitId::BYTES_MAX
            && text.split('.').count() <= UnitId::SEGMENTS_MAX
            && text
                .split('.')
                .all(|segment| segment == "*" || segment == "**" || is_segment(segment));
        if fits {
            Ok(Self(shared(text)))
        } else {
            Err(PatternError(text.chars().take(140).collect()))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for Pattern {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for Pattern {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decode_name(decoder, UnitId::BYTES_MAX)
    }
}

bincode::impl_borrow_decode!(Pattern);

impl serde::Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Pattern {
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
    fn stars_match_segments_not_characters() {
        let cases = [
            ("hebi.**", "hebi.xunxian.tobacco", true),
            ("hebi.**", "hebi", true),
            ("hebi.**", "hebix.police", false),
            ("**", "a.b.c", true),
            ("case.*", "case.transfer", true),
            ("case.*", "case", false),
            ("case.*", "case.a.b", false),
            ("**.police", "hebi.xunxian.police", true),
            ("a.**.c.**.d", "a.b.c.c.x.d", true),
            ("a.**.c.**.d", "a.b.c.c.x.e", false),
        ];
        for (pattern, name, expected) in cases {
            let pattern: Pattern = pattern.parse().expect("a pattern");
            assert_eq!(pattern.matches(name), expected, "{pattern} {name}");
        }
        assert!("he*bi".parse::<Pattern>().is_err());
    }
}
