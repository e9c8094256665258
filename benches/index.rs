//! What the index costs: `cargo bench --bench index [-- MESSAGES]`, 200,000 when nothing is said. An edge accepts and queues so many messages
//! as fast as the index takes them; then receipts come for the older half of them.
//!
//! `-- paced [MESSAGES]` instead: 100 messages at a time, each hundred with one step each of the five hundreds before, and written, as on a
//! node that has 100 a second. What is on disk then is to be read against 0.5 KB a message, which is what the index says of it.
//!
//! The rate is of messages by the processor time of the index's own thread: what it could take in with a core of its own. To be read
//! against: 20,000 a second, and a third of what a submission costs the rest of the node. Headers come from memory here; a node reads
//! them from its journal, which costs some 5 us more.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use casegate::{
    delivery::{Event, ParcelView, Step},
    index::{Bounds, Entry, Feed, Index, Recovered, Settings, Source},
    model::{Digest, Fingerprint, Location, Lsn, Millis, Outcome, Reason, ReceiptItem, UnitId},
    parcel::{Header, Signer},
    sample::Generator,
};

const MESSAGES: u32 = 200_000;
const NOW: Millis = 1_800_000_000_000;
/// Headers that there are; messages have an id of their own each.
const HEADERS: u32 = 1024;
/// Events that may wait before the next are made.
const WAITING_MAX: usize = 50_000;
/// Messages that become durable together.
const GROUP: u32 = 32;
/// Messages of a second, when they are paced.
const PACE: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(600);
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let count = std::env::args().find_map(|n| n.parse().ok());
    let count: u32 = count.unwrap_or(MESSAGES);
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node(Arc::new(headers()));
    let unit = node.header_of(0).sender;
    let (index, mut feed) = Index::new();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        unit: unit.clone(),
    };
    let thread = index.start(settings, Recovered::default(), node.clone());
    let thread = thread.expect("a thread");

    let mut last: Lsn = 0;
    let mut tell = |feed: &mut Feed, number: u32, events: &[Event]| {
        last += 1;
        for event in events {
            feed.take(last, event);
        }
        if number.is_multiple_of(GROUP) {
            feed.release(last);
            while index.waiting() > WAITING_MAX {
                std::thread::yield_now();
            }
        }
        last
    };
    if std::env::args().any(|word| word == "paced") {
        for number in 0..count {
            tell(&mut feed, number, &node.accepted(number));
            // Each step of a message in a second of its own.
            for step in 0..5 {
                if let Some(before) = number.checked_sub(PACE * (step + 1)) {
                    let steps = node.read(before, &unit);
                    tell(&mut feed, number, &steps[step as usize..=step as usize]);
                }
            }
            if number.is_multiple_of(PACE) {
                index.flush_through(tell(&mut feed, 0, &[]), PATIENCE);
            }
        }
        thread.stop();
        let bytes = folder_bytes(folder.path());
        println!(
            "paced: {} MiB on disk, {} bytes a message",
            bytes >> 20,
            bytes / u64::from(count)
        );
        return;
    }
    let mut measure = |what: &str, count: u32, events: &dyn Fn(u32) -> Vec<Event>| {
        let (began, before) = (Instant::now(), index_seconds());
        for number in 0..count {
            tell(&mut feed, number, &events(number));
        }
        let last = tell(&mut feed, 0, &[]);
        index.flush_through(last, PATIENCE);
        let cpu = index_seconds() - before;
        println!(
            "{what}: {:.0} messages/s by its thread's processor time ({:.1} us each), in {:.1} s",
            f64::from(count) / cpu,
            cpu * 1e6 / f64::from(count),
            began.elapsed().as_secs_f64()
        );
    };
    measure("accepted and queued", count, &|n| node.accepted(n));
    measure("sent, acked and read, the older half", count / 2, &|n| {
        node.read(n, &unit)
    });
    let health = index.health();
    assert_eq!(health.messages, u64::from(count));
    assert!(!health.incomplete);
    thread.stop();
    println!("on disk: {} MiB", folder_bytes(folder.path()) >> 20);
}

fn headers() -> Vec<Header> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let signer = Signer::from_pkcs8(document.as_ref(), Fingerprint([7; 16])).expect("a signer");
    let samples = Generator::new(1).take(HEADERS as usize);
    let sender = Generator::new(1)
        .next()
        .expect("no end")
        .parcel(&signer, NOW);
    let sender = sender.header().expect("a header").sender;
    samples
        .map(|sample| {
            let header = sample.parcel(&signer, NOW).header().expect("a header");
            Header {
                sender: sender.clone(),
                ..header
            }
        })
        .collect()
}

/// A node that has whatever it is asked for.
#[derive(Clone)]
struct Node(Arc<Vec<Header>>);

impl Node {
    fn header_of(&self, number: u32) -> Header {
        let mut header = self.0[(number % HEADERS) as usize].clone();
        header.id = format!("n-{number}");
        header.case = header
            .case
            .map(|case| format!("{case}-{}", number / HEADERS));
        header.accepted = NOW + Millis::from(number / 20);
        header
    }

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    fn accepted(&self, number: u32) -> Vec<Event> {
        let header = self.header_of(number);
        let step = |what| Event::Message {
            message: header.message_id(),
            at: header.accepted,
            what,
        };
        let location = Location {
            segment: 1,
            offset: number,
            len: 1500,
        };
        vec![
            step(Step::Accepted {
                location,
                parcel: Self::digest(number),
                bytes: 1400,
                lane: header.lane,
            }),
            step(Step::Queued {
                neighbour: "hebi.hub".parse().expect("a unit"),
                receivers: header.to.clone(),
            }),
        ]
    }

    fn read(&self, number: u32, unit: &UnitId) -> Vec<Event> {
        let header = self.header_of(number);
        let hub: UnitId = "hebi.hub".parse().expect("a unit");
        let at = header.accepted + 1000;
        let step = |what| Event::Message {
            message: header.message_id(),
            at,
            what,
        };
        let receipt = |outcome| Event::Receipt {
            parcel: Self::digest(number),
            item: ReceiptItem {
                parcel: Self::digest(number),
                receiver: header.to.first().expect("a receiver").clone(),
                outcome,
                reason: Reason::None,
                at,
                note: String::new(),
            },
            issuer: unit.clone(),
        };
        vec![
            step(Step::Sent {
                neighbour: hub.clone(),
                link: "lan".into(),
            }),
            step(Step::Acked { neighbour: hub }),
            receipt(Outcome::Relayed),
            receipt(Outcome::Delivered),
            receipt(Outcome::Read),
        ]
    }
}

impl Source for Node {
    fn header(&self, at: Location) -> Option<Header> {
        Some(self.header_of(at.offset))
    }

    fn parcel(&self, at: Location) -> Option<(Digest, u32)> {
        Some((Self::digest(at.offset), 1400))
    }

    fn receipt(&self, _: Location) -> Option<(UnitId, Vec<ReceiptItem>)> {
        None
    }

    fn live(&self, _: Option<u32>) -> Option<(Vec<ParcelView>, Option<u32>)> {
        None
    }

    fn lost(&self, _: &[Entry]) {}

    fn now(&self) -> Millis {
        NOW
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            retention_days: 365,
            messages_max: u32::MAX,
        }
    }
}

/// Processor time of the index's thread, seconds.
fn index_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let tasks = tasks.map(|task| task.expect("a task").path());
    let stats = tasks.filter_map(|task| fs::read_to_string(task.join("stat")).ok());
    let ticks = stats.filter(|stat| stat.contains("(index)")).map(|stat| {
        let (_, numbers) = stat.rsplit_once(')').expect("a name");
        let ticks = numbers.split_whitespace().skip(11).take(2);
        ticks
            .map(|n| n.parse::<u64>().expect("a number"))
            .sum::<u64>()
    });
    ticks.sum::<u64>() as f64 / TICKS_PER_SECOND
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let meta = entry.metadata().expect("its size");
        match meta.is_dir() {
            true => folder_bytes(&entry.path()),
            false => meta.len(),
        }
    });
    sizes.sum()
}
