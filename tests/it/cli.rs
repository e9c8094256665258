//! The command line, as its users meet it: the program itself, a hub and two edges in processes of their own, and their files.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::Stdio,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::processes::{Connected, Done, Node, Town, casegate, free_port, run, signal, until};

/// Sends a notice to `hebi.b`; gives its messageid.
fn notice(from: &Node, more: &str) -> String {
    let sent = from.run(&format!("send --to hebi.b --kind notice {more}"));
    sent.good().trim().to_owned()
}

/// A file in the town's folder.
fn write(town: &Town, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = town.path().join(name);
    fs::write(&path, content).expect("writes");
    path
}

#[test]
fn what_is_sent_from_files_is_received_as_it_was() {
    let net = Connected::new();
    let json = "{ \"title\": \"案件移送\",\n  \"n\": 1.50 }";
    let transfer = write(&net.town, "transfer.json", json);
    let line = "send --to hebi.b --kind case.transfer --case A/1 --attribute form=7 --wait delivered --json";
    let sent = run(net.a.ask(line).args(["--title", "移送 一"]).arg(&transfer)).json();
    assert_eq!(sent[0]["state"], "delivered");

    let received = net.b.run("receive --json --max 1").good();
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
    let file = write(&net.town, "scan.pdf", bytes);
    let line = "send --to hebi.b --kind notice --wait delivered";
    let sent = run(net.a.ask(line).arg(&file)).good();
    let inbox = net.town.path().join("new/inbox");
    let saved = run(net.b.ask("receive --save").arg(&inbox)).good();
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

    // As deep as data may be, which is deeper than many readers go.
    let deep = "[".repeat(128) + &"]".repeat(128);
    let file = write(&net.town, "deep.json", &deep);
    run(net.a.ask(line).arg(&file)).good();
    assert!(net.b.run("receive").good().contains(&deep));

    // All of it was acked.
    assert_eq!(net.b.run("receive --json").good(), "");
}

#[test]
fn a_file_of_events_goes_in_batches_and_never_twice() {
    let net = Connected::new();
    let count = 1200;
    let event = |n: usize, source: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e{n}\",\"source\":\"/unit/{source}\",\"type\":\"case.step\",\
             \"to\":\"hebi.b\",\"caseid\":\"c{}\",\"data\":{n}}}\n",
            n % 7
        )
    };
    let good: String = (0..count).map(|n| event(n, "hebi.a")).collect();
    let file = write(&net.town, "good.jsonl", &good);
    let sent = run(net
        .a
        .ask("send --json --wait delivered --events")
        .arg(&file))
    .json();
    assert_eq!(sent.len(), count);
    assert!(sent.iter().all(|one| one["state"] == "delivered"));
    let again = run(net.a.ask("send --events").arg(&file)).good();
    assert_eq!(again, "1200 messages accepted\n");

    let received = net.b.run("receive --json").json();
    let mut of_case = vec![Vec::new(); 7];
    for event in received {
        let n = event["data"].as_u64().expect("a number") as usize;
        of_case[n % 7].push(n);
    }
    let in_order = |case: usize| (case..count).step_by(7).collect::<Vec<_>>();
    assert_eq!(of_case, (0..7).map(in_order).collect::<Vec<_>>());

    let bad = event(5000, "hebi.a") + &event(5001, "hebi.other");
    let file = write(&net.town, "bad.jsonl", &bad);
    let refused = run(net.a.ask("send --events").arg(&file));
    refused.assert_refused(77);
    assert!(refused.err.contains("bad.jsonl:2: "), "{}", refused.err);
    let file = write(
        &net.town,
        "torn.jsonl",
        &(event(5002, "hebi.a") + "{\"id\""),
    );
    let refused = run(net.a.ask("send --events").arg(&file));
    refused.assert_refused(65);
    assert!(refused.err.contains("torn.jsonl:2: "), "{}", refused.err);
    // A batch is all or nothing.
    assert_eq!(net.b.run("receive --json").good(), "");
}

#[test]
fn every_class_of_refusal_has_its_exit_code() {
    let net = Connected::new();
    for usage in [
        "send --kind notice",
        "send --to Hebi --kind notice",
        "send --to hebi.b --kind notice --priority hot",
        "send --to hebi.b --kind notice --wait read",
        "send --to hebi.b --kind notice --events x",
        "receive --max 0",
        "receive --wait soon",
        "queue drop aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "queue show 1",
        "status --api https://127.0.0.1:1",
        "track",
    ] {
        let done = net.a.run(usage);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{usage}");
    }
    notice(&net.a, "--id once");
    notice(&net.a, "--id once");
    for (line, code) in [
        ("send --to hebi.b --kind no.such.kind", 65),
        ("send --to hebi.b --kind notice no-such-file", 65),
        ("send --to hebi.b --kind notice --expires yesterday", 65),
        ("send --to hebi.b --kind notice --id once --title other", 65),
        ("send --to hebi.nobody --kind notice --wait delivered", 65),
        ("send --to jiyuan.b --kind notice", 77),
        ("queue show aaaaaaaaaaaaaaaaaaaaaaaaaa", 65),
        ("queue list --cursor strange", 65),
        ("track no-such-case", 65),
        ("receive --save /proc/no-such-folder", 73),
        ("status --token-file /no-such-file", 77),
    ] {
        let done = net.a.run(line);
        assert_eq!(done.code, code, "{line}: {}", done.err);
        done.assert_refused(code);
    }
    let nobody = format!("status --api http://127.0.0.1:{}", free_port());
    net.a.run(&nobody).assert_refused(69);

    let second = run(casegate("run --config").arg(net.hub.config()));
    second.assert_refused(73);
    assert!(second.err.contains("in use"), "{}", second.err);
    net.hub.configure("[listen]", "[lisden]");
    let bad = run(casegate("run --config").arg(net.hub.config()));
    assert_eq!(bad.code, 78, "{}", bad.err);
}

#[test]
fn a_wait_that_runs_out_ends_with_75_and_the_message_goes_on() {
    let mut net = Connected::new();
    net.b.stop();
    net.hub.until_sessions(1);
    let late = net
        .a
        .run("send --to hebi.b --kind notice --wait delivered --wait-timeout 300ms");
    late.assert_refused(75);
    let waiting = net.hub.run("queue list --json").json();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
}

#[test]
fn operators_actions_need_the_token_and_the_sender_learns_of_a_drop() {
    let mut net = Connected::new();
    net.b.stop();
    let (a, hub) = (&net.a, &net.hub);
    hub.until_sessions(1);
    let message = notice(a, "--case A-1 --wait relayed");
    let token = hub.data().join("operator.token");
    let kept = net.town.path().join("kept.token");
    fs::rename(&token, &kept).expect("moves");
    let drop = format!("queue drop {message} --reason mistake");
    hub.run(&drop).assert_refused(77);
    let wrong = write(&net.town, "wrong", "0".repeat(64));
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
        [message.as_str(), "hebi.b", "urgent", "A-1"].map(Some)
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
    until("the sender has learned of it", || {
        let shown = a.run(&format!("queue show {message} --json")).json();
        shown[0]["state"] == "dropped"
    });
    let status = hub.run("status --json").json();
    assert_eq!(status[0]["unit"], "hebi.hub");
    assert!(status[0]["links"].is_array() && status[0]["neighbours"].is_array());
}

#[test]
fn a_reader_that_goes_away_costs_no_message_and_ctrl_c_ends_a_follower_in_peace() {
    let net = Connected::new();
    let message = notice(&net.a, "--wait delivered");
    let mut unread = net
        .b
        .ask("receive --json --wait 30s")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().expect("it ends");
    Done::of(ended).assert_refused(73);
    // Given back, not waited for: a lease lasts a minute.
    let received = net.b.run("receive --json").json();
    assert_eq!(received[0]["messageid"], message.as_str());

    let mut follower = net
        .b
        .ask("receive --json --follow")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("a pipe")).lines();
    for _ in 0..3 {
        let message = notice(&net.a, "");
        let line = lines.next().expect("a line").expect("a text");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["messageid"], message.as_str());
    }
    signal(&follower, Signal::INT);
    assert_eq!(follower.wait().expect("it ends").code(), Some(0));
    let message = notice(&net.a, "--wait delivered");
    let received = net.b.run("receive --json").json();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["messageid"], message.as_str());
}

#[test]
fn data_comes_from_standard_input_and_reading_commands_end_quietly_when_nobody_reads() {
    let net = Connected::new();
    let mut sender = net
        .a
        .ask("send --to hebi.b --kind notice --wait delivered -")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = sender.stdin.take().expect("a pipe");
    input.write_all("一行\n".as_bytes()).expect("writes");
    drop(input);
    assert!(sender.wait().expect("it ends").success());
    let received = net.b.run("receive --json").json();
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
fn packages_get_completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&mut casegate(&format!("completions {shell}"))).good();
        assert!(script.contains("in-reply-to"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man");
    run(casegate("man --out").arg(&out)).good();
    for page in [
        "casegate.1",
        "casegate-send.1",
        "casegate-top.1",
        "casegate-queue-drop.1",
    ] {
        let text = fs::read_to_string(out.join(page)).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}
