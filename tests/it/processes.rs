//! The vocabulary of tests with real processes: the program itself as agencies run it, with its configuration files, its signals, its
//! commands, and applications that call it over HTTP.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use casegate::{
    model::UnitId,
    pki::{self, Identity, Issue},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const CASEGATE: &str = env!("CARGO_BIN_EXE_casegate");

/// The hub `hebi.hub` and the units `hebi.a` and `hebi.b`, with real certificates and a configuration file each, made by the program
/// itself.
pub(crate) struct Town {
    folder: tempfile::TempDir,
    hub: u16,
}

impl Town {
    pub(crate) fn new() -> Self {
        let mut folder = tempfile::tempdir().expect("a folder");
        folder.disable_cleanup(std::env::var_os("CASEGATE_TEST_KEEP").is_some());
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP port");
        let town = Self {
            hub: socket.local_addr().expect("an address").port(),
            folder,
        };
        town.pki("init --dir ca --name test");
        for unit in ["hebi.hub", "hebi.a", "hebi.b"] {
            town.pki(&format!(
                "issue --dir ca --unit {unit} --out {unit}/identity"
            ));
        }
        town
    }

    fn pki(&self, line: &str) {
        let mut command = casegate(&format!("pki {line}"));
        run(command.current_dir(self.path())).good();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the hub listens.
    pub(crate) fn hub_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.hub).into()
    }

    /// The identity of one more unit.
    pub(crate) fn issue(&self, unit: &str) -> Identity {
        let name: UnitId = unit.parse().expect("a unit");
        let (ca, out) = (
            self.path().join("ca"),
            self.path().join(unit).join("identity"),
        );
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_millis() as u64;
        let asked = Issue {
            dir: &ca,
            unit: &name,
            out: &out,
            hosts: &[],
            csr: None,
            days: 30,
        };
        pki::issue(&asked, now).expect("an identity");
        Identity::load(&out, &name, now).expect("an identity")
    }

    /// The hub, which is told of both units.
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
        let api = format!("127.0.0.1:{}", free_port());
        let text = format!(
            "unit = \"{name}\"\ndata-dir = \"data\"\n[identity]\ndir = \"identity\"\n\
             [api]\nlisten = \"{api}\"\n{more}\
             [[policy.allow]]\nfrom = \"hebi.**\"\nto = \"hebi.**\"\nkinds = [\"**\"]\n"
        );
        fs::write(folder.join("node.toml"), text).expect("writes");
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

    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// Changes its configuration file: what `old` says there, which must be there, becomes `new`. Says nothing to the process.
    pub(crate) fn configure(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.config()).expect("a text");
        assert!(text.contains(old), "no {old:?} in {text}");
        fs::write(self.config(), text.replacen(old, new, 1)).expect("writes");
    }

    /// A command of the program that asks this node; the words are those of `line`.
    pub(crate) fn ask(&self, line: &str) -> Command {
        let mut command = casegate(line);
        command.env("CASEGATE_API", format!("http://{}", self.api));
        command
    }

    /// Runs such a command.
    pub(crate) fn run(&self, line: &str) -> Done {
        run(&mut self.ask(line))
    }

    /// Waits until it has so many sessions.
    pub(crate) fn until_sessions(&self, count: u64) {
        let client = self.client();
        until(&format!("{count} sessions"), || {
            let status = client.get("/v1/status");
            status.is_some_and(|(_, status)| status["sessions"] == count)
        });
    }

    /// Where its applications call it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.api)
    }

    /// Starts the process and waits until it takes submissions.
    pub(crate) fn start(&mut self) {
        assert!(self.try_start(), "it ended: {}", self.log());
    }

    /// Starts the process and waits until it takes submissions; false when it ends before.
    pub(crate) fn try_start(&mut self) -> bool {
        assert!(self.process.is_none(), "it runs");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log");
        let mut words = self.before.iter().map(String::as_str).chain([CASEGATE]);
        let mut command = bare(words.next().expect("a program"));
        command.args(words).args(["run", "--config"]);
        command.arg(self.config());
        command.stdout(Stdio::null()).stderr(log);
        let logged = self.log().len();
        self.process = Some(command.spawn().expect("it starts"));
        let client = self.client();
        let mut has_ended = false;
        until(&format!("{} is ready", self.folder.display()), || {
            let process = self.process.as_mut().expect("it was started");
            has_ended = process.try_wait().expect("a status").is_some();
            // A configuration that was damaged may name another port.
            has_ended
                || matches!(client.get("/readyz"), Some((200, _)))
                || self.log()[logged..].contains("the node is ready")
        });
        if has_ended {
            self.process = None;
        }
        !has_ended
    }

    /// Whether it was started and not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
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

    fn end(&mut self, with: Signal) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        signal(&process, with);
        process.wait().expect("a status")
    }

    /// The most memory that it has had resident, KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.told_kib("VmHWM:")
    }

    fn told_kib(&self, what: &str) -> u64 {
        let process = self.process.as_ref().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
        let status = status.expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// The memory that it has resident, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.told_kib("VmRSS:")
    }

    /// The file descriptors that it has open.
    pub(crate) fn descriptors(&self) -> u64 {
        let process = self.process.as_ref().expect("it runs");
        let open = fs::read_dir(format!("/proc/{}/fd", process.id()));
        open.expect("a folder").count() as u64
    }

    /// Where its API listens.
    pub(crate) fn address(&self) -> &str {
        &self.api
    }

    /// SIGHUP: it reads its configuration anew, some time.
    pub(crate) fn reload(&self) {
        signal(self.process.as_ref().expect("it runs"), Signal::HUP);
    }

    /// What the process wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() && self.process.is_some() {
            for path in ["/v1/status", "/v1/queue?max=5"] {
                eprintln!(
                    "--- {path} of {}: {:?}",
                    self.folder.display(),
                    self.client().get(path)
                );
            }
        }
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

/// The hub and both units, running and connected.
pub(crate) struct Connected {
    pub(crate) hub: Node,
    pub(crate) a: Node,
    pub(crate) b: Node,
    /// Last: the folder goes when the processes have.
    pub(crate) town: Town,
}

impl Connected {
    pub(crate) fn new() -> Self {
        let town = Town::new();
        let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
        for node in [&mut hub, &mut a, &mut b] {
            node.start();
        }
        hub.until_sessions(2);
        Self { hub, a, b, town }
    }
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("a text"),
            err: String::from_utf8(output.stderr).expect("a text"),
        }
    }

    /// What it printed, when it went well.
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Its lines of JSON, when it went well.
    pub(crate) fn json(self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        self.good().lines().map(parse).collect()
    }

    /// Fails unless it ended with this code and said why in one line.
    pub(crate) fn assert_refused(&self, code: i32) {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        assert!(self.err.len() > 20 && self.out.is_empty(), "{}", self.err);
    }
}

/// The program with these words, speaking English. Nothing of the test's own surroundings reaches it.
pub(crate) fn casegate(line: &str) -> Command {
    let mut command = bare(CASEGATE);
    command.args(line.split_whitespace());
    command
}

fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in [
        "CASEGATE_API",
        "CASEGATE_TOKEN_FILE",
        "CASEGATE_OPERATOR_TOKEN",
        "CASEGATE_LOG",
    ] {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// The same, speaking Chinese.
pub(crate) fn in_chinese(command: &mut Command) -> &mut Command {
    command.env("LC_ALL", "zh_CN.UTF-8")
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    Done::of(command.output().expect("it starts"))
}

/// A TCP port of this machine on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a TCP port");
    free.local_addr().expect("an address").port()
}

/// Sends a signal to a process that was not waited for.
pub(crate) fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("a signal");
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

    /// Brings an attachment of `size` bytes. Nothing when there was no answer.
    pub(crate) fn put(
        &self,
        path: &str,
        mut body: impl std::io::Read,
        size: u64,
    ) -> Option<(u16, Value)> {
        let request = self.agent.put(format!("{}{path}", self.url));
        let request = request.content_type("application/octet-stream");
        let body = ureq::SendBody::from_reader(&mut body);
        answer(request.header("content-length", size).send(body))
    }

    /// All the bytes of an answer; none when they did not come to their end.
    pub(crate) fn whole(&self, path: &str) -> Option<Vec<u8>> {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().ok()?;
        if answer.status() != 200 {
            return None;
        }
        let body = answer.body_mut().with_config().limit(64 << 20);
        body.read_to_vec().ok()
    }

    /// The bytes of an answer as they come.
    pub(crate) fn bytes(
        &self,
        path: &str,
        range: Option<&str>,
    ) -> ureq::http::Response<impl std::io::Read + use<>> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let answer = request.call().expect("an answer");
        answer.map(ureq::Body::into_reader)
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
