//! An attachment that an application gives: written while its digest is made.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, Write as _},
};

use super::{
    Blobs, Entry, StoreError,
    chunks::Summer,
    cost,
    files::{LIST_HEAD_BYTES, New, Role, Synced},
    lock,
};
use crate::model::BlobDigest;

/// Room that was taken, and is given back unless something comes to use it.
#[derive(Debug)]
struct Room {
    blobs: Blobs,
    bytes: u64,
}

impl Room {
    /// Takes as much as an attachment of `size` bytes needs.
    fn grow(&mut self, size: u64) -> Result<(), StoreError> {
        let more = cost(size).saturating_sub(self.bytes);
        self.blobs.reserve(size, more)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.blobs.release(self.bytes);
    }
}

/// One attachment on its way in; dropped before [`finish`](Upload::finish), nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    room: Room,
    summer: Summer,
    data: New,
    list: New,
    list_writer: BufWriter<File>,
}

impl Blobs {
    /// Begins an upload.
    ///
    /// # Errors
    /// There is no room, or the disk failed.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        let mut room = Room {
            blobs: self.clone(),
            bytes: 0,
        };
        room.grow(0)?;
        let (data, list) = (self.0.files.create()?, self.0.files.create()?);
        let mut list_writer = BufWriter::new(list.file.try_clone()?);
        // The size stands there when it is known.
        list_writer.write_all(&[0; LIST_HEAD_BYTES as usize])?;
        Ok(Upload {
            room,
            summer: Summer::new(),
            data,
            list,
            list_writer,
        })
    }
}

impl Upload {
    /// How many bytes came so far.
    pub fn size(&self) -> u64 {
        self.summer.size()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// They pass a bound, or the disk failed; the upload is of no use then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.room
            .grow(self.size().saturating_add(bytes.len() as u64))?;
        self.data.file.write_all(bytes)?;
        self.summer.update(bytes, &mut self.list_writer)?;
        Ok(())
    }

    /// Makes the attachment durable under its digest, and gives that and its size. It takes the place of an equal one that is here already:
    /// that one may have rotted.
    ///
    /// # Errors
    /// The disk failed or is full; nothing of the upload stays.
    pub fn finish(self) -> Result<(BlobDigest, u64), StoreError> {
        let Self {
            room,
            summer,
            data,
            list,
            mut list_writer,
        } = self;
        let (digest, size) = summer.finish(&mut list_writer)?;
        list_writer.seek(io::SeekFrom::Start(0))?;
        list_writer.write_all(&size.to_le_bytes())?;
        list_writer.flush()?;
        publish(room, data.sync()?, list.sync()?, digest, size)?;
        Ok((digest, size))
    }
}

/// Gives the files of an attachment their names.
fn publish(
    mut room: Room,
    data: Synced,
    list: Synced,
    digest: BlobDigest,
    size: u64,
) -> Result<(), StoreError> {
    let blobs = room.blobs.clone();
    let files = &blobs.0.files;
    let _naming = lock(&blobs.0.naming);
    // The list first: a whole attachment without one would have to be read at the next start.
    files.name(list, &digest, Role::List)?;
    files.sync()?;
    files.name(data, &digest, Role::Whole)?;
    files.sync()?;
    let before = lock(&blobs.0.state)
        .entries
        .insert(digest, Entry::Whole(size));
    match before {
        // Its transfer is superfluous now. What it took is given back in place of what the upload took.
        Some(Entry::Part(part)) => {
            part.end();
            files.remove_one(&digest, Role::Part)?;
            files.remove_one(&digest, Role::Progress)?;
            room.bytes = cost(part.size());
        }
        // The room of the one before is this one's now.
        Some(Entry::Whole(_)) => {}
        None => room.bytes = 0,
    }
    Ok(())
}
