//! Scratch, never committed.
use bytes::Bytes;
use casegate::{
    cloudevents::Intake,
    delivery::hop::Entry,
    model::*,
    parcel::Parcel,
    wire::{self, *},
};
use ppmd_rust::Ppmd7Encoder;
use std::{fs, io::Write as _, path::Path, sync::Arc};

fn main() {
    let mut all = Vec::new();
    let mut files: Vec<_> = fs::read_dir(std::env::args().nth(1).unwrap())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for f in files {
        for line in fs::read_to_string(&f).unwrap().lines() {
            all.push(load(line));
        }
    }
    let _ = Path::new(".");
    let (learn, test): (Vec<_>, Vec<_>) =
        all.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let learn: Vec<_> = learn.into_iter().map(|(_, m)| m).collect();
    let test: Vec<_> = test.into_iter().map(|(_, m)| m).collect();
    let mut samples = Vec::new();
    for ((p, _), seq) in learn.iter().zip(1u64..) {
        samples.push(wire::sample(p, seq));
    }
    let submitted: usize = test.iter().map(|(_, n)| n).sum();
    let entries: Vec<(Entry, Parcel)> = test
        .iter()
        .zip(1u64..)
        .map(|((p, _), s)| {
            (
                likely_entry(s, p.header().unwrap().case.is_some()),
                p.clone(),
            )
        })
        .collect();
    for kib in [16usize, 64, 112] {
        let own = Arc::new(Dictionary::new(wire::train(&samples, kib * 1024).unwrap()).unwrap());
        println!(
            "{kib} KiB, handed over in {} bytes",
            wire::hand_over(2, &own, &Against::BuiltIn).len()
        );
        for (name, against) in [
            ("nothing", Against::Nothing),
            ("built-in", Against::BuiltIn),
            ("own", Against::Own(2, own.clone())),
        ] {
            print!("{name:>10}");
            for size in [0usize, 65536] {
                for effort in [
                    Effort::Level(3),
                    Effort::Level(9),
                    Effort::Level(19),
                    Effort::Densest,
                ] {
                    let settings = Settings {
                        compression: Compression::Shared,
                        effort,
                        against: against.clone(),
                    };
                    let mut c = Compressor::new();
                    let sent: usize = batches(&entries, size)
                        .iter()
                        .map(|b| pack(b, &settings, &mut c).len())
                        .sum();
                    print!("  {:.3}", sent as f64 / submitted as f64);
                }
                print!(" |");
            }
            println!();
        }
        // PPMd primed with both.
        for (name, texts) in [
            ("own", vec![own.bytes()]),
            (
                "built+own",
                vec![Dictionary::built_in().bytes(), own.bytes()],
            ),
        ] {
            let base = ppmd(&texts);
            let mut sent = 0;
            for b in batches(&entries, 65536) {
                let plain = wire::compressible(b);
                let mut t = texts.clone();
                t.push(&plain);
                sent += ppmd(&t) - base + 96 * b.len();
            }
            println!(
                "ppmd over {name}: {:.3} (96 B a message taken for what is not compressed)",
                sent as f64 / submitted as f64
            );
        }
    }
}
fn ppmd(parts: &[&[u8]]) -> usize {
    let mut e = Ppmd7Encoder::new(Vec::new(), 10, 8 << 20).unwrap();
    for p in parts {
        e.write_all(p).unwrap();
    }
    e.finish(false).unwrap().len()
}
fn batches(entries: &[(Entry, Parcel)], bytes: usize) -> Vec<&[(Entry, Parcel)]> {
    let mut out = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut size = 0;
        let n = rest
            .iter()
            .take_while(|(_, p)| {
                size += p.bytes().len();
                size <= bytes
            })
            .count()
            .max(1);
        let (b, a) = rest.split_at(n);
        out.push(b);
        rest = a;
    }
    out
}
fn load(line: &str) -> (Parcel, usize) {
    let v: serde_json::Value = serde_json::from_str(line).unwrap();
    let unit: UnitId = v["source"]
        .as_str()
        .unwrap()
        .strip_prefix("/unit/")
        .unwrap()
        .parse()
        .unwrap();
    let kinds = Kinds::default();
    let limits = Limits::default();
    let intake = Intake {
        unit: &unit,
        kinds: &kinds,
        limits: &limits,
        signer: Fingerprint([0; 16]),
        accepted: 1_704_000_000_000,
    };
    let s = intake
        .structured(&Bytes::copy_from_slice(line.as_bytes()))
        .unwrap();
    (wire::unsigned(&s.header, &s.body), line.len())
}
