//! `casegate backup` and `casegate restore`: a copy of a node's data in a place that is safe, and the way back.

use std::{
    fmt::Display,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    client::{ApiOptions, Client},
    exit::{BAD_DATA, CANNOT_CREATE, Failure, INTERNAL},
    send::to_json,
    table::bytes,
    texts::{fill, t},
};
use crate::{
    model::UnitId,
    node::{Examined, RESTORED_MARK, examine},
};

/// What tells what is in a backup, a file in its folder.
const MANIFEST: &str = "backup.json";
/// The version of that file.
const VERSION: u32 = 1;
/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Largest manifest that is read, bytes: a million files.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// Copy the data of a running node, as it is at one moment, to a folder
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        casegate backup --out /mnt/usb/casegate-2026-11-24\n\n\
        The node goes on meanwhile. Run it on the node's own machine, as the node's user or as root; it is an operator's action and needs the \
        operators' token, and it is audited. Keys and configuration are not in it: keep copies of those apart. `casegate restore DIR \
        --check` says whether a backup is whole.")]
pub struct BackupCommand {
    #[command(flatten)]
    api: ApiOptions,
    /// The folder to make; it must not be there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,
}

/// Make a data folder of a backup, or check one
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        casegate restore /mnt/usb/casegate-2026-11-24 --check\n  \
        casegate restore /mnt/usb/casegate-2026-11-24 --data-dir /var/lib/casegate\n\n\
        The node that starts on a restored folder numbers everything afresh. What its neighbours had from it and gave to it since the \
        backup comes back by itself; nothing is lost and nothing comes twice. Give the folder to the node's user before you start it.")]
pub struct RestoreCommand {
    /// The backup
    #[arg(value_name = "DIR")]
    backup: PathBuf,
    /// Only compare every file with its digest, and read the journal as a node would
    #[arg(long, required_unless_present = "data_dir")]
    check: bool,
    /// The data folder to make; it must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print what is in it as JSON
    #[arg(long)]
    json: bool,
}

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    unit: UnitId,
    taken: jiff::Timestamp,
    program: String,
    files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    /// Its path within the folder.
    path: String,
    bytes: u64,
    blake3: String,
}

#[derive(Deserialize)]
struct Taken {
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Node {
    unit: UnitId,
}

#[derive(Serialize)]
struct Report<'a> {
    unit: &'a UnitId,
    taken: jiff::Timestamp,
    files: usize,
    bytes: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    holds: Option<Examined>,
}

impl BackupCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`]. A folder that was begun is removed.
    pub fn run(self) -> Result<(), Failure> {
        if self.out.exists() {
            let text = fill(t().folder_there, &[&self.out.display()]);
            return Err(Failure::new(CANNOT_CREATE, text));
        }
        let mut client = Client::new(&self.api)?;
        client.as_operator()?;
        let node: Node = client.read("/v1/status")?;
        let answer = client.post("/v1/backup", "application/json", "{}")?;
        let taken: Taken = client.parse(&answer)?;
        let begun = beside(&self.out, ".begun");
        let manifest = copy_all(&taken.folder, &begun, node.unit)
            .and_then(|manifest| {
                write_manifest(&begun, &manifest)?;
                fs::rename(&begun, &self.out).map_err(|error| failed(&self.out, &error))?;
                sync_parent(&self.out)?;
                Ok(manifest)
            })
            .inspect_err(|_| drop(fs::remove_dir_all(&begun)))?;
        // The node removes it as well, when it starts or makes the next one.
        let _ = fs::remove_dir_all(&taken.folder);
        tell(&manifest, &self.out, None, self.json)
    }
}

impl RestoreCommand {
    /// Does it.
    ///
    /// # Errors
    /// See [`Failure`]. A backup that is not whole is told file by file and not restored.
    pub fn run(self) -> Result<(), Failure> {
        let manifest = read_manifest(&self.backup)?;
        verify(&self.backup, &manifest)?;
        let (target, is_scratch) = match &self.data_dir {
            Some(folder) if !self.check => (folder.clone(), false),
            _ => (beside(&self.backup, ".check"), true),
        };
        let is_used = fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            let text = fill(t().restore_used, &[&target.display()]);
            return Err(Failure::new(CANNOT_CREATE, text));
        }
        let examined = restore(&self.backup, &target, &manifest, is_scratch);
        if is_scratch || examined.is_err() {
            let _ = fs::remove_dir_all(&target);
        }
        tell(&manifest, &target, Some(examined?), self.json)
    }
}

fn restore(
    backup: &Path,
    target: &Path,
    manifest: &Manifest,
    is_scratch: bool,
) -> Result<Examined, Failure> {
    make(target)?;
    for file in &manifest.files {
        // A check needs no more than the journal.
        if !is_scratch || file.path.starts_with("journal/") {
            let to = target.join(&file.path);
            make(to.parent().unwrap_or(target))?;
            copy(&backup.join(&file.path), &to)?;
        }
    }
    let examined = examine(target, manifest.unit.clone());
    let examined = examined.map_err(|error| Failure::new(BAD_DATA, error.to_string()))?;
    if !is_scratch {
        let mark = target.join(RESTORED_MARK);
        let text = format!("restored from the backup of {}\n", manifest.taken);
        write(&mark, text.as_bytes())?;
        sync(target)?;
        sync_parent(target)?;
    }
    Ok(examined)
}

fn tell(
    manifest: &Manifest,
    folder: &Path,
    holds: Option<Examined>,
    json: bool,
) -> Result<(), Failure> {
    let files = manifest.files.len();
    let all = manifest.files.iter().map(|file| file.bytes).sum();
    let (unit, taken) = (&manifest.unit, manifest.taken);
    let mut out = io::stdout().lock();
    let told = if json {
        let report = Report {
            unit,
            taken,
            files,
            bytes: all,
            holds,
        };
        writeln!(out, "{}", to_json(&report)?)
    } else {
        let held = holds.map(|holds| {
            fill(
                t().backup_holds,
                &[&holds.awaiting_receipts, &holds.inbox, &holds.damaged],
            )
        });
        let (size, held) = (bytes(all), held.unwrap_or_default());
        let (folder, taken) = (folder.display(), format!("{taken:.0}"));
        let values: [&dyn Display; 6] = [&folder, unit, &taken, &files, &size, &held];
        writeln!(out, "{}", fill(t().backup_told, &values))
    };
    told.map_err(|error| Failure::lost(&error))
}

/// Copies everything in a folder; gives what it was.
fn copy_all(from: &Path, to: &Path, unit: UnitId) -> Result<Manifest, Failure> {
    // What an earlier attempt left.
    let _ = fs::remove_dir_all(to);
    let mut manifest = Manifest {
        version: VERSION,
        unit,
        taken: jiff::Timestamp::now(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        files: Vec::new(),
    };
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        make(&to.join(&folder))?;
        let within = from.join(&folder);
        let entries = fs::read_dir(&within).map_err(|error| failed(&within, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&within, &error))?;
            let kind = entry.file_type().map_err(|error| failed(&within, &error))?;
            // The node gives no file a name that is no text.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = match folder.as_str() {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            if kind.is_dir() {
                folders.push(path);
            } else {
                let (bytes, blake3) = copy(&entry.path(), &to.join(&path))?;
                manifest.files.push(Listed {
                    path,
                    bytes,
                    blake3,
                });
            }
        }
        sync(&to.join(&folder))?;
    }
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifest)
}

/// Copies a file durably; gives its length and its digest.
fn copy(from: &Path, to: &Path) -> Result<(u64, String), Failure> {
    let mut target = create(to)?;
    let read = read(from, |piece| {
        target.write_all(piece).map_err(|error| failed(to, &error))
    })?;
    target.sync_all().map_err(|error| failed(to, &error))?;
    Ok(read)
}

/// Reads a file piece by piece; gives its length and its digest.
fn read(
    from: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(u64, String), Failure> {
    let mut source = File::open(from).map_err(|error| failed(from, &error))?;
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let got = source
            .read(&mut piece)
            .map_err(|error| failed(from, &error))?;
        let Some(got) = piece.get(..got).filter(|got| !got.is_empty()) else {
            return Ok((bytes, hasher.finalize().to_hex().to_string()));
        };
        hasher.update(got);
        bytes += got.len() as u64;
        each(got)?;
    }
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    write(&folder.join(MANIFEST), to_json(manifest)?.as_bytes())?;
    sync(folder)
}

fn read_manifest(folder: &Path) -> Result<Manifest, Failure> {
    let path = folder.join(MANIFEST);
    let wrong = |why: String| {
        let text = fill(t().backup_wrong, &[&path.display(), &why]);
        Failure::new(BAD_DATA, text)
    };
    let file = File::open(&path).map_err(|error| wrong(error.to_string()))?;
    let manifest: Manifest = serde_json::from_reader(file.take(MANIFEST_BYTES_MAX))
        .map_err(|error| wrong(fill(t().backup_no_list, &[&error])))?;
    if manifest.version != VERSION {
        let why = fill(t().backup_version, &[&manifest.version, &VERSION]);
        return Err(wrong(why));
    }
    let is_within = |path: &str| {
        let mut parts = Path::new(path).components();
        parts.all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    match manifest.files.iter().find(|file| !is_within(&file.path)) {
        Some(file) => {
            let named = format!("{:?}", file.path);
            Err(wrong(fill(t().backup_outside, &[&named])))
        }
        None => Ok(manifest),
    }
}

/// Compares every file with its digest. All that are not as they were are named.
fn verify(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for file in &manifest.files {
        match read(&folder.join(&file.path), |_| Ok(())) {
            Ok((bytes, blake3)) if bytes == file.bytes && blake3 == file.blake3 => {}
            Ok(_) => wrong.push(fill(t().backup_changed, &[&file.path])),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let (folder, listed) = (folder.display(), wrong.join(t().comma));
    let values: [&dyn Display; 4] = [&folder, &wrong.len(), &manifest.files.len(), &listed];
    Err(Failure::new(BAD_DATA, fill(t().backup_broken, &values)))
}

/// The folder beside this one whose name is longer by `suffix`.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    // Without the slash that may end it.
    let mut name = folder.components().as_path().as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let text = fill(t().folder_unmade, &[&folder.display(), &error]);
        Failure::new(CANNOT_CREATE, text)
    })
}

fn create(path: &Path) -> Result<File, Failure> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    options.map_err(|error| failed(path, &error))
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut file = create(path)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    written.map_err(|error| failed(path, &error))
}

fn sync(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, &error))
}

fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData => BAD_DATA,
        io::ErrorKind::Other => INTERNAL,
        _ => CANNOT_CREATE,
    };
    Failure::new(code, format!("{}{}{error}", path.display(), t().colon))
}
