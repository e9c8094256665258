//! What a start finds in the folder, and what it makes of it.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{BufWriter, Read, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Entry, State,
    chunks::{Bits, Summer, proves},
    cost,
    files::{self, Files, LIST_HEAD_BYTES, Name, Role},
    partial::Part,
};
use crate::model::{BlobDigest, Ranges, chunk_count};

/// What was found at a start.
#[derive(Debug, Default)]
pub struct Found {
    /// Whole attachments and their sizes.
    pub whole: Vec<(BlobDigest, u64)>,
    /// Those that were being received.
    pub partial: Vec<Partial>,
    /// What did not fit together.
    pub set_aside: Vec<SetAside>,
}

/// An attachment that was being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Its name.
    pub digest: BlobDigest,
    /// Its size, as the neighbour gave it.
    pub size: u64,
    /// Chunks that are here.
    pub have: Ranges,
}

/// An attachment that was moved to the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its name.
    pub digest: BlobDigest,
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong.
    pub why: &'static str,
}

pub(super) fn open(folder: &Path) -> io::Result<(Files, Found, State)> {
    let files = Files::at(folder)?;
    let mut by_digest: BTreeMap<BlobDigest, Vec<Role>> = BTreeMap::new();
    for (text, name) in files.names()? {
        match name {
            Name::Of(digest, role) => by_digest.entry(digest).or_default().push(role),
            Name::New => files.remove_named(&text)?,
            Name::Unknown => {}
        }
    }
    let (mut found, mut state) = (Found::default(), State::default());
    for (digest, roles) in by_digest {
        let has = |role| roles.contains(&role);
        let was = if has(Role::Whole) {
            whole(&files, &digest, has(Role::List))?
        } else if has(Role::Part) && has(Role::List) {
            part(&files, &digest, has(Role::Progress))?
        } else {
            Was::Leftover
        };
        let entry = match was {
            Was::Whole(size) => {
                // Left when the process ended in between.
                files.remove_one(&digest, Role::Part)?;
                files.remove_one(&digest, Role::Progress)?;
                found.whole.push((digest, size));
                Entry::Whole(size)
            }
            Was::Part(size, bits) => {
                found.partial.push(Partial {
                    digest,
                    size,
                    have: bits.iter().collect(),
                });
                Entry::Part(Arc::new(Part::new(size, bits)))
            }
            Was::Leftover => {
                files.remove(&digest)?;
                continue;
            }
            Was::Wrong(why) => {
                let path = files.set_aside(&digest)?;
                found.set_aside.push(SetAside { digest, path, why });
                continue;
            }
        };
        let size = match &entry {
            Entry::Whole(size) => *size,
            Entry::Part(part) => part.size(),
        };
        state.bytes_used += cost(size);
        state.entries.insert(digest, entry);
    }
    state.bytes_used += files.quarantined()?;
    Ok((files, found, state))
}

enum Was {
    Whole(u64),
    Part(u64, Bits),
    /// What an end in between leaves: nothing of it was promised.
    Leftover,
    Wrong(&'static str),
}

fn whole(files: &Files, digest: &BlobDigest, has_list: bool) -> io::Result<Was> {
    let len = files.len(digest, Role::Whole)?;
    if has_list && files.list_size(digest)? == Some(len) {
        return Ok(Was::Whole(len));
    }
    // One of the two is wrong. The digest tells which.
    Ok(match mend_list(files, digest, len)? {
        true => Was::Whole(len),
        false => Was::Wrong("its bytes are not those of its digest"),
    })
}

/// Makes the list of an attachment anew, if its bytes are those of its digest.
pub(super) fn mend_list(files: &Files, digest: &BlobDigest, len: u64) -> io::Result<bool> {
    let list = files.create()?;
    let mut list_writer = BufWriter::new(list.file.try_clone()?);
    list_writer.write_all(&len.to_le_bytes())?;
    let (summed, _) = sum(files.open(digest, Role::Whole)?, &mut list_writer)?;
    if summed != *digest {
        return Ok(false);
    }
    list_writer.flush()?;
    files.name(list.sync()?, digest, Role::List)?;
    files.sync()?;
    Ok(true)
}

/// Digest and size of a file; the values of its chunks go to `list`.
fn sum(mut file: fs::File, list: &mut impl io::Write) -> io::Result<(BlobDigest, u64)> {
    let mut summer = Summer::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return summer.finish(list),
            Ok(len) => summer.update(buffer.get(..len).unwrap_or_default(), list)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn part(files: &Files, digest: &BlobDigest, has_progress: bool) -> io::Result<Was> {
    let Some(size) = files.list_size(digest)? else {
        return Ok(Was::Wrong("its list is not as long as its size asks"));
    };
    if files.len(digest, Role::Part)? != size {
        return Ok(Was::Wrong("it is not as long as its list says"));
    }
    let listed = files::list(&files.open(digest, Role::List)?, size)?;
    if !proves(digest, size, &listed) {
        // Held against it, every chunk that comes would be the neighbour's fault.
        return Ok(Was::Wrong("its list is not that of its digest"));
    }
    let chunks = chunk_count(size);
    let mut progress = Vec::new();
    if has_progress {
        files
            .open(digest, Role::Progress)?
            .take(chunks.div_ceil(8))
            .read_to_end(&mut progress)?;
    }
    let bits = Bits::read(chunks, &progress);
    if !has_progress || progress.len() != bits.as_bytes().len() {
        // A sync writes over the file; it must be there.
        let mut new = files.create()?;
        new.file.write_all(bits.as_bytes())?;
        files.name(new.sync()?, digest, Role::Progress)?;
        files.sync()?;
    }
    Ok(Was::Part(size, bits))
}

const _: () = assert!(LIST_HEAD_BYTES == size_of::<u64>() as u64);
