//! A journal's files, damaged or made up: it opens, and hands out only what was appended, in order.
#![no_main]

use std::sync::OnceLock;

use casegate::{
    journal::{Disk, File, Journal, Replay, Settings},
    model::{Limits, Location, Log as _, Lsn, Payload},
    sim::disk::SimDisk,
};
use libfuzzer_sys::fuzz_target;

const RECORDS: u64 = 12;

fn settings() -> Settings {
    Settings {
        segment_bytes: 4096,
        bytes_max: 1 << 20,
        ..Settings::from(&Limits::default())
    }
}

fn record(lsn: Lsn) -> (Vec<u8>, Vec<u8>) {
    let payload = (lsn % 3 * 400) as usize;
    (lsn.to_le_bytes().repeat(3), vec![lsn as u8; payload])
}

/// A journal of a few segments.
fn whole() -> &'static SimDisk {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    DISK.get_or_init(|| {
        let disk = SimDisk::new();
        let opened = Journal::open(disk.clone(), settings(), [1; 32], &mut Seen::default());
        let (mut journal, _) = opened.expect("an empty folder");
        for lsn in 1..=RECORDS {
            let (record, payload) = record(lsn);
            journal.append(&record, Payload::New(&payload));
            if lsn % 4 != 1 {
                journal.end_group();
            }
            if lsn % 3 == 0 {
                journal.drain().expect("a write");
            }
        }
        journal.drain().expect("a write");
        disk
    })
}

#[derive(Default)]
struct Seen {
    last: Lsn,
    count: u64,
}

impl Replay for Seen {
    fn checkpoint(&mut self, _: Lsn, _: &mut dyn std::io::Read) -> bool {
        panic!("no checkpoint was written, and none can be made up")
    }

    fn record(&mut self, lsn: Lsn, found: &[u8], payload: &[u8], _: Location) {
        assert!(lsn > self.last, "record {lsn} after {}", self.last);
        let expected = record(lsn);
        assert_eq!((found, payload), (&expected.0[..], &expected.1[..]));
        self.last = lsn;
        self.count += 1;
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let disk = if mode % 2 == 0 {
        // Damage: where, and what comes there.
        let disk = whole().fork();
        let names = disk.list().expect("a list");
        for edit in data.chunks_exact(4) {
            let name = &names[usize::from(edit[0]) % names.len()];
            let file = disk.open(name).expect("a file");
            let at = u64::from(u16::from_le_bytes([edit[1], edit[2]]));
            if at < file.len().expect("a length") {
                file.write_at(&edit[3..], at).expect("written");
            }
        }
        disk
    } else {
        // Made up: two files.
        let disk = SimDisk::new();
        let (one, two) = data.split_at(data.len() / 2);
        for (name, bytes) in [("seg-0000000001.log", one), ("seg-0000000002.log", two)] {
            let file = disk.create(name).expect("a file");
            file.write_at(bytes, 0).expect("written");
        }
        disk
    };
    let is_whole = *mode == 0 && data.is_empty();
    let mut seen = Seen::default();
    let (mut journal, recovery) =
        Journal::open(disk.clone(), settings(), [2; 32], &mut seen).expect("damage is no reason");
    assert_eq!(seen.count, recovery.replayed);
    if is_whole {
        assert!(recovery.is_clean() && seen.count == RECORDS, "{recovery:?}");
    }
    // It goes on, and the next start finds what was appended now.
    journal.append(b"more", Payload::None);
    let last = journal.appended();
    assert_eq!(journal.drain().expect("a write"), last);
    drop(journal);
    struct Last(Lsn, Vec<u8>);
    impl Replay for Last {
        fn checkpoint(&mut self, _: Lsn, _: &mut dyn std::io::Read) -> bool {
            false
        }
        fn record(&mut self, lsn: Lsn, record: &[u8], _: &[u8], _: Location) {
            *self = Last(lsn, record.to_vec());
        }
    }
    let mut again = Last(0, Vec::new());
    Journal::open(disk, settings(), [3; 32], &mut again).expect("it opens again");
    assert_eq!((again.0, &again.1[..]), (last, &b"more"[..]));
});
