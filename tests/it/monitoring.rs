//! What is shipped for Prometheus, by Prometheus' own tool: the rules, what they say of a node in trouble, and what a node answers.
//!
//! Needs `promtool` (Debian's prometheus), and is run with `--ignored`.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::world::{Running, World, eventually};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring");

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(RULES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's prometheus");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
#[ignore = "needs promtool"]
fn the_alert_rules_say_what_they_should() {
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts-test.yml"], "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool"]
async fn prometheus_has_nothing_against_the_metrics() {
    let world = World::new();
    let hub = Running::start(world.hub("hebi.hub")).await;
    let edge = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let edge = Running::start(edge).await;
    edge.submit(edge.event("1", "hebi.hub", "notice", json!({})))
        .await;
    assert_eq!(hub.receive(1).await.len(), 1);
    for node in [&edge, &hub] {
        eventually("the session to be shown", async || {
            let (_, metrics) = node.get("/metrics").await;
            let metrics = metrics.as_str().expect("text").to_owned();
            metrics.contains("casegate_link_up{")
        })
        .await;
        let (_, metrics) = node.get("/metrics").await;
        promtool(&["check", "metrics"], metrics.as_str().expect("text"));
    }
}
