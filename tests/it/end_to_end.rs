//! Messages between three nodes: a hub and two edges.

use std::collections::BTreeSet;

use casegate::{
    config::Settings,
    node::{Node, StartError},
};
use serde_json::json;

use crate::world::{Running, World, eventually, unit};

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

/// The certificates of signers that a node has.
fn signers(settings: &Settings) -> BTreeSet<Vec<u8>> {
    let folder = settings.data_dir.join("signers");
    let files = std::fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "der"))
        .map(|path| std::fs::read(path).expect("reads"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_meet_know_what_the_other_signs_with_before_anything_is_sent() {
    let world = World::new();
    let hub_settings = world.hub("hebi.hub");
    let hub = Running::start(hub_settings.clone()).await;
    let own = signers(&hub_settings);
    assert_eq!(own.len(), 1);
    let edge_settings = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let edge = Running::start(edge_settings.clone()).await;
    eventually("each knows the other's certificate", async || {
        [&hub_settings, &edge_settings]
            .map(signers)
            .map(|all| all.len())
            == [2, 2]
    })
    .await;
    assert_eq!(signers(&hub_settings), signers(&edge_settings));
    edge.node.stop().await;
    hub.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_with_two_links_has_a_session_over_each() {
    let world = World::new();
    let hub = Running::start(world.hub("hebi.hub")).await;
    let mut settings = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let upstream = settings.upstream.as_mut().expect("an edge");
    let mut second = upstream.links[0].clone();
    second.name = "lan2".into();
    upstream.links.push(second);
    let tobacco = Running::start(settings).await;
    eventually("both links are up, at both ends", async || {
        let mut up = 0;
        for node in [&hub, &tobacco] {
            let (_, links) = node.get("/v1/links").await;
            let links = links["links"].as_array().expect("links");
            let names = links.iter().filter(|link| link["up"] == true);
            let names: Vec<_> = names.map(|link| link["link"].as_str()).collect();
            up += usize::from(names == [Some("lan"), Some("lan2")]);
        }
        up == 2
    })
    .await;
    eventually("parcels may flow over both", async || {
        let (_, status) = hub.get("/v1/status").await;
        status["sessions"] == 2
    })
    .await;
    for node in [tobacco, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_a_reload_blocks_is_cut_off_until_another_lets_it_in() {
    let world = World::new();
    let settings = world.hub("hebi.hub");
    let hub = Running::start(settings.clone()).await;
    let tobacco = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let tobacco = Running::start(tobacco).await;
    let connected = async |expected: u64| {
        eventually(&format!("{expected} sessions"), async || {
            let (_, status) = hub.get("/v1/status").await;
            status["sessions"] == expected
        })
        .await;
    };
    connected(1).await;
    let mut blocking = settings.clone();
    blocking.units.push(casegate::config::Unit {
        name: tobacco.unit.clone(),
        title: None,
        blocked: true,
        serves: Vec::new(),
    });
    hub.node.reload(blocking).await.expect("it is reloadable");
    connected(0).await;
    eventually("the edge is told why", async || {
        let (_, links) = tobacco.get("/v1/links").await;
        let error = links["links"][0]["error"].as_str().unwrap_or_default();
        error.contains("blocked")
    })
    .await;
    hub.node.reload(settings).await.expect("it is reloadable");
    connected(1).await;
    for node in [tobacco, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_in_use_is_refused_and_free_again_after_a_stop() {
    let world = World::new();
    let settings = world.hub("hebi.hub");
    let hub = Running::start(settings.clone()).await;
    let refused = Node::start(settings.clone()).await.expect_err("in use");
    assert!(matches!(refused, StartError::Lock(_)), "{refused}");
    hub.node.stop().await;
    let again = Running::start(settings).await;
    let (status, _) = again.get("/readyz").await;
    assert_eq!(status, 200);
    again.node.stop().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_rots_in_a_mailbox_is_refused_to_its_sender_and_stops_no_other() {
    let world = World::new();
    let mut settings = world.hub("hebi.hub");
    settings.units.push(casegate::config::Unit {
        name: unit("hebi.police"),
        title: None,
        blocked: false,
        serves: Vec::new(),
    });
    let hub = Running::start(settings).await;
    let at = hub.dial_in().await;
    let tobacco = Running::start(world.edge("hebi.tobacco", "hebi.hub", at)).await;
    let event = |id, text| tobacco.event(id, "hebi.police", "case.transfer", json!({"text": text}));
    let rotten = tobacco.submit(event("1", "what will rot")).await;
    let sound = tobacco.submit(event("2", "what will not")).await;
    for message in [&rotten, &sound] {
        tobacco.until_state(message, "relayed").await;
    }
    world.rot("hebi.hub", "what will rot");

    let police = Running::start(world.edge("hebi.police", "hebi.hub", at)).await;
    let received = police.receive(1).await;
    assert_eq!(received[0]["messageid"], sound.as_str());
    tobacco.until_state(&rotten, "refused").await;
    tobacco.until_state(&sound, "delivered").await;
    for node in [tobacco, police, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_rots_in_an_inbox_is_told_to_its_sender_and_is_not_handed_over() {
    let world = World::new();
    let (hub, tobacco, police) = three(&world).await;
    let event = |id, text| tobacco.event(id, "hebi.police", "case.transfer", json!({"text": text}));
    let rotten = tobacco.submit(event("1", "what will rot")).await;
    let sound = tobacco.submit(event("2", "what will not")).await;
    for message in [&rotten, &sound] {
        tobacco.until_state(message, "delivered").await;
    }
    world.rot("hebi.police", "what will rot");

    let received = police.receive(1).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["messageid"], sound.as_str());
    tobacco.until_state(&rotten, "refused").await;
    for node in [tobacco, police, hub] {
        node.node.stop().await;
    }
}
