//! The record of what operators did: signed, searched, exported, checked without a node, and what comes of one that was changed.

use std::{path::Path, process::Command};

use casegate::model::Role;
use serde_json::{Value, json};

use crate::world::{Running, World, eventually, let_in};

/// `casegate audit verify`: the exit code, the answer and what it said.
fn verify(file: &Path, more: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .args(["audit", "verify", "--json"])
        .arg(file)
        .args(more)
        .output()
        .expect("it runs");
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), answer, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_did_is_signed_and_checked_without_a_node() {
    let world = World::new();
    let mut settings = world.edge("hebi.tobacco", "hebi.hub", ([127, 0, 0, 1], 9).into());
    let li = let_in(&mut settings, "li.wei", Role::Operator);
    let edge = Running::start(settings.clone()).await;
    let event = edge.event("1", "hebi.police", "notice", json!({}));
    let message = edge.submit(event).await;
    for action in ["hold", "release", "hold"] {
        let path = format!("/v1/queue/{message}/{action}");
        assert_eq!(edge.post_as(&li, &path, json!({})).await.0, 200);
    }
    assert_eq!(edge.post_as(&li, "/v1/backup", json!({})).await.0, 403);
    let recorded = async |query: &str| {
        let (status, page) = edge.get_as(&li, &format!("/v1/audit?{query}")).await;
        assert_eq!(status, 200, "{page}");
        page["entries"].as_array().expect("entries").clone()
    };
    let holds = recorded("actor=li.wei&action=hold").await;
    assert_eq!(holds.len(), 2);
    assert_eq!(holds[0]["subject"], json!(message));
    eventually("the refused call is on record", async || {
        let refused = recorded("action=refused-call").await;
        refused
            .first()
            .is_some_and(|entry| entry["subject"] == "POST /v1/backup" && entry["reason"] == "role")
    })
    .await;

    let (token, out) = (
        world.path().join("li.wei.token"),
        world.path().join("out.jsonl"),
    );
    std::fs::write(&token, &li).expect("written");
    let exported = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .args(["audit", "export", "--api", &edge.url("")])
        .arg("--token-file")
        .arg(&token)
        .arg("--out")
        .arg(&out)
        .output();
    let exported = exported.expect("it runs");
    assert!(exported.status.success(), "{exported:?}");
    let ca = settings.identity.dir.join("ca.pem");
    let ca = ["--ca", ca.to_str().expect("a path")];
    let (code, answer, said) = verify(&out, &ca);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(answer["unit"], json!("hebi.tobacco"));
    assert_eq!(answer["signed"], answer["entries"]);
    let kept = answer["last"].as_str().expect("a digest").to_owned();

    let text = std::fs::read_to_string(&out).expect("reads");
    let changed = world.path().join("changed.jsonl");
    std::fs::write(&changed, text.replacen("\"hold\"", "\"drop\"", 1)).expect("written");
    let (code, _, said) = verify(&changed, &ca);
    let line = 1 + text
        .lines()
        .position(|line| line.contains("\"hold\""))
        .expect("held");
    assert_eq!(code, Some(65));
    assert!(said.contains(&format!("line {line} of")), "{said}");
    let other = World::new();
    let other = other.path().join("ca/ca.pem");
    let (code, ..) = verify(&out, &["--ca", other.to_str().expect("a path")]);
    assert_eq!(code, Some(65));

    edge.node.stop().await;
    let log = settings.data_dir.join("audit.log");
    let (code, answer, said) = verify(&log, &["--last", &kept]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(answer["signed"], answer["entries"], "signed up to its end");

    // Cut at a checkpoint: the file alone is whole, and the head beside it says what it lacks.
    let text = std::fs::read_to_string(&log).expect("reads");
    let first = text
        .lines()
        .position(|line| line.contains("\"checkpoint\""));
    let few: Vec<_> = text.lines().take(first.expect("signed") + 1).collect();
    std::fs::write(&log, few.join("\n") + "\n").expect("written");
    assert_eq!(verify(&log, &ca).0, Some(65));
    let edge = Running::start(settings.clone()).await;
    let (_, status) = edge.get("/v1/status").await;
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("is cut off"), "{warnings}");
    edge.node.stop().await;
    assert_eq!(verify(&log, &ca).0, Some(0));
}
