//! A unit's own dictionary: trained, handed over once, used, lost, and offered by somebody who means no good.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use casegate::{
    config::Settings,
    delivery::hop::{
        Dictionaries, DictionaryAnswer, DictionaryRefusal, Entry, Frame, OfferedDictionary, Targets,
    },
    model::{Digest, Fingerprint, Lane},
    parcel::{BodyForm, Header, Parcel},
    sample::{Generator, Options, START},
    wire::{self, Against, BatchLimits, Compressor, Dictionary},
};
use serde_json::{Value, json};

use crate::{
    hostile::{Hostile, identity},
    world::{Running, World, eventually, now, unit},
};

const HUB: &str = "hebi.hub";
const TOBACCO: &str = "hebi.tobacco";
const POLICE: &str = "hebi.police";
const ROGUE: &str = "hebi.rogue";

/// What a session costs without a handover, and less than a dictionary takes, bytes.
const SESSION_BYTES: u64 = 30_000;

/// Messages of a unit that writes as no other does: other characters stand for the generator's.
pub(crate) fn events(seed: u64, from: &str, count: usize) -> Vec<String> {
    let options = Options {
        start: START,
        from: Some(unit(from)),
        to: Some(POLICE.parse().expect("a pattern")),
    };
    let other = |c: char| match c {
        '\u{4e00}'..='\u{8fff}' => char::from_u32(c as u32 + 0x0b17).unwrap_or(c),
        c => c,
    };
    Generator::with(seed, options)
        .take(count)
        .map(|sample| sample.event.chars().map(other).collect())
        .collect()
}

fn casegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .args(arguments)
        .output()
        .expect("it runs")
}

fn good(arguments: &[&str]) -> Value {
    let output = casegate(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A dictionary of the tobacco bureau's, as the command trains it, and what it said.
static TRAINED: LazyLock<(tempfile::TempDir, Value)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let messages = folder.path().join("messages");
    fs::create_dir(&messages).expect("made");
    let lines = events(1, TOBACCO, 700).join("\n");
    fs::write(messages.join("a.jsonl"), lines).expect("written");
    for (n, event) in events(2, TOBACCO, 20).iter().enumerate() {
        fs::write(messages.join(format!("b{n}.json")), event).expect("written");
    }
    let police = events(3, POLICE, 30).join("\n");
    fs::write(messages.join("c.jsonl"), police).expect("written");
    let out = folder.path().join("dictionary");
    let said = good(&[
        "dict",
        "train",
        shown(&messages),
        "--unit",
        TOBACCO,
        "--out",
        shown(&out),
        "--json",
    ]);
    (folder, said)
});

fn trained() -> PathBuf {
    TRAINED.0.path().join("dictionary")
}

fn trained_id() -> String {
    TRAINED.1["id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_command_trains_on_one_units_messages_and_tells_what_it_saves_on_others() {
    let said = &TRAINED.1;
    assert_eq!(
        (&said["samples"], &said["unit"]),
        (&json!(648), &json!(TOBACCO))
    );
    assert_eq!(said["held_out"]["messages"], 72);
    for how in ["alone", "batches", "densest"] {
        let ratio = |whose: &str| said["held_out"][how][whose].as_f64().expect("a ratio");
        assert!(ratio("own") < ratio("built_in"), "{said}");
    }
    let about = good(&["dict", "show", shown(&trained()), "--json"]);
    for member in ["id", "bytes", "trained", "samples", "unit"] {
        assert_eq!(about[member], said[member]);
    }

    let few = TRAINED.0.path().join("few.jsonl");
    fs::write(&few, events(4, TOBACCO, 300).join("\n")).expect("written");
    let out = TRAINED.0.path().join("none");
    let refused = casegate(&["dict", "train", shown(&few), "--out", shown(&out)]);
    assert_eq!(refused.status.code(), Some(65));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.starts_with("300 messages are too few"), "{error}");
    assert!(error.contains("give at least 556"), "{error}");
    assert!(!out.exists());

    fs::write(&few, "{\"source\":\"/unit/a\",\"type\":\"notice\"}\n\n{}\n").expect("written");
    let refused = casegate(&["dict", "train", shown(&few), "--out", shown(&out)]);
    assert_eq!(refused.status.code(), Some(65));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("few.jsonl:1: "), "{error}");
}

#[test]
fn a_check_tells_a_dictionary_that_is_none_and_one_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    let text = include_str!("../../config/edge.toml")
        .replace(
            "#dictionary = \"/etc/casegate/dictionary\"",
            "dictionary = \"dict\"",
        )
        .replace("hebi.xunxian.tobacco", TOBACCO);
    fs::write(&file, &text).expect("written");
    let line = text
        .lines()
        .position(|line| line.starts_with("dictionary"))
        .expect("set")
        + 1;
    let check = || {
        let output = casegate(&["check", "--config", shown(&file)]);
        let told = String::from_utf8(output.stderr).expect("a text");
        (output.status.code(), told)
    };
    let place = format!("edge.toml:{line}: compression.dictionary: ");
    let (code, told) = check();
    assert!(
        told.contains(&place) && told.contains("is not there"),
        "{told}"
    );
    assert_eq!(code, Some(0), "{told}");

    fs::write(folder.path().join("dict"), "what is this").expect("written");
    let (code, told) = check();
    assert_eq!(code, Some(78), "{told}");
    assert!(
        told.contains(&place) && told.contains("casegate dict train"),
        "{told}"
    );

    fs::copy(trained(), folder.path().join("dict")).expect("copied");
    let (code, told) = check();
    assert!(code == Some(0) && !told.contains("compression"), "{told}");
    fs::write(&file, text.replace(TOBACCO, POLICE)).expect("written");
    let (code, told) = check();
    assert_eq!(code, Some(0));
    assert!(told.contains("messages of hebi.tobacco"), "{told}");
}

/// The link of an edge to its hub.
pub(crate) async fn link(edge: &Running) -> Value {
    let (_, links) = edge.get("/v1/links").await;
    links["links"][0].clone()
}

pub(crate) async fn until_used(edge: &Running, dictionary: &str) {
    eventually(&format!("{dictionary} is used"), async || {
        link(edge).await["dictionary"] == dictionary
    })
    .await;
}

/// Bytes of batches that an edge has sent in its session.
async fn batch_bytes(edge: &Running) -> u64 {
    let link = link(edge).await;
    let lanes = link["lanes_sent"].as_object().expect("lanes").values();
    lanes.map(|bytes| bytes.as_u64().expect("bytes")).sum()
}

/// Sends events to the police in one go and waits until they are there; gives the bytes of batches that it took.
pub(crate) async fn send(edge: &Running, police: &Running, events: &[String]) -> u64 {
    let before = batch_bytes(edge).await;
    let parsed = events
        .iter()
        .map(|event| serde_json::from_str(event).expect("JSON"));
    let batch = Value::Array(parsed.collect());
    let kind = "application/cloudevents-batch+json";
    let (status, answer) = edge.post("/v1/messages", kind, batch).await;
    assert_eq!(status, 202, "{answer}");
    let mut left = events.len();
    while left > 0 {
        // Later messages of a case wait while an earlier one is leased, so they come in several pulls.
        let received = police.receive(1).await;
        police.ack(&received).await;
        left -= received.len();
    }
    batch_bytes(edge).await - before
}

async fn start(settings: &Settings) -> Running {
    Running::start(settings.clone()).await
}

/// An edge's settings, for a hub that has started somewhere else.
fn dialling(edge: &Settings, at: SocketAddr) -> Settings {
    let mut edge = edge.clone();
    for link in edge.upstream.iter_mut().flat_map(|up| &mut up.links) {
        link.address = at.to_string().parse().expect("an address");
    }
    edge
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dictionary_is_handed_over_once_and_again_when_the_hub_has_lost_it() {
    let world = World::new();
    let hub_settings = world.hub(HUB);
    let hub = start(&hub_settings).await;
    let at = hub.dial_in().await;
    let police_settings = world.edge(POLICE, HUB, at);
    let police = start(&police_settings).await;
    let plain = world.edge(TOBACCO, HUB, at);
    let with_own = Settings {
        dictionary: Some(trained()),
        ..plain.clone()
    };
    until_used(&police, "built-in").await;

    let edge = start(&plain).await;
    until_used(&edge, "built-in").await;
    let built_in = send(&edge, &police, &events(11, TOBACCO, 60)).await;
    // A reload is enough to offer one.
    edge.node.reload(with_own.clone()).await.expect("reloaded");
    let id = trained_id();
    until_used(&edge, &id).await;
    let own = send(&edge, &police, &events(12, TOBACCO, 60)).await;
    assert!(
        own * 10 < built_in * 9,
        "{own} bytes, and {built_in} before"
    );
    let kept = hub_settings.data_dir.join("dictionaries").join(TOBACCO);
    let file = kept.join(&id);
    let bytes = fs::read(&file).expect("it is kept");
    assert_eq!(Digest::of(&bytes).to_string(), id);
    edge.node.stop().await;

    // The next session finds it there.
    let edge = start(&with_own).await;
    until_used(&edge, &id).await;
    let sent = link(&edge).await["bytes_sent"].as_u64().expect("bytes");
    assert!(
        sent < SESSION_BYTES,
        "{sent} bytes: it was handed over again"
    );
    for node in [edge, police, hub] {
        node.node.stop().await;
    }

    // The hub has it when it starts and says so, and loses it before the first message.
    let hub = start(&hub_settings).await;
    let at = hub.dial_in().await;
    let police = start(&dialling(&police_settings, at)).await;
    until_used(&police, "built-in").await;
    let edge = start(&dialling(&with_own, at)).await;
    until_used(&edge, &id).await;
    fs::remove_dir_all(&kept).expect("lost");
    let since = link(&edge).await["since"].clone();
    send(&edge, &police, &events(13, TOBACCO, 5)).await;
    eventually("it is handed over again", async || file.exists()).await;
    until_used(&edge, &id).await;
    assert_eq!(link(&edge).await["since"], since, "the session was ended");
    let sent = link(&edge).await["bytes_sent"].as_u64().expect("bytes");
    assert!(sent > SESSION_BYTES, "{sent} bytes");
    send(&edge, &police, &events(14, TOBACCO, 5)).await;

    // It is not there when the next session begins.
    for node in [edge, police, hub] {
        node.node.stop().await;
    }
    fs::remove_dir_all(&kept).expect("lost");
    fs::create_dir(&kept).expect("made");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("damaged");
    let hub = start(&hub_settings).await;
    let at = hub.dial_in().await;
    let edge = start(&dialling(&with_own, at)).await;
    until_used(&edge, &id).await;
    assert_eq!(fs::read(&file).expect("it is kept"), bytes);
    for node in [edge, hub] {
        node.node.stop().await;
    }
}

fn message(id: &str, signer: Fingerprint) -> Header {
    Header {
        sender: unit(ROGUE),
        id: id.into(),
        to: vec![POLICE.parse().expect("a pattern")],
        kind: "notice".parse().expect("a kind"),
        case: None,
        lane: Lane::Normal,
        accepted: now(),
        expires: now() + 24 * 3600 * 1000,
        signer,
        attachments: vec![],
        form: BodyForm::None,
        attributes: vec![],
    }
}

fn batch_of(parcel: Parcel, against: Against) -> Vec<u8> {
    let entry = Entry {
        seq: 1,
        after: vec![],
        targets: Targets::Signed,
        attested: 0,
    };
    let settings = wire::Settings {
        against,
        ..wire::Settings::default()
    };
    wire::pack(&[(entry, parcel)], &settings, &mut Compressor::new()).to_vec()
}

/// Offers a dictionary; gives the hub's answer.
async fn offer(rogue: &mut Hostile, number: u64, id: Digest) -> DictionaryAnswer {
    rogue
        .say(&Frame::Dictionaries(Dictionaries {
            built_in: Dictionary::built_in().id(),
            own: Some(OfferedDictionary { number, id }),
        }))
        .await;
    answer(rogue, number).await
}

async fn answer(rogue: &mut Hostile, number: u64) -> DictionaryAnswer {
    loop {
        if let Frame::DictionaryAnswer(about, answer) = rogue.hear().await {
            assert_eq!(about, number);
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dictionary_that_is_damaged_or_none_is_refused_by_name_and_messages_go_on() {
    let world = World::new();
    let hub = start(&world.hub(HUB)).await;
    let at = hub.dial_in().await;
    let police = start(&world.edge(POLICE, HUB, at)).await;
    until_used(&police, "built-in").await;
    let who = identity(&world, &world.path().join("ca"), ROGUE, now());
    let mut rogue = Hostile::connect(&who, HUB, at).await;
    rogue.open().await;

    let own = Dictionary::built_in();
    let hand_over = |number| wire::hand_over(number, own, &Against::Nothing).to_vec();
    let text = b"no dictionary at all, but a text that zstd would take for one ".repeat(300);
    let stored = |number: u8, bytes: &[u8]| {
        // Method 0: the bytes as they are.
        let mut out = vec![0xd0, number];
        let mut length = (bytes.len() as u64) << 2;
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(bytes);
        out
    };
    let long = vec![0x37; 200 * 1024];
    let cases = [
        (hand_over(2), Digest([7; 16]), DictionaryRefusal::Damaged),
        (vec![0xd0, 3, 0xff], own.id(), DictionaryRefusal::Damaged),
        (
            stored(4, &text),
            Digest::of(&text),
            DictionaryRefusal::Format,
        ),
        (
            stored(5, &long),
            Digest::of(&long),
            DictionaryRefusal::TooLarge,
        ),
    ];
    for ((bytes, id, why), number) in cases.into_iter().zip(2..) {
        let answered = offer(&mut rogue, number, id).await;
        assert_eq!(answered, DictionaryAnswer::Want);
        rogue.batch(&bytes).await;
        let refused = DictionaryAnswer::Refused(why);
        assert_eq!(answer(&mut rogue, number).await, refused);
        // Once more, unasked for: nobody looks at it.
        rogue.batch(&bytes).await;
    }
    assert!(!world.path().join(HUB).join("data/dictionaries").exists());
    let parcel = who
        .signer()
        .seal(&message("still", who.signer().certificate()), b"");
    rogue
        .batch(&batch_of(parcel.clone(), Against::BuiltIn))
        .await;
    rogue.show_certificate(who.signing_certificate()).await;
    let received = police.receive(1).await;
    assert_eq!(received[0]["id"], "still");

    // What names a dictionary that was refused, or never offered, is no batch.
    for number in [5, 9] {
        let mut rogue = Hostile::connect(&who, HUB, at).await;
        rogue.open().await;
        let offered = offer(&mut rogue, 5, Digest::of(&long)).await;
        assert_eq!(offered, DictionaryAnswer::Want);
        rogue.batch(&stored(5, &long)).await;
        answer(&mut rogue, 5).await;
        let named = Against::Own(number, own.clone());
        rogue.batch(&batch_of(parcel.clone(), named)).await;
        let told = rogue.closed().await;
        let why = format!("batch dictionary {number} is not known");
        assert!(told.contains(&why), "{told}");
    }
    for node in [police, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_lacks_what_it_said_to_have_gets_the_same_message_without() {
    let world = World::new();
    let hub = start(&Settings {
        dictionary: Some(trained()),
        ..world.hub(HUB)
    })
    .await;
    let at = hub.dial_in().await;
    let who = identity(&world, &world.path().join("ca"), ROGUE, now());
    let submit = async |id: &str| {
        let event = hub.event(id, ROGUE, "notice", json!("来自中心的通知"));
        hub.submit(event).await
    };
    let opened = async |built_in: Digest| {
        let mut rogue = Hostile::connect(&who, HUB, at).await;
        rogue.open().await;
        let own = None;
        let said = Frame::Dictionaries(Dictionaries { built_in, own });
        rogue.say(&said).await;
        rogue
    };
    let read = |bytes: &[u8]| {
        let parcels = wire::unpack(bytes, &BatchLimits::default(), wire::Text::Nothing);
        parcels.map(|parcels| parcels[0].1.header().expect("a header").id)
    };

    let mut rogue = opened(Dictionary::built_in().id()).await;
    rogue
        .say(&Frame::DictionaryAnswer(2, DictionaryAnswer::Have))
        .await;
    let id = trained_id();
    eventually("the hub believes it", async || {
        let (_, links) = hub.get("/v1/links").await;
        links["links"][0]["dictionary"] == id.as_str()
    })
    .await;
    submit("n1").await;
    let named = rogue.stream().await;
    assert_eq!(wire::named(&named), Ok(wire::Named::Own(2)));
    rogue
        .say(&Frame::DictionaryAnswer(2, DictionaryAnswer::Want))
        .await;
    let (mut again, mut handed) = (None, None);
    while again.is_none() || handed.is_none() {
        let bytes = rogue.stream().await;
        match wire::is_handover(&bytes) {
            true => handed = Some(wire::take_over(&bytes).expect("a dictionary").id()),
            false => again = Some(read(&bytes).expect("a batch without")),
        }
    }
    assert_eq!(again.as_deref(), Some("n1"));
    assert_eq!(handed.expect("handed over").to_string(), id);
    drop(rogue);

    // Another version of the program, with another dictionary built in: batches come without any.
    let mut rogue = opened(Digest([1; 16])).await;
    let bytes = rogue.stream().await;
    assert_eq!(bytes[0], 1 << 4, "the head names no dictionary");
    assert_eq!(read(&bytes).as_deref(), Ok("n1"));
    hub.node.stop().await;
}
