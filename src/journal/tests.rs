//! The journal's promises, tried with crashes, damage and full disks. Every random test says its seed when it fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc,
    time::Duration,
};

use bincode::{Decode, Encode};

use super::*;
use crate::{
    codec,
    model::{Location, Log as _, Lsn, Payload},
    sim::disk::{Operation, SimDisk, SplitMix64},
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
    fn checkpoint(&mut self, lsn: Lsn, state: &[u8]) -> bool {
        match codec::decode::<State, { 1 << 30 }>(state) {
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
        let Some(job) = self.journal.checkpoint(codec::encode(&self.state)) else {
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
        for (id, location) in &self.state.alive {
            let read = reader.read(*location);
            let read = read.unwrap_or_else(|e| panic!("seed {n}: {id} at {location:?}: {e}"));
            assert_eq!(read, body(*id), "seed {n}: payload {id}");
        }
    }

    /// Opens the disk again after a crash and goes on with what is there, which must be what was promised.
    fn reopen(&mut self, disk: &D, n: u64) -> Recovery {
        let synced = self.journal.synced();
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
            recovery.last >= synced,
            "seed {n}: {recovery:?} loses {synced}"
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

#[test]
fn what_was_reported_synced_survives_any_crash_and_groups_are_whole() {
    let (mut torn, mut ahead, mut jobs_cut) = (0, 0, 0);
    for n in 0..2500 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _life in 0..3 {
            let steps = world.dice.below(60);
            for _ in 0..steps {
                match world.dice.below(100) {
                    0..60 => world.group(20),
                    60..90 => assert!(world.write(), "seed {n}"),
                    90..95 => world.compact(),
                    _ => {
                        assert!(world.write(), "seed {n}");
                        world.checkpoint();
                    }
                }
            }
            // The power goes between two jobs or somewhere in one, or a disk that fails is followed by a kill or by a power cut.
            for _ in 0..world.dice.below(5) {
                world.group(20);
            }
            let end = world.dice.below(10);
            match end {
                0..6 => disk.cut_power_after(world.dice.below(5)),
                6 => disk.fail(Operation::Allocate, 0, u64::MAX),
                7 => disk.fail(Operation::Write, world.dice.below(3), u64::MAX),
                8 => disk.fail(Operation::Sync, world.dice.below(3), 1),
                _ => {}
            }
            if world.dice.chance(90) {
                if world.write() && world.dice.chance(50) {
                    world.checkpoint();
                } else {
                    jobs_cut += 1;
                }
            }
            match end < 6 || world.dice.chance(50) {
                true => disk.crash(world.dice.next_u64()),
                false => disk.heal(),
            }
            let synced = world.journal.synced();
            let recovery = world.reopen(&disk, n);
            torn += u64::from(recovery.torn.is_some());
            ahead += u64::from(recovery.last > synced);
        }
    }
    assert!(
        torn > 200 && ahead > 200 && jobs_cut > 1000,
        "{torn} {ahead} {jobs_cut}"
    );
}

#[test]
fn a_flipped_bit_costs_its_own_record_and_is_reported() {
    let mut losses = 0;
    for n in 0..400 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        let groups = 1 + world.dice.below(60);
        for _ in 0..groups {
            world.group(1000);
            if world.dice.chance(30) {
                assert!(world.write());
            }
        }
        world.journal.drain().expect("durable");
        let all = {
            let mut found = Found::default();
            Journal::open(disk.fork(), SMALL, seed(1), &mut found).expect("opens");
            assert_eq!(found.state, world.state);
            found.records
        };
        let disk = disk.fork();
        let files: Vec<(String, Vec<u8>)> = disk.files().into_iter().collect();
        let mut flipped: BTreeSet<(u32, u64)> = BTreeSet::new();
        for _ in 0..=world.dice.below(6) {
            let (name, bytes) = &files[world.dice.below(files.len() as u64) as usize];
            let bit = world.dice.below(bytes.len() as u64 * 8);
            if disk.flip(name, bit) {
                flipped.insert((segment::number(name).expect("a segment"), bit / 8));
            }
        }
        let hit = |location: &Location| {
            let end = u64::from(location.offset) + u64::from(location.len);
            flipped
                .range((location.segment, location.offset.into())..(location.segment, end))
                .next()
                .is_some()
        };
        let both_headers = |number: u32| {
            let hits = |copy: u64| flipped.range((number, copy * 512)..(number, copy * 512 + 84));
            hits(0).next().is_some() && hits(1).next().is_some()
        };
        let mut found = Found::default();
        let (journal, recovery) =
            Journal::open(disk, SMALL, seed(2), &mut found).expect("opens whatever is damaged");
        let reader = journal.reader();
        for (lsn, record) in &found.records {
            assert_eq!(
                Some(record),
                all.get(lsn),
                "seed {n}: record {lsn} is invented"
            );
        }
        for (lsn, (record, location)) in &all {
            let damaged = hit(location) || both_headers(location.segment);
            if let Ok(read) = reader.read(*location)
                && let Record::Accept(id) = codec::decode::<Record, 65536>(record).expect("whole")
            {
                assert_eq!(read, body(id), "seed {n}: wrong bytes are served");
            }
            if found.records.contains_key(lsn) {
                continue;
            }
            losses += 1;
            assert!(
                damaged,
                "seed {n}: record {lsn} at {location:?} is whole and lost: {recovery:?}"
            );
            let mut reported = recovery.damage.iter().filter_map(|damage| damage.lost);
            assert!(
                reported.any(|(first, last)| (first..=last).contains(lsn)),
                "seed {n}: the loss of {lsn} is not reported: {recovery:?}"
            );
        }
        assert!(
            journal.appended() >= world.state.last,
            "seed {n}: a number is used again"
        );
        assert!(journal.checkpoint_due() || recovery.is_clean());
    }
    assert!(losses > 100, "{losses}");
}

#[test]
fn any_damage_to_any_file_is_survived_and_what_comes_after_it_is_kept() {
    for n in 0..300 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _ in 0..80 {
            world.group(15);
            assert!(world.write());
            if world.journal.checkpoint_due() {
                world.compact();
                assert!(world.write() && world.checkpoint());
            }
        }
        let disk = disk.fork();
        let names: Vec<String> = disk.list().expect("names");
        for _ in 0..=world.dice.below(40) {
            let name = &names[world.dice.below(names.len() as u64) as usize];
            let len = disk.open(name).and_then(|file| file.len());
            match world.dice.below(20) {
                0 => drop(disk.remove(name)),
                1 => {
                    if let Ok(file) = disk.open(name) {
                        let len = file.len().expect("a length");
                        file.set_len(world.dice.below(len + 1)).expect("cut");
                    }
                }
                2 => {
                    if let Ok(file) = disk.open(name) {
                        let len = file.len().expect("a length");
                        let zeros = vec![0; world.dice.below(3000) as usize];
                        let _ = file.write_at(&zeros, world.dice.below(len + 1));
                    }
                }
                _ => {
                    let bits = len.unwrap_or(0) * 8;
                    disk.flip(name, world.dice.below(bits));
                }
            }
        }
        let mut found = Found::default();
        let (mut journal, _) = Journal::open(disk.clone(), SMALL, seed(3), &mut found)
            .unwrap_or_else(|e| panic!("seed {n}: {e}"));
        let (lsn, _) = journal.append(&codec::encode(&Record::Accept(9)), Payload::New(&body(9)));
        journal.end_group();
        assert_eq!(journal.drain().expect("durable"), lsn);
        drop(journal);
        let mut found = Found::default();
        let (journal, _) = Journal::open(disk, SMALL, seed(4), &mut found).expect("opens");
        assert!(journal.appended() >= lsn, "seed {n}");
        let location = found.state.alive[&9];
        assert_eq!(
            journal.reader().read(location).expect("there"),
            body(9),
            "seed {n}"
        );
    }
}

#[test]
fn a_true_frame_copied_into_a_body_is_no_record() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 1);
    world.append(&Record::Note(vec![1; 50]));
    world.end_group();
    world.journal.drain().expect("durable");
    let name = segment::name(1);
    let whole = disk.files()[&name].clone();
    let frame = &whole[segment::START as usize..segment::START as usize + 120];
    // At every alignment, so that one of them stands where frames stand.
    let mut hostile = Vec::new();
    for i in 0..8 {
        hostile.resize(hostile.len() + i, 0);
        hostile.extend_from_slice(frame);
    }
    let (lsn, location) = world
        .journal
        .append(&codec::encode(&Record::Accept(77)), Payload::New(&hostile));
    let (after, _) = world
        .journal
        .append(&codec::encode(&Record::Note(vec![2])), Payload::None);
    world.journal.drain().expect("durable");
    let disk = disk.fork();
    assert!(disk.flip(&name, (u64::from(location.offset) + 17) * 8));
    let mut found = Found::default();
    let (_, recovery) = Journal::open(disk.clone(), SMALL, seed(2), &mut found).expect("opens");
    let numbers: Vec<Lsn> = found.records.keys().copied().collect();
    assert_eq!(numbers, [1, after]);
    assert_eq!(recovery.damage.len(), 1);
    let damage = &recovery.damage[0];
    assert_eq!(
        (damage.cause, damage.lost),
        (Cause::Bytes, Some((lsn, lsn)))
    );
    assert_eq!(damage.bytes, u64::from(location.len));
    let kept = damage.quarantine.as_deref().expect("kept");
    assert_eq!(kept, format!("1-{}.bin", location.offset));
    assert_eq!(
        disk.files()[&format!("quarantine/{kept}")].len(),
        location.len as usize
    );
}

#[test]
fn disk_use_follows_what_is_alive_while_a_hundred_thousand_records_pass() {
    let settings = Settings {
        segment_bytes: 64 * 1024,
        checkpoint_bytes_min: 256 * 1024,
        ..SMALL
    };
    let disk = SimDisk::new();
    let mut world = World::new(&disk, settings, 5);
    let mut checkpoints = 0;
    while world.state.last < 100_000 {
        world.group(200);
        world.history.clear();
        if world.dice.chance(20) {
            assert!(world.write());
        }
        if world.journal.checkpoint_due() {
            while world.journal.victim().is_some() {
                world.compact();
                world.history.clear();
            }
            assert!(world.write() && world.checkpoint());
            checkpoints += 1;
            let room = world.journal.room();
            assert_eq!(room.bytes_used, disk.used(), "the account is the disk's");
            let alive: usize = world.state.alive.values().map(|l| l.len as usize).sum();
            assert_eq!(room.bytes_live, alive as u64);
            // Twice what is alive, what comes between two checkpoints, the open and the spare segment.
            let bound = 2 * room.bytes_live + 3 * 256 * 1024 + 2 * 64 * 1024;
            assert!(disk.used() < bound, "{room:?}");
        }
    }
    assert!(checkpoints > 50, "{checkpoints}");
    world.journal.drain().expect("durable");
    world.history = BTreeMap::from([(world.state.last, (world.state.clone(), true))]);
    world.reopen(&disk, 5);
}

#[test]
fn a_checkpoint_and_the_records_after_it_are_what_all_records_are() {
    for n in 0..50 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _ in 0..100 {
            // Nothing is dropped, so every segment stays.
            world.group(usize::MAX);
            assert!(world.write());
            if world.dice.chance(4) {
                assert!(world.checkpoint());
            }
        }
        assert!(world.checkpoint());
        world.group(usize::MAX);
        assert!(world.write());
        let checkpoints = |disk: &SimDisk| -> Vec<String> {
            let names = disk.list().expect("names").into_iter();
            names
                .filter(|name| checkpoint::lsn(name).is_some())
                .collect()
        };
        let names = checkpoints(&disk);
        assert_eq!(names.len(), 1, "exactly one is kept");
        let mut with = Found::default();
        let (_, recovery) = Journal::open(disk.fork(), SMALL, seed(1), &mut with).expect("opens");
        assert!(recovery.checkpoint.is_some() && recovery.replayed < 5);
        assert_eq!(with.state, world.state);

        let without = disk.fork();
        without.remove(&names[0]).expect("there");
        let mut all = Found::default();
        let (_, recovery) = Journal::open(without, SMALL, seed(2), &mut all).expect("opens");
        assert!(
            recovery.is_clean() || world.state.alive.is_empty(),
            "seed {n}: {recovery:?}"
        );
        assert_eq!(all.state, world.state, "seed {n}");

        let damaged = disk.fork();
        assert!(damaged.flip(&names[0], 300));
        let mut all = Found::default();
        let (_, recovery) = Journal::open(damaged, SMALL, seed(3), &mut all).expect("opens");
        assert_eq!(recovery.damage.len(), 1);
        assert_eq!(recovery.damage[0].cause, Cause::Checkpoint);
        assert_eq!(all.state, world.state, "seed {n}");
    }
}

#[test]
fn a_missing_segment_is_reported_with_the_records_lost_in_it() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 3);
    for _ in 0..100 {
        world.group(usize::MAX);
        assert!(world.write());
    }
    let in_two = |(_, (_, location)): &(&Lsn, &(Vec<u8>, Location))| location.segment == 2;
    let mut all = Found::default();
    Journal::open(disk.fork(), SMALL, seed(1), &mut all).expect("opens");
    let lost: Vec<Lsn> = all
        .records
        .iter()
        .filter(in_two)
        .map(|(lsn, _)| *lsn)
        .collect();
    let disk = disk.fork();
    disk.remove(&segment::name(2)).expect("there");
    let mut found = Found::default();
    let (_, recovery) = Journal::open(disk, SMALL, seed(1), &mut found).expect("opens");
    assert_eq!(recovery.damage.len(), 1);
    let damage = &recovery.damage[0];
    assert_eq!((damage.cause, damage.segment), (Cause::Missing, 2));
    assert_eq!(damage.lost, Some((lost[0], lost[lost.len() - 1])));
    assert_eq!(found.records.len() + lost.len(), all.records.len());
}

#[test]
fn a_full_disk_is_noticed_with_a_segment_to_spare_and_passes() {
    let settings = Settings {
        segment_bytes: 256 * 1024,
        ..SMALL
    };
    for n in 0..60 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, settings, n);
        world.group(usize::MAX);
        assert!(world.write());
        disk.set_capacity(Some(disk.used() + world.dice.below(600_000)));
        while !world.journal.room().spare_missing {
            assert!(world.journal.room().admits(100, false), "seed {n}");
            world.group(usize::MAX);
            assert!(world.write(), "seed {n}");
        }
        let room = world.journal.room();
        assert!(
            !room.admits(100, false) && room.admits(100, true),
            "seed {n}: {room:?}"
        );
        assert_eq!(
            world.journal.synced(),
            world.state.last,
            "seed {n}: all is safe so far"
        );
        assert!(
            room.bytes_left > u64::from(settings.segment_bytes) / 4,
            "seed {n}: {room:?}"
        );
        assert_eq!(world.journal.victim(), None);
        // Nobody heeds it.
        while !world.journal.room().full {
            world.group(usize::MAX);
            assert!(world.write(), "seed {n}");
        }
        world.assert_payloads_read(n);
        world.group(usize::MAX);
        assert!(world.journal.take_write().is_none());
        let write = world.journal.retry().expect("waits for room");
        let again = write.run();
        assert!(
            matches!(again, Err(WriteError::Full { .. })),
            "seed {n}: {again:?}"
        );
        world.journal.finished(again);
        if world.dice.chance(50) {
            disk.set_capacity(None);
            assert_eq!(
                world.journal.drain().expect("room"),
                world.state.last,
                "seed {n}"
            );
            let room = world.journal.room();
            assert!(
                room.admits(100, false) && !room.spare_missing,
                "seed {n}: {room:?}"
            );
        }
        disk.set_capacity(None);
        disk.crash(n);
        world.reopen(&disk, n);
        assert!(world.journal.room().admits(100, false));
    }
}

#[test]
fn a_failed_sync_is_final_and_nothing_more_is_promised() {
    for n in 0..200 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _ in 0..world.dice.below(20) {
            world.group(10);
            assert!(world.write());
        }
        let synced = world.journal.synced();
        world.group(10);
        disk.fail(Operation::Sync, 0, 1);
        let write = world.journal.take_write().expect("something waits");
        let result = write.run();
        assert!(
            matches!(result, Err(WriteError::Failed { .. })),
            "seed {n}: {result:?}"
        );
        assert_eq!(world.journal.finished(result), synced);
        assert!(world.journal.failed() && world.journal.room().failed);
        world.group(10);
        assert!(world.journal.take_write().is_none() && world.journal.retry().is_none());
        assert!(world.journal.checkpoint(Vec::new()).is_none());
        assert_eq!(world.journal.room().bytes_pending, 0, "nothing piles up");
        assert_eq!(world.journal.synced(), synced);
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn a_payload_that_cannot_be_copied_stays_where_it_is() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 1);
    world.append(&Record::Accept(1));
    world.end_group();
    world.journal.drain().expect("durable");
    let old = world.state.alive[&1];
    disk.fail(Operation::Read, 0, 1);
    world.append(&Record::Move(1));
    world.end_group();
    assert_eq!(world.state.alive[&1], old);
    world.journal.drain().expect("durable");
    world.reopen(&disk, 1);
    assert_eq!(world.state.alive[&1], old);
}

#[test]
fn a_payload_is_copied_wherever_it_is_by_then() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 1);
    world.append(&Record::Accept(1));
    world.append(&Record::Move(1));
    world.end_group();
    let write = world.journal.take_write().expect("pending");
    world.assert_payloads_read(1);
    world.append(&Record::Move(1));
    world.end_group();
    world.journal.finished(write.run());
    world.append(&Record::Move(1));
    world.end_group();
    world.journal.drain().expect("durable");
    world.assert_payloads_read(1);
    world.reopen(&disk, 1);
}

#[test]
fn a_group_larger_than_a_segment_is_whole_in_one_of_its_own() {
    for expected in [false, true] {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, 1);
        world.group(usize::MAX);
        if expected {
            world.journal.expect(100_000);
        }
        let first = world.state.last + 1;
        for id in 1000..1150 {
            world.append(&Record::Accept(id));
        }
        world.end_group();
        let segments: BTreeSet<u32> = (1000..1150)
            .map(|id| world.state.alive[&id].segment)
            .collect();
        assert_eq!(segments.len(), 1);
        world.journal.drain().expect("durable");
        world.reopen(&disk, 1);
        assert!(world.state.last > first);
    }
}

#[test]
fn a_checkpoint_waits_for_the_records_that_it_covers() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 1);
    world.group(5);
    let job = world
        .journal
        .checkpoint(codec::encode(&world.state))
        .expect("free");
    assert!(
        world.journal.checkpoint(Vec::new()).is_none(),
        "one at a time"
    );
    let result = job.run();
    assert!(
        matches!(result, Err(CheckpointError::TooEarly { .. })),
        "{result:?}"
    );
    world.journal.checkpointed(&result);
    assert!(world.write() && world.checkpoint());
}

#[test]
fn a_removed_segment_is_gone_for_readers_and_a_wrong_place_is_no_payload() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, 1);
    for _ in 0..40 {
        world.group(3);
        assert!(world.write());
    }
    let reader = world.journal.reader();
    let first = Location {
        segment: 1,
        offset: segment::START,
        len: 64,
    };
    assert!(matches!(reader.read(first), Err(ReadError::Damaged { .. })));
    let huge = Location {
        len: u32::MAX,
        ..first
    };
    assert!(matches!(reader.read(huge), Err(ReadError::Damaged { .. })));
    world.compact();
    for id in world.state.alive.clone().keys() {
        world.append(&Record::Move(*id));
    }
    assert!(world.write() && world.checkpoint());
    assert!(matches!(
        reader.read(first),
        Err(ReadError::Gone { segment: 1 })
    ));
    world.assert_payloads_read(1);
}

#[test]
fn a_real_folder_keeps_what_the_writer_thread_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Folder::at(folder.path()).expect("made");
    let settings = Settings {
        segment_bytes: 64 * 1024,
        ..SMALL
    };
    let mut world = World::new(&disk, settings, 11);
    for _life in 0..3 {
        let (results, done) = mpsc::channel();
        let writer =
            Writer::spawn(move |result| results.send(result).expect("heard")).expect("a thread");
        let mut under_way = 0;
        for _ in 0..500 {
            world.group(100);
            if let Some(write) = world.journal.take_write() {
                writer.send(Job::Write(write)).expect("idle");
                under_way += 1;
            }
            if under_way == 1 && world.journal.checkpoint_due() {
                world.compact();
                let state = codec::encode(&world.state);
                let job = world.journal.checkpoint(state).expect("free");
                // The write under way may not cover it, and then it is refused: it is due again later.
                writer.send(Job::Checkpoint(job)).expect("room for two");
                under_way += 1;
            }
            while under_way > 0 {
                match done
                    .recv_timeout(Duration::from_secs(30))
                    .expect("a result")
                {
                    Done::Write(result) => {
                        world.journal.finished(result);
                    }
                    Done::Checkpoint(result) => {
                        world.journal.checkpointed(&result);
                        if let Some(write) = world.journal.retry() {
                            world.journal.finished(write.run());
                        }
                    }
                }
                under_way -= 1;
            }
        }
        drop(writer);
        world.journal.drain().expect("durable");
        world.assert_payloads_read(11);
        let recovery = world.reopen(&disk, 11);
        assert_eq!(recovery.torn, None);
    }
    let room = world.journal.room();
    let on_disk = std::fs::read_dir(folder.path()).expect("a folder");
    let on_disk: u64 = on_disk
        .map(|entry| entry.and_then(|e| e.metadata()).expect("a file").len())
        .sum();
    assert_eq!(room.bytes_used, on_disk);
}
