//! A real folder that a test can fill up or let fail.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::journal::{Disk, File, Folder, FolderFile};

/// What a test does to a folder, from before a node opens it until after the node has gone.
#[derive(Debug, Default)]
pub(in crate::node) struct Trouble {
    /// No room can be set aside.
    pub(in crate::node) full: AtomicBool,
    /// Nothing can be synced.
    pub(in crate::node) failing: AtomicBool,
}

static TROUBLES: Mutex<BTreeMap<PathBuf, Arc<Trouble>>> = Mutex::new(BTreeMap::new());

/// The trouble that is made for a folder.
pub(in crate::node) fn trouble(path: &Path) -> Arc<Trouble> {
    let mut troubles = TROUBLES.lock().unwrap_or_else(PoisonError::into_inner);
    troubles.entry(path.to_owned()).or_default().clone()
}

/// The folder.
#[derive(Clone, Debug)]
pub(in crate::node) struct TestDisk {
    folder: Folder,
    trouble: Arc<Trouble>,
}

/// A file in it.
#[derive(Debug)]
pub(in crate::node) struct TestFile {
    file: FolderFile,
    trouble: Arc<Trouble>,
}

impl TestDisk {
    /// As [`Folder::at`].
    pub(in crate::node) fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        let trouble = trouble(path.as_ref());
        let folder = Folder::at(path)?;
        Ok(Self { folder, trouble })
    }

    fn file(&self, file: FolderFile) -> TestFile {
        let trouble = self.trouble.clone();
        TestFile { file, trouble }
    }
}

impl Trouble {
    fn room(&self) -> io::Result<()> {
        match self.full.load(Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.failing.load(Relaxed) {
            true => Err(io::Error::other("the medium is worn out")),
            false => Ok(()),
        }
    }
}

impl Disk for TestDisk {
    type File = TestFile;

    fn create(&self, name: &str) -> io::Result<TestFile> {
        self.trouble.room()?;
        self.folder.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<TestFile> {
        self.folder.open(name).map(|file| self.file(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn sync(&self) -> io::Result<()> {
        self.trouble.sync()?;
        self.folder.sync()
    }

    fn folder(&self, name: &str) -> io::Result<Self> {
        let folder = self.folder.folder(name)?;
        let trouble = self.trouble.clone();
        Ok(Self { folder, trouble })
    }
}

impl File for TestFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.trouble.sync()?;
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len > self.file.len()? {
            self.trouble.room()?;
        }
        self.file.allocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
