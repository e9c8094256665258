//! Attachments over two hops: real processes, kill -9 in the middle, a hub that loses its disk, and what goes over the wire for it.

use std::{
    fs,
    io::{self, Read},
    time::Duration,
};

use casegate::emulator::{Direction, Emulator, LinkStats, Outages, Profile};
use serde_json::{Value, json};

use crate::processes::{Node, Town, until};

pub(crate) const SIZE: u64 = 3_000_000;
/// What a node that is killed may have to send or to be sent again: what had not been synced for a quarter of a second, and what was in
/// flight.
const AGAIN_BYTES_MAX: u64 = 700_000;

/// A body that does not compress.
pub(crate) fn body(seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; SIZE as usize];
    let mut hasher = blake3::Hasher::new();
    hasher.update(seed.as_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A hub and two units, each behind a link whose packets are counted.
pub(crate) struct Links {
    runtime: tokio::runtime::Runtime,
    a: Emulator,
    b: Emulator,
}

impl Links {
    /// Puts a link of so many bit/s before each unit.
    fn before(a: &Node, b: &Node, rate_bps: u64) -> Self {
        let direction = Direction {
            rate_bps: Some(rate_bps),
            delay: Duration::from_millis(5),
            ..Direction::PERFECT
        };
        Self::over(a, b, direction)
    }

    /// Puts a link before each unit that is such in both directions.
    pub(crate) fn over(a: &Node, b: &Node, direction: Direction) -> Self {
        let profile = Profile {
            up: direction.clone(),
            down: direction,
            outages: Outages::default(),
        };
        Self::of(a, b, &profile)
    }

    /// Puts such a link before each unit.
    pub(crate) fn of(a: &Node, b: &Node, profile: &Profile) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let start = |node: &Node, seed| {
            let text = fs::read_to_string(node.config()).expect("a text");
            let (_, upstream) = text.split_once("[[upstream.link]]").expect("a link");
            let (_, address) = upstream.split_once("address = \"").expect("an address");
            let (address, _) = address.split_once('"').expect("an address");
            let hub = address.parse().expect("an address");
            let link = runtime.block_on(Emulator::start(profile.clone(), seed, hub));
            let link = link.expect("a link");
            node.configure(address, &link.address().to_string());
            link
        };
        let (a, b) = (start(a, 1), start(b, 2));
        Self { runtime, a, b }
    }

    /// What has come up from A, and down to B, bytes on the wire.
    pub(crate) fn carried(&self) -> (u64, u64) {
        let of = |stats: LinkStats| (stats.up.carried_bytes, stats.down.carried_bytes);
        (of(self.a.stats()).0, of(self.b.stats()).1)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // The links live in it.
        let _in_it = self.runtime.enter();
    }
}

/// A's application brings an attachment.
pub(crate) fn bring(a: &Node, body: &[u8]) -> String {
    let put = a.client().put("/v1/attachments", body, body.len() as u64);
    let (status, answer) = put.expect("an answer");
    assert_eq!(status, 201, "{answer}");
    answer["digest"].as_str().expect("a digest").to_owned()
}

/// A message of A that names it.
pub(crate) fn naming(digest: &str, id: &str, to: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/unit/hebi.a", "type": "notice", "to": to, "caseid": "C-1",
        "attachments": digest, "data": {"see": "the scan"},
    })
}

/// Pulls an inbox until so many messages have come, and acks them.
pub(crate) fn receive(node: &Node, count: usize) -> Vec<Value> {
    let client = node.client();
    let mut all: Vec<Value> = Vec::new();
    until(&format!("{count} messages came"), || {
        let Some((200, Value::Array(events))) = client.get("/v1/inbox?max=50&wait=1s") else {
            return false;
        };
        let names: Vec<&Value> = events.iter().map(|event| &event["messageid"]).collect();
        if !names.is_empty() {
            let acked = client.post(
                "/v1/inbox/ack",
                "application/json",
                &json!({ "messageids": names }),
            );
            assert_eq!(acked.map(|(status, _)| status), Some(200));
        }
        all.extend(events);
        all.len() >= count
    });
    all
}

/// The attachment as the node hands it out.
pub(crate) fn fetch(node: &Node, digest: &str) -> Vec<u8> {
    let answer = node
        .client()
        .bytes(&format!("/v1/attachments/{digest}"), None);
    assert_eq!(answer.status(), 200);
    let mut bytes = Vec::new();
    answer.into_body().read_to_end(&mut bytes).expect("reads");
    bytes
}

/// Waits until so much of the attachment has come over a link.
pub(crate) fn until_carried(what: &str, carried: impl Fn() -> u64, share: u64) {
    until(&format!("{share} % {what}"), || {
        carried() >= SIZE * share / 100
    });
}

pub(crate) fn assert_is(bytes: &[u8], body: &[u8]) {
    assert_eq!(bytes.len(), body.len());
    assert!(bytes == body, "other bytes");
}

#[test]
fn what_several_messages_and_units_need_goes_over_each_link_once() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    let links = Links::before(&a, &b, 80_000_000);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let body = body("once");
    let digest = bring(&a, &body);
    a.client().submit(&[
        naming(&digest, "1", "hebi.b"),
        naming(&digest, "2", "hebi.b"),
        naming(&digest, "3", "hebi.hub"),
    ]);
    let events = receive(&b, 2);
    assert_eq!(events[0]["id"], "1");
    assert_eq!(events[1]["attachments"], *digest);
    assert_is(&fetch(&b, &digest), &body);
    receive(&hub, 1);
    assert_is(&fetch(&hub, &digest), &body);
    let (up, down) = links.carried();
    for (what, bytes) in [("up from A", up), ("down to B", down)] {
        assert!(
            (SIZE..SIZE * 11 / 10).contains(&bytes),
            "{bytes} bytes {what}"
        );
    }
    // And not again for one that comes later.
    a.client().submit(&[naming(&digest, "4", "hebi.b")]);
    receive(&b, 1);
    let (up_after, down_after) = links.carried();
    let more = (up_after - up).max(down_after - down);
    assert!(more < 100_000, "{more} bytes more");
    // What is not here cannot be named.
    let unknown = naming(&digest.replace("blake3:", "blake3:0")[..71], "5", "hebi.b");
    let kind = "application/cloudevents+json";
    let (status, answer) = a
        .client()
        .post("/v1/messages", kind, &unknown)
        .expect("an answer");
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["type"], "urn:casegate:problem:unknown-attachment");
}

#[test]
fn whoever_is_killed_in_the_middle_goes_on_where_it_was() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    let links = Links::before(&a, &b, 8_000_000);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let body = body("killed");
    let digest = bring(&a, &body);
    a.client().submit(&[naming(&digest, "1", "hebi.b")]);
    until_carried("have left A", || links.carried().0, 20);
    a.kill();
    a.start();
    until_carried("have left A", || links.carried().0, 50);
    hub.kill();
    hub.start();
    until_carried("have come to B", || links.carried().1, 60);
    b.kill();
    b.start();
    receive(&b, 1);
    assert_is(&fetch(&b, &digest), &body);
    let (up, down) = links.carried();
    eprintln!("{up} bytes up, {down} down, for {SIZE}");
    // Packets have heads, and each of two kills concerns each link.
    let most = SIZE * 108 / 100 + 2 * AGAIN_BYTES_MAX;
    assert!(up < most && down < most, "{up} bytes up, {down} down");
}

#[test]
fn a_hub_that_loses_its_disk_in_the_middle_fetches_it_again_and_nobody_else_does() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    let links = Links::before(&a, &b, 8_000_000);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let body = body("lost");
    let digest = bring(&a, &body);
    a.client().submit(&[naming(&digest, "1", "hebi.b")]);
    until_carried("have come to B", || links.carried().1, 50);
    hub.kill();
    fs::remove_dir_all(hub.data()).expect("the disk is gone");
    hub.start();
    receive(&b, 1);
    assert_is(&fetch(&b, &digest), &body);
    let (up, down) = links.carried();
    eprintln!("{up} bytes up, {down} down, for {SIZE}");
    let most = SIZE * 108 / 100 + AGAIN_BYTES_MAX;
    assert!(down < most, "{down} bytes down");
    assert!(up < most + SIZE, "{up} bytes up");
}

#[test]
fn one_that_is_larger_than_the_receiver_takes_ends_and_its_sender_is_told() -> io::Result<()> {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    b.configure("[upstream]", "[limits]\nattachment-mib = 1\n[upstream]");
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let digest = bring(&a, &body("large"));
    let messages = a.client().submit(&[
        naming(&digest, "1", "hebi.b"),
        json!({
            "specversion": "1.0", "id": "2", "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b", "caseid": "C-1",
            "data": {"see": "nothing"},
        }),
    ]);
    // The next one of its case goes on.
    assert_eq!(receive(&b, 1)[0]["id"], "2");
    let path = format!("/v1/messages/{}", messages[0]);
    let client = a.client();
    until("the sender is told", || {
        let view = client.get(&path);
        view.is_some_and(|(_, view)| {
            let receiver = &view["receivers"][0];
            receiver["state"] == "refused" && receiver["reason"] == "attachment-too-large"
        })
    });
    Ok(())
}
