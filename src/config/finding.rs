//! What is found in a configuration file, and where.

use std::{fmt, path::PathBuf};

/// One thing to say about a configuration file.
///
/// It reads `file:line: key: what is wrong; what to write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key's path, such as `upstream.link[0].address`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write, or to do.
    pub fix: String,
}

/// A setting that a node cannot start with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub Finding);

/// A setting that deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What to look at.
    pub finding: Finding,
    /// How much it matters.
    pub severity: Severity,
}

/// How much a [`Warning`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The node starts and does as told; it may not be what was meant.
    Advice,
    /// A file or folder that the node needs is not there (yet): good enough for `check`, an error for `run`.
    Absent,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            key,
            problem,
            fix,
        } = self;
        write!(f, "{}:{line}: {key}: {problem}; {fix}", file.display())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.finding)
    }
}
