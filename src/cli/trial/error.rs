//! Why a trial ends without a result.

use crate::cli::texts::t;

/// A text for people and the exit code that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(in crate::cli) struct TrialError {
    /// The exit code.
    pub(super) code: u8,
    text: String,
}

impl TrialError {
    const INTERNAL: u8 = 70;
    const CANNOT_CREATE: u8 = 73;
    /// 128 and SIGINT, as shells have it.
    const INTERRUPTED: u8 = 130;

    pub(in crate::cli) fn internal(text: impl Into<String>) -> Self {
        Self {
            code: Self::INTERNAL,
            text: text.into(),
        }
    }

    pub(super) fn cannot_create(text: impl Into<String>) -> Self {
        Self {
            code: Self::CANNOT_CREATE,
            text: text.into(),
        }
    }

    /// Tells it on standard error. Returns the exit code.
    pub(in crate::cli) fn tell(&self) -> u8 {
        eprintln!("{self}");
        self.code
    }

    pub(super) fn interrupted() -> Self {
        Self {
            code: Self::INTERRUPTED,
            text: t().trial_interrupted.to_owned(),
        }
    }
}
