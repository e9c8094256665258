//! The seam between the journal and storage.
//!
//! Everything that the journal asks of storage goes through [`Disk`] and [`File`], so that the same code runs on a folder
//! ([`Folder`](super::Folder)) and on a simulated disk that forgets, tears, flips, fills up and fails.

use std::io;

use crate::codec::LARGE_BYTES;

/// The size of what a disk writes whole or not at all, in bytes: a write that was not synced may survive a crash in any of its
/// sectors and in no other unit.
pub const SECTOR: usize = 512;

/// A folder of files.
///
/// Names are plain file names. What a call changes is visible at once to every clone and every open file. It is **durable**, that
/// is, there after a crash, only from a later successful [`sync`](Disk::sync) on: until then a crash may undo any creation, renaming
/// or removal by itself, and in any combination.
pub trait Disk: Clone + Send + Sync + 'static {
    /// A file of the folder, open for reading and writing.
    type File: File;

    /// Makes a new, empty file; `AlreadyExists` when the name is taken.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that exists; `NotFound` when it does not.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of the files, sorted; folders in it are left out.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file. Who has it open can read it on.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of the file that has it now, if any.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable. It says nothing about what is in the files.
    fn sync(&self) -> io::Result<()>;

    /// The folder `name` in this one, made when it is missing.
    fn folder(&self, name: &str) -> io::Result<Self>;
}

/// An open file.
///
/// Bytes written are read back at once, by every handle. They are **durable** only from a later successful
/// [`sync_data`](File::sync_data) on: until then a crash may keep or lose each [`SECTOR`] of each write by itself. A sector that was
/// lost holds what it held when it was last durable, zeros where nothing was.
pub trait File: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`; makes the file longer when it ends before.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads into `buffer` from `offset` on and says how many bytes came: fewer than asked for only where the file ends.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes everything written so far durable, and the length with it (`fdatasync`).
    ///
    /// After an error nobody knows what is durable, and another call may succeed without having written anything: it must not be
    /// tried again.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file at least `len` bytes long, zeros where nothing was written, and sets that room aside, so that no later write
    /// below `len` meets a full disk. After an error some of it may be taken: remove the file, or cut it with
    /// [`set_len`](File::set_len).
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` bytes, or makes it that long with zeros without setting room aside.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Whether an error says that there is no room: free some and try again.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;

/// Reads a file from `start` on, `chunk` by chunk, and calls `visit` with each chunk and its offset until that is false. Blocks that
/// the device cannot read come with every byte [`UNREADABLE`].
pub(super) fn read_chunks(
    file: &impl File,
    start: u64,
    end: u64,
    mut visit: impl FnMut(u64, &[u8]) -> bool,
) {
    const BLOCK: usize = 4096;
    let mut buffer = vec![0; CHUNK.min(end.saturating_sub(start) as usize)];
    let mut at = start;
    while at < end {
        let wanted = buffer.len().min((end - at) as usize);
        let chunk = &mut buffer[..wanted];
        match file.read_at(chunk, at) {
            // The file has become shorter: what is not there reads as zeros.
            Ok(read) => chunk[read..].fill(0),
            Err(_) => {
                for (i, block) in chunk.chunks_mut(BLOCK).enumerate() {
                    match file.read_at(block, at + (i * BLOCK) as u64) {
                        Ok(read) => block[read..].fill(0),
                        Err(_) => block.fill(UNREADABLE),
                    }
                }
            }
        }
        if !visit(at, chunk) {
            return;
        }
        at += wanted as u64;
    }
}

/// Reads a whole file, at most `bytes_max` of it.
pub(super) fn read_whole(file: &impl File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?.min(bytes_max);
    let size = usize::try_from(len).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(size.max(LARGE_BYTES));
    read_chunks(file, 0, len, |_, chunk| {
        bytes.extend_from_slice(chunk);
        true
    });
    Ok(bytes)
}

/// What stands for a byte that could not be read: not zero, so that it is never taken for a place that was not written.
const UNREADABLE: u8 = 0xee;
