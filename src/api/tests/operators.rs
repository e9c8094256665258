//! What operators and administrators ask, and who may.

use super::*;

#[tokio::test]
async fn operators_act_with_their_token_and_nobody_without() {
    let world = World::new();
    let id = message_id("1");
    let calls = [
        ("hold", json!({}), Action::Hold),
        ("release", json!({}), Action::Release),
        ("retry", json!({}), Action::Retry),
        (
            "reprioritise",
            json!({"priority": "flash"}),
            Action::Reprioritise(Lane::Flash),
        ),
        (
            "drop",
            json!({"reason": " sent twice "}),
            Action::Drop("sent twice".into()),
        ),
        (
            "expire",
            json!({"reason": "of last year"}),
            Action::Expire("of last year".into()),
        ),
    ];
    for (name, body, action) in calls {
        let path = format!("/v1/queue/{id}/{name}");
        let refused = world.post(&path, "application/json", &body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert!(world.node.told().actions.is_empty());
        let answered = world.operate(&path, body).await;
        assert_eq!(answered.body, json!({"messageid": id, "done": name}));
        assert_eq!(world.node.told().actions.pop(), Some((id, action)));
    }
    for (name, body, attribute) in [
        ("drop", json!({"reason": " "}), "reason"),
        ("drop", json!({"reason": "x".repeat(513)}), "reason"),
        ("drop", json!({}), "body"),
        ("reprioritise", json!({"priority": "now"}), "priority"),
    ] {
        let answered = world.operate(&format!("/v1/queue/{id}/{name}"), body).await;
        assert_eq!(answered.status.as_u16(), 422);
        assert_eq!(answered.body["attribute"], json!(attribute));
    }
    let answered = world.operate("/v1/queue/nonsense/hold", json!({})).await;
    assert_eq!(answered.problem(), "unknown-message");
    assert!(world.node.told().actions.is_empty());
}

#[tokio::test]
async fn everybody_may_do_what_their_role_says_and_is_known_by_name() {
    let world = World::new();
    let hold = format!("/v1/queue/{}/hold", message_id("1"));
    for (letter, path, answer) in [
        ("v", hold.as_str(), Err((403, "role"))),
        ("w", &hold, Ok("li.wei")),
        ("o", &hold, Ok("operator")),
        ("x", &hold, Err((403, "not-operator"))),
        ("w", "/v1/backup", Err((403, "role"))),
        ("o", "/v1/backup", Ok("operator")),
    ] {
        let answered = world.operate_as(letter, path, json!({})).await;
        let actor = world.node.told().actors.pop();
        match answer {
            Ok(name) => assert_eq!(actor.map(|actor| actor.name.to_string()), Some(name.into())),
            Err((status, slug)) => {
                assert_eq!(
                    (answered.status.as_u16(), answered.problem()),
                    (status, slug)
                );
                assert_eq!(actor, None, "{letter} {path}");
            }
        }
    }
    let known = world.get_as("v", "/v1/actor").await.body;
    assert_eq!(
        known,
        json!({"name": "wang.fang", "role": "viewer", "bodies": false})
    );
    assert_eq!(world.get("/v1/actor").await.status.as_u16(), 401);
}

#[tokio::test]
async fn the_audit_log_is_for_operators_and_tells_of_calls_that_were_refused() {
    let world = World::new();
    let page = world
        .get_as(
            "w",
            "/v1/audit?since=2026-11-24&actor=li.wei&action=&cursor=9&max=7",
        )
        .await;
    assert_eq!(page.body, json!({"entries": [], "next": "77"}));
    let asked = world.node.told().audit_asked.take().expect("asked");
    let expected = AuditAsk {
        since: Some(1_795_478_400_000),
        actor: Some("li.wei".into()),
        action: None,
        before: Some(9),
        max: 7,
    };
    assert_eq!(asked, expected);
    let exported = world.get_as("w", "/v1/audit/export").await;
    assert_eq!(exported.headers["content-length"], "299999");
    assert_eq!(exported.body.as_str().map(str::len), Some(299_999));
    assert!(world.node.told().refused.is_empty());

    assert_eq!(world.get_as("v", "/v1/audit").await.problem(), "role");
    assert_eq!(
        world.get("/v1/audit/export").await.problem(),
        "unauthorized"
    );
    let host = Request::get("/v1/status").header("host", "evil.example");
    let answered = world
        .ask(host.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(answered.problem(), "foreign-host");
    world.get("/v1/messages/nonsense").await;
    let refused = std::mem::take(&mut world.node.told().refused);
    let refused: Vec<_> = refused
        .iter()
        .map(|call| (call.actor.as_str(), call.call.as_str(), call.problem))
        .collect();
    assert_eq!(
        refused,
        [
            ("wang.fang", "GET /v1/audit", "role"),
            ("-", "GET /v1/audit/export", "unauthorized"),
            ("-", "GET /v1/status", "foreign-host")
        ]
    );
}

#[tokio::test]
async fn what_a_message_says_is_shown_to_operators_where_the_settings_allow_it() {
    let world = World::new();
    world.node.told().inbox = vec![handed(&world, "1", r#"{"amount":7}"#)];
    let path = format!("/v1/messages/{}/body", message_id("1"));
    assert_eq!(world.get_as("w", &path).await.problem(), "bodies-not-shown");
    assert!(world.node.told().actors.is_empty());
    world.settings.access.show_bodies(true);
    let answered = world.get_as("w", &path).await;
    assert_eq!(answered.headers["content-type"], STRUCTURED);
    assert_eq!(answered.body["data"], json!({"amount": 7}));
    let looked = world.node.told().actors.pop().expect("on record");
    assert_eq!(&*looked.name, "li.wei");
    assert_eq!(world.get_as("v", &path).await.problem(), "role");
    assert_eq!(world.get(&path).await.problem(), "unauthorized");
    let gone = format!("/v1/messages/{}/body", message_id("2"));
    assert_eq!(world.get_as("w", &gone).await.problem(), "unknown-message");
    let known = world.get_as("w", "/v1/actor").await.body;
    assert_eq!(known["bodies"], json!(true));
}

#[tokio::test]
async fn several_messages_are_acted_on_by_name_or_by_what_fits() {
    let world = World::new();
    let path = "/v1/queue/actions";
    let body = json!({"action": "drop", "messageids": [message_id("1"), message_id("2"), message_id("1")],
        "reason": "sent twice"});
    let answered = world.operate_as("w", path, body).await;
    let refused = json!([{"messageid": message_id("3"), "why": "it is not held"}]);
    assert_eq!(
        answered.body,
        json!({"action": "drop", "done": 2, "refused": refused, "more": true, "cursor": "hebi.hub/7"})
    );
    let (which, action, _) = world.node.told().acted_on.take().expect("acted");
    let mut both = vec![message_id("1"), message_id("2")];
    both.sort_unstable();
    assert_eq!(which, Which::Messages(both));
    assert_eq!(action, Action::Drop("sent twice".into()));

    let filter = json!({"neighbour": "hebi.hub", "lane": "bulk", "older-than": "3d"});
    let body = json!({"action": "hold", "filter": filter, "cursor": "hebi.hub/1", "max": 9000});
    assert_eq!(world.operate_as("w", path, body).await.status.as_u16(), 200);
    let (which, ..) = world.node.told().acted_on.take().expect("acted");
    let filter = QueueFilter {
        neighbour: Some("hebi.hub".parse().expect("a unit")),
        lane: Some(Lane::Bulk),
        older_than: Some(3 * 24 * 3_600_000),
        ..QueueFilter::default()
    };
    let expected = Which::Fitting {
        filter,
        cursor: Some("hebi.hub/1".into()),
        max: act::MESSAGES_MAX,
    };
    assert_eq!(which, expected);
    for (body, attribute) in [
        (json!({"action": "hold"}), "filter"),
        (
            json!({"action": "hold", "messageids": [], "filter": {}}),
            "filter",
        ),
        (json!({"action": "hold", "messageids": []}), "messageids"),
        (json!({"action": "hold", "messageids": ["x"]}), "messageids"),
        (json!({"action": "burn", "filter": {}}), "action"),
        (json!({"action": "expire", "filter": {}}), "reason"),
        (json!({"action": "reprioritise", "filter": {}}), "priority"),
        (json!({"action": "hold", "filter": {"kind": "Ä"}}), "kind"),
        (
            json!({"action": "hold", "filter": {"colour": "red"}}),
            "body",
        ),
    ] {
        let answered = world.operate_as("w", path, body.clone()).await;
        assert_eq!(answered.body["attribute"], json!(attribute), "{body}");
    }
    assert!(world.node.told().acted_on.is_none());
    assert_eq!(
        world.operate_as("v", path, json!({})).await.problem(),
        "role"
    );
}

#[tokio::test]
async fn neighbours_are_paused_by_operators_and_nodes_drained_by_administrators() {
    let world = World::new();
    let path = "/v1/neighbours/hebi.hub/pause";
    let body = json!({"lane": "bulk", "reason": "the link is dear"});
    let answered = world.operate_as("w", path, body).await;
    assert_eq!(
        answered.body,
        json!({"neighbour": "hebi.hub", "paused": ["bulk"]})
    );
    let hub: UnitId = "hebi.hub".parse().expect("a unit");
    assert_eq!(
        world.node.told().paused.take(),
        Some((hub, Some(Lane::Bulk), true, "the link is dear".into()))
    );
    let resume = "/v1/neighbours/hebi.hub/resume";
    assert_eq!(
        world
            .operate_as("w", resume, json!({}))
            .await
            .status
            .as_u16(),
        200
    );
    let resumed = world.node.told().paused.take().expect("resumed");
    assert_eq!((resumed.1, resumed.2), (None, false));
    let nowhere = world
        .operate_as("w", "/v1/neighbours/Nowhere/pause", json!({}))
        .await;
    assert_eq!(nowhere.problem(), "unknown-neighbour");
    assert_eq!(
        world
            .operate_as("w", "/v1/drain", json!({}))
            .await
            .problem(),
        "role"
    );
    let drained = world
        .operate("/v1/drain", json!({"reason": "new disk"}))
        .await;
    assert_eq!(drained.body["draining"], json!(true));
    assert_eq!(
        world.operate("/v1/resume", json!({})).await.body["draining"],
        json!(false)
    );
}

#[tokio::test]
async fn the_queue_is_asked_for_the_part_that_the_parameters_name() {
    let world = World::new();
    let answered = world
        .get("/v1/queue?max=7&cursor=abc&state=held&neighbour=hebi.hub&kind=case.*&older-than=2h")
        .await;
    assert_eq!(answered.body, json!({"messages": [], "total": 0}));
    let expected = QueueAsk {
        max: 7,
        cursor: Some("abc".into()),
        filter: QueueFilter {
            state: Some(MessageState::Held),
            neighbour: Some("hebi.hub".parse().expect("a unit")),
            kind: Some("case.*".parse().expect("a pattern")),
            older_than: Some(7_200_000),
            ..QueueFilter::default()
        },
    };
    assert_eq!(world.node.told().queue, Some(expected));
    for (query, name) in [
        ("state=read", "state"),
        ("neighbour=He", "neighbour"),
        ("lane=slow", "lane"),
        ("older-than=7", "older-than"),
    ] {
        let answered = world.get(&format!("/v1/queue?{query}")).await;
        assert_eq!(answered.body["attribute"], json!(name));
    }
}
