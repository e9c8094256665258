//! Attachments on the command line: brought to the node before a message names them, and fetched from it when one does.
//!
//! A message names its attachments by digest alone. The names of their files travel in an extension attribute of their own,
//! [`FILE_NAMES`], in the same order; any application may write and read it.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::{
    client::{CallError, Client, escaped},
    exit::{Failure, INTERNAL, LATER},
    save::cannot_write,
    send::unreadable,
    texts::{fill, t},
};
use crate::{
    cloudevents::{FILE_NAMES, read_names, write_names},
    model::BlobDigest,
};

/// How often in a row a connection may break without a byte having come.
const ATTEMPTS_MAX: u32 = 5;
/// The pause before the second attempt; each further one is as much longer.
const PAUSE: Duration = Duration::from_millis(200);
/// How much is read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that the node has.
#[derive(Debug)]
pub struct Attached {
    digest: BlobDigest,
    name: String,
}

/// Brings files to the node.
///
/// # Errors
/// One cannot be read, or the node does not take it. Those before it are there, and are removed when no message names them.
pub fn upload(client: &Client, files: &[PathBuf]) -> Result<Vec<Attached>, Failure> {
    files.iter().map(|file| upload_one(client, file)).collect()
}

fn upload_one(client: &Client, path: &Path) -> Result<Attached, Failure> {
    #[derive(Deserialize)]
    struct Brought {
        digest: BlobDigest,
    }
    let shown = path.display().to_string();
    let failed = |error: io::Error| unreadable(&shown, &error);
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(failed(io::Error::other(t().no_plain_file)));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bar = bar(about.len(), &name);
    let mut reading = Reading {
        // A file that grows meanwhile goes as long as it was.
        file: file.take(about.len()),
        hasher: blake3::Hasher::new(),
        bar: &bar,
        failed: None,
    };
    let target = format!("/v1/attachments?name={}", escaped(&name));
    let answer = client.put(&target, &mut reading, about.len());
    bar.finish_and_clear();
    if let Some(error) = reading.failed.take() {
        return Err(failed(error));
    }
    let place = |failure: Failure| failure.within(&format!("{shown}{}", t().colon), "");
    let answer = answer.map_err(|error| place(error.into()))?;
    let Brought { digest } = client.parse(&answer)?;
    if digest.0 != *reading.hasher.finalize().as_bytes() {
        return Err(Failure::new(LATER, fill(t().attached_changed, &[&shown])));
    }
    Ok(Attached {
        digest,
        name: name.into_owned(),
    })
}

/// A file on its way to the node.
struct Reading<'a> {
    file: io::Take<File>,
    hasher: blake3::Hasher,
    bar: &'a ProgressBar,
    /// What kept it from being read, which the call would tell as something else.
    failed: Option<io::Error>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        let len = match read {
            Ok(0) if self.file.limit() > 0 && !buffer.is_empty() => {
                self.failed = Some(io::Error::other(t().became_shorter));
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(len) => len,
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                return Err(kind.into());
            }
        };
        self.hasher.update(buffer.get(..len).unwrap_or_default());
        self.bar.inc(len as u64);
        Ok(len)
    }
}

/// What has gone of attachments to the next node, on a terminal.
#[derive(Debug)]
pub struct Leaving<'a> {
    client: &'a Client,
    digests: Vec<BlobDigest>,
    bar: ProgressBar,
}

impl<'a> Leaving<'a> {
    /// Of these.
    pub fn of(client: &'a Client, attached: &[Attached]) -> Self {
        Self {
            client,
            digests: attached.iter().map(|one| one.digest).collect(),
            bar: bar(0, t().on_the_way),
        }
    }

    /// Asks the node, if somebody sees it.
    pub fn look(&mut self) {
        #[derive(Deserialize)]
        struct Status {
            attachments: Attachments,
        }
        #[derive(Deserialize)]
        struct Attachments {
            under_way: Vec<Transfer>,
        }
        #[derive(Deserialize)]
        struct Transfer {
            digest: BlobDigest,
            way: String,
            size: Option<u64>,
            bytes: u64,
        }
        if self.digests.is_empty() || self.bar.is_hidden() {
            return;
        }
        // The wait itself tells when the node does not answer.
        let Ok(status) = self.client.read::<Status>("/v1/status") else {
            return;
        };
        let leaving =
            |transfer: &&Transfer| transfer.way == "out" && self.digests.contains(&transfer.digest);
        let under_way = || status.attachments.under_way.iter().filter(leaving);
        let size = under_way().filter_map(|transfer| transfer.size).sum();
        if size > 0 {
            self.bar.set_length(size);
            let bytes = under_way().map(|transfer| transfer.bytes).sum();
            self.bar.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// The attribute that names them.
pub fn digests(attached: &[Attached]) -> String {
    let digests: Vec<_> = attached.iter().map(|one| one.digest.to_string()).collect();
    digests.join(" ")
}

/// The attribute [`FILE_NAMES`].
pub fn names(attached: &[Attached]) -> String {
    write_names(attached.iter().map(|one| one.name.as_str()))
}

/// The attachments of an event, and their names as far as the sender gave them.
pub fn of(event: &Value) -> Vec<(BlobDigest, Option<String>)> {
    let text = |attribute: &str| event[attribute].as_str().unwrap_or_default();
    let mut names = read_names(text(FILE_NAMES));
    text("attachments")
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .map(|digest| (digest, names.next().flatten()))
        .collect()
}

/// Fetches an attachment to a file and syncs that; goes on where it was when the connection breaks.
///
/// # Errors
/// The node does not have it, or breaks off again and again; or the file cannot be written.
pub fn fetch(
    client: &Client,
    digest: &BlobDigest,
    path: &Path,
    shown: &str,
) -> Result<(), Failure> {
    let bar = bar(0, shown);
    let fetched = Fetching {
        client,
        digest,
        path,
        bar: &bar,
    }
    .fetch();
    bar.finish_and_clear();
    fetched
}

struct Fetching<'a> {
    client: &'a Client,
    digest: &'a BlobDigest,
    path: &'a Path,
    bar: &'a ProgressBar,
}

/// A file as far as it has come.
struct Coming {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Fetching<'_> {
    fn fetch(&self) -> Result<(), Failure> {
        let failed = |error: &io::Error| cannot_write(self.path, error);
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.path)
            .map_err(|error| failed(&error))?;
        let mut coming = Coming {
            file,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        let mut attempts = 0;
        loop {
            let before = coming.bytes;
            let broken = match self.go_on(&mut coming) {
                Ok(None) => break,
                Ok(Some(error)) => {
                    Failure::new(LATER, fill(t().attachment_broke, &[self.digest, &error]))
                }
                // Nothing may have come because it was all there already.
                Err(CallError::Refused(refused)) if refused.status == 416 && before > 0 => break,
                Err(CallError::NotReachable(failure)) if before > 0 => failure,
                Err(error) => return Err(error.into()),
            };
            attempts = if coming.bytes > before {
                0
            } else {
                attempts + 1
            };
            if attempts == ATTEMPTS_MAX {
                return Err(broken);
            }
            thread::sleep(PAUSE * attempts);
        }
        if self.digest.0 != *coming.hasher.finalize().as_bytes() {
            let text = fill(t().attachment_changed, &[self.digest]);
            return Err(Failure::new(INTERNAL, text));
        }
        coming.file.sync_all().map_err(|error| failed(&error))
    }

    /// Takes what comes over one connection; gives what broke it, or nothing at the end.
    fn go_on(&self, coming: &mut Coming) -> Result<Option<io::Error>, CallError> {
        let failed = |error| CallError::Strange(cannot_write(self.path, &error));
        let path = format!("/v1/attachments/{}", self.digest);
        let (at, total, mut body) = self.client.stream(&path, coming.bytes)?;
        if at != coming.bytes {
            coming.file.set_len(0).map_err(failed)?;
            io::Seek::rewind(&mut coming.file).map_err(failed)?;
            coming.hasher = blake3::Hasher::new();
            coming.bytes = 0;
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) if total.is_some_and(|total| coming.bytes < total) => {
                    return Ok(Some(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => return Ok(None),
                Ok(read) => buffer.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error)),
            };
            coming.file.write_all(read).map_err(failed)?;
            coming.hasher.update(read);
            coming.bytes += read.len() as u64;
            self.bar.set_position(coming.bytes);
        }
    }
}

/// A bar on standard error, when that is a terminal; nothing otherwise.
fn bar(bytes: u64, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(bytes).with_message(name.to_owned());
    match ProgressStyle::with_template(t().bar_left) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read_as_they_were_written_and_in_the_order_of_the_digests() {
        let attached: Vec<_> = ["scan 1.pdf", "100%.txt", "", "案卷\u{7f}.zip", "a%20b"]
            .into_iter()
            .map(|name| Attached {
                digest: BlobDigest::of(name.as_bytes()),
                name: name.to_owned(),
            })
            .collect();
        let names = names(&attached);
        assert_eq!(names, "scan%201.pdf 100%25.txt % 案卷%7F.zip a%2520b");
        let event = json!({"attachments": digests(&attached), "attachmentnames": names});
        let read = of(&event);
        for ((digest, name), attached) in read.iter().zip(&attached) {
            assert_eq!(*digest, attached.digest);
            let expected = Some(&attached.name).filter(|name| !name.is_empty());
            assert_eq!(name.as_ref(), expected);
        }
        assert_eq!(read.len(), attached.len());
        // Another application may have written fewer names, or none.
        let event = json!({"attachments": digests(&attached), "attachmentnames": "a %zz"});
        let names: Vec<_> = of(&event).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names[..2], [Some("a".to_owned()), Some("%zz".to_owned())]);
        assert_eq!(names[2..], [None, None, None]);
        assert_eq!(of(&json!({})), []);
    }
}
