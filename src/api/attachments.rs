//! Attachments: streamed in and out, in memory that does not grow with them.

use std::{panic, sync::Arc};

use axum::{
    body::{Body, HttpBody as _},
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Api, Gateway, Problem,
    body::{self, PAUSE_MAX},
    range::{Wanted, wanted},
    request,
};
use crate::{
    blob::{Blobs, ReadError, Reader, StoreError, Upload},
    model::{BlobDigest, CHUNK_BYTES},
};

/// Uploads and downloads that are under way at once. Each has [`BUFFER_BYTES`] and a chunk in memory.
pub(super) const CALLS_MAX: usize = 32;
/// How much is written at a time.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;
/// Longest name of a file, in bytes: what file systems take.
const NAME_BYTES_MAX: usize = 255;

/// What a call may say of an attachment beside its bytes.
#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    /// The name of its file.
    name: Option<String>,
}

#[derive(Serialize)]
struct Brought {
    digest: BlobDigest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// `PUT /v1/attachments?name=N`: an attachment, whose bytes are the request's body.
pub(super) async fn upload<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    query: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = name(query)?;
    let _counted = count(&api)?;
    let blobs = api.gateway.blobs()?;
    let mut body = request.into_body();
    let size = body.size_hint().lower();
    // Told before it is sent, when its sender says how much it is.
    make_room(&api, &blobs, size).await?;
    let mut upload = blocking(move || blobs.upload()).await.map_err(not_kept)?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while let Some(frame) = timeout(PAUSE_MAX, body.frame())
        .await
        .map_err(|_| body::broken("the body stopped coming"))?
    {
        let frame = frame.map_err(|_| body::broken("the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        buffer.extend_from_slice(&data);
        if buffer.len() >= BUFFER_BYTES {
            (upload, buffer) = write(&api.gateway, upload, buffer).await?;
        }
    }
    (upload, _) = write(&api.gateway, upload, buffer).await?;
    let (digest, size) = blocking(move || upload.finish()).await.map_err(not_kept)?;
    api.gateway.attached(digest, size).await?;
    let answer = request::answer(Brought { digest, size, name });
    Ok((StatusCode::CREATED, answer).into_response())
}

/// Makes sure that there is room for so many bytes.
pub(super) async fn make_room<G: Gateway>(
    api: &Api<G>,
    blobs: &Blobs,
    size: u64,
) -> Result<(), Problem> {
    if let Err(error) = blobs.has_room(size) {
        if matches!(error, StoreError::Full { .. }) {
            api.gateway.make_room(size).await;
        }
        blobs.has_room(size).map_err(not_kept)?;
    }
    Ok(())
}

/// Writes what the buffer has, and gives it back empty.
pub(super) async fn write<G: Gateway>(
    gateway: &Arc<G>,
    upload: Upload,
    buffer: Vec<u8>,
) -> Result<(Upload, Vec<u8>), Problem> {
    let attempt = |mut upload: Upload, buffer: Vec<u8>| {
        blocking(move || {
            let written = upload.write(&buffer);
            (written, upload, buffer)
        })
    };
    let (written, upload, mut buffer) = match attempt(upload, buffer).await {
        // Nothing was taken of what did not fit.
        (Err(StoreError::Full { .. }), upload, buffer) => {
            gateway.make_room(buffer.len() as u64).await;
            attempt(upload, buffer).await
        }
        done => done,
    };
    written.map_err(not_kept)?;
    buffer.clear();
    Ok((upload, buffer))
}

/// `GET /v1/attachments/{digest}?name=N`: the attachment, or the range of it that is asked for.
pub(super) async fn download<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    query: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = name(query)?;
    let digest: BlobDigest = path
        .ok()
        .and_then(|path| path.parse().ok())
        .ok_or_else(|| not_here("a digest is \"blake3:\" and 64 lower-case hexadecimal digits"))?;
    let counted = count(&api)?;
    let (size, reader) = open(&*api.gateway, digest).await?;

    let tag = format!("\"{digest}\"");
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    // Bytes under one digest never change, so a condition is met by the digest alone.
    let is_this =
        |given: &[u8]| given == b"*" || given.windows(tag.len()).any(|w| w == tag.as_bytes());
    let mut told = HeaderMap::new();
    put(&mut told, header::ETAG, &tag);
    put(&mut told, header::ACCEPT_RANGES, "bytes");
    if text(header::IF_NONE_MATCH).is_some_and(is_this) {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
        .filter(|_| text(header::IF_RANGE).is_none_or(is_this))
        .map_or(Wanted::Whole, |range| wanted(range, size));
    let (status, first, end) = match range {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(first, last) => {
            let part = format!("bytes {first}-{last}/{size}");
            put(&mut told, header::CONTENT_RANGE, &part);
            (StatusCode::PARTIAL_CONTENT, first, last + 1)
        }
        Wanted::Nothing => {
            put(&mut told, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok((told, past_the_end(size)).into_response());
        }
    };
    put(
        &mut told,
        header::CONTENT_LENGTH,
        &(end - first).to_string(),
    );
    put(&mut told, header::CONTENT_TYPE, "application/octet-stream");
    // Nothing that a sender wrote is shown by a browser as a page of this node.
    let disposition = match name {
        None => "attachment".to_owned(),
        Some(name) => format!("attachment; filename*=UTF-8''{}", percent(&name)),
    };
    put(&mut told, header::CONTENT_DISPOSITION, &disposition);
    let body = Sending {
        gateway: api.gateway.clone(),
        digest,
        reader: Arc::new(reader),
        next: first,
        end,
        _counted: counted,
    };
    Ok((status, told, body.into_body()).into_response())
}

/// Opens a whole attachment.
async fn open<G: Gateway>(gateway: &G, digest: BlobDigest) -> Result<(u64, Reader), Problem> {
    let blobs = gateway.blobs()?;
    let Some(size) = blobs.size(&digest) else {
        let detail = match blobs.have(&digest) {
            Some(have) => format!("{digest} is coming; {} chunks of it are here", have.count()),
            None => format!("no attachment {digest} is here"),
        };
        return Err(not_here(detail));
    };
    let error = match blocking(move || blobs.reader(&digest)).await {
        Ok(reader) => return Ok((size, reader)),
        Err(error) => ReadError::from(error),
    };
    let is_lasting = unreadable(gateway, digest, &error).await;
    match error {
        ReadError::Io(error) if !is_lasting => Err(not_kept(error.into())),
        _ => Err(not_here(format!("{digest} is damaged on this disk"))),
    }
}

/// An attachment cannot be read. When that lasts, which is told, it is to come again.
pub(super) async fn unreadable<G: Gateway>(
    gateway: &G,
    digest: BlobDigest,
    error: &ReadError,
) -> bool {
    tracing::error!(attachment = %digest, %error, "an attachment cannot be read");
    let is_lasting = error.is_lasting();
    if is_lasting {
        gateway.attachment_damaged(digest).await;
    }
    is_lasting
}

/// An attachment on its way out.
struct Sending<G> {
    gateway: Arc<G>,
    digest: BlobDigest,
    reader: Arc<Reader>,
    next: u64,
    end: u64,
    _counted: OwnedSemaphorePermit,
}

impl<G: Gateway> Sending<G> {
    fn into_body(self) -> Body {
        Body::from_stream(stream::try_unfold(self, |mut sending| async move {
            if sending.next >= sending.end {
                return Ok(None);
            }
            let part = sending.part().await?;
            sending.next += part.len() as u64;
            Ok::<_, ReadError>(Some((part, sending)))
        }))
    }

    /// The next bytes, at most those of a chunk, compared with the digest. A connection is cut rather than that wrong ones are sent.
    async fn part(&self) -> Result<Bytes, ReadError> {
        let number = self.next / CHUNK_BYTES;
        let reader = self.reader.clone();
        let chunk = blocking(move || {
            let mut chunk = Vec::new();
            reader.chunk(number, &mut chunk).map(|()| chunk)
        });
        let chunk = match chunk.await {
            Ok(chunk) => Bytes::from(chunk),
            Err(error) => {
                unreadable(&*self.gateway, self.digest, &error).await;
                return Err(error);
            }
        };
        let start = number * CHUNK_BYTES;
        let within = |at: u64| {
            usize::try_from(at - start)
                .unwrap_or(usize::MAX)
                .min(chunk.len())
        };
        let (first, end) = (within(self.next), within(self.end));
        Ok(chunk.slice(first..end))
    }
}

fn name(query: Result<Query<Parameters>, QueryRejection>) -> Result<Option<String>, Problem> {
    let Parameters { name } = request::parameters(query)?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    Ok(name)
}

/// Refuses what is no name of a file.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let bad = name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.contains(['/', '\\'])
        || name.chars().any(char::is_control);
    if !bad {
        return Ok(());
    }
    let detail = format!("a file's name has 1 to {NAME_BYTES_MAX} bytes, no slash and no control");
    Err(Problem::invalid("name", detail))
}

/// Takes a place among the calls under way.
pub(super) fn count<G>(api: &Api<G>) -> Result<OwnedSemaphorePermit, Problem> {
    api.attachments.clone().try_acquire_owned().map_err(|_| {
        body::busy("too many attachments are on their way in and out")
            .bounded("attachment-calls", CALLS_MAX as u64)
    })
}

/// Work that waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Work that has started is not cancelled: it panicked, and so does its request.
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A text as RFC 8187 wants it.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn not_here(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-attachment",
        "no such attachment is here",
        detail,
    )
    .about("digest")
}

fn past_the_end(size: u64) -> Problem {
    Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range",
        "the attachment has no such range",
        format!("the attachment has {size} bytes"),
    )
    .about("range")
}

pub(super) fn not_kept(error: StoreError) -> Problem {
    let detail = error.to_string();
    match error {
        StoreError::TooLarge { mib_max } => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "the attachment is too large",
            detail,
        )
        .bounded("attachment-mib", mib_max.into()),
        StoreError::Full { mib_max } => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "bound-reached",
            "a queue or the storage has reached its bound",
            detail,
        )
        .bounded("attachments-mib", mib_max.into())
        .retry_after(30),
        StoreError::DiskFull => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "disk-full",
            "the disk is full",
            detail,
        )
        .bounded("disk", 0)
        .retry_after(30),
        StoreError::Io(_) => {
            tracing::error!(error = detail, "an attachment cannot be kept");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage-failed",
                "stable storage has failed",
                detail,
            )
            .retry_after(30)
        }
    }
}
