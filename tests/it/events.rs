//! Listening to a real node.

use std::{
    io::{BufRead as _, BufReader},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::world::{PATIENCE, Running, World, agent};

/// Somebody who listens to a node, until it ends.
struct Listener(mpsc::Receiver<(String, Value)>);

impl Listener {
    fn to(node: &Running, topics: &str) -> Self {
        let url = node.url(&format!("/v1/events?topics={topics}"));
        let (heard, receiver) = mpsc::channel();
        thread::spawn(move || {
            let answer = agent().get(url).call().expect("an answer");
            let lines = BufReader::new(answer.into_body().into_reader()).lines();
            let mut name = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).expect("JSON");
                    // The test may have heard enough.
                    let _ = heard.send((name.clone(), data));
                }
            }
        });
        Self(receiver)
    }

    /// Waits for an event that fits; fails the test when it does not come.
    async fn until(&self, what: &str, fits: impl Fn(&str, &Value) -> bool) -> Value {
        let found = tokio::task::block_in_place(|| {
            loop {
                let (name, data) = self.0.recv_timeout(PATIENCE).ok()?;
                if fits(&name, &data) {
                    return Some(data);
                }
            }
        });
        found.unwrap_or_else(|| panic!("never heard: {what}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_both_ends_is_heard_while_it_happens_and_only_once() {
    let world = World::new();
    let hub = Running::start(world.hub("hebi.hub")).await;
    let settings = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let tobacco = Running::start(settings.clone()).await;
    let sender = Listener::to(&tobacco, "message,status,link");
    let receiver = Listener::to(&hub, "message,unit");
    sender.until("the status", |name, _| name == "status").await;
    let up = |name: &str, link: &Value| name == "link" && link["up"] == true;
    sender.until("the link is up", up).await;
    let met = |name: &str, unit: &Value| name == "unit" && unit["connected"] == true;
    let unit = receiver.until("the unit is there", met).await;
    assert_eq!(unit["unit"], "hebi.tobacco");

    let event = tobacco.event("1", "hebi.hub", "case.transfer", json!({"n": 1}));
    let message = tobacco.submit(event).await;
    for step in ["accepted", "sent", "acked"] {
        let happened = |name: &str, data: &Value| name == "message" && data["step"]["step"] == step;
        let data = sender.until(step, happened).await;
        assert_eq!(
            (&data["messageid"], &data["caseid"]),
            (&json!(message), &json!("A-1"))
        );
    }
    let arrived =
        |name: &str, data: &Value| name == "message" && data["step"]["step"] == "delivered";
    assert_eq!(
        receiver.until("it arrives", arrived).await["messageid"],
        message
    );
    let received = hub.receive(1).await;
    hub.ack(&received).await;
    let read = |name: &str, data: &Value| {
        name == "message" && data["step"]["outcome"] == "read" && data["state"] == "read"
    };
    sender.until("a receipt says that it is read", read).await;

    // What was before a restart is not told again.
    drop(sender);
    tobacco.node.stop().await;
    let tobacco = Running::start(settings).await;
    let sender = Listener::to(&tobacco, "message");
    let event = tobacco.event("2", "hebi.hub", "case.transfer", json!({"n": 2}));
    let second = tobacco.submit(event).await;
    let first = sender.until("anything", |name, _| name == "message").await;
    assert_eq!(first["messageid"], second);
}
