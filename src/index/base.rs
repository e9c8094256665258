//! The sled database: opening, changing, keeping within bounds.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bincode::{Decode, Encode};

use super::{
    entry::Entry,
    keys::{self, Key},
};
use crate::{
    codec::{self, CodecError},
    model::{Lsn, MessageId, Millis},
};

/// The version of what is stored; another one is set aside.
const VERSION: u32 = 1;
/// What sled may keep in memory of pages, bytes. Below, it reads what it just wrote.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// sled's segments, bytes: it holds several in memory.
const SEGMENT_BYTES: usize = 256 * 1024;
/// Largest entry that is read, bytes.
const ENTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most gaps that are told; of more, the first and the last ones are.
const GAPS_MAX: usize = 8;
/// Folders that were set aside and are kept for whoever wants to look; older ones are removed.
const ASIDE_MAX: u32 = 3;

/// The base of one index. Cheap to clone.
#[derive(Clone)]
pub(super) struct Base {
    db: sled::Db,
    folder: PathBuf,
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
    #[error("it is ahead of the journal, which ends at record {journal}: it knows record {index}")]
    Ahead { index: Lsn, journal: Lsn },
    #[error("it is damaged, and sled found nothing in it any more")]
    Emptied,
    #[error("the key of an entry is missing")]
    Key,
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
    fn is_damage(&self) -> bool {
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
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .mode(sled::Mode::LowSpace)
            // The index's thread flushes, when it should.
            .flush_every_ms(None)
            .open()?;
        let base = Self {
            db,
            folder: folder.to_owned(),
        };
        match base.db.get(keys::VERSION)? {
            Some(version) => {
                let version = codec::decode::<u32, 16>(&version)?;
                if version != VERSION {
                    return Err(BaseError::Version(version));
                }
            }
            // sled gives up, without a word, whatever it wrote after the first damaged place.
            None if had_content => return Err(BaseError::Emptied),
            None => {
                base.db.insert(keys::VERSION, codec::encode(&VERSION))?;
            }
        }
        Ok(base)
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

    pub(super) fn message(&self, message: &MessageId) -> Result<Option<Entry>, BaseError> {
        match self.key_of(keys::name(message))? {
            Some(key) => self.entry(&key),
            None => Ok(None),
        }
    }

    pub(super) fn key_of(&self, name: Vec<u8>) -> Result<Option<Key>, BaseError> {
        let found = self.db.get(name)?;
        found
            .map(|key| Key::last_of(&key).ok_or(BaseError::Key))
            .transpose()
    }

    pub(super) fn entry(&self, key: &Key) -> Result<Option<Entry>, BaseError> {
        let found = self.db.get(key.entry())?;
        found.map(|bytes| read_entry(&bytes)).transpose()
    }

    /// Every key from `from` up to and without `to`, with what it holds.
    pub(super) fn range(
        &self,
        from: Vec<u8>,
        to: Vec<u8>,
    ) -> impl DoubleEndedIterator<Item = sled::Result<(sled::IVec, sled::IVec)>> {
        self.db.range(from..to)
    }

    pub(super) fn insert_names(&self, names: Vec<(Vec<u8>, Key)>) -> Result<(), BaseError> {
        for (name, key) in names {
            self.db.insert(name, &key.0)?;
        }
        Ok(())
    }

    /// All or nothing.
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), BaseError> {
        Ok(self.db.apply_batch(batch)?)
    }

    /// Has everything on stable storage. sled itself does not ask the disk to keep it.
    pub(super) fn flush(&self) -> Result<(), BaseError> {
        self.db.flush()?;
        File::open(self.folder.join("db"))?.sync_data()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Forgets the oldest messages, at most `max` of them: those accepted before `before`, and those beyond `messages_max`. Tells
    /// whether there may be more.
    pub(super) fn forget(
        &self,
        position: &mut Position,
        before: Millis,
        messages_max: u64,
        max: usize,
    ) -> Result<bool, BaseError> {
        let mut batch = sled::Batch::default();
        let mut forgotten = 0;
        for found in self.db.scan_prefix(b"m").take(max) {
            let (at, bytes) = found?;
            let key = Key::last_of(&at).ok_or(BaseError::Key)?;
            if key.accepted() >= before
                && position.messages.saturating_sub(forgotten) <= messages_max
            {
                break;
            }
            let entry = read_entry(&bytes)?;
            batch.remove(&at);
            batch.remove(keys::name(&entry.message));
            batch.remove(keys::parcel(&entry.parcel));
            if let Some(case) = &entry.case {
                batch.remove(key.of_case(case));
            }
            forgotten += 1;
        }
        if forgotten > 0 {
            position.messages -= forgotten.min(position.messages);
            batch.insert(keys::POSITION, codec::encode(position));
            self.apply(batch)?;
        }
        Ok(forgotten as usize == max)
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
