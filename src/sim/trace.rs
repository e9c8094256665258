//! What happened in a run: a hash of all of it, and the last lines for whoever looks into a failure.

use std::{collections::VecDeque, fmt};

use super::rng::mix;

/// How many lines are kept.
const LINES_MAX: usize = 60;

/// A run's trace.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    lines: Option<VecDeque<String>>,
    whole: bool,
}

impl Trace {
    /// `lines`: keep the last lines too. Otherwise none is even formatted. `whole`: print every line as it comes.
    pub(super) fn new(lines: bool, whole: bool) -> Self {
        Self {
            hash: 0,
            lines: (lines || whole).then(VecDeque::new),
            whole,
        }
    }

    /// Notes a step as numbers; equal runs note equal numbers in equal order.
    pub(super) fn mark(&mut self, what: u64, value: u64) {
        self.hash = mix(self.hash.rotate_left(17) ^ what.wrapping_mul(0x9e37_79b9) ^ mix(value));
    }

    /// Notes a step as text, if anybody reads it.
    pub(super) fn line(&mut self, at_us: u64, text: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        let line = format!("{:>12.6} {}", at_us as f64 / 1e6, text());
        if self.whole {
            println!("{line}");
        }
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.iter().flatten() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
