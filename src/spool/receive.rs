//! What comes for this unit, written to a folder.
//!
//! A message is `MESSAGEID.json`, the event as it came. Its data, when that is no JSON, is `MESSAGEID.EXTENSION` too, and its attachments are
//! `MESSAGEID.1.NAME` and so on: all of them are there before the event is. When everything is on stable storage the message is acked. Should the
//! process end in between, it comes again, under the same names.
//!
//! While the folder takes nothing, nothing is taken from the inbox. A message that cannot be written for a reason of its own waits until its
//! lease ends; the inbox hands out one message of a case at a time, so that the others may go on.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch as signal,
    time::{Instant, sleep},
};

use super::{
    Terms, blocking,
    files::{Access, sync},
    until_left,
};
use crate::{
    api::{Gateway, Handed, InboxAsk, Refusal},
    blob::{Blobs, ReadError},
    cloudevents::{self, FILE_NAMES, extension, is_json, plain_name, read_names},
    language::{Both, fill, noticed},
    model::{BlobDigest, CHUNK_BYTES, MessageId},
    parcel::{BodyForm, Header},
};

/// Most messages that are leased at a time: they are written well within a lease.
const PULL_MAX: u32 = 16;
/// Bodies that are leased at a time, bytes.
const BODIES_BYTES_MAX: u64 = 16 << 20;
/// How long the inbox is waited on at a time.
const PULL_WAIT: Duration = Duration::from_secs(30);
/// The pause after something that may pass; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Writes what comes. Leaves only between two messages, so that nobody else writes the same one at the same time.
pub(super) async fn run<G: Gateway>(
    gateway: Arc<G>,
    terms: Terms,
    mut left: signal::Receiver<bool>,
) {
    let Some(out) = terms.settings.out.clone() else {
        return;
    };
    let mut receiving = Receiving {
        out: Arc::new(Out {
            folder: out,
            access: Access {
                open_to_group: terms.settings.open_to_group,
            },
            messages_max: terms.settings.out_messages as usize,
        }),
        gateway,
        terms,
        waiting: None,
    };
    let mut pause = PAUSE_FIRST;
    while !*left.borrow() {
        match receiving.pass(&mut left).await {
            Ok(()) => {
                receiving.terms.receiving.tell(receiving.trouble());
                pause = PAUSE_FIRST;
            }
            Err(why) => {
                receiving.terms.receiving.tell(Some(why));
                tokio::select! {
                    () = sleep(pause) => {}
                    () = until_left(&mut left) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
    receiving.terms.receiving.tell(None);
}

struct Receiving<G> {
    gateway: Arc<G>,
    terms: Terms,
    out: Arc<Out>,
    /// Why a message waits that could not be written, and until when. Of several the last.
    waiting: Option<(Both, Instant)>,
}

/// A message was not written.
enum Unwritten {
    /// Whatever comes next would not be either.
    All(Both),
    /// This one alone.
    Alone(Both),
}

impl<G: Gateway> Receiving<G> {
    /// Takes what there is, or waits for it. The error is what keeps it from being written now.
    async fn pass(&mut self, left: &mut signal::Receiver<bool>) -> Result<(), Both> {
        let out = self.out.clone();
        let room = blocking(move || out.room()).await;
        let room = room.map_err(|error| self.out.unusable(&error))?;
        if room == 0 {
            let folder = self.out.folder.display();
            return Err(noticed(|n| {
                fill(n.out_full, &[&folder, &self.out.messages_max])
            }));
        }
        let ask = InboxAsk {
            max: PULL_MAX.min(u32::try_from(room).unwrap_or(PULL_MAX)),
            bytes_max: BODIES_BYTES_MAX,
            wait: PULL_WAIT,
        };
        let handed = tokio::select! {
            biased;
            () = until_left(left) => return Ok(()),
            handed = self.gateway.inbox(ask) => handed,
        };
        let handed =
            handed.map_err(|refusal| noticed(|n| fill(n.inbox_silent, &[&refusal.detail])))?;
        let lease = Duration::from_secs(self.gateway.intake().limits.inbox_lease_s.into());
        let leased_until = Instant::now() + lease;
        let all: Vec<_> = handed.iter().map(|h| h.header.message_id()).collect();
        for (done, handed) in handed.into_iter().enumerate() {
            let leaving = *left.borrow();
            let ended = match leaving {
                true => Ok(()),
                false => match self.take(handed).await {
                    Ok(()) => continue,
                    Err(Unwritten::Alone(why)) => {
                        self.waiting = Some((why, leased_until));
                        continue;
                    }
                    Err(Unwritten::All(why)) => Err(why),
                },
            };
            let rest = all.get(done..).unwrap_or_default().to_vec();
            // Otherwise their leases end by themselves.
            let _ = self.gateway.inbox_release(rest).await;
            return ended;
        }
        Ok(())
    }

    fn trouble(&self) -> Option<Both> {
        let waiting = self.waiting.as_ref();
        let waiting = waiting.filter(|(_, until)| Instant::now() < *until);
        waiting.map(|(why, _)| why.clone())
    }

    /// Writes one message and acks it.
    async fn take(&self, handed: Handed) -> Result<(), Unwritten> {
        let message = handed.header.message_id();
        let blobs = match handed.header.attachments.is_empty() {
            true => None,
            false => {
                let blobs = self.gateway.blobs();
                let silent = |refusal: Refusal| Unwritten::All(Both::as_told(refusal.detail));
                Some(blobs.map_err(silent)?)
            }
        };
        let out = self.out.clone();
        let written = blocking(move || out.write(&handed, blobs.as_ref())).await;
        if let Err(fault) = written {
            if let Fault::Folder(error) = fault {
                return Err(Unwritten::All(self.out.unusable(&error)));
            }
            let why = noticed(|n| fill(n.message_unwritten, &[&message, &fault]));
            tracing::warn!(%message, why = %fault, "a message cannot be written to a folder");
            if let Fault::Damaged(digest) = fault {
                self.gateway.attachment_damaged(digest).await;
            }
            return Err(Unwritten::Alone(why));
        }
        let acked = self.gateway.inbox_ack(vec![message]).await;
        acked.map_err(|refusal| {
            let why = noticed(|n| fill(n.message_not_acked, &[&message, &refusal.detail]));
            Unwritten::All(why)
        })?;
        tracing::info!(%message, "a message was written to a folder");
        self.terms.metrics.local().spool_received.inc();
        Ok(())
    }
}

/// A message cannot be written.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Folder(#[from] io::Error),
    #[error("its attachment {0} is damaged on this disk")]
    Damaged(BlobDigest),
    #[error("an attachment cannot be read: {0}")]
    Attachment(ReadError),
    #[error("it makes no event: {0}")]
    Event(#[from] cloudevents::EventError),
}

/// The folder.
struct Out {
    folder: PathBuf,
    access: Access,
    messages_max: usize,
}

impl Out {
    fn unusable(&self, error: &io::Error) -> Both {
        noticed(|n| fill(n.out_unusable, &[&self.folder.display(), error]))
    }

    /// Makes the folder when it is not there, and tells how many more messages may lie in it.
    fn room(&self) -> io::Result<usize> {
        self.access.make_folder(&self.folder)?;
        let mut there = 0;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str());
            let is_event = Path::new(&name)
                .extension()
                .is_some_and(|end| end == "json");
            let is_message = stem.is_some_and(|stem| stem.parse::<MessageId>().is_ok());
            there += usize::from(is_event && is_message);
            if there >= self.messages_max {
                break;
            }
        }
        Ok(self.messages_max.saturating_sub(there))
    }

    fn write(&self, handed: &Handed, blobs: Option<&Blobs>) -> Result<(), Fault> {
        let Handed {
            header,
            body,
            received,
        } = handed;
        let message = header.message_id();
        let mut event = Vec::new();
        cloudevents::write_event(header, body, *received, &mut event)?;
        event.push(b'\n');
        if let Some((extension, data)) = data(header, body) {
            let name = format!("{message}.{extension}");
            self.access.put(&self.folder, &name, &data)?;
        }
        let mut names = read_names(header.text(FILE_NAMES).unwrap_or_default());
        for (number, digest) in (1..).zip(&header.attachments) {
            let plain = plain_name(names.next().flatten().as_deref());
            let name = format!("{message}.{number}.{plain}");
            if let Some(blobs) = blobs {
                self.write_attachment(blobs, &BlobDigest(*digest), &name)?;
            }
        }
        // With the event everything is there, also after a power cut.
        sync(&self.folder)?;
        self.access
            .put(&self.folder, &format!("{message}.json"), &event)?;
        sync(&self.folder)?;
        Ok(())
    }

    fn write_attachment(
        &self,
        blobs: &Blobs,
        digest: &BlobDigest,
        name: &str,
    ) -> Result<(), Fault> {
        let unreadable = |error: ReadError| match error.is_lasting() {
            true => Fault::Damaged(*digest),
            false => Fault::Attachment(error),
        };
        let reader = blobs
            .reader(digest)
            .map_err(|error| unreadable(error.into()))?;
        let (mut file, unfinished) = self.access.begin(&self.folder, name)?;
        let mut chunk = Vec::new();
        for number in 0..reader.size().div_ceil(CHUNK_BYTES) {
            reader.chunk(number, &mut chunk).map_err(unreadable)?;
            file.write_all(&chunk)?;
        }
        file.sync_all()?;
        fs::rename(unfinished, self.folder.join(name))?;
        Ok(())
    }
}

/// Data that is not JSON, and the extension of its file.
fn data(header: &Header, body: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let media_type = header.text("datacontenttype");
    let data = match header.form {
        BodyForm::None => return None,
        BodyForm::Binary => body.to_vec(),
        // A text is a JSON string in the event, and itself in its file.
        BodyForm::Json if media_type.is_some_and(|given| !is_json(given)) => {
            serde_json::from_slice::<String>(body).ok()?.into_bytes()
        }
        BodyForm::Json => return None,
    };
    Some((extension(media_type), data))
}
