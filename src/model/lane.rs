//! Priority lanes.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A priority lane, the most urgent first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Goes over every link at once.
    Flash,
    /// Passes everything below it.
    Urgent,
    /// The default.
    Normal,
    /// Waits for the others, with a guaranteed share.
    Bulk,
}

/// A text is not a lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a priority; write flash, urgent, normal or bulk")]
pub struct LaneError(String);

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Lane; 4] = [Lane::Flash, Lane::Urgent, Lane::Normal, Lane::Bulk];

    /// The lane's place in [`Lane::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The lane's name, as CloudEvents' `priority` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Flash => "flash",
            Lane::Urgent => "urgent",
            Lane::Normal => "normal",
            Lane::Bulk => "bulk",
        }
    }

    /// Whether the lane may use the reserves that are kept for urgent traffic (G7).
    pub const fn has_reserve(self) -> bool {
        matches!(self, Lane::Flash | Lane::Urgent)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = LaneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Lane::ALL
            .into_iter()
            .find(|lane| lane.as_str() == text)
            .ok_or_else(|| LaneError(text.chars().take(40).collect()))
    }
}
