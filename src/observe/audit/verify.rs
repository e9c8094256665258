//! Reading a whole audit log, as anybody can who has the file: every line must follow the one before it, and what the log's node has
//! signed must be as it was.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use super::{
    Audit, AuditError,
    line::{Head, Line, Witness},
};
use crate::{
    model::{Fingerprint, UnitId},
    pki::Roots,
};

/// An audit log that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has, those of the log's own among them.
    pub entries: u64,
    /// The lines (from 1) that a crash cut short. Their entries were never confirmed to anyone.
    pub torn: Vec<u64>,
    /// The digest of the last line, as the next one will carry it.
    pub last: String,
    /// Everything up to this line is signed; 0: nothing is.
    pub signed: u64,
    /// Whose signature the last checkpoint bears, and the fingerprint of the certificate.
    pub signer: Option<(UnitId, Fingerprint)>,
}

/// What somebody knows of a log apart from the log itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// The CAs that the signers' certificates must be of.
    pub roots: Option<&'a Roots>,
    /// [`Verified::last`] of an earlier time: the log must still have that line.
    pub last: Option<&'a str>,
}

/// A line as it was read.
struct Read {
    number: u64,
    /// None: a crash cut it short.
    line: Option<Line>,
    digest: blake3::Hash,
}

/// What is known while a log is read.
struct Reading<'a> {
    path: &'a Path,
    roots: Option<&'a Roots>,
    verified: Verified,
    witness: Option<Witness>,
    last: blake3::Hash,
    /// The lines before the one that is judged now, the nearest last.
    before: VecDeque<Read>,
    /// Entries since the last checkpoint, once there are numbers.
    unsigned: u64,
}

impl Audit {
    /// Reads the whole audit log at `path`, and checks that every line follows the one before it and that what is signed is what was
    /// signed. Where there is a [`Audit::HEAD`] beside the file, the log must have all that it tells of.
    ///
    /// # Errors
    ///
    /// The file cannot be read; or the first line that is changed, removed, out of its place or cut off, by its number.
    pub fn verify(path: &Path, against: Against<'_>) -> Result<Verified, AuditError> {
        let io = |error| AuditError::Io {
            path: path.to_owned(),
            error,
        };
        let beside = read_head(path).map_err(io)?;
        let head = beside.as_ref().and_then(|head| head.as_ref().ok());
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        let mut reading = Reading {
            path,
            roots: against.roots,
            verified: Verified {
                entries: 0,
                torn: Vec::new(),
                last: String::new(),
                signed: 0,
                signer: None,
            },
            witness: None,
            last: blake3::Hash::from_bytes([0; 32]),
            before: VecDeque::new(),
            unsigned: 0,
        };
        let mut bytes = Vec::new();
        let mut lines = 0;
        let mut head_is_met = head.is_none();
        let mut last_is_met = against.last.is_none();
        loop {
            bytes.clear();
            let mut line = (&mut reader).take(Self::LINE_BYTES_MAX + 1);
            if line.read_until(b'\n', &mut bytes).map_err(io)? == 0 {
                break;
            }
            lines += 1;
            reading.take(lines, &bytes)?;
            last_is_met |= against.last == Some(reading.last.to_hex().as_str());
            if let Some(head) = head
                && head.lines == lines
            {
                reading.meet(head)?;
                head_is_met = true;
            }
        }
        if let (Some(head), false) = (head, head_is_met) {
            let problem = format!(
                "is cut off: the log had {} lines, as {} beside it says",
                head.lines,
                Self::HEAD
            );
            return Err(reading.broken(lines + 1, problem));
        }
        if let Some(Err(Unreadable)) = beside {
            let problem = format!(
                "is the last, and whether others were cut off nobody knows: {} beside it does not read",
                Self::HEAD
            );
            return Err(reading.broken(lines, problem));
        }
        if !last_is_met {
            let problem =
                "is cut off, or it was written anew: no line of it has the digest that was kept";
            return Err(reading.broken(lines + 1, problem));
        }
        reading.finish()
    }
}

fn read_head(log: &Path) -> io::Result<Option<Result<Head, Unreadable>>> {
    let mut text = Vec::new();
    match File::open(log.with_file_name(Audit::HEAD)) {
        Ok(file) if log.file_name().is_some_and(|name| name == Audit::FILE) => {
            file.take(4096).read_to_end(&mut text)?;
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // An export stands for itself.
        _ => return Ok(None),
    }
    Ok(Some(serde_json::from_slice(&text).map_err(|_| Unreadable)))
}

/// What stands beside the log is no head.
#[derive(Clone, Copy, Debug)]
struct Unreadable;

impl Reading<'_> {
    fn broken(&self, line: u64, problem: impl Into<String>) -> AuditError {
        AuditError::Broken {
            path: self.path.to_owned(),
            line,
            problem: problem.into(),
        }
    }

    fn take(&mut self, number: u64, bytes: &[u8]) -> Result<(), AuditError> {
        let is_whole = bytes.last() == Some(&b'\n');
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if text.len() as u64 > Audit::LINE_BYTES_MAX {
            return Err(self.broken(number, "is too long to be an entry"));
        }
        let digest = blake3::hash(text);
        // A crash leaves the beginning of a line, or zeros where it should be. It is in the chain like any other line.
        let zeros = text.iter().rev().take_while(|byte| **byte == 0).count();
        let written = text.get(..text.len() - zeros).unwrap_or_default();
        let line = match serde_json::from_slice::<Line>(written) {
            Ok(line) if is_whole && zeros == 0 => Some(line),
            Ok(_) => None,
            Err(error) if error.is_eof() => None,
            Err(_) => return Err(self.broken(number, "was changed: it is not an entry")),
        };
        let read = Read {
            number,
            line,
            digest,
        };
        self.judge_last(Some(&read))?;
        self.last = digest;
        self.before.push_back(read);
        if self.before.len() > 2 {
            self.before.pop_front();
        }
        Ok(())
    }

    /// Judges the newest line that was taken, now that it is known what follows it.
    fn judge_last(&mut self, next: Option<&Read>) -> Result<(), AuditError> {
        let Some(read) = self.before.back() else {
            return Ok(());
        };
        let number = read.number;
        let before = match self.before.len() {
            2 => self.before.front().map(|read| read.digest),
            _ => (number == 1).then(|| blake3::Hash::from_bytes([0; 32])),
        };
        let Some(line) = read.line.clone() else {
            self.verified.torn.push(number);
            return Ok(());
        };
        if line.line != 0 && line.line != number {
            let problem = if line.line > number {
                format!("is not here: line {} stands in its place", line.line)
            } else {
                format!("is out of its place: it was line {}", line.line)
            };
            return Err(self.broken(number, problem));
        }
        if before.is_some_and(|before| line.prev != before.to_hex().as_str()) {
            // Who is to blame, this line or the one before it? What follows vouches for this one.
            let is_vouched_for = next
                .and_then(|next| next.line.as_ref())
                .is_some_and(|next| next.prev == read.digest.to_hex().as_str())
                || line.is_checkpoint()
                    && self
                        .witness
                        .as_ref()
                        .is_some_and(|w| w.check(number - 1, &line.prev, &line.reason));
            let changed = if is_vouched_for && number > 1 {
                number - 1
            } else {
                number
            };
            return Err(self.broken(changed, "was changed, or a line beside it was removed"));
        }
        self.verified.entries += 1;
        self.sign(number, &line)
    }

    /// What a line means for what is signed.
    fn sign(&mut self, number: u64, line: &Line) -> Result<(), AuditError> {
        if let Some(witness) = line.certificate() {
            let witness = witness
                .and_then(|witness| {
                    let known = self.roots.map(|roots| witness.check_ca(roots));
                    known.unwrap_or(Ok(())).map(|()| witness)
                })
                .map_err(|why| {
                    self.broken(
                        number,
                        format!("brings a certificate that does not count: {why}"),
                    )
                })?;
            let is_other = |(unit, _): &(UnitId, _)| *unit != witness.certificate.unit;
            if self.verified.signer.as_ref().is_some_and(is_other) {
                return Err(self.broken(number, "brings the certificate of another unit"));
            }
            self.witness = Some(witness);
        } else if line.is_checkpoint() {
            let signed = self.verified.signed;
            let Some(witness) = &self.witness else {
                return Err(self.broken(
                    number,
                    "is signed with a certificate that is not in the log",
                ));
            };
            if !witness.check(number - 1, &line.prev, &line.reason) {
                let problem = format!(
                    "and those up to {number} were written anew: the signature on line {number} is not of them"
                );
                return Err(self.broken(signed + 1, problem));
            }
            self.verified.signed = number;
            self.verified.signer = Some((
                witness.certificate.unit.clone(),
                witness.certificate.fingerprint,
            ));
            self.unsigned = 0;
        } else if line.line != 0 {
            self.unsigned += 1;
            if self.unsigned > Audit::UNSIGNED_MAX {
                let problem = format!(
                    "should be signed: {} lines without a checkpoint before it are more than a node writes",
                    self.unsigned
                );
                return Err(self.broken(number, problem));
            }
        }
        Ok(())
    }

    /// The log must be what its head says at this place.
    fn meet(&mut self, head: &Head) -> Result<(), AuditError> {
        if self.last.to_hex().as_str() != head.last {
            let problem = format!(
                "and those up to {} are not those that {} tells of",
                head.lines,
                Audit::HEAD
            );
            return Err(self.broken(self.verified.signed + 1, problem));
        }
        let witness = self.witness.as_ref();
        if !witness.is_some_and(|w| w.check(head.lines, &head.last, &head.signature)) {
            let problem = format!(
                "is told of by {} with a signature that is not the node's",
                Audit::HEAD
            );
            return Err(self.broken(head.lines, problem));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Verified, AuditError> {
        self.judge_last(None)?;
        self.verified.last = self.last.to_hex().to_string();
        Ok(self.verified)
    }
}
