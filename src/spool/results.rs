//! What becomes of files that were sent, told beside them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch as signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Terms, blocking,
    claim::Place,
    files::{Access, open_plain, read_within, sync},
    send::places,
    until_left,
};
use crate::{
    api::{Gateway, Heard, MessageView},
    model::{MessageId, State},
};

/// Results that are followed; of more, the newest.
const FOLLOWED_MAX: usize = 10_000;
/// How often results are written anew, at most.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// How many are written at a time.
const WRITTEN_AT_ONCE: usize = 256;
/// How often old ones are removed, and all are looked at.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);
/// Largest result that is read, bytes.
const RESULT_BYTES_MAX: u64 = 1 << 20;
/// What a result has no room for: it is for people, and the history is in the index.
const LEFT_OUT: [&str; 3] = ["timeline", "steps_left_out", "incomplete"];

/// A result that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Of which message.
    pub(super) message: MessageId,
    /// In which folder.
    pub(super) folder: PathBuf,
    /// The result's file.
    pub(super) file: String,
}

/// Writes results anew as messages go on, and removes old ones.
pub(super) async fn run<G: Gateway>(
    gateway: Arc<G>,
    terms: Terms,
    mut told: mpsc::Receiver<Told>,
    mut left: signal::Receiver<bool>,
) {
    let places: Vec<_> = places(&terms).into_iter().map(|(place, _)| place).collect();
    if places.is_empty() {
        return;
    }
    let keep = Duration::from_secs(u64::from(terms.settings.keep_days) * 24 * 3600);
    let mut following = Following {
        access: Access {
            open_to_group: terms.settings.open_to_group,
        },
        followed: BTreeMap::new(),
        order: VecDeque::new(),
        news: BTreeSet::new(),
    };
    let mut happenings = pin!(gateway.listen());
    let mut write = interval(WRITE_EVERY);
    write.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clean_at = Instant::now();
    loop {
        tokio::select! {
            () = until_left(&mut left) => return,
            Some(told) = told.recv() => following.follow(told),
            Some(heard) = happenings.next() => match heard {
                Heard::Happening(happening) => following.look_at(happening.messageid),
                Heard::Lost(_) => following.look_at_all(),
            },
            _ = write.tick() => {
                if clean_at <= Instant::now() {
                    clean_at = Instant::now() + CLEAN_EVERY;
                    for told in clean(places.clone(), keep).await {
                        following.follow(told);
                    }
                }
                following.write(&*gateway).await;
            }
            else => return,
        }
    }
}

/// Removes what is old, and finds what may still change.
async fn clean(places: Vec<Place>, keep: Duration) -> Vec<Told> {
    blocking(move || {
        let mut open = Vec::new();
        for place in places {
            let before = SystemTime::now().checked_sub(keep);
            let cleaned = before.map_or(Ok(()), |before| place.clean(before));
            match cleaned.and_then(|()| place.results()) {
                Ok(results) => open.extend(results.into_iter().filter_map(|file| {
                    let folder = place.sent();
                    let message = still_open(&folder.join(&file))?;
                    Some(Told {
                        message,
                        folder,
                        file,
                    })
                })),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let folder = place.sent();
                    tracing::warn!(folder = %folder.display(), %error, "results cannot be looked at");
                }
            }
        }
        open
    })
    .await
}

/// The message of a result that is not its last one.
fn still_open(path: &std::path::Path) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Result {
        messageid: MessageId,
        state: String,
    }
    let file = open_plain(path).ok()?;
    let text = read_within(&file, RESULT_BYTES_MAX).ok()??;
    let result: Result = serde_json::from_slice(&text).ok()?;
    let state = State::ALL
        .into_iter()
        .find(|s| s.as_str() == result.state)?;
    (!is_last(state)).then_some(result.messageid)
}

/// Whether nothing comes after this state.
fn is_last(state: State) -> bool {
    match state {
        State::Read | State::Refused | State::Expired | State::Dropped => true,
        State::Queued | State::Held | State::Sending | State::Relayed | State::Delivered => false,
    }
}

#[derive(Debug)]
struct Following {
    access: Access,
    followed: BTreeMap<MessageId, Vec<Told>>,
    /// In which order they came.
    order: VecDeque<MessageId>,
    /// To be looked at.
    news: BTreeSet<MessageId>,
}

impl Following {
    fn follow(&mut self, told: Told) {
        let message = told.message;
        self.news.insert(message);
        let results = self.followed.entry(message).or_default();
        if results.is_empty() {
            self.order.push_back(message);
        }
        if !results.contains(&told) {
            results.push(told);
        }
        while self.order.len() > FOLLOWED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, message: &MessageId) {
        self.followed.remove(message);
        self.news.remove(message);
        self.order.retain(|other| other != message);
    }

    fn look_at(&mut self, message: MessageId) {
        if self.followed.contains_key(&message) {
            self.news.insert(message);
        }
    }

    fn look_at_all(&mut self) {
        self.news = self.followed.keys().copied().collect();
    }

    async fn write<G: Gateway>(&mut self, gateway: &G) {
        let some: Vec<_> = self.news.iter().take(WRITTEN_AT_ONCE).copied().collect();
        for message in some {
            let view = match gateway.message(message).await {
                Ok(Some(view)) => view,
                // Its history has gone, and so will its result.
                Ok(None) => {
                    self.forget(&message);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "results wait");
                    return;
                }
            };
            // Of some kinds nobody tells when they are read.
            let is_told = {
                let rule = gateway.intake().kinds.get(&view.kind);
                rule.is_none_or(|rule| rule.read_receipt)
            };
            let last = is_last(view.state) || view.state == State::Delivered && !is_told;
            let results = self.followed.get(&message).cloned().unwrap_or_default();
            let access = self.access;
            let written = blocking(move || {
                results
                    .iter()
                    .try_for_each(|told| rewrite(access, told, &view))
            });
            if let Err(error) = written.await {
                tracing::warn!(%message, %error, "a result cannot be written; it is tried again");
                return;
            }
            self.news.remove(&message);
            if last {
                self.forget(&message);
            }
        }
    }
}

/// Writes a result anew, unless somebody has taken it away.
fn rewrite(access: Access, told: &Told, view: &MessageView) -> std::io::Result<()> {
    let path = told.folder.join(&told.file);
    let before = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        before => before?,
    };
    let mut result = serde_json::Map::new();
    if let Ok(Value::Object(mut before)) = serde_json::from_slice(&before)
        && let Some(file) = before.remove("file")
    {
        result.insert("file".into(), file);
    }
    if let Value::Object(view) = serde_json::to_value(view)? {
        result.extend(view);
    }
    for name in LEFT_OUT {
        result.remove(name);
    }
    let text = format!("{:#}\n", Value::Object(result));
    if text.as_bytes() == before {
        return Ok(());
    }
    access.put(&told.folder, &told.file, text.as_bytes())?;
    sync(&told.folder)
}
