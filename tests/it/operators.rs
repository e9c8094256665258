//! What operators do to many messages, to neighbours and to the node; also when the machine fails in the middle.

use casegate::model::Role;
use serde_json::{Value, json};

use crate::world::{Running, World, eventually, let_in, now, operator_token};

const HUB: &str = "hebi.hub";

async fn waiting(node: &Running, query: &str) -> Vec<Value> {
    let (status, page) = node.get(&format!("/v1/queue?max=1000&{query}")).await;
    assert_eq!(status, 200, "{page}");
    page["messages"].as_array().expect("messages").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_fit_are_acted_on_call_by_call_and_the_senders_learn_of_it() {
    let world = World::new();
    let mut settings = world.edge("hebi.tobacco", HUB, ([127, 0, 0, 1], 9).into());
    let li = let_in(&mut settings, "li.wei", Role::Operator);
    let edge = Running::start(settings.clone()).await;
    let mut messages = Vec::new();
    for number in 0..10 {
        let kind = if number % 2 == 0 { "notice" } else { "report" };
        let mut event = edge.event(&number.to_string(), "hebi.police", kind, json!({}));
        event["caseid"] = json!(format!("C-{number}"));
        messages.push(edge.submit(event).await);
    }
    let act = async |body: Value| {
        let (status, answer) = edge.post_as(&li, "/v1/queue/actions", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    // Three calls, as long as there is more.
    let mut body =
        json!({"action": "hold", "filter": {"kind": "notice"}, "max": 2, "reason": "a look"});
    let mut done = 0;
    loop {
        let answer = act(body.clone()).await;
        done += answer["done"].as_u64().expect("a number");
        match answer.get("cursor") {
            Some(cursor) => body["cursor"] = cursor.clone(),
            None => break,
        }
    }
    assert_eq!(done, 5);
    assert_eq!(waiting(&edge, "state=held").await.len(), 5);
    assert_eq!(waiting(&edge, "kind=report&lane=normal").await.len(), 5);
    assert_eq!(waiting(&edge, "case=C-3").await.len(), 1);
    assert_eq!(waiting(&edge, "older-than=1h").await.len(), 0);

    // One of them is not held.
    let named = json!({"action": "release", "messageids": [messages[0], messages[1]]});
    let answer = act(named).await;
    assert_eq!(answer["done"], json!(1));
    assert_eq!(answer["refused"][0]["messageid"], json!(messages[1]));
    let moved = json!({"action": "reprioritise", "filter": {"case": "C-1"}, "priority": "flash"});
    assert_eq!(act(moved).await["done"], json!(1));
    assert_eq!(waiting(&edge, "lane=flash").await.len(), 1);

    let over =
        json!({"action": "expire", "filter": {"kind": "report"}, "reason": "the month is over"});
    assert_eq!(act(over).await["done"], json!(5));
    edge.until_state(&messages[1], "expired").await;
    let (_, view) = edge.get(&format!("/v1/messages/{}", messages[1])).await;
    assert_eq!(view["receivers"][0]["reason"], json!("operator"), "{view}");
    let dropped = json!({"action": "drop", "filter": {}, "reason": "a test"});
    assert_eq!(act(dropped).await["done"], json!(5));
    edge.until_state(&messages[0], "dropped").await;
    assert_eq!(waiting(&edge, "").await.len(), 0);

    let (_, page) = edge.get_as(&li, "/v1/audit?action=expire").await;
    let entry = &page["entries"][0];
    assert_eq!(entry["subject"], json!("all with kind=report"));
    let reason = entry["reason"].as_str().expect("a text");
    assert!(
        reason.starts_with("5 messages: ") && reason.ends_with("; the month is over"),
        "{reason}"
    );
    edge.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_waits_through_restarts_and_goes_on_in_order() {
    let world = World::new();
    let hub = Running::start(world.hub(HUB)).await;
    let at = hub.dial_in().await;
    let settings = world.edge("hebi.tobacco", HUB, at);
    let edge = Running::start(settings.clone()).await;
    let police = Running::start(world.edge("hebi.police", HUB, at)).await;
    let token = operator_token(&settings);
    let connected = async |edge: &Running| {
        eventually("a session", async || {
            edge.get("/v1/status").await.1["sessions"] == 1
        })
        .await;
    };
    connected(&edge).await;
    let pause = format!("/v1/neighbours/{HUB}/pause");
    let (status, paused) = edge
        .post_as(&token, &pause, json!({"reason": "a test"}))
        .await;
    assert_eq!(
        (status, paused["paused"].as_array().map(Vec::len)),
        (200, Some(4))
    );
    let strange = "/v1/neighbours/hebi.nobody/pause";
    assert_eq!(edge.post_as(&token, strange, json!({})).await.0, 404);

    for id in ["1", "2"] {
        edge.submit(edge.event(id, "hebi.police", "notice", json!({"n": id})))
            .await;
    }
    edge.node.stop().await;
    let edge = Running::start(settings.clone()).await;
    connected(&edge).await;
    let mut urgent = edge.event("3", "hebi.police", "notice", json!({"n": "3"}));
    urgent["caseid"] = json!("B-1");
    urgent["priority"] = json!("flash");
    edge.submit(urgent).await;
    let (_, units) = edge.get("/v1/units").await;
    assert_eq!(
        units["units"][0]["paused"].as_array().map(Vec::len),
        Some(4),
        "{units}"
    );
    let (_, status) = edge.get("/v1/status").await;
    assert!(
        status["warnings"]
            .to_string()
            .contains("paused by an operator"),
        "{status}"
    );
    let all = waiting(&edge, "").await;
    assert_eq!(all.len(), 3);
    assert!(
        all.iter()
            .all(|entry| entry["paused"] == true && entry["state"] == "queued")
    );

    // Only flash goes on: what came in the other lanes before it waits.
    let resume = format!("/v1/neighbours/{HUB}/resume");
    assert_eq!(
        edge.post_as(&token, &resume, json!({"lane": "flash"}))
            .await
            .0,
        200
    );
    let first = police.receive(1).await;
    assert_eq!(first[0]["id"], json!("3"));
    eventually("the hub has acked it", async || {
        waiting(&edge, "").await.len() == 2
    })
    .await;
    assert_eq!(edge.post_as(&token, &resume, json!({})).await.0, 200);
    let mut ids = Vec::new();
    while ids.len() < 2 {
        let more = police.receive(1).await;
        ids.extend(more.iter().map(|event| event["id"].clone()));
        police.ack(&more).await;
    }
    assert_eq!(ids, [json!("1"), json!("2")]);
    let (_, status) = edge.get("/v1/status").await;
    assert!(
        !status["warnings"].to_string().contains("paused"),
        "{status}"
    );
    for node in [edge, police, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_takes_nothing_new_sends_what_it_has_and_says_when_it_is_empty() {
    let world = World::new();
    let hub = Running::start(world.hub(HUB)).await;
    let at = hub.dial_in().await;
    let settings = world.edge("hebi.tobacco", HUB, at);
    let edge = Running::start(settings.clone()).await;
    let token = operator_token(&settings);
    let event = |id: &str| edge.event(id, HUB, "notice", json!({}));
    let pause = format!("/v1/neighbours/{HUB}/pause");
    assert_eq!(edge.post_as(&token, &pause, json!({})).await.0, 200);
    edge.submit(event("1")).await;
    let (_, drained) = edge
        .post_as(&token, "/v1/drain", json!({"reason": "a new disk"}))
        .await;
    assert_eq!(
        (&drained["draining"], &drained["empty"]),
        (&json!(true), &json!(false))
    );
    let kind = "application/cloudevents+json";
    let (status, problem) = edge.post("/v1/messages", kind, event("2")).await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("urn:casegate:problem:draining"))
    );
    assert_eq!(edge.get("/readyz").await.0, 503);
    let resume = format!("/v1/neighbours/{HUB}/resume");
    assert_eq!(edge.post_as(&token, &resume, json!({})).await.0, 200);
    assert_eq!(hub.receive(1).await[0]["id"], json!("1"));
    eventually("nothing is queued", async || {
        let (_, status) = edge.get("/v1/status").await;
        status["queued"]["messages"] == 0 && status["draining"] == true
    })
    .await;
    let (_, drained) = edge.post_as(&token, "/v1/resume", json!({})).await;
    assert_eq!(
        (&drained["draining"], &drained["empty"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(edge.post("/v1/messages", kind, event("2")).await.0, 202);
    for node in [edge, hub] {
        node.node.stop().await;
    }
}

/// How many messages that wait for the hub expire within a day.
async fn expiring(node: &Running) -> String {
    let (_, metrics) = node.get("/metrics").await;
    let name = format!("casegate_queue_expiring_messages{{neighbour=\"{HUB}\"}} ");
    let metrics = metrics.as_str().expect("text").to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.expect("the metric").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_within_a_day_is_counted_until_it_leaves() {
    let world = World::new();
    let mut settings = world.edge("hebi.tobacco", HUB, ([127, 0, 0, 1], 9).into());
    let li = let_in(&mut settings, "li.wei", Role::Operator);
    let edge = Running::start(settings.clone()).await;
    let soon = jiff::Timestamp::from_millisecond(now() as i64 + 3_600_000).expect("a time");
    let mut messages = Vec::new();
    for number in 0..3 {
        let mut event = edge.event(&number.to_string(), "hebi.police", "notice", json!({}));
        if number > 0 {
            event["expires"] = json!(soon.to_string());
        }
        messages.push(edge.submit(event).await);
    }
    assert_eq!(expiring(&edge).await, "2");
    let body = json!({"action": "drop", "messageids": [messages[1]], "reason": "a test"});
    let (status, answer) = edge.post_as(&li, "/v1/queue/actions", body).await;
    assert_eq!(status, 200, "{answer}");
    edge.until_state(&messages[1], "dropped").await;
    assert_eq!(expiring(&edge).await, "1");
    edge.node.stop().await;

    let edge = Running::start(settings).await;
    assert_eq!(expiring(&edge).await, "1");
    edge.node.stop().await;
}
