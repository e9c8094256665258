//! What has begun and not ended: a span is told when it ends, and needs to know when it began.
//!
//! Only in memory, and within a bound. What is forgotten, or began before the node's last start, makes a span without length when
//! it ends, or none at all where nothing but its length would be told.

use std::collections::HashMap;

use super::span::Note;
use crate::model::{Lane, MessageId, Millis, Pattern, UnitId};

/// Phases and messages of one generation; there are two, of some 200 bytes each: about 13 MB when a node is full of messages that wait.
const GENERATION_MAX: usize = 32_768;
/// What is noted of one phase; later notes are left out.
const NOTES_MAX: usize = 16;

/// The messages that something has begun of. Those that nothing happens to are forgotten first.
#[derive(Debug)]
pub(super) struct Open {
    young: HashMap<MessageId, Here>,
    /// What `young` weighs.
    weight: usize,
    old: HashMap<MessageId, Here>,
    most: usize,
}

/// A message that is here.
#[derive(Debug, Default)]
pub(super) struct Here {
    /// Its lane, as far as it was told.
    pub(super) lane: Option<Lane>,
    /// Its parcel's size, as far as it was told.
    pub(super) bytes: Option<u32>,
    phases: Vec<Phase>,
    /// Its first phase is still to come.
    is_new: bool,
}

/// Where a message is, and what it does there.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) place: Place,
    pub(super) doing: Doing,
    pub(super) since: Millis,
    /// Those whose end is its end.
    pub(super) receivers: Vec<Pattern>,
    /// How many times it was sent, or handed over.
    pub(super) attempts: u32,
    pub(super) notes: Vec<Note>,
}

/// A queue of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For the application.
    Inbox,
    /// Towards a neighbour.
    Outbox(UnitId),
}

/// What becomes of it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// That is not known: it began before the node's last start, or was forgotten.
    Unknown,
    /// It waits.
    Waits,
    /// It is under way over a link.
    UnderWay(String),
    /// The application has it.
    HandedOver,
}

impl Open {
    pub(super) fn new() -> Self {
        Self::holding(GENERATION_MAX)
    }

    fn holding(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            weight: 0,
            old: HashMap::new(),
            most,
        }
    }

    /// Takes a message out, to be put back when it has been changed.
    pub(super) fn take(&mut self, message: &MessageId) -> Here {
        if let Some(here) = self.young.remove(message) {
            self.weight -= here.weight();
            return here;
        }
        self.old.remove(message).unwrap_or_default()
    }

    /// Puts a message back, unless nothing of it is open.
    pub(super) fn put(&mut self, message: MessageId, here: Here) {
        if here.phases.is_empty() && !here.is_new {
            return;
        }
        if self.weight + here.weight() > self.most {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += here.weight();
        self.young.insert(message, here);
    }
}

impl Here {
    fn weight(&self) -> usize {
        1 + self.phases.len()
    }

    /// It has come.
    pub(super) fn come(&mut self, lane: Lane, bytes: u32) {
        (self.lane, self.bytes) = (Some(lane), Some(bytes));
        self.is_new = true;
    }

    /// Something begins.
    pub(super) fn begin(&mut self, phase: Phase) {
        self.is_new = false;
        self.phases.push(phase);
    }

    /// One thing that was going on at a place ends.
    pub(super) fn end(&mut self, place: &Place, doing: &Doing) -> Option<Phase> {
        let mut phases = self.phases.iter();
        let at = phases.position(|one| one.place == *place && one.doing == *doing)?;
        Some(self.phases.remove(at))
    }

    /// All that was going on at a place ends: either it waited, or it was under way, over several links when it is urgent enough.
    pub(super) fn end_all(&mut self, place: &Place) -> Vec<Phase> {
        let ended = self.phases.extract_if(.., |one| one.place == *place);
        ended.collect()
    }

    /// Something of what is going on at a place.
    pub(super) fn at(&self, place: &Place) -> Option<&Phase> {
        self.phases.iter().find(|one| one.place == *place)
    }

    /// It ends for a receiver; gives the phases that end with that.
    pub(super) fn end_for(&mut self, receiver: &Pattern) -> Vec<Phase> {
        self.is_new = false;
        let ended = self.phases.extract_if(.., |phase| {
            let before = phase.receivers.len();
            phase.receivers.retain(|one| one != receiver);
            phase.receivers.is_empty() && before > 0
        });
        ended.collect()
    }

    /// Something happens meanwhile, at one place or at all.
    pub(super) fn note(&mut self, place: Option<&Place>, at: Millis, name: &'static str) {
        for phase in &mut self.phases {
            if place.is_none_or(|place| phase.place == *place) && phase.notes.len() < NOTES_MAX {
                phase.notes.push(Note { at, name });
            }
        }
    }
}

impl Phase {
    /// It waits.
    pub(super) fn wait(place: Place, since: Millis, receivers: Vec<Pattern>) -> Self {
        Self {
            place,
            doing: Doing::Waits,
            since,
            receivers,
            attempts: 0,
            notes: Vec::new(),
        }
    }

    /// It is there, and nothing else is known.
    pub(super) fn unknown(place: Place, since: Millis) -> Self {
        Self {
            doing: Doing::Unknown,
            ..Self::wait(place, since, Vec::new())
        }
    }

    /// What comes after it at the same place.
    pub(super) fn then(self, doing: Doing, since: Millis) -> Self {
        let is_attempt = doing != Doing::Waits;
        Self {
            doing,
            since,
            attempts: self.attempts + u32::from(is_attempt),
            notes: Vec::new(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(open: &mut Open, id: u8, outboxes: u8) {
        let mut here = open.take(&MessageId([id; 16]));
        here.come(Lane::Normal, 1);
        for outbox in 0..outboxes {
            let unit = format!("hebi.u{outbox}").parse().expect("a unit");
            here.begin(Phase::wait(Place::Outbox(unit), 0, Vec::new()));
        }
        open.put(MessageId([id; 16]), here);
    }

    #[test]
    fn what_nothing_happens_to_is_forgotten_first_and_the_bound_holds() {
        let mut open = Open::holding(10);
        for id in 0..100 {
            waiting(&mut open, id, id % 4);
            // Something happens to this one all the time.
            let here = open.take(&MessageId([0; 16]));
            open.put(MessageId([0; 16]), here);
            let weigh = |all: &HashMap<_, Here>| all.values().map(Here::weight).sum::<usize>();
            assert_eq!(weigh(&open.young), open.weight);
            assert!(open.weight <= 10 && weigh(&open.old) <= 10);
        }
        assert_eq!(open.take(&MessageId([0; 16])).bytes, Some(1));
        assert_eq!(open.take(&MessageId([1; 16])).bytes, None);
    }

    #[test]
    fn a_copy_ends_with_the_last_of_its_receivers() {
        let mut here = Here::default();
        let names = ["hebi.a", "hebi.b"].map(|name| name.parse::<Pattern>().expect("a pattern"));
        here.begin(Phase::wait(Place::Inbox, 0, names.to_vec()));
        assert_eq!(here.end_for(&names[1]).len(), 0);
        assert_eq!(here.end_for(&names[1]).len(), 0);
        assert_eq!(here.end_for(&names[0]).len(), 1);
        assert!(here.at(&Place::Inbox).is_none());
    }
}
