//! Batches that come in.

use std::{ops::Deref, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    CloseCode, Ended, Event,
    profile::{LARGE_BATCHES_MAX, PEER_STREAMS_MAX, SMALL_BATCH_BYTES_MAX},
    session::owner_gone,
};

/// Most bytes taken from quinn at once.
const READ_BYTES: usize = 16 * 1024;

/// A batch as it came. It counts against what the session may hold until it is dropped, so drop it as soon as it is unpacked.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    _held: Held,
}

/// The share of the session's memory that a batch uses.
#[derive(Debug)]
struct Held {
    _slot: OwnedSemaphorePermit,
    large: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// The batch. A clone of it is no longer counted.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads every stream that the peer opens, several at a time, until the session ends.
///
/// A batch holds one of as many slots as the peer may have streams, and a large one also one of a few permits, from its first
/// byte until the owner drops it. While none is free nothing more is accepted, and flow control stops the peer.
pub(super) async fn batches(
    connection: &quinn::Connection,
    events: &mpsc::Sender<Event>,
    batch_bytes_max: usize,
) -> Ended {
    let slots = Arc::new(Semaphore::new(PEER_STREAMS_MAX as usize));
    let large = Arc::new(Semaphore::new(LARGE_BATCHES_MAX));
    // In boxes: it has room for one that is never there.
    let mut reading = FuturesUnordered::new();
    loop {
        let next = async {
            let slot = permit(&slots).await;
            connection.accept_uni().await.map(|stream| (slot, stream))
        };
        tokio::select! {
            opened = next => match opened {
                Ok((slot, stream)) => {
                    let read = read(stream, slot, &large, batch_bytes_max, events);
                    reading.push(Box::pin(read));
                }
                Err(error) => return error.into(),
            },
            Some(read) = reading.next(), if !reading.is_empty() => {
                if let Err(ended) = read {
                    return ended;
                }
            }
        }
    }
}

/// Reads one stream to its end and hands it over.
async fn read(
    mut stream: quinn::RecvStream,
    slot: OwnedSemaphorePermit,
    large: &Arc<Semaphore>,
    batch_bytes_max: usize,
    events: &mpsc::Sender<Event>,
) -> Result<(), Ended> {
    let mut held = Held {
        _slot: slot,
        large: None,
    };
    // In order and copied: a peer that sends its bytes one by one, or out of order, makes this side hold no more than the bytes.
    let mut bytes = BytesMut::new();
    loop {
        let chunk = match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => chunk.bytes,
            Ok(None) => break,
            Err(error) => return Err(lost(error, CloseCode::BatchAbandoned, "a batch")),
        };
        let length = bytes.len() + chunk.len();
        if length > batch_bytes_max {
            let words = format!("a batch of more than {batch_bytes_max} bytes");
            return Err(Ended::here(CloseCode::BatchTooLarge, words));
        }
        if length > SMALL_BATCH_BYTES_MAX && held.large.is_none() {
            held.large = Some(permit(large).await);
        }
        bytes.extend_from_slice(&chunk);
    }
    let batch = Received {
        bytes: bytes.freeze(),
        _held: held,
    };
    events
        .send(Event::Batch(Box::new(batch)))
        .await
        .map_err(|_| owner_gone())
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.clone().acquire_owned().await {
        Ok(permit) => permit,
        Err(_) => unreachable!("the session's semaphores are never closed"),
    }
}

/// What a failed read means for the session.
pub(super) fn lost(error: quinn::ReadError, code: CloseCode, what: &str) -> Ended {
    match error {
        quinn::ReadError::ConnectionLost(error) => error.into(),
        quinn::ReadError::Reset(_) => Ended::here(code, format!("{what} was reset")),
        other => Ended::here(code, format!("{what} cannot be read: {other}")),
    }
}
