//! Disks that are full, and disks that fail.

use super::*;
use crate::{
    journal::disk::read_whole,
    sim::disk::{Operation, SimDisk},
};

const LARGE: Settings = Settings {
    segment_bytes: 256 * 1024,
    ..SMALL
};

const MEDIUM: Settings = Settings {
    segment_bytes: 64 * 1024,
    ..SMALL
};

#[test]
fn a_full_disk_is_noticed_with_a_segment_to_spare_and_passes() {
    for n in 0..60 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, LARGE, n);
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
            room.bytes_left > u64::from(LARGE.segment_bytes) / 4,
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

/// A disk on which nothing is left but the segment that is written to.
fn full(n: u64, alive: usize) -> (SimDisk, World<SimDisk>) {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, MEDIUM, n);
    while disk.used() < 1024 * 1024 {
        world.history.clear();
        world.group(alive);
        assert!(world.write());
    }
    disk.set_capacity(Some(disk.used()));
    while !world.journal.room().spare_missing {
        world.group(usize::MAX);
        assert!(world.write());
    }
    (disk, world)
}

/// Takes urgent work until there is no room for more.
fn take_reserve(world: &mut World<SimDisk>) {
    while world.journal.room().admits(500, true) {
        world.append(&Record::Note(vec![1; 400]));
        world.end_group();
        assert!(world.write());
    }
}

/// Drops what is alive but for some, as acks do, `house` being kept now and then.
fn drop_but(
    world: &mut World<SimDisk>,
    kept: impl Fn(u64) -> bool,
    house: impl Fn(&mut World<SimDisk>),
) {
    for id in world.state.alive.clone().into_keys() {
        world.history.clear();
        if !kept(id) {
            world.append(&Record::Drop(id));
            world.end_group();
        }
        if id % 20 == 0 {
            assert!(world.write() && !world.journal.room().full);
            house(world);
        }
    }
    assert!(world.write());
}

/// What the node does every second.
fn keep_house(world: &mut World<SimDisk>) {
    world.compact();
    if world.journal.checkpoint_due() {
        assert!(world.write());
        world.checkpoint();
    }
    if let Some(write) = world.journal.retry() {
        let written = write.run();
        world.journal.finished(written);
    }
}

#[test]
fn what_frees_space_finds_room_to_the_end_of_the_last_segment() {
    let (_disk, mut world) = full(1, usize::MAX);
    // Reserved work takes all but what is kept.
    while world.journal.room().admits(2000, true) {
        world.append(&Record::Note(vec![1; 1900]));
        world.end_group();
        assert!(world.write());
    }
    let kept = u64::from(MEDIUM.segment_bytes / 4);
    let left = world.journal.room().bytes_left;
    assert!(left > kept && left < kept + 2000, "{left}");
    // Acks go on until nothing is left.
    while world.journal.room().bytes_left >= 100 {
        world.append(&Record::Note(vec![2; 20]));
        world.end_group();
        assert!(world.write() && !world.journal.room().full);
    }
    assert_eq!(world.journal.synced(), world.state.last);
}

#[test]
fn acks_make_room_on_a_disk_that_has_no_byte_left() {
    for n in 0..20 {
        let (disk, mut world) = full(n, usize::MAX);
        take_reserve(&mut world);
        let before = disk.used();
        disk.set_capacity(Some(before));
        drop_but(&mut world, |_| false, keep_house);
        keep_house(&mut world);
        assert!(disk.used() < before / 2, "seed {n}: {}", disk.used());
        let room = world.journal.room();
        assert!(room.admits(100, false), "seed {n}: {room:?}");
        assert_eq!(room.bytes_used, disk.used(), "the account is the disk's");
        assert!(world.write());
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn no_new_work_is_taken_for_room_that_was_freed_and_is_not_there() {
    let (disk, mut world) = full(1, usize::MAX);
    // So many that two segments are superfluous.
    drop_but(&mut world, |id| id > 400, |_| {});
    assert!(world.journal.accounts.any_dead() && world.checkpoint());
    // What the checkpoint has freed is taken by somebody else at once.
    disk.set_capacity(Some(disk.used()));
    assert!(!world.journal.room().admits(100, false));
    assert!(world.write());
    let room = world.journal.room();
    assert!(!room.admits(100, false) && !room.full, "{room:?}");
    disk.set_capacity(None);
    keep_house(&mut world);
    assert!(world.journal.room().admits(100, false));
}

#[test]
fn a_full_disk_with_something_alive_in_every_segment_is_made_room_on() {
    for n in 0..20 {
        let (disk, mut world) = full(n, usize::MAX);
        if n % 2 == 0 {
            take_reserve(&mut world);
        }
        drop_but(&mut world, |id| id % 30 == 0, keep_house);
        let room = world.journal.room();
        assert!(room.admits(100, false), "seed {n}: {room:?}");
        assert!(!world.state.alive.is_empty());
        world.assert_payloads_read(n);
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn after_a_start_on_a_full_disk_acks_take_what_room_there_is() {
    for n in 0..20 {
        let (disk, mut world) = full(n, usize::MAX);
        take_reserve(&mut world);
        let used = disk.used();
        disk.crash(n);
        disk.set_capacity(Some(used + 10_000));
        world.reopen(&disk, n);
        let room = world.journal.room();
        assert!(
            !room.admits(1, true) && room.spare_missing,
            "seed {n}: {room:?}"
        );
        for _ in 0..100 {
            world.append(&Record::Note(vec![2; 20]));
            world.end_group();
            assert!(world.write());
        }
        let room = world.journal.room();
        assert!(!room.full && !room.admits(1, true), "seed {n}: {room:?}");
        assert_eq!(world.journal.synced(), world.state.last, "seed {n}");
        drop_but(&mut world, |_| false, keep_house);
        let room = world.journal.room();
        assert!(
            room.admits(100, false),
            "seed {n}: {room:?}, {} used",
            disk.used()
        );
        world.group(usize::MAX);
        assert!(world.write());
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn after_a_start_on_a_full_disk_with_something_alive_in_every_segment_room_is_made() {
    for n in 0..20 {
        let (disk, mut world) = full(n, usize::MAX);
        take_reserve(&mut world);
        let used = disk.used();
        disk.crash(n);
        // What was set aside and not used comes back at the start: there is room for a quarter of a segment.
        disk.set_capacity(Some(used + 2000));
        world.reopen(&disk, n);
        assert!(!world.journal.room().admits(1, true), "seed {n}");
        drop_but(&mut world, |id| id % 30 == 0, keep_house);
        let room = world.journal.room();
        assert!(room.admits(100, false), "seed {n}: {room:?}");
        assert_eq!(room.bytes_used, disk.used(), "seed {n}");
        assert!(!world.state.alive.is_empty());
        world.assert_payloads_read(n);
        disk.crash(n);
        world.reopen(&disk, n);
    }
}

#[test]
fn what_may_be_large_goes_into_the_last_segment_as_long_as_it_fits() {
    let (_disk, mut world) = full(1, usize::MAX);
    let left = world.journal.room().bytes_left;
    world.journal.expect(left + 1);
    world.append(&Record::Note(vec![1; 400]));
    world.end_group();
    assert!(world.write());
    let room = world.journal.room();
    assert!(!room.full, "{room:?}");
    assert!(
        (left - 600..left - 400).contains(&room.bytes_left),
        "{left}: {room:?}"
    );
}

#[test]
fn nothing_is_copied_for_which_no_room_is_known_to_be_there() {
    let mut world = World::new(&SimDisk::new(), MEDIUM, 1);
    while world.journal.victim().is_none() {
        world.history.clear();
        world.group(100);
        assert!(world.write());
    }
    let live = |world: &World<SimDisk>, victim| world.journal.live_bytes(victim);
    let victim = world.journal.victim().expect("one is worth it");
    // The next segment is still to be made, and the one before it fills up.
    let number = world.state.alive.values().map(|l| l.segment).max();
    loop {
        world.append(&Record::Note(vec![1; 400]));
        world.end_group();
        let room = world.journal.room();
        let has_rolled = world.journal.current.as_ref().map(|c| c.number) > number;
        if has_rolled && room.bytes_left < live(&world, victim) {
            break;
        }
    }
    assert_eq!(world.journal.victim(), None);
    assert!(world.write());
    assert_eq!(world.journal.victim(), Some(victim));
}

#[test]
fn a_checkpoint_that_another_has_replaced_goes_at_the_start() {
    let disk = SimDisk::new();
    let mut world = World::new(&disk, MEDIUM, 1);
    let again = |world: &mut World<SimDisk>| {
        world.group(100);
        assert!(world.write() && world.checkpoint());
        checkpoint::name(world.state.last)
    };
    let older = again(&mut world);
    let bytes = disk.open(&older).and_then(|file| read_whole(&file, MIB));
    let newer = again(&mut world);
    let file = disk.create(&older).expect("made");
    file.write_at(&bytes.expect("read"), 0).expect("written");
    file.sync_data().and_then(|()| disk.sync()).expect("synced");
    disk.crash(1);
    world.reopen(&disk, 1);
    let names = disk.list().expect("names");
    assert!(
        names.contains(&newer) && !names.contains(&older),
        "{names:?}"
    );
    assert_eq!(world.journal.room().bytes_used, disk.used());
}

#[test]
fn a_checkpoint_that_is_larger_than_its_draft_takes_the_room_of_a_second_file_that_is_not_needed() {
    for rotten in [false, true] {
        let (disk, mut world) = full(1, 100);
        assert!(world.write() && world.checkpoint());
        let names = disk.list().expect("names").into_iter();
        let names: Vec<String> = names.filter(|n| checkpoint::lsn(n).is_some()).collect();
        assert_eq!(names.len(), 2);
        let of = |name: &str| disk.open(name).and_then(|file| file.len()).expect("a file");
        // A state of noise, as large as the draft and half of the second file.
        let mut noise = vec![0; (of(draft::NAME) + of(&names[0]) / 2) as usize];
        noise.fill_with(|| world.dice.next_u64() as u8);
        disk.set_capacity(Some(disk.used()));
        assert!(!rotten || disk.flip(&names[0], 300));
        world.append(&Record::Note(vec![1]));
        world.end_group();
        assert!(world.write());
        let parts = noise.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let job = world.journal.checkpoint(parts.into_iter()).expect("free");
        let made = job.run();
        world.journal.checkpointed(&made);
        match rotten {
            // What the second file has is not to be had again.
            true => assert!(matches!(made, Err(CheckpointError::Full)), "{made:?}"),
            false => assert!(made.is_ok(), "{made:?}"),
        }
        assert_eq!(disk.open(&names[1]).is_ok(), rotten);
        assert_eq!(world.journal.room().bytes_used, disk.used());
    }
}
