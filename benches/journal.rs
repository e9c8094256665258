//! What the journal costs over a bare file: records of 1 KB, so many to a group, one `fdatasync` for each group.
//!
//! `cargo bench --bench journal`. Both sides write to the folder for temporary files (`TMPDIR`); put that on a disk, since one in
//! memory syncs nothing.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use casegate::{
    journal::{Folder, Journal, Replay, Settings},
    model::{Limits, Location, Log as _, Lsn, Payload},
};
use divan::{Bencher, counter::ItemsCount};

/// Records of one group.
const GROUPS: [usize; 4] = [1, 16, 64, 256];
const PAYLOAD: [u8; 1024] = [0x5a; 1024];
/// About what the record of an accepted message takes.
const RECORD: [u8; 80] = [0xa5; 80];

fn main() {
    divan::main();
}

struct Nothing;

impl Replay for Nothing {
    fn checkpoint(&mut self, _lsn: Lsn, _state: &mut dyn std::io::Read) -> bool {
        true
    }

    fn record(&mut self, _lsn: Lsn, _record: &[u8], _payload: &[u8], _location: Location) {}
}

#[divan::bench(args = GROUPS, sample_count = 500, sample_size = 1)]
fn journal(bencher: Bencher<'_, '_>, records: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Folder::at(folder.path()).expect("a folder");
    let settings = Settings::from(&Limits::default());
    let (mut journal, _) = Journal::open(disk, settings, [7; 32], &mut Nothing).expect("opens");
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        for _ in 0..records {
            journal.append(&RECORD, Payload::New(&PAYLOAD));
        }
        journal.end_group();
        let written = journal.take_write().expect("something waits").run();
        journal.finished(written)
    });
}

#[divan::bench(args = GROUPS, sample_count = 500, sample_size = 1)]
fn bare_file(bencher: Bencher<'_, '_>, records: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = Bare::new(folder.path().to_owned());
    let mut group = Vec::new();
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        group.clear();
        for _ in 0..records {
            group.extend_from_slice(&RECORD);
            group.extend_from_slice(&PAYLOAD);
        }
        bare.append(&group);
    });
}

/// Files of a segment's size, set aside in full before they are written to, as the journal's are.
struct Bare {
    folder: PathBuf,
    file: File,
    number: u32,
    end: u64,
}

impl Bare {
    const BYTES: u64 = 16 * 1024 * 1024;

    fn new(folder: PathBuf) -> Self {
        Self {
            file: Self::make(&folder, 0),
            folder,
            number: 0,
            end: 0,
        }
    }

    fn make(folder: &PathBuf, number: u32) -> File {
        let file = File::create_new(folder.join(number.to_string())).expect("made");
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, flags, 0, Self::BYTES).expect("room");
        file.sync_all().expect("synced");
        let folder = fs::File::open(folder).expect("a folder");
        folder.sync_all().expect("synced");
        file
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.end + bytes.len() as u64 > Self::BYTES {
            self.number += 1;
            self.file = Self::make(&self.folder, self.number);
            self.end = 0;
        }
        self.file.write_all_at(bytes, self.end).expect("written");
        self.file.sync_data().expect("synced");
        self.end += bytes.len() as u64;
    }
}
