//! Small files, written whole or not at all, and read within a bound.
//!
//! A file appears under its name only when it is complete and on stable storage. A private one is created with its permissions;
//! there is no moment at which others can read it.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags};
use zeroize::Zeroizing;

/// Largest file that is read, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What an unfinished file's name ends with.
pub(super) const UNFINISHED: &str = ".unfinished";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner only: 0600.
    Private,
    /// Everybody: 0644.
    Public,
}

/// A complete file that does not bear its name yet. Dropped, it is removed.
pub(crate) struct Unfinished {
    at: PathBuf,
    path: PathBuf,
    named: bool,
}

impl Unfinished {
    /// Writes and syncs the content beside `path`.
    pub(crate) fn write(path: &Path, content: &[u8], access: Access) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        name.push(format!(".{:016x}{UNFINISHED}", random()?));
        let unfinished = Self {
            at: path.with_file_name(name),
            path: path.to_owned(),
            named: false,
        };
        let mode = match access {
            Access::Private => 0o600,
            Access::Public => 0o644,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&unfinished.at)?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(unfinished)
    }

    /// The name that it is to have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, in place of a file that bears it.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        fs::rename(&self.at, &self.path)?;
        self.named = true;
        sync_folder(&self.path)
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is such a file; it stays as it is.
    pub(super) fn create(mut self) -> io::Result<()> {
        rustix::fs::renameat_with(CWD, &self.at, CWD, &self.path, RenameFlags::NOREPLACE)?;
        self.named = true;
        sync_folder(&self.path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named {
            // It is of no use to anybody; a file that cannot be removed does no harm either.
            let _ = fs::remove_file(&self.at);
        }
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Makes a folder and those above it; `Access::Private` makes them 0700. One that exists stays as it is.
pub(crate) fn create_folder(path: &Path, access: Access) -> io::Result<()> {
    let mode = match access {
        Access::Private => 0o700,
        Access::Public => 0o755,
    };
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Reads a file of at most [`FILE_BYTES_MAX`].
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    read_into(&File::open(path)?, &mut content)?;
    Ok(content)
}

/// What [`read_private`] gives.
pub(super) enum PrivateFile {
    /// Its content.
    Content(Zeroizing<Vec<u8>>),
    /// Others may read it: its permissions.
    Exposed(u32),
}

/// Reads a file of at most [`FILE_BYTES_MAX`] that only its owner may read.
pub(super) fn read_private(path: &Path) -> io::Result<PrivateFile> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & 0o177 != 0 {
        return Ok(PrivateFile::Exposed(mode));
    }
    // Room for the whole, so that no copy is left behind by growing.
    let mut content = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    read_into(&file, &mut content)?;
    Ok(PrivateFile::Content(content))
}

fn read_into(file: &File, content: &mut Vec<u8>) -> io::Result<()> {
    file.take(FILE_BYTES_MAX + 1).read_to_end(content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}
