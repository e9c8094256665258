//! What happened to messages is told to a collector: a real one as far as HTTP goes, that fails, is away, and comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
    routing::post,
};
use casegate::{
    config::{Settings, Share, Traces, Unit},
    model::MessageId,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::world::{Running, World, eventually, unit};

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Span {
    /// Who told it.
    unit: String,
    told: Value,
}

impl Span {
    fn text(&self, name: &str) -> &str {
        self.told[name].as_str().unwrap_or_default()
    }

    /// What an attribute says, as a text.
    fn attribute(&self, key: &str) -> Option<&str> {
        attribute(&self.told, key)
    }

    fn nanos(&self, name: &str) -> u64 {
        self.text(name).parse().expect("a time")
    }
}

fn attribute<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    let all = of["attributes"].as_array().expect("attributes");
    let found = all.iter().find(|attribute| attribute["key"] == key)?;
    let value = found["value"].as_object().expect("a value");
    value.values().next().and_then(Value::as_str)
}

struct Inner {
    /// What it answers, and when to come again.
    answer: Mutex<(u16, Option<u64>)>,
    posts: Mutex<usize>,
    taken: Mutex<Vec<Span>>,
}

/// A collector with a port of its own.
#[derive(Clone)]
struct Collector(Arc<Inner>);

impl Collector {
    fn new(status: u16) -> Self {
        Self(Arc::new(Inner {
            answer: Mutex::new((status, None)),
            posts: Mutex::default(),
            taken: Mutex::default(),
        }))
    }

    fn answer(&self, status: u16, after: Option<u64>) {
        *self.0.answer.lock().expect("a lock") = (status, after);
    }

    async fn listen(&self, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        async fn take(
            State(collector): State<Collector>,
            headers: HeaderMap,
            body: Bytes,
        ) -> Response {
            assert_eq!(headers["content-type"], "application/json");
            let (status, after) = *collector.0.answer.lock().expect("a lock");
            *collector.0.posts.lock().expect("a lock") += 1;
            if status == 200 {
                let request = serde_json::from_slice(&body).expect("JSON");
                let spans = spans_of(&request);
                collector.0.taken.lock().expect("a lock").extend(spans);
            }
            let status = StatusCode::from_u16(status).expect("a status");
            let mut answer = (status, "{}").into_response();
            if let Some(after) = after {
                answer.headers_mut().insert(RETRY_AFTER, after.into());
            }
            answer
        }
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(self.clone());
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        (address, task)
    }

    fn posts(&self) -> usize {
        *self.0.posts.lock().expect("a lock")
    }

    /// All the spans that it took, in their order.
    fn taken(&self) -> Vec<Span> {
        self.0.taken.lock().expect("a lock").clone()
    }

    /// What was told of one message.
    fn of(&self, message: &str) -> Vec<Span> {
        let mut taken = self.taken();
        taken.retain(|span| span.attribute("messaging.message.id") == Some(message));
        taken
    }

    /// Waits until a unit has told of an operation on a message.
    async fn until_told(&self, unit: &str, operation: &str, message: &str) {
        eventually(&format!("{unit} tells {operation}"), async || {
            self.of(message).iter().any(|span| {
                span.unit == unit && span.attribute("messaging.operation.name") == Some(operation)
            })
        })
        .await;
    }
}

fn spans_of(request: &Value) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request["resourceSpans"].as_array().expect("a list") {
        let resource = &of_resource["resource"];
        assert_eq!(attribute(resource, "service.name"), Some("casegate"));
        let unit = attribute(resource, "service.instance.id").expect("a unit");
        for of_scope in of_resource["scopeSpans"].as_array().expect("a list") {
            for told in of_scope["spans"].as_array().expect("a list") {
                let (unit, told) = (unit.to_owned(), told.clone());
                spans.push(Span { unit, told });
            }
        }
    }
    spans
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn trace_to(settings: &mut Settings, address: SocketAddr, share: f64) {
    settings.traces = Some(Traces {
        url: format!("http://{address}/v1/traces")
            .parse()
            .expect("a URL"),
        share: Share::new(share).expect("a share"),
    });
}

/// A hub that knows its units and two edges, which all tell one collector, or none.
struct Net {
    hub: Running,
    a: Running,
    b: Running,
    a_settings: Settings,
    _world: World,
}

impl Net {
    async fn start(collector: Option<SocketAddr>) -> Self {
        let world = World::new();
        let with_traces = |mut settings: Settings| {
            if let Some(address) = collector {
                trace_to(&mut settings, address, 1.0);
            }
            settings
        };
        let mut hub = with_traces(world.hub("hebi.hub"));
        hub.units = vec![Unit {
            name: unit("hebi.b"),
            title: None,
            blocked: false,
            serves: Vec::new(),
        }];
        let hub = Running::start(hub).await;
        let address = hub.dial_in().await;
        let a_settings = with_traces(world.edge("hebi.a", "hebi.hub", address));
        let b = with_traces(world.edge("hebi.b", "hebi.hub", address));
        Self {
            a: Running::start(a_settings.clone()).await,
            b: Running::start(b).await,
            hub,
            a_settings,
            _world: world,
        }
    }
}

/// Sends a message from one to the other, which reads it; gives its messageid.
async fn send(a: &Running, b: &Running, id: &str) -> String {
    let event = a.event(
        id,
        "hebi.b",
        "case.step",
        json!({"secret": "a text of a case"}),
    );
    let message = a.submit(event).await;
    let events = b.receive(1).await;
    b.ack(&events).await;
    a.until_state(&message, "read").await;
    message
}

async fn metric(node: &Running, name: &str) -> f64 {
    let (_, metrics) = node.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the metric").trim().parse().expect("a number")
}

async fn warnings(node: &Running) -> String {
    let (_, status) = node.get("/v1/status").await;
    let warnings = status["warnings"].as_array().expect("a list").iter();
    let of_traces = warnings
        .filter_map(Value::as_str)
        .filter(|warning| warning.contains("/v1/traces"));
    of_traces.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_trace_over_all_nodes() {
    let collector = Collector::new(200);
    let (address, _serving) = collector.listen(anywhere()).await;
    let net = Net::start(Some(address)).await;
    let Net { hub, a, b, .. } = &net;
    let message = send(a, b, "1").await;
    collector.until_told("hebi.a", "send", &message).await;
    collector.until_told("hebi.hub", "relay", &message).await;
    collector.until_told("hebi.b", "hand over", &message).await;

    let spans = collector.of(&message);
    let id: MessageId = message.parse().expect("a messageid");
    let trace = data_encoding::HEXLOWER.encode(&id.0);
    let ids: BTreeSet<_> = spans.iter().map(|span| span.text("spanId")).collect();
    assert_eq!(ids.len(), spans.len(), "one is told twice: {spans:#?}");
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| span.told.get("parentSpanId").is_none())
        .collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    let root = roots[0];
    assert_eq!((&*root.unit, root.text("name")), ("hebi.a", "send hebi.b"));
    assert_eq!(root.attribute("casegate.state"), Some("delivered"));
    let mut by_unit: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for span in &spans {
        assert_eq!(span.text("traceId"), trace);
        assert!(span.nanos("startTimeUnixNano") >= root.nanos("startTimeUnixNano"));
        assert!(span.nanos("endTimeUnixNano") >= span.nanos("startTimeUnixNano"));
        assert_eq!(span.told.get("status"), None, "{span:?}");
        if span.told.get("parentSpanId").is_some() {
            assert_eq!(span.text("parentSpanId"), root.text("spanId"));
        }
        if span.attribute("messaging.operation.name") == Some("relay") {
            assert_eq!(span.attribute("casegate.link"), Some("lan"));
            assert_eq!(span.attribute("casegate.attempt"), Some("1"));
        }
        by_unit
            .entry(&span.unit)
            .or_default()
            .push(span.text("name"));
    }
    for names in by_unit.values_mut() {
        names.sort_unstable();
    }
    let expected = [
        (
            "hebi.a",
            vec![
                "accept hebi.a",
                "relay hebi.hub",
                "send hebi.b",
                "wait hebi.hub",
            ],
        ),
        (
            "hebi.b",
            vec![
                "deliver hebi.b",
                "hand over hebi.b",
                "receive hebi.b",
                "wait hebi.b",
            ],
        ),
        (
            "hebi.hub",
            vec!["receive hebi.hub", "relay hebi.b", "wait hebi.b"],
        ),
    ];
    assert_eq!(by_unit, BTreeMap::from(expected));
    // Nothing of what it says, or of the case that it is about.
    let all = format!("{spans:?}");
    assert!(!all.contains("secret") && !all.contains("a text of a case") && !all.contains("A-1"));
    for (node, count) in [(a, 4.0), (hub, 3.0), (b, 4.0)] {
        eventually("all are counted", async || {
            metric(node, "casegate_spans_exported_total").await == count
        })
        .await;
        assert_eq!(metric(node, "casegate_spans_dropped_total").await, 0.0);
        assert_eq!(warnings(node).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_ill_for_a_while_gets_every_span_once() {
    let collector = Collector::new(503);
    collector.answer(503, Some(0));
    let (address, _serving) = collector.listen(anywhere()).await;
    let net = Net::start(Some(address)).await;
    let Net { a, b, .. } = &net;
    let first = send(a, b, "1").await;
    eventually("a warning", async || {
        warnings(a).await.contains("it answered 503")
    })
    .await;
    eventually("it is tried again", async || collector.posts() >= 6).await;
    let second = send(a, b, "2").await;
    assert!(collector.taken().is_empty());
    collector.answer(200, None);
    for message in [&first, &second] {
        collector.until_told("hebi.a", "send", message).await;
        collector.until_told("hebi.hub", "relay", message).await;
        collector.until_told("hebi.b", "hand over", message).await;
        let spans = collector.of(message);
        let ids: BTreeSet<_> = spans.iter().map(|span| span.text("spanId")).collect();
        assert_eq!((ids.len(), spans.len()), (11, 11), "{spans:#?}");
    }
    eventually("no warning", async || warnings(a).await.is_empty()).await;
    assert_eq!(metric(a, "casegate_spans_dropped_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_the_collector_does_not_want_are_dropped_and_counted() {
    let collector = Collector::new(400);
    let (address, _serving) = collector.listen(anywhere()).await;
    let net = Net::start(Some(address)).await;
    let Net { a, b, .. } = &net;
    send(a, b, "1").await;
    eventually("all are dropped", async || {
        metric(a, "casegate_spans_dropped_total").await == 4.0
    })
    .await;
    collector.answer(200, None);
    let message = send(a, b, "2").await;
    collector.until_told("hebi.a", "send", &message).await;
    assert_eq!(metric(a, "casegate_spans_dropped_total").await, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_disturbs_nothing_and_what_finds_no_room_is_counted() {
    let collector = Collector::new(200);
    // A port on which nobody listens.
    let (address, serving) = collector.listen(anywhere()).await;
    serving.abort();
    eventually("nobody listens", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    let net = Net::start(Some(address)).await;
    let Net { a, b, .. } = &net;
    let batch = "application/cloudevents-batch+json";
    // Four spans each at the sender.
    const MESSAGES: usize = 1_200;
    for hundred in 0..MESSAGES / 100 {
        let events: Vec<_> = (0..100)
            .map(|n| a.event(&format!("{hundred}-{n}"), "hebi.b", "case.step", json!(n)))
            .collect();
        let (status, answer) = a.post("/v1/messages", batch, events.into()).await;
        assert_eq!(status, 202, "{answer}");
    }
    let mut received = 0;
    while received < MESSAGES {
        let events = b.receive(1).await;
        b.ack(&events).await;
        received += events.len();
    }
    eventually("spans are dropped", async || {
        metric(a, "casegate_spans_dropped_total").await > 0.0
    })
    .await;
    assert!(warnings(a).await.contains("it cannot be reached: "));
    // It is there at last, and gets what found room.
    let (_, _serving) = collector.listen(address).await;
    eventually("what waited is told", async || {
        let exported = metric(a, "casegate_spans_exported_total").await;
        exported > 3_000.0 && warnings(a).await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tells_another_collector_and_a_stop_tells_what_is_left() {
    let (one, other) = (Collector::new(200), Collector::new(200));
    let (first, _serving) = one.listen(anywhere()).await;
    let (second, _serving_too) = other.listen(anywhere()).await;
    let Net {
        hub: _hub,
        a,
        b,
        a_settings,
        _world,
    } = Net::start(None).await;
    let untold = send(&a, &b, "1").await;

    let settings = |collector, share| {
        let mut settings = a_settings.clone();
        trace_to(&mut settings, collector, share);
        settings
    };
    a.node.reload(settings(first, 1.0)).await.expect("reloaded");
    let told = send(&a, &b, "2").await;
    one.until_told("hebi.a", "send", &told).await;
    // A share that is as good as nothing.
    a.node
        .reload(settings(first, 1e-15))
        .await
        .expect("reloaded");
    let not_chosen = send(&a, &b, "3").await;
    a.node
        .reload(settings(second, 1.0))
        .await
        .expect("reloaded");
    let last = send(&a, &b, "4").await;
    // At once, so that nothing can have been told by the way.
    a.node.stop().await;
    let names = |collector: &Collector, message: &str| {
        let told = collector.of(message);
        told.iter()
            .map(|span| span.text("name").to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert!(names(&other, &last).contains("send hebi.b"));
    assert!(names(&one, &last).is_empty() && names(&other, &told).is_empty());
    for message in [&untold, &not_chosen] {
        assert!(names(&one, message).is_empty() && names(&other, message).is_empty());
    }
}
