//! Hours of traffic over a poor link that is out again and again, with the memory, file descriptors and disk of each node written down
//! every minute: none of them may grow but for what is remembered of messages.
//!
//! `tests/soak.sh MINUTES [FILE]` runs it.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use casegate::emulator::Profile;
use serde_json::{Value, json};

use crate::{
    processes::{Client, Node, Town, text, until},
    transfer::Links,
};

const LANES: [&str; 4] = ["flash", "urgent", "normal", "bulk"];
/// Most messages that wait at the sender before it pauses: the link is slower than it.
const WAITING_MAX: u64 = 200;
/// One message in so many has an attachment.
const ATTACHMENT_EVERY: u64 = 100;
const ATTACHMENT_BYTES: usize = 60_000;
/// What a node may remember of each message, bytes of memory.
const REMEMBERED_BYTES: u64 = 200;
/// What writing the index anew leaves with the allocator, bytes for each message that it has: the next time takes it again.
const REWRITTEN_BYTES: u64 = 300;
/// What the index may take of the disk for each message, bytes: it is written anew at twice what it takes just written, once it is looked at.
const INDEXED_BYTES: u64 = 2500;
const INDEX_KIB: u64 = 160 * 1024;
/// What may come and go beyond that: KiB of memory, descriptors, and MiB of disk without the index, which keeps history.
const MEMORY_KIB: u64 = 24 * 1024;
const DESCRIPTORS: u64 = 12;
const DISK_MIB: u64 = 160;

/// A node at one moment.
#[derive(Clone, Copy, Debug)]
struct Figures {
    resident_kib: u64,
    descriptors: u64,
    disk_mib: u64,
    index_kib: u64,
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    // What goes while it is looked at counts nothing.
    let entries = entries.filter_map(Result::ok);
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

impl Figures {
    fn of(node: &Node) -> Self {
        let index = folder_bytes(&node.data().join("index"));
        Self {
            resident_kib: node.resident_kib(),
            descriptors: node.descriptors(),
            disk_mib: (folder_bytes(&node.data()) - index) >> 20,
            index_kib: index >> 10,
        }
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    came: AtomicU64,
    ends: AtomicBool,
}

fn body(n: u64) -> Vec<u8> {
    let mut bytes = vec![0; ATTACHMENT_BYTES];
    blake3::Hasher::new()
        .update(&n.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn submit(client: &Client, counts: &Counts) {
    let mut n = 0;
    while !counts.ends.load(SeqCst) {
        let waiting = client
            .get("/v1/status")
            .and_then(|(_, status)| status["queued"]["messages"].as_u64());
        if waiting.is_none_or(|waiting| waiting > WAITING_MAX) {
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        let mut event = json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/unit/hebi.a", "type": "case.step", "to": "hebi.b",
            "priority": LANES[(n % 4) as usize], "caseid": format!("C-{}", n % 17), "subject": "关于补充证据材料的函",
            "data": {"n": n, "text": "证据".repeat((n * 7919 % 300) as usize)},
        });
        if n % ATTACHMENT_EVERY == 0 {
            let bytes = body(n);
            let (_, answer) = client
                .put("/v1/attachments", &bytes[..], bytes.len() as u64)
                .expect("an answer");
            event["attachments"] = answer["digest"].clone();
        }
        client.submit(&[event]);
        counts.sent.fetch_add(1, SeqCst);
        n += 1;
    }
}

fn fetch(client: &Client, counts: &Counts) {
    let mut came = std::collections::HashSet::new();
    while !counts.ends.load(SeqCst) || counts.came.load(SeqCst) < counts.sent.load(SeqCst) {
        let Some((200, Value::Array(events))) = client.get("/v1/inbox?max=50&wait=5s") else {
            continue;
        };
        let mut names = Vec::new();
        for event in events {
            let n = event["data"]["n"].as_u64().expect("a number");
            assert!(came.insert(n), "{n} came twice");
            assert_eq!(
                event["data"]["text"],
                "证据".repeat((n * 7919 % 300) as usize)
            );
            if let Some(digest) = event.get("attachments").map(text) {
                let bytes = client.whole(&format!("/v1/attachments/{digest}"));
                assert!(bytes == Some(body(n)), "the attachment of {n}");
            }
            names.push(event["messageid"].clone());
        }
        let acked = client.post(
            "/v1/inbox/ack",
            "application/json",
            &json!({ "messageids": names }),
        );
        assert_eq!(acked.expect("an answer").0, 200);
        counts.came.fetch_add(names.len() as u64, SeqCst);
    }
}

#[test]
#[ignore = "takes as long as it is told to: tests/soak.sh"]
fn nothing_grows_in_hours_over_a_poor_link() {
    let minutes = std::env::var("CASEGATE_SOAK_MINUTES").ok();
    let minutes: u64 = minutes.map_or(10, |minutes| minutes.parse().expect("minutes"));
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    // Small enough that all that is bounded meets its bound.
    let limits = "[limits]\njournal-mib = 128\nsegment-mib = 4\nattachment-keep-hours = 0\nattachment-unclaimed-hours = 1\n";
    hub.configure("[listen]", &format!("{limits}[listen]"));
    let links = Links::of(&a, &b, &Profile::mobile_outage());
    for node in [&mut a, &mut b] {
        node.configure("[upstream]", &format!("{limits}[upstream]"));
        node.configure("kind = \"lan\"", "kind = \"3g\"");
    }
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let counts = Arc::new(Counts::default());
    let submitting = {
        let (client, counts) = (a.client(), counts.clone());
        thread::spawn(move || submit(&client, &counts))
    };
    let fetching = {
        let (client, counts) = (b.client(), counts.clone());
        thread::spawn(move || fetch(&client, &counts))
    };
    let nodes = [("a", &a), ("hub", &hub), ("b", &b)];
    let mut log =
        String::from("minute,node,messages,resident_kib,descriptors,disk_mib,index_kib\n");
    let file = std::env::var("CASEGATE_SOAK_FILE").ok();
    let mut figures: Vec<(u64, [Figures; 3])> = Vec::new();
    let started = Instant::now();
    for minute in 1..=minutes {
        let due = Duration::from_secs(60 * minute);
        thread::sleep(due.saturating_sub(started.elapsed()));
        let came = counts.came.load(SeqCst);
        let now = nodes.map(|(_, node)| Figures::of(node));
        for ((name, _), of) in nodes.iter().zip(&now) {
            let Figures {
                resident_kib,
                descriptors,
                disk_mib,
                index_kib,
            } = of;
            let line = format!(
                "{minute},{name},{came},{resident_kib},{descriptors},{disk_mib},{index_kib}"
            );
            eprintln!("{line}");
            writeln!(log, "{line}").expect("a text");
        }
        if let Some(file) = &file {
            fs::write(file, &log).expect("written");
        }
        assert!(
            !submitting.is_finished() && !fetching.is_finished(),
            "an application has failed"
        );
        figures.push((came, now));
    }
    counts.ends.store(true, SeqCst);
    submitting.join().expect("the sender is content");
    until_all(&counts);
    fetching.join().expect("the receiver is content");
    let (sent, came) = (counts.sent.load(SeqCst), counts.came.load(SeqCst));
    eprintln!(
        "{came} of {sent} messages in {:?}, wire up and down {:?}",
        started.elapsed(),
        links.carried()
    );
    assert_eq!(sent, came);
    // The first quarter is for getting warm.
    let (early, early_figures) = figures[(figures.len() - 1) / 4];
    let (late, late_figures) = *figures.last().expect("a minute");
    for ((name, _), (before, after)) in nodes.iter().zip(early_figures.iter().zip(&late_figures)) {
        let remembered = ((late - early) * REMEMBERED_BYTES + late * REWRITTEN_BYTES) / 1024;
        let more = after.resident_kib.saturating_sub(before.resident_kib);
        assert!(
            more <= MEMORY_KIB + remembered,
            "{name}: {more} KiB more after {} messages",
            late - early
        );
        assert!(
            after.descriptors <= before.descriptors + DESCRIPTORS,
            "{name}: {before:?}, then {after:?}"
        );
        assert!(
            after.disk_mib <= before.disk_mib.max(DISK_MIB),
            "{name}: {before:?}, then {after:?}"
        );
        assert!(
            after.index_kib <= INDEX_KIB + sent * INDEXED_BYTES / 1024,
            "{name}: {after:?} of {sent} messages"
        );
    }
}

/// The link is slow: as long as something comes, it is waited for.
fn until_all(counts: &Counts) {
    while counts.came.load(SeqCst) < counts.sent.load(SeqCst) {
        let before = counts.came.load(SeqCst);
        until("more comes", || counts.came.load(SeqCst) > before);
    }
}
