//! Backups: what a node has to keep, as it is at one moment, in a folder that nobody writes to.
//!
//! The journal is taken between two writes, by its owner: files that nothing more is written to are linked, so that a checkpoint
//! may remove their names, and the last segments are copied. What belongs to no moment (attachments, certificates of
//! signers, dictionaries, the audit log, what links carried) follows. The index is left out: it is derived. So are keys and tokens.
//!
//! A folder that was restored is marked. A node that starts on it takes a new epoch, so that its numbers mean nothing that they meant
//! before; what its neighbours have had since comes back to it by custody (G3).

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    attachments::ATTACHMENTS_FOLDER, dictionaries::DICTIONARIES_FOLDER, live::SIGNERS_FOLDER,
    start::JOURNAL_FOLDER, usage::Usage,
};
use crate::{journal, observe::Audit};

/// Where the backup is made, in the data folder.
pub const BACKUP_FOLDER: &str = "backup";
/// The mark of a data folder that was restored, a file in it.
pub const RESTORED_MARK: &str = "restored";
/// The last segments are written to: the one that is appended to, and the one that is made ahead of need.
const WRITTEN_SEGMENTS: usize = 2;

/// Takes the journal, in a folder made anew. Nothing writes to the journal and no checkpoint removes anything of it meanwhile.
pub(super) fn take_journal(data_dir: &Path) -> io::Result<()> {
    let folder = data_dir.join(BACKUP_FOLDER);
    clear(data_dir)?;
    make(&folder)?;
    let (from, to) = (data_dir.join(JOURNAL_FOLDER), folder.join(JOURNAL_FOLDER));
    make(&to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&from)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(journal::is_part) {
            names.push(name);
        }
    }
    // Segments come after checkpoints, in the order of their numbers.
    names.sort_unstable();
    let written = names.split_off(names.len().saturating_sub(WRITTEN_SEGMENTS));
    for name in names {
        fs::hard_link(from.join(&name), to.join(&name))?;
    }
    for name in written {
        fs::copy(from.join(&name), to.join(&name))?;
    }
    Ok(())
}

/// Takes the rest.
pub(super) fn take_rest(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join(BACKUP_FOLDER);
    let blobs = |name: &str| !name.contains(".p") && !name.starts_with("new-");
    each(data_dir, &folder, ATTACHMENTS_FOLDER, blobs, |from, to| {
        fs::hard_link(from, to)
    })?;
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map(drop);
    for name in [SIGNERS_FOLDER, DICTIONARIES_FOLDER] {
        each(data_dir, &folder, name, |_| true, copy)?;
    }
    // The head before the log: it may then tell of less than there is, and never of more.
    for name in [Audit::HEAD, Audit::FILE, Usage::FILE] {
        match fs::copy(data_dir.join(name), folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(folder)
}

/// Removes what an earlier backup left.
pub(super) fn clear(data_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(data_dir.join(BACKUP_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Takes the files of a folder and of the folders in it. One that goes meanwhile is not needed.
fn each(
    data_dir: &Path,
    backup: &Path,
    folder: &str,
    wanted: impl Fn(&str) -> bool + Copy,
    take: impl Fn(&Path, &Path) -> io::Result<()> + Copy,
) -> io::Result<()> {
    let entries = match fs::read_dir(data_dir.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    make(&backup.join(folder))?;
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let within = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            each(data_dir, backup, &within, wanted, take)?;
        } else if wanted(&name) {
            match take(&entry.path(), &backup.join(&within)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// Whether a data folder was restored and the node has not started on it since.
pub(super) fn is_restored(data_dir: &Path) -> bool {
    data_dir.join(RESTORED_MARK).exists()
}

/// The new epoch is on stable storage.
pub(super) fn forget_mark(data_dir: &Path) -> io::Result<()> {
    fs::remove_file(data_dir.join(RESTORED_MARK))?;
    File::open(data_dir)?.sync_all()
}
