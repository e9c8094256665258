//! What is found in a configuration file, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::texts::Texts;
use crate::language::{Both, Language};

/// One thing to say about a configuration file.
///
/// It reads `file:line: key: what is wrong; what to write`, in English unless a language is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key's path, such as `upstream.link[0].address`.
    pub key: String,
    /// What is wrong.
    pub problem: Both,
    /// What to write, or to do.
    pub fix: Both,
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

/// Warnings about one file, as they are found.
pub(super) struct Warnings<'a> {
    pub(super) file: &'a Path,
    pub(super) found: Vec<Warning>,
}

impl Warnings<'_> {
    pub(super) fn warn(
        &mut self,
        severity: Severity,
        line: usize,
        key: &str,
        problem: Both,
        fix: Both,
    ) {
        let finding = Finding {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            problem,
            fix,
        };
        self.found.push(Warning { finding, severity });
    }
}

impl Finding {
    /// It in a language.
    pub(crate) fn told(&self, language: Language) -> String {
        let Self {
            file,
            line,
            key,
            problem,
            fix,
        } = self;
        let [problem, fix] = [problem, fix].map(|text| text.of(language));
        let then = Texts::of(language).then;
        format!("{}:{line}: {key}: {problem}{then}{fix}", file.display())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Language::English))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.finding)
    }
}
