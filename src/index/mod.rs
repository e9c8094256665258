//! The index for people: search, the circulation of a case, and the history of what has left the queues.
//!
//! It is derived: a thread of its own follows what happens to messages by their records' numbers, and nothing that is promised
//! waits for it. Events come in over a bounded [`Feed`] once their records are durable, so that the index never knows more than the
//! journal. It is on disk before a checkpoint of the journal is made ([`Index::flush_through`]); after a crash the records after its
//! position are replayed to it.
//!
//! A base that does not open or is of another version is set aside and begun anew. Whatever it lacks
//! then, or because it came too far behind, is filled from the messages that the node still has ([`Source::live`]), and that it may
//! lack more is told with every answer ([`Gap`]).
//!
//! When the journal was damaged, or ends before the base does, the base is what still knows which messages were in the records that are
//! lost ([`lost`]): they are told ([`Source::lost`], [`Health::lost`]), and their entries say that they were damaged.

mod anew;
mod base;
mod draft;
mod entry;
mod feed;
mod follow;
mod keys;
mod lost;
mod names;
mod news;
mod pages;
mod samples;
mod search;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

pub use base::Gap;
pub use entry::{Entry, Line, Receiver, What};
pub use feed::{Feed, Health};
pub use lost::Lost;
pub use news::{Happening, Listener};
pub use samples::{Grain, Sample};
pub use search::{Cursor, Found, Search};

use self::{base::Base, feed::Shared, follow::Follower};
use crate::{
    delivery::ParcelView,
    model::{Digest, Location, Lsn, MessageId, Millis, ReceiptItem, UnitId},
    parcel::Header,
};

/// The folder of the base, in the data folder.
const INDEX_FOLDER: &str = "index";
/// How long a question waits until the index has caught up with what was durable when it was asked.
const CATCH_UP_WITHIN: Duration = Duration::from_millis(1500);

/// What an index is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder: the index is the folder `index` in it.
    pub data_dir: PathBuf,
    /// The node's own unit.
    pub unit: UnitId,
}

/// What the index keeps.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a message is known after its acceptance, days.
    pub retention_days: u32,
    /// How many messages are known; the oldest go first.
    pub messages_max: u32,
}

/// Where the journal was when the node started.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The checkpoint that was used stands for the records up to this one; 0 without one.
    pub checkpoint: Lsn,
    /// The last record.
    pub last: Lsn,
    /// Events that were replayed: the first in the feed.
    pub replayed: usize,
    /// The messages that the node still had when it started, if its journal was damaged.
    pub survivors: Option<HashSet<MessageId>>,
}

/// What the index asks of the node. Called on the index's own thread.
pub trait Source: Send + 'static {
    /// A parcel's header; none when it cannot be read any more.
    fn header(&self, at: Location) -> Option<Header>;

    /// A parcel's digest and size in bytes; none when it cannot be read any more.
    fn parcel(&self, at: Location) -> Option<(Digest, u32)>;

    /// A receipt's signer and lines; none when it cannot be read any more.
    fn receipt(&self, at: Location) -> Option<(UnitId, Vec<ReceiptItem>)>;

    /// Messages that the node still has, a page at a time, and the cursor of the next page; none when the node has ended.
    fn live(&self, after: Option<u32>) -> Option<(Vec<ParcelView>, Option<u32>)>;

    /// These messages were in records of the journal that are lost, and had not ended here.
    fn lost(&self, messages: &[Entry]);

    /// The time, milliseconds since the Unix epoch.
    fn now(&self) -> Millis;

    /// What is kept, by the settings that are in force.
    fn bounds(&self) -> Bounds;
}

/// The index cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It is being opened or rebuilt.
    #[error("the index is being opened; ask again in a moment")]
    Opening,
    /// It has failed, and stays so until the node is restarted.
    #[error("the index has failed: {0}; messages pass as ever, and a restart rebuilds it")]
    Failed(String),
}

/// The index as those who ask it have it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Index {
    shared: Arc<Shared>,
}

/// The index's thread.
#[derive(Debug)]
pub struct IndexThread {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Index {
    /// An index that is not followed yet, and the feed for it.
    pub fn new() -> (Self, Feed) {
        let shared = Arc::new(Shared::new());
        let index = Self {
            shared: shared.clone(),
        };
        (index, Feed::new(shared))
    }

    /// Starts the thread that opens the base and follows. What is in the feed by now was replayed.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        &self,
        settings: Settings,
        recovered: Recovered,
        source: impl Source,
    ) -> std::io::Result<IndexThread> {
        let follower = Follower::new(self.shared.clone(), settings, recovered, Box::new(source));
        let thread = thread::Builder::new()
            .name("index".into())
            .spawn(move || follower.run())?;
        Ok(IndexThread {
            shared: self.shared.clone(),
            thread,
        })
    }

    /// Waits, no longer than `within`, until everything up to `lsn` that the index was told is on stable storage in it. Whoever waits
    /// goes on in any case: an index that did not come so far will find out and say what it lacks.
    pub fn flush_through(&self, lsn: Lsn, within: Duration) {
        self.shared.flush_through(lsn, within);
    }

    /// Events that it has not taken yet.
    pub fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// Everything that happens to messages from now on.
    pub fn listen(&self) -> Listener {
        self.shared.news.listen()
    }

    /// How it is.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// What it lacks.
    ///
    /// # Errors
    /// It cannot answer now.
    pub async fn gaps(&self) -> Result<Vec<Gap>, Unavailable> {
        self.ask(Base::gaps).await
    }

    /// A message.
    ///
    /// # Errors
    /// It cannot answer now.
    pub async fn message(&self, message: MessageId) -> Result<Option<Entry>, Unavailable> {
        self.ask(move |base| Ok(base.message(&message)?.map(|(_, entry)| entry)))
            .await
    }

    /// A page of the messages that fit.
    ///
    /// # Errors
    /// It cannot answer now.
    pub async fn search(&self, search: Search) -> Result<Found, Unavailable> {
        self.ask(move |base| search.run(base)).await
    }

    /// Keeps samples for charts. What cannot be kept now is lost; nothing else is.
    ///
    /// # Errors
    /// Some of them are not kept.
    pub async fn keep_samples(&self, samples: Vec<(Grain, Sample)>) -> Result<(), Unavailable> {
        self.with_base(move |base| base.keep_samples(&samples))
            .await
    }

    /// The samples that are kept, in order.
    ///
    /// # Errors
    /// It cannot answer now.
    pub async fn samples(&self, grain: Grain, now: Millis) -> Result<Vec<Sample>, Unavailable> {
        self.with_base(move |base| base.samples(grain, now)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Base) -> Result<T, base::BaseError> + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.shared.caught_up(CATCH_UP_WITHIN).await;
        self.with_base(question).await
    }

    async fn with_base<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Base) -> Result<T, base::BaseError> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let base = self.shared.base()?;
        let done = tokio::task::spawn_blocking(move || base::guarded(|| work(&base)));
        let (why, is_damage) = match done.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => (failure.why, failure.is_damage),
            Err(error) => (error.to_string(), true),
        };
        tracing::error!(why, "the index does not do what it should");
        // What the system refuses for now, such as room, is no reason to begin anew.
        if is_damage {
            self.shared.suspect(&why);
        }
        Err(Unavailable::Opening)
    }
}

impl IndexThread {
    /// Takes in what the feed still holds, writes everything to disk and ends.
    pub fn stop(self) {
        self.shared.stop();
        if self.thread.join().is_err() {
            tracing::error!("the index's thread broke down");
        }
    }
}
