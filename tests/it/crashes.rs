//! kill -9 of every node at any moment, a receiver that is away, a hub that loses its disk: three processes, real certificates.
//!
//! `CASEGATE_TEST_EVENTS` names files of CloudEvents, one a line, to use instead of generated ones; `CASEGATE_TEST_KILLS` says how often
//! to kill.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use casegate::sample::{Generator, Options};
use serde_json::{Value, json};

use crate::processes::{Client, Node, Town, text, until};

const KILLS: usize = 9;
const MESSAGES: usize = 1500;
const BATCH: usize = 10;

/// What the applications of A and B have seen.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    /// Messages that were handed over at least once.
    received: AtomicUsize,
    /// Every hand-over, in order: the event, and whether it is the first.
    handed: Mutex<Vec<(Value, bool)>>,
    finished: AtomicBool,
}

/// A's application submits, B's fetches and acks, while the test does its worst.
struct Traffic {
    events: Arc<Vec<Value>>,
    seen: Arc<Seen>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Traffic {
    fn new() -> Self {
        Self {
            events: Arc::new(events()),
            seen: Arc::default(),
            threads: Vec::new(),
        }
    }

    fn submit(&mut self, to: Client) {
        let (events, seen) = (self.events.clone(), self.seen.clone());
        self.threads.push(thread::spawn(move || {
            for batch in events.chunks(BATCH) {
                to.submit(batch);
                seen.accepted.fetch_add(batch.len(), SeqCst);
            }
        }));
    }

    fn fetch(&mut self, from: Client) {
        let seen = self.seen.clone();
        self.threads
            .push(thread::spawn(move || fetch(&from, &seen)));
    }

    fn until_accepted(&self, count: usize) {
        until(&format!("{count} are accepted"), || {
            self.seen.accepted.load(SeqCst) >= count
        });
    }

    /// Waits until so many have come; a new deadline with every one that comes.
    fn until_received(&self, count: usize) {
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

    /// Everything has come, once, unchanged and in the order of its case; nothing waits anywhere.
    /// Tells how many hand-overs were not the first of their message.
    fn finish(self, nodes: &[&Node]) -> usize {
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
        for thread in self.threads {
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
                .take(MESSAGES)
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

fn kills() -> usize {
    let asked = std::env::var("CASEGATE_TEST_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("a number"))
}

#[test]
fn what_is_sent_comes_once_unchanged_and_in_order_whoever_is_killed() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for node in &mut nodes {
        node.start();
    }
    let started = Instant::now();
    let mut traffic = Traffic::new();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    let kills = kills();
    let share = traffic.events.len() / (kills + 1);
    for kill in 0..kills {
        // Spread over the run, and anywhere within a batch, a sync or a start.
        let at = kill * share + (kill * 7919 + 13) % share.max(1);
        traffic.until_received(at);
        let node = &mut nodes[kill % 3];
        node.kill();
        node.start();
    }
    let [a, hub, b] = &nodes;
    traffic.finish(&[a, hub, b]);
    eprintln!("{kills} kills in {:?}", started.elapsed());
    for node in &mut nodes {
        node.stop();
    }
}

#[test]
fn what_is_sent_while_the_receiver_is_away_waits_for_it_when_the_sender_has_gone() {
    let town = Town::new();
    let (mut a, mut hub, mut b) = (town.unit("hebi.a"), town.hub(), town.unit("hebi.b"));
    hub.start();
    a.start();
    let mut traffic = Traffic::new();
    traffic.submit(a.client());
    traffic.until_accepted(traffic.events.len());
    let client = hub.client();
    until("all of it is at the hub", || {
        let Some((200, status)) = client.get("/v1/status") else {
            return false;
        };
        status["queued"]["messages"] == traffic.events.len()
    });
    a.stop();
    b.start();
    traffic.fetch(b.client());
    traffic.until_received(traffic.events.len());
    // Its receipts wait for the sender.
    a.start();
    traffic.finish(&[&a, &hub, &b]);
    for node in [&mut a, &mut hub, &mut b] {
        node.stop();
    }
}

#[test]
fn a_hub_that_loses_its_disk_in_the_middle_loses_nothing_and_repeats_nothing() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for node in &mut nodes {
        node.start();
    }
    let mut traffic = Traffic::new();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    for third in 1..=2 {
        traffic.until_received(traffic.events.len() * third / 3);
        let hub = &mut nodes[1];
        hub.kill();
        std::fs::remove_dir_all(hub.data()).expect("the disk is gone");
        hub.start();
    }
    let [a, hub, b] = &nodes;
    let again = traffic.finish(&[a, hub, b]);
    assert_eq!(again, 0, "B was never killed");
    for node in &mut nodes {
        node.stop();
    }
}
