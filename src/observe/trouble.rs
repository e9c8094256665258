//! What a part of a node cannot do just now, for operators.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::language::Both;

/// One trouble at a time, in words. Whoever has it tells; the status shows it, and the log when it comes, changes and goes.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<Both>>);

impl Trouble {
    /// This is the trouble now, or there is none.
    pub fn tell(&self, now: Option<Both>) {
        let mut told = self.lock();
        if *told == now {
            return;
        }
        match (&now, &*told) {
            (Some(now), _) => tracing::warn!("{now}"),
            (None, Some(before)) => tracing::info!("no longer so: {before}"),
            (None, None) => {}
        }
        *told = now;
    }

    /// What it is, if there is any.
    pub fn now(&self) -> Option<Both> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Both>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
