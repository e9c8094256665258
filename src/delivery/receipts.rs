//! Receipts that this node owes, and patterns whose outcomes it sums up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use crate::model::{Digest, Millis, Outcome, Pattern, Reason, ReceiptItem, State, UnitId};

/// Most lines of one receipt.
pub(super) const LINES_MAX: usize = 64;
/// How long a line that someone waits for may wait for company, when it is the first for its unit in a while: above all for the `read` of
/// an application that is quick.
const DELAY_MS: Millis = 15;
/// How long a `relayed` or a `read` may wait for company: nobody's work waits for it. And how long any line may while others for
/// the same unit come at least so often: a receipt for each of them would cost a quarter of what the messages do.
const DELAY_IDLE_MS: Millis = 400;

/// The lines that are to be signed, by the unit that is told, in order.
#[derive(Debug, Default)]
pub(super) struct Owed {
    to: BTreeMap<UnitId, VecDeque<Line>>,
    signing: BTreeMap<UnitId, u32>,
    due: BTreeMap<UnitId, Millis>,
    /// When the last line for a unit came that someone waits for, and whether it was the first in a while: one for each unit that was told
    /// anything since the start.
    came: BTreeMap<UnitId, (Millis, bool)>,
}

/// A line, and when its message expires.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Line {
    pub(super) item: ReceiptItem,
    pub(super) expires: Millis,
}

impl Owed {
    /// `mono` is none while the journal is replayed: then the line is due at once.
    pub(super) fn push(&mut self, to: UnitId, line: Line, mono: Option<Millis>) {
        let last = self.came.get(&to).copied();
        let is_first = |mono| last.is_none_or(|(last, _)| mono >= last + DELAY_IDLE_MS);
        let delay = match line.item.outcome {
            // The first line is complete with it.
            Outcome::Read if last.is_some_and(|(_, first)| first) && self.completes(&to, &line) => {
                0
            }
            Outcome::Relayed | Outcome::Read => DELAY_IDLE_MS,
            _ => {
                let is_first = mono.is_none_or(is_first);
                if let Some(mono) = mono {
                    self.came.insert(to.clone(), (mono, is_first));
                }
                if is_first { DELAY_MS } else { DELAY_IDLE_MS }
            }
        };
        let due = mono.map_or(0, |mono| mono + delay);
        let lines = self.to.entry(to.clone()).or_default();
        lines.push_back(line);
        let due = if lines.len() >= LINES_MAX { 0 } else { due };
        let earliest = self.due.entry(to).or_insert(due);
        *earliest = (*earliest).min(due);
    }

    /// Whether a line says all that there is to say of a message of which one is waiting to be signed.
    fn completes(&self, to: &UnitId, line: &Line) -> bool {
        let in_signing = self.in_signing(to).unwrap_or_default() as usize;
        let waiting = self.to.get(to).into_iter().flatten().skip(in_signing);
        waiting
            .take(LINES_MAX)
            .any(|earlier| line.item.completes(&earlier.item))
    }

    /// Units whose lines are to be signed now.
    pub(super) fn due(&self, mono: Millis) -> Vec<UnitId> {
        self.due
            .iter()
            .filter(|(to, due)| **due <= mono && !self.signing.contains_key(*to))
            .map(|(to, _)| to.clone())
            .collect()
    }

    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due
            .iter()
            .filter(|(to, _)| !self.signing.contains_key(*to))
            .map(|(_, due)| *due)
            .min()
    }

    /// The next lines for `to`; they stay owed until [`Owed::signed`].
    pub(super) fn begin(&mut self, to: &UnitId) -> (Vec<ReceiptItem>, Millis) {
        let lines = self.to.get(to).into_iter().flatten().take(LINES_MAX);
        let (items, expiries): (Vec<_>, Vec<_>) =
            lines.map(|l| (l.item.clone(), l.expires)).unzip();
        self.signing.insert(to.clone(), items.len() as u32);
        (items, expiries.into_iter().max().unwrap_or_default())
    }

    /// How many lines are being signed for `to`.
    pub(super) fn in_signing(&self, to: &UnitId) -> Option<u32> {
        self.signing.get(to).copied()
    }

    /// The first `lines` for `to` are in a signed receipt.
    pub(super) fn signed(&mut self, to: &UnitId, lines: u32) {
        self.signing.remove(to);
        if let Some(owed) = self.to.get_mut(to) {
            owed.drain(..owed.len().min(lines as usize));
            if owed.is_empty() {
                self.to.remove(to);
                self.due.remove(to);
            } else {
                self.due.insert(to.clone(), 0);
            }
        }
    }

    /// How many lines are owed to a unit.
    pub(super) fn to(&self, unit: &UnitId) -> usize {
        self.to.get(unit).map_or(0, VecDeque::len)
    }

    pub(super) fn len(&self) -> usize {
        self.to.values().map(VecDeque::len).sum()
    }

    pub(super) fn snapshot(&self) -> Vec<(UnitId, Vec<Line>)> {
        self.to
            .iter()
            .map(|(to, lines)| (to.clone(), lines.iter().cloned().collect()))
            .collect()
    }

    pub(super) fn restore(snapshot: Vec<(UnitId, Vec<Line>)>) -> Self {
        let mut owed = Self::default();
        for (to, lines) in snapshot {
            for line in lines {
                owed.push(to.clone(), line, None);
            }
        }
        owed
    }
}

/// A pattern that this node expanded or passed on: it awaits an outcome from each and then tells one summary.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Fanout {
    pub(super) pattern: Pattern,
    /// Who is told the summary.
    pub(super) back: UnitId,
    pub(super) remaining: BTreeSet<UnitId>,
    pub(super) delivered: u32,
    pub(super) failed: Vec<(UnitId, State)>,
    pub(super) expires: Millis,
}

impl Fanout {
    /// The unit or hub whose outcome a line tells: of a receiver by its name, or of the pattern by a hub that it was passed on to.
    fn teller<'a>(&'a self, receiver: &Pattern, issuer: &UnitId) -> Option<&'a UnitId> {
        match receiver.as_unit() {
            Some(unit) => self.remaining.get(&unit),
            None if *receiver == self.pattern => self.remaining.get(issuer),
            None => None,
        }
    }

    /// Whether an outcome is awaited.
    pub(super) fn awaits(&self, receiver: &Pattern, issuer: &UnitId) -> bool {
        self.teller(receiver, issuer).is_some()
    }

    /// Takes an outcome; false when it is not awaited.
    pub(super) fn take(&mut self, receiver: &Pattern, issuer: &UnitId, outcome: Outcome) -> bool {
        let Some(unit) = self.teller(receiver, issuer).cloned() else {
            return false;
        };
        if !outcome.is_terminal() {
            return false;
        }
        self.remaining.remove(&unit);
        match outcome {
            Outcome::Delivered | Outcome::Read => self.delivered += 1,
            other => self.failed.push((unit, other.into())),
        }
        true
    }

    /// The summary for the sender.
    pub(super) fn summary(&self, parcel: Digest, at: Millis) -> ReceiptItem {
        let outcome = match (self.delivered, self.failed.first()) {
            (0, Some((_, State::Expired))) => Outcome::Expired,
            (0, Some((_, State::Dropped))) => Outcome::Dropped,
            (0, Some(_)) => Outcome::Refused,
            _ => Outcome::Delivered,
        };
        let mut note = String::new();
        for (unit, state) in &self.failed {
            let more = format!("{unit} {};", state.as_str());
            if note.len() + more.len() > ReceiptItem::NOTE_BYTES_MAX {
                break;
            }
            note.push_str(&more);
        }
        ReceiptItem {
            parcel,
            receiver: self.pattern.clone(),
            outcome,
            reason: if self.failed.is_empty() {
                Reason::None
            } else {
                Reason::Partly
            },
            at,
            note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(parcel: &[u8], outcome: Outcome) -> Line {
        Line {
            item: ReceiptItem {
                parcel: Digest::of(parcel),
                receiver: "hebi.police".parse().expect("a unit"),
                outcome,
                reason: Reason::None,
                at: 1,
                note: String::new(),
            },
            expires: 10,
        }
    }

    #[test]
    fn what_was_read_at_once_is_told_in_one_receipt_and_at_once() {
        let to: UnitId = "hebi.tobacco".parse().expect("a unit");
        let mut owed = Owed::default();
        owed.push(to.clone(), line(b"a", Outcome::Delivered), Some(1_000));
        assert_eq!(owed.next_due(), Some(1_000 + DELAY_MS));
        owed.push(to.clone(), line(b"a", Outcome::Read), Some(1_005));
        assert_eq!(owed.due(1_005), std::slice::from_ref(&to));
        let (items, expires) = owed.begin(&to);
        let told = [Outcome::Delivered, Outcome::Read].map(|outcome| line(b"a", outcome).item);
        assert_eq!(items, told);
        assert_eq!(expires, 10);
        let lines = owed.in_signing(&to).expect("it is being signed");
        owed.signed(&to, lines);
        assert_eq!((owed.len(), owed.next_due()), (0, None));
    }

    #[test]
    fn a_read_waits_when_its_message_was_told_of_or_others_come_too() {
        let to: UnitId = "hebi.tobacco".parse().expect("a unit");
        let mut owed = Owed::default();
        owed.push(to.clone(), line(b"a", Outcome::Delivered), Some(1_000));
        owed.begin(&to);
        owed.signed(&to, 1);
        owed.push(to.clone(), line(b"a", Outcome::Read), Some(1_100));
        assert_eq!(owed.next_due(), Some(1_100 + DELAY_IDLE_MS));
        owed.push(to.clone(), line(b"b", Outcome::Delivered), Some(1_200));
        owed.push(to.clone(), line(b"b", Outcome::Read), Some(1_210));
        assert_eq!(owed.next_due(), Some(1_100 + DELAY_IDLE_MS));
        assert_eq!(owed.begin(&to).0.len(), 3);
    }
}
