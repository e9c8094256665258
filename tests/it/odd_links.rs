//! Links that do what few do, and what is under way when something urgent comes.

use std::time::Duration;

use casegate::emulator::Direction;
use serde_json::json;

use crate::{
    processes::{Town, until},
    transfer::{Links, SIZE, assert_is, body, bring, fetch, naming, receive, until_carried},
};

#[test]
fn messages_and_attachments_come_once_over_links_that_carry_every_packet_twice_and_backwards() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    let odd = Direction {
        rate_bps: Some(40_000_000),
        backwards: Some(Duration::from_millis(5)),
        twice: true,
        ..Direction::PERFECT
    };
    let links = Links::over(&a, &b, odd);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let body = body("odd");
    let digest = bring(&a, &body);
    let events: Vec<_> = (0..40)
        .map(|n| {
            json!({
                "specversion": "1.0", "id": format!("{n}"), "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b",
                "caseid": "C-1", "data": {"n": n},
            })
        })
        .chain([naming(&digest, "last", "hebi.b")])
        .collect();
    a.client().submit(&events);
    let came = receive(&b, events.len());
    let ids = |events: &[serde_json::Value]| -> Vec<String> {
        events.iter().map(|event| event["id"].to_string()).collect()
    };
    assert_eq!(ids(&came), ids(&events));
    assert_is(&fetch(&b, &digest), &body);
    // Copies of packets come, and nothing is sent for them.
    let (up, down) = links.carried();
    for bytes in [up, down] {
        assert!(bytes > 2 * SIZE && bytes < SIZE * 3, "{bytes} bytes");
    }
}

#[test]
fn an_urgent_message_passes_an_attachment_and_bulk_messages_under_way() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure("kind = \"lan\"", "kind = \"3g\"");
    let thin = Direction {
        rate_bps: Some(512_000),
        delay: Duration::from_millis(50),
        buffer_bytes: 64 * 1024,
        ..Direction::PERFECT
    };
    let links = Links::over(&a, &b, thin);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let digest = bring(&a, &body("bulk"));
    let noise = body("bulk messages");
    let text = |at: usize| data_encoding::BASE64.encode(&noise[at * 15_000..][..15_000]);
    let bulk: Vec<_> = (0..50)
        .map(|n| {
            json!({
                "specversion": "1.0", "id": format!("bulk-{n}"), "source": "/unit/hebi.a", "type": "notice", "to": "hebi.hub",
                "priority": "bulk", "data": text(n),
            })
        })
        .chain([naming(&digest, "scan", "hebi.hub")])
        .collect();
    a.client().submit(&bulk);
    until_carried("have left A", || links.carried().0, 5);
    let before = links.carried().0;
    let urgent = json!({
        "specversion": "1.0", "id": "urgent", "source": "/unit/hebi.a", "type": "notice", "to": "hebi.hub",
        "priority": "urgent", "data": "x".repeat(1_000),
    });
    a.client().submit(&[urgent]);
    let mut came: Vec<String> = Vec::new();
    until("it has come", || {
        let events = receive(&hub, 1);
        came.extend(events.iter().map(|event| event["id"].to_string()));
        came.iter().any(|id| id == "\"urgent\"")
    });
    let meanwhile = links.carried().0 - before;
    // Far less than the 3.7 MB that were queued before it, and less than one batch and one chunk that were begun.
    assert!(meanwhile < 120_000, "{meanwhile} bytes went before it");
    assert!(came.len() < 25, "{came:?}");
}

#[test]
fn urgent_messages_without_end_leave_bulk_a_share() {
    let town = Town::new();
    let (mut hub, mut a, mut b) = (town.hub(), town.unit("hebi.a"), town.unit("hebi.b"));
    a.configure("kind = \"lan\"", "kind = \"3g\"");
    let thin = Direction {
        rate_bps: Some(1_000_000),
        delay: Duration::from_millis(50),
        buffer_bytes: 64 * 1024,
        ..Direction::PERFECT
    };
    let links = Links::over(&a, &b, thin);
    for node in [&mut hub, &mut a, &mut b] {
        node.start();
    }
    let noise = body("bulk and urgent messages");
    let message = |lane: &str, n: usize| {
        json!({
            "specversion": "1.0", "id": format!("{lane}-{n}"), "source": "/unit/hebi.a", "type": "notice", "to": "hebi.hub",
            "priority": lane, "data": data_encoding::BASE64.encode(&noise[n * 9_000..][..9_000]),
        })
    };
    let bulk: Vec<_> = (0..20).map(|n| message("bulk", n)).collect();
    // Some fifteen seconds of the line's time.
    let urgent: Vec<_> = (0..200).map(|n| message("urgent", n)).collect();
    a.client().submit(&urgent);
    a.client().submit(&bulk);
    let mut came: Vec<String> = Vec::new();
    until("all have come", || {
        let events = receive(&hub, 1);
        came.extend(events.iter().map(|event| event["id"].to_string()));
        came.len() >= 220
    });
    let is_bulk = |id: &String| id.starts_with("\"bulk");
    let first = came.iter().position(is_bulk);
    let last_urgent = came.iter().rposition(|id| !is_bulk(id));
    assert!(first < last_urgent, "{came:?}");
    drop(links);
}
