//! Writing files so that they are there whole or not at all, for the node's user alone or for its group too.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// Longest name that is used as it is, bytes: room for what is put before and after it.
const NAME_BYTES_MAX: usize = 200;

/// What the files of a node are like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// The group may read and remove them.
    pub(super) open_to_group: bool,
}

impl Access {
    fn file(self) -> Permissions {
        Permissions::from_mode(if self.open_to_group { 0o660 } else { 0o600 })
    }

    fn folder(self) -> Permissions {
        Permissions::from_mode(if self.open_to_group { 0o770 } else { 0o700 })
    }

    /// Makes a folder, and those above it, when it is not there. One that is there stays as it is.
    pub(super) fn make_folder(self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            self.make_folder(parent)?;
        }
        match fs::create_dir(path) {
            Ok(()) => {
                fs::set_permissions(path, self.folder())?;
                sync(path.parent().unwrap_or(Path::new("/")))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a file that is to be filled, synced and then given its name by [`name`]. A leftover is written over.
    pub(super) fn begin(self, folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
        let digest = blake3::hash(name.as_bytes()).to_hex();
        let path = folder.join(format!(".{}.part", &digest[..16]));
        // Whatever lies there under this name is a leftover of ours, or nobody's business.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.set_permissions(self.file())?;
        Ok((file, path))
    }

    /// Writes a file, whole or not at all. Its name is durable once the folder is synced.
    pub(super) fn put(self, folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
        let (mut file, unfinished) = self.begin(folder, name)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(unfinished, folder.join(name))
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Opens a file that somebody else put there: a plain one, and not what a link of theirs points to.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(not_plain());
        }
        opened => opened?,
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_plain()),
    }
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "is no plain file")
}

/// What a file has, up to `bytes_max` bytes; none when it has more.
pub(super) fn read_within(file: &File, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let read = file
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut content)?;
    Ok((read as u64 <= bytes_max).then_some(content))
}

/// A name that leaves room for what is added to it.
pub(super) fn short(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    let end = (0..=NAME_BYTES_MAX)
        .rev()
        .find(|at| name.is_char_boundary(*at));
    let start = name.get(..end.unwrap_or_default()).unwrap_or_default();
    format!("{start}~{}", &digest[..8])
}

/// The first of `NAME`, `2.NAME`, `3.NAME` and so on that nothing has in a folder.
///
/// # Errors
/// None of them is free.
pub(super) fn free_name(folder: &Path, name: &str) -> io::Result<String> {
    const TRIED_MAX: u32 = 10_000;
    let mut names = (1..=TRIED_MAX).map(|number| match number {
        1 => name.to_owned(),
        number => format!("{number}.{name}"),
    });
    names
        .find(|name| fs::symlink_metadata(folder.join(name)).is_err())
        .ok_or_else(|| io::Error::other("too many files of one name; remove some"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_its_owner_alone_unless_it_is_open_to_the_group() {
        let folder = tempfile::tempdir().expect("a folder");
        for (open_to_group, file, dir) in [(false, 0o600, 0o700), (true, 0o660, 0o770)] {
            let access = Access { open_to_group };
            let inner = folder.path().join(format!("{open_to_group}")).join("a");
            access.make_folder(&inner).expect("made");
            access.make_folder(&inner).expect("there");
            access.put(&inner, "x", b"1").expect("written");
            access.put(&inner, "x", b"2").expect("written anew");
            assert_eq!(fs::read(inner.join("x")).expect("read"), b"2");
            let mode =
                |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&inner.join("x")), mode(&inner)), (file, dir));
        }
    }

    #[test]
    fn a_link_or_a_pipe_that_somebody_put_there_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("secret"), "x").expect("written");
        std::os::unix::fs::symlink(at("secret"), at("link")).expect("a link");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), pipe, mode, 0).expect("a pipe");
        assert!(open_plain(&at("secret")).is_ok());
        for name in ["link", "pipe"] {
            let error = open_plain(&at(name)).expect_err("not plain");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        assert!(open_plain(folder.path()).is_err());
    }

    #[test]
    fn names_stay_within_what_a_file_system_takes_and_never_meet() {
        let long = "案".repeat(85);
        assert!(short(&long).len() < 215 && short(&long) != short(&"案".repeat(84)));
        assert_eq!(short("a.pdf"), "a.pdf");
        let folder = tempfile::tempdir().expect("a folder");
        for expected in ["a", "2.a", "3.a"] {
            let name = free_name(folder.path(), "a").expect("a name");
            assert_eq!(name, expected);
            fs::write(folder.path().join(name), "").expect("written");
        }
    }
}
