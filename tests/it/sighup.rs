//! SIGHUP: what an operator has changed in a node's configuration file is put into force, all of it or nothing.

use serde_json::{Value, json};

use crate::processes::{Client, Connected, Node, text, until};

/// Whether the node's own link has a session, and otherwise why not.
fn link(node: &Client) -> (bool, String) {
    let Some((_, links)) = node.get("/v1/links") else {
        return (false, "no answer".to_owned());
    };
    let link = &links["links"][0];
    let why = link["error"].as_str().unwrap_or_default();
    (link["up"] == true, why.to_owned())
}

fn notice(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/unit/hebi.a", "type": "notice", "to": "hebi.b", "data": id,
    })
}

/// What lies in the inbox, once there is something; the application is done with it.
fn received(node: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    until("something comes", || {
        let Some((200, events)) = node.get("/v1/inbox?max=100&wait=1s") else {
            return false;
        };
        let events = events.as_array().expect("a batch");
        ids = events.iter().map(|event| text(&event["id"])).collect();
        let names: Vec<_> = events.iter().map(|event| &event["messageid"]).collect();
        let done = json!({ "messageids": names });
        let acked = node.post("/v1/inbox/ack", "application/json", &done);
        assert_eq!(acked.expect("an answer").0, 200);
        !ids.is_empty()
    });
    ids
}

/// Waits until the node has said so in its log after what it had said before.
fn until_logged(node: &Node, before: &str, words: &str) {
    until(&format!("{words:?} is in the log"), || {
        node.log()[before.len()..].contains(words)
    });
}

#[test]
fn a_unit_that_is_blocked_in_the_file_is_cut_off_and_no_other_and_let_in_again() {
    let net = Connected::new();
    let (a, b) = (net.a.client(), net.b.client());
    let since = || b.get("/v1/links").expect("an answer").1["links"][0]["since"].clone();
    let before = since();
    let entry = "name = \"hebi.a\"\n";
    let blocked = "name = \"hebi.a\"\nblocked = true\n";
    net.hub.configure(entry, blocked);
    assert!(link(&a).0, "a file alone changes nothing");

    net.hub.reload();
    until("it is told that it is blocked", || {
        let (up, why) = link(&a);
        !up && why.contains("blocked")
    });
    net.hub.until_sessions(1);
    // It is accepted where it is submitted, and waits there.
    let message = a.submit(&[notice("1")]).remove(0);
    assert!(b.get("/v1/inbox?wait=0s").expect("an answer").1 == json!([]));
    assert_eq!(since(), before, "another unit's session was ended");

    net.hub.configure(blocked, entry);
    net.hub.reload();
    assert_eq!(received(&b), ["1"]);
    until("its sender knows", || {
        let view = a.get(&format!("/v1/messages/{message}"));
        view.is_some_and(|(_, view)| view["state"] == "delivered")
    });
    assert_eq!(since(), before, "another unit's session was ended");
}

#[test]
fn a_policy_that_is_changed_holds_for_what_comes_after() {
    let net = Connected::new();
    let (a, b) = (net.a.client(), net.b.client());
    a.submit(&[notice("before")]);
    assert_eq!(received(&b), ["before"]);

    let (all, cases) = ("kinds = [\"**\"]", "kinds = [\"case.*\"]");
    net.hub.configure(all, cases);
    net.hub.reload();
    // The hub tells no one that it has taken it: the first message that it refuses does.
    let mut tried = 0;
    until("the hub refuses a notice", || {
        tried += 1;
        let message = a.submit(&[notice(&format!("tried-{tried}"))]).remove(0);
        let mut state = Value::Null;
        until("it has come to an end", || {
            let view = a.get(&format!("/v1/messages/{message}"));
            state = view.map_or(Value::Null, |(_, view)| view["state"].clone());
            state == "refused" || state == "delivered"
        });
        state == "refused"
    });

    net.a.configure(all, cases);
    net.a.reload();
    let kind = "application/cloudevents+json";
    // An id that was accepted before is answered as before.
    let mut tried = 0;
    until("the unit's own node refuses a notice", || {
        tried += 1;
        let refused = a.post("/v1/messages", kind, &notice(&format!("after-{tried}")));
        refused.is_some_and(|(status, _)| status == 403)
    });
}

#[test]
fn a_file_that_is_broken_is_refused_with_every_line_and_the_old_settings_go_on() {
    let net = Connected::new();
    let (a, b) = (net.a.client(), net.b.client());
    let before = net.hub.log();
    // One change that would be good, and two mistakes.
    net.hub
        .configure("name = \"hebi.a\"", "name = \"hebi.a\"\nblocked = true");
    net.hub.configure("from = \"hebi.**\"", "from = \"Hebi\"");
    net.hub.configure("kinds = [\"**\"]", "kindz = [\"**\"]");
    let file = net.hub.config();
    let lines = std::fs::read_to_string(&file).expect("a text");
    let line = |words: &str| {
        1 + lines
            .lines()
            .position(|line| line.contains(words))
            .expect("it")
    };
    net.hub.reload();
    for words in ["from = \"Hebi\"", "kindz"] {
        until_logged(
            &net.hub,
            &before,
            &format!("{}:{}: ", file.display(), line(words)),
        );
    }
    a.submit(&[notice("1")]);
    assert_eq!(received(&b), ["1"], "the old settings go on");
    assert!(link(&a).0);

    // Likewise what needs a restart.
    let before = net.b.log();
    net.b
        .configure("data-dir = \"data\"", "data-dir = \"elsewhere\"");
    net.b.reload();
    until_logged(&net.b, &before, "data-dir cannot change");
    a.submit(&[notice("2")]);
    assert_eq!(received(&b), ["2"]);
    assert!(!net.town.path().join("hebi.b/elsewhere").exists());
}

#[test]
fn a_new_log_level_holds_at_once() {
    let net = Connected::new();
    assert!(!net.hub.log().contains("DEBUG"));
    net.hub
        .configure("[listen]", "[log]\nlevel = \"debug\"\n[listen]");
    net.hub.reload();
    until("requests are logged", || {
        net.hub.run("status").good();
        net.hub.log().contains("DEBUG")
    });
}
