//! Request bodies: read up to a bound, and what is left of one drained, so that its sender hears the answer.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::problem::Problem;
use crate::codec::LARGE_BYTES;

/// How long a sender may pause within a body.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the room for a body is waited for.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);
/// How much of a body that nobody reads is drained, and for how long.
const DRAINED_BYTES_MAX: u64 = 128 * 1024 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);
/// A body is large from here on, bytes.
const LARGE_BODY_BYTES: usize = 256 * 1024;
/// Largest bodies that are in memory at once.
const LARGEST_AT_ONCE: usize = 8;

/// Room for the bodies of all requests under way.
#[derive(Debug)]
pub(super) struct Bodies {
    kib: Arc<Semaphore>,
    request_kib: u32,
}

/// A body in memory, and its room, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Bodies {
    pub(super) fn new(request_kib: u32) -> Self {
        let kib = (request_kib as usize * LARGEST_AT_ONCE).min(Semaphore::MAX_PERMITS);
        Self {
            kib: Arc::new(Semaphore::new(kib)),
            request_kib,
        }
    }

    /// Reads a whole body.
    pub(super) async fn read(&self, mut body: Body) -> Result<Held, Problem> {
        let bytes_max = u64::from(self.request_kib) * 1024;
        let hint = body.size_hint();
        if hint.lower() > bytes_max {
            return Err(self.too_large());
        }
        // A sender that does not say how much will come gets room for the largest.
        let expected = hint.upper().unwrap_or(bytes_max).min(bytes_max);
        let kib = u32::try_from(expected.div_ceil(1024)).unwrap_or(self.request_kib);
        let room = timeout(ROOM_WAIT_MAX, self.kib.clone().acquire_many_owned(kib))
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                let bound = u64::from(self.request_kib) * LARGEST_AT_ONCE as u64;
                busy("the bodies of other requests take up all the room")
                    .bounded("bodies-kib", bound)
            })?;
        let mut whole = Vec::new();
        let mut first = Bytes::new();
        while let Some(frame) = timeout(PAUSE_MAX, body.frame())
            .await
            .map_err(|_| broken("the body stopped coming"))?
        {
            let frame = frame.map_err(|_| broken("the body broke off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if (whole.len() + first.len() + data.len()) as u64 > bytes_max {
                return Err(self.too_large());
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies come in one piece and are not copied.
                first = data;
                continue;
            }
            if whole.is_empty() {
                make_room(
                    &mut whole,
                    (expected as usize).max(first.len() + data.len()),
                );
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() {
            first
        } else {
            whole.into()
        };
        Ok(Held { bytes, _room: room })
    }

    fn too_large(&self) -> Problem {
        let kib = self.request_kib;
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "the request is too large",
            format!("a request has at most {kib} KiB; send it in parts"),
        )
        .bounded("request-kib", kib.into())
    }
}

/// Makes room for a body. That of a large one goes straight back to the system with it (see [`LARGE_BYTES`]): otherwise as much, and
/// twice as much for each thread, would be kept for the next one.
fn make_room(whole: &mut Vec<u8>, bytes: usize) {
    if bytes < LARGE_BODY_BYTES || whole.try_reserve_exact(bytes.max(LARGE_BYTES)).is_err() {
        whole.reserve(bytes);
    }
}

pub(super) fn busy(detail: &str) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "busy",
        "the node has as much to do as it can",
        detail,
    )
    .retry_after(1)
}

pub(super) fn broken(detail: &str) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "broken-request",
        "the request did not come whole",
        detail,
    )
}

/// A request's body as its reader has it; what the reader leaves is still there for [`Rest`].
#[derive(Debug)]
struct Tap(Arc<Mutex<Body>>);

/// The same body, for whoever cleans up after the reader.
#[derive(Debug)]
pub(super) struct Rest(Arc<Mutex<Body>>);

/// Parts a body into the one that is read and the one that is drained afterwards.
pub(super) fn tap(body: Body) -> (Body, Rest) {
    let shared = Arc::new(Mutex::new(body));
    (Body::new(Tap(shared.clone())), Rest(shared))
}

impl HttpBody for Tap {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

impl Rest {
    /// Reads and forgets what is left, within bounds. A sender that is still writing reads no answer; one whose connection is cut
    /// meanwhile never sees it. Tells whether the end was reached, so that the connection can be used again.
    pub(super) async fn drain(self) -> bool {
        let mut tap = Tap(self.0);
        if tap.is_end_stream() {
            return true;
        }
        let to_the_end = async {
            let mut drained = 0u64;
            while let Some(frame) = tap.frame().await {
                let Ok(frame) = frame else {
                    return false;
                };
                drained += frame.data_ref().map_or(0, |data| data.len() as u64);
                if drained > DRAINED_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        timeout(DRAIN_TIME_MAX, to_the_end).await.unwrap_or(false)
    }
}
