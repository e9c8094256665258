//! From edge to hub to edge: three real nodes in processes of their own, real certificates, sockets and disk, over loopback.
//!
//! `cargo bench --bench end_to_end`, in turns of three kinds; `together`, `backlog` or `greedy` runs one of them:
//!
//! - *all at once*: applications submit over HTTP, the nodes carry, and the receiver's application fetches and acks, all together. The
//!   rate is of messages from the first submission to the last ack.
//! - *a backlog*: the hub was not there while messages were submitted. The rate is of messages from when it is ready until the last
//!   one is in the receiver's inbox. It is what the nodes do without applications.
//! - *a greedy unit*: another unit has a backlog, and the hub carries it as fast as it can while the sender submits one message after another. How
//!   long one takes, from its submission until the receiver's application has it, then and when the hub has nothing else to do: to be read against
//!   twice as long. The hub has one processor to itself and is as busy as it can be. The other nodes share the other one as if they had
//!   machines of their own: the greedy unit and whoever it sends to have what the others leave, and their folders in memory.
//!
//! Each message is durable at all three nodes before the one before it may forget it. Messages are the project's own samples, about 1 KB
//! each. To be read against: 8,000 messages a second with two cores.

#[path = "../rig/client.rs"]
mod client;
mod greedy;
mod inbox;
#[path = "../rig/process.rs"]
mod process;

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant, UNIX_EPOCH},
};

use casegate::sample::{Generator, Options, Sample};
use process::Process;

const HUB: &str = "hebi.hub";
const SENDER: &str = "hebi.xunxian.tobacco";
const RECEIVER: &str = "hebi.procuratorate";
/// Clients that submit at once; each sends batches.
const CLIENTS: usize = 4;
/// Messages of one turn.
const MESSAGES: u64 = 60_000;
const TURNS: u64 = 3;
/// Larger samples are passed over: what is left is 0.85 KB on average.
const EVENT_BYTES_MAX: usize = 1_700;
/// How long a turn may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let kinds = ["together", "backlog", "greedy"];
    let wanted = std::env::args().find(|argument| kinds.contains(&&**argument));
    let is_wanted = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    runtime.block_on(async {
        if is_wanted("together") {
            together().await;
        }
        if is_wanted("backlog") {
            backlog().await;
        }
        if is_wanted("greedy") {
            greedy::turns().await;
        }
    });
}

/// Of somewhat under 1 KB as CloudEvents, the size of the figure that they are read against.
fn samples(seed: u64) -> impl Iterator<Item = Sample> {
    samples_of(seed, SENDER, RECEIVER)
}

fn samples_of(seed: u64, from: &str, to: &str) -> impl Iterator<Item = Sample> + use<> {
    let since = UNIX_EPOCH.elapsed().expect("after 1970");
    let options = Options {
        start: since.as_millis() as u64,
        from: Some(from.parse().expect("a unit")),
        to: Some(to.parse().expect("a unit")),
    };
    Generator::with(seed, options).filter(|sample| sample.event.len() <= EVENT_BYTES_MAX)
}

/// The three, the sender first.
struct Town {
    folder: tempfile::TempDir,
    hub_at: SocketAddr,
}

impl Town {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        process::authority(folder.path());
        let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let hub_at = free.local_addr().expect("an address");
        Self { folder, hub_at }
    }

    fn hub(&self) -> Process {
        let units = [SENDER, RECEIVER, greedy::UNIT, greedy::SINK];
        let units = units.map(|unit| format!("[[listen.unit]]\nname = \"{unit}\"\n"));
        let listen = format!(
            "[listen]\naddress = \"{}\"\n{}",
            self.hub_at,
            units.concat()
        );
        Process::start(self.folder.path(), HUB, &listen)
    }

    fn edge(&self, unit: &str) -> Process {
        Process::start(self.folder.path(), unit, &process::dials(HUB, self.hub_at))
    }
}

/// What the nodes' processors did meanwhile.
struct Cost(Vec<(&'static str, f64)>);

impl Cost {
    fn begin(nodes: &[(&'static str, &Process)]) -> Self {
        Self(nodes.iter().map(|(n, p)| (*n, p.cpu_seconds())).collect())
    }

    fn tell(self, nodes: &[(&'static str, &Process)], messages: u64) -> String {
        let each = self.0.iter().zip(nodes).map(|((name, before), (_, node))| {
            let micros = (node.cpu_seconds() - before) * 1e6 / messages as f64;
            format!("{name} {micros:.0} us")
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

async fn together() {
    let town = Town::new();
    let (hub, sender, receiver) = (town.hub(), town.edge(SENDER), town.edge(RECEIVER));
    let nodes = [("sender", &sender), ("hub", &hub), ("receiver", &receiver)];
    for turn in 0..TURNS {
        let cost = Cost::begin(&nodes);
        let began = Instant::now();
        let fetched = tokio::spawn(inbox::fetch(receiver.address, MESSAGES, PATIENCE));
        let sent = client::fill(sender.address, samples(turn + 1), MESSAGES).await;
        let submitted = began.elapsed();
        fetched.await.expect("no panic");
        let rate = MESSAGES as f64 / began.elapsed().as_secs_f64();
        println!(
            "all at once: {rate:>7.0} messages/s of {} bytes; submitted in {:.1} s; processor time a message: {}",
            sent.bytes / sent.messages,
            submitted.as_secs_f64(),
            cost.tell(&nodes, MESSAGES)
        );
    }
}

async fn backlog() {
    for turn in 0..TURNS {
        let town = Town::new();
        let (sender, receiver) = (town.edge(SENDER), town.edge(RECEIVER));
        let sent = client::fill(sender.address, samples(turn + 1), MESSAGES).await;
        let hub = town.hub();
        let nodes = [("sender", &sender), ("hub", &hub), ("receiver", &receiver)];
        let cost = Cost::begin(&nodes);
        // The nodes dial every few seconds: what counts begins with the first message.
        inbox::wait_for(receiver.address, 1, PATIENCE).await;
        let began = Instant::now();
        let there = inbox::wait_for(receiver.address, MESSAGES, PATIENCE).await;
        println!(
            "a backlog:   {:>7.0} messages/s of {} bytes; processor time a message: {}",
            there as f64 / began.elapsed().as_secs_f64(),
            sent.bytes / sent.messages,
            cost.tell(&nodes, MESSAGES)
        );
    }
}
