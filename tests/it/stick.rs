//! A queue that is carried as a file while the link is down: once each, in order, and nothing half done.

use serde_json::{Value, json};

use crate::world::{Running, World, agent, eventually, operator_token};

const HUB: &str = "hebi.hub";

/// What the node gives for this.
async fn export(node: &Running, token: &str, ask: Value) -> (u16, Vec<u8>) {
    let (url, bearer) = (node.url("/v1/queue/export"), format!("Bearer {token}"));
    let asked = tokio::task::spawn_blocking(move || {
        let request = agent().post(&url).header("authorization", bearer);
        let request = request.content_type("application/json");
        let mut answer = request.send(ask.to_string()).expect("an answer");
        let body = answer.body_mut().read_to_vec().expect("bytes");
        (answer.status().as_u16(), body)
    });
    asked.await.expect("no panic")
}

async fn import(node: &Running, token: &str, file: Vec<u8>) -> (u16, Value) {
    let (url, bearer) = (node.url("/v1/import"), format!("Bearer {token}"));
    crate::world::call(move || {
        let request = agent().put(&url).header("authorization", bearer);
        request.content_type("application/octet-stream").send(file)
    })
    .await
}

fn is(answer: &(u16, Value), status: u16, slug: &str) {
    let (told, body) = answer;
    let kind = body["type"].as_str().unwrap_or_default();
    assert!(*told == status && kind.ends_with(slug), "{answer:?}");
}

async fn until_connected(edge: &Running) {
    eventually("a session", async || {
        edge.get("/v1/status").await.1["sessions"] == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_carried_by_hand_is_delivered_once_and_the_link_then_finds_it_done() {
    let world = World::new();
    let hub_settings = world.hub(HUB);
    let hub = Running::start(hub_settings.clone()).await;
    let at = hub.dial_in().await;
    let settings = world.edge("hebi.tobacco", HUB, at);
    let police = Running::start(world.edge("hebi.police", HUB, at)).await;
    let edge = Running::start(settings.clone()).await;
    until_connected(&edge).await;
    until_connected(&police).await;
    edge.node.stop().await;

    // The link is down: nobody is at that address.
    let mut cut_off = settings.clone();
    cut_off.upstream = world
        .edge("hebi.tobacco", HUB, ([127, 0, 0, 1], 9).into())
        .upstream;
    let edge = Running::start(cut_off.clone()).await;
    let (token, hubs) = (operator_token(&settings), operator_token(&hub_settings));
    let scan = edge.bring(vec![7; 200_000]).await;
    let mut messages = Vec::new();
    for number in 0..5 {
        let mut event = edge.event(&number.to_string(), "hebi.police", "notice", json!(number));
        if number == 2 {
            event["attachments"] = json!(scan);
        }
        messages.push(edge.submit(event).await);
    }
    // The last one of a case takes the earlier ones along.
    let (status, file) = export(&edge, &token, json!({"messageids": [messages[3]]})).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&file));
    let (_, held) = edge.get("/v1/queue?state=held").await;
    let held = held["messages"].as_array().expect("messages").clone();
    assert_eq!(held.len(), 4, "{held:?}");
    assert!(held.iter().all(|entry| entry["exported"] == true));

    // Nothing of a file that is not whole, not for this node, or not of a neighbour is taken.
    for (cut, longer) in [(20, 0), (1, 0), (file.len() / 2, 0), (0, 1)] {
        let mut bad = file[..file.len() - cut].to_vec();
        bad.resize(bad.len() + longer, 0);
        is(&import(&hub, &hubs, bad).await, 422, "bad-file");
    }
    for at in [3, 40, 300, file.len() - 190_000] {
        let mut bad = file.clone();
        bad[at] ^= 1;
        is(&import(&hub, &hubs, bad).await, 422, "bad-file");
    }
    is(&import(&edge, &token, file.clone()).await, 422, "bad-file");
    is(
        &import(&hub, "nobody", file.clone()).await,
        403,
        "not-operator",
    );
    let (_, messages_of_hub) = hub.get("/v1/messages").await;
    assert_eq!(messages_of_hub["messages"], json!([]));

    let (status, answer) = import(&hub, &hubs, file.clone()).await;
    assert_eq!((status, &answer["taken"]), (200, &json!(4)), "{answer}");
    // Of a case one is handed over at a time.
    for number in 0..4 {
        let events = police.receive(1).await;
        assert_eq!(events[0]["data"], json!(number));
        police.ack(&events).await;
    }
    is(&import(&hub, &hubs, file).await, 409, "already-imported");

    // The exporter keeps it through a restart, and the link finds it done.
    edge.node.stop().await;
    let edge = Running::start(settings).await;
    for message in &messages {
        edge.until_state(message, "delivered").await;
    }
    let last = police.receive(1).await;
    assert_eq!(last[0]["data"], json!(4));
    police.ack(&last).await;
    let (_, rest) = police.get("/v1/inbox?max=10&wait=1s").await;
    assert_eq!(rest, json!([]));
    let (_, log) = edge.get_as(&token, "/v1/audit?action=export").await;
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(1), "{log}");
    edge.node.stop().await;
    hub.node.stop().await;
    police.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_never_met_exchange_no_files() {
    let world = World::new();
    let settings = world.edge("hebi.tobacco", HUB, ([127, 0, 0, 1], 9).into());
    let edge = Running::start(settings.clone()).await;
    edge.submit(edge.event("1", "hebi.police", "notice", json!(1)))
        .await;
    let (status, told) = export(&edge, &operator_token(&settings), json!({"filter": {}})).await;
    let told = String::from_utf8_lossy(&told);
    assert!(
        status == 409 && told.contains("not-by-hand"),
        "{status} {told}"
    );
    edge.node.stop().await;
}
