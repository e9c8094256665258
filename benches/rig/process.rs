//! The real binary as a node in a process of its own, and what the system says of it.

use std::{
    ffi::OsString,
    fmt, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The system's clock ticks of a process's time, a second: a constant of Linux on every platform that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// A node that runs.
pub(super) struct Process {
    child: Child,
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

/// What a process takes of memory, KiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) now_kib: u64,
    pub(super) most_kib: u64,
}

impl Process {
    /// Starts `unit`, which takes everything. `more` is the rest of its configuration.
    pub(super) fn start(authority: &Path, unit: &str, more: &str) -> Self {
        let folder = authority.join(unit);
        let ca = authority.join("ca");
        fs::create_dir_all(&folder).expect("a folder");
        let ca = ca.to_str().expect("a path of text");
        let issue = ["pki", "issue", "--dir", ca, "--unit", unit, "--out", "id"];
        casegate(&folder, &issue);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let config = format!(
            "unit = \"{unit}\"\ndata-dir = \"data\"\n[identity]\ndir = \"id\"\n[api]\nlisten = \"{address}\"\n{more}\n\
             [[policy.allow]]\nfrom = \"**\"\nto = \"**\"\nkinds = [\"**\"]\n"
        );
        fs::write(folder.join("node.toml"), config).expect("written");
        Self::run(folder, address).1
    }

    fn run(folder: PathBuf, address: SocketAddr) -> (Duration, Self) {
        let began = Instant::now();
        let child = Command::new(program())
            .args(["run", "--config", "node.toml"])
            .current_dir(&folder)
            .stderr(fs::File::create(folder.join("log")).expect("a log"))
            .spawn()
            .expect("it runs");
        let ready = format!("http://{address}/readyz");
        while ureq::get(&ready).call().is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not get ready");
            sleep(Duration::from_millis(2));
        }
        let node = Self {
            child,
            folder,
            address,
        };
        (began.elapsed(), node)
    }

    /// Stops it and starts it again; tells how long it takes from the start until it is ready.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn restart(mut self) -> (Duration, Self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("it ends");
        Self::run(self.folder.clone(), self.address)
    }

    /// As [`Process::restart`], after SIGKILL.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn kill_and_start(mut self) -> (Duration, Self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
        Self::run(self.folder.clone(), self.address)
    }

    /// The process.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it takes now and took at most.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn memory(&self) -> Memory {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kib.and_then(|kib| kib.parse().ok()).expect("a number")
        };
        Memory {
            now_kib: kib("VmRSS:"),
            most_kib: kib("VmHWM:"),
        }
    }

    /// Seconds of processors that it has used.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(self.child.id())
    }

    /// What its journal takes: the segments, and the checkpoint.
    #[allow(dead_code, reason = "each bench uses what it needs")]
    pub(super) fn disk_bytes(&self) -> (u64, u64) {
        let journal = fs::read_dir(self.folder.join("data/journal")).expect("a folder");
        journal.fold((0, 0), |(segments, checkpoint), file| {
            let file = file.expect("a file");
            let len = file.metadata().expect("a file").len();
            match file.file_name().to_string_lossy().starts_with("seg-") {
                true => (segments + len, checkpoint),
                false => (segments, checkpoint + len),
            }
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, most) = (self.now_kib >> 10, self.most_kib >> 10);
        write!(f, "{now} MiB resident, {most} MiB at most")
    }
}

/// Makes the authority that all nodes of a bench share.
pub(super) fn authority(folder: &Path) {
    casegate(folder, &["pki", "init", "--dir", "ca"]);
}

/// The configuration of a node that dials the hub at `address` over a local network.
#[allow(dead_code, reason = "each bench uses what it needs")]
pub(super) fn dials(hub: &str, address: SocketAddr) -> String {
    format!(
        "[upstream]\nhub = \"{hub}\"\n[[upstream.link]]\nname = \"lan\"\nkind = \"lan\"\naddress = \"{address}\"\n"
    )
}

/// Seconds of processors that a process has used.
pub(super) fn cpu_seconds_of(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    let stat = stat.expect("it runs");
    // Behind the name, which may have blanks: state, ten numbers, user time, system time.
    let (_, numbers) = stat.rsplit_once(')').expect("a name");
    let ticks = numbers.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|n| n.parse::<u64>().expect("a number")).sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// The binary: this build's, or the one at `CASEGATE_BIN`, such as an earlier one to compare with, or a tool that runs it.
fn program() -> OsString {
    std::env::var_os("CASEGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_casegate").into())
}

fn casegate(folder: &Path, arguments: &[&str]) {
    let done = Command::new(program())
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{done:?}");
}
