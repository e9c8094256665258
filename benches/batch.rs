//! What a batch costs: bytes on the wire for each byte submitted, and the time to pack and unpack it.
//!
//! `cargo bench --bench batch`. The messages are the project's own samples (another seed than the dictionary's), so the ratios are
//! better than on foreign text; the order of the settings is what they show.

use std::{sync::LazyLock, time::Instant};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use casegate::{
    delivery::hop::{Entry, Targets},
    model::Fingerprint,
    parcel::{Parcel, Signer},
    sample::{Generator, Options},
    wire::{BatchLimits, Compressor, Effort, Settings, Text, pack, unpack},
};
use divan::{Bencher, counter::BytesCount};

const EFFORTS: [Effort; 4] = [
    Effort::Level(3),
    Effort::Level(9),
    Effort::Level(19),
    Effort::Densest,
];

/// Bytes of headers and bodies in a batch.
const SIZES: [usize; 3] = [0, 64 * 1024, 256 * 1024];

struct Backlog {
    entries: Vec<(Entry, Parcel)>,
    /// Bytes of each message as it was submitted.
    submitted: Vec<usize>,
}

static BACKLOG: LazyLock<Backlog> = LazyLock::new(|| {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let signer = Signer::from_pkcs8(key.as_ref(), Fingerprint::of(b"bench")).expect("a signer");
    let options = Options {
        start: 1_760_000_000_000,
        from: Some("hebi.xunxian.tobacco".parse().expect("a unit")),
        to: Some("hebi.procuratorate".parse().expect("a unit")),
    };
    let mut backlog = Backlog {
        entries: Vec::new(),
        submitted: Vec::new(),
    };
    for (sample, seq) in Generator::with(2026, options).take(1000).zip(1..) {
        let entry = Entry {
            seq,
            after: sample.case.iter().map(|_| seq % 30 + 1).collect(),
            targets: Targets::Signed,
            attested: 0,
        };
        backlog.submitted.push(sample.event.len());
        let parcel = sample.parcel(&signer, 1_760_000_000_000 + seq * 41);
        backlog.entries.push((entry, parcel));
    }
    backlog
});

fn settings(effort: Effort) -> Settings {
    Settings {
        effort,
        ..Settings::default()
    }
}

/// The backlog in batches of about `bytes`; of one message each when 0.
fn batches(bytes: usize) -> Vec<&'static [(Entry, Parcel)]> {
    let mut batches = Vec::new();
    let mut rest = BACKLOG.entries.as_slice();
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest.iter().take_while(|(_, parcel)| {
            size += parcel.bytes().len();
            size <= bytes
        });
        let (batch, after) = rest.split_at(fits.count().max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

fn main() {
    ratios();
    divan::main();
}

fn ratios() {
    let submitted: usize = BACKLOG.submitted.iter().sum();
    println!(
        "bytes on the wire for each byte submitted, signatures included ({submitted} bytes in {} messages)",
        BACKLOG.entries.len()
    );
    for size in SIZES {
        print!(
            "{:>9}",
            if size == 0 {
                "alone".into()
            } else {
                format!("{} KiB", size / 1024)
            }
        );
        for effort in EFFORTS {
            let mut compressor = Compressor::new();
            let started = Instant::now();
            let wire: usize = batches(size)
                .iter()
                .map(|batch| pack(batch, &settings(effort), &mut compressor).len())
                .sum();
            print!(
                "  {effort:?} {:.3} ({:.1} s)",
                wire as f64 / submitted as f64,
                started.elapsed().as_secs_f64()
            );
        }
        println!();
    }
}

fn first_batch(size: usize) -> &'static [(Entry, Parcel)] {
    batches(size)[0]
}

fn plain_bytes(batch: &[(Entry, Parcel)]) -> BytesCount {
    BytesCount::new(
        batch
            .iter()
            .map(|(_, parcel)| parcel.bytes().len())
            .sum::<usize>(),
    )
}

#[divan::bench(args = EFFORTS, consts = SIZES, sample_count = 20)]
fn packs<const SIZE: usize>(bencher: Bencher, effort: Effort) {
    let batch = first_batch(SIZE);
    let mut compressor = Compressor::new();
    bencher
        .counter(plain_bytes(batch))
        .bench_local(|| pack(batch, &settings(effort), &mut compressor));
}

#[divan::bench(args = EFFORTS, consts = SIZES, sample_count = 20)]
fn unpacks<const SIZE: usize>(bencher: Bencher, effort: Effort) {
    let batch = first_batch(SIZE);
    let bytes = pack(batch, &settings(effort), &mut Compressor::new());
    let limits = BatchLimits::default();
    bencher
        .counter(plain_bytes(batch))
        .bench_local(|| unpack(&bytes, &limits, Text::Nothing).expect("its own batch"));
}

/// What the first batch after an idle time costs more: the compressor's context.
#[divan::bench(args = [3u8, 9, 19], sample_count = 20)]
fn packs_cold(bencher: Bencher, level: u8) {
    let batch = first_batch(0);
    bencher.bench_local(|| {
        pack(
            batch,
            &settings(Effort::Level(level)),
            &mut Compressor::new(),
        )
    });
}
