//! Stories of messages, and what the collector gets of them.

use serde_json::{Value, json};

use super::{otlp, span::Span, story::Story};
use crate::{
    delivery::{Event, Step},
    model::{Digest, Lane, Location, MessageId, Millis, Pattern, Reason, State, UnitId},
};

const MESSAGE: MessageId = MessageId(*b"0123456789abcdef");

fn unit(name: &str) -> UnitId {
    name.parse().expect("a unit")
}

fn pattern(name: &str) -> Pattern {
    name.parse().expect("a pattern")
}

/// A node, and what it has told.
struct Told {
    story: Story,
    spans: Vec<Span>,
}

impl Told {
    fn of(name: &str) -> Self {
        Self {
            story: Story::new(unit(name)),
            spans: Vec::new(),
        }
    }

    /// Something happens, and is on stable storage 5 ms later.
    fn then(mut self, at: Millis, what: Step) -> Self {
        let event = Event::Message {
            message: MESSAGE,
            at,
            what,
        };
        self.story.take(event, at + 5, &mut self.spans);
        self
    }

    /// What was done, to whom, from when to when, and what went wrong.
    fn in_short(&self) -> Vec<(&'static str, &str, Millis, Millis, Option<&'static str>)> {
        let short = self.spans.iter().map(|span| {
            let error = span.error.map(|error| error.kind);
            let name = span.operation.name();
            (name, &*span.destination, span.start, span.end, error)
        });
        short.collect()
    }
}

fn location() -> Location {
    Location {
        segment: 1,
        offset: 2,
        len: 3,
    }
}

fn accepted() -> Step {
    Step::Accepted {
        location: location(),
        parcel: Digest([1; 16]),
        bytes: 900,
        lane: Lane::Urgent,
    }
}

fn received(from: &str) -> Step {
    Step::Received {
        location: location(),
        parcel: Digest([1; 16]),
        bytes: 900,
        lane: Lane::Urgent,
        from: unit(from),
    }
}

fn queued(neighbour: &str, receivers: &[&str]) -> Step {
    Step::Queued {
        neighbour: unit(neighbour),
        receivers: receivers.iter().map(|name| pattern(name)).collect(),
    }
}

fn sent(neighbour: &str, link: &str) -> Step {
    Step::Sent {
        neighbour: unit(neighbour),
        link: link.into(),
    }
}

fn returned(neighbour: &str, link: &str) -> Step {
    Step::Returned {
        neighbour: unit(neighbour),
        link: link.into(),
    }
}

fn acked(neighbour: &str) -> Step {
    Step::Acked {
        neighbour: unit(neighbour),
    }
}

fn expired(receiver: &str) -> Step {
    Step::Ended {
        receiver: pattern(receiver),
        state: State::Expired,
        reason: Reason::Expiry,
    }
}

#[test]
fn a_batch_is_what_the_protocol_says() {
    let mut told = Told::of("hebi.hub")
        .then(1_000, received("hebi.a"))
        .then(1_001, queued("hebi.b", &["hebi.b"]))
        .then(1_500, Step::Held)
        .then(1_700, Step::Released)
        .then(2_000, sent("hebi.b", "3g"))
        .then(2_400, returned("hebi.b", "3g"));
    let concluded = Event::Concluded {
        message: MESSAGE,
        accepted: 900,
        at: 5_000,
        bytes: 900,
        lane: Lane::Urgent,
        receiver: Some(pattern("hebi.b")),
        state: State::Delivered,
        reason: Reason::None,
    };
    told.story.take(concluded, 5_000, &mut told.spans);

    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number = |key: &str, value: &str| json!({"key": key, "value": {"intValue": value}});
    let id = MESSAGE.to_string();
    let trace = "30313233343536373839616263646566";
    let root = "0cdee0d74cf0f311";
    let expected = json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", "casegate"),
            text("service.instance.id", "hebi.hub"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ]},
        "scopeSpans": [{
            "scope": {"name": "casegate", "version": env!("CARGO_PKG_VERSION")},
            "spans": [
                {
                    "traceId": trace, "spanId": "4cd5ffa8e5ce06ed", "parentSpanId": root, "flags": 3,
                    "name": "receive hebi.hub", "kind": 5,
                    "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1005000000",
                    "attributes": [
                        text("messaging.system", "casegate"),
                        text("messaging.operation.name", "receive"),
                        text("messaging.operation.type", "receive"),
                        text("messaging.destination.name", "hebi.hub"),
                        text("messaging.message.id", &id),
                        text("casegate.lane", "urgent"),
                        number("messaging.message.envelope.size", "900"),
                        text("casegate.neighbour", "hebi.a"),
                    ],
                },
                {
                    "traceId": trace, "spanId": "c845e81dd4b6dc36", "parentSpanId": root, "flags": 3,
                    "name": "wait hebi.b", "kind": 1,
                    "startTimeUnixNano": "1001000000", "endTimeUnixNano": "2000000000",
                    "attributes": [
                        text("messaging.system", "casegate"),
                        text("messaging.operation.name", "wait"),
                        text("messaging.destination.name", "hebi.b"),
                        text("messaging.message.id", &id),
                        text("casegate.lane", "urgent"),
                        number("messaging.message.envelope.size", "900"),
                    ],
                    "events": [
                        {"timeUnixNano": "1500000000", "name": "held"},
                        {"timeUnixNano": "1700000000", "name": "released"},
                    ],
                },
                {
                    "traceId": trace, "spanId": "69627c41c1ec6876", "parentSpanId": root, "flags": 3,
                    "name": "relay hebi.b", "kind": 3,
                    "startTimeUnixNano": "2000000000", "endTimeUnixNano": "2400000000",
                    "attributes": [
                        text("messaging.system", "casegate"),
                        text("messaging.operation.name", "relay"),
                        text("messaging.operation.type", "send"),
                        text("messaging.destination.name", "hebi.b"),
                        text("messaging.message.id", &id),
                        text("casegate.lane", "urgent"),
                        number("messaging.message.envelope.size", "900"),
                        text("casegate.link", "3g"),
                        number("casegate.attempt", "1"),
                        text("error.type", "returned"),
                    ],
                    "status": {
                        "code": 2,
                        "message": "the session ended, or its link fell silent, before an ack",
                    },
                },
                {
                    "traceId": trace, "spanId": root, "flags": 3,
                    "name": "send hebi.b", "kind": 4,
                    "startTimeUnixNano": "900000000", "endTimeUnixNano": "5000000000",
                    "attributes": [
                        text("messaging.system", "casegate"),
                        text("messaging.operation.name", "send"),
                        text("messaging.operation.type", "send"),
                        text("messaging.destination.name", "hebi.b"),
                        text("messaging.message.id", &id),
                        text("casegate.lane", "urgent"),
                        number("messaging.message.envelope.size", "900"),
                        text("casegate.state", "delivered"),
                    ],
                },
            ],
        }],
    }]});
    let body = otlp::request(&unit("hebi.hub"), told.spans.iter());
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(told, expected, "{told:#}");
}

#[test]
fn what_a_sender_tells_goes_from_the_call_to_the_ack_with_every_attempt() {
    let told = Told::of("hebi.a")
        .then(1_000, accepted())
        .then(1_000, queued("hebi.hub", &["hebi.b"]))
        .then(2_000, sent("hebi.hub", "3g"))
        .then(3_000, returned("hebi.hub", "3g"))
        .then(4_000, sent("hebi.hub", "exclusive"))
        .then(4_100, acked("hebi.hub"));
    assert_eq!(
        told.in_short(),
        [
            ("accept", "hebi.a", 1_000, 1_005, None),
            ("wait", "hebi.hub", 1_000, 2_000, None),
            ("relay", "hebi.hub", 2_000, 3_000, Some("returned")),
            ("wait", "hebi.hub", 3_000, 4_000, None),
            ("relay", "hebi.hub", 4_000, 4_100, None),
        ]
    );
    let mut ids: Vec<_> = told.spans.iter().map(|span| span.id).collect();
    let root = told.spans[0].parent.expect("a parent");
    assert!(told.spans.iter().all(|span| span.parent == Some(root)));
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn what_goes_over_two_links_at_once_is_under_way_on_both() {
    let told = Told::of("hebi.a")
        .then(1_000, accepted())
        .then(1_000, queued("hebi.hub", &["hebi.b"]))
        .then(1_001, sent("hebi.hub", "exclusive"))
        .then(1_001, sent("hebi.hub", "3g"))
        .then(1_500, returned("hebi.hub", "exclusive"))
        .then(1_900, acked("hebi.hub"));
    assert_eq!(
        told.in_short()[1..],
        [
            ("wait", "hebi.hub", 1_000, 1_001, None),
            ("relay", "hebi.hub", 1_001, 1_500, Some("returned")),
            ("relay", "hebi.hub", 1_001, 1_900, None),
        ]
    );
    assert_ne!(told.spans[2].id, told.spans[3].id);
}

#[test]
fn what_a_receiver_tells_ends_with_the_application() {
    let told = Told::of("hebi.b")
        .then(1_000, received("hebi.hub"))
        .then(1_000, Step::Delivered)
        .then(5_000, Step::Handed)
        .then(65_000, Step::Handed)
        .then(65_200, Step::Taken);
    assert_eq!(
        told.in_short(),
        [
            ("receive", "hebi.b", 1_000, 1_005, None),
            ("deliver", "hebi.b", 1_000, 1_005, None),
            ("wait", "hebi.b", 1_000, 5_000, None),
            ("hand over", "hebi.b", 5_000, 65_000, Some("not-acked")),
            ("hand over", "hebi.b", 65_000, 65_200, None),
        ]
    );
}

#[test]
fn a_message_that_ends_in_a_queue_ends_what_it_did_there() {
    let told = Told::of("hebi.hub")
        .then(1_000, received("hebi.a"))
        .then(1_000, queued("hebi.b", &["hebi.b"]))
        .then(1_000, queued("hebi.c", &["hebi.c"]))
        .then(9_000, expired("hebi.b"))
        .then(9_500, sent("hebi.c", "lan"))
        .then(9_600, acked("hebi.c"));
    assert_eq!(
        told.in_short()[1..],
        [
            ("wait", "hebi.b", 1_000, 9_000, Some("expiry")),
            ("end", "hebi.b", 9_000, 9_000, Some("expiry")),
            ("wait", "hebi.c", 1_000, 9_500, None),
            ("relay", "hebi.c", 9_500, 9_600, None),
        ]
    );
}

#[test]
fn what_began_before_the_start_ends_without_length_and_a_clock_that_goes_back_takes_none() {
    let told = Told::of("hebi.b").then(7_000, acked("hebi.hub"));
    let relay = ("relay", "hebi.hub", 7_000, 7_000, None);
    assert_eq!(told.in_short(), [relay]);
    let told = Told::of("hebi.b").then(7_000, Step::Taken);
    assert_eq!(
        told.in_short(),
        [("hand over", "hebi.b", 7_000, 7_000, None)]
    );
    let told = Told::of("hebi.b").then(7_000, returned("hebi.hub", "3g"));
    assert_eq!(told.in_short(), []);
    let told = Told::of("hebi.b")
        .then(7_000, queued("hebi.hub", &["hebi.a"]))
        .then(6_000, sent("hebi.hub", "3g"));
    assert_eq!(told.in_short(), [("wait", "hebi.hub", 7_000, 7_000, None)]);
}

#[test]
fn a_node_that_tells_the_same_again_tells_the_same_spans_and_another_node_others() {
    let story = |name: &str| {
        Told::of(name)
            .then(1_000, received("hebi.a"))
            .then(1_000, queued("hebi.b", &["hebi.b"]))
            .then(2_000, sent("hebi.b", "3g"))
            .then(2_100, acked("hebi.b"))
            .spans
    };
    assert_eq!(story("hebi.hub"), story("hebi.hub"));
    let others = story("hebi.xunxian.hub");
    for (one, other) in story("hebi.hub").iter().zip(&others) {
        assert_ne!(one.id, other.id);
        assert_eq!((one.trace, one.parent), (other.trace, other.parent));
    }
}

#[test]
fn a_message_called_nothing_is_not_told_of() {
    let mut story = Story::new(unit("hebi.a"));
    let mut spans = Vec::new();
    for what in [accepted(), expired("hebi.b")] {
        let event = Event::Message {
            message: MessageId([0; 16]),
            at: 1,
            what,
        };
        story.take(event, 1, &mut spans);
    }
    assert_eq!(spans, []);
}
