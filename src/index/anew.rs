//! Writing the base anew when it takes much more of the disk than what is in it.
//!
//! sled writes every changed page to the end of its file, and gives back the places of old ones more slowly than a busy node makes
//! them: after days of change the file is several times what is in it. A copy of what is in it is small again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    base::{Base, BaseError, Position},
    keys,
};
use crate::codec;

/// A file that is no larger is left as it is, bytes.
const LEFT_ALONE_BYTES: u64 = 64 * 1024 * 1024;
/// What a message takes in a base that was just written, bytes, as far as is known before one was: 740 to 1,250 were measured.
const MESSAGE_BYTES: u64 = 1000;
/// A base that is so many times as large as one that was just written is written anew.
const TIMES: u64 = 2;
/// After so many bytes it is asked whether to go on.
const PORTION_BYTES: usize = 512 * 1024;

/// Whether the base takes so much that it should be written anew.
pub(super) fn is_due(base: &Base, position: &Position) -> Result<bool, BaseError> {
    let bytes = base.db().size_on_disk()?;
    let before = match base.db().get(keys::MESSAGE_BYTES)? {
        Some(bytes) => codec::decode::<u64, 16>(&bytes)?,
        None => 0,
    };
    Ok(is_too_large(bytes, position.messages, before))
}

/// `before` is what a message took when the base was written anew last.
fn is_too_large(bytes: u64, messages: u64, before: u64) -> bool {
    let needed = messages.saturating_mul(before.max(MESSAGE_BYTES));
    bytes > needed.saturating_mul(TIMES).max(LEFT_ALONE_BYTES)
}

/// A copy that is whole and on stable storage, and has not taken the base's place yet.
#[derive(Debug)]
pub(super) struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Copies all that is in `base`, which nobody else changes meanwhile. Gives nothing when `goes_on` says no.
    ///
    /// # Errors
    /// The base does not read, or there is no room.
    pub(super) fn of(
        base: &Base,
        position: &Position,
        goes_on: impl Fn() -> bool,
    ) -> Result<Option<Self>, BaseError> {
        let copy = Self {
            folder: new(base.folder()),
        };
        remove(&copy.folder)?;
        let whole = copy.fill(base, position, goes_on);
        if !matches!(whole, Ok(true)) {
            // What is left of it is removed at the next opening otherwise.
            let _ = remove(&copy.folder);
        }
        Ok(whole?.then_some(copy))
    }

    fn fill(
        &self,
        base: &Base,
        position: &Position,
        goes_on: impl Fn() -> bool,
    ) -> Result<bool, BaseError> {
        let copy = Base::open(&self.folder)?;
        let mut bytes = 0;
        for found in base.db().iter() {
            let (key, value) = found?;
            bytes += key.len() + value.len();
            // One by one: what a batch replaces stays in memory until long after the batch.
            copy.db().insert(key, value)?;
            if bytes >= PORTION_BYTES {
                bytes = 0;
                if !goes_on() {
                    return Ok(false);
                }
            }
        }
        copy.flush()?;
        // What any base may take is no message's.
        let bytes = copy.db().size_on_disk()?.saturating_sub(LEFT_ALONE_BYTES);
        let each = bytes / position.messages.max(1);
        copy.db()
            .insert(keys::MESSAGE_BYTES, codec::encode(&each))?;
        copy.flush()?;
        Ok(true)
    }

    /// Puts it in the place of the base in `folder`, which nobody has open any more.
    pub(super) fn settle(self, folder: &Path) -> io::Result<()> {
        let old = old(folder);
        fs::rename(folder, &old)?;
        fs::rename(&self.folder, folder)?;
        sync_above(folder)?;
        remove(&old)
    }
}

/// Clears away what a copy left that was interrupted. Until it is in its place the old base counts.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    let old = old(folder);
    if old.exists() && !folder.exists() {
        fs::rename(&old, folder)?;
    }
    remove(&old)?;
    remove(&new(folder))
}

fn new(folder: &Path) -> PathBuf {
    folder.with_file_name("index-new")
}

fn old(folder: &Path) -> PathBuf {
    folder.with_file_name("index-old")
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_above(folder: &Path) -> io::Result<()> {
    match folder.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::disk;

    #[test]
    fn a_base_is_too_large_by_what_is_in_it() {
        const MIB: u64 = 1024 * 1024;
        // Empty after everything was forgotten, and small.
        assert!(is_too_large(65 * MIB, 0, 0));
        assert!(!is_too_large(64 * MIB, 0, 0));
        // A million messages: 1 GB when just written.
        assert!(!is_too_large(2_000_000_000, 1_000_000, 0));
        assert!(is_too_large(2_000_000_001, 1_000_000, 0));
        // With long timelines, which the last time told.
        assert!(!is_too_large(2_500_000_000, 1_000_000, 1_300));
        assert!(is_too_large(2_700_000_000, 1_000_000, 1_300));
        assert!(!is_too_large(u64::MAX, u64::MAX, u64::MAX));
    }

    fn base_of(folder: &Path, entries: u32) -> Base {
        let base = Base::open(folder).expect("a base");
        for n in 0..entries {
            let key = [b"t", &n.to_be_bytes()[..]].concat();
            base.db().insert(key, &[7; 100][..]).expect("inserted");
        }
        base.flush().expect("flushed");
        base
    }

    fn entries(base: &Base) -> usize {
        base.db().scan_prefix(b"t").count()
    }

    #[test]
    fn a_copy_has_everything_and_takes_the_bases_place() {
        let above = tempfile::tempdir().expect("a folder");
        let folder = above.path().join("index");
        let base = base_of(&folder, 5000);
        disk::bloat(&base, 5000);
        let before = base.db().size_on_disk().expect("a size");
        let content: Vec<_> = base
            .db()
            .iter()
            .map(|found| found.expect("it reads"))
            .collect();
        let position = Position {
            messages: 5000,
            ..Position::default()
        };
        let copy = Copy::of(&base, &position, || true);
        let copy = copy.expect("it reads").expect("nobody stops it");
        drop(base);
        copy.settle(&folder).expect("renamed");

        let base = Base::open(&folder).expect("a base");
        let after = base.db().size_on_disk().expect("a size");
        assert!(after * 2 < before, "{before} bytes became {after}");
        let mut copied: Vec<_> = base
            .db()
            .iter()
            .map(|found| found.expect("it reads"))
            .collect();
        copied.retain(|(key, _)| key != keys::MESSAGE_BYTES);
        assert!(copied == content);
        assert!(
            base.db()
                .get(keys::MESSAGE_BYTES)
                .expect("it reads")
                .is_some()
        );
        let left = fs::read_dir(above.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing but the base is left");
    }

    #[test]
    fn a_copy_that_is_stopped_leaves_nothing() {
        let above = tempfile::tempdir().expect("a folder");
        let folder = above.path().join("index");
        let base = base_of(&folder, 5000);
        let copy = Copy::of(&base, &Position::default(), || false).expect("it reads");
        assert!(copy.is_none());
        assert!(!new(&folder).exists());
        assert_eq!(entries(&base), 5000);
    }

    #[test]
    fn wherever_a_copy_was_interrupted_a_whole_base_is_found() {
        let interrupted = |what: fn(&Path, Copy)| {
            let above = tempfile::tempdir().expect("a folder");
            let folder = above.path().join("index");
            let base = base_of(&folder, 50);
            let copy = Copy::of(&base, &Position::default(), || true);
            let copy = copy.expect("it reads").expect("nobody stops it");
            drop(base);
            what(&folder, copy);
            clear(&folder).expect("cleared");
            assert_eq!(entries(&Base::open(&folder).expect("a base")), 50);
            let left = fs::read_dir(above.path()).expect("a folder").count();
            assert_eq!(left, 1, "nothing but the base is left");
        };
        interrupted(|_, _| {});
        interrupted(|folder, _| fs::rename(folder, old(folder)).expect("renamed"));
        interrupted(|folder, copy| {
            fs::rename(folder, old(folder)).expect("renamed");
            fs::rename(copy.folder, folder).expect("renamed");
        });
    }
}
