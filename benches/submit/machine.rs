//! The state machine alone, without a disk, a socket or an index: what a queued message takes of its memory.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use casegate::{
    cloudevents::Intake,
    codec,
    delivery::{Delivery, Input, Settings, Submission},
    model::{Allow, Fingerprint, Kinds, Limits, Location, Log, Lsn, Now, Payload, Policy},
    parcel::Parcel,
};

use super::{UNIT, now, samples};

/// Messages that one input submits.
const BATCH: usize = 500;
/// Checkpoints, of which the quickest counts.
const CHECKPOINTS: usize = 5;

/// A journal that keeps nothing.
#[derive(Default)]
struct Nowhere {
    last: Lsn,
    end: u64,
}

impl Log for Nowhere {
    fn append(&mut self, record: &[u8], payload: Payload<'_>) -> (Lsn, Location) {
        let payload = match payload {
            Payload::New(bytes) => bytes.len(),
            Payload::None | Payload::Copy(_) => 0,
        };
        let len = record.len() + payload + 48;
        let at = Location {
            segment: 1 + (self.end >> 24) as u32,
            offset: (self.end & 0xff_ffff) as u32,
            len: len as u32,
        };
        self.end += len as u64;
        self.last += 1;
        (self.last, at)
    }
}

/// Queues so many messages, and tells what each took.
pub(super) fn queue(count: usize) {
    let mut log = Nowhere::default();
    let mut machine = Delivery::new(settings());
    let at = |n: u64| Now {
        mono: n,
        wall: now(),
    };
    machine.start(at(1), 7, false, &mut log);
    let mut made = samples(7);
    let mut cases = BTreeSet::new();
    let kinds = Kinds::default();
    let limits = Limits::default();
    let unit = UNIT.parse().expect("a unit");
    // The samples take memory of their own.
    made.by_ref().take(BATCH).for_each(drop);
    let before = resident();
    let mut queued = 0;
    while queued < count {
        let intake = Intake {
            unit: &unit,
            kinds: &kinds,
            limits: &limits,
            signer: Fingerprint([0; 16]),
            accepted: now(),
        };
        let messages: Vec<Submission> = made
            .by_ref()
            .take(BATCH.min(count - queued))
            .map(|sample| {
                cases.extend(sample.case.map(|case| crc32fast::hash(case.as_bytes())));
                let read = intake.structured(&sample.event.into()).expect("a message");
                let header = codec::encode(&read.header);
                Submission {
                    parcel: Parcel::join(&[0; 64], &header, &read.body),
                    header: read.header,
                    content: read.content,
                }
            })
            .collect();
        queued += messages.len();
        let submit = Input::Submit {
            ticket: queued as u64,
            messages,
        };
        machine.handle(at(queued as u64), submit, &mut log);
        let synced = Input::Synced(log.last);
        machine.handle(at(queued as u64), synced, &mut log);
        while machine.poll_output().is_some() {}
    }
    let cases = cases.len();
    let each = |bytes: u64| bytes as f64 / count as f64;
    assert_eq!(machine.totals().parcels, count as u64);
    println!(
        "{count} messages, {:.1} of a case: {:.0} bytes resident each",
        count as f64 / cases as f64,
        each(resident().saturating_sub(before))
    );
    let mut checkpoint = Vec::new();
    let mut took = Duration::MAX;
    for _ in 0..CHECKPOINTS {
        checkpoint.clear();
        let began = Instant::now();
        machine.checkpoint(&mut checkpoint).expect("into memory");
        took = took.min(began.elapsed());
    }
    println!(
        "checkpoint: {:.0} bytes and {:.0} ns each",
        each(checkpoint.len() as u64),
        took.as_nanos() as f64 / count as f64
    );
    drop(machine);
    let before = resident();
    let restored = Delivery::restore(settings(), &mut &checkpoint[..]).expect("its own");
    println!(
        "restored: {:.0} bytes resident each more than when it was gone",
        each(resident().saturating_sub(before))
    );
    assert_eq!(restored.totals().parcels, count as u64);
}

fn settings() -> Settings {
    let any = || "**".parse().expect("a pattern");
    Settings {
        unit: UNIT.parse().expect("a unit"),
        upstream: Some("hebi.hub".parse().expect("a unit")),
        listens: false,
        units: Vec::new(),
        policy: Policy {
            allow: vec![Allow {
                from: any(),
                to: any(),
                kinds: vec![any()],
            }],
        },
        limits: Limits::default(),
        kinds_without_read: Vec::new(),
    }
}

/// What this process has of the machine's memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .expect("a number")
        << 10
}
