//! The audit log: what operators did, one JSON object a line, only ever appended to.
//!
//! Every line carries the BLAKE3 digest of the line before it, so a line that is changed, removed or slipped in breaks the chain
//! at the next one ([`Audit::verify`]). Lines cut off at the very end leave no trace in the file itself: keep
//! [`Verified::last`] elsewhere to notice that too. Nothing secret and no message's body belongs here.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::model::Millis;

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
        problem: &'static str,
    },
}

/// An audit log that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has.
    pub entries: u64,
    /// The lines (from 1) that a crash cut short. Their entries were never confirmed to anyone.
    pub torn: Vec<u64>,
    /// The digest of the last line, as the next one will carry it.
    pub last: String,
}

/// The audit log of a node, open for appending. One process writes it: the one that holds the data folder.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The next line carries `prev` and is written at `bytes`.
    Open {
        file: File,
        prev: blake3::Hash,
        bytes: u64,
    },
    /// A write failed half-way: the end of the file has to be looked at before the next one.
    Unsure,
    /// A sync failed; it is never tried again, for the system may have thrown the data away and report success.
    Failed,
}

/// A line. The order of the fields is the format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time: String,
    actor: String,
    action: String,
    subject: String,
    reason: String,
    prev: String,
}

impl Audit {
    /// The file's name in the data folder.
    pub const FILE: &'static str = "audit.log";
    /// Longest actor, action, subject or reason, in bytes.
    pub const PART_BYTES_MAX: usize = 1024;
    /// Largest audit log, in bytes: some three million entries (G7).
    pub const BYTES_MAX: u64 = 1 << 30;
    /// Longest line, in bytes: four parts, each byte of which JSON may write as six, and the rest.
    const LINE_BYTES_MAX: u64 = 4 * 6 * Self::PART_BYTES_MAX as u64 + 512;

    /// Opens the audit log at `path`, or starts it, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or does not look like an audit log.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let state = open_at_end(path)?;
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unsure) {
            *state = open_at_end(&self.path)?;
        }
        let State::Open { file, prev, bytes } = &mut *state else {
            let path = self.path.clone();
            return Err(AuditError::Failed { path });
        };
        let mut line = render(at, entry, prev).map_err(|error| self.io(error))?;
        let next = blake3::hash(&line);
        line.push(b'\n');
        let length = line.len() as u64;
        if *bytes + length > Self::BYTES_MAX {
            let path = self.path.clone();
            return Err(AuditError::Full { path });
        }
        if let Err(error) = file.write_all(&line) {
            *state = State::Unsure;
            return Err(self.io(error));
        }
        if let Err(error) = file.sync_data() {
            *state = State::Failed;
            return Err(self.io(error));
        }
        *prev = next;
        *bytes += length;
        Ok(())
    }

    /// Reads the whole audit log at `path` and checks that every line follows the one before it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the first line that breaks the chain.
    pub fn verify(path: &Path) -> Result<Verified, AuditError> {
        let io = |error| AuditError::Io {
            path: path.to_owned(),
            error,
        };
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        let mut verified = Verified {
            entries: 0,
            torn: Vec::new(),
            last: String::new(),
        };
        let mut prev = blake3::Hash::from_bytes([0; 32]);
        let mut bytes = Vec::new();
        for number in 1.. {
            let broken = |problem| AuditError::Broken {
                path: path.to_owned(),
                line: number,
                problem,
            };
            bytes.clear();
            let mut line = (&mut reader).take(Self::LINE_BYTES_MAX + 1);
            if line.read_until(b'\n', &mut bytes).map_err(io)? == 0 {
                break;
            }
            let is_whole = bytes.last() == Some(&b'\n');
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            if text.len() as u64 > Self::LINE_BYTES_MAX {
                return Err(broken("is too long to be an entry"));
            }
            // A crash leaves the beginning of a line, or zeros where it should be. It is in the chain like any other line.
            let zeros = text.iter().rev().take_while(|byte| **byte == 0).count();
            let written = text.get(..text.len() - zeros).unwrap_or_default();
            match serde_json::from_slice::<Line>(written) {
                Ok(line) if line.prev != prev.to_hex().as_str() => {
                    return Err(broken("does not follow the line before it"));
                }
                Ok(_) if is_whole && zeros == 0 => verified.entries += 1,
                Ok(_) => verified.torn.push(number),
                Err(error) if error.is_eof() => verified.torn.push(number),
                Err(_) => return Err(broken("is not an entry")),
            }
            prev = blake3::hash(text);
        }
        verified.last = prev.to_hex().to_string();
        Ok(verified)
    }

    fn io(&self, error: io::Error) -> AuditError {
        AuditError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

fn render(at: Millis, entry: Entry<'_>, prev: &blake3::Hash) -> io::Result<Vec<u8>> {
    let millis = i64::try_from(at).map_err(io::Error::other)?;
    let time = jiff::Timestamp::from_millisecond(millis).map_err(io::Error::other)?;
    let line = Line {
        time: format!("{time:.3}"),
        actor: entry.actor.to_owned(),
        action: entry.action.to_owned(),
        subject: entry.subject.to_owned(),
        reason: entry.reason.to_owned(),
        prev: prev.to_hex().to_string(),
    };
    Ok(serde_json::to_vec(&line)?)
}

/// Opens the file and finds the line that the next one follows. A line that a crash cut short is given its end and stays.
fn open_at_end(path: &Path) -> Result<State, AuditError> {
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
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
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
    let mut bytes = meta.len();
    let tail_bytes = bytes.min(Audit::LINE_BYTES_MAX + 1);
    file.seek(SeekFrom::Start(bytes - tail_bytes)).map_err(io)?;
    let mut tail = Vec::new();
    (&file)
        .take(tail_bytes)
        .read_to_end(&mut tail)
        .map_err(io)?;
    if !tail.is_empty() && !tail.ends_with(b"\n") {
        file.write_all(b"\n").map_err(io)?;
        file.sync_data().map_err(io)?;
        tail.push(b'\n');
        bytes += 1;
    }
    let prev = match tail.strip_suffix(b"\n") {
        None => blake3::Hash::from_bytes([0; 32]),
        Some(lines) => {
            let start = lines.iter().rposition(|byte| *byte == b'\n');
            if start.is_none() && tail_bytes < meta.len() {
                return Err(io(io::Error::other(
                    "its last line is too long to be an entry",
                )));
            }
            blake3::hash(
                lines
                    .get(start.map_or(0, |at| at + 1)..)
                    .unwrap_or_default(),
            )
        }
    };
    Ok(State::Open { file, prev, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = 1_795_000_000_123;

    fn entry(subject: &str) -> Entry<'_> {
        Entry {
            actor: "operator",
            action: "drop",
            subject,
            reason: "发错了 \"sent in error\"",
        }
    }

    fn three_entries() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(Audit::FILE);
        for subject in ["one", "two", "three"] {
            // Opened anew each time, as after a restart.
            let audit = Audit::open(&path).expect("opens");
            audit.record(AT, entry(subject)).expect("records");
        }
        (dir, path)
    }

    #[test]
    fn entries_are_chained_across_restarts_and_kept_from_others() {
        let (_dir, path) = three_entries();
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(
            text.starts_with(
                r#"{"time":"2026-11-18T11:06:40.123Z","actor":"operator","action":"drop","subject":"one","#
            ),
            "{text}"
        );
        let verified = Audit::verify(&path).expect("verifies");
        assert_eq!((verified.entries, verified.torn.len()), (3, 0));
        let last = text.lines().last().expect("a line");
        assert_eq!(
            verified.last,
            blake3::hash(last.as_bytes()).to_hex().as_str()
        );
        let mode = std::fs::metadata(&path)
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_changed_removed_or_swapped_line_breaks_the_chain() {
        let (_dir, path) = three_entries();
        let text = std::fs::read_to_string(&path).expect("reads");
        let lines: Vec<&str> = text.lines().collect();
        let tampered = [
            (text.replace("\"two\"", "\"2\""), 3),
            (format!("{}\n{}\n", lines[0], lines[2]), 2),
            (format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]), 1),
            (text.replace("\"actor\"", "\"who\""), 1),
        ];
        for (text, at) in tampered {
            std::fs::write(&path, text).expect("writes");
            match Audit::verify(&path) {
                Err(AuditError::Broken { line, .. }) => assert_eq!(line, at),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_short_stays_and_the_chain_goes_on() {
        let (_dir, path) = three_entries();
        let text = std::fs::read(&path).expect("reads");
        let third = text.len() - 40;
        let mut left = text[..third].to_vec();
        left.extend([0; 16]);
        std::fs::write(&path, &left).expect("writes");
        let audit = Audit::open(&path).expect("opens");
        audit.record(AT, entry("four")).expect("records");
        let verified = Audit::verify(&path).expect("verifies");
        assert_eq!((verified.entries, verified.torn), (3, vec![3]));
        assert!(
            std::fs::read(&path)
                .expect("reads")
                .starts_with(&text[..third])
        );
    }

    #[test]
    fn an_overlong_part_is_refused_and_nothing_is_written() {
        let (_dir, path) = three_entries();
        let before = std::fs::read(&path).expect("reads");
        let audit = Audit::open(&path).expect("opens");
        let long = "x".repeat(Audit::PART_BYTES_MAX + 1);
        let refused = audit.record(AT, entry(&long));
        assert!(matches!(
            refused,
            Err(AuditError::TooLong {
                part: "subject",
                bytes: 1025
            })
        ));
        assert_eq!(std::fs::read(&path).expect("reads"), before);
        // The longest that JSON can make of what fits is still a line that verifies.
        let escaped = "\u{1}".repeat(Audit::PART_BYTES_MAX);
        let longest = Entry {
            actor: &escaped,
            action: &escaped,
            subject: &escaped,
            reason: &escaped,
        };
        audit.record(AT, longest).expect("records");
        drop(audit);
        Audit::open(&path)
            .expect("opens")
            .record(AT, entry("next"))
            .expect("records");
        assert_eq!(Audit::verify(&path).expect("verifies").entries, 5);
    }
}
