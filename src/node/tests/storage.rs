//! What a node with a full or a failing disk says and does.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::disk::{Trouble, trouble};
use crate::{
    config::{self, Settings},
    model::UnitId,
    node::{Node, RunningNode, StartError},
    pki::{self, Issue},
};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);
const UNIT: &str = "hebi.hub";
const JSON: &str = "application/json";
const EVENT: &str = "application/cloudevents+json";

/// A node that sends to itself, with segments of 1 MiB.
struct World {
    _folder: tempfile::TempDir,
    settings: Settings,
    trouble: Arc<Trouble>,
    node: RunningNode,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca");
        let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let now = since.as_millis() as u64;
        pki::init(&ca, "test", now).expect("a CA");
        let unit: UnitId = UNIT.parse().expect("a unit");
        let identity = folder.path().join("identity");
        let issue = Issue {
            dir: &ca,
            unit: &unit,
            out: &identity,
            hosts: &[],
            csr: None,
            days: 30,
        };
        pki::issue(&issue, now).expect("an identity");
        let limits =
            "[limits]\nmessage-kib = 256\nsegment-mib = 1\njournal-mib = 64\ninbox-mib = 64\n";
        let settings = Settings::of_test(UNIT, &folder.path().join("data"), &identity, limits);
        let trouble = trouble(&settings.data_dir.join("journal"));
        let node = Node::start(settings.clone()).await.expect("it starts");
        Self {
            _folder: folder,
            settings,
            trouble,
            node,
        }
    }

    async fn restart(self) -> Self {
        self.node.stop().await;
        let node = Node::start(self.settings.clone()).await;
        let node = node.expect("it starts again");
        Self { node, ..self }
    }

    async fn call(&self, method: &'static str, path: &str, kind: &str, body: String) -> Answer {
        let url = format!("http://{}{path}", self.node.api_address());
        let kind = kind.to_owned();
        let call = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(PATIENCE))
                .build()
                .into();
            let answered = match method {
                "GET" => agent.get(&url).call(),
                _ => agent.post(&url).content_type(&kind).send(body),
            };
            let mut answer = answered.expect("an answer");
            let retry_after = answer.headers().contains_key("retry-after");
            let text = answer.body_mut().read_to_string().expect("a text");
            Answer {
                status: answer.status().as_u16(),
                retry_after,
                body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            }
        });
        call.await.expect("no panic")
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "", String::new()).await
    }

    /// Whether the metrics have this line.
    async fn shows(&self, line: &str) -> bool {
        let metrics = self.get("/metrics").await.body;
        let metrics = metrics.as_str().expect("a text");
        metrics.lines().any(|shown| shown == line)
    }

    /// A message of so many KiB to the node itself, each in a case of its own.
    async fn submit(&self, id: &str, priority: &str, kib: usize) -> Answer {
        let event = json!({
            "specversion": "1.0", "id": id, "source": format!("/unit/{UNIT}"), "type": "notice",
            "to": UNIT, "priority": priority, "data": "x".repeat(kib * 1024),
        });
        self.call("POST", "/v1/messages", EVENT, event.to_string())
            .await
    }

    /// Pulls the inbox until nothing more comes, and acks what `done` is true of; gives all ids, sorted.
    async fn take(&self, done: bool) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let pulled = self.get("/v1/inbox?max=1000&wait=0s").await;
            assert_eq!(pulled.status, 200, "{}", pulled.body);
            let events = pulled.body.as_array().expect("a batch").clone();
            if events.is_empty() {
                ids.sort();
                return ids;
            }
            let named: Vec<&Value> = events.iter().map(|event| &event["messageid"]).collect();
            if done {
                let body = json!({ "messageids": named }).to_string();
                let acked = self.call("POST", "/v1/inbox/ack", JSON, body).await;
                assert_eq!(acked.status, 200, "{}", acked.body);
            }
            let of = |event: &Value| event["id"].as_str().map(str::to_owned);
            ids.extend(events.iter().filter_map(of));
        }
    }

    fn journal(&self) -> PathBuf {
        self.settings.data_dir.join("journal")
    }
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Value,
}

impl Answer {
    fn is(&self, status: u16, slug: &str) -> bool {
        let kind = self.body["type"].as_str().unwrap_or_default();
        self.status == status && kind.ends_with(slug)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_is_not_urgent_and_goes_on_by_itself_when_there_is_room() {
    let world = World::new().await;
    assert_eq!(world.submit("before", "normal", 1).await.status, 202);
    world.trouble.full.store(true, Relaxed);

    // The segment that was made ahead of need is the reserve; that there is no next one shows once it is begun.
    let mut accepted = vec!["before".to_owned()];
    let refused = loop {
        let id = format!("normal-{}", accepted.len());
        let answer = world.submit(&id, "normal", 100).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(id);
        assert!(accepted.len() < 100, "it never fills up");
    };
    assert!(refused.is(507, "disk-full"), "{}", refused.body);
    assert_eq!(refused.body["bound"], "disk", "{}", refused.body);
    assert!(refused.retry_after, "it says when to try again");

    // Urgent work has what is left, up to a point; then it is refused in the same words.
    let mut urgent = 0;
    let refused = loop {
        let id = format!("urgent-{urgent}");
        let answer = world.submit(&id, "urgent", 20).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(id);
        urgent += 1;
        assert!(urgent < 100, "the reserve has no end");
    };
    assert!(urgent > 0, "nothing urgent passes: {}", refused.body);
    assert!(refused.is(507, "disk-full"), "{}", refused.body);
    let status = world.get("/v1/status").await;
    let warnings = status.body["warnings"].to_string();
    assert!(warnings.contains("disk is full"), "{warnings}");
    assert!(world.shows("casegate_disk_full 1").await);
    assert!(world.shows("casegate_storage_failed 0").await);

    // What frees space passes all the same.
    accepted.sort();
    assert_eq!(world.take(true).await, accepted);
    let normal = world.submit("still-full", "normal", 1).await;
    assert!(normal.is(507, "disk-full"), "{}", normal.body);

    world.trouble.full.store(false, Relaxed);
    let deadline = Instant::now() + PATIENCE;
    while world.submit("after", "normal", 100).await.status != 202 {
        assert!(Instant::now() < deadline, "it does not go on");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(world.shows("casegate_disk_full 0").await);
    let world = world.restart().await;
    assert_eq!(world.take(true).await, ["after"]);
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_all_promises_until_a_restart() {
    let world = World::new().await;
    assert_eq!(world.submit("before", "normal", 1).await.status, 202);
    world.trouble.failing.store(true, Relaxed);

    let refused = world.submit("lost", "normal", 1).await;
    assert!(refused.is(503, "storage-failed"), "{}", refused.body);
    let why = refused.body["detail"].as_str().expect("a reason");
    assert!(why.contains("the medium is worn out"), "{why}");
    let ready = world.get("/readyz").await;
    assert!(ready.is(503, "storage-failed"), "{}", ready.body);
    assert_eq!(world.get("/healthz").await.status, 200);

    // The disk seems to work again. Nobody knows what it has: nothing is promised.
    world.trouble.failing.store(false, Relaxed);
    for id in ["lost", "another"] {
        let refused = world.submit(id, "flash", 1).await;
        assert!(refused.is(503, "storage-failed"), "{}", refused.body);
    }
    let status = world.get("/v1/status").await;
    let warnings = status.body["warnings"].to_string();
    assert!(warnings.contains("the medium is worn out"), "{warnings}");
    assert!(world.shows("casegate_storage_failed 1").await);

    let world = world.restart().await;
    assert!(world.shows("casegate_storage_failed 0").await);
    assert_eq!(world.submit("lost", "normal", 1).await.status, 202);
    assert_eq!(world.take(true).await, ["before", "lost"]);
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_reported_and_gives_a_new_epoch() {
    let world = World::new().await;
    for id in ["a", "b", "c"] {
        assert_eq!(world.submit(id, "normal", 1).await.status, 202);
    }
    let epoch = world.get("/v1/status").await.body["epoch"].clone();
    let world = world.restart().await;
    let same = world.get("/v1/status").await.body["epoch"].clone();
    assert_eq!(epoch, same, "a clean start keeps it");

    let journal = world.journal();
    world.node.stop().await;
    let names = std::fs::read_dir(&journal).expect("a folder");
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let files = names.filter(|name| name.starts_with("checkpoint-"));
    let files: Vec<_> = files.map(|name| journal.join(name)).collect();
    assert_eq!(files.len(), 2, "a stop leaves one, and its copy");
    for file in files {
        let mut bytes = std::fs::read(&file).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).expect("written");
    }

    let node = Node::start(world.settings.clone())
        .await
        .expect("it starts");
    let world = World { node, ..world };
    let status = world.get("/v1/status").await.body;
    assert_ne!(status["epoch"], epoch, "{status}");
    assert_eq!(status["quarantined"], 1, "{status}");
    assert!(journal.join("quarantine").is_dir());
    // The records before the checkpoint are all there still: nothing was compacted.
    assert_eq!(world.take(true).await, ["a", "b", "c"]);
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_listen_leaves_its_folder_free() {
    let World {
        _folder,
        mut settings,
        node,
        ..
    } = World::new().await;
    node.stop().await;
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address");
    settings.listen = Some(config::Listen { address });
    let refused = Node::start(settings.clone()).await;
    assert!(
        matches!(refused, Err(StartError::Listen { .. })),
        "{refused:?}"
    );
    drop(taken);
    let node = Node::start(settings).await.expect("nothing is left of it");
    node.stop().await;
}
