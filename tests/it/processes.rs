//! Nodes as processes of their own, as an agency runs them: the release program, its configuration file, its signals.

use std::{
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const CASEGATE: &str = env!("CARGO_BIN_EXE_casegate");

/// A hub and the units `hebi.a` and `hebi.b`, with real certificates and a configuration file each, made by the program itself.
pub(crate) struct Town {
    folder: tempfile::TempDir,
    hub: u16,
}

impl Town {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP port");
        let town = Self {
            hub: socket.local_addr().expect("an address").port(),
            folder,
        };
        town.pki(&["init", "--dir", "ca", "--name", "test"]);
        for unit in ["hebi.hub", "hebi.a", "hebi.b"] {
            let identity = format!("{unit}/identity");
            town.pki(&["issue", "--dir", "ca", "--unit", unit, "--out", &identity]);
        }
        town
    }

    fn pki(&self, arguments: &[&str]) {
        let mut command = Command::new(CASEGATE);
        command.arg("pki").args(arguments);
        let done = command.current_dir(self.path()).output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The hub, and the units that it is told of.
    pub(crate) fn hub(&self) -> Node {
        let port = self.hub;
        let listen = format!(
            "[listen]\naddress = \"127.0.0.1:{port}\"\n\
             [[listen.unit]]\nname = \"hebi.a\"\n[[listen.unit]]\nname = \"hebi.b\"\n"
        );
        self.node("hebi.hub", &listen)
    }

    /// A unit that dials the hub over a local network.
    pub(crate) fn unit(&self, name: &str) -> Node {
        let port = self.hub;
        let upstream = format!(
            "[upstream]\nhub = \"hebi.hub\"\n[[upstream.link]]\nname = \"lan\"\nkind = \"lan\"\n\
             address = \"127.0.0.1:{port}\"\n"
        );
        self.node(name, &upstream)
    }

    fn node(&self, name: &str, more: &str) -> Node {
        let folder = self.path().join(name);
        let free = TcpListener::bind("127.0.0.1:0").expect("a TCP port");
        let api = free.local_addr().expect("an address").to_string();
        let text = format!(
            "unit = \"{name}\"\ndata-dir = \"data\"\n[identity]\ndir = \"identity\"\n\
             [api]\nlisten = \"{api}\"\n{more}\
             [[policy.allow]]\nfrom = \"hebi.**\"\nto = \"hebi.**\"\nkinds = [\"**\"]\n"
        );
        std::fs::write(folder.join("node.toml"), text).expect("writes");
        Node {
            folder,
            api,
            before: Vec::new(),
            process: None,
        }
    }
}

/// A node's process, and its configuration while there is none.
pub(crate) struct Node {
    folder: PathBuf,
    api: String,
    /// What runs the program, instead of running it directly.
    before: Vec<String>,
    process: Option<Child>,
}

impl Node {
    /// The program will be run by this command, which must put itself out of the way (`strace -D`).
    pub(crate) fn run_by(&mut self, command: &[&str]) {
        self.before = command.iter().map(|word| (*word).to_owned()).collect();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where its applications call it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.api)
    }

    /// Starts the process and waits until it takes submissions.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log");
        let mut words = self.before.iter().map(String::as_str).chain([CASEGATE]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args(["run", "--config"]);
        command.arg(self.folder.join("node.toml"));
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().expect("it starts"));
        let client = self.client();
        until(&format!("{} is ready", self.folder.display()), || {
            let process = self.process.as_mut().expect("it was started");
            let ended = process.try_wait().expect("a status");
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            matches!(client.get("/readyz"), Some((200, _)))
        });
    }

    /// kill -9, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// SIGTERM, and waits until it has stopped.
    pub(crate) fn stop(&mut self) {
        let status = self.end(Signal::TERM);
        assert!(status.success(), "{status}: {}", self.log());
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        kill_process(Pid::from_child(&process), signal).expect("a signal");
        process.wait().expect("a status")
    }

    /// What the process wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A test that has failed leaves no process behind.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- log of {}:\n{}", self.folder.display(), &log[tail..]);
        }
    }
}

/// An application that calls a node over HTTP.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn new(api: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Self {
            agent: config.build().into(),
            url: format!("http://{api}"),
        }
    }

    /// Nothing when there was no answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        answer(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// Nothing when there was no answer.
    pub(crate) fn post(&self, path: &str, kind: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.url));
        answer(request.content_type(kind).send(body.to_string()))
    }

    /// Submits a batch, again and again until the node has accepted it. Gives the messageids.
    pub(crate) fn submit(&self, events: &[Value]) -> Vec<String> {
        let batch = Value::Array(events.to_vec());
        let kind = "application/cloudevents-batch+json";
        let mut accepted = Vec::new();
        until("a batch is accepted", || {
            let Some((status, answer)) = self.post("/v1/messages", kind, &batch) else {
                return false;
            };
            assert!(matches!(status, 202 | 503), "{status} {answer}");
            let taken = answer["accepted"].as_array();
            let names = taken.into_iter().flatten();
            accepted = names.map(|taken| text(&taken["messageid"])).collect();
            status == 202
        });
        assert_eq!(accepted.len(), events.len());
        accepted
    }
}

fn answer(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<(u16, Value)> {
    let mut answer = answer.ok()?;
    let body = answer.body_mut().with_config().limit(64 << 20);
    let body = body.read_to_string().ok()?;
    let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    Some((answer.status().as_u16(), value))
}

/// A JSON string's text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Waits for a condition; fails the test when it does not come.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
