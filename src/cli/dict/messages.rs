//! The messages that a dictionary is trained on: CloudEvents from files, made into what a gateway makes of them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    cli::{
        exit::{BAD_DATA, Failure},
        send::unreadable,
        texts::{fill, t},
    },
    cloudevents::Intake,
    model::{Fingerprint, Kind, KindRule, Kinds, Lane, Limits, Millis, UnitId},
    parcel::Parcel,
    wire,
};

/// Largest event, in bytes: what `limits.request-kib` may be set to at most.
const EVENT_BYTES_MAX: u64 = 64 << 20;
/// Most bytes of events; the rest is left out. More does not make a better dictionary of 112 KiB.
const EVENTS_BYTES_MAX: u64 = 64 << 20;
/// Most files.
const FILES_MAX: usize = 1_000_000;

const DAY: Millis = 24 * 3600 * 1000;

/// A message as it would be sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) sender: UnitId,
    /// Whom its receipts come from, and whom this unit's receipts go to.
    pub(super) receivers: Vec<UnitId>,
    /// Unsigned.
    pub(super) parcel: Parcel,
    pub(super) accepted: Millis,
    /// Bytes of the event, as it was submitted.
    pub(super) submitted: usize,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// In the order of the files' names and of their lines.
    pub(super) messages: Vec<Message>,
    /// Messages of other units than the one that was asked for.
    pub(super) foreign: usize,
    /// Whether there was more than is used.
    pub(super) is_cut: bool,
    bytes: u64,
}

/// What decides how an event is read.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    time: Option<Timestamp>,
    expires: Option<Timestamp>,
}

impl Messages {
    /// Reads files, and folders of them (`.json`: an event; `.jsonl`: one a line). Only messages of `unit`, if one is named.
    ///
    /// # Errors
    /// Something cannot be read, or is not a CloudEvent that a gateway takes: the first, with its place.
    pub(super) fn read(inputs: &[PathBuf], unit: Option<&UnitId>) -> Result<Self, Failure> {
        let mut found = Self::default();
        for input in inputs {
            for file in files(input)? {
                found.file(&file, unit)?;
                if found.is_cut {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Who sent them.
    pub(super) fn senders(&self) -> BTreeSet<&UnitId> {
        self.messages
            .iter()
            .map(|message| &message.sender)
            .collect()
    }

    fn file(&mut self, path: &Path, unit: Option<&UnitId>) -> Result<(), Failure> {
        let name = path.display().to_string();
        let failed = |error| unreadable(&name, &error);
        let mut input = BufReader::new(File::open(path).map_err(failed)?);
        if path.extension().is_some_and(|end| end == "json") {
            let mut event = Vec::new();
            let mut input = input.take(EVENT_BYTES_MAX);
            input.read_to_end(&mut event).map_err(failed)?;
            return self.event(&name, &event, unit);
        }
        for number in 1.. {
            let mut line = Vec::new();
            let mut input = (&mut input).take(EVENT_BYTES_MAX);
            if input.read_until(b'\n', &mut line).map_err(failed)? == 0 || self.is_cut {
                break;
            }
            let line = line.trim_ascii();
            if !line.is_empty() {
                self.event(&format!("{name}:{number}"), line, unit)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, place: &str, event: &[u8], unit: Option<&UnitId>) -> Result<(), Failure> {
        let refused =
            |why: String| Failure::new(BAD_DATA, fill(t().dictionary_event, &[&place, &why]));
        if self.bytes + event.len() as u64 > EVENTS_BYTES_MAX {
            self.is_cut = true;
            return Ok(());
        }
        self.bytes += event.len() as u64;
        let known: Event<'_> =
            serde_json::from_slice(event).map_err(|error| refused(error.to_string()))?;
        let sender: UnitId = known
            .source
            .strip_prefix("/unit/")
            .and_then(|unit| unit.parse().ok())
            .ok_or_else(|| refused(t().dictionary_source.into()))?;
        if unit.is_some_and(|unit| *unit != sender) {
            self.foreign += 1;
            return Ok(());
        }
        let kind = known.kind.parse();
        let kinds = kinds_with(kind.map_err(|error| refused(format!("type: {error}")))?);
        let accepted = accepted(&known);
        let intake = Intake {
            unit: &sender,
            kinds: &kinds,
            limits: &Limits {
                message_kib: (EVENT_BYTES_MAX / 1024) as u32,
                receivers: u32::MAX,
                ..Limits::default()
            },
            signer: Fingerprint([0; 16]),
            accepted,
        };
        let submission = intake
            .structured(&Bytes::copy_from_slice(event))
            .map_err(|error| refused(error.to_string()))?;
        let header = &submission.header;
        self.messages.push(Message {
            receivers: header.to.iter().filter_map(|to| to.as_unit()).collect(),
            parcel: wire::unsigned(header, &submission.body),
            sender,
            accepted,
            submitted: event.len(),
        });
        Ok(())
    }
}

/// A message may have been sent long ago: when, so that its expiry is no fault.
fn accepted(event: &Event<'_>) -> Millis {
    let millis = |at: Timestamp| Millis::try_from(at.as_millisecond()).unwrap_or(0);
    let now = || millis(Timestamp::now());
    let time = event.time.map(millis);
    match event.expires.map(millis) {
        Some(expires) => time
            .filter(|time| (*time..*time + 90 * DAY).contains(&expires) && expires > *time)
            .unwrap_or(expires.saturating_sub(30 * DAY)),
        None => time.unwrap_or_else(now),
    }
}

/// The known kinds and this one, which the node's configuration may have added.
fn kinds_with(kind: Kind) -> Kinds {
    let mut kinds = Kinds::default();
    if kinds.get(&kind).is_none() && !kind.is_receipt() {
        let rule = KindRule {
            lane: Lane::Normal,
            expires_days: 30,
            read_receipt: true,
            compressed: true,
        };
        kinds.insert(kind, rule);
    }
    kinds
}

/// The files of an input: itself, or those in the folder whose names end as events' do, in order.
fn files(input: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| unreadable(&input.display().to_string(), &error);
    if !fs::metadata(input).map_err(failed)?.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(input).map_err(failed)?.take(FILES_MAX) {
        let path = entry.map_err(failed)?.path();
        let is_event = path
            .extension()
            .is_some_and(|end| end == "json" || end == "jsonl");
        if is_event && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let text = fill(t().dictionary_no_files, &[&input.display()]);
        return Err(Failure::new(BAD_DATA, text));
    }
    Ok(files)
}
