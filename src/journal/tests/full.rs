//! Disks that are full, and disks that fail.

use super::*;
use crate::sim::disk::{Operation, SimDisk};

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
        assert!(world.journal.checkpoint(std::iter::empty()).is_none());
        assert_eq!(world.journal.room().bytes_pending, 0, "nothing piles up");
        assert_eq!(world.journal.synced(), synced);
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn what_frees_space_finds_room_to_the_end_of_the_last_segment() {
    let settings = Settings {
        segment_bytes: 256 * 1024,
        ..SMALL
    };
    let disk = SimDisk::new();
    let mut world = World::new(&disk, settings, 1);
    world.group(usize::MAX);
    assert!(world.write());
    disk.set_capacity(Some(disk.used()));
    while !world.journal.room().spare_missing {
        world.group(usize::MAX);
        assert!(world.write());
    }
    // Reserved work takes its half, and half of the rest, and so on.
    while world.journal.room().admits(2000, true) {
        world.append(&Record::Note(vec![1; 1900]));
        world.end_group();
        assert!(world.write());
    }
    // Acks go on until nothing is left.
    let left = world.journal.room().bytes_left;
    assert!(left > 2000 && left < 5000, "{left}");
    while world.journal.room().bytes_left >= 100 {
        world.append(&Record::Note(vec![2; 20]));
        world.end_group();
        assert!(world.write() && !world.journal.room().full);
    }
    assert_eq!(world.journal.synced(), world.state.last);
}
