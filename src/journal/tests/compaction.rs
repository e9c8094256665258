//! Checkpoints, copies, and disk use that follows what is alive.

use std::collections::BTreeSet;

use super::*;
use crate::sim::disk::SimDisk;

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
        assert_eq!(names.len(), 2, "exactly one is kept, and its copy");
        let mut with = Found::default();
        let (_, recovery) = Journal::open(disk.fork(), SMALL, seed(1), &mut with).expect("opens");
        assert!(recovery.checkpoint.is_some() && recovery.replayed < 5);
        assert_eq!(with.state, world.state);

        for rotten in &names {
            let damaged = disk.fork();
            assert!(damaged.flip(rotten, 300));
            let mut all = Found::default();
            let (journal, recovery) =
                Journal::open(damaged, SMALL, seed(2), &mut all).expect("opens");
            assert!(recovery.is_clean(), "seed {n}: {recovery:?}");
            assert_eq!(recovery.from_copy, *rotten == names[0]);
            assert!(journal.checkpoint_due() || !recovery.from_copy);
            assert_eq!(all.state, world.state, "seed {n}");
        }

        let without = disk.fork();
        for name in &names {
            without.remove(name).expect("there");
        }
        let mut all = Found::default();
        let (_, recovery) = Journal::open(without, SMALL, seed(2), &mut all).expect("opens");
        assert!(
            recovery.is_clean() || world.state.alive.is_empty(),
            "seed {n}: {recovery:?}"
        );
        assert_eq!(all.state, world.state, "seed {n}");

        let damaged = disk.fork();
        assert!(names.iter().all(|name| damaged.flip(name, 300)));
        let mut all = Found::default();
        let (_, recovery) = Journal::open(damaged, SMALL, seed(3), &mut all).expect("opens");
        assert_eq!(recovery.damage.len(), 1);
        assert_eq!(recovery.damage[0].cause, Cause::Checkpoint);
        assert_eq!(all.state, world.state, "seed {n}");
    }
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
    let job = world.journal.checkpoint(parts(&world.state)).expect("free");
    assert!(
        world.journal.checkpoint(std::iter::empty()).is_none(),
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
