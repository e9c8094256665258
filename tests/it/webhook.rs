//! Received messages are posted to an application: a real one, over HTTP, that fails, comes back, refuses and checks signatures.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use casegate::config::{Deliver, Settings};
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::world::{Running, World, eventually};

/// A call as the application saw it.
#[derive(Clone)]
struct Call {
    headers: BTreeMap<String, String>,
    body: Bytes,
}

impl Call {
    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether it is signed with this secret, by the rules of Standard Webhooks.
    fn is_signed_with(&self, secret: &str) -> bool {
        let secret = secret.trim().strip_prefix("whsec_").expect("a secret");
        let key = BASE64.decode(secret.as_bytes()).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [
            self.header("webhook-id").as_bytes(),
            b".".as_slice(),
            self.header("webhook-timestamp").as_bytes(),
            b".".as_slice(),
            &self.body[..],
        ]
        .concat();
        let given = self.header("webhook-signature").strip_prefix("v1,");
        let given = BASE64.decode(given.expect("a version").as_bytes());
        hmac::verify(&key, &signed, &given.expect("base64")).is_ok()
    }
}

/// What an application answers to an event.
type Answer = Box<dyn Fn(&Value) -> u16 + Send + Sync>;

struct Inner {
    answer: Mutex<Answer>,
    calls: Mutex<Vec<Call>>,
    /// What it took, by what the data said.
    taken: Mutex<Vec<Value>>,
}

/// An application with a port of its own.
#[derive(Clone)]
struct Application(Arc<Inner>);

impl Application {
    fn new(answer: impl Fn(&Value) -> u16 + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            answer: Mutex::new(Box::new(answer)),
            calls: Mutex::default(),
            taken: Mutex::default(),
        }))
    }

    fn answer(&self, answer: impl Fn(&Value) -> u16 + Send + Sync + 'static) {
        *self.0.answer.lock().expect("a lock") = Box::new(answer);
    }

    async fn listen(&self, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        async fn take(
            State(application): State<Application>,
            headers: HeaderMap,
            body: Bytes,
        ) -> axum::http::StatusCode {
            let headers = headers.iter().map(|(name, value)| {
                (name.to_string(), value.to_str().expect("a text").to_owned())
            });
            let call = Call {
                headers: headers.collect(),
                body,
            };
            let event = call.event();
            application.0.calls.lock().expect("a lock").push(call);
            let status = (application.0.answer.lock().expect("a lock"))(&event);
            if status == HANGS {
                std::future::pending::<()>().await;
            }
            if status == 200 {
                let data = event["data"].clone();
                application.0.taken.lock().expect("a lock").push(data);
            }
            axum::http::StatusCode::from_u16(status).expect("a status")
        }
        let router = Router::new()
            .route("/case", post(take))
            .with_state(self.clone());
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        (address, task)
    }

    fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().expect("a lock").clone()
    }

    fn taken(&self) -> Vec<Value> {
        self.0.taken.lock().expect("a lock").clone()
    }

    async fn until_taken(&self, count: usize) {
        eventually(&format!("{count} are taken"), async || {
            self.taken().len() >= count
        })
        .await;
    }
}

/// Of an application that does not answer at all.
const HANGS: u16 = 0;

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn deliver_to(settings: &mut Settings, address: SocketAddr) {
    settings.deliver = Some(Deliver {
        url: format!("http://{address}/case").parse().expect("a URL"),
        secret_file: None,
        timeout_s: 5,
        in_flight: Deliver::IN_FLIGHT,
        retry_max_s: 1,
    });
}

fn secret(settings: &Settings) -> String {
    fs::read_to_string(settings.data_dir.join("deliver.secret")).expect("a secret")
}

/// A hub, a sender, and the settings of a receiver that is not started yet.
struct Net {
    _hub: Running,
    a: Running,
    b: Settings,
    _world: World,
}

impl Net {
    async fn new() -> Self {
        let world = World::new();
        let hub = world.hub("hebi.hub");
        let hub = Settings {
            units: vec![casegate::config::Unit {
                name: "hebi.b".parse().expect("a unit"),
                title: None,
                blocked: false,
                serves: Vec::new(),
            }],
            ..hub
        };
        let hub = Running::start(hub).await;
        let address = hub.dial_in().await;
        let a = world.edge("hebi.a", "hebi.hub", address);
        let b = world.edge("hebi.b", "hebi.hub", address);
        Self {
            a: Running::start(a).await,
            b,
            _hub: hub,
            _world: world,
        }
    }

    async fn send(&self, id: &str, case: &str, data: Value) -> String {
        let mut event = self.a.event(id, "hebi.b", "case.step", data);
        event["caseid"] = case.into();
        self.a.submit(event).await
    }
}

/// What the status warns of, but for the test's certificates, which never last long.
async fn warnings(node: &Running) -> String {
    let (_, status) = node.get("/v1/status").await;
    let warnings = status["warnings"].as_array().expect("a list").iter();
    let of_posts = warnings
        .filter_map(Value::as_str)
        .filter(|warning| warning.contains("/case"));
    of_posts.collect()
}

async fn metric(node: &Running, name: &str) -> f64 {
    let (_, metrics) = node.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the metric").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_posted_signed_once_and_in_the_order_of_their_case() {
    let mut net = Net::new().await;
    let application = Application::new(|_| 200);
    let (address, _serving) = application.listen(anywhere()).await;
    deliver_to(&mut net.b, address);
    let b = Running::start(net.b.clone()).await;
    let mut last = String::new();
    for n in 0..24 {
        let case = format!("case {}", n % 4);
        last = net
            .send(&n.to_string(), &case, json!({"case": n % 4, "n": n}))
            .await;
    }
    application.until_taken(24).await;
    net.a.until_state(&last, "read").await;
    assert_eq!(b.get("/v1/inbox?wait=0s").await.1, json!([]));

    let mut by_case: BTreeMap<u64, VecDeque<u64>> = BTreeMap::new();
    for data in application.taken() {
        let number = |name: &str| data[name].as_u64().expect("a number");
        by_case
            .entry(number("case"))
            .or_default()
            .push_back(number("n"));
    }
    assert_eq!(by_case.len(), 4);
    for (case, order) in by_case {
        let expected: VecDeque<_> = (0..24).filter(|n| n % 4 == case).collect();
        assert_eq!(order, expected);
    }
    let secret = secret(&net.b);
    for call in application.calls() {
        let event = call.event();
        assert_eq!(event["messageid"], call.header("webhook-id"));
        assert_eq!(call.header("content-type"), "application/cloudevents+json");
        assert!(call.is_signed_with(&secret));
        // Whoever changes anything, or has another secret, is found out.
        let changed = |change: fn(&mut Call)| {
            let mut call = call.clone();
            change(&mut call);
            call.is_signed_with(&secret)
        };
        assert!(!changed(
            |call| call.body = [&call.body[..], b" ".as_slice()].concat().into()
        ));
        for name in ["webhook-id", "webhook-timestamp"] {
            let mut call = call.clone();
            call.headers.insert(name.into(), "1".into());
            assert!(!call.is_signed_with(&secret), "{name}");
        }
        assert!(!call.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    }
    eventually("all are counted", async || {
        metric(&b, "casegate_deliver_taken_total").await == 24.0
    })
    .await;
    assert_eq!(warnings(&b).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_away_and_then_ill_gets_everything_when_it_is_well() {
    let mut net = Net::new().await;
    let application = Application::new(|_| 503);
    // A port on which nobody listens yet.
    let (address, serving) = application.listen(anywhere()).await;
    serving.abort();
    eventually("nobody listens", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    deliver_to(&mut net.b, address);
    let b = Running::start(net.b.clone()).await;
    for n in 0..10 {
        net.send(&n.to_string(), &format!("case {}", n % 5), json!(n))
            .await;
    }
    eventually("a warning", async || {
        warnings(&b).await.contains("it cannot be reached: ")
    })
    .await;
    let (_, _serving) = application.listen(address).await;
    eventually("another warning", async || {
        warnings(&b).await.contains("it answered 503")
    })
    .await;
    assert!(application.taken().is_empty());
    application.answer(|_| 200);
    application.until_taken(10).await;
    let taken = application.taken();
    for case in 0..5u64 {
        let of_case = taken
            .iter()
            .filter_map(Value::as_u64)
            .filter(|n| n % 5 == case);
        assert_eq!(of_case.collect::<Vec<_>>(), [case, case + 5]);
    }
    eventually("no warning", async || warnings(&b).await.is_empty()).await;
    assert_eq!(b.get("/v1/inbox?wait=0s").await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_waits_with_its_case_and_keeps_no_other_from_going() {
    let mut net = Net::new().await;
    let application = Application::new(|event| if event["data"] == "bad" { 422 } else { 200 });
    let (address, _serving) = application.listen(anywhere()).await;
    deliver_to(&mut net.b, address);
    let b = Running::start(net.b.clone()).await;
    let bad = net.send("1", "A", json!("bad")).await;
    net.send("2", "A", json!("after it")).await;
    for n in 3..8 {
        net.send(&n.to_string(), &format!("case {n}"), json!("other"))
            .await;
    }
    application.until_taken(5).await;
    eventually("a warning", async || {
        warnings(&b).await.contains("it answered 422")
    })
    .await;
    assert_eq!(metric(&b, "casegate_deliver_waiting").await, 1.0);
    assert!(!application.taken().contains(&json!("after it")));
    net.a.until_state(&bad, "delivered").await;
    let tried = || {
        let calls = application.calls();
        calls
            .iter()
            .filter(|call| call.header("webhook-id") == bad)
            .count()
    };
    eventually("it is tried again", async || tried() >= 3).await;
    // The application has been mended.
    application.answer(|_| 200);
    application.until_taken(7).await;
    assert_eq!(application.taken()[5..], [json!("bad"), json!("after it")]);
    eventually("no warning", async || warnings(&b).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_when_the_node_ended_comes_again_under_the_same_name() {
    let mut net = Net::new().await;
    let application = Application::new(|_| HANGS);
    let (address, _serving) = application.listen(anywhere()).await;
    deliver_to(&mut net.b, address);
    let b = Running::start(net.b.clone()).await;
    let message = net.send("1", "A", json!("once")).await;
    eventually("it is posted", async || !application.calls().is_empty()).await;
    b.node.stop().await;
    assert!(application.taken().is_empty());
    application.answer(|_| 200);
    let b = Running::start(net.b.clone()).await;
    application.until_taken(1).await;
    net.a.until_state(&message, "read").await;
    for call in application.calls() {
        assert_eq!(call.header("webhook-id"), message);
    }
    b.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_posts_to_another_application_and_signs_with_another_secret() {
    let mut net = Net::new().await;
    let (one, other) = (Application::new(|_| 200), Application::new(|_| 200));
    let (first, _serving) = one.listen(anywhere()).await;
    let (second, _serving_too) = other.listen(anywhere()).await;
    deliver_to(&mut net.b, first);
    let b = Running::start(net.b.clone()).await;
    net.send("1", "A", json!(1)).await;
    one.until_taken(1).await;

    let mut settings = net.b.clone();
    deliver_to(&mut settings, second);
    let file = settings.data_dir.with_file_name("secret");
    let deliver = settings.deliver.as_mut().expect("it is set");
    deliver.secret_file = Some(file.clone());
    b.node
        .reload(settings.clone())
        .await
        .expect_err("there is no such file");
    write_secret(&file);
    b.node.reload(settings).await.expect("reloaded");
    net.send("2", "A", json!(2)).await;
    other.until_taken(1).await;
    assert_eq!(
        (one.taken(), other.taken()),
        (vec![json!(1)], vec![json!(2)])
    );
    assert!(other.calls()[0].is_signed_with(SECRET));
    b.node.reload(net.b.clone()).await.expect("reloaded");
    net.send("3", "A", json!(3)).await;
    one.until_taken(2).await;
    assert!(one.calls()[1].is_signed_with(&secret(&net.b)));
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn write_secret(path: &Path) {
    fs::write(path, SECRET).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_answer_is_given_up_on_in_time() {
    let mut net = Net::new().await;
    let application = Application::new(|_| HANGS);
    let (address, _serving) = application.listen(anywhere()).await;
    deliver_to(&mut net.b, address);
    net.b.deliver.as_mut().expect("it is set").timeout_s = 1;
    let b = Running::start(net.b.clone()).await;
    net.send("1", "A", json!("late")).await;
    eventually("a warning", async || {
        warnings(&b).await.contains("no answer within 1 s")
    })
    .await;
    application.answer(|_| 200);
    application.until_taken(1).await;
}
