//! The file that a checkpoint is written to, with room set aside: when the disk is full, a checkpoint is what makes room again.

use std::io;

use super::disk::{Disk, File as _};

/// Its name, until what is in it is a checkpoint and has a name of its own.
pub(super) const NAME: &str = "checkpoint.draft";

/// The room that is set aside, in bytes. A state that takes more finds it in the second file of the checkpoint before.
pub(super) fn bytes(segment_bytes: u32) -> u64 {
    u64::from(segment_bytes / 4)
}

/// The file, as it is.
pub(super) fn open<D: Disk>(disk: &D) -> io::Result<D::File> {
    match disk.open(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(NAME),
        opened => opened,
    }
}

/// Sets `bytes` aside, no more and no less. Nothing is left of the file after an error.
pub(super) fn set_aside<D: Disk>(disk: &D, bytes: u64) -> io::Result<()> {
    let file = open(disk)?;
    let set_aside = match file.len()? > bytes {
        true => file.set_len(bytes),
        false => file.allocate(bytes),
    };
    if set_aside.is_err() {
        // Best effort: the next checkpoint tries again.
        let _ = disk.remove(NAME);
    }
    set_aside
}
