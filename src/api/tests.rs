//! Tests of the whole API before a node that is made up.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::ServiceExt as _;

use super::*;
use crate::{
    cloudevents::{Intake, Submission},
    model::{Fingerprint, Kinds, Lane, MessageId, Millis, State as MessageState, UnitId},
};

const NOW: Millis = 1_772_000_000_000; // 2026-02-25T06:13:20Z
const DEADLINE: Duration = Duration::from_secs(20);

/// A node that keeps what it is told and says what it is told to say.
struct Fake {
    unit: UnitId,
    kinds: Kinds,
    limits: Limits,
    told: Mutex<Told>,
    /// Pulls of the inbox that wait, and those that were dropped while they did.
    waiting: AtomicUsize,
    dropped: AtomicUsize,
    changed: Notify,
}

#[derive(Default)]
struct Told {
    submitted: Vec<Submission>,
    inbox: Vec<Handed>,
    asked: Option<InboxAsk>,
    acked: Vec<MessageId>,
    released: Vec<MessageId>,
    actions: Vec<(MessageId, Action)>,
    queue: Option<QueueAsk>,
    refusal: Option<Refusal>,
    panics: bool,
}

impl Fake {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told
            .lock()
            .expect("no test panics while it holds this")
    }

    fn refuse(&self, cause: Cause) {
        self.told().refusal = Some(Refusal::new(cause, "as the test wants it"));
    }

    fn check(&self) -> Result<(), Refusal> {
        self.told().refusal.clone().map_or(Ok(()), Err)
    }

    /// Waits until the condition holds.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let holds = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        timeout(DEADLINE, holds)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

/// Counts itself as dropped unless it is told that its work is done.
struct Waiting<'a>(&'a Fake, bool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Gateway for Fake {
    fn intake(&self) -> Intake<'_> {
        Intake {
            unit: &self.unit,
            kinds: &self.kinds,
            limits: &self.limits,
            signer: Fingerprint([7; 16]),
            accepted: NOW,
        }
    }

    async fn submit(&self, messages: Vec<Submission>) -> Result<(), Refusal> {
        assert!(!messages.is_empty(), "an empty batch needs no node");
        self.check()?;
        self.told().submitted.extend(messages);
        Ok(())
    }

    async fn message(&self, message: MessageId) -> Result<Option<MessageView>, Refusal> {
        self.check()?;
        assert!(!self.told().panics, "a secret that nobody may read");
        let told = self.told();
        let found = told
            .submitted
            .iter()
            .find(|submitted| submitted.header.message_id() == message);
        Ok(found.map(|Submission { header, body, .. }| MessageView {
            messageid: message,
            id: header.id.clone(),
            from: header.sender.clone(),
            to: header.to.clone(),
            kind: header.kind.clone(),
            caseid: header.case.clone(),
            subject: header.text("subject").map(str::to_owned),
            priority: header.lane,
            accepted: header.accepted,
            expires: header.expires,
            bytes: body.len() as u64,
            state: MessageState::Queued,
            receivers: vec![],
            timeline: vec![StepView {
                at: header.accepted,
                step: "accepted",
                ..StepView::default()
            }],
        }))
    }

    async fn inbox(&self, ask: InboxAsk) -> Result<Vec<Handed>, Refusal> {
        self.check()?;
        self.told().asked = Some(ask);
        if self.told().inbox.is_empty() && !ask.wait.is_zero() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_waiters();
            let mut waiting = Waiting(self, false);
            let came = self.until("a message", |fake| !fake.told().inbox.is_empty());
            let _ = timeout(ask.wait, came).await;
            waiting.1 = true;
        }
        Ok(self.told().inbox.clone())
    }

    async fn inbox_ack(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.check()?;
        self.told().acked = messages.clone();
        Ok(Settled {
            known: messages.len() - 1,
            unknown: messages.into_iter().take(1).collect(),
        })
    }

    async fn inbox_release(&self, messages: Vec<MessageId>) -> Result<Settled, Refusal> {
        self.check()?;
        let known = messages.len();
        self.told().released.extend(messages);
        self.changed.notify_waiters();
        Ok(Settled {
            known,
            unknown: vec![],
        })
    }

    async fn queue(&self, ask: QueueAsk) -> Result<QueuePage, Refusal> {
        self.check()?;
        self.told().queue = Some(ask);
        Ok(QueuePage::default())
    }

    async fn act(&self, message: MessageId, action: Action) -> Result<(), Refusal> {
        self.check()?;
        self.told().actions.push((message, action));
        Ok(())
    }

    async fn links(&self) -> Result<Vec<LinkView>, Refusal> {
        self.check()?;
        Ok(vec![LinkView {
            neighbour: "hebi.hub".parse().expect("a unit"),
            link: "3g".into(),
            kind: "3g".into(),
            up: true,
            since: Some(NOW),
            address: None,
            rtt_ms: Some(350.5),
            loss_percent: None,
            rate_bps: None,
            bytes_sent: 10,
            bytes_received: 20,
            lanes_sent: [1, 2, 3, 4].into(),
            error: None,
        }])
    }

    async fn units(&self) -> Result<Vec<UnitView>, Refusal> {
        self.check()?;
        Ok(vec![])
    }

    async fn status(&self) -> Result<Status, Refusal> {
        self.check()?;
        Ok(Status {
            unit: self.unit.clone(),
            version: "1",
            upstream: None,
            listens: false,
            started: NOW,
            epoch: 1,
            ready: true,
            sessions: 0,
            units: 0,
            queued: Volume::default(),
            queued_lanes: PerLane::default(),
            inbox: Volume::default(),
            awaiting_receipts: 0,
            journal_bytes: 0,
            journal_bytes_max: 0,
            quarantined: 0,
            warnings: vec![],
        })
    }

    async fn metrics(&self) -> String {
        "casegate_up 1\n".into()
    }

    fn ready(&self) -> Result<(), Refusal> {
        self.check()
    }
}

struct World {
    node: Arc<Fake>,
    router: Router,
    settings: Settings,
    _stopping: watch::Sender<bool>,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Json,
}

impl Answered {
    /// The slug of a problem document, after a look at the rest of it.
    fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], json!(self.status.as_u16()));
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        let name = self.body["type"].as_str().expect("a type");
        name.strip_prefix(TYPE_PREFIX).expect("a type of ours")
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            limits: Limits::default(),
            hosts: vec![],
            token: None,
            operator: Token::new(&"o".repeat(32)).expect("a token"),
        };
        change(&mut settings);
        let node = Arc::new(Fake {
            unit: "hebi.xunxian.tobacco".parse().expect("a unit"),
            kinds: Kinds::default(),
            limits: settings.limits,
            told: Mutex::default(),
            waiting: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            changed: Notify::new(),
        });
        let (sender, stopping) = watch::channel(false);
        let router = router(node.clone(), settings.clone(), stopping);
        Self {
            node,
            router,
            settings,
            _stopping: sender,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Answered {
        let answer = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("never fails");
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        assert_eq!(parts.headers["cache-control"], "no-store");
        Answered {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask(request("GET", path, &[], Body::empty())).await
    }

    async fn post(&self, path: &str, kind: &str, body: impl ToString) -> Answered {
        let headers = [("content-type", kind)];
        self.ask(request(
            "POST",
            path,
            &headers,
            Body::from(body.to_string()),
        ))
        .await
    }

    async fn operate(&self, path: &str, body: Json) -> Answered {
        let token = format!("Bearer {}", "o".repeat(32));
        let headers = [
            ("content-type", "application/json"),
            ("authorization", token.as_str()),
        ];
        self.ask(request(
            "POST",
            path,
            &headers,
            Body::from(body.to_string()),
        ))
        .await
    }

    /// Serves on a real socket until the sender is used or dropped.
    async fn serve(&self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(
            listener,
            self.node.clone(),
            self.settings.clone(),
            until,
        ));
        Served {
            address,
            stop,
            task,
        }
    }
}

struct Served {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A client that writes all before it reads anything.
struct Client(TcpStream);

impl Client {
    async fn to(served: &Served) -> Self {
        Self(
            TcpStream::connect(served.address)
                .await
                .expect("a connection"),
        )
    }

    async fn write(&mut self, bytes: &[u8]) {
        let written = timeout(DEADLINE, self.0.write_all(bytes)).await;
        written.expect("in time").expect("the connection takes it");
    }

    async fn get(&mut self, path: &str) {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .await;
    }

    /// Reads one answer: its status and its body.
    async fn read(&mut self) -> (u16, String) {
        let answer = timeout(DEADLINE, async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head)
                .expect("a text")
                .to_ascii_lowercase();
            let field = |name: &str| {
                let line = head.lines().find(|line| line.starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned())
            };
            let length = field("content-length:").expect("a length");
            let mut body = vec![0; length.parse().expect("a number")];
            self.0.read_exact(&mut body).await.expect("a body");
            let status = head[9..12].parse().expect("a status");
            (status, String::from_utf8(body).expect("a text"))
        });
        answer.await.expect("an answer in time")
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8440");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

fn event(id: &str) -> Json {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/unit/hebi.xunxian.tobacco",
        "type": "case.transfer",
        "to": "hebi.procuratorate",
        "data": {"amount": 1},
    })
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn message_id(id: &str) -> MessageId {
    MessageId::of(&"hebi.xunxian.tobacco".parse().expect("a unit"), id)
}

fn handed(world: &World, id: &str, data: &str) -> Handed {
    let text = event(id).to_string().replace(r#"{"amount":1}"#, data);
    let submission = world
        .node
        .intake()
        .structured(&Bytes::from(text))
        .expect("an event");
    Handed {
        header: submission.header,
        body: submission.body,
        received: NOW + 5,
    }
}

#[tokio::test]
async fn the_specification_and_the_routes_are_the_same() {
    let world = World::with(|settings| settings.limits.request_kib = 1);
    let specification: Json = serde_json::from_str(node::SPECIFICATION).expect("JSON");
    let paths = specification["paths"].as_object().expect("paths");
    for (path, calls) in paths {
        let path = path.replace("{messageid}", &message_id("1").to_string());
        for method in ["get", "post", "put", "delete"] {
            let headers = [("content-type", "application/json")];
            let body = Body::from("{}");
            let answered = world
                .ask(request(&method.to_uppercase(), &path, &headers, body))
                .await;
            let described = calls.get(method);
            assert_eq!(
                answered.status != StatusCode::METHOD_NOT_ALLOWED,
                described.is_some(),
                "{method} {path}"
            );
            match described {
                Some(call) => {
                    let status = answered.status.as_str();
                    assert!(
                        call["responses"].get(status).is_some(),
                        "{method} {path} {status}"
                    );
                    assert_ne!(
                        answered.body["type"],
                        json!("urn:casegate:problem:not-found")
                    );
                }
                None => {
                    assert_eq!(answered.problem(), "method-not-allowed");
                    assert!(answered.headers.contains_key("allow"), "{method} {path}");
                }
            }
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/cases/1",
        "/v1/events",
        "/console/",
        "/v1/queue/x/burn",
    ] {
        let answered = world.get(path).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answered.problem(), "not-found");
    }
    let served = world.get("/v1/openapi.json").await;
    assert_eq!(served.body, specification);
}

#[test]
fn the_specification_refers_only_to_what_it_holds() {
    fn walk(at: &Json, whole: &Json, seen: &mut usize) {
        match at {
            Json::Object(members) => {
                if let Some(Json::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a local reference");
                    assert!(whole.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members
                    .values()
                    .for_each(|member| walk(member, whole, seen));
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, whole, seen)),
            _ => {}
        }
    }
    let whole: Json = serde_json::from_str(node::SPECIFICATION).expect("JSON");
    let mut seen = 0;
    walk(&whole, &whole, &mut seen);
    assert!(seen > 50, "{seen}");
}

#[tokio::test]
async fn a_message_is_accepted_in_each_mode_and_a_repeat_is_answered_alike() {
    let world = World::new();
    let expected = |id: &str| json!({"id": id, "messageid": message_id(id), "state": "queued"});
    for _ in 0..2 {
        let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{}", answered.body);
        assert_eq!(answered.headers["content-type"], "application/json");
        assert_eq!(answered.body, expected("1"));
    }
    let batch = json!([event("2"), event("3")]);
    let answered = world.post("/v1/messages", BATCH, batch).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(
        answered.body,
        json!({"accepted": [expected("2"), expected("3")]})
    );
    let answered = world.post("/v1/messages", BATCH, "[]").await;
    assert_eq!(answered.body, json!({"accepted": []}));

    let headers = [
        ("content-type", "application/pdf"),
        ("ce-specversion", "1.0"),
        ("ce-id", "4"),
        ("ce-source", "/unit/hebi.xunxian.tobacco"),
        ("ce-type", "notice"),
        ("ce-to", "hebi.**"),
    ];
    let binary = request("POST", "/v1/messages", &headers, Body::from("%PDF"));
    let answered = world.ask(binary).await;
    assert_eq!(answered.body, expected("4"), "{}", answered.status);
    let ids: Vec<_> = world
        .node
        .told()
        .submitted
        .iter()
        .map(|s| s.header.id.clone())
        .collect();
    assert_eq!(ids, ["1", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_large_batch_is_read_off_the_request_threads_with_the_same_result() {
    let world = World::new();
    let events: Vec<_> = (0..1000)
        .map(|n| {
            let mut event = event(&n.to_string());
            event["data"] = "x".repeat(1000).into();
            event
        })
        .collect();
    let answered = world.post("/v1/messages", BATCH, Json::from(events)).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(world.node.told().submitted.len(), 1000);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_a_problem_that_names_it() {
    let world = World::new();
    let mut foreign = event("1");
    foreign["source"] = "/unit/hebi.police".into();
    let mut unknown = event("1");
    unknown["type"] = "case.unheardof".into();
    let cases = [
        (STRUCTURED, "{".to_owned(), 400, "invalid-json", None),
        (
            STRUCTURED,
            foreign.to_string(),
            403,
            "foreign-source",
            Some("source"),
        ),
        (
            STRUCTURED,
            unknown.to_string(),
            422,
            "unknown-kind",
            Some("type"),
        ),
        (STRUCTURED, "[]".to_owned(), 422, "invalid-event", None),
        (
            "application/json",
            event("1").to_string(),
            415,
            "unsupported-media-type",
            Some("content-type"),
        ),
        (
            "text/plain",
            event("1").to_string(),
            415,
            "unsupported-media-type",
            Some("content-type"),
        ),
    ];
    for (kind, body, status, slug, attribute) in cases {
        let answered = world.post("/v1/messages", kind, &body).await;
        assert_eq!(answered.status.as_u16(), status, "{body}");
        assert_eq!(answered.problem(), slug);
        assert_eq!(answered.body["attribute"].as_str(), attribute);
    }
    let batch = json!([event("1"), foreign]);
    let answered = world.post("/v1/messages", BATCH, batch).await;
    assert_eq!(answered.body["index"], json!(1));
    let mut large = event("1");
    large["data"] = "x".repeat(1024 * 1024).into();
    let answered = world.post("/v1/messages", STRUCTURED, large).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answered.body["bound"], json!("message-kib"));
    assert_eq!(answered.body["limit"], json!(1024));
    assert!(world.node.told().submitted.is_empty());
}

#[tokio::test]
async fn what_the_node_refuses_is_a_problem_and_says_when_to_try_again() {
    let world = World::new();
    let cases = [
        (Cause::InvalidRequest, 422, "invalid-request", false),
        (Cause::Policy, 403, "policy", false),
        (Cause::UnknownMessage, 404, "unknown-message", false),
        (Cause::IdConflict, 409, "id-conflict", false),
        (Cause::WrongState, 409, "wrong-state", false),
        (Cause::UnknownUnit, 422, "unknown-unit", false),
        (Cause::Expires, 422, "expires", false),
        (Cause::Busy, 429, "busy", true),
        (Cause::MailboxFull, 507, "mailbox-full", true),
        (Cause::BoundReached, 507, "bound-reached", true),
        (Cause::DiskFull, 507, "disk-full", true),
        (Cause::Recovering, 503, "recovering", true),
        (Cause::Stopping, 503, "stopping", true),
        (Cause::StorageFailed, 503, "storage-failed", true),
        (Cause::Internal, 500, "internal", false),
    ];
    for (cause, status, slug, retry) in cases {
        world.node.refuse(cause);
        let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
        assert_eq!(answered.status.as_u16(), status);
        assert_eq!(answered.problem(), slug);
        assert_eq!(
            answered.headers.contains_key("retry-after"),
            retry,
            "{slug}"
        );
    }
    use crate::delivery::NotAccepted;
    let why = NotAccepted::Bound {
        name: "outbox-messages",
        bound: 5,
    };
    world.node.told().refusal = Some(Refusal::not_accepted(3, &why));
    let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
    let body = answered.body;
    assert_eq!(body["bound"], json!("outbox-messages"));
    assert_eq!((&body["limit"], &body["index"]), (&json!(5), &json!(3)));
}

#[tokio::test]
async fn a_message_is_shown_with_its_times_and_an_unknown_one_is_404() {
    let world = World::new();
    world.post("/v1/messages", STRUCTURED, event("1")).await;
    let answered = world
        .get(&format!("/v1/messages/{}", message_id("1")))
        .await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.body["accepted"], json!("2026-02-25T06:13:20.000Z"));
    assert_eq!(answered.body["type"], json!("case.transfer"));
    assert_eq!(answered.body["timeline"][0]["step"], json!("accepted"));
    assert_eq!(
        answered.body["timeline"][0]
            .as_object()
            .map(|step| step.len()),
        Some(2)
    );
    for path in [message_id("2").to_string(), "nonsense".into(), "%ff".into()] {
        let answered = world.get(&format!("/v1/messages/{path}")).await;
        assert_eq!(answered.status.as_u16() / 100, 4, "{path}");
        answered.problem();
    }
}

#[tokio::test]
async fn the_inbox_hands_out_events_and_an_empty_array_when_none_came() {
    let world = World::new();
    let answered = world.get("/v1/inbox?wait=1ms").await;
    assert_eq!(answered.headers["content-type"], BATCH);
    assert_eq!(answered.body, json!([]));
    let messages = vec![handed(&world, "1", "[1]"), handed(&world, "2", "null")];
    world.node.told().inbox = messages;
    let answered = world.get("/v1/inbox?max=100000&wait=30s").await;
    let events = answered.body.as_array().expect("a batch");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["data"], json!([1]));
    assert_eq!(events[1]["messageid"], json!(message_id("2")));
    assert_eq!(events[1]["receivedtime"], json!("2026-02-25T06:13:20.005Z"));
    let expected = InboxAsk {
        max: 1000,
        bytes_max: 16 * 1024 * 1024,
        wait: Duration::from_secs(30),
    };
    assert_eq!(world.node.told().asked, Some(expected));
    for (query, name) in [
        ("max=0", "max"),
        ("max=many", "max"),
        ("wait=soon", "wait"),
        ("max=1&max=2", "query"),
        ("wait=%ff", "wait"),
    ] {
        let answered = world.get(&format!("/v1/inbox?{query}")).await;
        assert_eq!(answered.status.as_u16(), 422, "{query}");
        assert_eq!(answered.body["attribute"], json!(name), "{query}");
    }
}

#[tokio::test]
async fn a_message_that_makes_no_event_keeps_no_other_back() {
    let world = World::new();
    let mut damaged = handed(&world, "1", "[1]");
    damaged.body = Bytes::from_static(b"1},{");
    let messages = vec![damaged.clone(), handed(&world, "2", "2"), damaged];
    world.node.told().inbox = messages;
    let answered = world.get("/v1/inbox").await;
    assert_eq!(
        answered.body.as_array().map(Vec::len),
        Some(1),
        "{}",
        answered.body
    );
}

#[tokio::test]
async fn acks_and_releases_tell_what_was_not_known() {
    let world = World::new();
    let (one, two) = (message_id("1"), message_id("2"));
    let named = json!({"messageids": [one, two, "nonsense"]});
    let answered = world
        .post("/v1/inbox/ack", "application/json", &named)
        .await;
    assert_eq!(
        answered.body,
        json!({"acked": 1, "unknown": [one, "nonsense"]})
    );
    assert_eq!(world.node.told().acked, [one, two]);
    let answered = world
        .post("/v1/inbox/release", "application/json", &named)
        .await;
    assert_eq!(
        answered.body,
        json!({"released": 2, "unknown": ["nonsense"]})
    );
    let none = world
        .post("/v1/inbox/ack", "application/json", r#"{"messageids":[]}"#)
        .await;
    assert_eq!(none.body, json!({"acked": 0, "unknown": []}));
    for (body, status) in [
        ("{", 400),
        ("{}", 422),
        (r#"{"messageids":7}"#, 422),
        ("", 400),
    ] {
        let answered = world.post("/v1/inbox/ack", "application/json", body).await;
        assert_eq!(answered.status.as_u16(), status, "{body}");
        answered.problem();
    }
    let many = json!({"messageids": vec![one; 10_001]});
    let answered = world.post("/v1/inbox/ack", "application/json", many).await;
    assert_eq!(answered.body["attribute"], json!("messageids"));
}

#[tokio::test]
async fn operators_act_with_their_token_and_nobody_without() {
    let world = World::new();
    let id = message_id("1");
    let calls = [
        ("hold", json!({}), Action::Hold),
        ("release", json!({}), Action::Release),
        ("retry", json!({}), Action::Retry),
        (
            "reprioritise",
            json!({"priority": "flash"}),
            Action::Reprioritise(Lane::Flash),
        ),
        (
            "drop",
            json!({"reason": " sent twice "}),
            Action::Drop("sent twice".into()),
        ),
    ];
    for (name, body, action) in calls {
        let path = format!("/v1/queue/{id}/{name}");
        let refused = world.post(&path, "application/json", &body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert!(world.node.told().actions.is_empty());
        let answered = world.operate(&path, body).await;
        assert_eq!(answered.body, json!({"messageid": id, "done": name}));
        assert_eq!(world.node.told().actions.pop(), Some((id, action)));
    }
    for (name, body, attribute) in [
        ("drop", json!({"reason": " "}), "reason"),
        ("drop", json!({"reason": "x".repeat(513)}), "reason"),
        ("drop", json!({}), "body"),
        ("reprioritise", json!({"priority": "now"}), "priority"),
    ] {
        let answered = world.operate(&format!("/v1/queue/{id}/{name}"), body).await;
        assert_eq!(answered.status.as_u16(), 422);
        assert_eq!(answered.body["attribute"], json!(attribute));
    }
    let answered = world.operate("/v1/queue/nonsense/hold", json!({})).await;
    assert_eq!(answered.problem(), "unknown-message");
    assert!(world.node.told().actions.is_empty());
}

#[tokio::test]
async fn the_queue_is_asked_for_the_part_that_the_parameters_name() {
    let world = World::new();
    let answered = world
        .get("/v1/queue?max=7&cursor=abc&state=held&neighbour=hebi.hub")
        .await;
    assert_eq!(answered.body, json!({"messages": [], "total": 0}));
    let expected = QueueAsk {
        max: 7,
        cursor: Some("abc".into()),
        state: Some(MessageState::Held),
        neighbour: Some("hebi.hub".parse().expect("a unit")),
    };
    assert_eq!(world.node.told().queue, Some(expected));
    for (query, name) in [("state=read", "state"), ("neighbour=He", "neighbour")] {
        let answered = world.get(&format!("/v1/queue?{query}")).await;
        assert_eq!(answered.body["attribute"], json!(name));
    }
}

#[tokio::test]
async fn the_node_is_shown_and_probed() {
    let world = World::new();
    assert_eq!(
        world.get("/v1/status").await.body["started"],
        json!("2026-02-25T06:13:20.000Z")
    );
    let links = world.get("/v1/links").await.body;
    assert_eq!(links["links"][0]["lanes_sent"]["bulk"], json!(4));
    assert_eq!(world.get("/v1/units").await.body, json!({"units": []}));
    let metrics = world.get("/metrics").await;
    assert_eq!(metrics.body, json!("casegate_up 1\n"));
    assert_eq!(world.get("/readyz").await.body, json!({"status": "ready"}));
    world.node.refuse(Cause::StorageFailed);
    let answered = world.get("/readyz").await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (503, "storage-failed")
    );
    assert_eq!(world.get("/healthz").await.body, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_of_it() {
    let world = World::new();
    world.node.told().panics = true;
    let path = format!("/v1/messages/{}", message_id("1"));
    let answered = world.get(&path).await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (500, "internal")
    );
    assert!(!answered.body.to_string().contains("secret"));
    let request = answered.headers["x-request-id"].to_str().expect("a text");
    assert!(
        answered.body["detail"]
            .as_str()
            .expect("a text")
            .contains(request)
    );
}

#[tokio::test]
async fn requests_beyond_the_bound_are_429_and_probes_are_not() {
    let world = World::with(|settings| settings.limits.api_requests = 1);
    let poll = tokio::spawn(world.router.clone().oneshot(request(
        "GET",
        "/v1/inbox?wait=1m",
        &[],
        Body::empty(),
    )));
    world
        .node
        .until("a poll waits", |node| {
            node.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
    let answered = world.get("/v1/status").await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (429, "busy")
    );
    assert_eq!(answered.headers["retry-after"], "1");
    assert_eq!(answered.body["bound"], json!("api-requests"));
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
    poll.abort();
    world
        .node
        .until("the poll is dropped", |node| {
            node.waiting.load(Ordering::SeqCst) == 0
        })
        .await;
    assert_eq!(world.get("/v1/status").await.status, StatusCode::OK);
}

#[tokio::test]
async fn forty_megabytes_are_read_and_refused_and_the_connection_goes_on() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    let chunk = vec![b' '; 1024 * 1024];
    for chunked in [false, true] {
        let length = match chunked {
            true => "transfer-encoding: chunked".to_owned(),
            false => format!("content-length: {}", 40 * chunk.len()),
        };
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STRUCTURED}\r\n{length}\r\n\r\n"
        );
        client.write(head.as_bytes()).await;
        for _ in 0..40 {
            if chunked {
                client
                    .write(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .await;
            }
            client.write(&chunk).await;
            if chunked {
                client.write(b"\r\n").await;
            }
        }
        if chunked {
            client.write(b"0\r\n\r\n").await;
        }
        let (status, body) = client.read().await;
        assert_eq!(status, 413, "{body}");
        assert!(body.contains(r#""bound":"request-kib""#), "{body}");
    }
    client.get("/healthz").await;
    assert_eq!(client.read().await.0, 200);
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_reaches_a_client_that_still_writes() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    let length = 8 * 1024 * 1024;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    client.write(&vec![b'x'; length]).await;
    assert_eq!(client.read().await.0, 415);
    client.get("/healthz").await;
    assert_eq!(client.read().await.0, 200);
}

#[tokio::test]
async fn a_long_poll_ends_at_once_when_the_api_stops() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox?wait=5m").await;
    world
        .node
        .until("a poll waits", |node| {
            node.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
    served.stop.send(()).expect("it serves");
    assert_eq!(client.read().await, (200, "[]".into()));
    timeout(DEADLINE, served.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_poll_whose_client_has_gone_is_dropped() {
    let world = World::new();
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox?wait=5m").await;
    let waiting = |node: &Fake| node.waiting.load(Ordering::SeqCst) == 1;
    world.node.until("a poll waits", waiting).await;
    drop(client);
    let dropped = |node: &Fake| node.dropped.load(Ordering::SeqCst) == 1;
    world.node.until("the poll is dropped", dropped).await;
}

#[tokio::test]
async fn messages_whose_answer_cannot_be_written_are_given_back() {
    let world = World::new();
    // More than the sockets of both ends hold.
    let data = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    let messages: Vec<_> = (0..32)
        .map(|n| handed(&world, &n.to_string(), &data))
        .collect();
    let ids: Vec<_> = messages.iter().map(|m| m.header.message_id()).collect();
    world.node.told().inbox = messages;
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox").await;
    client.0.read_u8().await.expect("the answer begins");
    drop(client);
    world
        .node
        .until("they are given back", |node| node.told().released == ids)
        .await;
}

#[tokio::test]
async fn an_answer_that_was_written_is_not_given_back() {
    let world = World::new();
    let messages = vec![handed(&world, "1", "1")];
    world.node.told().inbox = messages;
    let served = world.serve().await;
    let mut client = Client::to(&served).await;
    client.get("/v1/inbox").await;
    assert_eq!(client.read().await.0, 200);
    // A wrong head breaks the connection, but not the answer before it.
    client.write(b"nonsense\r\n\r\n").await;
    assert_eq!(client.read().await.0, 400);
    served.stop.send(()).expect("it serves");
    timeout(DEADLINE, served.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(world.node.told().released.is_empty());
}
