//! What happened to messages, told to an OpenTelemetry Collector of this machine as spans of traces, over OTLP.
//!
//! A message is one trace over all nodes, and nothing of that is on the wire: the trace is called as the message, and ids of
//! spans follow from what they name (`ids`). Each node tells what it did itself, when it has ended (`span` has a list); the node at which the message
//! was submitted tells the span over all of it, once every end is known. Which messages are followed follows from their names as well (`sampler`).
//!
//! The way of an event: the owner hands it over if there is room (`feed`); once its record is on stable storage it is part of a
//! message's story (`story`, `open`), and what ends with it becomes a span; spans wait in a bounded queue and go as JSON (`otlp`) in batches (`export`).
//! Nothing here is ever waited for. What does not get through is counted and gone: the audit log and the index are there for what must be known.

mod export;
mod feed;
mod ids;
mod open;
mod otlp;
mod sampler;
mod span;
mod story;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

pub use export::{Terms, run};
pub use feed::Feed;

use self::{feed::Told, sampler::Sampler};
use crate::{config::Share, observe::Metrics};

/// Events that wait for the task: what a busy node tells in about a tenth of a second.
const EVENTS_MAX: usize = 4096;

/// The task's end of a feed. Cheap to clone; one task at a time has it.
#[derive(Clone, Debug)]
pub struct Queue {
    sampler: Sampler,
    told: Arc<Mutex<mpsc::Receiver<Told>>>,
}

/// A feed that takes nothing until it is told to, and where it leads.
pub fn channel(metrics: Arc<Metrics>) -> (Feed, Queue) {
    let sampler = Sampler::default();
    let (sender, told) = mpsc::channel(EVENTS_MAX);
    let feed = Feed::new(sampler.clone(), sender, metrics);
    let told = Arc::new(Mutex::new(told));
    (feed, Queue { sampler, told })
}

impl Queue {
    /// From now on this share of all messages is followed, or none.
    pub fn follow(&self, share: Option<Share>) {
        self.sampler.set(share);
    }
}
