//! The real binary as an edge whose hub is not there.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::UNIT;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs.
pub(super) struct Process {
    child: Child,
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

impl Process {
    /// Makes an identity and starts an edge that takes everything.
    pub(super) fn edge(folder: &Path) -> Self {
        casegate(folder, &["pki", "init", "--dir", "ca"]);
        let issue = ["pki", "issue", "--dir", "ca", "--unit", UNIT, "--out", "id"];
        casegate(folder, &issue);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let config = format!(
            "unit = \"{UNIT}\"\ndata-dir = \"data\"\n[identity]\ndir = \"id\"\n[api]\nlisten = \"{address}\"\n\
             [upstream]\nhub = \"hebi.hub\"\n[[upstream.link]]\nname = \"lan\"\nkind = \"lan\"\naddress = \"127.0.0.1:1\"\n\
             [[policy.allow]]\nfrom = \"**\"\nto = \"**\"\nkinds = [\"**\"]\n"
        );
        fs::write(folder.join("edge.toml"), config).expect("written");
        Self::start(folder.to_owned(), address).1
    }

    fn start(folder: PathBuf, address: SocketAddr) -> (Duration, Self) {
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_casegate"))
            .args(["run", "--config", "edge.toml"])
            .current_dir(&folder)
            .stderr(Stdio::null())
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
    pub(super) fn restart(mut self) -> (Duration, Self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("it ends");
        Self::start(self.folder.clone(), self.address)
    }

    /// As [`Process::restart`], after SIGKILL.
    pub(super) fn kill_and_start(mut self) -> (Duration, Self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
        Self::start(self.folder.clone(), self.address)
    }

    /// What it takes now and took at most.
    pub(super) fn memory(&self) -> String {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs");
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kib.and_then(|kib| kib.parse::<u64>().ok())
                .expect("a number")
                >> 10
        };
        let (now, most) = (mib("VmRSS:"), mib("VmHWM:"));
        format!("{now} MiB resident, {most} MiB at most")
    }

    /// What its journal takes: the segments, and the checkpoint.
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

fn casegate(folder: &Path, arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{done:?}");
}
