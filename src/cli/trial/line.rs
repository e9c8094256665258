//! The link of a trial.

use std::time::Duration;

use crate::{config::LinkKind, emulator::Profile};

/// What the link between each unit and the hub is like, and how the nodes treat it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Line {
    /// How the emulator makes it.
    pub(in crate::cli) profile: Profile,
    /// How the nodes treat it.
    pub(in crate::cli) kind: LinkKind,
    /// How long it is cut once half of the messages are submitted, if it is.
    pub(in crate::cli) cut: Option<Duration>,
    /// Its name, and what it is like, for programs.
    pub(in crate::cli) words: String,
    /// The same for people, in their language.
    pub(in crate::cli) told: String,
}

impl Line {
    /// How long nothing may come before what is left counts as missing: longer than the link is out and takes to recover.
    pub(super) fn quiet_within(&self) -> Duration {
        const RECOVERED_WITHIN: Duration = Duration::from_secs(20);
        let out = self.profile.longest_gap().max(self.cut.unwrap_or_default());
        RECOVERED_WITHIN + out
    }
}
