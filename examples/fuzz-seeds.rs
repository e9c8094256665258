//! Writes the small seed corpora of `fuzz/` anew, with the project's own code: `cargo run --example fuzz-seeds`.

use std::{error::Error, fs, path::Path};

use casegate::{
    codec,
    delivery::{
        Epochs,
        hop::{
            Absent, Ack, Dictionaries, DictionaryAnswer, Entry, Frame, Generation,
            GenerationAnswer, GoneAnswer, Have, Hello, LinkTerms, OfferAnswer, OfferedDictionary,
            PROTOCOL_VERSION, Takes, Targets, Want,
        },
    },
    journal::{Folder, Journal, Replay, Settings},
    model::{BlobDigest, Digest, Fingerprint, Limits, Location, Log as _, Lsn, Payload, Ranges},
    observe::{Audit, Entry as AuditLine},
    parcel::Parcel,
    pki::{self, Identity, Issue},
    sample::{Generator, Options},
    wire::{
        self, Against, Carried, Compression, Compressor, Dictionary, Effort, Manifest, Trained,
    },
};

/// When the samples were accepted, milliseconds since the Unix epoch.
const ACCEPTED: u64 = 1_772_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root.join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{name}")), bytes)
    };

    for (name, frame) in frames() {
        write("frame", name, &wire::encode_frame(&frame))?;
    }
    let together: Vec<u8> = frames()
        .iter()
        .flat_map(|(_, frame)| wire::encode_frame(frame))
        .collect();
    write("frame", "all", &together)?;

    let samples = Generator::with(
        1,
        Options {
            from: Some("hebi.xunxian.tobacco".parse()?),
            ..Options::default()
        },
    );
    let mut entries = Vec::new();
    for (seq, sample) in (1..).zip(samples.take(4)) {
        let header = sample.header(Fingerprint([7; 16]), ACCEPTED);
        let parcel = Parcel::join(&[7; 64], &codec::encode(&header), sample.body().as_bytes());
        write("parcel", &seq.to_string(), parcel.bytes())?;
        let event = &sample.event;
        write("cloudevent", &seq.to_string(), event.as_bytes())?;
        write(
            "cloudevent",
            &format!("batch-{seq}"),
            format!("[{event}]").as_bytes(),
        )?;
        let entry = Entry {
            seq,
            after: vec![1],
            targets: Targets::Signed,
            attested: ACCEPTED,
        };
        entries.push((entry, parcel));
    }
    for (name, compression, against) in [
        ("isolated", Compression::Isolated, Against::BuiltIn),
        ("shared", Compression::Shared, Against::Nothing),
        ("off", Compression::Off, Against::Nothing),
    ] {
        let settings = wire::Settings {
            compression,
            effort: Effort::Level(19),
            against,
            ..wire::Settings::default()
        };
        let batch = wire::pack(&entries, &settings, &mut Compressor::new());
        write("batch", name, &batch)?;
    }
    let handover = wire::hand_over(2, Dictionary::built_in(), &Against::BuiltIn);
    write("batch", "handover", &handover)?;

    for entry in fs::read_dir(root.join("config"))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or("x");
        // What stands in a configuration, without what is said about it.
        let text: String = fs::read_to_string(&path)?
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
            .map(|line| format!("{line}\n"))
            .collect();
        write("configuration", name, text.as_bytes())?;
    }

    write("segment", "whole", &[0])?;
    write("segment", "damaged", &[0, 0, 40, 0, 9, 1, 0, 4, 255])?;
    let mut made_up = vec![1];
    made_up.extend_from_slice(&segment()?);
    write("segment", "made-up", &made_up)?;

    for (sort, name, bytes) in brought(&entries)? {
        let bytes = [&[sort], &bytes[..]].concat();
        write("brought", name, &bytes)?;
    }

    // Operations are read from the bytes as they come.
    for target in ["journal", "delivery"] {
        for seed in 0..4_u8 {
            let mut bytes = [0; 1200];
            blake3::Hasher::new()
                .update(&[seed])
                .finalize_xof()
                .fill(&mut bytes);
            write(target, &seed.to_string(), &bytes)?;
        }
    }
    Ok(())
}

fn frames() -> Vec<(&'static str, Frame)> {
    let unit = |name: &str| name.parse().expect("a unit");
    let mut ranges = Ranges::default();
    ranges.insert_range(1, 7);
    ranges.insert_range(9, 300);
    let digest = Digest::of(b"x");
    vec![
        (
            "hello",
            Frame::Hello(Hello {
                version: PROTOCOL_VERSION,
                unit: unit("hebi.tobacco"),
                epoch: 7,
                peer_epoch: 9,
                received: ranges.clone(),
                marks: vec![(11, 0x0102_0304_0506_0708)],
                base: 3,
                next: 12,
                wall: ACCEPTED,
                link_kind: "3g".into(),
                link_name: "modem".into(),
            }),
        ),
        (
            "ack",
            Frame::Ack(Ack {
                received: ranges.clone(),
                parked: ranges.clone(),
                credit: [1, 2, 3, 1 << 40],
                closed: vec![unit("hebi.police")],
                open: vec![unit("hebi.court")],
            }),
        ),
        ("gone", Frame::Gone(ranges.clone())),
        (
            "gone-answer",
            Frame::GoneAnswer(GoneAnswer {
                had: ranges.clone(),
                gone: ranges.clone(),
            }),
        ),
        ("offer", Frame::Offer(vec![digest])),
        (
            "offer-answer",
            Frame::OfferAnswer(OfferAnswer {
                lacked: vec![digest],
                had: vec![],
            }),
        ),
        (
            "dictionaries",
            Frame::Dictionaries(Dictionaries {
                built_in: digest,
                own: Some(OfferedDictionary {
                    number: 2,
                    id: digest,
                }),
            }),
        ),
        (
            "dictionary-answer",
            Frame::DictionaryAnswer(2, DictionaryAnswer::Want),
        ),
        (
            "want-attachment",
            Frame::Want(Want {
                digest: BlobDigest([3; 32]),
                senders: vec!["hebi.xunxian.tobacco".parse().expect("a unit")],
                described: true,
                have: ranges.clone(),
            }),
        ),
        (
            "have",
            Frame::Have(Have {
                digest: BlobDigest([3; 32]),
                chunks: ranges.clone(),
            }),
        ),
        (
            "absent",
            Frame::Absent(Absent {
                digest: BlobDigest([3; 32]),
                too_large: false,
            }),
        ),
        ("present", Frame::Present(BlobDigest([3; 32]))),
        ("unwant", Frame::Unwant(BlobDigest([3; 32]))),
        (
            "terms",
            Frame::Terms(LinkTerms {
                cost_ms: 2000,
                takes: Takes::Express,
            }),
        ),
        (
            "generation",
            Frame::Generation(Generation {
                number: 3,
                sender: unit("hebi.xunxian.tobacco"),
                base: 0,
                first: 10,
                last: 30,
                without: ranges.clone(),
                id: digest,
            }),
        ),
        (
            "generation-answer",
            Frame::GenerationAnswer(3, GenerationAnswer::Lack),
        ),
        ("moved", Frame::Moved),
        ("want", Frame::WantCertificates(vec![Fingerprint([7; 16])])),
        ("certificate", Frame::Certificate(vec![0x30; 300])),
    ]
}

/// A seed's sort, name and bytes.
type Brought = (u8, &'static str, Vec<u8>);

/// What is brought beside batches and frames, by the numbers that the target has for them.
fn brought(entries: &[(Entry, Parcel)]) -> Result<Vec<Brought>, Box<dyn Error>> {
    let digest = BlobDigest([3; 32]);
    let mut run = wire::chunks_head(&digest, Some((300, &[])), 0, 1);
    run.extend_from_slice(&[7; 300]);
    let dictionary = Dictionary::built_in();
    let handover = wire::hand_over(2, dictionary, &Against::BuiltIn).to_vec();
    let trained = Trained {
        unit: Some("hebi.tobacco".parse()?),
        at: "2026-03-01T00:00:00Z".parse()?,
        samples: 2000,
        dictionary: dictionary.clone(),
    };
    let manifest = Manifest {
        from: "hebi.tobacco".parse()?,
        to: "hebi.hub".parse()?,
        epochs: Epochs { own: 7, peer: 9 },
        made: ACCEPTED,
        parcels: entries
            .iter()
            .map(|(entry, parcel)| Carried {
                entry: entry.clone(),
                digest: parcel.digest(),
                bytes: parcel.bytes().len() as u32,
            })
            .collect(),
        attachments: vec![(digest, 300)],
        certificates: vec![vec![0x30; 300]],
    };

    let folder = tempfile::tempdir()?;
    let (ca, id) = (folder.path().join("ca"), folder.path().join("id"));
    pki::init(&ca, "seeds", ACCEPTED)?;
    let unit = "hebi.tobacco".parse()?;
    let asked = Issue {
        dir: &ca,
        unit: &unit,
        out: &id,
        hosts: &[],
        csr: None,
        days: 30,
    };
    pki::issue(&asked, ACCEPTED)?;
    let roots = fs::read(ca.join("ca.pem"))?;
    let identity = Identity::load(&id, &unit, ACCEPTED)?;
    let path = folder.path().join("audit.log");
    let audit = Audit::open(&path)?;
    for action in ["hold", "release"] {
        let entry = AuditLine {
            actor: "li.wei",
            action,
            subject: "one",
            reason: "a look",
        };
        audit.record(ACCEPTED, entry)?;
    }
    let sidecar = br#"{"to": ["hebi.police", "hebi.court"], "kind": "notice", "as": "data"}"#;
    Ok(vec![
        (0, "chunks", run),
        (1, "handover", handover),
        // All of it is more than an input of the fuzzer may have.
        (2, "trained", trained.to_bytes()[..4096].to_vec()),
        (3, "manifest", manifest.encode().to_vec()),
        (4, "certificate", identity.signing_certificate().to_vec()),
        (5, "roots", roots),
        (6, "audit", fs::read(&path)?),
        (7, "sidecar", sidecar.to_vec()),
    ])
}

/// The bytes of a journal's first segment, as far as it was written.
fn segment() -> Result<Vec<u8>, Box<dyn Error>> {
    struct Nothing;
    impl Replay for Nothing {
        fn checkpoint(&mut self, _: Lsn, _: &mut dyn std::io::Read) -> bool {
            false
        }
        fn record(&mut self, _: Lsn, _: &[u8], _: &[u8], _: Location) {}
    }
    let folder = std::env::temp_dir().join(format!("casegate-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let settings = Settings {
        segment_bytes: 4096,
        ..Settings::from(&Limits::default())
    };
    let (mut journal, _) = Journal::open(Folder::at(&folder)?, settings, [1; 32], &mut Nothing)?;
    for record in [&b"one"[..], b"two"] {
        journal.append(record, Payload::New(&[7; 100]));
        journal.end_group();
    }
    journal.drain()?;
    let mut bytes = fs::read(folder.join("seg-0000000001.log"))?;
    fs::remove_dir_all(&folder)?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}
