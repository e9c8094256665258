//! Durable submission over HTTP, with the real binary, its link down.
//!
//! - `cargo bench --bench submit`: messages a second of 64 clients that each wait for their 202, beside the same route answering
//!   without storing (what comes is read, judged and signed, and goes nowhere), and beside the same without a signature as well, turn
//!   about. In brackets the processor time of a message, of the server and of all clients: on a machine that others use as well it says
//!   more than the rate. To be read against: half of the rate without storing, and 10,000 a second.
//! - `cargo bench --bench submit -- --queue 1000000`: so many messages are queued at an edge; then its memory, its disk and how long a
//!   restart takes.
//! - `cargo bench --bench submit -- --machine 1000000`: as many in the state machine alone; what each takes of its memory.
//!
//! Bodies are the project's own samples, about 1 KB each.

#[path = "../rig/client.rs"]
mod client;
mod machine;
#[path = "../rig/process.rs"]
mod process;
mod unstored;

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use casegate::sample::{Generator, Options};

/// The one that submits.
const UNIT: &str = "hebi.xunxian.tobacco";
/// Where its messages go.
const RECEIVER: &str = "hebi.procuratorate";
/// Clients at once, each with a connection of its own that it keeps.
const CLIENTS: usize = 64;
/// How long one side is measured at a time, and how often each.
const TURN: Duration = Duration::from_secs(4);
const TURNS: usize = 3;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    loop {
        match arguments.next().as_deref() {
            Some(unstored::ARGUMENT) => {
                let is_signed = arguments.next().as_deref() == Some(unstored::SIGNED);
                return runtime.block_on(unstored::serve(is_signed));
            }
            Some("--queue") => {
                let count = arguments.next().and_then(|n| n.parse().ok());
                return runtime.block_on(queue(count.expect("--queue takes a number")));
            }
            Some("--machine") => {
                let count = arguments.next().and_then(|n| n.parse().ok());
                return machine::queue(count.expect("--machine takes a number"));
            }
            Some(_) => {}
            None => return runtime.block_on(compare()),
        }
    }
}

fn samples(seed: u64) -> Generator {
    let options = Options {
        // Nothing expires while it is measured, and nothing is too far ahead.
        start: now(),
        from: Some(UNIT.parse().expect("a unit")),
        to: Some(RECEIVER.parse().expect("a unit")),
    };
    Generator::with(seed, options)
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_millis() as u64
}

/// An edge whose hub is not there.
fn edge(folder: &Path) -> process::Process {
    process::authority(folder);
    let nobody = "127.0.0.1:1".parse().expect("an address");
    process::Process::start(folder, UNIT, &process::dials("hebi.hub", nobody))
}

async fn compare() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = edge(folder.path());
    let unstored = [true, false].map(unstored::Process::start);
    let mut ratios = [const { Vec::new() }; 2];
    for turn in 0..TURNS as u64 {
        let stored = Turn::take(node.id(), node.address, 3 * turn).await;
        print!("stored {stored}");
        for (n, how) in ["signed", "not signed"].into_iter().enumerate() {
            let other = &unstored[n];
            let plain = Turn::take(other.child.id(), other.address, 3 * turn + 1 + n as u64).await;
            let ratio = stored.rate / plain.rate;
            print!("   not stored, {how} {plain} ratio {ratio:.2}");
            ratios[n].push(ratio);
        }
        println!();
    }
    let median = ratios.map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[TURNS / 2]
    });
    println!(
        "ratios, median of {TURNS}: {:.2}, {:.2}",
        median[0], median[1]
    );
}

/// What came of one turn.
struct Turn {
    /// Messages a second.
    rate: f64,
    /// Processor time a message, microseconds: the server's, and the clients'.
    server: f64,
    clients: f64,
}

impl Turn {
    async fn take(server: u32, address: SocketAddr, seed: u64) -> Self {
        let requests = client::requests(TURN, samples(seed));
        let used = || [server, std::process::id()].map(process::cpu_seconds_of);
        let before = used();
        let (answered, took) = client::submit(address, TURN, requests).await;
        let after = used();
        let micros = |n: usize| (after[n] - before[n]) * 1e6 / answered as f64;
        Self {
            rate: answered as f64 / took.as_secs_f64(),
            server: micros(0),
            clients: micros(1),
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate,
            server,
            clients,
        } = self;
        write!(f, "{rate:>6.0}/s ({server:.0} + {clients:.0} us)")
    }
}

async fn queue(count: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = edge(folder.path());
    println!("empty: {}", node.memory());
    let began = std::time::Instant::now();
    let sent = client::fill(node.address, samples(7), count).await;
    println!(
        "{} messages of {} bytes on average in {:.1} s, {:.1} s of the node's processor time",
        sent.messages,
        sent.bytes / sent.messages,
        began.elapsed().as_secs_f64(),
        node.cpu_seconds()
    );
    println!("queued: {}", node.memory());
    let (ready, node) = node.restart();
    println!("restart: ready in {:.2} s", ready.as_secs_f64());
    println!("after it: {}", node.memory());
    let (ready, node) = node.kill_and_start();
    println!("after a kill: ready in {:.2} s", ready.as_secs_f64());
    println!("after it: {}", node.memory());
    let (segments, checkpoint) = node.disk_bytes();
    println!(
        "disk: segments {} MiB, checkpoint {} MiB, {:.2} of what was submitted",
        segments >> 20,
        checkpoint >> 20,
        (segments + checkpoint) as f64 / sent.bytes as f64
    );
}
