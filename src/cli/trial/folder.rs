//! The folder of a trial.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
};

use super::error::TrialError;
use crate::cli::texts::{fill, t};

/// Keys lie in it.
const MODE: u32 = 0o700;
/// Folders of earlier trials with this process's number that were killed, at most.
const LEFT_BEHIND_MAX: u32 = 100;

/// A folder that was empty and is the trial's own. It goes, with all that is in it, when this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct TrialFolder {
    path: PathBuf,
    keep: bool,
}

impl TrialFolder {
    /// Takes the folder that the user named, or a new one for temporary files.
    ///
    /// # Errors
    /// Exit code 73: it cannot be made, or there is something in it.
    pub(super) fn make(named: Option<&Path>, keep: bool) -> Result<Self, TrialError> {
        let path = match named {
            Some(path) => take(path).map(|()| path.to_owned()).map_err(|error| {
                let path = path.display();
                TrialError::cannot_create(match error.kind() {
                    ErrorKind::DirectoryNotEmpty => fill(t().trial_folder_used, &[&path]),
                    _ => fill(t().trial_folder_unmade, &[&path, &error]),
                })
            })?,
            None => temporary().map_err(|error| {
                let path = std::env::temp_dir();
                TrialError::cannot_create(fill(t().trial_no_folder, &[&path.display(), &error]))
            })?,
        };
        Ok(Self { path, keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TrialFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            eprintln!("{}", fill(t().trial_not_removed, &[&path, &error]));
        }
    }
}

fn take(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(path)?;
    match fs::read_dir(path)?.next() {
        Some(_) => Err(ErrorKind::DirectoryNotEmpty.into()),
        None => Ok(()),
    }
}

fn temporary() -> io::Result<PathBuf> {
    let mut last = ErrorKind::AlreadyExists.into();
    for number in 0..LEFT_BEHIND_MAX {
        let name = format!("casegate-trial-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(MODE).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("letter.txt");
        fs::write(&file, "mine").expect("written");
        let refused = TrialFolder::make(Some(folder.path()), false).expect_err("a refusal");
        assert_eq!(refused.code, 73);
        assert!(refused.to_string().contains("is not empty"), "{refused}");
        assert!(file.exists());
        let refused = TrialFolder::make(Some(&file), false).expect_err("a refusal");
        assert_eq!(refused.code, 73);
    }

    #[test]
    fn a_folder_goes_at_the_end_unless_it_is_kept() {
        let outer = tempfile::tempdir().expect("a folder");
        for keep in [false, true] {
            let path = outer.path().join("deep/folder");
            let folder = TrialFolder::make(Some(&path), keep).expect("a folder");
            fs::write(folder.path().join("file"), "x").expect("written");
            drop(folder);
            assert_eq!(path.exists(), keep);
        }
        let made = TrialFolder::make(None, false).expect("a folder");
        assert!(made.path().is_dir());
    }
}
