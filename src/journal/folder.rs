//! A real folder, and the lock that keeps two processes out of it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, FlockOperation, fallocate, flock},
    io::Errno,
};

use super::disk::{Disk, File};

/// A folder of the file system: folders are made 0700, files 0600.
#[derive(Clone, Debug)]
pub struct Folder {
    path: Arc<Path>,
}

/// A file of a [`Folder`].
#[derive(Debug)]
pub struct FolderFile(fs::File);

impl Folder {
    /// The folder at `path`, made when it is missing (its parents too).
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        Ok(Self { path: path.into() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for Folder {
    type File = FolderFile;

    fn create(&self, name: &str) -> io::Result<FolderFile> {
        options()
            .create_new(true)
            .open(self.path.join(name))
            .map(FolderFile)
    }

    fn open(&self, name: &str) -> io::Result<FolderFile> {
        options().open(self.path.join(name)).map(FolderFile)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let (true, Ok(name)) = (
                entry.file_type()?.is_file(),
                entry.file_name().into_string(),
            ) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn folder(&self, name: &str) -> io::Result<Self> {
        Self::at(self.path.join(name))
    }
}

impl File for FolderFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while !buffer.is_empty() {
            match self.0.read_at(buffer, offset) {
                Ok(0) => break,
                Ok(n) => {
                    read += n;
                    offset += n as u64;
                    buffer = buffer.get_mut(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        if len <= now {
            return Ok(());
        }
        loop {
            match fallocate(&self.0, FallocateFlags::empty(), now, len - now) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.write_zeros(now, len),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl FolderFile {
    /// Sets room aside on a file system that has no `fallocate`.
    fn write_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; 64 * 1024];
        while from < to {
            let n = (to - from).min(ZEROS.len() as u64) as usize;
            self.write_at(ZEROS.get(..n).unwrap_or(ZEROS), from)?;
            from += n as u64;
        }
        Ok(())
    }
}

/// The sole use of a folder, until it is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: fs::File,
}

/// A folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{}: in use by another process; stop that one, or name another data folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The lock file could not be made or locked.
    #[error("{}: cannot be locked: {error}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Takes the folder at `path` for this process alone (`flock` on the file `lock` in it). The folder is made when it is missing. The
/// lock goes with the process, however that ends.
pub fn lock_folder(path: impl AsRef<Path>) -> Result<FolderLock, LockError> {
    let path = path.as_ref();
    let failed = |error| LockError::Io {
        path: path.to_owned(),
        error,
    };
    let folder = Folder::at(path).map_err(failed)?;
    let file = options()
        .create(true)
        .truncate(false)
        .open(folder.path().join("lock"))
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(Errno::WOULDBLOCK) => Err(LockError::InUse {
            path: path.to_owned(),
        }),
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_locked_folder_is_refused_until_the_lock_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let lock = lock_folder(&path).expect("free");
        assert!(matches!(lock_folder(&path), Err(LockError::InUse { .. })));
        drop(lock);
        lock_folder(&path).expect("free again");
    }

    #[test]
    fn files_and_folders_are_their_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Folder::at(folder.path().join("journal")).expect("made");
        disk.create("a").expect("made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(disk.path()), 0o700);
        assert_eq!(mode(&disk.path().join("a")), 0o600);
        assert_eq!(
            disk.create("a").expect_err("taken").kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn room_set_aside_reads_as_zeros_and_reading_stops_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Folder::at(folder.path()).expect("made");
        let file = disk.create("a").expect("made");
        file.write_at(b"abc", 2).expect("written");
        file.allocate(8192).expect("room");
        file.allocate(10).expect("no shorter");
        assert_eq!(file.len().expect("a length"), 8192);
        let mut bytes = [1; 8];
        assert_eq!(file.read_at(&mut bytes, 0).expect("read"), 8);
        assert_eq!(&bytes, b"\0\0abc\0\0\0");
        file.write_zeros(8192, 200_000).expect("zeros");
        assert_eq!(file.read_at(&mut bytes, 199_998).expect("read"), 2);
    }
}
