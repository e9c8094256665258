//! Dictionaries that neighbours have handed over: files in the data folder, and a few in memory.
//!
//! `dictionaries/UNIT/ID` holds a dictionary as it came. A file that is lost or damaged costs a handover and nothing else.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{
    model::{Digest, UnitId},
    pki::files::{Access, Unfinished, create_folder},
    wire::{DICTIONARY_BYTES_MAX, Dictionary},
};

/// The folder in the data folder.
pub(in crate::node) const FOLDER: &str = "dictionaries";
/// Dictionaries that are kept of one neighbour: the one that it uses, and the one before, which batches under way may name.
const PER_NEIGHBOUR_MAX: usize = 2;
/// Dictionaries in memory, of all neighbours together; each takes about 250 KiB.
const IN_MEMORY_MAX: usize = 32;

/// Where they are kept.
#[derive(Debug)]
pub(in crate::node) struct Shelf {
    folder: PathBuf,
    /// The latest used last.
    in_memory: Mutex<VecDeque<(UnitId, Arc<Dictionary>)>>,
}

impl Shelf {
    /// The shelf in a node's data folder; it is made when something is put there.
    pub(in crate::node) fn new(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            in_memory: Mutex::default(),
        }
    }

    /// Whether the neighbour's dictionary is here, whole. It does not take memory until it is used.
    pub(in crate::node) fn has(&self, neighbour: &UnitId, id: Digest) -> bool {
        self.recall(neighbour, id).is_some() || self.read(neighbour, id).is_some()
    }

    /// The neighbour's dictionary, to use it.
    pub(in crate::node) fn get(&self, neighbour: &UnitId, id: Digest) -> Option<Arc<Dictionary>> {
        if let Some(dictionary) = self.recall(neighbour, id) {
            return Some(dictionary);
        }
        let dictionary = Arc::new(self.read(neighbour, id)?);
        let mut in_memory = self.lock();
        if in_memory.len() >= IN_MEMORY_MAX {
            in_memory.pop_front();
        }
        in_memory.push_back((neighbour.clone(), dictionary.clone()));
        Some(dictionary)
    }

    /// Keeps a neighbour's dictionary; it is on stable storage when this returns. Older ones than [`PER_NEIGHBOUR_MAX`] go.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::node) fn keep(
        &self,
        neighbour: &UnitId,
        dictionary: &Dictionary,
    ) -> io::Result<()> {
        let folder = self.folder.join(neighbour.as_str());
        create_folder(&folder, Access::Private)?;
        let path = folder.join(dictionary.id().to_string());
        Unfinished::write(&path, dictionary.bytes(), Access::Private)?.replace()?;
        if let Err(error) = self.forget_older(neighbour, &folder, &path) {
            tracing::warn!(unit = %neighbour, %error, "old dictionaries are not removed");
        }
        Ok(())
    }

    fn forget_older(&self, neighbour: &UnitId, folder: &Path, newest: &Path) -> io::Result<()> {
        let mut others = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.path() != newest {
                let at = entry.metadata().and_then(|meta| meta.modified());
                others.push((at.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
            }
        }
        others.sort();
        let kept = PER_NEIGHBOUR_MAX - 1;
        let gone = others.len().saturating_sub(kept);
        for (_, path) in others.into_iter().take(gone) {
            fs::remove_file(&path)?;
            let name = path.file_name().unwrap_or_default().to_owned();
            self.lock().retain(|(unit, dictionary)| {
                unit != neighbour || *name != *dictionary.id().to_string()
            });
        }
        Ok(())
    }

    fn recall(&self, neighbour: &UnitId, id: Digest) -> Option<Arc<Dictionary>> {
        let mut in_memory = self.lock();
        let at = in_memory
            .iter()
            .position(|(unit, dictionary)| unit == neighbour && dictionary.id() == id)?;
        let found = in_memory.remove(at)?;
        in_memory.push_back(found.clone());
        Some(found.1)
    }

    fn read(&self, neighbour: &UnitId, id: Digest) -> Option<Dictionary> {
        let path = self.folder.join(neighbour.as_str()).join(id.to_string());
        let mut bytes = Vec::new();
        let most = DICTIONARY_BYTES_MAX as u64 + 1;
        let read = File::open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a neighbour's dictionary cannot be read");
                return None;
            }
        }
        let dictionary = Dictionary::new(bytes).ok().filter(|d| d.id() == id);
        if dictionary.is_none() {
            tracing::warn!(path = %path.display(), "a neighbour's dictionary is damaged, and will be asked for again");
        }
        dictionary
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(UnitId, Arc<Dictionary>)>> {
        self.in_memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> UnitId {
        name.parse().expect("a unit")
    }

    /// Dictionaries that differ: the built-in one with some of its text taken off the end.
    fn dictionary(n: usize) -> Dictionary {
        let bytes = Dictionary::built_in().bytes();
        Dictionary::new(bytes[..bytes.len() - n].to_vec()).expect("a dictionary")
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_only_for_its_neighbour() {
        let data = tempfile::tempdir().expect("a folder");
        let (police, court) = (unit("hebi.police"), unit("hebi.court"));
        let kept = dictionary(1);
        let shelf = Shelf::new(data.path());
        assert!(!shelf.has(&police, kept.id()));
        shelf.keep(&police, &kept).expect("kept");
        for shelf in [shelf, Shelf::new(data.path())] {
            assert!(shelf.has(&police, kept.id()));
            assert!(!shelf.has(&court, kept.id()));
            let found = shelf.get(&police, kept.id()).expect("there");
            assert_eq!(found.bytes(), kept.bytes());
            assert!(shelf.get(&court, kept.id()).is_none());
        }
    }

    #[test]
    fn a_neighbours_third_dictionary_takes_the_place_of_its_first() {
        let data = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(data.path());
        let police = unit("hebi.police");
        let all: Vec<Dictionary> = (1..=4).map(dictionary).collect();
        for (n, dictionary) in all.iter().enumerate() {
            shelf.keep(&police, dictionary).expect("kept");
            assert!(shelf.get(&police, dictionary.id()).is_some());
            let files = fs::read_dir(data.path().join(FOLDER).join("hebi.police"));
            let files = files.expect("a folder").count();
            assert_eq!(files, PER_NEIGHBOUR_MAX.min(n + 1));
            // The clocks of some file systems are slow.
            let path = data.path().join(FOLDER).join("hebi.police");
            let path = path.join(dictionary.id().to_string());
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64 + 1);
            let file = File::options().write(true).open(path).expect("a file");
            file.set_modified(at).expect("set");
        }
        let there: Vec<bool> = all.iter().map(|d| shelf.has(&police, d.id())).collect();
        assert_eq!(there, [false, false, true, true]);
    }

    #[test]
    fn a_damaged_file_is_none_and_memory_is_bounded() {
        let data = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(data.path());
        let police = unit("hebi.police");
        let kept = dictionary(1);
        shelf.keep(&police, &kept).expect("kept");
        let path = data.path().join(FOLDER).join("hebi.police");
        let path = path.join(kept.id().to_string());
        let mut bytes = fs::read(&path).expect("a file");
        bytes[60_000] ^= 1;
        fs::write(&path, bytes).expect("written");
        assert!(!shelf.has(&police, kept.id()));
        assert!(shelf.get(&police, kept.id()).is_none());
        shelf.keep(&police, &kept).expect("kept again");
        assert!(shelf.has(&police, kept.id()));
        for n in 0..IN_MEMORY_MAX + 3 {
            let unit = unit(&format!("u{n}"));
            shelf.keep(&unit, &kept).expect("kept");
            assert!(shelf.get(&unit, kept.id()).is_some());
        }
        assert_eq!(shelf.lock().len(), IN_MEMORY_MAX);
    }
}
