//! Looking through the audit log, the newest entries first.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::{Audit, AuditError, line::Line};
use crate::model::Millis;

/// Bytes that are read at a time.
const BLOCK_BYTES: u64 = 256 * 1024;
/// Bytes that one page looks at, at most: a filter that fits few of many entries takes several pages.
const PAGE_BYTES_MAX: u64 = 8 << 20;

/// Which entries to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditAsk {
    /// Only entries of this moment or later, milliseconds since the Unix epoch.
    pub since: Option<Millis>,
    /// Only what this one did.
    pub actor: Option<String>,
    /// Only what was done in this way.
    pub action: Option<String>,
    /// Where the page before this one ended, as [`AuditPage::next`] had it.
    pub before: Option<u64>,
    /// At most so many entries.
    pub max: usize,
}

/// An entry as people see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditEntry {
    /// Its line; 0: it was written when lines had no numbers.
    pub line: u64,
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, the newest first.
    pub entries: Vec<AuditEntry>,
    /// Where to go on; none when there is no more.
    pub next: Option<u64>,
}

impl Audit {
    /// Looks through the log. It reads files: call it from a thread that may.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn search(&self, ask: &AuditAsk) -> Result<AuditPage, AuditError> {
        self.look(ask).map_err(|error| self.io(error))
    }

    fn look(&self, ask: &AuditAsk) -> io::Result<AuditPage> {
        let file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        let mut at = ask.before.map_or(length, |before| before.min(length));
        let least = at.saturating_sub(PAGE_BYTES_MAX);
        let mut page = AuditPage::default();
        // What stands before `at` and was read, and where it begins.
        let mut text = Vec::new();
        let mut begins = at;
        while at > 0 {
            let end = (at - begins) as usize;
            let read = text.get(..end).unwrap_or_default();
            // A line ends just before `at`, with its end.
            let inner = read.strip_suffix(b"\n").unwrap_or(read);
            let start = match inner.iter().rposition(|byte| *byte == b'\n') {
                Some(start) => start + 1,
                None if begins == 0 => 0,
                None => {
                    let more = BLOCK_BYTES.min(begins);
                    let mut block = vec![0; more as usize];
                    file.read_exact_at(&mut block, begins - more)?;
                    block.extend_from_slice(read);
                    text = block;
                    begins -= more;
                    continue;
                }
            };
            let line = serde_json::from_slice::<Line>(inner.get(start..).unwrap_or_default());
            at = begins + start as u64;
            // What a crash cut short was promised to nobody.
            if let Ok(line) = line {
                match time_of(&line) {
                    Some(time) if ask.since.is_some_and(|since| time < since) => return Ok(page),
                    _ if fits(ask, &line) => page.entries.push(shown(line)),
                    _ => {}
                }
            }
            if at > 0 && (page.entries.len() >= ask.max || at <= least) {
                page.next = Some(at);
                return Ok(page);
            }
        }
        Ok(page)
    }
}

fn time_of(line: &Line) -> Option<Millis> {
    let time: jiff::Timestamp = line.time.parse().ok()?;
    time.as_millisecond().try_into().ok()
}

fn fits(ask: &AuditAsk, line: &Line) -> bool {
    let is =
        |asked: &Option<String>, text: &str| asked.as_deref().is_none_or(|asked| asked == text);
    is(&ask.actor, &line.actor) && is(&ask.action, &line.action)
}

fn shown(line: Line) -> AuditEntry {
    let Line {
        line,
        time,
        actor,
        action,
        subject,
        reason,
        prev: _,
    } = line;
    AuditEntry {
        line,
        time,
        actor,
        action,
        subject,
        reason,
    }
}
