//! Who may do what at a node, and under which name it is on record.

use casegate::model::Role;
use serde_json::{Value, json};

use crate::world::{Running, World, let_in, operator_token};

const HUB: &str = "hebi.hub";

/// Actor, action and subject of every line of a node's audit log.
fn recorded(settings: &casegate::config::Settings) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(settings.data_dir.join("audit.log")).expect("a log");
    let entries = text.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).expect("an entry");
        let part = |name: &str| entry[name].as_str().expect("a text").to_owned();
        (part("actor"), part("action"), part("subject"))
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_act_under_their_own_names_until_a_reload_takes_their_token_away() {
    let world = World::new();
    let mut settings = world.edge("hebi.tobacco", HUB, ([127, 0, 0, 1], 9).into());
    let without = settings.clone();
    let li = let_in(&mut settings, "li.wei", Role::Operator);
    let wang = let_in(&mut settings, "wang.fang", Role::Viewer);
    let edge = Running::start(settings.clone()).await;
    let root = operator_token(&settings);
    let event = edge.event("1", "hebi.police", "notice", json!({"amount": 7}));
    let message = edge.submit(event).await;
    let hold = format!("/v1/queue/{message}/hold");
    let body = format!("/v1/messages/{message}/body");

    let answer = |(status, answer): (u16, Value)| (status, answer["type"].to_string());
    let problem = |name: &str| format!("\"urn:casegate:problem:{name}\"");
    let refused = answer(edge.post_as(&wang, &hold, json!({})).await);
    assert_eq!(refused, (403, problem("role")));
    let refused = answer(edge.post("/v1/backup", "application/json", json!({})).await);
    assert_eq!(refused, (401, problem("unauthorized")));
    let refused = answer(edge.post_as(&li, "/v1/backup", json!({})).await);
    assert_eq!(refused, (403, problem("role")));
    assert_eq!(edge.post_as(&li, &hold, json!({})).await.0, 200);
    assert_eq!(
        answer(edge.get_as(&li, &body).await),
        (403, problem("bodies-not-shown"))
    );

    settings.api.show_bodies = true;
    edge.node.reload(settings.clone()).await.expect("reloads");
    let (status, event) = edge.get_as(&li, &body).await;
    assert_eq!((status, &event["data"]), (200, &json!({"amount": 7})));
    assert_eq!(answer(edge.get_as(&wang, &body).await).0, 403);

    edge.node.reload(without.clone()).await.expect("reloads");
    let refused = answer(edge.post_as(&li, &hold, json!({})).await);
    assert_eq!(refused, (403, problem("not-operator")));
    assert_eq!(edge.post_as(&root, &hold, json!({})).await.0, 200);

    settings.api.tokens[0].file = world.path().join("nowhere");
    edge.node
        .reload(settings.clone())
        .await
        .expect_err("no file");
    let acts: Vec<_> = recorded(&settings)
        .into_iter()
        .filter(|(_, action, _)| action == "hold" || action == "read-body")
        .collect();
    let line = |actor: &str, action: &str| (actor.to_owned(), action.to_owned(), message.clone());
    assert_eq!(
        acts,
        [
            line("li.wei", "hold"),
            line("li.wei", "read-body"),
            line("operator", "hold")
        ]
    );
    edge.node.stop().await;
}
