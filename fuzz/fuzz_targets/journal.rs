//! Sequences of operations on a journal over a disk that forgets, tears and fills up: what was synced is there, in order, in whole
//! groups, and nothing else.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use casegate::{
    journal::{DrainError, Journal, Replay, Settings},
    model::{Limits, Location, Log as _, Lsn, Payload},
    sim::disk::SimDisk,
};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 64;

fn settings() -> Settings {
    Settings {
        segment_bytes: 4096,
        bytes_max: 256 * 1024,
        checkpoint_bytes_min: 8192,
        ..Settings::from(&Limits::default())
    }
}

/// What was appended: record, payload, and whether its group ends with it.
struct Appended {
    record: Vec<u8>,
    payload: Vec<u8>,
    ends_group: bool,
}

/// The model: everything that was appended, in order from number 1.
#[derive(Default)]
struct Model {
    appended: Vec<Appended>,
    synced: Lsn,
}

struct Found<'a> {
    model: &'a Model,
    next: Lsn,
    live: Vec<Location>,
}

impl Replay for Found<'_> {
    fn checkpoint(&mut self, lsn: Lsn, from: &mut dyn std::io::Read) -> bool {
        let mut state = Vec::new();
        from.read_to_end(&mut state).expect("its bytes come");
        assert_eq!(state, lsn.to_le_bytes());
        assert!(lsn <= self.model.appended.len() as u64);
        self.next = lsn + 1;
        true
    }

    fn record(&mut self, lsn: Lsn, record: &[u8], payload: &[u8], location: Location) {
        assert_eq!(lsn, self.next, "a gap");
        let expected = &self.model.appended[lsn as usize - 1];
        assert_eq!(
            (record, payload),
            (&expected.record[..], &expected.payload[..])
        );
        if !payload.is_empty() {
            self.live.push(location);
        }
        self.next += 1;
    }
}

fn open(disk: &SimDisk, model: &mut Model, seed: u8) -> Journal<SimDisk> {
    let mut found = Found {
        model,
        next: 1,
        live: Vec::new(),
    };
    let opened = Journal::open(disk.clone(), settings(), [seed; 32], &mut found);
    let (mut journal, recovery) = opened.expect("it opens");
    let (last, live) = (found.next - 1, found.live);
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(recovery.last, last);
    assert!(
        last >= model.synced,
        "{last} is there, {} was promised",
        model.synced
    );
    if last > 0 {
        assert!(model.appended[last as usize - 1].ends_group, "half a group");
    }
    model.appended.truncate(last as usize);
    model.synced = last;
    for location in live {
        journal.live(location);
    }
    journal
}

fn run(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let disk = SimDisk::new();
    let mut model = Model::default();
    let mut journal = open(&disk, &mut model, 0);
    for step in 0..OPERATIONS_MAX {
        if data.is_empty() {
            break;
        }
        match data.int_in_range(0..=7)? {
            0..=2 => {
                let record = vec![u8::arbitrary(data)?; data.int_in_range(1..=300)?];
                let payload = vec![u8::arbitrary(data)?; data.int_in_range(0..=6000)?];
                let ends_group = bool::arbitrary(data)?;
                if !journal.room().admits(10_000, false) {
                    continue;
                }
                let given = match payload.is_empty() {
                    true => Payload::None,
                    false => Payload::New(&payload),
                };
                journal.append(&record, given);
                if ends_group {
                    journal.end_group();
                }
                model.appended.push(Appended {
                    record,
                    payload,
                    ends_group,
                });
            }
            3 => {
                // Ends the group.
                if let Some(last) = model.appended.last_mut() {
                    last.ends_group = true;
                }
                match journal.drain() {
                    Ok(synced) => {
                        // A journal that has failed has nothing left to do.
                        assert!(journal.failed() || synced == model.appended.len() as u64);
                        model.synced = model.synced.max(synced);
                    }
                    Err(DrainError::Full { synced } | DrainError::Failed { synced, .. }) => {
                        model.synced = model.synced.max(synced);
                    }
                }
            }
            4 => {
                disk.crash(u64::arbitrary(data)?);
                journal = open(&disk, &mut model, step as u8);
            }
            5 => {
                disk.cut_power_after(data.int_in_range(0..=20)?);
            }
            6 => {
                if let Some(last) = model.appended.last_mut() {
                    last.ends_group = true;
                }
                if let Ok(synced) = journal.drain() {
                    model.synced = model.synced.max(synced);
                    let state = journal.appended().to_le_bytes().to_vec();
                    if let Some(job) = journal.checkpoint(std::iter::once(state)) {
                        let result = job.run();
                        journal.checkpointed(&result);
                    }
                }
            }
            _ => {
                let more = data.int_in_range(0..=64)? * 1024;
                disk.set_capacity(bool::arbitrary(data)?.then(|| disk.used() + more));
            }
        }
    }
    disk.set_capacity(None);
    disk.crash(7);
    open(&disk, &mut model, 255);
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    // Ends when the bytes do.
    let _ = run(&mut Unstructured::new(data));
});
