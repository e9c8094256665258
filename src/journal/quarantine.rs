//! What is damaged, kept for whoever wants to look at it.

use std::io;

use super::disk::{Disk, File};

/// The folder, in the journal's.
const QUARANTINE: &str = "quarantine";

/// Keeps damaged bytes, as long as there is room.
pub(super) struct Quarantine<D> {
    disk: D,
    bytes_max: u64,
    /// The folder, and how many bytes are in it.
    open: Option<(D, u64)>,
}

impl<D: Disk> Quarantine<D> {
    pub(super) fn new(disk: D, bytes_max: u64) -> Self {
        Self {
            disk,
            bytes_max,
            open: None,
        }
    }

    /// Keeps bytes under a name; none when there are none, or they are not kept.
    pub(super) fn keep(&mut self, name: &str, bytes: &[u8]) -> Option<String> {
        if bytes.is_empty() {
            return None;
        }
        self.try_keep(name, bytes).ok()?.then(|| name.to_owned())
    }

    fn try_keep(&mut self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let (folder, used) = match self.open.take() {
            Some(open) => open,
            None => {
                let folder = self.disk.folder(QUARANTINE)?;
                let mut used = 0;
                for name in folder.list()? {
                    used += folder.open(&name)?.len()?;
                }
                (folder, used)
            }
        };
        let len = bytes.len() as u64;
        let (kept, more) = match folder.open(name) {
            // An earlier start kept it.
            Ok(file) => (file.len().map(|there| there == len), 0),
            Err(_) if used + len > self.bytes_max => (Ok(false), 0),
            Err(_) => (write_new(&folder, name, bytes).map(|()| true), len),
        };
        self.open = Some((folder, used + more));
        kept
    }
}

fn write_new<D: Disk>(folder: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let file = folder.create(name)?;
    let written = file
        .write_at(bytes, 0)
        .and_then(|()| file.sync_data())
        .and_then(|()| folder.sync());
    if written.is_err() {
        // Best effort: half of it is of no use.
        let _ = folder.remove(name);
    }
    written
}
