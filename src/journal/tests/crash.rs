//! Power cuts, kills and failing disks, in the middle of whatever the journal does.

use super::*;
use crate::sim::disk::{Operation, SimDisk};

/// What is under way when things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// A write into the open segment, or whatever comes.
    Write,
    /// A write that begins a new segment and makes the one after that.
    NewSegment,
    /// A checkpoint, which removes what it makes superfluous.
    Checkpoint,
    /// Copies of what is alive in a segment, and the checkpoint that removes it.
    Compaction,
    /// A start, which may be the tenth in a row that comes to nothing.
    Start,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// The power goes after some more operations.
    PowerCut,
    /// The disk fills up. The process is killed, or the power goes later.
    Full,
    /// A write to the disk fails.
    FailedWrite,
    /// A sync fails.
    FailedSync,
    /// Setting room aside fails, other than for want of room.
    FailedAllocate,
    /// The process is killed between two operations.
    Kill,
}

const WORKS: [Work; 4] = [
    Work::Write,
    Work::NewSegment,
    Work::Checkpoint,
    Work::Compaction,
];
const TROUBLES: [Trouble; 6] = [
    Trouble::PowerCut,
    Trouble::Full,
    Trouble::FailedWrite,
    Trouble::FailedSync,
    Trouble::FailedAllocate,
    Trouble::Kill,
];

/// What a run came across: how often what was cut off by what, torn ends, and records that were durable although nobody was told.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cut: BTreeMap<(Work, Trouble), u64>,
    torn: u64,
    ahead: u64,
}

impl Tally {
    fn cut(&mut self, work: Work, trouble: Trouble) {
        *self.cut.entry((work, trouble)).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        for (what, count) in other.cut {
            *self.cut.entry(what).or_default() += count;
        }
        self.torn += other.torn;
        self.ahead += other.ahead;
    }
}

#[test]
fn what_was_reported_synced_survives_any_crash_and_groups_are_whole() {
    let mut tally = Tally::default();
    for n in 0..2500 {
        tally.add(lives(n));
    }
    // Every work was cut off by the power, and by whatever else can stop it.
    for work in [
        Work::Write,
        Work::NewSegment,
        Work::Checkpoint,
        Work::Compaction,
        Work::Start,
    ] {
        for trouble in [Trouble::PowerCut, Trouble::FailedWrite, Trouble::FailedSync] {
            let times = tally.cut.get(&(work, trouble)).copied().unwrap_or(0);
            assert!(times >= 50, "{work:?} by {trouble:?}: {tally:?}");
        }
    }
    assert!(tally.torn >= 200 && tally.ahead >= 200, "{tally:?}");
}

/// Three lives of a journal, each with an end of its own.
pub(super) fn lives(n: u64) -> Tally {
    let mut tally = Tally::default();
    let disk = SimDisk::new();
    let mut world = World::new(&disk, SMALL, n);
    for _life in 0..3 {
        live(&mut world, n);
        let work = WORKS[world.dice.below(WORKS.len() as u64) as usize];
        let trouble = match world.dice.chance(40) {
            true => Trouble::PowerCut,
            false => TROUBLES[world.dice.below(TROUBLES.len() as u64) as usize],
        };
        prepare(&mut world, work, n);
        // A write is few operations, and its last is the one that counts.
        let operations = if work == Work::Write { 3 } else { 14 };
        brew(&disk, &mut world.dice, trouble, operations);
        if !carry_out(&mut world, work) {
            tally.cut(work, trouble);
        }
        disk.set_capacity(None);
        let synced = world.journal.synced();
        crash(&disk, &mut world.dice, trouble);
        let promised = start_in_vain(&disk, &mut world, synced, &mut tally);
        let recovery = world.reopen_after(&disk, n, promised);
        tally.torn += u64::from(recovery.torn.is_some());
        tally.ahead += u64::from(recovery.last > synced);
    }
    tally
}

/// Work that nothing disturbs.
fn live(world: &mut World<SimDisk>, n: u64) {
    for _ in 0..world.dice.below(40) {
        match world.dice.below(100) {
            0..60 => world.group(20),
            60..90 => assert!(world.write(), "seed {n}"),
            90..95 => world.compact(),
            95..98 => {
                assert!(world.write(), "seed {n}");
                world.checkpoint();
            }
            // What it covers may not be durable yet: then there is none.
            _ => drop(world.checkpoint()),
        }
    }
}

/// Has something at hand for the work to do.
fn prepare(world: &mut World<SimDisk>, work: Work, n: u64) {
    match work {
        Work::Write | Work::Start => {
            for _ in 0..world.dice.below(5) {
                world.group(20);
            }
        }
        Work::NewSegment => {
            assert!(world.write(), "seed {n}");
            let segments = world.journal.room().segments;
            while world.journal.room().segments <= segments
                && world.journal.room().bytes_left != u64::from(SMALL.segment_bytes)
                && world.journal.room().bytes_pending < 3 * u64::from(SMALL.segment_bytes)
            {
                world.group(20);
            }
        }
        Work::Checkpoint => assert!(world.write(), "seed {n}"),
        Work::Compaction => {
            for _ in 0..10 {
                world.group(5);
            }
            assert!(world.write(), "seed {n}");
            world.compact();
        }
    }
}

fn brew(disk: &SimDisk, dice: &mut SplitMix64, trouble: Trouble, operations: u64) {
    match trouble {
        Trouble::PowerCut => disk.cut_power_after(dice.below(operations)),
        Trouble::Full => disk.set_capacity(Some(disk.used() + dice.below(20_000))),
        Trouble::FailedWrite => disk.fail(Operation::Write, dice.below(4), u64::MAX),
        Trouble::FailedSync => disk.fail(Operation::Sync, dice.below(4), 1),
        Trouble::FailedAllocate => disk.fail(Operation::Allocate, dice.below(3), u64::MAX),
        Trouble::Kill => {}
    }
}

/// Whether all of it was done.
fn carry_out(world: &mut World<SimDisk>, work: Work) -> bool {
    let written = match world.journal.take_write() {
        Some(write) => {
            let result = write.run();
            let whole = result
                .as_ref()
                .is_ok_and(|written| written.spare.as_ref().is_none_or(|(_, made)| made.is_ok()));
            world.journal.finished(result);
            whole
        }
        None => true,
    };
    match work {
        Work::Write | Work::NewSegment | Work::Start => written,
        // Once a compaction is under way, a checkpoint without the write is what must not be.
        Work::Checkpoint | Work::Compaction => world.checkpoint() && written,
    }
}

fn crash(disk: &SimDisk, dice: &mut SplitMix64, trouble: Trouble) {
    let killed = trouble == Trouble::Kill || (trouble != Trouble::PowerCut && dice.chance(50));
    match killed {
        // The system still has what the process had written.
        true => disk.heal(),
        false if dice.chance(50) => disk.tear(dice.next_u64()),
        false => disk.crash(dice.next_u64()),
    }
}

/// Starts that come to nothing, again and again. What one of them hands out is durable from then on.
fn start_in_vain(
    disk: &SimDisk,
    world: &mut World<SimDisk>,
    mut promised: Lsn,
    tally: &mut Tally,
) -> Lsn {
    let times = if world.dice.chance(50) {
        world.dice.below(5)
    } else {
        0
    };
    for _ in 0..times {
        let trouble = TROUBLES[world.dice.below(TROUBLES.len() as u64) as usize];
        brew(disk, &mut world.dice, trouble, 30);
        let key = seed(world.dice.next_u64());
        let mut found = Found::default();
        match Journal::open(disk.clone(), SMALL, key, &mut found) {
            Ok((journal, recovery)) => {
                // Without power nothing can be read: such a process says what it likes.
                if trouble != Trouble::PowerCut {
                    assert!(recovery.is_clean(), "{recovery:?}");
                    promised = promised.max(recovery.last);
                    tally.torn += u64::from(recovery.torn.is_some());
                }
                if journal.room().spare_missing {
                    tally.cut(Work::Start, trouble);
                }
            }
            Err(_) => tally.cut(Work::Start, trouble),
        }
        disk.set_capacity(None);
        crash(disk, &mut world.dice, trouble);
    }
    promised
}

#[test]
fn a_torn_write_goes_whole_and_what_was_before_it_stays() {
    for n in 0..250 {
        let disk = SimDisk::new();
        let mut world = World::new(&disk, SMALL, n);
        for _ in 0..=world.dice.below(20) {
            world.group(20);
            assert!(world.write(), "seed {n}");
        }
        // The spare segment is there, and what comes next fits into the open one: a write and a sync are all there is.
        while world.journal.room().bytes_left < 8000 {
            world.group(20);
            assert!(world.write(), "seed {n}");
        }
        let synced = world.journal.synced();
        for _ in 0..world.dice.below(3) {
            let len = world.dice.below(200) as usize;
            world.append(&Record::Note(vec![3; len]));
            world.end_group();
        }
        // Four sectors and more.
        let whole = vec![9; 2000 + world.dice.below(2000) as usize];
        world.append(&Record::Note(whole));
        world.end_group();
        let write = world.journal.take_write().expect("something waits");
        disk.cut_power_after(1);
        let result = write.run();
        assert!(matches!(result, Err(WriteError::Failed { .. })), "seed {n}");
        world.journal.finished(result);
        disk.tear(n);
        let recovery = world.reopen_after(&disk, n, synced);
        let torn = recovery.torn.expect("every other sector is lost");
        assert!(torn.bytes >= 1000, "seed {n}: {torn:?}");
        assert!(recovery.last < synced + 3, "seed {n}: {recovery:?}");
    }
}
