//! A unit's own dictionary as a file: a few lines for people, a blank one, and the dictionary in zstd's format.

use std::sync::Arc;

use jiff::Timestamp;

use super::dictionary::{DICTIONARY_BYTES_MAX, Dictionary, DictionaryError};
use crate::model::UnitId;

/// The first line.
const MARK: &str = "casegate dictionary 1";

/// Longest text before the dictionary, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// A dictionary that `casegate dict train` has made, and what is known of it.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The unit whose messages it was trained on; none when several sent them.
    pub unit: Option<UnitId>,
    /// When it was trained.
    pub at: Timestamp,
    /// How many messages it was trained on.
    pub samples: u64,
    /// The dictionary.
    pub dictionary: Arc<Dictionary>,
}

/// A file is not a trained dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainedError {
    /// The lines at its start are not those of such a file.
    #[error("it does not start as a dictionary that casegate trained does")]
    Start,
    /// What follows is no dictionary.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
}

impl Trained {
    /// Largest file, in bytes.
    pub const FILE_BYTES_MAX: usize = TEXT_BYTES_MAX + DICTIONARY_BYTES_MAX;

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let unit = self.unit.as_ref().map_or("several", UnitId::as_str);
        let Self { at, samples, .. } = self;
        let text = format!("{MARK}\nunit {unit}\ntrained {at:.0}\nsamples {samples}\n\n");
        [text.as_bytes(), self.dictionary.bytes()].concat()
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// They are not what [`Trained::to_bytes`] gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrainedError> {
        let start = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
        let end = start.windows(2).position(|two| two == b"\n\n");
        let end = end.ok_or(TrainedError::Start)?;
        let (text, rest) = bytes.split_at_checked(end + 2).ok_or(TrainedError::Start)?;
        let text = str::from_utf8(text).map_err(|_| TrainedError::Start)?;
        let (unit, at, samples) = read_text(text).ok_or(TrainedError::Start)?;
        Ok(Self {
            unit,
            at,
            samples,
            dictionary: Arc::new(Dictionary::new(rest.to_vec())?),
        })
    }
}

fn read_text(text: &str) -> Option<(Option<UnitId>, Timestamp, u64)> {
    let mut lines = text.lines();
    if lines.next()? != MARK {
        return None;
    }
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let unit = match value("unit")? {
        "several" => None,
        unit => Some(unit.parse().ok()?),
    };
    let at = value("trained")?.parse().ok()?;
    let samples = value("samples")?.parse().ok()?;
    Some((unit, at, samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::training::tests::town_dictionary;

    #[test]
    fn a_file_comes_back_and_what_is_none_is_refused() {
        for unit in [None, Some("hebi.tobacco".parse().expect("a unit"))] {
            let trained = Trained {
                unit,
                at: "2026-11-24T12:00:00Z".parse().expect("a time"),
                samples: 2000,
                dictionary: town_dictionary().clone(),
            };
            let bytes = trained.to_bytes();
            assert!(bytes.len() <= Trained::FILE_BYTES_MAX);
            let read = Trained::parse(&bytes).expect("a file");
            assert_eq!(
                (read.unit, read.at, read.samples, read.dictionary.id()),
                (trained.unit, trained.at, 2000, trained.dictionary.id())
            );
            for length in [0, 10, 40, bytes.len() / 2] {
                // A text that is cut is a text still, but not in zstd's eyes when its tables are; the digest tells the rest.
                let cut = Trained::parse(&bytes[..length]);
                assert!(cut.map_or(true, |t| t.dictionary.id() != trained.dictionary.id()));
            }
        }
        assert_eq!(
            Trained::parse(town_dictionary().bytes()).err(),
            Some(TrainedError::Start)
        );
    }
}
