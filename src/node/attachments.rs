//! The attachments of a node: opened with it, kept within bounds, removed when nobody needs them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::oneshot, time::sleep};

use super::{
    command::Command,
    handle::refusal,
    keeper::{self, News},
    shared::Shared,
    start::StartError,
    workers::Urgency,
};
use crate::{
    api::{AttachmentsView, Cause, Refusal, TransferView},
    blob::{Blobs, Bounds},
    config,
    delivery::{BlobOnItsWay, Input},
    model::{BlobDigest, Limits},
};

/// The folder of the attachments in the data folder.
pub(super) const ATTACHMENTS_FOLDER: &str = "blobs";
/// Attachments on their way that one look shows.
const SHOWN_MAX: usize = 100;
/// How long what an application has brought makes no room for anything else, though no message names it yet.
const NAMED_WITHIN: Duration = Duration::from_secs(3600);
/// How often what has been kept long enough is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(600);

pub(super) fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        attachment_mib: limits.attachment_mib,
        attachments_mib: limits.attachments_mib,
    }
}

/// Opens them, tells what did not fit together, and what there is.
pub(super) fn open(settings: &config::Settings) -> Result<(Blobs, Vec<News>), StartError> {
    let folder = settings.data_dir.join(ATTACHMENTS_FOLDER);
    let opened = Blobs::open(&folder, bounds(&settings.limits));
    let (blobs, found) = opened.map_err(|error| StartError::Attachments {
        path: folder,
        error,
    })?;
    for aside in &found.set_aside {
        tracing::error!(
            attachment = %aside.digest,
            path = %aside.path.display(),
            why = aside.why,
            "an attachment is damaged and was set aside"
        );
    }
    let found = keeper::found(&blobs, found);
    Ok((blobs, found))
}

/// What people are told of them.
pub(super) fn view(shared: &Shared, on_their_way: Vec<BlobOnItsWay>) -> AttachmentsView {
    let now = Instant::now();
    let transfer = |way: BlobOnItsWay| {
        let BlobOnItsWay {
            digest,
            neighbour,
            leaves,
            size,
            bytes,
        } = way;
        let rate_bps = shared
            .keeper
            .paces
            .rate_bps(digest, &neighbour, leaves, now);
        let left = size.map(|size| size.saturating_sub(bytes));
        let seconds_left = left
            .zip(rate_bps)
            .and_then(|(left, rate)| left.saturating_mul(8).checked_div(rate));
        TransferView {
            digest,
            neighbour,
            way: if leaves { "out" } else { "in" },
            size,
            bytes,
            rate_bps,
            seconds_left,
        }
    };
    AttachmentsView {
        whole: shared.blobs.whole() as u64,
        bytes: shared.blobs.bytes_used(),
        bytes_max: u64::from(shared.live().settings.limits.attachments_mib) << 20,
        under_way: on_their_way
            .into_iter()
            .take(SHOWN_MAX)
            .map(transfer)
            .collect(),
    }
}

/// Removes what has been kept long enough, for as long as the node runs, and more of it when something that came finds no room.
pub(super) fn keep_house(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            let Some(node) = shared.upgrade() else { return };
            let keeper = node.keeper.clone();
            let limits = node.live().settings.limits;
            let kept = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
            let keep = kept(limits.attachment_keep_hours);
            let unclaimed = kept(limits.attachment_unclaimed_hours);
            let now = SystemTime::now();
            let mut old = idle(&node).await;
            old.retain(|idle| {
                // What had been named before a restart looks as what never was.
                let most = if idle.was_needed {
                    keep
                } else {
                    keep.max(unclaimed)
                };
                now.duration_since(idle.since).is_ok_and(|age| age >= most)
            });
            let old = old.into_iter().map(|idle| idle.digest).collect();
            if sweep(&node, old).await.is_none() {
                return;
            }
            let lacking = keeper.take_lacking();
            if lacking > 0 {
                make_room(&node, lacking).await;
            }
            drop(node);
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = keeper.no_room.notified() => {}
            }
        }
    });
}

/// An attachment that may not be needed.
struct Idle {
    digest: BlobDigest,
    since: SystemTime,
    was_needed: bool,
}

/// What may not be needed, the oldest first: all that is whole, and what else had been needed once.
async fn idle(shared: &Arc<Shared>) -> Vec<Idle> {
    let blobs = shared.blobs.clone();
    let listed = shared
        .workers
        .run(Urgency::Bulk, move || blobs.whole_since())
        .await;
    let whole = match listed {
        Ok(Ok(whole)) => whole,
        Ok(Err(error)) => {
            tracing::error!(%error, "the attachments' folder cannot be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    let mut all: HashMap<BlobDigest, Idle> = HashMap::new();
    for (digest, _, since) in whole {
        let idle = Idle {
            digest,
            since,
            was_needed: false,
        };
        all.insert(digest, idle);
    }
    for (digest, since) in shared.keeper.freed_since().iter() {
        let idle = Idle {
            digest: *digest,
            since: *since,
            was_needed: true,
        };
        // An application may have brought it again since.
        match all.get(digest) {
            Some(whole) if whole.since > *since => {}
            _ => {
                all.insert(*digest, idle);
            }
        }
    }
    let mut all: Vec<Idle> = all.into_values().collect();
    all.sort_by_key(|idle| (idle.since, idle.digest));
    all
}

/// Removes those of them that nothing needs; none when the node stops.
async fn sweep(shared: &Arc<Shared>, digests: Vec<BlobDigest>) -> Option<()> {
    if digests.is_empty() {
        return Some(());
    }
    let (reply, answer) = oneshot::channel();
    let command = Command::Sweep {
        digests: digests.clone(),
        reply,
    };
    shared.command(command).await.ok()?;
    for digest in &digests {
        shared.keeper.freed_since().remove(digest);
    }
    for forgotten in answer.await.ok()? {
        let blobs = shared.blobs.clone();
        let cleaned = shared
            .workers
            .run(Urgency::Bulk, move || blobs.clean(forgotten))
            .await;
        if let Ok(Err(error)) = cleaned {
            tracing::error!(%error, "an attachment's files cannot be removed");
        }
    }
    Some(())
}

/// Removes what nobody needs any more, the oldest first, until an attachment of `size` bytes finds room. What was brought within
/// [`NAMED_WITHIN`] and is not named yet has its time.
pub(super) async fn make_room(shared: &Arc<Shared>, size: u64) {
    if shared.blobs.has_room(size).is_ok() {
        return;
    }
    let now = SystemTime::now();
    let mut idle = idle(shared).await;
    // What was brought a short while ago may be named at any moment.
    idle.retain(|idle| {
        idle.was_needed
            || now
                .duration_since(idle.since)
                .is_ok_and(|age| age >= NAMED_WITHIN)
    });
    for idle in idle {
        // Whoever wants the room may go away meanwhile, and what was forgotten must be removed all the same.
        let (shared_too, digest) = (shared.clone(), idle.digest);
        let swept = tokio::spawn(async move { sweep(&shared_too, vec![digest]).await }).await;
        if !matches!(swept, Ok(Some(()))) || shared.blobs.has_room(size).is_ok() {
            return;
        }
    }
}

/// An application has brought an attachment. Messages that are submitted from now on may name it.
pub(super) async fn attached(shared: &Arc<Shared>, digest: BlobDigest) -> Result<(), Refusal> {
    let (reply, answer) = oneshot::channel();
    let told = shared.command(Command::Attached { digest, reply }).await;
    told.map_err(refusal)?;
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::new(
            Cause::Busy,
            "the same attachment was being removed in this very moment; bring it again",
        )),
        Err(_) => Err(refusal(shared.unavailable())),
    }
}

/// A chunk is damaged on the disk.
pub(super) async fn damaged(shared: &Arc<Shared>, digest: BlobDigest) {
    let keeper = shared.keeper.clone();
    let told = shared.workers.run(Urgency::Bulk, move || {
        let mut news = Vec::new();
        keeper.tell_damaged(digest, &mut news);
        news
    });
    for (digest, news) in told.await.unwrap_or_default() {
        // A node that stops finds out again.
        let _ = shared
            .command(Command::Tell(Input::Blob { digest, news }))
            .await;
    }
}
