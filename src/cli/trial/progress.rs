//! What is told while a trial runs, on standard error.

use std::{
    io::{IsTerminal as _, stderr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::texts::{fill, t};

/// A bar on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    plain: bool,
    total: u64,
    quarters_told: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: u32) -> Self {
        let total = u64::from(total);
        let plain = !stderr().is_terminal();
        let target = if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template(t().trial_bar) {
            bar.set_style(style);
        }
        Self {
            bar,
            plain,
            total,
            quarters_told: AtomicU64::new(0),
        }
    }

    /// Tells what happens now.
    pub(super) fn phase(&self, what: &str) {
        if self.plain {
            eprintln!("{what}");
        } else {
            self.bar.println(what);
        }
    }

    /// Tells what the bar stands at.
    pub(super) fn delivered(&self, count: u64, doing: &str) {
        self.bar.set_position(count);
        self.bar.set_message(doing.to_owned());
        let quarters = (count * 4).checked_div(self.total).unwrap_or(0);
        if self.plain && self.quarters_told.swap(quarters, Relaxed) < quarters {
            eprintln!("{}", fill(t().trial_delivered, &[&count, &self.total]));
        }
    }

    /// Tells how much of the scan has gone.
    pub(super) fn scanned(&self, bytes: u64, size: u64) {
        if self.bar.length() != Some(size) {
            if let Ok(style) = ProgressStyle::with_template(t().trial_scan_bar) {
                self.bar.set_style(style);
            }
            self.bar.set_length(size);
            self.bar.reset();
        }
        self.bar.set_position(bytes);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
