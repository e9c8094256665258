//! The vocabulary of the integration tests: a folder with a CA, nodes in this process, and what applications do with them.

use std::{future::Future, io::ErrorKind, net::SocketAddr, path::Path, time::Duration};

use casegate::{
    config::{self, Compression, LinkKind, Local, Settings},
    model::{Millis, Role, UnitId},
    node::{Node, RunningNode, StartError},
    pki::{self, Issue},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own, with a CA and everything that nodes keep.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

pub(crate) fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

/// The time by the system's clock.
pub(crate) fn now() -> Millis {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_millis() as Millis
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        pki::init(&folder.path().join("ca"), "test", now()).expect("a CA");
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes one byte of a text in a node's journal, as a disk that goes bad does.
    pub(crate) fn rot(&self, node: &str, text: &str) {
        let mut folders = vec![self.path().join(node).join("data")];
        let mut hits = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = std::fs::read(&path).expect("a file");
                let found = bytes.windows(text.len()).position(|w| w == text.as_bytes());
                if let Some(at) = found {
                    bytes[at] ^= 1;
                    let file = std::fs::OpenOptions::new().write(true).open(&path);
                    let file = file.expect("a file that can be written");
                    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64)
                        .expect("a byte is written");
                    hits += 1;
                }
            }
        }
        assert!(hits > 0, "{text} is nowhere in the data folder of {node}");
    }

    /// The settings of a hub.
    pub(crate) fn hub(&self, name: &str) -> Settings {
        Settings {
            listen: Some(config::Listen {
                address: ([127, 0, 0, 1], 0).into(),
            }),
            ..self.node(name)
        }
    }

    /// The settings of an edge that dials `hub` over a local network.
    pub(crate) fn edge(&self, name: &str, hub: &str, address: SocketAddr) -> Settings {
        let link = config::Link {
            name: "lan".into(),
            kind: LinkKind::Lan,
            address: address.to_string().parse().expect("an address"),
            local: Local::Any,
            budget_mib_per_day: None,
            compression: Compression::Isolated,
            cost_s: 0,
            hours: Vec::new(),
        };
        Settings {
            upstream: Some(config::Upstream {
                hub: unit(hub),
                links: vec![link],
            }),
            ..self.node(name)
        }
    }

    /// The settings of a node with neither, whose identity has just been issued.
    fn node(&self, name: &str) -> Settings {
        let folder = self.path().join(name);
        let unit = unit(name);
        let asked = Issue {
            dir: &self.path().join("ca"),
            unit: &unit,
            out: &folder.join("identity"),
            hosts: &[],
            csr: None,
            days: 30,
        };
        pki::issue(&asked, now()).expect("an identity");
        let text = format!(
            "unit = \"{name}\"\ndata-dir = \"data\"\n[identity]\ndir = \"identity\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [listen]\naddress = \"127.0.0.1:0\"\n[[policy.allow]]\nfrom = \"**\"\nto = \"**\"\nkinds = [\"**\"]\n"
        );
        let read = Settings::parse(&text, &folder.join("node.toml"));
        let (settings, _) = read.unwrap_or_else(|errors| panic!("{errors:?}"));
        Settings {
            listen: None,
            ..settings
        }
    }
}

/// A node that runs in this process, and what an application does with it.
pub(crate) struct Running {
    pub(crate) node: RunningNode,
    pub(crate) unit: UnitId,
}

impl Running {
    pub(crate) async fn start(settings: Settings) -> Self {
        let unit = settings.unit.clone();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Node::start(settings.clone()).await {
                Ok(node) => return Self { node, unit },
                // A node that is started again finds its port taken when somebody has dialled from it meanwhile.
                Err(StartError::Listen { error, .. })
                    if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("the node does not start: {error}"),
            }
        }
    }

    /// Where units dial in.
    pub(crate) async fn dial_in(&self) -> SocketAddr {
        self.node.listen_address().await.expect("it is a hub")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.api_address())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = self.url(path);
        call(move || agent().get(&url).call()).await
    }

    pub(crate) async fn post(&self, path: &str, kind: &'static str, body: Value) -> (u16, Value) {
        let url = self.url(path);
        let body = body.to_string();
        call(move || agent().post(&url).content_type(kind).send(body)).await
    }

    /// A GET that bears a token.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> (u16, Value) {
        let (url, bearer) = (self.url(path), format!("Bearer {token}"));
        call(move || agent().get(&url).header("authorization", bearer).call()).await
    }

    /// A POST of JSON that bears a token.
    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let (url, bearer) = (self.url(path), format!("Bearer {token}"));
        let body = body.to_string();
        call(move || {
            let request = agent().post(&url).header("authorization", bearer);
            request.content_type("application/json").send(body)
        })
        .await
    }

    /// Brings an attachment; gives its digest.
    pub(crate) async fn bring(&self, body: Vec<u8>) -> String {
        let url = self.url("/v1/attachments");
        let kind = "application/octet-stream";
        let (status, answer) = call(move || agent().put(&url).content_type(kind).send(body)).await;
        assert_eq!(status, 201, "{answer}");
        answer["digest"].as_str().expect("a digest").to_owned()
    }

    /// An event from this unit.
    pub(crate) fn event(&self, id: &str, to: &str, kind: &str, data: Value) -> Value {
        serde_json::json!({
            "specversion": "1.0", "id": id, "source": format!("/unit/{}", self.unit),
            "type": kind, "to": to, "caseid": "A-1", "data": data,
        })
    }

    /// Submits an event; gives its messageid.
    pub(crate) async fn submit(&self, event: Value) -> String {
        let kind = "application/cloudevents+json";
        let (status, answer) = self.post("/v1/messages", kind, event).await;
        assert_eq!(status, 202, "{answer}");
        let message = answer["messageid"].as_str().expect("a messageid");
        message.to_owned()
    }

    /// Pulls the inbox until so many events have come.
    pub(crate) async fn receive(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while events.len() < count {
            assert!(Instant::now() < deadline, "only {} events", events.len());
            let (status, answer) = self.get("/v1/inbox?max=1000&wait=2s").await;
            assert_eq!(status, 200, "{answer}");
            events.extend(answer.as_array().expect("a batch").iter().cloned());
        }
        events
    }

    /// Tells that the application is done with these.
    pub(crate) async fn ack(&self, events: &[Value]) {
        let messages: Vec<_> = events.iter().map(|event| &event["messageid"]).collect();
        let named = serde_json::json!({ "messageids": messages });
        let (status, answer) = self.post("/v1/inbox/ack", "application/json", named).await;
        assert_eq!((status, &answer["acked"]), (200, &events.len().into()));
    }

    /// Waits until a message is in a state here.
    pub(crate) async fn until_state(&self, message: &str, state: &str) {
        let path = format!("/v1/messages/{message}");
        eventually(&format!("{message} is {state}"), async || {
            let (_, view) = self.get(&path).await;
            // Of what a quick application has read both are told at once.
            view["state"] == state || state == "delivered" && view["state"] == "read"
        })
        .await;
    }
}

/// The token that a node has written to its data folder.
pub(crate) fn operator_token(settings: &Settings) -> String {
    let path = settings.data_dir.join("operator.token");
    let text = std::fs::read_to_string(path).expect("the operators' token");
    text.trim().to_owned()
}

/// Gives somebody a token of their own, in a file beside the data folder; gives the token.
pub(crate) fn let_in(settings: &mut Settings, name: &str, role: Role) -> String {
    let token = format!("{name:-<40}");
    let file = settings.data_dir.with_file_name(format!("{name}.token"));
    std::fs::write(&file, &token).expect("written");
    settings.api.tokens.push(config::ApiToken {
        name: name.to_owned(),
        role,
        file,
    });
    token
}

/// Waits for a condition; fails the test when it does not come.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A client that takes every answer for an answer.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE));
    config.build().into()
}

pub(crate) type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Makes a call; gives the status, and the body as JSON or as a text.
pub(crate) async fn call(call: impl FnOnce() -> Answer + Send + 'static) -> (u16, Value) {
    let answered = tokio::task::spawn_blocking(move || {
        let mut answer = call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a text");
        (answer.status().as_u16(), text)
    });
    let (status, text) = answered.await.expect("no panic");
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}
