//! Disks and queues that are full: who submits is told by what bound, what is urgent still passes, what frees room still passes, and when
//! there is room again all goes on without a restart.
//!
//! The tests of real full disks put a node's data on a file system of 64 MiB. They need root, and are run with `--ignored` in `unshare -m`.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::processes::{Client, Node, Town, text, until};

const DISK_MIB: u64 = 64;
/// Kept on the disk by somebody else, and removed to make room.
const BALLAST_BYTES: usize = 12 << 20;
const LIMITS: &str = "[limits]\nsegment-mib = 2\n";
/// So much is submitted before a test gives up waiting for the disk to be full, KiB.
const SUBMITTED_KIB_MAX: usize = 256 * 1024;

/// A small file system where a node keeps its data.
struct Disk(PathBuf);

impl Disk {
    fn of(node: &Node) -> Self {
        let at = node.data();
        fs::create_dir_all(&at).expect("a folder");
        let size = format!("size={DISK_MIB}M,mode=0700");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&at)
            .output()
            .expect("mount");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Self(at)
    }

    fn put_ballast(&self) {
        fs::write(self.0.join("ballast"), vec![1; BALLAST_BYTES]).expect("room for it");
    }

    fn remove_ballast(&self) {
        fs::remove_file(self.0.join("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that has failed leaves nothing mounted.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What was accepted, and a number for the next one.
#[derive(Default)]
struct Sent {
    accepted: BTreeSet<String>,
    next: usize,
}

impl Sent {
    /// Submits one message with noise of so many KiB. Gives the refusal's status and document, or none when it was accepted.
    fn submit(&mut self, to: &Client, priority: &str, kib: usize) -> Option<(u16, Value)> {
        self.next += 1;
        let mut noise = vec![0; kib * 1024 * 3 / 4];
        blake3::Hasher::new()
            .update(&self.next.to_le_bytes())
            .finalize_xof()
            .fill(&mut noise);
        let event = json!({
            "specversion": "1.0", "id": self.next.to_string(), "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b",
            "priority": priority, "data_base64": data_encoding::BASE64.encode(&noise),
        });
        let kind = "application/cloudevents+json";
        let answered = to.post("/v1/messages", kind, &event).expect("an answer");
        match answered {
            (202, answer) => {
                self.accepted.insert(text(&answer["messageid"]));
                None
            }
            refused => Some(refused),
        }
    }

    /// Submits until the node refuses, and gives the refusal.
    fn fill(&mut self, to: &Client, priority: &str, kib: usize) -> Value {
        for _ in 0..SUBMITTED_KIB_MAX / kib {
            if let Some((status, refusal)) = self.submit(to, priority, kib) {
                assert_eq!(status, 507, "{refusal}");
                return refusal;
            }
        }
        panic!("it never fills up");
    }

    /// Submits again and again until it is taken.
    fn until_taken(&mut self, to: &Client, priority: &str, kib: usize) {
        until("it takes messages again", || {
            self.submit(to, priority, kib).is_none()
        });
    }

    /// All that was accepted comes, each once.
    fn all_come(&self, at: &Client) {
        let mut came = BTreeSet::new();
        until("all that was accepted has come", || {
            let Some((200, Value::Array(events))) = at.get("/v1/inbox?max=50&wait=0s") else {
                return false;
            };
            let names: Vec<String> = events.iter().map(|e| text(&e["messageid"])).collect();
            for name in &names {
                assert!(self.accepted.contains(name), "{name} was refused");
                assert!(came.insert(name.clone()), "{name} came twice");
            }
            if !names.is_empty() {
                let acked = at.post(
                    "/v1/inbox/ack",
                    "application/json",
                    &json!({"messageids": names}),
                );
                assert_eq!(acked.expect("an answer").0, 200);
            }
            came.len() == self.accepted.len()
        });
    }
}

fn warns(node: &Client, what: &str) -> bool {
    let status = node.get("/v1/status").map(|(_, status)| status);
    status.is_some_and(|status| status["warnings"].to_string().contains(what))
}

#[test]
fn a_full_outbox_is_named_and_urgent_messages_use_its_reserve_and_acks_make_room() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure("[upstream]", "[limits]\noutbox-messages = 40\n[upstream]");
    a.start();
    let mut sent = Sent::default();
    let refusal = sent.fill(&a.client(), "normal", 1);
    assert_eq!(refusal["bound"], "outbox-messages", "{refusal}");
    assert_eq!(
        sent.accepted.len(),
        36,
        "a tenth is kept for what is urgent"
    );
    let refusal = sent.fill(&a.client(), "urgent", 1);
    assert_eq!(refusal["bound"], "outbox-messages", "{refusal}");
    assert_eq!(sent.accepted.len(), 40);
    hub.start();
    b.start();
    sent.all_come(&b.client());
    sent.until_taken(&a.client(), "normal", 1);
}

#[test]
fn a_full_journal_is_named_and_urgent_messages_use_its_reserve_and_acks_make_room() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure(
        "[upstream]",
        "[limits]\njournal-mib = 16\nsegment-mib = 2\n[upstream]",
    );
    a.start();
    let mut sent = Sent::default();
    let refusal = sent.fill(&a.client(), "normal", 200);
    assert_eq!(refusal["bound"], "journal-mib", "{refusal}");
    let normal = sent.accepted.len();
    sent.fill(&a.client(), "urgent", 100);
    assert!(sent.accepted.len() > normal, "nothing urgent passes");
    hub.start();
    b.start();
    sent.until_taken(&a.client(), "normal", 200);
    sent.all_come(&b.client());
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_disk_that_submissions_fill_takes_what_is_urgent_and_is_emptied_by_acks() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure("[upstream]", &format!("{LIMITS}[upstream]"));
    let _disk = Disk::of(&a);
    a.start();
    let mut sent = Sent::default();
    let refusal = sent.fill(&a.client(), "normal", 200);
    assert_eq!(refusal["bound"], "disk", "{refusal}");
    assert!(warns(&a.client(), "the disk is full"));
    let normal = sent.accepted.len();
    sent.fill(&a.client(), "urgent", 20);
    let urgent = sent.accepted.len() - normal;
    assert!(urgent > 0, "nothing urgent passes");
    eprintln!("{normal} normal messages of 200 KiB, then {urgent} urgent ones of 20 KiB");
    // What comes in from the hub, and its acks, are records too.
    hub.start();
    b.start();
    sent.all_come(&b.client());
    sent.until_taken(&a.client(), "normal", 200);
    until("the disk is not full", || {
        !warns(&a.client(), "the disk is full")
    });
    sent = Sent {
        next: sent.next,
        ..Sent::default()
    };
    sent.until_taken(&a.client(), "normal", 200);
    a.kill();
    a.start();
    for node in [&mut hub, &mut a, &mut b] {
        node.stop();
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_hubs_disk_that_the_mailbox_of_an_absent_unit_fills_loses_nothing_and_goes_on() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    hub.configure("[listen]", &format!("{LIMITS}[listen]"));
    let _disk = Disk::of(&hub);
    hub.start();
    a.start();
    hub.until_sessions(1);
    let mut sent = Sent::default();
    for _ in 0..DISK_MIB * 1024 * 3 / 2 / 200 {
        assert_eq!(sent.submit(&a.client(), "normal", 200), None);
    }
    until("the hub's disk is full", || {
        warns(&hub.client(), "the disk is full")
    });
    let urgent = sent.accepted.clone();
    assert_eq!(sent.submit(&a.client(), "urgent", 4), None);
    let urgent = sent
        .accepted
        .difference(&urgent)
        .next()
        .expect("one")
        .clone();
    // The hub's reserve takes it.
    until("what is urgent is at the hub", || {
        let view = a.client().get(&format!("/v1/messages/{urgent}"));
        view.is_some_and(|(_, view)| view["state"] == "relayed")
    });
    b.start();
    sent.all_come(&b.client());
    until("the hub's disk is not full", || {
        !warns(&hub.client(), "the disk is full")
    });
    for node in [&mut hub, &mut a, &mut b] {
        node.stop();
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_disk_that_attachments_fill_still_takes_what_is_urgent_and_goes_on_when_there_is_room() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure("[upstream]", &format!("{LIMITS}[upstream]"));
    let disk = Disk::of(&a);
    disk.put_ballast();
    a.start();
    let client = a.client();
    let bring = |n: u64, bytes: usize| {
        let mut body = vec![0; bytes];
        blake3::Hasher::new()
            .update(&n.to_le_bytes())
            .finalize_xof()
            .fill(&mut body);
        client
            .put("/v1/attachments", &body[..], bytes as u64)
            .expect("an answer")
    };
    let mut brought = 0;
    // Large ones, then ones that find the last room.
    for bytes in [5 << 20, 300_000, 20_000] {
        let refusal = loop {
            let (status, answer) = bring(brought, bytes);
            if status != 201 {
                break (status, answer);
            }
            brought += 1;
            assert!(brought < 4000, "it never fills up");
        };
        assert_eq!(refusal.0, 507, "{}", refusal.1);
        assert_eq!(refusal.1["bound"], "disk", "{}", refusal.1);
    }
    // Messages have the segments that were made ahead of need.
    let mut sent = Sent::default();
    let refusal = sent.fill(&a.client(), "normal", 100);
    assert_eq!(refusal["bound"], "disk", "{refusal}");
    let normal = sent.accepted.len();
    assert_eq!(
        sent.submit(&a.client(), "urgent", 20),
        None,
        "nothing urgent passes"
    );
    eprintln!("{brought} attachments, {normal} messages of 100 KiB, then one urgent");
    disk.remove_ballast();
    sent.until_taken(&a.client(), "normal", 100);
    until("an attachment finds room", || {
        bring(9_999, 1 << 20).0 == 201
    });
    hub.start();
    b.start();
    sent.all_come(&b.client());
    for node in [&mut hub, &mut a, &mut b] {
        node.stop();
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}
