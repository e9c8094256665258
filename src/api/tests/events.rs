//! Listening to what happens.

use super::*;

/// Somebody who listens, and what was not read yet.
struct Listener {
    body: axum::body::BodyDataStream,
    text: String,
}

impl World {
    async fn listen(&self, path: &str) -> Listener {
        let request = request("GET", path, &[], Body::empty());
        let answer = self.router.clone().oneshot(request).await;
        let answer = answer.expect("never fails");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Listener {
            body: answer.into_body().into_data_stream(),
            text: String::new(),
        }
    }
}

impl Listener {
    /// The next event's name and data; none at the end. Signs of life are passed over.
    async fn next(&mut self) -> Option<(String, Json)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let Some(name) = field("event: ") else {
                    continue;
                };
                let data = field("data: ").expect("data");
                return Some((name.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
            let more = timeout(DEADLINE, self.body.next())
                .await
                .expect("in time")?;
            self.text += std::str::from_utf8(&more.expect("bytes")).expect("a text");
        }
    }

    async fn expect(&mut self, name: &str) -> Json {
        let (found, data) = self.next().await.expect("an event");
        assert_eq!(found, name, "{data}");
        data
    }
}

fn happening(step: &'static str) -> Heard {
    Heard::Happening(Box::new(HappeningView {
        messageid: MessageId::of(&"hebi.tax".parse().expect("a unit"), "1"),
        from: "hebi.tax".parse().expect("a unit"),
        kind: "case.transfer".parse().expect("a kind"),
        caseid: Some("1".into()),
        priority: Lane::Urgent,
        state: MessageState::Relayed,
        step: StepView {
            at: NOW,
            step,
            ..StepView::default()
        },
    }))
}

fn transfer(bytes: u64) -> TransferView {
    TransferView {
        digest: format!("blake3:{}", "a".repeat(64))
            .parse()
            .expect("a digest"),
        neighbour: "hebi.hub".parse().expect("a unit"),
        way: "out",
        size: Some(100),
        bytes,
        rate_bps: None,
        seconds_left: None,
    }
}

#[tokio::test]
async fn a_listener_hears_steps_and_what_has_changed_and_what_is_gone() {
    let world = World::new();
    world.node.told().transfers = vec![transfer(10)];
    world.node.told().heard = vec![happening("sent"), Heard::Lost(7), happening("acked")];
    let mut steps = world.listen("/v1/events?topics=message").await;
    let sent = steps.expect("message").await;
    assert_eq!(
        sent["step"],
        json!({"at": "2026-02-25T06:13:20.000Z", "step": "sent"})
    );
    assert_eq!(
        (&sent["state"], &sent["type"]),
        (&json!("relayed"), &json!("case.transfer"))
    );
    assert_eq!(steps.expect("lost").await, json!({"steps": 7}));
    assert_eq!(steps.expect("message").await["step"]["step"], "acked");

    let mut rest = world
        .listen("/v1/events?topics=link,attachment,status")
        .await;
    assert_eq!(rest.expect("link").await["link"], "3g");
    assert_eq!(rest.expect("attachment").await["bytes"], 10);
    let status = rest.expect("status").await;
    assert_eq!(status["attachments"]["under_way"], json!([]));
    // Only what changes is told again.
    world.node.told().transfers = vec![transfer(20)];
    assert_eq!(rest.expect("attachment").await["bytes"], 20);
    world.node.refuse(Cause::StorageFailed);
    assert_eq!(rest.expect("problem").await["status"], 503);
    world.node.told().refusal = None;
    world.node.told().transfers = vec![];
    let mut gone = [rest.expect("gone").await, rest.expect("gone").await];
    gone.sort_by_key(|gone| gone["what"].to_string());
    assert_eq!(
        (&gone[0]["what"], &gone[1]["what"]),
        (&json!("attachment"), &json!("problem"))
    );
}

#[tokio::test]
async fn listeners_are_bounded_and_end_with_the_node() {
    let world = World::new();
    let mut listeners = Vec::new();
    for _ in 0..crate::api::events::LISTENERS_MAX {
        listeners.push(world.listen("/v1/events").await);
    }
    let refused = world.get("/v1/events").await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (429, "busy"));
    assert_eq!(refused.body["bound"], "listeners");
    // Whoever goes makes room.
    listeners.pop();
    let mut last = world.listen("/v1/events").await;
    world.stop();
    while last.next().await.is_some() {}

    let wrong = world.get("/v1/events?topics=message,weather").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.problem()),
        (422, "invalid-request")
    );
}
