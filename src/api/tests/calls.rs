//! What each call answers.

use super::*;

#[tokio::test]
async fn the_specification_and_the_routes_are_the_same() {
    let world = World::with(|settings| settings.limits.request_kib = 1);
    let specification: Json = serde_json::from_str(node::SPECIFICATION).expect("JSON");
    let paths = specification["paths"].as_object().expect("paths");
    for (path, calls) in paths {
        let path = path
            .replace("{messageid}", &message_id("1").to_string())
            .replace("{digest}", &BlobDigest::of(b"1").to_string())
            .replace("{unit}", "hebi.hub");
        for method in ["get", "post", "put", "delete"] {
            let headers = [("content-type", "application/json")];
            let body = Body::from("{}");
            let answered = world
                .ask(request(&method.to_uppercase(), &path, &headers, body))
                .await;
            let described = calls.get(method);
            assert_eq!(
                answered.status != StatusCode::METHOD_NOT_ALLOWED,
                described.is_some(),
                "{method} {path}"
            );
            match described {
                Some(call) => {
                    let status = answered.status.as_str();
                    assert!(
                        call["responses"].get(status).is_some(),
                        "{method} {path} {status}"
                    );
                    assert_ne!(
                        answered.body["type"],
                        json!("urn:casegate:problem:not-found")
                    );
                }
                None => {
                    assert_eq!(answered.problem(), "method-not-allowed");
                    assert!(answered.headers.contains_key("allow"), "{method} {path}");
                }
            }
        }
    }
    for path in ["/", "/v1", "/v1/event", "/console/", "/v1/queue/x/burn"] {
        let answered = world.get(path).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answered.problem(), "not-found");
    }
    let served = world.get("/v1/openapi.json").await;
    assert_eq!(served.body, specification);
}

#[test]
fn every_route_of_the_table_is_in_the_specification() {
    let specification: Json = serde_json::from_str(node::SPECIFICATION).expect("JSON");
    let table = include_str!("../mod.rs");
    let mut seen = 0;
    for route in table.split(".route(").skip(1) {
        let (_, route) = route.split_once('"').expect("a path");
        let (path, calls) = route.split_once('"').expect("a path");
        let calls = calls.split(".route(").next().expect("calls");
        for method in ["get", "post", "put", "patch", "delete"] {
            // As in `get(`, and not as in `target(`.
            let named = calls.match_indices(&format!("{method}(")).any(|(at, _)| {
                let before = calls[..at].chars().next_back();
                !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
            });
            if named {
                let described = &specification["paths"][path][method];
                assert!(described.is_object(), "{method} {path}");
                seen += 1;
            }
        }
    }
    let described = specification["paths"].as_object().expect("paths").values();
    let described = described.flat_map(|path| path.as_object().expect("calls").keys());
    let described = described.filter(|name| name.as_str() != "parameters");
    assert_eq!(seen, described.count());
}

#[test]
fn the_specification_refers_only_to_what_it_holds() {
    fn walk(at: &Json, whole: &Json, seen: &mut usize) {
        match at {
            Json::Object(members) => {
                if let Some(Json::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a local reference");
                    assert!(whole.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members
                    .values()
                    .for_each(|member| walk(member, whole, seen));
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, whole, seen)),
            _ => {}
        }
    }
    let whole: Json = serde_json::from_str(node::SPECIFICATION).expect("JSON");
    let mut seen = 0;
    walk(&whole, &whole, &mut seen);
    assert!(seen > 50, "{seen}");
}

#[tokio::test]
async fn a_message_is_accepted_in_each_mode_and_a_repeat_is_answered_alike() {
    let world = World::new();
    let expected = |id: &str| json!({"id": id, "messageid": message_id(id), "state": "queued"});
    for _ in 0..2 {
        let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
        assert_eq!(answered.status, StatusCode::ACCEPTED, "{}", answered.body);
        assert_eq!(answered.headers["content-type"], "application/json");
        assert_eq!(answered.body, expected("1"));
    }
    let batch = json!([event("2"), event("3")]);
    let answered = world.post("/v1/messages", BATCH, batch).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(
        answered.body,
        json!({"accepted": [expected("2"), expected("3")]})
    );
    let answered = world.post("/v1/messages", BATCH, "[]").await;
    assert_eq!(answered.body, json!({"accepted": []}));

    let headers = [
        ("content-type", "application/pdf"),
        ("ce-specversion", "1.0"),
        ("ce-id", "4"),
        ("ce-source", "/unit/hebi.xunxian.tobacco"),
        ("ce-type", "notice"),
        ("ce-to", "hebi.**"),
    ];
    let binary = request("POST", "/v1/messages", &headers, Body::from("%PDF"));
    let answered = world.ask(binary).await;
    assert_eq!(answered.body, expected("4"), "{}", answered.status);
    let ids: Vec<_> = world
        .node
        .told()
        .submitted
        .iter()
        .map(|s| s.header.id.clone())
        .collect();
    assert_eq!(ids, ["1", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_large_batch_is_read_off_the_request_threads_with_the_same_result() {
    let world = World::new();
    let events: Vec<_> = (0..1000)
        .map(|n| {
            let mut event = event(&n.to_string());
            event["data"] = "x".repeat(1000).into();
            event
        })
        .collect();
    let answered = world.post("/v1/messages", BATCH, Json::from(events)).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    assert_eq!(world.node.told().submitted.len(), 1000);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_a_problem_that_names_it() {
    let world = World::new();
    let mut foreign = event("1");
    foreign["source"] = "/unit/hebi.police".into();
    let mut unknown = event("1");
    unknown["type"] = "case.unheardof".into();
    let cases = [
        (STRUCTURED, "{".to_owned(), 400, "invalid-json", None),
        (
            STRUCTURED,
            foreign.to_string(),
            403,
            "foreign-source",
            Some("source"),
        ),
        (
            STRUCTURED,
            unknown.to_string(),
            422,
            "unknown-kind",
            Some("type"),
        ),
        (STRUCTURED, "[]".to_owned(), 422, "invalid-event", None),
        (
            "application/json",
            event("1").to_string(),
            415,
            "unsupported-media-type",
            Some("content-type"),
        ),
        (
            "text/plain",
            event("1").to_string(),
            415,
            "unsupported-media-type",
            Some("content-type"),
        ),
    ];
    for (kind, body, status, slug, attribute) in cases {
        let answered = world.post("/v1/messages", kind, &body).await;
        assert_eq!(answered.status.as_u16(), status, "{body}");
        assert_eq!(answered.problem(), slug);
        assert_eq!(answered.body["attribute"].as_str(), attribute);
    }
    let batch = json!([event("1"), foreign]);
    let answered = world.post("/v1/messages", BATCH, batch).await;
    assert_eq!(answered.body["index"], json!(1));
    let mut large = event("1");
    large["data"] = "x".repeat(1024 * 1024).into();
    let answered = world.post("/v1/messages", STRUCTURED, large).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answered.body["bound"], json!("message-kib"));
    assert_eq!(answered.body["limit"], json!(1024));
    assert!(world.node.told().submitted.is_empty());
}

#[tokio::test]
async fn what_the_node_refuses_is_a_problem_and_says_when_to_try_again() {
    let world = World::new();
    let cases = [
        (Cause::InvalidRequest, 422, "invalid-request", false),
        (Cause::Policy, 403, "policy", false),
        (Cause::UnknownMessage, 404, "unknown-message", false),
        (Cause::IdConflict, 409, "id-conflict", false),
        (Cause::WrongState, 409, "wrong-state", false),
        (Cause::UnknownUnit, 422, "unknown-unit", false),
        (Cause::Expires, 422, "expires", false),
        (Cause::Busy, 429, "busy", true),
        (Cause::UnknownAttachment, 422, "unknown-attachment", false),
        (Cause::MailboxFull, 507, "mailbox-full", true),
        (Cause::BoundReached, 507, "bound-reached", true),
        (Cause::DiskFull, 507, "disk-full", true),
        (Cause::Recovering, 503, "recovering", true),
        (Cause::Stopping, 503, "stopping", true),
        (Cause::StorageFailed, 503, "storage-failed", true),
        (Cause::Internal, 500, "internal", false),
    ];
    for (cause, status, slug, retry) in cases {
        world.node.refuse(cause);
        let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
        assert_eq!(answered.status.as_u16(), status);
        assert_eq!(answered.problem(), slug);
        assert_eq!(
            answered.headers.contains_key("retry-after"),
            retry,
            "{slug}"
        );
    }
    use crate::delivery::NotAccepted;
    let why = NotAccepted::Bound {
        name: "outbox-messages",
        bound: 5,
    };
    world.node.told().refusal = Some(Refusal::not_accepted(3, &why));
    let answered = world.post("/v1/messages", STRUCTURED, event("1")).await;
    let body = answered.body;
    assert_eq!(body["bound"], json!("outbox-messages"));
    assert_eq!((&body["limit"], &body["index"]), (&json!(5), &json!(3)));
}

#[tokio::test]
async fn a_message_is_shown_with_its_times_and_an_unknown_one_is_404() {
    let world = World::new();
    world.post("/v1/messages", STRUCTURED, event("1")).await;
    let answered = world
        .get(&format!("/v1/messages/{}", message_id("1")))
        .await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.body["accepted"], json!("2026-02-25T06:13:20.000Z"));
    assert_eq!(answered.body["type"], json!("case.transfer"));
    assert_eq!(answered.body["timeline"][0]["step"], json!("accepted"));
    assert_eq!(
        answered.body["timeline"][0]
            .as_object()
            .map(|step| step.len()),
        Some(2)
    );
    for path in [message_id("2").to_string(), "nonsense".into(), "%ff".into()] {
        let answered = world.get(&format!("/v1/messages/{path}")).await;
        assert_eq!(answered.status.as_u16() / 100, 4, "{path}");
        answered.problem();
    }
}

#[tokio::test]
async fn the_inbox_hands_out_events_and_an_empty_array_when_none_came() {
    let world = World::new();
    let answered = world.get("/v1/inbox?wait=1ms").await;
    assert_eq!(answered.headers["content-type"], BATCH);
    assert_eq!(answered.body, json!([]));
    let messages = vec![handed(&world, "1", "[1]"), handed(&world, "2", "null")];
    world.node.told().inbox = messages;
    let answered = world.get("/v1/inbox?max=100000&wait=30s").await;
    let events = answered.body.as_array().expect("a batch");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["data"], json!([1]));
    assert_eq!(events[1]["messageid"], json!(message_id("2")));
    assert_eq!(events[1]["receivedtime"], json!("2026-02-25T06:13:20.005Z"));
    let expected = InboxAsk {
        max: 1000,
        bytes_max: 16 * 1024 * 1024,
        wait: Duration::from_secs(30),
    };
    assert_eq!(world.node.told().asked, Some(expected));
    for (query, name) in [
        ("max=0", "max"),
        ("max=many", "max"),
        ("wait=soon", "wait"),
        ("max=1&max=2", "query"),
        ("wait=%ff", "wait"),
    ] {
        let answered = world.get(&format!("/v1/inbox?{query}")).await;
        assert_eq!(answered.status.as_u16(), 422, "{query}");
        assert_eq!(answered.body["attribute"], json!(name), "{query}");
    }
}

#[tokio::test]
async fn a_message_that_makes_no_event_keeps_no_other_back() {
    let world = World::new();
    let mut damaged = handed(&world, "1", "[1]");
    damaged.body = Bytes::from_static(b"1},{");
    let messages = vec![damaged.clone(), handed(&world, "2", "2"), damaged];
    world.node.told().inbox = messages;
    let answered = world.get("/v1/inbox").await;
    assert_eq!(
        answered.body.as_array().map(Vec::len),
        Some(1),
        "{}",
        answered.body
    );
}

#[tokio::test]
async fn acks_and_releases_tell_what_was_not_known() {
    let world = World::new();
    let (one, two) = (message_id("1"), message_id("2"));
    let named = json!({"messageids": [one, two, "nonsense"]});
    let answered = world
        .post("/v1/inbox/ack", "application/json", &named)
        .await;
    assert_eq!(
        answered.body,
        json!({"acked": 1, "unknown": [one, "nonsense"]})
    );
    assert_eq!(world.node.told().acked, [one, two]);
    let answered = world
        .post("/v1/inbox/release", "application/json", &named)
        .await;
    assert_eq!(
        answered.body,
        json!({"released": 2, "unknown": ["nonsense"]})
    );
    let none = world
        .post("/v1/inbox/ack", "application/json", r#"{"messageids":[]}"#)
        .await;
    assert_eq!(none.body, json!({"acked": 0, "unknown": []}));
    for (body, status) in [
        ("{", 400),
        ("{}", 422),
        (r#"{"messageids":7}"#, 422),
        ("", 400),
    ] {
        let answered = world.post("/v1/inbox/ack", "application/json", body).await;
        assert_eq!(answered.status.as_u16(), status, "{body}");
        answered.problem();
    }
    let many = json!({"messageids": vec![one; 10_001]});
    let answered = world.post("/v1/inbox/ack", "application/json", many).await;
    assert_eq!(answered.body["attribute"], json!("messageids"));
}

#[tokio::test]
async fn the_node_is_shown_and_probed() {
    let world = World::new();
    assert_eq!(
        world.get("/v1/status").await.body["started"],
        json!("2026-02-25T06:13:20.000Z")
    );
    let links = world.get("/v1/links").await.body;
    assert_eq!(links["links"][0]["lanes_sent"]["bulk"], json!(4));
    assert_eq!(world.get("/v1/units").await.body, json!({"units": []}));
    let metrics = world.get("/metrics").await;
    assert_eq!(metrics.body, json!("casegate_up 1\n"));
    world.get("/v1/messages/no-such").await;
    world.get("/wp-login.php").await;
    let counted = world.settings.metrics.render();
    for (route, status) in [
        ("/v1/status", 200),
        ("/v1/messages/{messageid}", 404),
        ("none", 404),
    ] {
        let line =
            format!("casegate_api_requests_total{{route=\"{route}\",status=\"{status}\"}} 1");
        assert!(
            counted.lines().any(|shown| shown == line),
            "{line}\n{counted}"
        );
    }
    assert_eq!(world.get("/readyz").await.body, json!({"status": "ready"}));
    world.node.refuse(Cause::StorageFailed);
    let answered = world.get("/readyz").await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (503, "storage-failed")
    );
    assert_eq!(world.get("/healthz").await.body, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_of_it() {
    let world = World::new();
    world.node.told().panics = true;
    let path = format!("/v1/messages/{}", message_id("1"));
    let answered = world.get(&path).await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (500, "internal")
    );
    assert!(!answered.body.to_string().contains("secret"));
    let request = answered.headers["x-request-id"].to_str().expect("a text");
    assert!(
        answered.body["detail"]
            .as_str()
            .expect("a text")
            .contains(request)
    );
}

#[tokio::test]
async fn requests_beyond_the_bound_are_429_and_probes_are_not() {
    let world = World::with(|settings| settings.limits.api_requests = 1);
    let poll = tokio::spawn(world.router.clone().oneshot(request(
        "GET",
        "/v1/inbox?wait=1m",
        &[],
        Body::empty(),
    )));
    world
        .node
        .until("a poll waits", |node| {
            node.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
    let answered = world.get("/v1/status").await;
    assert_eq!(
        (answered.status.as_u16(), answered.problem()),
        (429, "busy")
    );
    assert_eq!(answered.headers["retry-after"], "1");
    assert_eq!(answered.body["bound"], json!("api-requests"));
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
    poll.abort();
    world
        .node
        .until("the poll is dropped", |node| {
            node.waiting.load(Ordering::SeqCst) == 0
        })
        .await;
    assert_eq!(world.get("/v1/status").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_history_has_lists_of_one_length_and_a_null_where_nothing_is_known() {
    let world = World::new();
    for (asked, span) in [("", "1h"), ("?span=24h", "24h"), ("?span=30d", "30d")] {
        let history = world.get(&format!("/v1/history{asked}")).await.body;
        assert_eq!(history["span"], span);
        assert_eq!(history["through"], "2026-02-25T06:13:20.000Z");
        assert_eq!(history["queued"], json!([3, null, 5]));
        for list in ["at", "sent_bps", "received_bps", "inbox"] {
            let list = history[list].as_array().expect("a list");
            assert_eq!(list.len(), 3);
        }
    }
    let wrong = world.get("/v1/history?span=2h").await;
    assert_eq!(
        (wrong.problem(), &wrong.body["attribute"]),
        ("invalid-request", &json!("span"))
    );
}

#[tokio::test]
async fn a_search_is_bounded_by_lane_and_goes_either_way() {
    let world = World::new();
    world.get("/v1/messages?lane=flash&order=oldest").await;
    let search = world.node.told().search.take().expect("it was asked");
    assert_eq!((search.lane, search.forward), (Some(Lane::Flash), true));
    world.get("/v1/messages?lane=&order=newest").await;
    let search = world.node.told().search.take().expect("it was asked");
    assert_eq!((search.lane, search.forward), (None, false));
    for wrong in ["lane=express", "order=size"] {
        let answered = world.get(&format!("/v1/messages?{wrong}")).await;
        assert_eq!(answered.problem(), "invalid-request", "{wrong}");
    }
}
