//! The journal's promises, tried with crashes, damage and full disks. Every random test says its seed when it fails.
//!
//! Here is what they have in common: records that mean something, and a [`World`] that knows all that ever went in.

mod compaction;
mod crash;
mod damage;
mod flaws;
mod folder;
mod full;

use std::{collections::BTreeMap, io::Read};

use bincode::{Decode, Encode};

use super::*;
use crate::{
    codec,
    model::{Location, Log as _, Lsn, Payload},
    sim::disk::SplitMix64,
};

const SMALL: Settings = Settings {
    segment_bytes: 16 * 1024,
    bytes_max: 1024 * MIB,
    reserve_percent: 10,
    checkpoint_bytes_min: 40 * 1024,
    victim_live_percent: 50,
    slack_percent: 15,
    quarantine_bytes_max: MIB,
};

/// What the records of these tests say.
#[derive(Clone, Debug, Encode, Decode)]
enum Record {
    Accept(u64),
    Move(u64),
    Drop(u64),
    Note(Vec<u8>),
}

/// What they lead to: which payloads are alive and where, and a digest over all records in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct State {
    last: Lsn,
    digest: [u8; 32],
    alive: BTreeMap<u64, Location>,
}

impl State {
    /// Returns the location that is no longer needed.
    fn apply(&mut self, lsn: Lsn, record: &[u8], location: Location) -> Option<Location> {
        let mut hasher = blake3::Hasher::new_keyed(&self.digest);
        hasher.update(&lsn.to_le_bytes());
        self.digest = *hasher.update(record).finalize().as_bytes();
        self.last = lsn;
        match codec::decode::<Record, 65536>(record).expect("a record as it was written") {
            Record::Accept(id) => {
                self.alive.insert(id, location);
                None
            }
            Record::Move(id) => {
                let old = self.alive.insert(id, location);
                old.filter(|old| *old != location)
            }
            Record::Drop(id) => self.alive.remove(&id),
            Record::Note(_) => None,
        }
    }
}

/// Collects what a journal holds.
#[derive(Debug, Default)]
struct Found {
    state: State,
    records: BTreeMap<Lsn, (Vec<u8>, Location)>,
}

impl Replay for Found {
    fn checkpoint(&mut self, lsn: Lsn, state: &mut dyn Read) -> bool {
        match codec::decode_from::<State, { 1 << 30 }>(state) {
            Ok(state) => {
                assert_eq!(state.last, lsn);
                self.state = state;
                true
            }
            Err(_) => false,
        }
    }

    fn record(&mut self, lsn: Lsn, record: &[u8], _payload: &[u8], location: Location) {
        self.state.apply(lsn, record, location);
        self.records.insert(lsn, (record.to_vec(), location));
    }
}

fn body(id: u64) -> Vec<u8> {
    let mut dice = SplitMix64(id);
    let most = if dice.chance(5) { 6000 } else { 900 };
    let len = dice.below(most);
    (0..len).map(|_| dice.next_u64() as u8).collect()
}

/// A state as a checkpoint takes it: in parts.
fn parts(state: &State) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
    let bytes = codec::encode(state);
    let parts: Vec<Vec<u8>> = bytes.chunks(1000).map(<[u8]>::to_vec).collect();
    parts.into_iter()
}

fn seed(n: u64) -> [u8; 32] {
    *blake3::hash(&n.to_le_bytes()).as_bytes()
}

/// A journal, the state that goes with it, and all that ever went in.
struct World<D: Disk> {
    journal: Journal<D>,
    settings: Settings,
    dice: SplitMix64,
    state: State,
    /// The state after each number, and whether a group ends with it.
    history: BTreeMap<Lsn, (State, bool)>,
    ids: u64,
}

impl<D: Disk> World<D> {
    fn new(disk: &D, settings: Settings, n: u64) -> Self {
        let mut found = Found::default();
        let (journal, recovery) =
            Journal::open(disk.clone(), settings, seed(n), &mut found).expect("opens");
        assert_eq!(recovery, Recovery::default(), "seed {n}: the disk is empty");
        Self {
            journal,
            settings,
            dice: SplitMix64(n),
            state: State::default(),
            history: BTreeMap::from([(0, (State::default(), true))]),
            ids: 0,
        }
    }

    fn append(&mut self, record: &Record) {
        let payload = match record {
            Record::Accept(id) => Some(body(*id)),
            _ => None,
        };
        let payload = match record {
            Record::Move(id) => Payload::Copy(self.state.alive[id]),
            _ => payload.as_deref().map_or(Payload::None, Payload::New),
        };
        let record = codec::encode(record);
        let (lsn, location) = self.journal.append(&record, payload);
        if let Some(freed) = self.state.apply(lsn, &record, location) {
            self.journal.freed(freed);
        }
        self.history.insert(lsn, (self.state.clone(), false));
    }

    fn end_group(&mut self) {
        self.journal.end_group();
        if let Some((_, ends)) = self.history.get_mut(&self.state.last) {
            *ends = true;
        }
    }

    /// A group of some records; about `alive` payloads stay.
    fn group(&mut self, alive: usize) {
        for _ in 0..=self.dice.below(4) {
            let some = self.dice.below(self.state.alive.len() as u64 + 1) as usize;
            let id = self.state.alive.keys().nth(some).copied();
            let record = match (self.dice.below(10), id) {
                (0, _) => Record::Note(vec![7; self.dice.below(100) as usize]),
                (1, Some(id)) => Record::Move(id),
                (2..6, Some(id)) if self.state.alive.len() > alive => Record::Drop(id),
                _ => {
                    self.ids += 1;
                    Record::Accept(self.ids)
                }
            };
            self.append(&record);
        }
        self.end_group();
    }

    /// Takes what waits and writes it; whether storage still works.
    fn write(&mut self) -> bool {
        match self.journal.take_write() {
            Some(write) => {
                let result = write.run();
                let failed = matches!(result, Err(WriteError::Failed { .. }));
                self.journal.finished(result);
                !failed
            }
            None => !self.journal.failed(),
        }
    }

    fn checkpoint(&mut self) -> bool {
        let Some(job) = self.journal.checkpoint(parts(&self.state)) else {
            return false;
        };
        let result = job.run();
        self.journal.checkpointed(&result);
        result.is_ok()
    }

    fn compact(&mut self) {
        let Some(victim) = self.journal.victim() else {
            return;
        };
        let ids = self.state.alive.iter();
        let ids: Vec<u64> = ids
            .filter(|(_, location)| location.segment == victim)
            .map(|(id, _)| *id)
            .collect();
        assert!(!ids.is_empty(), "segment {victim} has nothing alive");
        for id in ids {
            self.append(&Record::Move(id));
            self.end_group();
        }
    }

    fn assert_payloads_read(&self, n: u64) {
        let reader = self.journal.reader();
        let mut ahead = Ahead::default();
        for (id, location) in &self.state.alive {
            for read in [
                reader.read(*location),
                reader.read_on(*location, &mut ahead),
            ] {
                let read = read.unwrap_or_else(|e| panic!("seed {n}: {id} at {location:?}: {e}"));
                assert_eq!(read, body(*id), "seed {n}: payload {id}");
            }
        }
    }

    /// Opens the disk again after a crash and goes on with what is there, which must be what was promised.
    fn reopen(&mut self, disk: &D, n: u64) -> Recovery {
        self.reopen_after(disk, n, self.journal.synced())
    }

    /// As [`World::reopen`]; everything up to `promised` was told to be durable, by the journal or by a start after it.
    fn reopen_after(&mut self, disk: &D, n: u64, promised: Lsn) -> Recovery {
        let mut found = Found::default();
        let (journal, recovery) = Journal::open(
            disk.clone(),
            self.settings,
            seed(self.dice.next_u64()),
            &mut found,
        )
        .expect("opens");
        assert!(recovery.is_clean(), "seed {n}: {:?}", recovery.damage);
        assert!(
            recovery.last >= promised,
            "seed {n}: {recovery:?} loses {promised}"
        );
        let (state, ends) = &self.history[&recovery.last];
        assert!(ends, "seed {n}: {recovery:?} cuts a group");
        assert_eq!(found.state, *state, "seed {n}: {recovery:?}");
        assert_eq!(journal.synced(), recovery.last);
        self.state = found.state;
        self.journal = journal;
        for location in self.state.alive.values() {
            self.journal.live(*location);
        }
        self.history.retain(|lsn, _| *lsn <= recovery.last);
        self.assert_payloads_read(n);
        recovery
    }
}
