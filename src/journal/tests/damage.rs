//! Bits that flip, files that go, strangers' bytes: what is whole is kept, what is lost is told.

use std::collections::BTreeSet;

use super::*;
use crate::sim::disk::{Operation, SimDisk};

#[test]
fn a_flipped_bit_costs_its_own_record_and_is_reported() {
    let losses: u64 = (0..400).map(flipped_bits).sum();
    assert!(losses > 100, "{losses}");
}

/// Flips some bits of a journal and opens it; tells how many records that cost.
pub(super) fn flipped_bits(n: u64) -> u64 {
    let mut losses = 0;
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
    let files = disk.files().into_iter();
    let segments = files.filter(|(name, _)| segment::number(name).is_some());
    let files: Vec<(String, Vec<u8>)> = segments.collect();
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
    losses
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
fn a_start_that_cannot_read_everything_loses_only_that_and_says_so() {
    let (mut damaged, mut clean) = (0, 0);
    for n in 0..400 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _ in 0..=world.dice.below(60) {
            world.group(20);
            assert!(world.write());
            if world.dice.chance(3) {
                assert!(world.checkpoint());
            }
        }
        // Once is a hiccup, often is a bad block.
        let times = if world.dice.chance(50) { 1 } else { 3 };
        disk.fail(Operation::Read, world.dice.below(12), times);
        let mut found = Found::default();
        let (mut journal, recovery) =
            Journal::open(disk.clone(), SMALL, seed(2), &mut found).expect("opens all the same");
        disk.heal();
        assert!(
            journal.appended() >= world.state.last,
            "seed {n}: a number is used again"
        );
        for lsn in 1..=world.state.last {
            let told = recovery.damage.iter().filter_map(|damage| damage.lost);
            let told = told
                .into_iter()
                .any(|(first, last)| (first..=last).contains(&lsn));
            let there = found.records.contains_key(&lsn)
                || recovery
                    .checkpoint
                    .is_some_and(|checkpoint| lsn <= checkpoint);
            assert!(
                there || told,
                "seed {n}: {lsn} is lost in silence: {recovery:?}"
            );
        }
        match recovery.is_clean() {
            true => {
                assert_eq!(found.state, world.state, "seed {n}");
                clean += 1;
            }
            false => damaged += 1,
        }
        // What is appended now is kept, whatever was not read.
        let (lsn, _) = journal.append(
            &codec::encode(&Record::Accept(9_999)),
            Payload::New(&body(9_999)),
        );
        journal.end_group();
        assert_eq!(journal.drain().expect("durable"), lsn);
        drop(journal);
        disk.crash(n);
        let mut found = Found::default();
        let (journal, _) = Journal::open(disk, SMALL, seed(4), &mut found).expect("opens");
        let location = found.state.alive[&9_999];
        assert_eq!(
            journal.reader().read(location).expect("there"),
            body(9_999),
            "seed {n}"
        );
    }
    assert!(damaged > 50 && clean > 50, "{damaged} {clean}");
}
