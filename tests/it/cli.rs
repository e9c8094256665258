//! The command line, as its users meet it: the program itself, a hub and two edges in processes of their own, and their files.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a CA, and a hub and two edges that run, connected.
struct Net {
    folder: tempfile::TempDir,
    hub: Node,
    tobacco: Node,
    police: Node,
}

/// A node's process.
struct Node {
    process: Child,
    api: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a command did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Done {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("a text"),
            err: String::from_utf8(output.stderr).expect("a text"),
        }
    }

    /// What it printed, when it went well.
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Its lines of JSON, when it went well.
    fn json(self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        self.good().lines().map(parse).collect()
    }

    /// Fails unless it ended with this code and said why in one line.
    fn assert_refused(&self, code: i32) {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        assert!(self.err.len() > 20 && self.out.is_empty(), "{}", self.err);
    }
}

fn casegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casegate"));
    command
        .env_remove("CASEGATE_API")
        .env_remove("CASEGATE_TOKEN_FILE")
        .env_remove("CASEGATE_OPERATOR_TOKEN")
        .env_remove("CASEGATE_LOG")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Done {
    Done::of(command.output().expect("it starts"))
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("a signal");
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address").port()
}

impl Net {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        run(casegate()
            .args(["pki", "init", "--dir"])
            .arg(path.join("ca")))
        .good();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = socket.local_addr().expect("an address");
        drop(socket);
        let listen = format!("[listen]\naddress = \"{at}\"\n");
        let upstream = format!(
            "[upstream]\nhub = \"hebi.hub\"\n[[upstream.link]]\nname = \"lan\"\nkind = \"lan\"\naddress = \"{at}\"\n"
        );
        let start = |unit: &str, section: &str| {
            run(casegate()
                .args(["pki", "issue", "--unit", unit, "--dir"])
                .arg(path.join("ca"))
                .arg("--out")
                .arg(path.join(unit)))
            .good();
            let api = format!("127.0.0.1:{}", free_port());
            let text = format!(
                "unit = \"{unit}\"\ndata-dir = \"{unit}-data\"\n[identity]\ndir = \"{unit}\"\n[api]\nlisten = \"{api}\"\n\
                 {section}\n[[policy.allow]]\nfrom = \"hebi.**\"\nto = \"hebi.**\"\nkinds = [\"case.*\", \"notice\"]\n"
            );
            let file = path.join(format!("{unit}.toml"));
            fs::write(&file, text).expect("writes");
            let log = fs::File::create(path.join(format!("{unit}.log"))).expect("a file");
            let process = casegate()
                .args(["run", "--config"])
                .arg(file)
                .stderr(log)
                .spawn()
                .expect("it starts");
            Node {
                process,
                api: format!("http://{api}"),
            }
        };
        let net = Self {
            hub: start("hebi.hub", &listen),
            tobacco: start("hebi.tobacco", &upstream),
            police: start("hebi.police", &upstream),
            folder,
        };
        net.hub.until_sessions(2);
        net
    }

    /// A file in the net's folder.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("writes");
        path
    }
}

impl Node {
    /// A command that asks this node.
    fn ask(&self, line: &str) -> Command {
        let mut command = casegate();
        command
            .args(line.split_whitespace())
            .env("CASEGATE_API", &self.api);
        command
    }

    fn run(&self, line: &str) -> Done {
        run(&mut self.ask(line))
    }

    fn until_sessions(&self, count: u64) {
        eventually(&format!("{count} sessions"), || {
            let status = self.run("status --json");
            status.code == 0 && status.json()[0]["sessions"] == count
        });
    }

    /// Sends a notice to the police; gives its messageid.
    fn notice(&self, more: &str) -> String {
        let sent = self.run(&format!("send --to hebi.police --kind notice {more}"));
        sent.good().trim().to_owned()
    }

    fn stop(mut self) {
        signal(&self.process, Signal::TERM);
        let status = self.process.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
    }
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_sent_from_files_is_received_as_it_was() {
    let net = Net::start();
    let json = "{ \"title\": \"案件移送\",\n  \"n\": 1.50 }";
    let file = net.file("transfer.json", json);
    let line = "send --to hebi.police --kind case.transfer --case A/1 --attribute form=7 --wait delivered --json";
    let sent = run(net
        .tobacco
        .ask(line)
        .args(["--title", "移送 一"])
        .arg(&file))
    .json();
    assert_eq!(sent[0]["state"], "delivered");

    let received = net.police.run("receive --json --max 1").good();
    let event: Value = serde_json::from_str(&received).expect("JSON");
    assert_eq!(received.lines().count(), 1);
    assert!(
        received.contains("\"data\":{\"title\":\"案件移送\",\"n\":1.50}"),
        "{received}"
    );
    assert_eq!(event["messageid"], sent[0]["messageid"]);
    let told = ["subject", "caseid", "form", "datacontenttype"].map(|name| event[name].as_str());
    let expected = ["移送 一", "A/1", "7", "application/json"];
    assert_eq!(told, expected.map(Some));

    // Bytes of any sort come out of --save as they went in.
    let bytes = [0xff, 0, b'\n', 0x80];
    let file = net.folder.path().join("scan.pdf");
    fs::write(&file, bytes).expect("writes");
    let line = "send --to hebi.police --kind notice --wait delivered";
    let sent = run(net.tobacco.ask(line).arg(&file)).good();
    let inbox = net.folder.path().join("new/inbox");
    let saved = run(net.police.ask("receive --save").arg(&inbox)).good();
    assert_eq!(
        saved.trim(),
        format!("{}/{}.json", inbox.display(), sent.trim())
    );
    let data = inbox.join(format!("{}.pdf", sent.trim()));
    assert_eq!(fs::read(data).expect("a file"), bytes);
    let event = fs::read_to_string(saved.trim()).expect("a file");
    let event: Value = serde_json::from_str(&event).expect("JSON");
    assert_eq!(event["messageid"], sent.trim());
    let names = fs::read_dir(&inbox).expect("a folder");
    assert_eq!(names.count(), 2, "nothing unfinished is left");

    // All of it was acked.
    assert_eq!(net.police.run("receive --json").good(), "");
}

#[test]
fn a_file_of_events_goes_in_batches_and_never_twice() {
    let net = Net::start();
    let count = 1200;
    let event = |n: usize, source: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e{n}\",\"source\":\"/unit/{source}\",\"type\":\"case.step\",\
             \"to\":\"hebi.police\",\"caseid\":\"c{}\",\"data\":{n}}}\n",
            n % 7
        )
    };
    let good: String = (0..count).map(|n| event(n, "hebi.tobacco")).collect();
    let file = net.file("good.jsonl", &good);
    let sent = run(net
        .tobacco
        .ask("send --json --wait delivered --events")
        .arg(&file))
    .json();
    assert_eq!(sent.len(), count);
    assert!(sent.iter().all(|one| one["state"] == "delivered"));
    let again = run(net.tobacco.ask("send --events").arg(&file)).good();
    assert_eq!(again, "1200 messages accepted\n");

    let received = net.police.run("receive --json").json();
    let mut of_case = vec![Vec::new(); 7];
    for event in received {
        let n = event["data"].as_u64().expect("a number") as usize;
        of_case[n % 7].push(n);
    }
    let in_order = |case: usize| (case..count).step_by(7).collect::<Vec<_>>();
    assert_eq!(of_case, (0..7).map(in_order).collect::<Vec<_>>());

    let bad = event(5000, "hebi.tobacco") + &event(5001, "hebi.other");
    let file = net.file("bad.jsonl", &bad);
    let refused = run(net.tobacco.ask("send --events").arg(&file));
    refused.assert_refused(77);
    assert!(refused.err.contains("bad.jsonl:2: "), "{}", refused.err);
    let file = net.file("torn.jsonl", &(event(5002, "hebi.tobacco") + "{\"id\""));
    let refused = run(net.tobacco.ask("send --events").arg(&file));
    refused.assert_refused(65);
    assert!(refused.err.contains("torn.jsonl:2: "), "{}", refused.err);
    // A batch is all or nothing.
    assert_eq!(net.police.run("receive --json").good(), "");
}

#[test]
fn every_class_of_refusal_has_its_exit_code() {
    let net = Net::start();
    let tobacco = &net.tobacco;
    for usage in [
        "send --kind notice",
        "send --to Hebi --kind notice",
        "send --to hebi.police --kind notice --priority hot",
        "send --to hebi.police --kind notice --wait read",
        "send --to hebi.police --kind notice --events x",
        "receive --max 0",
        "receive --wait soon",
        "queue drop aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "queue show 1",
        "status --api https://127.0.0.1:1",
        "track",
    ] {
        let done = tobacco.run(usage);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{usage}");
    }
    tobacco.notice("--id once");
    tobacco.notice("--id once");
    for (line, code) in [
        ("send --to hebi.police --kind no.such.kind", 65),
        ("send --to hebi.police --kind notice no-such-file", 65),
        (
            "send --to hebi.police --kind notice --expires yesterday",
            65,
        ),
        (
            "send --to hebi.police --kind notice --id once --title other",
            65,
        ),
        ("send --to hebi.nobody --kind notice --wait delivered", 65),
        ("send --to hebi.police --kind report", 77),
        ("queue show aaaaaaaaaaaaaaaaaaaaaaaaaa", 65),
        ("queue list --cursor strange", 65),
        ("track no-such-case", 65),
        ("receive --save /proc/no-such-folder", 73),
        ("status --token-file /no-such-file", 77),
    ] {
        let done = tobacco.run(line);
        assert_eq!(done.code, code, "{line}: {}", done.err);
        done.assert_refused(code);
    }
    let nobody = format!("status --api http://127.0.0.1:{}", free_port());
    tobacco.run(&nobody).assert_refused(69);

    let config = net.folder.path().join("hebi.hub.toml");
    let second = run(casegate().args(["run", "--config"]).arg(&config));
    second.assert_refused(73);
    assert!(second.err.contains("in use"), "{}", second.err);
    let text = fs::read_to_string(&config).expect("a text");
    let bad = net.file("bad.toml", &text.replace("[listen]", "[lisden]"));
    let bad = run(casegate().args(["run", "--config"]).arg(bad));
    assert_eq!(bad.code, 78, "{}", bad.err);
}

#[test]
fn a_wait_that_runs_out_ends_with_75_and_the_message_goes_on() {
    let Net {
        folder: _folder,
        hub,
        tobacco,
        police,
    } = Net::start();
    police.stop();
    hub.until_sessions(1);
    let late =
        tobacco.run("send --to hebi.police --kind notice --wait delivered --wait-timeout 300ms");
    late.assert_refused(75);
    let waiting = hub.run("queue list --json").json();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
}

#[test]
fn operators_actions_need_the_token_and_the_sender_learns_of_a_drop() {
    let Net {
        folder,
        hub,
        tobacco,
        police,
    } = Net::start();
    police.stop();
    hub.until_sessions(1);
    let message = tobacco.notice("--case A-1 --wait relayed");
    let token = folder.path().join("hebi.hub-data/operator.token");
    let kept = folder.path().join("kept.token");
    fs::rename(&token, &kept).expect("moves");
    let drop = format!("queue drop {message} --reason mistake");
    hub.run(&drop).assert_refused(77);
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "0".repeat(64)).expect("writes");
    run(hub.ask(&drop).arg("--token-file").arg(&wrong)).assert_refused(77);
    assert_eq!(hub.run("queue list --json").json()[0]["state"], "queued");

    let hold = format!("queue hold {message} --json");
    let held = run(hub.ask(&hold).arg("--token-file").arg(&kept)).json();
    assert_eq!(held[0]["done"], "hold");
    let text = fs::read_to_string(&kept).expect("a token");
    let release = format!("queue release {message}");
    let with_variable = run(hub.ask(&release).env("CASEGATE_OPERATOR_TOKEN", text));
    assert!(with_variable.good().contains("release is done"));
    fs::rename(&kept, &token).expect("moves");
    hub.run(&format!("queue reprioritise {message} --priority urgent"))
        .good();
    hub.run(&format!("queue retry {message}")).good();

    let listed = hub.run("queue list --all --json --state queued").json();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        ["messageid", "neighbour", "priority", "caseid"].map(|name| listed[0][name].as_str()),
        [message.as_str(), "hebi.police", "urgent", "A-1"].map(Some)
    );
    let exported = hub.run("queue export").json();
    assert_eq!(exported[0]["messageid"], message.as_str());
    assert!(exported[0]["id"].is_string() && exported[0]["timeline"].is_array());
    let table = hub.run("queue list").good();
    assert!(
        table.lines().count() == 2 && table.contains("urgent"),
        "{table}"
    );

    hub.run(&drop).good();
    assert_eq!(hub.run("queue list --json").good(), "");
    eventually("the sender has learned of it", || {
        let shown = tobacco.run(&format!("queue show {message} --json")).json();
        shown[0]["state"] == "dropped"
    });
    let status = hub.run("status --json").json();
    assert_eq!(status[0]["unit"], "hebi.hub");
    assert!(status[0]["links"].is_array() && status[0]["neighbours"].is_array());
}

#[test]
fn a_reader_that_goes_away_costs_no_message_and_ctrl_c_ends_a_follower_in_peace() {
    let net = Net::start();
    let message = net.tobacco.notice("--wait delivered");
    let mut unread = net
        .police
        .ask("receive --json --wait 30s")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().expect("it ends");
    Done::of(ended).assert_refused(73);
    // Given back, not waited for: a lease lasts a minute.
    let received = net.police.run("receive --json").json();
    assert_eq!(received[0]["messageid"], message.as_str());

    let mut follower = net
        .police
        .ask("receive --json --follow")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    for _ in 0..3 {
        let message = net.tobacco.notice("");
        let line = lines.next().expect("a line").expect("a text");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["messageid"], message.as_str());
    }
    signal(&follower, Signal::INT);
    assert_eq!(follower.wait().expect("it ends").code(), Some(0));
    let message = net.tobacco.notice("--wait delivered");
    let received = net.police.run("receive --json").json();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["messageid"], message.as_str());
}

#[test]
fn data_comes_from_standard_input_and_reading_commands_end_quietly_when_nobody_reads() {
    let net = Net::start();
    let mut sender = net
        .tobacco
        .ask("send --to hebi.police --kind notice --wait delivered -")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = sender.stdin.take().expect("a pipe");
    input.write_all("一行\n".as_bytes()).expect("writes");
    drop(input);
    assert!(sender.wait().expect("it ends").success());
    let received = net.police.run("receive --json").json();
    assert_eq!(received[0]["data"], "一行\n");
    assert_eq!(received[0]["datacontenttype"], "text/plain");

    let mut unread = net
        .hub
        .ask("status --json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(unread.stdout.take());
    let ended = Done::of(unread.wait_with_output().expect("it ends"));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn a_reload_puts_a_new_log_level_into_force() {
    let net = Net::start();
    let log = net.folder.path().join("hebi.hub.log");
    let log = || fs::read_to_string(&log).expect("a text");
    assert!(!log().contains("DEBUG"));
    let config = net.folder.path().join("hebi.hub.toml");
    let text = fs::read_to_string(&config).expect("a text");
    fs::write(&config, text + "[log]\nlevel = \"debug\"\n").expect("writes");
    signal(&net.hub.process, Signal::HUP);
    eventually("requests are logged", || {
        net.hub.run("status").good();
        log().contains("DEBUG")
    });
}

#[test]
fn packages_get_completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(casegate().args(["completions", shell])).good();
        assert!(script.contains("in-reply-to"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man");
    run(casegate().args(["man", "--out"]).arg(&out)).good();
    for page in ["casegate.1", "casegate-send.1", "casegate-queue-drop.1"] {
        let text = fs::read_to_string(out.join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}
