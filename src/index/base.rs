//! The sled database: opening, changing, keeping within bounds.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use bincode::{Decode, Encode};

use super::{
    entry::Entry,
    keys::{self, Key, Stem},
    names::{Change, Recent},
    pages::{ENTRIES, NAMES},
};
use crate::{
    codec::{self, CodecError},
    model::{Digest, Lsn, MessageId, Millis},
};

/// The version of what is stored; another one is set aside.
const VERSION: u32 = 2;
/// What sled may keep in memory of pages, bytes. Below, it reads what it just wrote.
const CACHE_BYTES: u64 = 1024 * 1024;
/// sled's segments, bytes: it holds several in memory.
const SEGMENT_BYTES: usize = 256 * 1024;
/// Largest entry that is read, bytes.
const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a base that is still locked is waited for, and how often it is tried.
const LOCK_WITHIN: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(10);
/// Most gaps that are told; of more, the first and the last ones are.
const GAPS_MAX: usize = 8;
/// Folders that were set aside and are kept for whoever wants to look; older ones are removed.
const ASIDE_MAX: u32 = 3;

/// The base of one index. Cheap to clone.
#[derive(Clone)]
pub(super) struct Base {
    db: sled::Db,
    folder: PathBuf,
    /// Names that came or went and are in no page yet.
    recent: Arc<RwLock<Recent>>,
}

/// A base does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum BaseError {
    #[error("{0}")]
    Sled(#[from] sled::Error),
    #[error("an entry {0}")]
    Codec(#[from] CodecError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is of version {0}, and this program writes version {VERSION}")]
    Version(u32),
    #[error("it is damaged, and sled found nothing in it any more")]
    Emptied,
    #[error("a page of it does not read")]
    Page,
    #[error("the node ended before it was known what was lost with the journal's end")]
    Stopped,
    #[error("a reader found it damaged: {0}")]
    Suspect(String),
}

/// Something that the index may not know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Gap {
    /// When it was noticed, milliseconds since the Unix epoch.
    pub at: Millis,
    /// What may be missing, and why.
    pub why: String,
}

/// Where the index is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Position {
    /// All events of the records up to this one are in it.
    pub(super) lsn: Lsn,
    /// Entries.
    pub(super) messages: u64,
    /// Whether messages that the node still has may be missing.
    pub(super) is_unfilled: bool,
    pub(super) gaps: Vec<Gap>,
}

impl Position {
    pub(super) fn note_gap(&mut self, at: Millis, why: String) {
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.remove(1);
        }
        self.gaps.push(Gap { at, why });
    }
}

/// A call of sled failed.
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether what is stored is of no use. Otherwise the system refused something for now.
    pub(super) is_damage: bool,
}

/// Calls sled, which panics on some damaged files.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, BaseError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(|error| Failure {
            is_damage: error.is_damage(),
            why: error.to_string(),
        }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Failure {
                is_damage: true,
                why: format!("it panicked: {}", text.unwrap_or("without words")),
            })
        }
    }
}

impl BaseError {
    /// Whether what is stored is of no use. Otherwise the system refused something for now.
    pub(super) fn is_damage(&self) -> bool {
        if matches!(self, BaseError::Stopped) {
            return false;
        }
        let (BaseError::Io(error) | BaseError::Sled(sled::Error::Io(error))) = self else {
            return true;
        };
        let is_for_now = matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::OutOfMemory
        );
        // A question that has not been answered yet keeps the base open.
        !(is_for_now || error.to_string().contains("could not acquire lock"))
    }
}

impl Base {
    /// Opens the base in `folder`, or begins one.
    pub(super) fn open(folder: &Path) -> Result<Self, BaseError> {
        let had_content = fs::metadata(folder.join("db")).is_ok_and(|file| file.len() > 0);
        let db = opened(
            &sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .segment_size(SEGMENT_BYTES)
                .mode(sled::Mode::LowSpace)
                // The index's thread flushes, when it should.
                .flush_every_ms(None),
        )?;
        match db.get(keys::VERSION)? {
            Some(version) => {
                let version = codec::decode::<u32, 16>(&version)?;
                if version != VERSION {
                    return Err(BaseError::Version(version));
                }
            }
            // sled gives up, without a word, whatever it wrote after the first damaged place.
            None if had_content => return Err(BaseError::Emptied),
            None => {
                db.insert(keys::VERSION, codec::encode(&VERSION))?;
            }
        }
        Ok(Self {
            recent: Arc::new(RwLock::new(Recent::read(&db)?)),
            db,
            folder: folder.to_owned(),
        })
    }

    pub(super) fn db(&self) -> &sled::Db {
        &self.db
    }

    /// Waits a while until nobody else reads it, and lets go of it. Says whether that came true.
    pub(super) fn let_go(self) -> bool {
        let deadline = Instant::now() + LOCK_WITHIN;
        while Arc::strong_count(&self.recent) > 1 {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(LOCK_AGAIN);
        }
        true
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn position(&self) -> Result<Position, BaseError> {
        match self.db.get(keys::POSITION)? {
            Some(bytes) => Ok(codec::decode::<Position, 65_536>(&bytes)?),
            None => Ok(Position::default()),
        }
    }

    pub(super) fn gaps(&self) -> Result<Vec<Gap>, BaseError> {
        Ok(self.position()?.gaps)
    }

    /// The entry of a message, and its key: the newest, if the message came again after it had been forgotten.
    pub(super) fn message(&self, message: &MessageId) -> Result<Option<(Key, Entry)>, BaseError> {
        self.named(Stem::message(message), |entry| entry.message == *message)
    }

    /// The entry of the message whose parcel has this digest, and its key.
    pub(super) fn parcel(&self, digest: &Digest) -> Result<Option<(Key, Entry)>, BaseError> {
        self.named(Stem::parcel(digest), |entry| entry.parcel == *digest)
    }

    fn named(
        &self,
        stem: Stem,
        is_meant: impl Fn(&Entry) -> bool,
    ) -> Result<Option<(Key, Entry)>, BaseError> {
        for key in self.keys(stem, Key::FIRST, Key::LAST, false, usize::MAX)? {
            if let Some(entry) = self.entry(&key)?
                && is_meant(&entry)
            {
                return Ok(Some((key, entry)));
            }
        }
        Ok(None)
    }

    /// The keys that names with this stem lead to and that lie in the range, the first `max` of them in either order.
    pub(super) fn keys(
        &self,
        stem: Stem,
        from: Key,
        through: Key,
        forward: bool,
        max: usize,
    ) -> Result<Vec<Key>, BaseError> {
        let (from, through) = (stem.of(&from), stem.of(&through));
        if from > through {
            return Ok(Vec::new());
        }
        // Names go from here into the pages, so that none is overlooked in this order.
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let (mut names, gone) = recent.range(from, through);
        drop(recent);
        let mut left = max;
        for found in NAMES.scan(&self.db, from, through, forward) {
            let (name, _) = found?;
            if left == 0 {
                break;
            }
            if !gone.contains(&name) {
                left -= usize::from(names.insert(name));
            }
        }
        let keys = names.iter().map(keys::key_of);
        Ok(match forward {
            true => keys.take(max).collect(),
            false => keys.rev().take(max).collect(),
        })
    }

    pub(super) fn entry(&self, key: &Key) -> Result<Option<Entry>, BaseError> {
        let found = ENTRIES.get(&self.db, &key.0)?;
        found.map(|bytes| read_entry(&bytes)).transpose()
    }

    /// The entries whose keys are in the range, in either order.
    pub(super) fn entries(
        &self,
        from: Key,
        through: Key,
        forward: bool,
    ) -> impl Iterator<Item = Result<(Key, Entry), BaseError>> {
        let found = ENTRIES.scan(&self.db, from.0, through.0, forward);
        found.map(|found| {
            let (key, bytes) = found?;
            Ok((Key(key), read_entry(&bytes)?))
        })
    }

    /// Changes entries, in the order of their keys, and names, together with the position that they lead to: all or nothing.
    pub(super) fn write(
        &self,
        position: &Position,
        entries: Vec<(Key, Option<Vec<u8>>)>,
        names: Vec<Change>,
    ) -> Result<(), BaseError> {
        let mut batch = sled::Batch::default();
        let written: Vec<Key> = entries.iter().step_by(2).map(|(key, _)| *key).collect();
        let entries = entries.into_iter().map(|(key, entry)| (key.0, entry));
        ENTRIES.change(&self.db, entries, &mut batch)?;
        batch.insert(keys::POSITION, codec::encode(position));
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.record(&names, &mut batch);
        self.db.apply_batch(batch)?;
        for key in &written {
            ENTRIES.touch(&self.db, &key.0)?;
        }
        recent.take(names);
        let is_full = recent.is_full();
        if is_full {
            recent.merge_all();
        }
        drop(recent);
        if is_full {
            self.settle_names()?;
        }
        Ok(())
    }

    /// Puts the recent names into the pages. Until it is done they are in both, which does no harm.
    fn settle_names(&self) -> Result<(), BaseError> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        for names in recent.portions() {
            let mut batch = sled::Batch::default();
            let changes = names
                .iter()
                .map(|(name, is_there)| (*name, is_there.then(Vec::new)));
            NAMES.change(&self.db, changes, &mut batch)?;
            self.db.apply_batch(batch)?;
        }
        for batch in recent.forget() {
            self.db.apply_batch(batch)?;
        }
        drop(recent);
        // Only the index's thread adds to them, and this is it.
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.clear();
        Ok(())
    }

    /// Has everything on stable storage. sled itself does not ask the disk to keep it.
    pub(super) fn flush(&self) -> Result<(), BaseError> {
        self.db.flush()?;
        File::open(self.folder.join("db"))?.sync_data()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Forgets the oldest messages, at most `max` of them: those accepted before `before`, and those beyond `messages_max`. Tells
    /// which.
    pub(super) fn forget(
        &self,
        position: &mut Position,
        before: Millis,
        messages_max: u64,
        max: usize,
    ) -> Result<BTreeSet<MessageId>, BaseError> {
        let mut entries = Vec::new();
        let mut names = Vec::new();
        let mut forgotten = BTreeSet::new();
        for found in self.entries(Key::FIRST, Key::LAST, true).take(max) {
            let (key, entry) = found?;
            let others = position.messages.saturating_sub(entries.len() as u64);
            if key.accepted() >= before && others <= messages_max {
                break;
            }
            entries.push((key, None));
            names.extend(entry.stems().map(|stem| (stem.of(&key), false)));
            forgotten.insert(entry.message);
        }
        if !entries.is_empty() {
            position.messages = position.messages.saturating_sub(entries.len() as u64);
            self.write(position, entries, names)?;
        }
        Ok(forgotten)
    }
}

/// Opens, and waits a while for one that was just let go of: sled gives its lock back only when its own threads have ended.
fn opened(config: &sled::Config) -> Result<sled::Db, BaseError> {
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if Instant::now() < deadline && error.to_string().contains("acquire lock") =>
            {
                thread::sleep(LOCK_AGAIN);
            }
            opened => return Ok(opened?),
        }
    }
}

pub(super) fn read_entry(bytes: &[u8]) -> Result<Entry, BaseError> {
    Ok(codec::decode::<Entry, ENTRY_BYTES_MAX>(bytes)?)
}

/// Puts a base that is of no use out of the way, and tells where it is now.
pub(super) fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = |n: u32| folder.with_file_name(format!("index-damaged-{n}"));
    for n in (1..=ASIDE_MAX).rev() {
        let old = aside(n);
        if !old.exists() {
            continue;
        }
        match n {
            ASIDE_MAX => fs::remove_dir_all(&old)?,
            _ => fs::rename(&old, aside(n + 1))?,
        }
    }
    fs::rename(folder, aside(1))?;
    Ok(aside(1))
}
