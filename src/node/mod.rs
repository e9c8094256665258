//! The shell: drives the pure machine of [`delivery`](crate::delivery) under tokio, over QUIC and on a journal.
//!
//! Who owns what:
//!
//! - **One owner task** (`owner`) owns the machine and the journal's front. Everything that happens to a node reaches it as a
//!   command over one bounded channel, and it never waits for anybody. There are no locks around protocol state.
//! - **The journal thread** (`store`) writes and syncs. What was appended while it did goes together in the next write. Answers,
//!   acks and receipts leave the machine only when it has been told that their records are on stable storage (G1, G2).
//! - **A task per session** (`session`) stands between a link and the owner: frames, batches, certificates. Whoever dials or is
//!   dialled (`links`) starts it and waits for its end.
//! - **A few workers** (`workers`) unpack and verify (`incoming`, `judge`), read and pack (`outgoing`).
//! - **The index's thread** follows the machine's events ([`index`](crate::index)). Nothing waits for it but questions, and a checkpoint a
//!   little.
//! - **The API** asks the node through [`NodeHandle`] (`handle`, `gateway`), which sends commands with a reply slot.
//! - **Files in folders and posts** (`local`, [`spool`](crate::spool), [`deliver`](crate::deliver)) ask through the same handle.
//! - **A task that tells a collector of messages** (`traces`, [`traces`](crate::traces)), where settings ask for it, follows the machine's
//!   events. Nothing waits for it.
//!
//! A message's way in: the API's handler signs it and sends `Submit`; the owner gives it to the machine, which appends a record; the
//! journal thread syncs; the machine is told, and lets the answer go. Its way out: the session grants a batch; the machine leases
//! parcels to it; a worker reads and packs them; the link carries them; the neighbour's ack comes back as a frame.
//!
//! Whether a node is an edge, a hub or both is a matter of its settings. Nothing here is global: several nodes may live in one
//! process, as in the demo and in tests.

mod attachments;
mod audit;
mod awake;
mod backup;
mod board;
mod clock;
mod command;
mod dictionaries;
mod doors;
mod events;
mod examine;
mod fault;
mod gateway;
mod handle;
mod history;
mod incoming;
mod judge;
mod keeper;
mod links;
mod live;
mod local;
mod no_session;
mod operate;
mod outgoing;
mod owner;
mod pace;
mod queue;
mod receipts;
mod remembered;
mod rules;
mod running;
mod samples;
mod session;
mod shared;
mod start;
mod status;
mod stick;
mod store;
#[cfg(test)]
mod tests;
mod traces;
mod usage;
mod workers;

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io, thread,
};

pub use backup::{BACKUP_FOLDER, RESTORED_MARK};
pub use examine::{Examined, examine};
pub use handle::NodeHandle;
pub use live::LiveError;
pub use running::{ReloadError, RunningNode};
pub use start::{Node, StartError};
pub use status::Status;

/// The stack of the runtime's threads: deep calls are TLS handshakes and JSON, both bounded.
const STACK_BYTES: usize = 1024 * 1024;

/// A runtime that suits one node: few threads, small stacks.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(16)
        .thread_stack_size(STACK_BYTES)
        .thread_name("casegate")
        .enable_all()
        .build()
}

/// A random number. Nothing that must stay secret is made of it.
fn random() -> u64 {
    #[cfg(test)]
    if let Some(random) = tests::paused::random() {
        return random;
    }
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // The keys of the standard library's hasher come from the system too.
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}
