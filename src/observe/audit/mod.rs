//! The audit log: what operators did and what was refused, one JSON object a line, only ever appended to.
//!
//! Every line has its number and the BLAKE3 digest of the line before it, so a line that is changed, removed or slipped in breaks the
//! chain. At its start, every [`Audit::UNSIGNED_MAX`] entries and at its end the node writes a checkpoint: its signature over how many lines there
//! are and the last one's digest, so that nobody who lacks the node's signing key writes the chain anew. The same stands in a file
//! beside the log, [`Audit::HEAD`], so that a log that was cut is noticed at the next start; whoever can put an older head beside an older
//! log is found by those who kept a digest elsewhere ([`Verified::last`]). Nothing secret and no message's body belongs here.

mod line;
mod search;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use data_encoding::{BASE64, HEXLOWER};

use self::line::{CERTIFICATE, CHECKPOINT, Head, LOG, Line};
use crate::{
    model::{Fingerprint, Millis},
    parcel::{Signer, Statement},
};

pub use self::{
    search::{AuditAsk, AuditEntry, AuditPage},
    verify::{Against, Verified},
};

/// Something that an operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who: a token's or a user's name, never the token.
    pub actor: &'a str,
    /// What: `drop`, `hold`, `reload`.
    pub action: &'a str,
    /// To what: a messageid, a unit, a link.
    pub subject: &'a str,
    /// Why, in the operator's words; may be empty.
    pub reason: &'a str,
}

/// Why something could not be recorded, or does not verify.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be read or written.
    #[error("the audit log {} cannot be used: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A sync failed, so nobody knows what is on the disk.
    #[error("the audit log {} failed to reach the disk; see to the disk and start the node anew", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
    },
    /// A part of an entry is longer than [`Audit::PART_BYTES_MAX`].
    #[error(
        "the {part} has {bytes} bytes; write at most {}",
        Audit::PART_BYTES_MAX
    )]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// The file has reached [`Audit::BYTES_MAX`].
    #[error("the audit log {} has reached {} bytes; move it to an archive and start the node anew", path.display(), Audit::BYTES_MAX)]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A line is not one that the log wrote, or does not follow the one before it.
    #[error("line {line} of the audit log {} {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// With what a node signs its audit log.
#[derive(Clone)]
pub struct Seal {
    /// The node's signer.
    pub signer: Arc<Signer>,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

/// The audit log of a node, open for appending. One process writes it: the one that holds the data folder.
pub struct Audit {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: Writable,
    seal: Option<Seal>,
}

enum Writable {
    Open(End),
    /// A write failed half-way: the end of the file has to be looked at before the next one.
    Unsure,
    /// A sync failed; it is never tried again, for the system may have thrown the data away and report success.
    Failed,
}

/// The file and where it ends.
struct End {
    file: File,
    /// The digest of the last line.
    prev: blake3::Hash,
    lines: u64,
    bytes: u64,
    /// Entries since the last checkpoint.
    unsigned: u64,
}

impl Audit {
    /// The file's name in the data folder.
    pub const FILE: &'static str = "audit.log";
    /// The name of the file beside it that tells how far it has come.
    pub const HEAD: &'static str = "audit.head";
    /// Longest actor, action, subject or reason, in bytes.
    pub const PART_BYTES_MAX: usize = 1024;
    /// Largest audit log, in bytes: some three million entries (G7).
    pub const BYTES_MAX: u64 = 1 << 30;
    /// Most entries without a checkpoint after them.
    pub const UNSIGNED_MAX: u64 = 32;
    /// Longest line, in bytes: four parts, each byte of which JSON may write as six, and the rest. A certificate is shorter.
    const LINE_BYTES_MAX: u64 = 4 * 6 * Self::PART_BYTES_MAX as u64 + 512;

    /// Opens the audit log at `path`, or starts it, readable by its owner alone. Until [`Audit::sign_with`] nothing in it is signed.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let file = Writable::Open(open_at_end(path)?);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State { file, seal: None }),
        })
    }

    /// Signs with this from now on, and says so in the log; tells what the log has lost since it was last signed, which is then on
    /// record too.
    ///
    /// # Errors
    ///
    /// It cannot be put on record.
    pub fn sign_with(&self, at: Millis, seal: Seal) -> Result<Option<String>, AuditError> {
        let certificate = BASE64.encode(&seal.certificate);
        let fingerprint = Fingerprint::of(&seal.certificate).to_string();
        let mut state = self.lock();
        let lost = self.what_is_lost()?;
        state.seal = Some(seal);
        let entries = [
            lost.as_deref().map(|lost| Entry {
                actor: LOG,
                action: "damage",
                subject: Self::FILE,
                reason: lost,
            }),
            Some(Entry {
                actor: LOG,
                action: CERTIFICATE,
                subject: &fingerprint,
                reason: &certificate,
            }),
        ];
        self.append(&mut state, at, entries.into_iter().flatten(), true)?;
        Ok(lost)
    }

    /// Appends an entry, done at `at` (milliseconds since the Unix epoch), and returns once it is on stable storage. It blocks: call
    /// it from a thread that may.
    ///
    /// # Errors
    ///
    /// The entry is not recorded, so what it tells of should not be done.
    pub fn record(&self, at: Millis, entry: Entry<'_>) -> Result<(), AuditError> {
        for (part, text) in [
            ("actor", entry.actor),
            ("action", entry.action),
            ("subject", entry.subject),
            ("reason", entry.reason),
        ] {
            if text.len() > Self::PART_BYTES_MAX {
                let bytes = text.len();
                return Err(AuditError::TooLong { part, bytes });
            }
        }
        self.append(&mut self.lock(), at, [entry], false)
    }

    /// Signs everything up to here.
    ///
    /// # Errors
    ///
    /// It cannot be put on record.
    pub fn checkpoint(&self, at: Millis) -> Result<(), AuditError> {
        self.append(&mut self.lock(), at, [], true)
    }

    /// The log as it is now, signed up to its end: the file, open for reading, and how many bytes of it.
    ///
    /// # Errors
    ///
    /// It cannot be signed or read.
    pub fn export(&self, at: Millis) -> Result<(File, u64), AuditError> {
        let mut state = self.lock();
        self.append(&mut state, at, [], true)?;
        let file = File::open(&self.path).map_err(|error| self.io(error))?;
        let Writable::Open(end) = &state.file else {
            return Err(self.failed());
        };
        Ok((file, end.bytes))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes entries and, when it is time or `sign` asks for it, a checkpoint, all or nothing as far as the disk allows.
    fn append<'e>(
        &self,
        state: &mut State,
        at: Millis,
        entries: impl IntoIterator<Item = Entry<'e>>,
        sign: bool,
    ) -> Result<(), AuditError> {
        if matches!(state.file, Writable::Unsure) {
            state.file = Writable::Open(open_at_end(&self.path)?);
        }
        let Writable::Open(end) = &mut state.file else {
            return Err(self.failed());
        };
        let (mut prev, mut lines, mut unsigned) = (end.prev, end.lines, end.unsigned);
        let mut bytes = Vec::new();
        let mut put = |entry: Entry<'_>, prev: &mut blake3::Hash, lines: &mut u64| {
            let line = Line::new(*lines + 1, at, entry, prev)?;
            let line = serde_json::to_vec(&line)?;
            *prev = blake3::hash(&line);
            *lines += 1;
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
            Ok(())
        };
        for entry in entries {
            put(entry, &mut prev, &mut lines).map_err(|error| self.io(error))?;
            unsigned += 1;
        }
        let mut head = None;
        if let Some(seal) = &state.seal
            && (unsigned >= Self::UNSIGNED_MAX || sign && unsigned > 0)
        {
            let sign = |lines, last: &blake3::Hash| {
                let said = line::said(lines, last.to_hex().as_str());
                HEXLOWER.encode(&seal.signer.state(Statement::Audit, &said))
            };
            let signature = sign(lines, &prev);
            let entry = Entry {
                actor: LOG,
                action: CHECKPOINT,
                subject: &seal.signer.certificate().to_string(),
                reason: &signature,
            };
            put(entry, &mut prev, &mut lines).map_err(|error| self.io(error))?;
            unsigned = 0;
            head = Some(Head {
                lines,
                last: prev.to_hex().to_string(),
                signature: sign(lines, &prev),
            });
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.len() as u64;
        if end.bytes + length > Self::BYTES_MAX {
            let path = self.path.clone();
            return Err(AuditError::Full { path });
        }
        if let Err(error) = end.file.write_all(&bytes) {
            state.file = Writable::Unsure;
            return Err(self.io(error));
        }
        if let Err(error) = end.file.sync_data() {
            state.file = Writable::Failed;
            return Err(self.io(error));
        }
        (end.prev, end.lines, end.unsigned) = (prev, lines, unsigned);
        end.bytes += length;
        if let Some(head) = head
            && let Err(error) = self.write_head(&head)
        {
            // The log itself is whole; the next checkpoint tells of it again.
            tracing::warn!(%error, "the head of the audit log cannot be written");
        }
        Ok(())
    }

    fn write_head(&self, head: &Head) -> io::Result<()> {
        let path = self.path.with_file_name(Self::HEAD);
        let begun = self.path.with_file_name("audit.head.begun");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&begun)?;
        file.write_all(&serde_json::to_vec(head)?)?;
        file.sync_all()?;
        fs::rename(begun, path)
    }

    /// What is wrong with the log as it was found; nothing with one that is well, or that was begun before anything was signed.
    fn what_is_lost(&self) -> Result<Option<String>, AuditError> {
        let was_signed = numbered(&self.path).map_err(|error| self.io(error))?;
        if was_signed && !self.path.with_file_name(Self::HEAD).exists() {
            return Ok(Some(format!("{} beside it is gone", Self::HEAD)));
        }
        match Self::verify(&self.path, Against::default()) {
            Ok(_) => Ok(None),
            Err(AuditError::Broken { line, problem, .. }) => {
                Ok(Some(format!("line {line} {problem}")))
            }
            Err(error) => Err(error),
        }
    }

    fn failed(&self) -> AuditError {
        let path = self.path.clone();
        AuditError::Failed { path }
    }

    fn io(&self, error: io::Error) -> AuditError {
        AuditError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audit({})", self.path.display())
    }
}

/// Goes through the lines of a file, without their ends. What is longer than a line may be is told in pieces.
fn each_line(path: &Path, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut line = (&mut reader).take(Audit::LINE_BYTES_MAX + 1);
        if line.read_until(b'\n', &mut text)? == 0 {
            return Ok(());
        }
        look(text.strip_suffix(b"\n").unwrap_or(&text));
    }
}

/// Whether a log's first line has a number, as all have that were begun since there are heads.
fn numbered(path: &Path) -> io::Result<bool> {
    let mut text = Vec::new();
    let mut reader = BufReader::new(File::open(path)?).take(Audit::LINE_BYTES_MAX);
    reader.read_until(b'\n', &mut text)?;
    let line = serde_json::from_slice::<Line>(&text);
    Ok(line.is_ok_and(|line| line.line > 0))
}

/// Opens the file and finds the line that the next one follows. A line that a crash cut short is given its end and stays.
fn open_at_end(path: &Path) -> Result<End, AuditError> {
    let io = |error| AuditError::Io {
        path: path.to_owned(),
        error,
    };
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if meta.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .map_err(io)?;
    }
    if is_new && let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
    }
    let mut end = End {
        prev: blake3::Hash::from_bytes([0; 32]),
        lines: 0,
        bytes: meta.len(),
        unsigned: 0,
        file: file.try_clone().map_err(io)?,
    };
    each_line(path, |text| {
        end.lines += 1;
        end.prev = blake3::hash(text);
        let line = serde_json::from_slice::<Line>(text);
        match line.is_ok_and(|line| line.is_checkpoint()) {
            true => end.unsigned = 0,
            false => end.unsigned += 1,
        }
    })
    .map_err(io)?;
    let mut last = [b'\n'];
    if end.bytes > 0 {
        use std::os::unix::fs::FileExt as _;
        file.read_exact_at(&mut last, end.bytes - 1).map_err(io)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n").map_err(io)?;
        file.sync_data().map_err(io)?;
        end.bytes += 1;
    }
    Ok(end)
}
