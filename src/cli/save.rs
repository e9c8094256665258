//! `casegate receive --save`: files that are there for good before their message is acked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use serde_json::Value;

use super::{
    attach,
    client::Client,
    exit::{BAD_DATA, CANNOT_CREATE, Failure},
    receive::Received,
    texts::{fill, t},
};
use crate::{
    cloudevents::{extension, is_json, plain_name},
    model::BlobDigest,
};

/// Makes the folder when it is not there, durably.
///
/// # Errors
/// It cannot be made or read.
pub fn prepare(folder: &Path) -> Result<(), Failure> {
    // Relative to a folder whose parents have names.
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let missing: Vec<_> = whole.ancestors().take_while(|dir| !dir.exists()).collect();
    let sync = |dir: &Path| File::open(dir)?.sync_all();
    fs::create_dir_all(&whole)
        .and_then(|()| {
            missing
                .iter()
                .filter_map(|dir| dir.parent())
                .try_for_each(sync)
        })
        .and_then(|()| sync(&whole))
        .map_err(|error| {
            let text = fill(t().folder_unmade_save, &[&folder.display(), &error]);
            Failure::new(CANNOT_CREATE, text)
        })
}

/// The files of one message.
#[derive(Debug)]
pub struct Saved {
    /// Of the event.
    pub event: PathBuf,
    /// Of its attachments, in order.
    pub attachments: Vec<SavedAttachment>,
}

/// An attachment's file.
#[derive(Debug, serde::Serialize)]
pub struct SavedAttachment {
    /// Its digest.
    pub digest: BlobDigest,
    /// Its name, as its sender gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is.
    pub file: PathBuf,
}

/// Writes messages into the folder, and fetches their attachments; returns once they are on stable storage, with the files of each. A
/// message that is there already is written anew: it came again because it was not acked.
///
/// # Errors
/// One cannot be written or fetched. Files of the others may be there.
pub fn save(client: &Client, folder: &Path, messages: &[Received]) -> Result<Vec<Saved>, Failure> {
    let mut files = Vec::with_capacity(messages.len());
    for message in messages {
        if let Some((extension, data)) = data(message)? {
            put(folder, &format!("{}.{extension}", message.message), &data)?;
        }
        let mut attachments = Vec::new();
        for (number, (digest, name)) in (1..).zip(attach::of(&message.event)) {
            let plain = plain_name(name.as_deref());
            let file = folder.join(format!("{}.{number}.{plain}", message.message));
            let unfinished = unfinished(folder, &format!("{}.{number}", message.message));
            attach::fetch(client, &digest, &unfinished, plain.as_str())
                .and_then(|()| fs::rename(&unfinished, &file).map_err(|e| cannot_write(&file, &e)))
                .inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
            attachments.push(SavedAttachment { digest, name, file });
        }
        let event = format!("{}\n", message.raw.get());
        let name = format!("{}.json", message.message);
        files.push(Saved {
            event: put(folder, &name, event.as_bytes())?,
            attachments,
        });
    }
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| cannot_write(folder, &error))?;
    Ok(files)
}

/// Writes one file, whole or not at all. Its name is durable once the folder is synced. Names are made of a messageid and a known
/// extension, so that nothing that a sender wrote becomes part of a path; of an attachment's name only harmless letters do
/// ([`plain_name`]).
fn put(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let unfinished = unfinished(folder, name);
    let written = write(&unfinished, content).and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|error| {
        // What is left of it has a name that says so.
        let _ = fs::remove_file(&unfinished);
        cannot_write(&path, &error)
    })?;
    Ok(path)
}

/// What a file is called until it is whole.
fn unfinished(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.{}.part", std::process::id()))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A file cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let text = fill(t().unwritable_save, &[&path.display(), error]);
    Failure::new(CANNOT_CREATE, text)
}

/// Data that is not JSON, and the extension of its file.
fn data(message: &Received) -> Result<Option<(&'static str, Vec<u8>)>, Failure> {
    let event = &message.event;
    let media_type = event["datacontenttype"].as_str();
    let bytes = match (&event["data"], &event["data_base64"]) {
        (Value::String(text), _) if media_type.is_some_and(|given| !is_json(given)) => {
            text.clone().into_bytes()
        }
        (_, Value::String(base64)) => BASE64.decode(base64.as_bytes()).map_err(|error| {
            let colon = t().colon;
            let text = format!("{}{colon}data_base64{colon}{error}", message.message);
            Failure::new(BAD_DATA, text)
        })?,
        _ => return Ok(None),
    };
    Ok(Some((extension(media_type), bytes)))
}
