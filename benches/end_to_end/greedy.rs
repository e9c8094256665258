//! What a unit that sends as fast as it can takes from the others.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Cost, PATIENCE, RECEIVER, SENDER, Town, client, inbox, samples, samples_of};

pub(super) const UNIT: &str = "hebi.greedy";
pub(super) const SINK: &str = "hebi.sink";

/// Messages of the greedy unit's backlog: more than pass while the others are measured.
const BACKLOG: u64 = 300_000;
/// Messages of the others that are measured each time.
const MEASURED: usize = 300;
const TURNS: u64 = 3;

pub(super) async fn turns() {
    for turn in 0..TURNS {
        let town = Town::new();
        let (unit, sink) = (town.edge(UNIT), town.edge(SINK));
        client::fill(unit.address, samples_of(turn + 1, UNIT, SINK), BACKLOG).await;
        let (hub, sender, receiver) = (town.hub(), town.edge(SENDER), town.edge(RECEIVER));
        for node in [&unit, &sink] {
            pin(node.id(), "1");
        }
        for id in [hub.id(), sender.id(), receiver.id(), std::process::id()] {
            pin(id, "0");
        }
        let mut events = samples(turn + 1).map(|sample| sample.event);
        let (from, to) = (sender.address, receiver.address);
        // The first one waits until both have dialled.
        one(from, to, &events.next().expect("an event"));
        inbox::wait_for(sink.address, 1, PATIENCE).await;
        let before = inbox::wait_for(sink.address, 1, PATIENCE).await;
        let (cost, began) = (Cost::begin(&[("hub", &hub)]), Instant::now());
        let beside = measured(from, to, &mut events);
        let took = began.elapsed().as_secs_f64();
        let passed = inbox::wait_for(sink.address, 1, PATIENCE).await - before;
        let busy = cost.tell(&[("hub", &hub)], passed.max(1));
        assert!(before + passed < BACKLOG, "the greedy unit had no more");
        inbox::wait_for(sink.address, BACKLOG, PATIENCE).await;
        let alone = measured(from, to, &mut events);
        let ratio = |at: fn(&Figures) -> f64| at(&beside) / at(&alone);
        println!(
            "a greedy unit: {:>6.0} messages/s of it ({busy}); others beside it {beside}, alone {alone}: times {:.1} and {:.1}",
            passed as f64 / took,
            ratio(|figures| figures.median),
            ratio(|figures| figures.most),
        );
    }
}

/// Lets a process run on one processor only.
fn pin(id: u32, processor: &str) {
    let done = Command::new("taskset")
        .args(["-a", "-c", "-p", processor, &id.to_string()])
        .stdout(Stdio::null())
        .status()
        .expect("taskset of util-linux is there");
    assert!(done.success());
}

/// Milliseconds.
struct Figures {
    median: f64,
    /// Nine of ten take no longer.
    most: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms (90 %: {:.1})", self.median, self.most)
    }
}

fn measured(
    from: SocketAddr,
    to: SocketAddr,
    events: &mut impl Iterator<Item = String>,
) -> Figures {
    let took = events.take(MEASURED).map(|event| one(from, to, &event));
    let mut took: Vec<f64> = took.map(|took| took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    Figures {
        median: took[took.len() / 2],
        most: took[took.len() * 9 / 10],
    }
}

/// Submits one message and fetches it.
fn one(from: SocketAddr, to: SocketAddr, event: &str) -> Duration {
    let began = Instant::now();
    let post = ureq::post(format!("http://{from}/v1/messages"))
        .content_type("application/cloudevents+json");
    post.send(event).expect("accepted");
    loop {
        let inbox = format!("http://{to}/v1/inbox?max=10&wait=20s");
        let mut answer = ureq::get(inbox).call().expect("an answer");
        let messages: Vec<Value> = answer.body_mut().read_json().expect("a batch");
        if messages.is_empty() {
            assert!(began.elapsed() < PATIENCE, "it does not come");
            continue;
        }
        let took = began.elapsed();
        let names: Vec<_> = messages.iter().map(|m| &m["messageid"]).collect();
        ureq::post(format!("http://{to}/v1/inbox/ack"))
            .send_json(json!({ "messageids": names }))
            .expect("acked");
        return took;
    }
}
