//! Search, history and circulation: the index behind a real node, through restarts, kills and damage.

use std::{fs, path::Path};

use casegate::config::Settings;
use serde_json::{Value, json};

use crate::{
    processes::{Town, until},
    world::{Running, World, eventually},
};

/// A hub, and an edge that sends to it.
async fn two(world: &World) -> (Running, Running, Settings) {
    let hub = Running::start(world.hub("hebi.hub")).await;
    let settings = world.edge("hebi.tobacco", "hebi.hub", hub.dial_in().await);
    let tobacco = Running::start(settings.clone()).await;
    (hub, tobacco, settings)
}

async fn send(from: &Running, id: &str, to: &str, case: &str, title: &str) -> String {
    let mut event = from.event(id, to, "case.transfer", json!({ "n": id }));
    event["caseid"] = case.into();
    event["subject"] = title.into();
    from.submit(event).await
}

async fn ids(node: &Running, query: &str) -> Vec<String> {
    let (status, page) = node.get(&format!("/v1/messages?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let messages = page["messages"].as_array().expect("a page");
    let ids = messages.iter().map(|m| m["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

fn steps(view: &Value) -> Vec<&str> {
    let steps = view["timeline"].as_array().expect("a timeline");
    steps.iter().filter_map(|s| s["step"].as_str()).collect()
}

/// The edge has sent and the hub's application has read one message; gives its messageid.
async fn one_read(hub: &Running, tobacco: &Running, id: &str) -> String {
    let message = send(
        tobacco,
        id,
        "hebi.hub",
        "浚烟立〔2026〕12号",
        "涉嫌非法经营案件移送",
    )
    .await;
    let received = hub.receive(1).await;
    hub.ack(&received).await;
    tobacco.until_state(&message, "read").await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_left_the_queues_is_known_with_all_that_happened() {
    let world = World::new();
    let (hub, tobacco, settings) = two(&world).await;
    let message = one_read(&hub, &tobacco, "1").await;
    tobacco.node.stop().await;

    let tobacco = Running::start(settings).await;
    let (status, view) = tobacco.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(status, 200, "{view}");
    assert_eq!(view["state"], "read");
    assert_eq!(view["subject"], "涉嫌非法经营案件移送");
    assert_eq!(view["receivers"][0]["receiver"], "hebi.hub");
    assert_eq!(view["receivers"][0]["state"], "read");
    let steps = steps(&view);
    for step in ["accepted", "queued", "sent", "acked", "receipt"] {
        assert!(steps.contains(&step), "{step} in {steps:?}");
    }
    let timeline = view["timeline"].as_array().expect("a timeline");
    let sent = timeline.iter().find(|s| s["step"] == "sent").expect("sent");
    assert_eq!(sent["link"], "lan");
    assert!(sent["bytes"].as_u64().expect("a size") > 0);
    let receipts = view["receipts"].as_array().expect("receipts");
    let read = receipts.iter().find(|r| r["outcome"] == "read");
    assert_eq!(read.expect("it was read")["issuer"], "hebi.hub");
    assert_eq!(view.get("incomplete"), None);

    let (_, at_hub) = hub.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(at_hub["state"], "read", "{at_hub}");
    for node in [tobacco, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_refused_at_once_ends_once() {
    let world = World::new();
    let hub = Running::start(world.hub("hebi.hub")).await;
    let message = send(&hub, "1", "hebi.nobody", "A", "t").await;
    hub.until_state(&message, "refused").await;
    let path = format!("/v1/messages/{message}");
    eventually("its timeline has its end", async || {
        let (_, view) = hub.get(&path).await;
        steps(&view).len() > 1
    })
    .await;
    let (_, view) = hub.get(&path).await;
    let (all, mut once) = (steps(&view), steps(&view));
    once.dedup();
    assert_eq!(all, once, "{view}");
    let (_, metrics) = hub.get("/metrics").await;
    let refused = "casegate_messages_refused_total{reason=\"unknown-unit\"} 1\n";
    assert!(
        metrics.as_str().expect("text").contains(refused),
        "{metrics}"
    );
    hub.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_by_every_parameter_and_pages_newest_first() {
    let world = World::new();
    let (hub, tobacco, _) = two(&world).await;
    for n in 0..25 {
        let (case, title) = match n % 5 {
            0 => ("A-0", "行政处罚决定书"),
            _ => ("A-1", "Notice of transfer"),
        };
        send(&tobacco, &n.to_string(), "hebi.hub", case, title).await;
    }
    let newest_first: Vec<String> = (0..25).rev().map(|n| n.to_string()).collect();
    assert_eq!(ids(&tobacco, "").await, newest_first);
    let fives: Vec<String> = [20, 15, 10, 5, 0].map(|n: u32| n.to_string()).into();
    assert_eq!(ids(&tobacco, "case=A-0").await, fives);
    assert_eq!(ids(&tobacco, "q=%E5%A4%84%E7%BD%9A").await, fives, "处罚");
    assert_eq!(ids(&tobacco, "q=notice%20OF").await.len(), 20);
    assert_eq!(
        ids(&tobacco, "kind=case.*&from=hebi.**&to=hebi.hub")
            .await
            .len(),
        25
    );
    for nothing in [
        "kind=notice",
        "from=hebi.hub",
        "to=hebi.police",
        "since=2999-01-01",
        "state=dropped",
        "q=x%25",
    ] {
        assert_eq!(
            ids(&tobacco, nothing).await,
            Vec::<String>::new(),
            "{nothing}"
        );
    }

    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = tobacco
            .get(&format!("/v1/messages?max=7&cursor={cursor}"))
            .await;
        let messages = page["messages"].as_array().expect("a page");
        assert!(messages.len() <= 7);
        paged.extend(
            messages
                .iter()
                .map(|m| m["id"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = next.to_owned();
    }
    assert_eq!(paged, newest_first);

    for (query, named) in [
        ("state=lost", "state"),
        ("kind=Case", "kind"),
        ("since=yesterday", "since"),
        ("cursor=17", "cursor"),
        ("max=0", "max"),
        ("to=a..b", "to"),
    ] {
        let (status, problem) = tobacco.get(&format!("/v1/messages?{query}")).await;
        assert_eq!(
            (status, &problem["attribute"]),
            (422, &named.into()),
            "{problem}"
        );
    }
    for node in [tobacco, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_told_in_order_at_its_sender_and_at_the_hub() {
    let world = World::new();
    let (hub, tobacco, _) = two(&world).await;
    one_read(&hub, &tobacco, "1").await;
    let answer = hub.event("2", "hebi.tobacco", "case.receipt", json!({}));
    let mut answer = answer;
    answer["caseid"] = "浚烟立〔2026〕12号".into();
    let second = hub.submit(answer).await;
    let received = tobacco.receive(1).await;
    tobacco.ack(&received).await;
    hub.until_state(&second, "read").await;

    let path = "/v1/cases/%E6%B5%9A%E7%83%9F%E7%AB%8B%E3%80%942026%E3%80%9512%E5%8F%B7";
    for node in [&hub, &tobacco] {
        let (status, case) = node.get(path).await;
        assert_eq!(status, 200, "{case}");
        assert_eq!(case["case"], "浚烟立〔2026〕12号");
        let messages = case["messages"].as_array().expect("messages");
        let ids: Vec<_> = messages.iter().map(|m| m["id"].as_str()).collect();
        assert_eq!(ids, [Some("1"), Some("2")]);
        assert!(messages.iter().all(|m| m["state"] == "read"), "{case}");
        assert!(messages.iter().all(|m| m.get("timeline").is_none()));
    }
    let (_, case) = tobacco.get(path).await;
    let outcomes = case["messages"][0]["receipts"]
        .as_array()
        .expect("receipts");
    let outcomes: Vec<_> = outcomes
        .iter()
        .filter_map(|r| r["outcome"].as_str())
        .collect();
    assert_eq!(outcomes.last(), Some(&"read"), "{outcomes:?}");
    let (status, problem) = tobacco.get("/v1/cases/none").await;
    assert_eq!((status, &problem["attribute"]), (404, &"case".into()));
    for node in [tobacco, hub] {
        node.node.stop().await;
    }
}

/// What may happen to the folder of an index while its node is down.
fn damage(folder: &Path, how: &str) {
    let db = folder.join("db");
    match how {
        "flipped" => {
            let mut bytes = fs::read(&db).expect("it is there");
            for byte in bytes.iter_mut().step_by(97) {
                *byte ^= 0x55;
            }
            fs::write(&db, bytes).expect("written");
        }
        "truncated" => {
            let file = fs::File::options()
                .write(true)
                .open(&db)
                .expect("it is there");
            let len = file.metadata().expect("a size").len();
            file.set_len(len / 3 + 7).expect("cut");
        }
        "emptied" => fs::write(&db, []).expect("written"),
        "without its database" => fs::remove_file(&db).expect("removed"),
        "without its configuration" => fs::remove_file(folder.join("conf")).expect("removed"),
        "gone" => fs::remove_dir_all(folder).expect("removed"),
        "a file" => {
            fs::remove_dir_all(folder).expect("removed");
            fs::write(folder, b"no folder").expect("written");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_rebuilt_from_what_the_node_has_and_stops_no_traffic() {
    for how in [
        "flipped",
        "truncated",
        "emptied",
        "without its database",
        "without its configuration",
        "gone",
        "a file",
    ] {
        let world = World::new();
        let (hub, tobacco, settings) = two(&world).await;
        one_read(&hub, &tobacco, "old").await;
        let at = hub.dial_in().await;
        hub.node.stop().await;
        // It waits in the queue while the index is lost.
        let waiting = send(&tobacco, "waiting", "hebi.hub", "B-2", "还在路上").await;
        tobacco.node.stop().await;
        damage(&settings.data_dir.join("index"), how);

        let mut hub_settings = world.hub("hebi.hub");
        hub_settings.listen = Some(casegate::config::Listen { address: at });
        let tobacco = Running::start(settings).await;
        let new = send(&tobacco, "new", "hebi.hub", "B-3", "以后的").await;
        // What has left the queues by the time that the index is open again could not be known.
        eventually(&format!("{how}: the index is rebuilt"), async || {
            let (status, case) = tobacco.get("/v1/cases/B-2").await;
            status == 200 && case["messages"][0]["messageid"] == waiting.as_str()
        })
        .await;
        let hub = Running::start(hub_settings).await;
        let received = hub.receive(2).await;
        let came: Vec<_> = received.iter().map(|e| e["id"].as_str()).collect();
        assert_eq!(
            came,
            [Some("waiting"), Some("new")],
            "{how}: traffic goes on"
        );
        let (_, page) = tobacco.get("/v1/messages?case=B-3").await;
        assert_eq!(page["messages"][0]["messageid"], new.as_str(), "{how}");
        let found = ids(&tobacco, "").await;
        // Flipped bytes may have met nothing that matters; whatever is missing is told.
        if !found.contains(&"old".to_owned()) {
            assert!(page["incomplete"][0]["why"].is_string(), "{how}: {page}");
            let (_, status) = tobacco.get("/v1/status").await;
            let warnings = status["warnings"].to_string();
            assert!(warnings.contains("index"), "{how}: {warnings}");
        }
        for node in [tobacco, hub] {
            node.node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_follows_what_passes_it_by_the_receipts_that_come_back() {
    let world = World::new();
    let (hub, tobacco, _) = two(&world).await;
    let police = world.edge("hebi.police", "hebi.hub", hub.dial_in().await);
    let police = Running::start(police).await;
    eventually("both are connected", async || {
        let (_, status) = hub.get("/v1/status").await;
        status["sessions"] == 2
    })
    .await;
    let message = send(&tobacco, "1", "hebi.police", "A-9", "移送").await;
    let received = police.receive(1).await;
    police.ack(&received).await;
    eventually("the hub knows that it was read", async || {
        let (_, case) = hub.get("/v1/cases/A-9").await;
        case["messages"][0]["state"] == "read"
    })
    .await;
    let (_, view) = hub.get(&format!("/v1/messages/{message}")).await;
    let steps = steps(&view);
    assert_eq!(steps[..2], ["received", "queued"], "{steps:?}");
    assert!(steps.contains(&"acked"), "{steps:?}");
    let receipts = view["receipts"].as_array().expect("receipts");
    assert!(!receipts.is_empty());
    assert!(receipts.iter().all(|r| r["issuer"] == "hebi.police"));
    for node in [tobacco, police, hub] {
        node.node.stop().await;
    }
}

#[test]
fn what_was_known_before_a_kill_nine_is_known_after_it() {
    const COUNT: usize = 40;
    let town = Town::new();
    let (mut hub, mut unit) = (town.hub(), town.unit("hebi.a"));
    hub.start();
    unit.start();
    let (at_hub, at_unit) = (hub.client(), unit.client());
    let mut sent = Vec::new();
    for round in 1..=3 {
        let events: Vec<Value> = (0..COUNT)
            .map(|n| {
                json!({
                    "specversion": "1.0", "id": format!("{round}-{n}"), "source": "/unit/hebi.hub",
                    "type": "case.step", "to": "hebi.a", "subject": format!("第{round}轮通知"), "data": n,
                })
            })
            .collect();
        sent.extend(at_hub.submit(&events));
        until("the unit has read them, and the hub knows", || {
            let (_, inbox) = at_unit.get("/v1/inbox?max=1000").expect("an answer");
            let came = inbox.as_array().expect("a batch");
            let came: Vec<_> = came.iter().map(|event| &event["messageid"]).collect();
            let acked = json!({ "messageids": came });
            let ack = at_unit.post("/v1/inbox/ack", "application/json", &acked);
            assert_eq!(ack.expect("an answer").0, 200);
            let read = at_hub.get("/v1/messages?state=read&max=1000");
            read.expect("an answer").1["messages"]
                .as_array()
                .is_some_and(|read| read.len() == COUNT * round)
        });
        hub.kill();
        hub.start();

        let (status, page) = at_hub.get("/v1/messages?max=1000").expect("an answer");
        assert_eq!(status, 200, "{page}");
        let found = page["messages"].as_array().expect("a page").len();
        assert_eq!(found, COUNT * round);
        assert_eq!(page.get("incomplete"), None);
        for message in &sent {
            let path = format!("/v1/messages/{message}");
            let (status, view) = at_hub.get(&path).expect("an answer");
            assert_eq!((status, &view["state"]), (200, &"read".into()), "{view}");
            let steps = steps(&view);
            let once = |step| steps.iter().filter(|s| **s == step).count();
            assert_eq!((once("accepted"), once("receipt")), (1, 2), "{steps:?}");
            // A receipt may be quicker than the ack.
            assert!(once("acked") <= 1, "{steps:?}");
        }
    }
}
