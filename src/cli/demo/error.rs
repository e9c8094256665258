//! Why a demo ends without a result.

/// A text for people and the exit code that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct DemoError {
    /// The exit code.
    pub(super) code: u8,
    text: String,
}

impl DemoError {
    const INTERNAL: u8 = 70;
    const CANNOT_CREATE: u8 = 73;
    /// 128 and SIGINT, as shells have it.
    const INTERRUPTED: u8 = 130;

    pub(super) fn internal(text: impl Into<String>) -> Self {
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

    pub(super) fn interrupted() -> Self {
        Self {
            code: Self::INTERRUPTED,
            text: "interrupted before the end".to_owned(),
        }
    }
}
