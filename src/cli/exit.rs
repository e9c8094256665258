//! How a command ends: the exit codes (those of `sysexits.h`), and the one line that tells why.

use std::{fmt, io};

use super::texts::{fill, t};

/// Done.
pub const DONE: u8 = 0;
/// Bad data: HTTP 400, 404, 409, 413, 422 and the other refusals of what was asked.
pub const BAD_DATA: u8 = 65;
/// The node is not reachable.
pub const NOT_REACHABLE: u8 = 69;
/// Something broke down, here or in the node.
pub const INTERNAL: u8 = 70;
/// A file, a folder or an output cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// Try again later: HTTP 408, 429, 503, 507, or a wait that ran out.
pub const LATER: u8 = 75;
/// Refused: by policy or an operator, or for want of the token (HTTP 401, 403).
pub const REFUSED: u8 = 77;
/// Bad configuration.
pub const BAD_CONFIGURATION: u8 = 78;

/// A command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the process ends with.
    pub code: u8,
    /// What, where and what to do, in one line. Empty: nothing is to be said.
    text: String,
}

impl Failure {
    /// A failure that is told in these words. What would break the line is made a blank.
    pub fn new(code: u8, text: impl AsRef<str>) -> Self {
        let text = one_line(text.as_ref());
        Self { code, text }
    }

    /// What was looked up cannot be written. Somebody who reads no further, such as `head`, is no failure and is told nothing.
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                code: DONE,
                text: String::new(),
            };
        }
        Self::lost(error)
    }

    /// What was done cannot be told on standard output.
    pub fn lost(error: &io::Error) -> Self {
        Self::new(CANNOT_CREATE, fill(t().output_lost, &[error]))
    }

    /// The same with something said before it, or after.
    pub fn within(self, before: &str, after: &str) -> Self {
        Self::new(self.code, format!("{before}{}{after}", self.text))
    }

    /// Whether it ends with this code.
    pub fn is(&self, code: u8) -> bool {
        self.code == code
    }

    /// Says it on standard error; gives the exit code.
    pub fn tell(&self) -> u8 {
        if !self.text.is_empty() {
            eprintln!("{self}");
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text without anything that ends a line or steers a terminal.
pub fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}
