//! Tests across the room: what goes in comes out, and nothing else goes in.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json, value::RawValue};

use super::*;
use crate::{
    codec,
    model::{Digest, Fingerprint, Kinds, Lane, Limits, Millis, UnitId},
    parcel::{BodyForm, Parcel},
};

const ACCEPTED: Millis = 1_772_000_000_000; // 2026-02-25T06:13:20Z
const SIGNER: Fingerprint = Fingerprint([7; 16]);
const DIGEST: &str = "blake3:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct World {
    unit: UnitId,
    kinds: Kinds,
    limits: Limits,
}

impl World {
    fn new() -> Self {
        Self {
            unit: "hebi.xunxian.tobacco".parse().expect("a unit"),
            kinds: Kinds::default(),
            limits: Limits::default(),
        }
    }

    fn intake(&self) -> Intake<'_> {
        Intake {
            unit: &self.unit,
            kinds: &self.kinds,
            limits: &self.limits,
            signer: SIGNER,
            accepted: ACCEPTED,
        }
    }

    fn structured(&self, text: impl Into<String>) -> Result<Submission, EventError> {
        self.intake().structured(&Bytes::from(text.into()))
    }
}

fn event() -> Json {
    json!({
        "specversion": "1.0",
        "id": "01HM56YA7WBY89DVN5Q7K4MFWY",
        "source": "/unit/hebi.xunxian.tobacco",
        "type": "case.transfer",
        "to": "hebi.procuratorate",
    })
}

/// The event with these members put in; `null` takes one out.
fn with(changes: Json) -> Json {
    let mut event = event();
    let members = event.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    event
}

/// The event as an application gets it, by way of a parcel's bytes.
fn delivered(submission: &Submission) -> Json {
    let header = codec::encode(&submission.header);
    let joined = Parcel::join(&[0; 64], &header, &submission.body);
    let parcel = Parcel::read(joined.bytes().clone()).expect("a parcel");
    let header = parcel.header().expect("a header");
    assert_eq!(header, submission.header);
    let event = to_event(&header, &parcel.body(), ACCEPTED + 1).expect("an event");
    serde_json::from_str(event.get()).expect("JSON")
}

/// Takes off what the gateway adds, and checks it.
fn without_additions(mut event: Json) -> Json {
    let members = event.as_object_mut().expect("an object");
    assert_eq!(
        members.remove("receivedtime"),
        Some(json!("2026-02-25T06:13:20.001Z"))
    );
    assert_eq!(
        members.remove("signedby"),
        Some(json!(format!("hebi.xunxian.tobacco {SIGNER}")))
    );
    assert!(
        members
            .remove("messageid")
            .is_some_and(|id| id.as_str().is_some_and(|id| id.len() == 26))
    );
    event
}

#[test]
fn an_event_with_every_attribute_comes_back_as_it_was_submitted() {
    let submitted = with(json!({
        "to": "hebi.procuratorate,hebi.**",
        "subject": "关于移送涉嫌犯罪案件的函",
        "time": "whatever the application wrote",
        "datacontenttype": "application/json",
        "dataschema": "https://example.org/case.json",
        "caseid": "410621202401150510002",
        "priority": "urgent",
        "expires": "2026-03-01T08:00:00.5+08:00",
        "inreplyto": "01HM",
        "attachments": format!("{DIGEST} {DIGEST}"),
        "sequence": 7,
        "final": false,
        "note": "quotes \" and \\ and 中文",
        "data": {"amount": 1.50, "list": [null, "x"]},
    }));
    let world = World::new();
    let submission = world.structured(submitted.to_string()).expect("accepted");
    let header = &submission.header;
    assert_eq!(header.lane, Lane::Urgent);
    assert_eq!(header.expires, 1_772_323_200_500);
    assert_eq!(header.to.len(), 2);
    assert_eq!(header.attachments.len(), 2);
    assert_eq!(without_additions(delivered(&submission)), submitted);
}

#[test]
fn what_was_not_given_is_not_delivered_and_takes_the_kinds_defaults() {
    let world = World::new();
    let submission = world
        .structured(with(json!({"type": "case.supervision"})).to_string())
        .expect("accepted");
    assert_eq!(submission.header.lane, Lane::Urgent);
    assert_eq!(submission.header.expires, ACCEPTED + 30 * 24 * 3600 * 1000);
    assert_eq!(submission.header.form, BodyForm::None);
    assert_eq!(
        without_additions(delivered(&submission)),
        with(json!({"type": "case.supervision"}))
    );
}

#[test]
fn data_is_carried_byte_for_byte() {
    let data = "{ \"b\" : 1.10e+2,\n\t\"a\":[ 00000000 ]}".replace("00000000", r#""\u4e2d\/""#);
    let text = event()
        .to_string()
        .replacen('{', &format!("{{ \"data\" : {data} ,"), 1);
    let submission = World::new().structured(text).expect("accepted");
    assert_eq!(submission.body, data);
    let event = to_event(&submission.header, &submission.body, ACCEPTED).expect("an event");
    assert!(event.get().contains(&data));
}

#[test]
fn base64_data_is_carried_as_bytes_and_comes_back_as_base64() {
    let submitted = with(json!({"data_base64": "AAH/", "datacontenttype": "image/png"}));
    let submission = World::new()
        .structured(submitted.to_string())
        .expect("accepted");
    assert_eq!(*submission.body, [0, 1, 255]);
    assert_eq!(without_additions(delivered(&submission)), submitted);
}

#[test]
fn a_null_is_data() {
    let text = event().to_string().replacen('{', r#"{"data":null,"#, 1);
    let submission = World::new().structured(text).expect("accepted");
    assert_eq!(
        (submission.header.form, &*submission.body),
        (BodyForm::Json, &b"null"[..])
    );
}

#[test]
fn what_is_wrong_is_answered_with_its_status_and_its_name() {
    let long = "a".repeat(129);
    let many: Vec<_> = (0..65).map(|n| format!("hebi.u{n}")).collect();
    let mut crowded = Map::new();
    for n in 0..33 {
        crowded.insert(format!("x{n}"), json!("1"));
    }
    let cases = [
        (json!({"specversion": null}), 422, "specversion"),
        (json!({"specversion": "0.3"}), 422, "specversion"),
        (json!({"id": null}), 422, "id"),
        (json!({"id": ""}), 422, "id"),
        (json!({"id": 7}), 422, "id"),
        (json!({"id": long}), 422, "id"),
        (json!({"source": null}), 422, "source"),
        (json!({"source": "/unit/hebi.police"}), 403, "source"),
        (json!({"source": "hebi.xunxian.tobacco"}), 403, "source"),
        (json!({"type": null}), 422, "type"),
        (json!({"type": "case.unheardof"}), 422, "type"),
        (json!({"type": "com.Example"}), 422, "type"),
        (json!({"type": "receipt"}), 422, "type"),
        (json!({"to": null}), 422, "to"),
        (json!({"to": "Hebi"}), 422, "to"),
        (json!({"to": "hebi.police, hebi.court"}), 422, "to"),
        (json!({"to": "hebi.police,"}), 422, "to"),
        (json!({"to": "hebi.police,hebi.police"}), 422, "to"),
        (json!({"to": many.join(",")}), 422, "to"),
        (json!({"to": ["hebi.police"]}), 422, "to"),
        (json!({"caseid": ""}), 422, "caseid"),
        (json!({"caseid": "a".repeat(257)}), 422, "caseid"),
        (json!({"priority": "asap"}), 422, "priority"),
        (json!({"priority": 1}), 422, "priority"),
        (json!({"expires": "tomorrow"}), 422, "expires"),
        (json!({"expires": "2026-02-25T06:13:20Z"}), 422, "expires"),
        (json!({"expires": "1969-02-25T06:13:20Z"}), 422, "expires"),
        (json!({"expires": "2026-05-26T06:13:21Z"}), 422, "expires"),
        (json!({"attachments": "sha256:00"}), 422, "attachments"),
        (
            json!({"attachments": format!("{DIGEST}  {DIGEST}")}),
            422,
            "attachments",
        ),
        (json!({"subject": ""}), 422, "subject"),
        (json!({"subject": "a".repeat(1025)}), 422, "subject"),
        (json!({"subject": "a\nb"}), 422, "subject"),
        (json!({"amount": 1.5}), 422, "amount"),
        (json!({"amount": {"a": 1}}), 422, "amount"),
        (json!({"amount": [1]}), 422, "amount"),
        (json!({"Amount": "1"}), 422, "Amount"),
        (json!({"case-id": "1"}), 422, "case-id"),
        (json!({"signedby": "me"}), 422, "signedby"),
        (json!({"messageid": "me"}), 422, "messageid"),
        (json!({"x": "a".repeat(5000)}), 422, "x"),
        (Json::Object(crowded), 422, "x32"),
        (
            json!({"data": 1, "data_base64": "AAH/"}),
            422,
            "data_base64",
        ),
        (json!({"data_base64": "AAH"}), 422, "data_base64"),
        (json!({"data_base64": 7}), 422, "data_base64"),
    ];
    for (changes, status, attribute) in cases {
        let error = World::new()
            .structured(with(changes.clone()).to_string())
            .expect_err(&changes.to_string());
        let got = (error.problem.status(), error.attribute.as_deref());
        assert_eq!(got, (status, Some(attribute)), "{changes}: {error}");
    }
}

#[test]
fn a_null_attribute_is_refused() {
    let text = event().to_string().replacen('{', r#"{"subject":null,"#, 1);
    let error = World::new().structured(text).expect_err("null");
    assert_eq!(
        (error.problem.status(), error.attribute.as_deref()),
        (422, Some("subject"))
    );
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    for twice in [
        r#""id":"other","#,
        r#""x":1,"x":1,"#,
        r#""data":1,"data":2,"#,
        r#""data":1,"d\u0061ta":2,"#,
        r#""data_base64":"AAH/","data_base64":"AAH/","#,
    ] {
        let text = event().to_string().replacen('{', &format!("{{{twice}"), 1);
        let error = World::new().structured(text).expect_err(twice);
        assert_eq!(error.problem.status(), 422, "{twice}");
        assert!(error.attribute.is_some(), "{twice}");
    }
}

#[test]
fn a_body_that_is_not_utf_8_json_is_400() {
    let event = event().to_string();
    for body in [
        Bytes::new(),
        Bytes::from("{"),
        Bytes::from(format!("{event}{event}")),
        Bytes::from(format!("\u{feff}{event}")),
        Bytes::from([event.as_bytes(), b"\xff"].concat()),
        Bytes::from(event.replace("01HM", "\u{1}")),
    ] {
        let error = World::new()
            .intake()
            .structured(&body)
            .expect_err("no JSON");
        assert_eq!(error.problem.status(), 400, "{body:?}");
    }
}

#[test]
fn data_over_the_bound_is_413_and_data_at_the_bound_is_not() {
    let mut world = World::new();
    world.limits.message_kib = 1;
    let data = |bytes: usize| with(json!({"data": "a".repeat(bytes - 2)})).to_string();
    assert!(world.structured(data(1024)).is_ok());
    let error = world.structured(data(1025)).expect_err("too large");
    assert_eq!(error.problem.status(), 413);
    assert_eq!(error.bound, Some(("message-kib", 1)));
}

#[test]
fn data_nested_a_hundred_thousand_deep_is_422() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for member in ["data", "extra"] {
        let text = event()
            .to_string()
            .replacen('{', &format!("{{\"{member}\":{nested},"), 1);
        let error = World::new().structured(text).expect_err("nested");
        assert_eq!(error.problem.status(), 422);
        assert_eq!(error.attribute.as_deref(), Some(member));
    }
}

#[test]
fn an_expiry_ninety_days_ahead_is_the_last_that_passes() {
    let world = World::new();
    let at = |text: &str| world.structured(with(json!({"expires": text})).to_string());
    assert!(at("2026-05-26T06:13:20Z").is_ok());
    assert!(at("2026-05-26t14:13:20.000+08:00").is_ok());
    for text in [
        "2026-03-01 06:13:20Z",
        "2026-03-01T06:13Z",
        "2026-03-01T06:13:20",
        "2026-03-01T06:13:20.Z",
        "2026-03-01T06:13:20Z[UTC]",
        "2026-02-30T06:13:20Z",
        "+002026-03-01T06:13:20Z",
        "2026-03-01T06:13:20+8:00",
    ] {
        let error = at(text).expect_err(text);
        assert_eq!(error.attribute.as_deref(), Some("expires"), "{text}");
    }
}

#[test]
fn a_batch_is_read_whole_or_not_at_all() {
    let world = World::new();
    let batch = |events: Json| world.intake().batch(&Bytes::from(events.to_string()));
    assert_eq!(batch(json!([])).map(|all| all.len()), Ok(0));
    let good = batch(json!([event(), with(json!({"id": "2", "data": [1]}))])).expect("accepted");
    assert_eq!(good.len(), 2);
    assert_eq!(good[1].body, "[1]");
    let error = batch(json!([event(), event(), with(json!({"to": "?"}))])).expect_err("a bad one");
    assert_eq!((error.problem.status(), error.index), (422, Some(2)));
    let error = batch(json!([event(), 7])).expect_err("no event");
    assert_eq!((error.problem.status(), error.index), (422, Some(1)));
    let error = batch(event()).expect_err("no batch");
    assert_eq!(error.problem.status(), 422);
    let error = batch(Json::Array(vec![event(); 1001])).expect_err("too many");
    assert_eq!(error.bound, Some(("batch-messages", 1000)));
}

#[test]
fn binary_mode_gives_the_same_event() {
    let world = World::new();
    let headers: &[(&str, &[u8])] = &[
        ("Host", b"127.0.0.1:8440"),
        ("Content-Type", b"application/json; charset=utf-8"),
        ("CE-SpecVersion", b"1.0"),
        ("ce-id", b"01HM56YA7WBY89DVN5Q7K4MFWY"),
        ("ce-source", b"/unit/hebi.xunxian.tobacco"),
        ("ce-type", b"case.transfer"),
        ("ce-to", b"hebi.procuratorate"),
        ("ce-subject", b"%E6%B5%9A%E5%8E%BF"),
    ];
    let body = Bytes::from(" {\"a\": 1}\r\n");
    let binary = world
        .intake()
        .binary(headers.iter().copied(), body)
        .expect("accepted");
    let structured = with(json!({
        "subject": "浚县",
        "datacontenttype": "application/json; charset=utf-8",
        "data": {"a": 1},
    }));
    assert_eq!(binary.body, "{\"a\": 1}");
    assert_eq!(without_additions(delivered(&binary)), structured);
}

#[test]
fn a_binary_body_that_is_not_json_is_carried_as_bytes() {
    let world = World::new();
    let read = |more: &[(&str, &[u8])], body: &'static [u8]| {
        let headers: &[(&str, &[u8])] = &[
            ("ce-specversion", b"1.0"),
            ("ce-id", b"01HM"),
            ("ce-source", b"/unit/hebi.xunxian.tobacco"),
            ("ce-type", b"case.transfer"),
            ("ce-to", b"hebi.procuratorate"),
        ];
        let all = headers.iter().chain(more).copied();
        world.intake().binary(all, Bytes::from_static(body))
    };
    let plain = read(&[("content-type", b"text/plain")], b"\xff\x00").expect("accepted");
    assert_eq!(plain.header.form, BodyForm::Binary);
    assert_eq!(delivered(&plain)["data_base64"], json!("/wA="));
    let empty = read(&[("content-type", b"application/json")], b"").expect("accepted");
    assert_eq!(empty.header.form, BodyForm::None);
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'static [u8], u16);
    let cases: [Case<'_>; 5] = [
        (&[("content-type", b"application/json")], b"{", 400),
        (&[("content-type", b"application/json")], b"\"\xff\"", 400),
        (&[("ce-id", b"again")], b"", 422),
        (&[("ce-data", b"1")], b"", 422),
        (&[("ce-x", b"\xff")], b"", 422),
    ];
    for (headers, body, status) in cases {
        let error = read(headers, body).expect_err("refused");
        assert_eq!(error.problem.status(), status, "{error}");
    }
}

#[test]
fn content_is_the_same_in_another_order_and_differs_with_anything_submitted() {
    let world = World::new();
    let content = |text: String| world.structured(text).expect("accepted").content;
    let first = content(with(json!({"caseid": "1", "x": 1, "data": [1, 2]})).to_string());
    let reordered = r#" { "data":[1,2],"x":1 , "to":"hebi.procuratorate","caseid":"1",
        "type":"case.transfer","source":"\/unit\/hebi.xunxian.tobacco","id":"01HM56YA7WBY89DVN5Q7K4MFWY","specversion":"1.0" } "#;
    assert_eq!(first, content(reordered.into()));
    let later = Intake {
        accepted: ACCEPTED + 5000,
        ..world.intake()
    };
    let again = later.structured(&Bytes::from(reordered)).expect("accepted");
    assert_eq!(first, again.content);
    let mut seen: Vec<Digest> = vec![first];
    for change in [
        json!({"caseid": "1", "x": "1", "data": [1, 2]}),
        json!({"caseid": "1", "x": 1, "data": [1, 3]}),
        json!({"caseid": "2", "x": 1, "data": [1, 2]}),
        json!({"caseid": "1", "x": 1, "data": [1, 2], "priority": "normal"}),
        json!({"caseid": "1", "x": 1, "data_base64": "WzEsMl0="}),
        json!({"caseid": "1", "x": 1}),
    ] {
        let other = content(with(change.clone()).to_string());
        assert!(!seen.contains(&other), "{change}");
        seen.push(other);
    }
}

#[test]
fn a_header_that_a_strange_node_forged_is_not_handed_out() {
    let world = World::new();
    let good = world
        .structured(with(json!({"priority": "normal", "data": [1]})).to_string())
        .expect("accepted");
    assert_eq!(check(&good.header, &good.body), Ok(()));
    type Forgery = fn(&mut Submission);
    let forgeries: [(&str, Forgery); 8] = [
        ("body that breaks out of the event", |s| {
            s.body = Bytes::from_static(b"1},{\"specversion\":\"1.0\"");
        }),
        ("body that is not UTF-8", |s| {
            s.body = Bytes::from_static(b"\"\xff\"")
        }),
        ("body that was not told of", |s| {
            s.header.form = BodyForm::None
        }),
        ("another lane", |s| s.header.lane = Lane::Flash),
        ("an expiry in other words", |s| {
            s.header.attributes.push(crate::parcel::Attribute {
                name: "expires".into(),
                value: crate::parcel::Value::Text("2030-01-01T00:00:00Z".into()),
            });
        }),
        ("the gateway's own word", |s| {
            s.header.attributes.push(crate::parcel::Attribute {
                name: "signedby".into(),
                value: crate::parcel::Value::Text("hebi.police".into()),
            });
        }),
        ("an empty id", |s| s.header.id.clear()),
        ("a long case", |s| s.header.case = Some("c".repeat(300))),
    ];
    for (what, forge) in forgeries {
        let mut forged = good.clone();
        forge(&mut forged);
        let mut out = b"before".to_vec();
        let written = write_event(&forged.header, &forged.body, ACCEPTED, &mut out);
        assert!(written.is_err(), "{what}");
        assert_eq!(out, b"before", "{what}");
    }
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn submitted() -> impl Strategy<Value = (Json, String)> {
    let text = "[ -~\u{4e00}-\u{4fff}]{1,40}";
    let extension = prop_oneof![
        "[ -~\u{4e00}-\u{4fff}]{0,40}".prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
    ];
    (
        ("[!-~]{1,128}", text, "[a-z0-9.]{1,64}"),
        prop::option::of(prop::sample::select(&["flash", "urgent", "normal", "bulk"])),
        prop::option::of(1u64..90 * 24 * 3600),
        prop::collection::btree_map("x[a-z0-9]{1,10}", extension, 0..20),
        prop::option::of((json_value(), any::<bool>())),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
    )
        .prop_map(
            |((id, subject, case), priority, seconds, extensions, data, bytes)| {
                let mut event = with(json!({"id": id, "subject": subject, "caseid": case}));
                let members = event.as_object_mut().expect("an object");
                if let Some(priority) = priority {
                    members.insert("priority".into(), priority.into());
                }
                if let Some(seconds) = seconds {
                    let at = jiff::Timestamp::from_millisecond((ACCEPTED + seconds * 1000) as i64);
                    members.insert("expires".into(), at.expect("a time").to_string().into());
                }
                members.extend(extensions);
                let mut text = None;
                if let Some((data, pretty)) = data {
                    let raw = if pretty {
                        serde_json::to_string_pretty(&data)
                    } else {
                        serde_json::to_string(&data)
                    };
                    text = Some(raw.expect("JSON"));
                    members.insert("data".into(), data);
                } else if let Some(bytes) = bytes {
                    let encoded = data_encoding::BASE64.encode(&bytes);
                    members.insert("data_base64".into(), encoded.into());
                }
                let submitted = match &text {
                    // The data's own text, as an application may have set it out.
                    Some(raw) => {
                        let mut rest = event.clone();
                        rest.as_object_mut().expect("an object").remove("data");
                        rest.to_string()
                            .replacen('{', &format!("{{\"data\":{raw},"), 1)
                    }
                    None => event.to_string(),
                };
                (event, submitted)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_accepted_is_delivered_as_it_was((event, text) in submitted()) {
        let world = World::new();
        let submission = world.structured(text.clone()).expect("accepted");
        prop_assert_eq!(without_additions(delivered(&submission)), event);
        if submission.header.form == BodyForm::Json {
            let delivered = to_event(&submission.header, &submission.body, 0).expect("an event");
            let members: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(delivered.get()).expect("an object");
            let members_in: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(&text).expect("an object");
            prop_assert_eq!(members["data"].get(), members_in["data"].get());
        }
    }

    #[test]
    fn arbitrary_bytes_are_an_answer_and_not_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        headers in prop::collection::vec(("(ce-|Ce-|content-|)[a-z%]{0,6}", prop::collection::vec(any::<u8>(), 0..20)), 0..8),
    ) {
        let world = World::new();
        let body = Bytes::from(bytes);
        let _ = world.intake().structured(&body);
        let _ = world.intake().batch(&body);
        let _ = world.intake().binary(headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())), body);
    }

    #[test]
    fn a_damaged_event_is_an_answer_and_never_a_delivery_that_breaks(
        (_, text) in submitted(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:\\0a\xff\n".to_vec()),
        insert in any::<bool>(),
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        if insert {
            bytes.insert(at, byte);
        } else {
            bytes[at] = byte;
        }
        let body = Bytes::from(bytes);
        if let Ok(submission) = World::new().intake().structured(&body) {
            let event = to_event(&submission.header, &submission.body, 0).expect("an event");
            let members: Map<String, Json> = serde_json::from_str(event.get()).expect("an object");
            prop_assert!(members.contains_key("messageid"));
        }
        let _ = World::new().intake().batch(&body);
    }
}
