//! The folder: names, and the order in which files get them.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::chunks::{VALUE_BYTES, Value, list_bytes};
use crate::model::{BlobDigest, chunk_count};

/// Bytes before the values in a file of a list: the attachment's size.
pub(super) const LIST_HEAD_BYTES: u64 = 8;

/// What a file of an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Whole,
    List,
    Part,
    Progress,
}

impl Role {
    const ALL: [Self; 4] = [Self::Whole, Self::List, Self::Part, Self::Progress];

    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::List => ".list",
            Self::Part => ".part",
            Self::Progress => ".progress",
        }
    }
}

/// What a name in the folder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Of(BlobDigest, Role),
    New,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// For the next name of a file that is being written.
    next: AtomicU64,
}

const NEW: &str = "new-";
const QUARANTINE: &str = "quarantine";

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

impl Files {
    pub(super) fn at(folder: &Path) -> io::Result<Self> {
        make_folder(folder)?;
        Ok(Self {
            folder: folder.into(),
            next: AtomicU64::new(0),
        })
    }

    /// Every file's name, as it is and read.
    pub(super) fn names(&self) -> io::Result<Vec<(String, Name)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            let text = entry.file_name().to_string_lossy().into_owned();
            let (hex, suffix) = text.split_at(text.find('.').unwrap_or(text.len()));
            let role = Role::ALL.into_iter().find(|role| role.suffix() == suffix);
            let name = match (BlobDigest::from_hex(hex), role) {
                (Ok(digest), Some(role)) => Name::Of(digest, role),
                _ if text.starts_with(NEW) => Name::New,
                _ => Name::Unknown,
            };
            names.push((text, name));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    fn path(&self, digest: &BlobDigest, role: Role) -> PathBuf {
        self.folder.join(digest.hex() + role.suffix())
    }

    /// A new file without a name of its own yet.
    pub(super) fn create(&self) -> io::Result<New> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{NEW}{number}"));
        let file = options().create_new(true).open(&path)?;
        step(&self.folder);
        Ok(New {
            file,
            path: Some(path),
        })
    }

    pub(super) fn open(&self, digest: &BlobDigest, role: Role) -> io::Result<File> {
        options().open(self.path(digest, role))
    }

    pub(super) fn len(&self, digest: &BlobDigest, role: Role) -> io::Result<u64> {
        Ok(fs::metadata(self.path(digest, role))?.len())
    }

    /// Gives a file its name.
    pub(super) fn name(&self, synced: Synced, digest: &BlobDigest, role: Role) -> io::Result<()> {
        let Synced(mut new) = synced;
        if let Some(path) = &new.path {
            fs::rename(path, self.path(digest, role))?;
            new.path = None;
        }
        step(&self.folder);
        Ok(())
    }

    /// Gives a part the name of a whole attachment.
    pub(super) fn promote(&self, digest: &BlobDigest) -> io::Result<()> {
        fs::rename(
            self.path(digest, Role::Part),
            self.path(digest, Role::Whole),
        )?;
        step(&self.folder);
        Ok(())
    }

    /// Makes names durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()?;
        step(&self.folder);
        Ok(())
    }

    /// Removes one file, if it is there.
    pub(super) fn remove_one(&self, digest: &BlobDigest, role: Role) -> io::Result<()> {
        remove(&self.path(digest, role))?;
        step(&self.folder);
        Ok(())
    }

    /// Removes all files of an attachment, the ones first without which the others are leftovers.
    pub(super) fn remove(&self, digest: &BlobDigest) -> io::Result<()> {
        for role in [Role::Whole, Role::Part, Role::Progress, Role::List] {
            self.remove_one(digest, role)?;
        }
        self.sync()
    }

    pub(super) fn remove_named(&self, name: &str) -> io::Result<()> {
        remove(&self.folder.join(name))
    }

    /// Moves all files of an attachment to the quarantine.
    pub(super) fn set_aside(&self, digest: &BlobDigest) -> io::Result<PathBuf> {
        let quarantine = self.folder.join(QUARANTINE);
        make_folder(&quarantine)?;
        for role in Role::ALL {
            let from = self.path(digest, role);
            match fs::rename(&from, quarantine.join(digest.hex() + role.suffix())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync()?;
        Ok(quarantine.join(digest.hex()))
    }

    /// Bytes in the quarantine.
    pub(super) fn quarantined(&self) -> io::Result<u64> {
        let mut bytes = 0;
        match fs::read_dir(self.folder.join(QUARANTINE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(entries) => {
                for entry in entries {
                    bytes += entry?.metadata()?.len();
                }
            }
        }
        Ok(bytes)
    }

    pub(super) fn modified(&self, digest: &BlobDigest) -> io::Result<SystemTime> {
        fs::metadata(self.path(digest, Role::Whole))?.modified()
    }

    pub(super) fn touch(&self, digest: &BlobDigest) -> io::Result<()> {
        self.open(digest, Role::Whole)?
            .set_modified(SystemTime::now())
    }

    /// The size that an attachment's list was written for, if the file is as long as that asks.
    pub(super) fn list_size(&self, digest: &BlobDigest) -> io::Result<Option<u64>> {
        let file = self.open(digest, Role::List)?;
        let mut head = [0; LIST_HEAD_BYTES as usize];
        let len = file.metadata()?.len();
        match (&file).read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let size = u64::from_le_bytes(head);
        Ok((len.checked_sub(LIST_HEAD_BYTES) == Some(list_bytes(size))).then_some(size))
    }
}

/// A file that is being written; removed unless it gets a name.
#[derive(Debug)]
pub(super) struct New {
    pub(super) file: File,
    path: Option<PathBuf>,
}

/// A new file whose bytes are on stable storage: only such a one gets a name.
#[derive(Debug)]
pub(super) struct Synced(New);

impl New {
    pub(super) fn sync(self) -> io::Result<Synced> {
        self.file.sync_all()?;
        if let Some(folder) = self.path.as_deref().and_then(Path::parent) {
            step(folder);
        }
        Ok(Synced(self))
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed now is removed at the next start.
            let _ = remove(path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes a file `len` bytes long, with room for them on the disk.
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, len.max(1)) {
            // Without `fallocate` room is told to be missing when it is written to.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return file.set_len(len),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The chunk list of an attachment of `size` bytes, as it is on the disk.
pub(super) fn list(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(list_bytes(size)).map_err(io::Error::other)?;
    let mut list = vec![0; bytes];
    file.read_exact_at(&mut list, LIST_HEAD_BYTES)?;
    Ok(list)
}

/// What chunk `number` of an attachment is held against.
pub(super) fn value(digest: &BlobDigest, size: u64, list: &File, number: u64) -> io::Result<Value> {
    if chunk_count(size) == 1 {
        return Ok(digest.0);
    }
    let mut value = [0; VALUE_BYTES as usize];
    list.read_exact_at(&mut value, LIST_HEAD_BYTES + number * VALUE_BYTES)?;
    Ok(value)
}

/// Called when something has changed in a folder, so that a test sees what a process that is killed there leaves.
#[cfg(test)]
fn step(folder: &Path) {
    super::tests::crash::step(folder);
}

/// Called when something has changed in a folder.
#[cfg(not(test))]
const fn step(_: &Path) {}
