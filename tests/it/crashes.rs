//! kill -9 of every node at any moment, a receiver that is away, a hub that loses its disk: three processes, real certificates.
//!
//! `CASEGATE_TEST_KILLS` says how often to kill.

use std::{process::Stdio, time::Instant};

use serde_json::json;

use crate::{
    processes::{Town, until},
    traffic::Traffic,
};

const KILLS: usize = 9;

fn kills() -> usize {
    let asked = std::env::var("CASEGATE_TEST_KILLS").ok();
    asked.map_or(KILLS, |kills| kills.parse().expect("a number"))
}

#[test]
fn what_is_sent_comes_once_unchanged_and_in_order_whoever_is_killed() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for node in &mut nodes {
        node.start();
    }
    let started = Instant::now();
    let mut traffic = Traffic::new();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    let kills = kills();
    let share = traffic.len() / (kills + 1);
    for kill in 0..kills {
        // Spread over the run, and anywhere within a batch, a sync or a start.
        let at = kill * share + (kill * 7919 + 13) % share.max(1);
        traffic.until_received(at);
        let node = &mut nodes[kill % 3];
        node.kill();
        node.start();
    }
    let [a, hub, b] = &nodes;
    traffic.finish(&[a, hub, b]);
    eprintln!("{kills} kills in {:?}", started.elapsed());
    for node in &mut nodes {
        node.stop();
    }
}

#[test]
fn what_is_sent_with_attachments_over_two_links_comes_once_and_whole_whoever_is_killed() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for edge in [0, 2] {
        let text = std::fs::read_to_string(nodes[edge].config()).expect("a text");
        let (_, link) = text.split_once("[[upstream.link]]").expect("a link");
        let (link, _) = link.split_once("[[policy").expect("a policy");
        let second = link.replace("\"lan\"\nkind", "\"second\"\nkind");
        assert!(second.contains("second"), "{link}");
        nodes[edge].configure("[[policy", &format!("[[upstream.link]]{second}[[policy"));
    }
    for node in &mut nodes {
        node.start();
    }
    nodes[1].until_sessions(4);
    let started = Instant::now();
    let mut traffic = Traffic::with_attachments();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    let kills = kills();
    let share = traffic.len() / (kills + 1);
    for kill in 0..kills {
        let at = kill * share + (kill * 7919 + 13) % share.max(1);
        traffic.until_received(at);
        let node = &mut nodes[kill % 3];
        node.kill();
        node.start();
    }
    let [a, hub, b] = &nodes;
    traffic.finish(&[a, hub, b]);
    eprintln!("{kills} kills in {:?}", started.elapsed());
    for node in &mut nodes {
        node.stop();
    }
}

#[test]
fn what_is_sent_while_the_receiver_is_away_waits_for_it_when_the_sender_has_gone() {
    let town = Town::new();
    let (mut a, mut hub, mut b) = (town.unit("hebi.a"), town.hub(), town.unit("hebi.b"));
    hub.start();
    a.start();
    let mut traffic = Traffic::new();
    traffic.submit(a.client());
    traffic.until_accepted(traffic.len());
    let client = hub.client();
    until("all of it is at the hub", || {
        let Some((200, status)) = client.get("/v1/status") else {
            return false;
        };
        status["queued"]["messages"] == traffic.len()
    });
    a.stop();
    b.start();
    traffic.fetch(b.client());
    traffic.until_received(traffic.len());
    // Its receipts wait for the sender.
    a.start();
    traffic.finish(&[&a, &hub, &b]);
    for node in [&mut a, &mut hub, &mut b] {
        node.stop();
    }
}

#[test]
fn a_hub_that_loses_its_disk_in_the_middle_loses_nothing_and_repeats_nothing() {
    let town = Town::new();
    let mut nodes = [town.unit("hebi.a"), town.hub(), town.unit("hebi.b")];
    for node in &mut nodes {
        node.start();
    }
    let mut traffic = Traffic::new();
    traffic.submit(nodes[0].client());
    traffic.fetch(nodes[2].client());
    for third in 1..=2 {
        traffic.until_received(traffic.len() * third / 3);
        let hub = &mut nodes[1];
        hub.kill();
        std::fs::remove_dir_all(hub.data()).expect("the disk is gone");
        hub.start();
    }
    let [a, hub, b] = &nodes;
    let again = traffic.finish(&[a, hub, b]);
    assert_eq!(again, 0, "B was never killed");
    for node in &mut nodes {
        node.stop();
    }
}

/// An operator's action on many is one group of records: whenever the machine fails, all of it is done or nothing.
#[test]
fn an_action_on_many_that_a_crash_interrupts_is_done_to_all_or_to_none() {
    const MESSAGES: usize = 300;
    let town = Town::new();
    let mut a = town.unit("hebi.a");
    a.start();
    let events: Vec<_> = (0..MESSAGES)
        .map(|number| {
            json!({
                "specversion": "1.0", "id": number.to_string(), "source": "/unit/hebi.a",
                "type": "notice", "to": "hebi.b", "data": {"n": number},
            })
        })
        .collect();
    assert_eq!(a.client().submit(&events).len(), MESSAGES);
    let log = a.data().join("audit.log");
    let (mut held, mut done) = (false, 0);
    for round in 0..8u32 {
        let action = if held { "release" } else { "hold" };
        let before = std::fs::read_to_string(&log).expect("a log").len();
        let mut command = a.ask(&format!("queue {action} --all --json"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut asked = command.spawn().expect("it runs");
        // It is on record just before it is done.
        until("the action is on record", || {
            let text = std::fs::read_to_string(&log).expect("a log");
            text[before..].contains(&format!("\"action\":\"{action}\""))
        });
        for _ in 0..round * 20_000 {
            std::hint::spin_loop();
        }
        a.kill();
        // Its node is gone; it may have had its answer.
        let _ = asked.wait();
        a.start();
        let (status, page) = a
            .client()
            .get("/v1/queue?max=1000&state=held")
            .expect("an answer");
        assert_eq!(status, 200, "{page}");
        let count = page["messages"].as_array().map(Vec::len);
        assert!(
            matches!(count, Some(0 | MESSAGES)),
            "{action} in round {round} was done to {count:?} of {MESSAGES}"
        );
        let now = count == Some(MESSAGES);
        done += u32::from(now != held);
        held = now;
    }
    eprintln!("{done} of 8 actions were done when the node was killed");
    a.stop();
}
