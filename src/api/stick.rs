//! What waits for a neighbour as a file, out and in. Neither is ever in memory as a whole: attachments are streamed.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Actor, Api, Cause, Gateway, Problem, Refusal, Which,
    access::Caller,
    act::{self, Filter},
    attachments::{blocking, not_kept, unreadable, write},
    body::{self, PAUSE_MAX},
    queue, request,
};
use crate::{
    blob::{ReadError, Reader},
    model::{BlobDigest, CHUNK_BYTES, MessageId, Role, UnitId, chunk_count},
    wire::{
        STICK_MAGIC, STICK_MESSAGES_MAX, STICK_SEAL_BYTES, StickError, StickHead,
        certificate_bytes, manifest_bytes,
    },
};

/// Messages of a file, unless the call says otherwise.
const MESSAGES_DEFAULT: u32 = 1000;
/// Left-out messages that the answer's head names.
const LEFT_OUT_NAMED_MAX: usize = 20;
/// How much of an attachment is written at a time.
const BUFFER_BYTES: usize = 128 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    messageids: Option<Vec<String>>,
    filter: Option<Filter>,
    neighbour: Option<UnitId>,
    #[serde(default)]
    reason: String,
    cursor: Option<String>,
    max: Option<u32>,
}

/// What is told beside the file, in the head `casegate-exported`.
#[derive(Serialize)]
struct Told {
    neighbour: UnitId,
    messages: usize,
    attachments: usize,
    left_out: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    named: Vec<LeftOut>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct LeftOut {
    messageid: MessageId,
    why: String,
}

/// `POST /v1/queue/export`: a file with what waits for one neighbour.
pub(super) async fn export<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, Problem> {
    // Whoever has the file can read what messages say.
    let actor = caller.must_be(Role::Administrator)?;
    let asked: Export = request::json(&api.bodies, body).await?;
    let reason = act::reason(&asked.reason)?;
    let mut neighbour = asked.neighbour;
    let which = match (asked.messageids, asked.filter) {
        (Some(named), None) => Which::Messages(act::messages(&named)?),
        (None, Some(filter)) => {
            let filter = filter.read()?;
            neighbour = neighbour.or_else(|| filter.neighbour.clone());
            Which::Fitting {
                filter,
                cursor: queue::cursor(asked.cursor)?,
                max: asked.max.unwrap_or(MESSAGES_DEFAULT),
            }
        }
        _ => {
            let detail =
                "write either messageids or filter; an empty filter, {}, means all that waits";
            return Err(Problem::invalid("filter", detail));
        }
    };
    made(&api, actor, which, neighbour, reason).await
}

/// The file of an export, with what is told beside it.
pub(super) async fn made<G: Gateway>(
    api: &Api<G>,
    actor: &Actor,
    mut which: Which,
    neighbour: Option<UnitId>,
    reason: &str,
) -> Result<Response, Problem> {
    if let Which::Fitting { max, .. } = &mut which {
        *max = (*max).clamp(1, STICK_MESSAGES_MAX as u32);
    }
    let counted = count(api)?;
    let exported = api.gateway.export(actor, which, neighbour, reason).await?;
    if exported.messages.is_empty() {
        let why = match exported.left_out.first() {
            Some((message, why)) => format!("{message}: {why}"),
            None => "nothing waits that fits".to_owned(),
        };
        return Err(Refusal::new(Cause::WrongState, format!("nothing was exported: {why}")).into());
    }
    let named = exported.left_out.iter().take(LEFT_OUT_NAMED_MAX);
    let told = Told {
        messages: exported.messages.len(),
        attachments: exported.attachments.len(),
        left_out: exported.left_out.len(),
        named: named
            .map(|(message, why)| LeftOut {
                messageid: *message,
                why: why.clone(),
            })
            .collect(),
        more: exported.next.is_some(),
        cursor: exported.next,
        neighbour: exported.neighbour,
    };
    let told = serde_json::to_string(&told).unwrap_or_default();
    let before = std::iter::once(exported.head).chain(exported.parcels);
    let before: Vec<Bytes> = before.collect();
    let parcels: u64 = before.iter().map(|bytes| bytes.len() as u64).sum();
    let attachments = exported.attachments.iter().map(|(_, size)| *size);
    let bytes = attachments.fold(parcels, u64::saturating_add);
    let blobs = api.gateway.blobs()?;
    let gateway = api.gateway.clone();
    let behind = stream::iter(exported.attachments).map(move |(digest, _)| {
        let (blobs, gateway) = (blobs.clone(), gateway.clone());
        let opened = blocking(move || blobs.reader(&digest));
        let read = stream::once(async move { opened.await.map_err(ReadError::from) })
            .map_ok(chunks)
            .try_flatten();
        Ok::<_, ReadError>(read.or_else(move |error| {
            let gateway = gateway.clone();
            async move {
                unreadable(&*gateway, digest, &error).await;
                Err(error)
            }
        }))
    });
    let whole = stream::iter(before.into_iter().map(Ok)).chain(behind.try_flatten());
    // One file at a time.
    let whole = whole.inspect(move |_| {
        let _ = &counted;
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/vnd.casegate.stick".to_owned(),
        ),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"queue.casegate\"".to_owned(),
        ),
        (header::HeaderName::from_static("casegate-exported"), told),
    ];
    Ok((headers, Body::from_stream(whole)).into_response())
}

/// An attachment, chunk by chunk; each is compared with the digest as it is read.
fn chunks(reader: Reader) -> impl futures_util::Stream<Item = Result<Bytes, ReadError>> {
    let reader = Arc::new(reader);
    let count = match reader.size() {
        0 => 0,
        size => chunk_count(size),
    };
    stream::iter(0..count).then(move |number| {
        let reader = reader.clone();
        blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES as usize);
            reader.chunk(number, &mut chunk).map(|()| chunk.into())
        })
    })
}

#[derive(Serialize)]
struct Answer {
    from: UnitId,
    taken: u64,
    repeated: u64,
    no_room: u64,
    attachments: u64,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    #[serde(skip_serializing_if = "Option::is_none")]
    messageid: Option<MessageId>,
    why: &'static str,
}

/// `PUT /v1/import`: a file that a neighbour has exported; its bytes are the request's body.
pub(super) async fn import<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let actor = caller.must_be(Role::Operator)?;
    Ok(request::answer(
        take(&api, actor, request.into_body()).await?,
    ))
}

/// Takes in a file as it comes.
pub(super) async fn take<G: Gateway>(
    api: &Api<G>,
    actor: &Actor,
    body: Body,
) -> Result<impl Serialize + use<G>, Problem> {
    let _counted = count(api)?;
    let mut file = Coming {
        body,
        buffer: BytesMut::new(),
    };
    let beginning = file.take(STICK_MAGIC.len() + 4).await?;
    let manifest = manifest_bytes(&beginning).map_err(bad)?;
    let manifest = file.take(manifest).await?;
    let mut seal = [0; STICK_SEAL_BYTES];
    seal.copy_from_slice(&file.take(STICK_SEAL_BYTES).await?);
    let announced = file.take(2).await?;
    let certificate = certificate_bytes([announced[0], announced[1]]).map_err(bad)?;
    let head = StickHead {
        manifest,
        seal,
        certificate: file.take(certificate).await?.to_vec(),
    };
    let manifest = api.gateway.open_stick(head).await?;
    let mut parcels = Vec::with_capacity(manifest.parcels.len());
    for carried in &manifest.parcels {
        parcels.push(file.take(carried.bytes as usize).await?);
    }
    for (digest, size) in &manifest.attachments {
        attachment(api, &mut file, *digest, *size).await?;
    }
    if file.more().await? {
        return Err(broken_file("there is something behind its end"));
    }
    let imported = api.gateway.import(actor, manifest, parcels).await?;
    Ok(Answer {
        from: imported.from,
        taken: imported.taken,
        repeated: imported.repeated,
        no_room: imported.no_room,
        attachments: imported.attachments,
        refused: imported
            .refused
            .into_iter()
            .map(|(messageid, reason)| Refused {
                messageid,
                why: reason.as_str(),
            })
            .collect(),
    })
}

/// Takes an attachment of the file as if an application had brought it. One that is not what was announced leaves nothing.
async fn attachment<G: Gateway>(
    api: &Api<G>,
    file: &mut Coming,
    digest: BlobDigest,
    size: u64,
) -> Result<(), Problem> {
    let blobs = api.gateway.blobs()?;
    if blobs.has_room(size).is_err() {
        api.gateway.make_room(size).await;
    }
    blobs.has_room(size).map_err(not_kept)?;
    let mut upload = blocking(move || blobs.upload()).await.map_err(not_kept)?;
    let mut hasher = blake3::Hasher::new();
    let mut left = size;
    while left > 0 {
        let piece = file.take(left.min(BUFFER_BYTES as u64) as usize).await?;
        left -= piece.len() as u64;
        hasher.update(&piece);
        (upload, _) = write(&api.gateway, upload, piece.to_vec()).await?;
    }
    if *hasher.finalize().as_bytes() != digest.0 {
        return Err(broken_file(
            "an attachment in it is not what its maker has sealed",
        ));
    }
    let (digest, size) = blocking(move || upload.finish()).await.map_err(not_kept)?;
    api.gateway.attached(digest, size).await?;
    Ok(())
}

/// A file on its way in.
struct Coming {
    body: Body,
    buffer: BytesMut,
}

impl Coming {
    /// The next bytes of it, just so many.
    async fn take(&mut self, bytes: usize) -> Result<Bytes, Problem> {
        while self.buffer.len() < bytes {
            if !self.fill().await? {
                return Err(broken_file("it is cut off"));
            }
        }
        Ok(self.buffer.split_to(bytes).freeze())
    }

    /// Whether there is more of it.
    async fn more(&mut self) -> Result<bool, Problem> {
        Ok(!self.buffer.is_empty() || self.fill().await?)
    }

    async fn fill(&mut self) -> Result<bool, Problem> {
        loop {
            if self.body.is_end_stream() {
                return Ok(false);
            }
            let frame = timeout(PAUSE_MAX, self.body.frame())
                .await
                .map_err(|_| body::broken("the body stopped coming"))?;
            let Some(frame) = frame else { return Ok(false) };
            let frame = frame.map_err(|_| body::broken("the body broke off"))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.buffer.extend_from_slice(&data);
                return Ok(true);
            }
        }
    }
}

fn bad(error: StickError) -> Problem {
    Refusal::new(Cause::BadFile, error.to_string()).into()
}

fn broken_file(what: &str) -> Problem {
    let detail = format!(
        "the file is damaged: {what}; nothing of it was taken: copy it again, or have it exported again"
    );
    Refusal::new(Cause::BadFile, detail).into()
}

/// Files are in memory but for their attachments: one at a time.
fn count<G>(api: &Api<G>) -> Result<OwnedSemaphorePermit, Problem> {
    let counted = api.sticks.clone().try_acquire_owned();
    counted.map_err(|_| body::busy("another file is being exported or imported"))
}
