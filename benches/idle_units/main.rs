//! What an idle unit costs a hub: the resident memory of a real hub's process, before and after so many units have connected and said
//! hello, over real QUIC and mutual TLS, each with its own certificate.
//!
//! `cargo bench --bench idle_units [-- UNITS]`, 1,000 when nothing is said. To be read against: 60 KB for each. The units are sessions
//! in a process of their own, with nothing behind them.

#[path = "../rig/process.rs"]
mod process;
mod units;

use std::{
    net::{SocketAddr, UdpSocket},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const HUB: &str = "hebi.hub";
/// Units, unless another number is given.
const UNITS: u64 = 1000;
/// Units that are there before the memory is looked at for the first time.
const WARM: u64 = 50;
/// How long the units may take to connect.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long they are then left alone, so that what is only kept for a while is gone.
const REST: Duration = Duration::from_secs(20);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [argument, folder, address, from, to] = &arguments[..]
        && argument == units::ARGUMENT
    {
        let address = address.parse().expect("an address");
        let number = |text: &String| text.parse().expect("a number");
        return units::connect(PathBuf::from(folder), address, number(from)..number(to));
    }
    let count = arguments.iter().find_map(|n| n.parse().ok());
    measure(count.unwrap_or(UNITS));
}

fn measure(count: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    process::authority(folder.path());
    let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let listen = format!("[listen]\naddress = \"{address}\"\n");
    let hub = process::Process::start(folder.path(), HUB, &listen);
    units::issue(folder.path(), 0..WARM + count);
    // What the first few cost is the program's own code and what all share.
    let first = Units::connect(folder.path(), address, 0..WARM, &hub);
    sleep(REST);
    let before = hub.memory().now_kib;
    let began = Instant::now();
    let rest = Units::connect(folder.path(), address, WARM..WARM + count, &hub);
    let took = began.elapsed();
    sleep(REST);
    let after = hub.memory();
    let cpu = hub.cpu_seconds();
    sleep(REST);
    assert_eq!(sessions(&hub), WARM + count);
    println!(
        "{count} units connected in {:.1} s; with {WARM} before them the hub took {before} KiB and takes {} KiB now ({} KiB at most)",
        took.as_secs_f64(),
        after.now_kib,
        after.most_kib
    );
    println!(
        "an idle unit: {:.1} KiB, and {:.1} us of the hub's processor time a second",
        (after.now_kib - before) as f64 / count as f64,
        (hub.cpu_seconds() - cpu) * 1e6 / REST.as_secs_f64() / (WARM + count) as f64
    );
    drop((first, rest));
}

/// Units in a process of their own.
struct Units(Child);

impl Units {
    /// Starts them and waits until the hub has a session of each.
    fn connect(folder: &Path, hub: SocketAddr, numbers: Range<u64>, at: &process::Process) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.arg(units::ARGUMENT).arg(folder);
        command.args([
            hub.to_string(),
            numbers.start.to_string(),
            numbers.end.to_string(),
        ]);
        let units = Self(command.stdin(Stdio::piped()).spawn().expect("it runs"));
        let began = Instant::now();
        while sessions(at) < numbers.end {
            assert!(began.elapsed() < PATIENCE, "{} connected", sessions(at));
            sleep(Duration::from_millis(200));
        }
        units
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // They end with their standard input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn sessions(hub: &process::Process) -> u64 {
    let status = ureq::get(format!("http://{}/v1/status", hub.address)).call();
    let mut status = status.expect("an answer");
    let status: serde_json::Value = status.body_mut().read_json().expect("a status");
    status["sessions"].as_u64().expect("a number")
}
