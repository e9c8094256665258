//! Reading an attachment, whole or not, chunk by chunk.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use super::{
    Blobs, Entry, ReadError,
    chunks::{proves, value_of},
    files::{self, Role},
    lock,
    partial::Part,
};
use crate::model::{BlobDigest, CHUNK_BYTES, chunk_len};

/// An open attachment. It reads on when the attachment becomes whole or is removed. Holds two files open.
#[derive(Debug)]
pub struct Reader {
    digest: BlobDigest,
    size: u64,
    data: File,
    list: File,
    /// Which chunks are there, of one that is being received.
    part: Option<Arc<Part>>,
}

impl Blobs {
    /// Opens an attachment, whole or not.
    ///
    /// # Errors
    /// It is not here (`NotFound`), or the disk failed.
    pub fn reader(&self, digest: &BlobDigest) -> io::Result<Reader> {
        // So that the files keep their names meanwhile.
        let _naming = lock(&self.0.naming);
        let entry = lock(&self.0.state).entries.get(digest).cloned();
        let (size, role, part) = match entry {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Entry::Whole(size)) => (size, Role::Whole, None),
            Some(Entry::Part(part)) => (part.size(), Role::Part, Some(part)),
        };
        Ok(Reader {
            digest: *digest,
            size,
            data: self.0.files.open(digest, role)?,
            list: self.0.files.open(digest, Role::List)?,
            part,
        })
    }
}

impl Reader {
    /// The attachment's size, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The chunk list, which proves itself: at most 1 MiB for 2 GiB, nothing for a single chunk.
    ///
    /// # Errors
    /// It is damaged, or the disk failed.
    pub fn list(&self) -> Result<Vec<u8>, ReadError> {
        let list = files::list(&self.list, self.size)?;
        match proves(&self.digest, self.size, &list) {
            true => Ok(list),
            false => Err(ReadError::DamagedList),
        }
    }

    /// Reads chunk `number` in place of what `bytes` has, and compares it with the list.
    ///
    /// # Errors
    /// It is not here, is damaged (of one that is being received, it then counts as not received), or the disk failed; `bytes` is then of
    /// no use.
    pub fn chunk(&self, number: u64, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
        let len = chunk_len(self.size, number).ok_or(ReadError::PastTheEnd)?;
        if self.part.as_ref().is_some_and(|part| !part.has(number)) {
            return Err(ReadError::NotHere);
        }
        bytes.resize(len, 0);
        let value = files::value(&self.digest, self.size, &self.list, number)?;
        let read = self.data.read_exact_at(bytes, number * CHUNK_BYTES);
        if matches!(&read, Err(error) if error.kind() != io::ErrorKind::UnexpectedEof) {
            read?;
        } else if read.is_ok() && value_of(self.size, number, bytes) == value {
            return Ok(());
        }
        if let Some(part) = &self.part {
            part.damaged(number);
        }
        Err(ReadError::Damaged(number))
    }
}
