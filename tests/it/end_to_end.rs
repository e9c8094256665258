//! Messages between three nodes: a hub and two edges.

use serde_json::json;

use crate::world::{Running, World, eventually};

/// A hub and two edges, connected.
async fn three(world: &World) -> (Running, Running, Running) {
    let hub = Running::start(world.hub("hebi.hub")).await;
    let at = hub.dial_in().await;
    let tobacco = Running::start(world.edge("hebi.tobacco", "hebi.hub", at)).await;
    let police = Running::start(world.edge("hebi.police", "hebi.hub", at)).await;
    eventually("both edges are connected", async || {
        let (_, status) = hub.get("/v1/status").await;
        status["sessions"] == 2
    })
    .await;
    (hub, tobacco, police)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_other_edge_and_its_sender_learns_that_it_was_read() {
    let world = World::new();
    let (hub, tobacco, police) = three(&world).await;
    let data = json!({"title": "案件移送", "n": 1.50});
    let event = tobacco.event("1", "hebi.police", "case.transfer", data.clone());
    let message = tobacco.submit(event).await;

    let received = police.receive(1).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["id"], "1");
    assert_eq!(received[0]["source"], "/unit/hebi.tobacco");
    assert_eq!(received[0]["messageid"], message.as_str());
    assert_eq!(received[0]["data"], data);
    tobacco.until_state(&message, "delivered").await;

    police.ack(&received).await;
    tobacco.until_state(&message, "read").await;
    let (status, inbox) = police.get("/v1/inbox").await;
    assert_eq!((status, inbox), (200, json!([])));

    for node in [tobacco, police, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_a_restart_of_every_node_in_order() {
    const COUNT: usize = 200;
    let world = World::new();
    let hub_settings = world.hub("hebi.hub");
    let hub = Running::start(hub_settings.clone()).await;
    let at = hub.dial_in().await;
    let edge_settings = world.edge("hebi.tobacco", "hebi.hub", at);
    let tobacco = Running::start(edge_settings.clone()).await;
    let police_settings = world.edge("hebi.police", "hebi.hub", at);
    let police = Running::start(police_settings.clone()).await;
    eventually("the hub has met both", async || {
        let (_, status) = hub.get("/v1/status").await;
        status["sessions"] == 2
    })
    .await;
    police.node.stop().await;
    hub.node.stop().await;
    for n in 0..COUNT {
        let event = tobacco.event(
            &n.to_string(),
            "hebi.police",
            "case.step",
            json!({ "n": n }),
        );
        tobacco.submit(event).await;
    }
    tobacco.node.stop().await;

    // The hub comes back where it was: the edges dial the address that they know.
    let mut hub_settings = hub_settings;
    hub_settings.listen = Some(casegate::config::Listen { address: at });
    let hub = Running::start(hub_settings).await;
    let tobacco = Running::start(edge_settings).await;
    let police = Running::start(police_settings).await;
    let mut numbers = Vec::new();
    while numbers.len() < COUNT {
        // Later messages of a case wait while an earlier one is leased, so they come in several pulls.
        let events = police.receive(1).await;
        numbers.extend(events.iter().map(|e| e["data"]["n"].as_u64().expect("n")));
        police.ack(&events).await;
    }
    assert_eq!(numbers, (0..COUNT as u64).collect::<Vec<_>>());
    for node in [tobacco, police, hub] {
        node.node.stop().await;
    }
}
