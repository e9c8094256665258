//! What a unit that sends as fast as it can takes from the others.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Cost, PATIENCE, Process, RECEIVER, SENDER, Town, client, inbox, samples, samples_of};

pub(super) const UNIT: &str = "hebi.greedy";
pub(super) const SINK: &str = "hebi.sink";

/// Messages of the greedy unit's backlog: more than pass while the others are measured.
const BACKLOG: u64 = 300_000;
/// How long the others are measured each time. A number of messages would not do: the hub would be measured mostly when it has time.
const MEASURED: Duration = Duration::from_secs(8);
const TURNS: u64 = 3;

pub(super) async fn turns() {
    for turn in 0..TURNS {
        let town = Town::new();
        // Theirs would be other disks, too.
        let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        for unit in [UNIT, SINK] {
            let folder = memory.path().join(unit);
            fs::create_dir(&folder).expect("a folder");
            symlink(folder, town.folder.path().join(unit)).expect("a link");
        }
        let (unit, sink) = (town.edge(UNIT), town.edge(SINK));
        client::fill(unit.address, samples_of(turn + 1, UNIT, SINK), BACKLOG).await;
        let (hub, sender, receiver) = (town.hub(), town.edge(SENDER), town.edge(RECEIVER));
        pin(hub.id(), "0");
        for id in [&unit, &sink, &sender, &receiver].map(Process::id) {
            pin(id, "1");
        }
        pin(std::process::id(), "1");
        for id in [unit.id(), sink.id()] {
            give_way(id);
        }
        let mut events = samples(turn + 1).map(|sample| sample.event);
        let (from, to) = (sender.address, receiver.address);
        // The first one waits until both have dialled.
        one(from, to, &events.next().expect("an event"));
        inbox::wait_for(sink.address, 1, PATIENCE).await;
        let before = inbox::wait_for(sink.address, 1, PATIENCE).await;
        let (cost, began) = (Cost::begin(&[("hub", &hub)]), Instant::now());
        let beside = measured(from, to, &mut events);
        let left = queued(&unit);
        let took = began.elapsed().as_secs_f64();
        let passed = inbox::wait_for(sink.address, 1, PATIENCE).await - before;
        let busy = cost.tell(&[("hub", &hub)], passed.max(1));
        assert!(left > 0, "the greedy unit had no more");
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

/// Lets a process have what others leave of its processor.
fn give_way(id: u32) {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("it runs");
    let tasks = tasks.map(|task| task.expect("it runs").file_name());
    let done = Command::new("renice")
        .args(["-n", "19", "-p"])
        .args(tasks)
        .stdout(Stdio::null())
        .status();
    assert!(done.expect("renice of util-linux is there").success());
}

/// Milliseconds.
struct Figures {
    median: f64,
    /// Nine of ten take no longer.
    most: f64,
    worst: f64,
    messages: usize,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            median,
            most,
            worst,
            messages,
        } = self;
        write!(
            f,
            "{median:.1} ms (90 %: {most:.1}, worst of {messages}: {worst:.0})"
        )
    }
}

fn measured(
    from: SocketAddr,
    to: SocketAddr,
    events: &mut impl Iterator<Item = String>,
) -> Figures {
    let until = Instant::now() + MEASURED;
    let took = events.take_while(|_| Instant::now() < until);
    let took = took.map(|event| one(from, to, &event));
    let mut took: Vec<f64> = took.map(|took| took.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    Figures {
        median: took[took.len() / 2],
        most: took[took.len() * 9 / 10],
        worst: took[took.len() - 1],
        messages: took.len(),
    }
}

/// Messages that wait at a node to be sent.
fn queued(node: &Process) -> u64 {
    let queue = format!("http://{}/v1/queue?max=1", node.address);
    let mut answer = ureq::get(queue).call().expect("an answer");
    let page: Value = answer.body_mut().read_json().expect("a page");
    page["total"].as_u64().expect("a number")
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
