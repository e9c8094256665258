//! From a file that was taken to a message that is accepted, or to a reason why it is not.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{mpsc, watch as signal},
    time::{Instant, sleep},
};

use super::{
    Terms, blocking,
    claim::{Place, Taken},
    files::{Access, open_plain, read_within},
    order::{self, Flaw},
    results::Told,
    until_left,
    watch::{Found, Watch},
};
use crate::{
    api::{Cause, Gateway, Refusal},
    cloudevents::ID_BYTES_MAX,
    config::SpoolFolder,
    language::{Both, fill, noticed},
    model::MessageId,
};

/// How often folders are looked into.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause after something that may pass; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Largest event that is read back, bytes: more than an application may submit.
const EVENT_BYTES_MAX: u64 = 80 << 20;

/// A folder into which files are dropped.
struct Folder {
    place: Place,
    rule: Option<SpoolFolder>,
    watch: Watch,
}

/// Every folder of these settings: the one that is named, and those with a rule in it.
pub(super) fn places(terms: &Terms) -> Vec<(Place, Option<SpoolFolder>)> {
    let Some(incoming) = &terms.settings.incoming else {
        return Vec::new();
    };
    let access = Access {
        open_to_group: terms.settings.open_to_group,
    };
    let rules = terms.settings.folders.iter();
    let rules = rules.map(|rule| (incoming.join(&rule.name), Some(rule.clone())));
    std::iter::once((incoming.clone(), None))
        .chain(rules)
        .map(|(path, rule)| (Place { path, access }, rule))
        .collect()
}

/// Sends what is dropped. Leaves only between two files, so that nobody else works on one at the same time.
pub(super) async fn run<G: Gateway>(
    gateway: Arc<G>,
    terms: Terms,
    told: mpsc::Sender<Told>,
    mut left: signal::Receiver<bool>,
) {
    let folders = places(&terms).into_iter().map(|(place, rule)| Folder {
        watch: Watch::new(&place.path, rule.is_none()),
        place,
        rule,
    });
    let mut sending = Sending {
        gateway,
        terms,
        folders: folders.collect(),
        waiting: VecDeque::new(),
        told,
        is_prepared: false,
    };
    let mut pause = PAUSE_FIRST;
    while !sending.folders.is_empty() && !*left.borrow() {
        let next = match sending.pass(&left).await {
            Ok(()) => {
                sending.terms.sending.tell(None);
                pause = PAUSE_FIRST;
                LOOK_EVERY
            }
            Err(why) => {
                sending.terms.sending.tell(Some(why));
                let now = pause;
                pause = (pause * 2).min(PAUSE_MAX);
                now
            }
        };
        tokio::select! {
            () = sleep(next) => {}
            () = until_left(&mut left) => {}
        }
    }
    sending.terms.sending.tell(None);
}

struct Sending<G> {
    gateway: Arc<G>,
    terms: Terms,
    folders: Vec<Folder>,
    /// What was taken and is not sent, by folder, in order.
    waiting: VecDeque<(usize, Taken)>,
    told: mpsc::Sender<Told>,
    /// The folders are there, and what an earlier process left is in `waiting`.
    is_prepared: bool,
}

impl<G: Gateway> Sending<G> {
    /// Sends what is there. The error is what keeps it from being sent now.
    async fn pass(&mut self, left: &signal::Receiver<bool>) -> Result<(), Both> {
        if !self.is_prepared {
            self.prepare().await?;
        }
        while let Some((folder, taken)) = self.waiting.front().cloned() {
            if *left.borrow() {
                return Ok(());
            }
            self.send(folder, &taken).await?;
            self.waiting.pop_front();
        }
        for (folder, found) in self.look().await? {
            if *left.borrow() {
                return Ok(());
            }
            let place = self.place(folder)?.clone();
            let at = place.path.display().to_string();
            let taken = blocking(move || match place.has_room()? {
                true => place.take(&found).map(Ok),
                false => Ok(Err(noticed(|n| {
                    fill(n.folder_full, &[&place.failed().display()])
                }))),
            });
            let taken = taken.await.map_err(|error| unusable(&at, &error))??;
            if let Some(taken) = taken {
                self.waiting.push_back((folder, taken.clone()));
                self.send(folder, &taken).await?;
                self.waiting.pop_back();
            }
        }
        Ok(())
    }

    async fn prepare(&mut self) -> Result<(), Both> {
        let mut waiting = VecDeque::new();
        for (number, folder) in self.folders.iter().enumerate() {
            let place = folder.place.clone();
            let left = blocking(move || place.prepare().and_then(|()| place.left_over()));
            let left = left.await;
            let left = left.map_err(|error| unusable(&folder.place.path.display(), &error))?;
            waiting.extend(left.into_iter().map(|taken| (number, taken)));
        }
        self.waiting = waiting;
        self.is_prepared = true;
        Ok(())
    }

    /// What lies in all folders and can be taken, the oldest first.
    async fn look(&mut self) -> Result<Vec<(usize, Found)>, Both> {
        let mut watches = Vec::new();
        for folder in &mut self.folders {
            let needs_sidecars = folder.rule.is_none();
            let empty = Watch::new(&folder.place.path, needs_sidecars);
            watches.push(std::mem::replace(&mut folder.watch, empty));
        }
        let now = Instant::now();
        let looked = blocking(move || {
            let looked = watches
                .into_iter()
                .map(|mut watch| (watch.look(now), watch));
            looked.collect::<Vec<_>>()
        });
        let mut all = Vec::new();
        let mut failed = None;
        for (number, (folder, (found, watch))) in
            self.folders.iter_mut().zip(looked.await).enumerate()
        {
            folder.watch = watch;
            match found {
                Ok(found) => all.extend(found.into_iter().map(|found| (number, found))),
                Err(error) => failed = Some(unusable(&folder.place.path.display(), &error)),
            }
        }
        if let Some(failed) = failed {
            // It may have been mounted anew, or made anew by somebody else.
            self.is_prepared = !self.waiting.is_empty();
            return Err(failed);
        }
        all.sort_by(|(_, a), (_, b)| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        Ok(all)
    }

    fn place(&self, folder: usize) -> Result<&Place, Both> {
        let folder = self.folders.get(folder).map(|folder| &folder.place);
        folder.ok_or_else(|| noticed(|n| n.folder_unwatched))
    }

    /// Sends a file, or puts it aside with the reason; the error is why it can be neither now.
    async fn send(&self, folder: usize, taken: &Taken) -> Result<(), Both> {
        let place = self.place(folder)?.clone();
        let rule = self
            .folders
            .get(folder)
            .and_then(|folder| folder.rule.as_ref());
        let name = taken.name.clone();
        let folder = place.path.display();
        let later = |why: String| noticed(|n| fill(n.file_waits, &[&folder, &name, &why]));
        let metrics = self.terms.metrics.local();
        let outcome = match taken.known_failure() {
            Some(why) => Err(Flaw::Bad(why)),
            None => self.submit(&place, rule, taken).await,
        };
        let done = taken.clone();
        match outcome {
            Ok(Submitted { message, id }) => {
                let result = json!({
                    "file": taken.name, "id": id, "messageid": message, "state": "queued",
                });
                let result = format!("{result:#}\n");
                let finishing = place.clone();
                let told = blocking(move || finishing.finish(&done, result.as_bytes())).await;
                let told = told.map_err(|error| later(error.to_string()))?;
                tracing::info!(%message, file = %taken.name, "a file was sent");
                metrics.spool_sent.inc();
                let told = Told {
                    message,
                    folder: place.sent(),
                    file: told,
                };
                // Whoever follows them looks for results from time to time anyway.
                let _ = self.told.try_send(told);
                Ok(())
            }
            Err(Flaw::Bad(why)) => {
                tracing::warn!(file = %taken.name, why, "a file cannot be sent");
                metrics.spool_failed.inc();
                let failing = place.clone();
                let failed = blocking(move || failing.fail(&done, &why)).await;
                failed.map_err(|error| later(error.to_string()))
            }
            Err(Flaw::Later(why)) => Err(later(why)),
        }
    }

    async fn submit(
        &self,
        place: &Place,
        rule: Option<&SpoolFolder>,
        taken: &Taken,
    ) -> Result<Submitted, Flaw> {
        let (kept, access) = (taken.clone(), place.access);
        let before = blocking(move || match open_plain(&kept.event()) {
            Ok(file) => read_within(&file, EVENT_BYTES_MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        if let Some(event) = before.await? {
            let event = Bytes::from(event);
            let submitted = submitted(&*self.gateway, &event)?;
            match self.accept(&event).await {
                Ok(()) => return Ok(submitted),
                // The process may have ended between the answer and the move.
                Err(Refused(flaw, cause)) if cause != Some(Cause::IdConflict) => {
                    if let Ok(Some(_)) = self.gateway.message(submitted.message).await {
                        return Ok(submitted);
                    }
                    // An attachment that nobody had named in time has gone: it is brought again.
                    if cause != Some(Cause::UnknownAttachment) {
                        return Err(flaw);
                    }
                }
                Err(Refused(flaw, _)) => return Err(flaw),
            }
        }
        let event = order::event(&*self.gateway, place, rule, taken).await?;
        // What cannot be an event is not kept as one.
        let submitted = submitted(&*self.gateway, &event)?;
        let (kept, content) = (taken.clone(), event.clone());
        blocking(move || kept.keep_event(access, &content)).await?;
        match self.accept(&event).await {
            Ok(()) => Ok(submitted),
            Err(Refused(flaw, _)) => Err(flaw),
        }
    }

    async fn accept(&self, event: &Bytes) -> Result<(), Refused> {
        let submission = match self.gateway.intake().structured(event) {
            Ok(submission) => submission,
            Err(error) => return Err(Refused(Flaw::Bad(error.to_string()), None)),
        };
        let accepted = self.gateway.submit(vec![submission]).await;
        accepted.map_err(|refusal| Refused(flaw(&refusal), Some(refusal.cause)))
    }
}

/// A message that the node has.
struct Submitted {
    message: MessageId,
    id: String,
}

/// Why the node does not take an event.
struct Refused(Flaw, Option<Cause>);

/// What an event is called.
fn submitted<G: Gateway>(gateway: &G, event: &[u8]) -> Result<Submitted, Flaw> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named = serde_json::from_slice::<Named>(event);
    let Named { id } =
        named.map_err(|error| Flaw::Bad(format!("its id cannot be used: {error}")))?;
    if id.len() > ID_BYTES_MAX {
        return Err(Flaw::Bad(format!("id: has more than {ID_BYTES_MAX} bytes")));
    }
    Ok(Submitted {
        message: MessageId::of(gateway.intake().unit, &id),
        id,
    })
}

/// Whether the same event may be taken at another time.
fn flaw(refusal: &Refusal) -> Flaw {
    let text = match refusal.attribute {
        Some(attribute) => format!("{attribute}: {}", refusal.detail),
        None => refusal.detail.clone(),
    };
    match refusal.cause {
        Cause::InvalidRequest
        | Cause::Policy
        | Cause::UnknownUnit
        | Cause::UnknownMessage
        | Cause::IdConflict
        | Cause::UnknownAttachment
        | Cause::Expires
        | Cause::WrongState
        | Cause::UnknownNeighbour
        | Cause::BadFile
        | Cause::AlreadyImported
        | Cause::NotByHand => Flaw::Bad(text),
        Cause::Draining
        | Cause::Busy
        | Cause::MailboxFull
        | Cause::BoundReached
        | Cause::DiskFull
        | Cause::Recovering
        | Cause::Stopping
        | Cause::StorageFailed
        | Cause::IndexUnavailable
        | Cause::Internal => Flaw::Later(text),
    }
}

fn unusable(folder: &dyn std::fmt::Display, error: &io::Error) -> Both {
    noticed(|n| fill(n.folder_unusable, &[folder, error]))
}
