//! From a file, and what goes with it, to an event.

use std::{
    fs::File,
    io::{self, Read as _},
};

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{
    blocking,
    claim::{Place, Taken},
    files::{open_plain, read_within},
    sidecar::{Address, BYTES_MAX, Is, SUFFIX},
};
use crate::{
    api::Gateway,
    blob::{Blobs, StoreError},
    cloudevents::{FILE_NAMES, FileData, write_names},
    config::SpoolFolder,
    model::{BlobDigest, Limits, UnitId},
};

/// How much of an attachment is read at a time, bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// No event is made of a file.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It cannot be sent as it is: what is wrong, and what to do.
    Bad(String),
    /// It cannot be sent now.
    Later(String),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput => {
                Self::Bad(format!("the file {error}; drop the file itself"))
            }
            // Told to its owner, so that the others need not wait for it.
            io::ErrorKind::PermissionDenied => Self::Bad(
                "the node's user may not read it; let its group or everybody read it (chmod g+r)"
                    .to_owned(),
            ),
            _ => Self::Later(format!("a file cannot be read: {error}")),
        }
    }
}

/// Makes the event of a file, and brings what it names to the node. The same file makes the same event.
pub(super) async fn event<G: Gateway>(
    gateway: &G,
    place: &Place,
    rule: Option<&SpoolFolder>,
    taken: &Taken,
) -> Result<Bytes, Flaw> {
    let (unit, limits) = {
        let intake = gateway.intake();
        (intake.unit.clone(), *intake.limits)
    };
    let sidecar = taken.sidecar();
    let address = blocking(move || match open_plain(&sidecar) {
        Ok(file) => address(&file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    });
    let address = match (address.await?, rule) {
        (Some(address), Some(rule)) => address.or(rule),
        (Some(address), None) => address,
        (None, Some(rule)) => Address::default().or(rule),
        (None, None) if taken.name.to_ascii_lowercase().ends_with(".json") => {
            return whole_event(&unit, &limits, taken).await;
        }
        (None, None) => {
            return Err(Flaw::Bad(format!(
                "nothing says to whom it goes; put {name}{SUFFIX} with {{\"to\": \"hebi.police\", \"kind\": \"case.material\"}} beside it, \
                 or drop it into a folder that is named in the node's configuration under [[spool.folder]] ({})",
                place.path.display(),
                name = taken.name,
            )));
        }
    };
    let mut event = attributes(&unit, &taken.name, &address)?;
    let is_data = address.is == Some(Is::Data);
    let data = match is_data {
        true => {
            let data = data(taken, &address, &limits).await?;
            put(&mut event, "datacontenttype", data.media_type)?;
            data.member
        }
        false => {
            let digest = bring(gateway, taken).await?;
            put(&mut event, "attachments", Some(digest.to_string()))?;
            let names = write_names([taken.name.as_str()]);
            put(&mut event, FILE_NAMES, Some(names))?;
            None
        }
    };
    if !event.contains_key("id") {
        let folder = rule.map_or("", |rule| rule.name.as_str());
        let id = id(folder, &taken.name, &text(&event, data.as_deref()));
        put(&mut event, "id", Some(id))?;
    }
    Ok(text(&event, data.as_deref()).into())
}

/// Made of a file's name and of all that its event says, so that the same file again is the same message, and any other is another.
fn id(folder: &str, name: &str, event: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [folder, name, event] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    format!("spool-{}", &hasher.finalize().to_hex()[..32])
}

fn text(event: &Map<String, Value>, data: Option<&str>) -> String {
    let mut text = Value::from(event.clone()).to_string();
    if let Some(data) = data {
        // The closing brace makes room for the data.
        text.pop();
        text.push(',');
        text.push_str(data);
        text.push('}');
    }
    text
}

fn address(file: &File) -> Result<Address, Flaw> {
    let text = read_within(file, BYTES_MAX)?
        .ok_or_else(|| Flaw::Bad(format!("its {SUFFIX} has more than {BYTES_MAX} bytes")))?;
    Address::read(&text).map_err(|error| {
        Flaw::Bad(format!(
            "its {SUFFIX} cannot be read: {error}; write {{\"to\": \"hebi.police\", \"kind\": \"case.material\", \"case\": \"...\"}}"
        ))
    })
}

/// Every attribute but those of the content.
fn attributes(unit: &UnitId, name: &str, address: &Address) -> Result<Map<String, Value>, Flaw> {
    let required = |value: &Option<String>, key: &str, example: &str| {
        value.clone().ok_or_else(|| {
            Flaw::Bad(format!(
                "its {SUFFIX} has no \"{key}\"; write \"{key}\": \"{example}\""
            ))
        })
    };
    let mut event = Map::new();
    put(&mut event, "specversion", Some("1.0".into()))?;
    put(&mut event, "id", address.id.clone())?;
    put(&mut event, "source", Some(format!("/unit/{unit}")))?;
    let kind = required(&address.kind, "kind", "case.material")?;
    put(&mut event, "type", Some(kind))?;
    let to = required(&address.to, "to", "hebi.police")?;
    put(&mut event, "to", Some(to))?;
    put(&mut event, "caseid", address.case.clone())?;
    put(&mut event, "priority", address.priority.clone())?;
    put(&mut event, "expires", address.expires.clone())?;
    put(&mut event, "inreplyto", address.in_reply_to.clone())?;
    let title = address.title.clone().unwrap_or_else(|| name.to_owned());
    put(&mut event, "subject", Some(title))?;
    for (name, value) in &address.attributes {
        put(&mut event, name, Some(value.clone()))?;
    }
    Ok(event)
}

fn put(event: &mut Map<String, Value>, name: &str, value: Option<String>) -> Result<(), Flaw> {
    let Some(value) = value else { return Ok(()) };
    match event.insert(name.to_owned(), Value::String(value)) {
        None => Ok(()),
        Some(_) => Err(Flaw::Bad(format!(
            "its {SUFFIX} gives {name} among \"attributes\", and it is given otherwise too; leave one out"
        ))),
    }
}

/// A file that is an event already. It may leave out its id and its source.
async fn whole_event(unit: &UnitId, limits: &Limits, taken: &Taken) -> Result<Bytes, Flaw> {
    #[derive(Deserialize)]
    struct Given {
        id: Option<IgnoredAny>,
        source: Option<IgnoredAny>,
    }
    let kib_max = limits.request_kib;
    let bytes = content(taken, u64::from(kib_max) * 1024).await?;
    let bytes = bytes.ok_or_else(|| {
        Flaw::Bad(format!(
            "it has more than request-kib = {kib_max} KiB; send what is large as an attachment"
        ))
    })?;
    let given = serde_json::from_slice::<Given>(&bytes);
    let given = given.map_err(|error| {
        Flaw::Bad(format!(
            "it is no CloudEvent in JSON: {error}; correct it, or put {name}{SUFFIX} beside it to send it as it is",
            name = taken.name,
        ))
    })?;
    let mut missing = String::new();
    if given.id.is_none() {
        let id = id("", &taken.name, &String::from_utf8_lossy(&bytes));
        missing += &format!("\"id\":\"{id}\",");
    }
    if given.source.is_none() {
        missing += &format!("\"source\":\"/unit/{unit}\",");
    }
    let opening = bytes.iter().position(|byte| *byte == b'{');
    let Some((before, after)) = opening.and_then(|at| bytes.split_at_checked(at + 1)) else {
        return Err(Flaw::Bad(
            "it is no JSON object; write one CloudEvent".into(),
        ));
    };
    let mut event = before.to_vec();
    event.extend_from_slice(missing.as_bytes());
    event.extend_from_slice(after);
    Ok(event.into())
}

/// The file's content; none when it has more than so many bytes.
async fn content(taken: &Taken, bytes_max: u64) -> Result<Option<Vec<u8>>, Flaw> {
    let path = taken.data();
    blocking(move || {
        let file = open_plain(&path)?;
        let before = stamp(&file)?;
        let content = read_within(&file, bytes_max)?;
        match stamp(&file)? == before {
            true => Ok(content),
            false => Err(still_written()),
        }
    })
    .await
}

async fn data(taken: &Taken, address: &Address, limits: &Limits) -> Result<FileData, Flaw> {
    let kib_max = limits.message_kib;
    let bytes = content(taken, u64::from(kib_max) * 1024).await?;
    let bytes = bytes.ok_or_else(|| {
        Flaw::Bad(format!(
            "it has more than message-kib = {kib_max} KiB and cannot be data; send it as an attachment"
        ))
    })?;
    FileData::new(Some(&taken.name), address.content_type.as_deref(), bytes).map_err(|error| {
        Flaw::Bad(format!(
            "it is not JSON: {error}; correct it, or give \"content-type\" in its {SUFFIX}"
        ))
    })
}

/// Brings the file to the node as an attachment.
async fn bring<G: Gateway>(gateway: &G, taken: &Taken) -> Result<BlobDigest, Flaw> {
    let later = |refusal: crate::api::Refusal| Flaw::Later(refusal.detail);
    let blobs = gateway.blobs().map_err(later)?;
    let path = taken.data();
    let opened = blocking(move || {
        let file = open_plain(&path)?;
        Ok::<_, io::Error>((stamp(&file)?, file))
    });
    let ((size, _), file) = opened.await?;
    if matches!(blobs.has_room(size), Err(StoreError::Full { .. })) {
        gateway.make_room(size).await;
    }
    let (digest, size) = blocking(move || upload(&blobs, file)).await?;
    gateway.attached(digest, size).await.map_err(later)?;
    Ok(digest)
}

fn upload(blobs: &Blobs, mut file: File) -> Result<(BlobDigest, u64), Flaw> {
    let before = stamp(&file)?;
    let not_kept = |error: StoreError| match error {
        StoreError::TooLarge { .. } => Flaw::Bad(format!("{error}; send it in parts")),
        error => Flaw::Later(error.to_string()),
    };
    blobs.has_room(before.0).map_err(not_kept)?;
    let mut upload = blobs.upload().map_err(not_kept)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let part = buffer.get(..read).unwrap_or_default();
                upload.write(part).map_err(not_kept)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if stamp(&file)? != before || upload.size() != before.0 {
        return Err(still_written());
    }
    upload.finish().map_err(not_kept)
}

fn stamp(file: &File) -> io::Result<(u64, std::time::SystemTime)> {
    let about = file.metadata()?;
    Ok((about.len(), about.modified()?))
}

fn still_written() -> Flaw {
    Flaw::Later("it is still being written".into())
}
