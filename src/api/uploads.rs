//! Attachments that come in pieces: what a connection brought before it broke stays, and the next call goes on behind it.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex as Held, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Api, Gateway, Problem,
    attachments::{self, BUFFER_BYTES, blocking, not_kept},
    body::{self, PAUSE_MAX},
    request,
};
use crate::{blob::Upload, model::BlobDigest};

/// Uploads that are open, or were brought to their end a while ago. Each takes three file descriptors while it is open.
const UPLOADS_MAX: usize = 32;
/// How long one stays that nobody goes on with.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How long until it makes way for another when there are [`UPLOADS_MAX`]: pages are closed and never say so.
const MAKES_WAY_AFTER: Duration = Duration::from_secs(300);

/// All of them. They are forgotten when the node stops; their files are then removed at its start.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<Name, Arc<Slot>>>);

/// An upload's name, which cannot be guessed: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name(u128);

#[derive(Debug)]
struct Slot {
    name: Name,
    /// The name of its file, and how many bytes it has.
    file: Option<String>,
    size: u64,
    /// Held by whoever brings bytes.
    state: Held<Stage>,
    /// Whoever asks for the upload, or goes on with it, ends the call before: its connection may be broken without that it shows.
    turns: watch::Sender<u64>,
    used: Mutex<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// Bytes are missing.
    Open(Box<Upload>),
    /// All of it is on stable storage.
    Whole(BlobDigest),
    /// It came to nothing.
    Lost,
}

/// How far an upload is.
#[derive(Serialize)]
struct View<'a> {
    upload: String,
    /// Where to go on.
    offset: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<BlobDigest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    size: u64,
    name: Option<String>,
}

/// Where a piece belongs.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    offset: Option<String>,
}

/// `POST /v1/uploads`: an attachment of `size` bytes is to come.
pub(super) async fn begin<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    body: Body,
) -> Result<Response, Problem> {
    let Wanted { size, name: file } = request::json(&api.bodies, body).await?;
    if let Some(file) = &file {
        attachments::check_name(file)?;
    }
    let blobs = api.gateway.blobs()?;
    attachments::make_room(&api, &blobs, size).await?;
    let upload = blocking(move || blobs.upload()).await.map_err(not_kept)?;
    let slot = api.uploads.add(size, file, upload)?;
    let answer = request::answer(slot.view(0, None));
    Ok((StatusCode::CREATED, answer).into_response())
}

/// `GET /v1/uploads/{upload}`: how far it is.
pub(super) async fn show<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
) -> Result<Response, Problem> {
    let slot = api.uploads.named(path)?;
    let _ = slot.turn();
    let stage = slot.state.lock().await;
    let (offset, digest) = slot.at(&stage)?;
    Ok(request::answer(slot.view(offset, digest)))
}

/// `PUT /v1/uploads/{upload}?offset=`: the bytes from there on, or some of them.
pub(super) async fn go_on<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    path: request::NamedInPath,
    query: Result<Query<Place>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let offset = request::parameters(query)?.offset;
    let offset = offset.and_then(|text| text.parse().ok());
    let offset: u64 = offset.ok_or_else(|| {
        Problem::invalid("offset", "write the number of bytes that are here already")
    })?;
    let slot = api.uploads.named(path)?;
    let counted = attachments::count(&api)?;
    // A call that is given up must not take along what it brought.
    let brought = tokio::spawn(async move {
        let _counted = counted;
        let brought = bring(&api, &slot, offset, request.into_body()).await;
        if brought.is_err() && matches!(*slot.state.lock().await, Stage::Lost) {
            api.uploads.lock().remove(&slot.name);
        }
        brought
    });
    match brought.await {
        Ok(brought) => brought,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

async fn bring<G: Gateway>(
    api: &Api<G>,
    slot: &Slot,
    offset: u64,
    mut body: Body,
) -> Result<Response, Problem> {
    let mut turn = slot.turn();
    let mut stage = slot.state.lock().await;
    let (here, digest) = slot.at(&stage)?;
    if here != offset {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "upload-offset",
            "the upload goes on elsewhere",
            format!("{here} bytes are here; go on with ?offset={here}"),
        )
        .about("offset")
        .bounded("offset", here));
    }
    if let Some(digest) = digest {
        return Ok(slot.whole(digest));
    }
    let Stage::Open(open) = std::mem::replace(&mut *stage, Stage::Lost) else {
        unreachable!("one that is neither whole nor lost is open");
    };
    let mut upload = *open;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut ended = Ok(());
    loop {
        let frame = tokio::select! {
            frame = timeout(PAUSE_MAX, body.frame()) => frame,
            _ = turn.changed() => {
                ended = Err(body::broken("another call goes on with the upload"));
                break;
            }
        };
        let data = match frame {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(None) => break,
            Ok(Some(Err(_))) => {
                ended = Err(body::broken("the body broke off"));
                break;
            }
            Err(_) => {
                ended = Err(body::broken("the body stopped coming"));
                break;
            }
        };
        let came = upload.size() + (buffer.len() + data.len()) as u64;
        if came > slot.size {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "upload-size",
                "more came than was announced",
                format!(
                    "{} bytes were announced, and {came} came; begin anew",
                    slot.size
                ),
            )
            .bounded("size", slot.size));
        }
        buffer.extend_from_slice(&data);
        if buffer.len() >= BUFFER_BYTES {
            (upload, buffer) = attachments::write(&api.gateway, upload, buffer).await?;
            slot.touch();
        }
    }
    (upload, _) = attachments::write(&api.gateway, upload, buffer).await?;
    slot.touch();
    if upload.size() < slot.size {
        let here = upload.size();
        *stage = Stage::Open(Box::new(upload));
        return ended.map(|()| request::answer(slot.view(here, None)));
    }
    let (digest, size) = blocking(move || upload.finish()).await.map_err(not_kept)?;
    api.gateway.attached(digest, size).await?;
    *stage = Stage::Whole(digest);
    Ok(slot.whole(digest))
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        self: &Arc<Self>,
        size: u64,
        file: Option<String>,
        upload: Upload,
    ) -> Result<Arc<Slot>, Problem> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| body::busy("the random source failed"))?;
        let name = Name(u128::from_be_bytes(random));
        let slot = Arc::new(Slot {
            name,
            file,
            size,
            state: Held::new(Stage::Open(Box::new(upload))),
            turns: watch::Sender::new(0),
            used: Mutex::new(Instant::now()),
        });
        let mut all = self.lock();
        if all.len() >= UPLOADS_MAX {
            // One that is whole is kept only for whoever has not heard so.
            let given_up = all
                .values()
                .filter(|slot| slot.is_done() || slot.used().elapsed() >= MAKES_WAY_AFTER)
                .min_by_key(|slot| slot.used())
                .map(|slot| slot.name);
            let Some(given_up) = given_up else {
                let problem = body::busy("too many attachments are on their way in");
                return Err(problem.bounded("uploads", UPLOADS_MAX as u64));
            };
            all.remove(&given_up);
        }
        all.insert(name, slot.clone());
        tokio::spawn(forget(Arc::downgrade(self), Arc::downgrade(&slot)));
        Ok(slot)
    }

    fn named(&self, path: request::NamedInPath) -> Result<Arc<Slot>, Problem> {
        let name = path.ok().and_then(|path| path.parse::<Name>().ok());
        let slot = name.and_then(|name| self.lock().get(&name).cloned());
        slot.ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-upload",
                "no such upload is open",
                "it was never begun, nobody went on with it for an hour, or the node was restarted; begin anew",
            )
            .about("upload")
        })
    }
}

/// Forgets an upload that nobody goes on with, and what came of it.
async fn forget(all: Weak<Uploads>, slot: Weak<Slot>) {
    loop {
        let Some(until) = slot.upgrade().map(|slot| slot.used() + KEPT_FOR) else {
            return;
        };
        if until > Instant::now() {
            sleep_until(until).await;
            continue;
        }
        if let (Some(all), Some(slot)) = (all.upgrade(), slot.upgrade()) {
            all.lock().remove(&slot.name);
        }
        return;
    }
}

impl Slot {
    /// Ends the call before, and gives what tells when another ends this one.
    fn turn(&self) -> watch::Receiver<u64> {
        self.touch();
        self.turns.send_modify(|turn| *turn += 1);
        self.turns.subscribe()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_done(&self) -> bool {
        let stage = self.state.try_lock();
        stage.is_ok_and(|stage| !matches!(*stage, Stage::Open(_)))
    }

    /// How many bytes are here, and under which digest when that is all.
    fn at(&self, stage: &Stage) -> Result<(u64, Option<BlobDigest>), Problem> {
        match stage {
            Stage::Open(upload) => Ok((upload.size(), None)),
            Stage::Whole(digest) => Ok((self.size, Some(*digest))),
            Stage::Lost => Err(body::broken("the upload came to nothing; begin anew")),
        }
    }

    fn view(&self, offset: u64, digest: Option<BlobDigest>) -> View<'_> {
        View {
            upload: self.name.to_string(),
            offset,
            size: self.size,
            name: self.file.as_deref(),
            digest,
        }
    }

    fn whole(&self, digest: BlobDigest) -> Response {
        let answer = request::answer(self.view(self.size, Some(digest)));
        (StatusCode::CREATED, answer).into_response()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or(())
    }
}
