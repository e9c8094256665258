//! Files in folders, for people and applications that do not call the API: what is dropped into one is sent, and what comes is
//! written to another.
//!
//! The way of a file that is sent:
//!
//! 1. `watch` finds it and waits until it does not change any more.
//! 2. `claim` moves it into a folder of its own below `.taken`. From there on it is the node's, and another file may have its name.
//! 3. `order` makes an event of it and of what goes with it. The event's id is made of the file's name and of all that the event says: the
//!    same file again is the same message. The event is written beside the file before it is submitted, so that what is submitted
//!    after a crash is what was submitted before.
//! 4. `send` submits it. Once it is on stable storage the file is moved to `sent`, with a result beside it; what cannot be sent is moved to
//!    `failed`, with the reason. `results` follows what becomes of messages and writes the result anew.
//!
//! A crash between any two of these is gone on from where the files lie. `receive` writes messages of the inbox, syncs them and acks
//! them, in this order. Files go one after another, so that those of a case go in the order in which they were dropped.

mod claim;
mod files;
mod order;
mod receive;
mod results;
mod send;
mod sidecar;
mod watch;

pub use sidecar::Address;

use std::sync::Arc;

use tokio::sync::{mpsc, watch as signal};

use crate::{
    api::Gateway,
    config::Spool,
    observe::{Metrics, Trouble},
};

/// Results that wait to be followed; of more, each is found when all are looked at.
const RESULTS_MAX: usize = 1024;

/// What it is done with.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which folders.
    pub settings: Spool,
    /// Where it is told what goes wrong with what is to be sent.
    pub sending: Arc<Trouble>,
    /// Where it is told what goes wrong with what has come.
    pub receiving: Arc<Trouble>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// Sends what is dropped and writes what comes, until it is to leave.
pub async fn run<G: Gateway>(gateway: Arc<G>, terms: Terms, left: signal::Receiver<bool>) {
    let (told, results) = mpsc::channel(RESULTS_MAX);
    tokio::join!(
        send::run(gateway.clone(), terms.clone(), told, left.clone()),
        results::run(gateway.clone(), terms.clone(), results, left.clone()),
        receive::run(gateway, terms, left),
    );
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Work that has started is not cancelled: it panicked, and so does its task.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Returns once it is to leave.
async fn until_left(left: &mut signal::Receiver<bool>) {
    // The sender is gone only when the node is.
    let _ = left.wait_for(|left| *left).await;
}
