//! `[spool]` and `[deliver]`: how messages pass between this node and applications that do not call it.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use hyper::Uri;
use rustix::fs::{Access, access};

use super::{
    Settings,
    document::{Document, Section},
    field::{Field, quoted},
    files::{Lines, others_may_read, shown},
    finding::{Severity, Warning, Warnings},
    here::{self, Fixes},
    read::Offsets,
    texts::told,
};
use crate::{
    language::{Both, fill},
    model::{Kind, Kinds, Lane, Limits, Pattern},
};

/// Folders in which files are dropped, and in which files appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Files that are dropped here are sent.
    pub incoming: Option<PathBuf>,
    /// What comes for this unit is written here.
    pub out: Option<PathBuf>,
    /// Folders in `incoming` that say to whom what is dropped in them goes; names are unique.
    pub folders: Vec<SpoolFolder>,
    /// How long what was sent stays to be looked at, days.
    pub keep_days: u32,
    /// Messages that lie in `out` until no more are put there.
    pub out_messages: u32,
    /// Whether the group of the node's user may read and remove what the node writes.
    pub open_to_group: bool,
}

impl Spool {
    /// Days that what was sent stays, unless the file says otherwise.
    pub const KEEP_DAYS: u32 = 30;
    /// Messages in `out`, unless the file says otherwise.
    pub const OUT_MESSAGES: u32 = 10_000;
    /// Most folders with a rule: each is looked into all the time.
    pub const FOLDERS_MAX: usize = 64;
}

/// A folder whose files all go the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolFolder {
    /// The folder's name in `spool.in`.
    pub name: String,
    /// The receivers.
    pub to: Vec<Pattern>,
    /// The kind.
    pub kind: Kind,
    /// The case.
    pub case: Option<String>,
    /// The lane, where it is not the kind's.
    pub priority: Option<Lane>,
    /// The title, where it is not the file's name.
    pub title: Option<String>,
    /// Whether a file is the message's data, and not attached to it.
    pub is_data: bool,
}

impl SpoolFolder {
    /// Longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;
    /// Names of folders that the node makes in `spool.in` itself.
    pub const TAKEN: [&'static str; 2] = ["sent", "failed"];
}

/// Where received messages are posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// A URL of this machine, over HTTP.
    pub url: Uri,
    /// Holds the secret that calls are signed with; the node makes one of its own otherwise.
    pub secret_file: Option<PathBuf>,
    /// How long the application may take for one message, seconds.
    pub timeout_s: u32,
    /// Most messages that wait for its answer at a time.
    pub in_flight: u32,
    /// Longest pause between two attempts, seconds.
    pub retry_max_s: u32,
}

impl Deliver {
    /// How long a call may take, unless the file says otherwise, seconds.
    pub const TIMEOUT_S: u32 = 30;
    /// Calls at a time, unless the file says otherwise.
    pub const IN_FLIGHT: u32 = 4;
    /// The longest pause, unless the file says otherwise, seconds.
    pub const RETRY_MAX_S: u32 = 3600;
}

/// What is posted has the texts of cases, so it leaves this machine over links alone.
const URL: Fixes = Fixes {
    example: "http://127.0.0.1:9000/case",
    listener: |t| t.application,
    elsewhere: |t| t.application_elsewhere,
    instead_of_password: |t| t.application_signed,
};

/// Longest case or title of a folder, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Reads `[spool]`.
pub(super) fn spool(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    file: &Path,
    kinds: &Kinds,
    offsets: &mut Offsets,
) -> Option<Spool> {
    let path = |field: Field<'_, '_>| Some((field.at(), field.path_beside(file)?));
    let incoming = section.field("in").and_then(path);
    let out = section.field("out").and_then(path);
    let keep_days = section
        .field("keep-days")
        .and_then(|field| field.number(1..=3650));
    let out_messages = section
        .field("out-messages")
        .and_then(|field| field.number(1..=1_000_000));
    let open_to_group = section
        .field("open-to-group")
        .and_then(|field| field.boolean());
    let sections = section.sections("folder");
    if let Some(beyond) = sections.get(Spool::FOLDERS_MAX) {
        document.error(
            beyond.at(),
            "spool.folder",
            told(|t| fill(t.folders_too_many, &[&sections.len()])),
            told(|t| fill(t.write_at_most, &[&Spool::FOLDERS_MAX])),
        );
    }
    let mut lines = BTreeMap::new();
    let folders = sections.iter().take(Spool::FOLDERS_MAX);
    let folders: Vec<_> = folders
        .filter_map(|section| folder(document, section, kinds, &mut lines))
        .collect();
    section.finish();
    if section.is_present() && section.field("in").is_none() {
        if section.field("out").is_none() {
            document.missing(
                section.at(),
                "spool.in",
                told(|t| t.spool_does_nothing),
                told(|t| t.write_spool),
            );
        } else if let Some(first) = sections.first() {
            document.error(
                first.at(),
                "spool.folder",
                told(|t| t.no_spool_in),
                told(|t| t.write_spool_in),
            );
        }
    }
    if let (Some((_, incoming)), Some((at, out))) = (&incoming, &out)
        && (out.starts_with(incoming) || incoming.starts_with(out))
    {
        let (problem, fix) = (told(|t| t.spool_nested), told(|t| t.write_spool_apart));
        document.error(*at, "spool.out", problem, fix);
    }
    if incoming.is_none() && out.is_none() {
        return None;
    }
    let mut place = |found: Option<(usize, PathBuf)>, offset: fn(&mut Offsets) -> &mut usize| {
        found.map(|(at, path)| {
            *offset(offsets) = at;
            path
        })
    };
    Some(Spool {
        incoming: place(incoming, |offsets| &mut offsets.spool_in),
        out: place(out, |offsets| &mut offsets.spool_out),
        folders,
        keep_days: keep_days.unwrap_or(Spool::KEEP_DAYS),
        out_messages: out_messages.unwrap_or(Spool::OUT_MESSAGES),
        open_to_group: open_to_group.unwrap_or_default(),
    })
}

fn folder(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    kinds: &Kinds,
    lines: &mut BTreeMap<String, usize>,
) -> Option<SpoolFolder> {
    let name = section.required("name", "\"to-police\"").and_then(|field| {
        let name = field.line_of_text(SpoolFolder::NAME_BYTES_MAX)?;
        let is_hidden = name.starts_with('.') || name.is_empty() || name.contains('/');
        if is_hidden || SpoolFolder::TAKEN.contains(&name) {
            field.error(
                told(|t| fill(t.no_folder_name, &[&quoted(name)])),
                told(|t| t.write_folder_name),
            );
            return None;
        }
        if let Some(line) = lines.insert(name.to_owned(), document.line(field.at())) {
            field.error(
                told(|t| fill(t.listed_already, &[&quoted(name), &line])),
                told(|t| t.keep_one_entry),
            );
            return None;
        }
        Some(name.to_owned())
    });
    let to = section
        .required("to", "[\"hebi.police\"]")
        .map(|field| field.patterns("[\"hebi.police\"]", |t| t.write_unit_pattern));
    let kind = section
        .required("kind", "\"case.material\"")
        .and_then(|field| {
            let kind: Kind = field.dotted(|t| t.no_kind, |t| t.write_kind)?;
            if kind.is_receipt() || kinds.get(&kind).is_none() {
                field.error(
                    told(|t| fill(t.kind_not_sent, &[&kind])),
                    told(|t| t.write_sent_kind),
                );
            }
            Some(kind)
        });
    let text = |field: Field<'_, '_>| field.line_of_text(TEXT_BYTES_MAX).map(str::to_owned);
    let case = section.field("case").and_then(text);
    let title = section.field("title").and_then(text);
    let lanes = Lane::ALL.map(|lane| (lane.as_str(), lane));
    let priority = section.field("priority").and_then(|f| f.choice(&lanes));
    let is_data = section
        .field("as")
        .and_then(|field| field.choice(&[("attachment", false), ("data", true)]));
    section.finish();
    Some(SpoolFolder {
        name: name?,
        to: to?,
        kind: kind?,
        case,
        priority,
        title,
        is_data: is_data.unwrap_or_default(),
    })
}

/// Reads `[deliver]`.
pub(super) fn deliver(
    document: &Document<'_>,
    section: &Section<'_, '_>,
    file: &Path,
    limits: &Limits,
    offsets: &mut Offsets,
) -> Option<Deliver> {
    let url = section
        .required("url", &format!("\"{}\"", URL.example))
        .and_then(|field| here::url(&field, &URL));
    let secret_file = section.field("secret-file").and_then(|field| {
        offsets.deliver_secret = field.at();
        field.path_beside(file)
    });
    let number =
        |key, range| -> Option<u32> { section.field(key).and_then(|field| field.number(range)) };
    let timeout_s = number("timeout-s", 1..=300).unwrap_or(Deliver::TIMEOUT_S);
    let in_flight = number("in-flight", 1..=32).unwrap_or(Deliver::IN_FLIGHT);
    let retry_max_s = number("retry-max-s", 1..=86_400).unwrap_or(Deliver::RETRY_MAX_S);
    section.finish();
    if section.is_present() && timeout_s >= limits.inbox_lease_s {
        document.error(
            section.at(),
            "deliver.timeout-s",
            told(|t| fill(t.call_outlasts, &[&timeout_s, &limits.inbox_lease_s])),
            told(|t| t.write_timeout),
        );
    }
    Some(Deliver {
        url: url?,
        secret_file,
        timeout_s,
        in_flight,
        retry_max_s,
    })
}

/// What is wrong with the folders and the file that `settings` name.
pub(super) fn look(settings: &Settings, file: &Path, lines: &Lines) -> Vec<Warning> {
    let mut warnings = Warnings {
        file,
        found: Vec::new(),
    };
    let spool = settings.spool.as_ref();
    let incoming = spool.and_then(|spool| spool.incoming.as_ref());
    let out = spool.and_then(|spool| spool.out.as_ref());
    let incoming = incoming.map(|path| (lines.spool_in, "spool.in", path));
    for (line, key, path) in incoming
        .into_iter()
        .chain(out.map(|path| (lines.spool_out, "spool.out", path)))
    {
        let mut advise = |problem: Both, fix: Both| {
            warnings.warn(Severity::Advice, line, key, problem, fix);
        };
        let (name, quoted) = (path.display(), shown(path));
        match std::fs::metadata(path) {
            Err(_) => advise(
                told(|t| fill(t.not_there, &[&quoted])),
                told(|t| t.made_at_start),
            ),
            Ok(about) if !about.is_dir() => advise(
                told(|t| fill(t.no_folder, &[&quoted])),
                told(|t| t.write_folder),
            ),
            Ok(_)
                if access(path, Access::WRITE_OK | Access::READ_OK | Access::EXEC_OK).is_err() =>
            {
                advise(
                    told(|t| fill(t.unwritable, &[&quoted])),
                    told(|t| fill(t.give_to_user, &[&name, &name])),
                );
            }
            Ok(about) if about.permissions().mode() & 0o002 != 0 => advise(
                told(|t| fill(t.open_to_all, &[&quoted])),
                told(|t| fill(t.close_to_all, &[&name])),
            ),
            Ok(_) => {}
        }
    }
    if let (Some(out), Some(deliver)) = (out, &settings.deliver) {
        warnings.warn(
            Severity::Advice,
            lines.spool_out,
            "spool.out",
            told(|t| fill(t.both_take, &[&shown(out), &deliver.url])),
            told(|t| t.keep_one_taker),
        );
    }
    let secret = settings
        .deliver
        .as_ref()
        .and_then(|deliver| deliver.secret_file.as_ref());
    if let Some(path) = secret {
        let (line, key) = (lines.deliver_secret, "deliver.secret-file");
        if !path.is_file() {
            warnings.warn(
                Severity::Absent,
                line,
                key,
                told(|t| fill(t.not_there, &[&shown(path)])),
                told(|t| t.make_secret),
            );
        } else if others_may_read(path) {
            warnings.warn(
                Severity::Advice,
                line,
                key,
                told(|t| fill(t.others_read, &[&shown(path)])),
                told(|t| fill(t.make_private, &[&path.display()])),
            );
        }
    }
    warnings.found
}
