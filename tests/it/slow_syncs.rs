//! Nothing is promised before it is on stable storage: with every sync made slow, every promise is slow. Needs `strace`.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use casegate::sample::{Generator, Options};
use serde_json::Value;

use crate::processes::{Client, Node, Town, until};

const SYNC: Duration = Duration::from_millis(300);
const MESSAGES: usize = 8;

/// Runs `node` so that each of its syncs starts 300 ms late; false, and a word on standard error, where there is no strace.
fn slow_down(node: &mut Node, log: &str) -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        let ci = std::env::var_os("CI").is_some();
        assert!(!ci, "this test needs strace: apt-get install strace");
        eprintln!("not tested: there is no strace (apt-get install strace)");
        return false;
    }
    let delay = format!("inject=fdatasync,fsync:delay_enter={}", SYNC.as_micros());
    let trace = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        &delay,
        "-o",
        log,
    ];
    node.run_by(&trace);
    true
}

fn events() -> Vec<Value> {
    let options = Options {
        from: Some("hebi.a".parse().expect("a unit")),
        to: Some("hebi.b".parse().expect("a pattern")),
        ..Options::default()
    };
    let events = Generator::with(11, options).take(MESSAGES);
    let parse = |sample: casegate::sample::Sample| serde_json::from_str(&sample.event);
    events.map(|sample| parse(sample).expect("JSON")).collect()
}

/// How long it takes until a message's state is one of these.
fn until_state(client: &Client, message: &str, states: &[&str]) {
    until(&format!("{message} is {states:?}"), || {
        let answer = client.get(&format!("/v1/messages/{message}"));
        answer.is_some_and(|(_, view)| states.iter().any(|state| view["state"] == *state))
    });
}

#[test]
fn no_submission_is_answered_before_its_sync() {
    let town = Town::new();
    let mut a = town.unit("hebi.a");
    let log = town.path().join("syncs");
    if !slow_down(&mut a, &log.to_string_lossy()) {
        return;
    }
    a.start();
    let client = a.client();
    for event in events() {
        let asked = Instant::now();
        client.submit(std::slice::from_ref(&event));
        let took = asked.elapsed();
        assert!(took >= SYNC, "202 after {took:?}");
    }
    let syncs = std::fs::read_to_string(&log).expect("what strace saw");
    let delayed = syncs
        .lines()
        .filter(|line| line.contains("(DELAYED)"))
        .count();
    assert!(
        delayed >= MESSAGES,
        "{delayed} syncs for {MESSAGES} answers:\n{syncs}"
    );
    a.stop();
}

#[test]
fn no_hop_ack_leaves_before_its_sync() {
    let town = Town::new();
    let (mut a, mut hub) = (town.unit("hebi.a"), town.hub());
    if !slow_down(&mut hub, "/dev/null") {
        return;
    }
    hub.start();
    a.start();
    let (client, at_hub) = (a.client(), hub.client());
    until("A is connected", || {
        let answer = at_hub.get("/v1/status");
        answer.is_some_and(|(_, status)| status["sessions"] == 1)
    });
    for event in events() {
        let asked = Instant::now();
        let accepted = client.submit(std::slice::from_ref(&event));
        until_state(&client, &accepted[0], &["relayed"]);
        let took = asked.elapsed();
        assert!(took >= SYNC, "acked after {took:?}");
    }
    for node in [&mut a, &mut hub] {
        node.stop();
    }
}
