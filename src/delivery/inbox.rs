//! The durable queue towards the local application.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::{Depth, Ticket, parcels::Slot};
use crate::model::{Lane, Lsn, Millis};

/// A message's place in the inbox: lower is earlier.
type Place = u64;

/// Messages that wait for the application, with leases that live in memory only.
///
/// Of one chain (a sender and a case) only the first is handed out; the next follows when it is acked.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    next: Place,
    entries: BTreeMap<Place, Entry>,
    places: HashMap<Slot, Place>,
    chains: HashMap<u64, VecDeque<Place>>,
    ready: [BTreeSet<Place>; 4],
    leases: BTreeSet<(Millis, Place)>,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    lane: Lane,
    chain: u64,
    bytes: u32,
    lease: Option<(Millis, Ticket)>,
    lsn: Lsn,
    /// Its attachments are not all here.
    is_shut: bool,
}

impl Inbox {
    /// Puts a message in. One that is shut keeps its place, and its case, until it is opened.
    pub(super) fn push(
        &mut self,
        slot: Slot,
        lane: Lane,
        chain: u64,
        bytes: u32,
        lsn: Lsn,
        is_shut: bool,
    ) {
        let place = self.next;
        self.next += 1;
        self.entries.insert(
            place,
            Entry {
                slot,
                lane,
                chain,
                bytes,
                lease: None,
                lsn,
                is_shut,
            },
        );
        self.places.insert(slot, place);
        self.bytes += u64::from(bytes);
        if chain != 0 {
            self.chains.entry(chain).or_default().push_back(place);
        }
        self.make_ready(place);
    }

    /// Opens a message that was shut, by a record; false when it is not there, or was open.
    pub(super) fn open(&mut self, slot: Slot, lsn: Lsn) -> bool {
        let Some(place) = self.places.get(&slot).copied() else {
            return false;
        };
        match self.entries.get_mut(&place) {
            Some(entry) if entry.is_shut => {
                entry.is_shut = false;
                entry.lsn = lsn;
            }
            _ => return false,
        }
        self.make_ready(place);
        true
    }

    /// A message can go, unless it is shut, leased, or not the first of its chain.
    fn make_ready(&mut self, place: Place) {
        let Some(entry) = self.entries.get(&place) else {
            return;
        };
        let first = self
            .chains
            .get(&entry.chain)
            .and_then(|chain| chain.front());
        let is_first = entry.chain == 0 || first == Some(&place);
        if is_first && !entry.is_shut && entry.lease.is_none() {
            self.ready[entry.lane.index()].insert(place);
        }
    }

    /// Whether a message is there whose attachments are not.
    pub(super) fn is_shut(&self, slot: Slot) -> bool {
        let place = self.places.get(&slot);
        let entry = place.and_then(|place| self.entries.get(place));
        entry.is_some_and(|entry| entry.is_shut)
    }

    /// Messages that are shut, for a checkpoint.
    pub(super) fn shut(&self) -> impl Iterator<Item = Slot> + '_ {
        let shut = self.entries.values().filter(|entry| entry.is_shut);
        shut.map(|entry| entry.slot)
    }

    /// Takes a message out: the application is done with it. Its successor in the chain becomes ready.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let Some(place) = self.places.remove(&slot) else {
            return false;
        };
        let Some(entry) = self.entries.remove(&place) else {
            return false;
        };
        self.bytes -= u64::from(entry.bytes);
        self.ready[entry.lane.index()].remove(&place);
        if let Some((until, _)) = entry.lease {
            self.leases.remove(&(until, place));
        }
        if let Some(places) = self.chains.get_mut(&entry.chain) {
            places.retain(|p| *p != place);
            match places.front() {
                None => {
                    self.chains.remove(&entry.chain);
                }
                Some(first) => {
                    let first = *first;
                    self.make_ready(first);
                }
            }
        }
        true
    }

    /// Leases up to `max` messages to `ticket` until `until`, the most urgent first.
    ///
    /// Nothing is handed over that a record past `synced` put in: a power cut could still take it back.
    pub(super) fn lease(
        &mut self,
        max: usize,
        ticket: Ticket,
        until: Millis,
        synced: Lsn,
    ) -> Vec<Slot> {
        let mut leased = Vec::new();
        while leased.len() < max {
            let Some(place) = self.next_ready(synced) else {
                break;
            };
            self.ready.iter_mut().for_each(|lane| {
                lane.remove(&place);
            });
            if let Some(entry) = self.entries.get_mut(&place) {
                entry.lease = Some((until, ticket));
                self.leases.insert((until, place));
                leased.push(entry.slot);
            }
        }
        leased
    }

    /// Ends a lease before its time.
    pub(super) fn release(&mut self, slot: Slot) -> bool {
        let Some(place) = self.places.get(&slot).copied() else {
            return false;
        };
        self.end_lease(place);
        true
    }

    /// Ends every lease of `ticket`.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        let places: Vec<Place> = self
            .leases
            .iter()
            .map(|(_, place)| *place)
            .filter(|place| {
                self.entries
                    .get(place)
                    .is_some_and(|e| e.lease.is_some_and(|(_, t)| t == ticket))
            })
            .collect();
        for place in places {
            self.end_lease(place);
        }
    }

    /// Ends leases whose time is over.
    pub(super) fn expire_leases(&mut self, now: Millis) {
        while let Some((until, place)) = self.leases.first().copied() {
            if until > now {
                break;
            }
            self.end_lease(place);
        }
    }

    fn end_lease(&mut self, place: Place) {
        let Some(entry) = self.entries.get_mut(&place) else {
            return;
        };
        if let Some((until, _)) = entry.lease.take() {
            self.leases.remove(&(until, place));
            self.ready[entry.lane.index()].insert(place);
        }
    }

    pub(super) fn next_lease_end(&self) -> Option<Millis> {
        self.leases.first().map(|(until, _)| *until)
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.places.contains_key(&slot)
    }

    pub(super) fn is_leased(&self, slot: Slot) -> Option<bool> {
        let place = self.places.get(&slot)?;
        Some(self.entries.get(place)?.lease.is_some())
    }

    /// Whether [`Inbox::lease`] would find something.
    pub(super) fn has_ready(&self, synced: Lsn) -> bool {
        self.next_ready(synced).is_some()
    }

    fn next_ready(&self, synced: Lsn) -> Option<Place> {
        self.ready.iter().find_map(|lane| {
            let place = *lane.first()?;
            // Places and records run in the same order, but where one was opened late: then others wait for a sync.
            (self.entries.get(&place)?.lsn <= synced).then_some(place)
        })
    }

    /// How much is in it.
    pub(super) fn depth(&self) -> Depth {
        Depth {
            messages: self.len(),
            bytes: self.bytes,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn leased(&self) -> u64 {
        self.leases.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The messages in their order, for a checkpoint.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.entries.values().map(|entry| entry.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_message_of_a_case_waits_while_an_earlier_one_is_leased() {
        let mut inbox = Inbox::default();
        inbox.push(1, Lane::Normal, 7, 10, 1, false);
        inbox.push(2, Lane::Flash, 7, 10, 1, false);
        inbox.push(3, Lane::Normal, 0, 10, 1, false);
        assert_eq!(inbox.lease(10, 1, 100, 1), [1, 3]);
        assert!(inbox.lease(10, 2, 100, 1).is_empty());
        inbox.expire_leases(100);
        assert_eq!(inbox.lease(1, 3, 200, 1), [1]);
        assert!(inbox.remove(1));
        assert_eq!(inbox.lease(1, 3, 200, 1), [2]);
    }

    #[test]
    fn a_message_that_is_shut_holds_its_case_and_nothing_else() {
        let mut inbox = Inbox::default();
        inbox.push(1, Lane::Normal, 7, 10, 1, true);
        inbox.push(2, Lane::Flash, 7, 10, 2, false);
        inbox.push(3, Lane::Normal, 0, 10, 3, false);
        assert!(inbox.is_shut(1) && !inbox.is_shut(2));
        assert_eq!(inbox.lease(10, 1, 100, 3), [3]);
        assert!(!inbox.open(2, 4), "it was never shut");
        assert!(inbox.open(1, 4));
        assert!(
            inbox.lease(10, 1, 100, 3).is_empty(),
            "its record is not synced"
        );
        assert_eq!(inbox.lease(10, 1, 100, 4), [1]);
        assert!(inbox.remove(1));
        assert_eq!(inbox.lease(10, 1, 100, 4), [2]);
    }

    #[test]
    fn leases_of_an_answer_that_nobody_read_are_free_again() {
        let mut inbox = Inbox::default();
        inbox.push(1, Lane::Normal, 0, 10, 1, false);
        assert_eq!(inbox.lease(10, 5, 100, 1), [1]);
        inbox.forget(5);
        assert_eq!(inbox.lease(10, 6, 100, 1), [1]);
    }
}
