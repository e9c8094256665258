//! An application at each end of a hub: one submits, one fetches and acks, and what came is compared with what was sent.
//!
//! With attachments, every tenth message names one of its own, and what is fetched of it is compared too.
//!
//! `CASEGATE_TEST_EVENTS` names files of CloudEvents, one a line, to use instead of generated ones.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use casegate::sample::{Generator, Options};
use serde_json::{Value, json};

use crate::processes::{Client, Node, text, until};

const MESSAGES: usize = 1500;
/// At least so many for each kill that is asked for.
const MESSAGES_PER_KILL: usize = 3;
const BATCH: usize = 10;
/// Of ten messages one has an attachment of so many bytes and a few more: three chunks.
const ATTACHMENT_BYTES: u64 = 150_000;

/// What the applications of A and B have seen.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    /// Messages that were handed over at least once.
    received: AtomicUsize,
    /// Every hand-over, in order: the event, and whether it is the first.
    handed: Mutex<Vec<(Value, bool)>>,
    /// What was accepted, by messageid.
    names: Mutex<Vec<String>>,
    finished: AtomicBool,
}

/// A's application submits, B's fetches and acks, while the test does its worst.
pub(crate) struct Traffic {
    events: Arc<Vec<Value>>,
    seen: Arc<Seen>,
    threads: Vec<thread::JoinHandle<()>>,
    ends: Vec<Client>,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self::of(events())
    }

    /// Every tenth message has an attachment.
    pub(crate) fn with_attachments() -> Self {
        let mut events = events();
        for (n, event) in events.iter_mut().enumerate().step_by(BATCH) {
            event["attachments"] = digest_of(&attachment(n as u64)).into();
        }
        Self::of(events)
    }

    fn of(events: Vec<Value>) -> Self {
        Self {
            events: Arc::new(events),
            seen: Arc::default(),
            threads: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Submits everything.
    pub(crate) fn submit(&mut self, to: Client) {
        self.submit_part(to, 0..self.len());
    }

    /// Submits these, of all.
    pub(crate) fn submit_part(&mut self, to: Client, part: Range<usize>) {
        self.ends.push(to.clone());
        let (events, seen) = (self.events.clone(), self.seen.clone());
        self.threads.push(thread::spawn(move || {
            let first = part.start;
            for (n, batch) in events[part].chunks(BATCH).enumerate() {
                if batch[0].get("attachments").is_some() {
                    let bytes = attachment((first + n * BATCH) as u64);
                    until("an attachment is brought", || {
                        let put = to.put("/v1/attachments", &bytes[..], bytes.len() as u64);
                        put.is_some_and(|(status, answer)| {
                            assert!(matches!(status, 201 | 503), "{status} {answer}");
                            status == 201
                        })
                    });
                }
                let names = to.submit(batch);
                seen.names.lock().expect("no panic").extend(names);
                seen.accepted.fetch_add(batch.len(), SeqCst);
            }
        }));
    }

    pub(crate) fn fetch(&mut self, from: Client) {
        self.ends.push(from.clone());
        let seen = self.seen.clone();
        self.threads
            .push(thread::spawn(move || fetch(&from, &seen)));
    }

    pub(crate) fn until_accepted(&self, count: usize) {
        until(&format!("{count} are accepted"), || {
            self.seen.accepted.load(SeqCst) >= count
        });
    }

    /// Waits until so many have come; a new deadline with every one that comes.
    pub(crate) fn until_received(&self, count: usize) {
        loop {
            let before = self.seen.received.load(SeqCst);
            if before >= count {
                return;
            }
            until(&format!("more than {before} of {count} came"), || {
                self.seen.received.load(SeqCst) > before
            });
        }
    }

    /// What the ends say of a few messages that were accepted and did not come.
    fn tell_missing(&self) {
        let (Ok(handed), Ok(names)) = (self.seen.handed.lock(), self.seen.names.lock()) else {
            return;
        };
        let came: HashSet<_> = handed
            .iter()
            .map(|(event, _)| &event["messageid"])
            .collect();
        let missing = names.iter().filter(|name| !came.contains(&json!(name)));
        for name in missing.take(3) {
            for end in &self.ends {
                eprintln!("--- {name}: {:?}", end.get(&format!("/v1/messages/{name}")));
            }
        }
    }

    /// How many messages are sent.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Everything has come, once, unchanged and in the order of its case; nothing waits anywhere.
    /// Tells how many hand-overs were not the first of their message.
    pub(crate) fn finish(mut self, nodes: &[&Node]) -> usize {
        self.until_received(self.events.len());
        for node in nodes {
            let client = node.client();
            until("nothing waits any more", || {
                let Some((200, status)) = client.get("/v1/status") else {
                    return false;
                };
                let waits = ["queued", "inbox"].map(|what| status[what]["messages"] == 0);
                waits == [true, true] && status["awaiting_receipts"] == 0
            });
        }
        self.seen.finished.store(true, SeqCst);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("an application is content");
        }
        let handed = self.seen.handed.lock().expect("no panic");
        let mut cases: HashMap<&Value, Vec<&Value>> = HashMap::new();
        let mut first = HashMap::new();
        for (event, is_first) in handed.iter() {
            if *is_first {
                assert!(first.insert(&event["id"], event).is_none());
                if event.get("caseid").is_some() {
                    cases
                        .entry(&event["caseid"])
                        .or_default()
                        .push(&event["id"]);
                }
            }
        }
        assert_eq!(first.len(), self.events.len());
        let mut ordered: HashMap<&Value, Vec<&Value>> = HashMap::new();
        for event in self.events.iter() {
            assert_eq!(submitted(first[&event["id"]], event), *event);
            if event.get("caseid").is_some() {
                ordered
                    .entry(&event["caseid"])
                    .or_default()
                    .push(&event["id"]);
            }
        }
        for (case, ids) in &ordered {
            assert_eq!(cases.get(case), Some(ids), "the order within {case}");
        }
        let again = handed.len() - first.len();
        let (messages, cases) = (first.len(), ordered.len());
        eprintln!(
            "{messages} messages, {cases} cases: all once and in order; {again} handed over again"
        );
        again
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if thread::panicking() {
            let (accepted, received) = (&self.seen.accepted, &self.seen.received);
            eprintln!(
                "--- {accepted:?} of {} accepted, {received:?} received",
                self.events.len()
            );
            self.tell_missing();
        }
    }
}

/// Fetches and acks until the traffic is finished. A message that was acked must not come again.
fn fetch(from: &Client, seen: &Seen) {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut acked: HashSet<String> = HashSet::new();
    while !seen.finished.load(SeqCst) {
        let Some((200, Value::Array(events))) = from.get("/v1/inbox?max=50&wait=1s") else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let names: Vec<_> = events
            .iter()
            .map(|event| text(&event["messageid"]))
            .collect();
        for (event, name) in events.into_iter().zip(&names) {
            assert!(!acked.contains(name), "acked before: {event}");
            if let Some(digest) = event.get("attachments").map(text) {
                let path = format!("/v1/attachments/{digest}");
                until("an attachment that was delivered can be read", || {
                    from.whole(&path)
                        .is_some_and(|bytes| digest_of(&bytes) == digest)
                });
            }
            let times = known.entry(name.clone()).or_default();
            *times += 1;
            let is_first = *times == 1;
            seen.handed
                .lock()
                .expect("no panic")
                .push((event, is_first));
            seen.received.fetch_add(usize::from(is_first), SeqCst);
        }
        if names.is_empty() {
            continue;
        }
        let body = json!({ "messageids": names });
        if let Some((200, answer)) = from.post("/v1/inbox/ack", "application/json", &body) {
            assert_eq!(answer["unknown"], json!([]), "{answer}");
            acked.extend(names);
        }
    }
}

/// The `n`th attachment.
fn attachment(n: u64) -> Vec<u8> {
    let mut bytes = vec![0; (ATTACHMENT_BYTES + n % 1000) as usize];
    blake3::Hasher::new()
        .update(&n.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn digest_of(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// The delivered event without what the gateway added to it.
fn submitted(delivered: &Value, event: &Value) -> Value {
    let Value::Object(mut delivered) = delivered.clone() else {
        panic!("no event: {delivered}");
    };
    for added in ["messageid", "receivedtime", "signedby"] {
        assert!(delivered.remove(added).is_some(), "{added} is missing");
    }
    for defaulted in ["expires", "priority"] {
        if event.get(defaulted).is_none() {
            delivered.remove(defaulted);
        }
    }
    Value::Object(delivered)
}

fn messages() -> usize {
    let kills = std::env::var("CASEGATE_TEST_KILLS").ok();
    let kills: usize = kills.and_then(|kills| kills.parse().ok()).unwrap_or(0);
    MESSAGES.max(kills * MESSAGES_PER_KILL)
}

/// Events from A to B.
fn events() -> Vec<Value> {
    let lines: Vec<String> = match std::env::var("CASEGATE_TEST_EVENTS") {
        Ok(files) => {
            let read = |file| std::fs::read_to_string(file).expect("a file of events");
            let texts: Vec<_> = files.split_whitespace().map(read).collect();
            texts
                .iter()
                .flat_map(|text| text.lines().map(str::to_owned))
                .collect()
        }
        Err(_) => {
            let generated = Generator::with(7, Options::default());
            generated
                .take(messages())
                .map(|sample| sample.event)
                .collect()
        }
    };
    let event = |line: &String| {
        let mut event: Value = serde_json::from_str(line).expect("an event");
        event["source"] = "/unit/hebi.a".into();
        event["to"] = "hebi.b".into();
        event
    };
    lines.iter().map(event).collect()
}
