//! From the owner, which never waits, to the task that exports.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::sampler::Sampler;
use crate::{
    delivery::Event,
    model::{Lsn, Millis},
    observe::Metrics,
};

/// What the owner tells.
#[derive(Debug)]
pub(super) enum Told {
    /// Something happened to a message that is followed.
    Event {
        /// The last record before it: when that is on stable storage, the event has happened.
        lsn: Lsn,
        /// Everything up to this record was on stable storage by then.
        synced: Lsn,
        /// What.
        event: Event,
    },
    /// Everything up to this record is on stable storage.
    Synced {
        /// The record.
        lsn: Lsn,
        /// Since when, by the node's clock.
        at: Millis,
    },
}

/// Takes events of messages that are followed. What finds no room is counted and gone; nothing waits.
#[derive(Debug)]
pub struct Feed {
    sampler: Sampler,
    queue: mpsc::Sender<Told>,
    metrics: Arc<Metrics>,
    synced: Lsn,
    /// Whether something was told since the last [`Told::Synced`].
    is_told: bool,
}

impl Feed {
    pub(super) fn new(sampler: Sampler, queue: mpsc::Sender<Told>, metrics: Arc<Metrics>) -> Self {
        Self {
            sampler,
            queue,
            metrics,
            synced: 0,
            is_told: false,
        }
    }

    /// Takes an event; `lsn` is the last record that the machine had appended when it told it.
    pub fn take(&mut self, lsn: Lsn, event: &Event) {
        let (Event::Message { message, .. } | Event::Concluded { message, .. }) = event else {
            return;
        };
        if !self.sampler.takes(message) {
            return;
        }
        let told = Told::Event {
            lsn,
            synced: self.synced,
            event: event.clone(),
        };
        match self.queue.try_send(told) {
            Ok(()) => self.is_told = true,
            Err(_) => {
                self.metrics.traces().dropped.inc();
            }
        }
    }

    /// Everything up to this record is on stable storage; `now` is asked when that has to be told.
    pub fn synced(&mut self, lsn: Lsn, now: impl FnOnce() -> Millis) {
        if lsn <= self.synced {
            return;
        }
        self.synced = lsn;
        if self.is_told {
            // Without room the next one tells it too.
            self.is_told = self
                .queue
                .try_send(Told::Synced { lsn, at: now() })
                .is_err();
        }
    }
}
