//! How long a link may be silent: until the address translators on its way forget it.
//!
//! A hub reaches an edge only as long as every translator between them remembers the edge's port. The least patient forget it after 30 s (RFC
//! 4787, section 4.3, asks for two minutes; many keep less), and on a link that is paid for by the byte each packet that keeps it awake counts. So the silence
//! begins short, and grows by a step when the link was reached after [`REACHED_OFTEN`] silences of its length. When the hub sees the edge come
//! from another address after a silence, or the session dies of it, the step before is what the link bears, and a longer one is tried again a day
//! later. Meanwhile the hub could not reach the edge for the rest of that one silence, and what it had then came late by as much.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// Silences that are tried, seconds. The last is well within the time that a session may be idle.
const STEPS_S: [u64; 5] = [25, 35, 50, 70, 88];
/// So many silences of one length must have been borne before a longer one is tried.
const REACHED_OFTEN: u32 = 3;
/// For how long a silence that was too long is not tried again.
const NOT_AGAIN_MS: Millis = 24 * 3600 * 1000;

/// What is known of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Patience {
    step: usize,
    reached: u32,
    /// Until when no longer silence is tried, milliseconds since the Unix epoch.
    not_before: Millis,
}

/// A link's patience, shared by the sessions over it and by who writes it down.
#[derive(Clone, Debug)]
pub(super) struct KeepAwake {
    patience: Arc<Mutex<Patience>>,
    /// Whether the neighbour may reach this node over other links.
    pub(super) is_one_of_several: bool,
}

impl Patience {
    fn silence(&self) -> Duration {
        let last = STEPS_S.len() - 1;
        let seconds = STEPS_S.get(self.step.min(last)).copied();
        Duration::from_secs(seconds.unwrap_or(STEPS_S[0]))
    }

    fn reached(&mut self, now: Millis) {
        self.reached = self.reached.saturating_add(1);
        if self.reached >= REACHED_OFTEN && self.step + 1 < STEPS_S.len() && now >= self.not_before
        {
            self.step += 1;
            self.reached = 0;
        }
    }

    fn forgotten(&mut self, now: Millis) {
        self.step = self.step.saturating_sub(1);
        self.reached = 0;
        self.not_before = now.saturating_add(NOT_AGAIN_MS);
    }
}

impl KeepAwake {
    pub(super) fn new(patience: Arc<Mutex<Patience>>, is_one_of_several: bool) -> Self {
        Self {
            patience,
            is_one_of_several,
        }
    }

    /// For how long nothing need go over the link.
    pub(super) fn silence(&self) -> Duration {
        self.with(|patience| patience.silence())
    }

    /// The link was reached from the same address after a whole silence.
    pub(super) fn reached(&self, now: Millis) {
        self.with(|patience| patience.reached(now));
    }

    /// It was not.
    pub(super) fn forgotten(&self, now: Millis) {
        self.with(|patience| patience.forgotten(now));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Patience) -> T) -> T {
        act(&mut self.patience.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(patience: &mut Patience, now: Millis) -> Vec<u64> {
        (0..20)
            .map(|_| {
                patience.reached(now);
                patience.silence().as_secs()
            })
            .collect()
    }

    #[test]
    fn a_silence_grows_as_long_as_the_link_bears_it_and_no_longer() {
        let mut patience = Patience::default();
        assert_eq!(patience.silence().as_secs(), 25);
        let grown = steps(&mut patience, 1);
        assert_eq!(grown[..4], [25, 25, 35, 35]);
        assert_eq!(grown.last(), Some(&88));
        // A translator that forgets after a minute.
        patience.step = 3;
        patience.forgotten(1);
        assert_eq!(patience.silence().as_secs(), 50);
        assert!(steps(&mut patience, NOT_AGAIN_MS).iter().all(|s| *s == 50));
        // A day later it is tried again, once.
        patience.reached(NOT_AGAIN_MS + 1);
        assert_eq!(patience.silence().as_secs(), 70);
        patience.forgotten(NOT_AGAIN_MS + 2);
        assert_eq!(patience.silence().as_secs(), 50);
    }

    #[test]
    fn what_was_written_by_a_later_version_is_a_step_that_there_is() {
        let patience: Patience =
            serde_json::from_str(r#"{"step":99,"reached":0,"not_before":0}"#).expect("a patience");
        assert_eq!(patience.silence().as_secs(), 88);
    }
}
