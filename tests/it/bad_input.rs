//! Bad input at every door of a hub. In each test two good units go on exchanging messages through it.

use std::process::Command;

use casegate::{
    delivery::hop::{Entry, Targets},
    model::{Fingerprint, Kind, Lane, Millis},
    parcel::{BodyForm, Header, Parcel, Signer},
    pki::{self, Identity},
    wire::{self, Against, Compression, Compressor, Effort},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::{
    hostile::{Hostile, identity},
    world::{Running, World, agent, call, eventually, now, unit},
};

pub(crate) const HUB: &str = "hebi.hub";
pub(crate) const ROGUE: &str = "hebi.rogue";
const DAY: Millis = 24 * 3600 * 1000;

/// A hub and two units that go on whatever a third one does.
pub(crate) struct Town {
    world: World,
    pub(crate) hub: Running,
    tobacco: Running,
    police: Running,
    /// Since when the good units have their sessions.
    since: [Value; 2],
}

impl Town {
    pub(crate) async fn new() -> Self {
        let world = World::new();
        let hub = Running::start(world.hub(HUB)).await;
        let at = hub.dial_in().await;
        let tobacco = Running::start(world.edge("hebi.tobacco", HUB, at)).await;
        let police = Running::start(world.edge("hebi.police", HUB, at)).await;
        let mut town = Self {
            world,
            hub,
            tobacco,
            police,
            since: [Value::Null, Value::Null],
        };
        town.connected().await;
        town.since = town.sessions().await;
        town.goes_on("before").await;
        town
    }

    async fn connected(&self) {
        // Before its first session the hub does not know a receiver.
        eventually("both good units are connected", async || {
            let (_, units) = self.hub.get("/v1/units").await;
            let units = units["units"].as_array().expect("units");
            let up = |unit: &&Value| unit["connected"] == true && unit["unit"] != ROGUE;
            units.iter().filter(up).count() == 2
        })
        .await;
    }

    /// Since when the good units have the sessions that they have.
    async fn sessions(&self) -> [Value; 2] {
        let mut since = [Value::Null, Value::Null];
        for (since, unit) in since.iter_mut().zip([&self.tobacco, &self.police]) {
            let (_, links) = unit.get("/v1/links").await;
            *since = links["links"][0]["since"].clone();
            assert!(since.is_string(), "{links}");
        }
        since
    }

    /// Both good units have kept their sessions, and a message passes.
    pub(crate) async fn goes_on(&self, id: &str) {
        assert_eq!(
            self.sessions().await,
            self.since,
            "a good session was ended"
        );
        let event = self
            .tobacco
            .event(id, "hebi.police", "case.step", json!(id));
        let message = self.tobacco.submit(event).await;
        let received = self.police.receive(1).await;
        assert_eq!(received.len(), 1, "more than what was sent: {received:?}");
        assert_eq!(received[0]["messageid"], message.as_str());
        self.police.ack(&received).await;
        self.tobacco.until_state(&message, "read").await;
    }

    /// The hub has refused a message for `reason`.
    pub(crate) async fn until_refused(&self, reason: &str) {
        let line = format!("casegate_messages_refused_total{{reason=\"{reason}\"}} 1");
        eventually(&line, async || {
            let (_, metrics) = self.hub.get("/metrics").await;
            metrics
                .as_str()
                .expect("a text")
                .lines()
                .any(|shown| shown == line)
        })
        .await;
    }

    pub(crate) fn rogue(&self) -> Identity {
        identity(&self.world, &self.world.path().join("ca"), ROGUE, now())
    }

    pub(crate) async fn connect(&self, as_whom: &Identity) -> Hostile {
        Hostile::connect(as_whom, HUB, self.hub.dial_in().await).await
    }

    pub(crate) async fn stop(self) {
        for node in [self.tobacco, self.police, self.hub] {
            node.node.stop().await;
        }
    }
}

/// A message from `sender` to the police.
pub(crate) fn header(sender: &str, signer: Fingerprint) -> Header {
    Header {
        sender: unit(sender),
        id: "forged".into(),
        to: vec!["hebi.police".parse().expect("a pattern")],
        kind: "notice".parse::<Kind>().expect("a kind"),
        case: None,
        lane: Lane::Normal,
        accepted: now(),
        expires: now() + DAY,
        signer,
        attachments: vec![],
        form: BodyForm::None,
        attributes: vec![],
    }
}

pub(crate) fn batch_of(parcel: Parcel) -> Vec<u8> {
    let entry = Entry {
        seq: 1,
        after: vec![],
        targets: Targets::Signed,
        attested: 0,
    };
    let settings = wire::Settings {
        compression: Compression::Isolated,
        effort: Effort::Level(3),
        against: Against::Nothing,
        ..wire::Settings::default()
    };
    wire::pack(&[(entry, parcel)], &settings, &mut Compressor::new()).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_cut_too_large_or_noise_end_their_own_session_alone() {
    let town = Town::new().await;
    let rogue = town.rogue();
    let noise: Vec<u8> = blake3::hash(b"seed 1").as_bytes().repeat(8);
    // The control message, and what the hub must say.
    let cases: [(&str, &[u8], &str); 5] = [
        // 253 is the mark of an eight-byte length, which no message has.
        ("no length", &[253, 1, 2], "does not start with a length"),
        (
            "a length of 4 GiB",
            &[252, 255, 255, 255, 255],
            "a control message of 4294967295 bytes",
        ),
        (
            "a frame of 4 GiB",
            &[6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
            "frame",
        ),
        ("no frame at all", &[1, 0], "a control frame is empty"),
        ("an ack that is cut", &[3, 2, 1, 5], "frame"),
    ];
    for (what, bytes, why) in cases {
        let mut hostile = town.connect(&rogue).await;
        hostile.raw(bytes).await;
        let told = hostile.closed().await;
        assert!(told.contains(why), "{what}: {told}");
    }
    let mut hostile = town.connect(&rogue).await;
    hostile.message(&noise).await;
    hostile.closed().await;
    // A frame that another one should have come before.
    let mut hostile = town.connect(&rogue).await;
    hostile
        .say(&casegate::delivery::hop::Frame::Gone(Default::default()))
        .await;
    let told = hostile.closed().await;
    assert!(told.contains("no hello came first"), "{told}");
    town.goes_on("after").await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_noise_cut_or_inflate_without_end_end_their_own_session_alone() {
    let town = Town::new().await;
    let rogue = town.rogue();
    let parcel = rogue
        .signer()
        .seal(&header(ROGUE, rogue.signer().certificate()), b"");
    let whole = batch_of(parcel);
    // One group of one parcel, method zstd, that announces 1 GiB, and another that announces 1 MiB and holds 64 MiB.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).expect("compressed");
    let announced = |length: u64| {
        let mut batch = vec![1 << 4, 1 << 2 | 1];
        put_leb128(&mut batch, length);
        put_leb128(&mut batch, bomb.len() as u64);
        batch.extend_from_slice(&bomb);
        batch
    };
    let cases = [
        (
            "noise",
            blake3::hash(b"seed 2").as_bytes().to_vec(),
            "batch",
        ),
        ("cut", whole[..whole.len() - 1].to_vec(), "cut short"),
        ("empty", vec![], "batch"),
        ("another version", vec![15 << 4], "batch version 15"),
        (
            "1 GiB",
            announced(1 << 30),
            "1073741824 bytes or more after decompression",
        ),
        (
            "more than announced",
            announced(1 << 20),
            "does not decompress",
        ),
    ];
    for (what, batch, why) in cases {
        let mut hostile = town.connect(&rogue).await;
        hostile.open().await;
        hostile.batch(&batch).await;
        let told = hostile.closed().await;
        assert!(told.contains(why), "{what}: {told}");
    }
    // More than a batch may have on the wire: it never comes to unpacking.
    let mut hostile = town.connect(&rogue).await;
    hostile.open().await;
    hostile.batch(&vec![0x10; 6 << 20]).await;
    let told = hostile.closed().await;
    assert!(told.contains("a batch of more than"), "{told}");
    town.goes_on("after").await;
    town.stop().await;
}

fn put_leb128(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_claims_another_units_name_is_refused_by_name() {
    let town = Town::new().await;
    let rogue = town.rogue();
    let mut hostile = town.connect(&rogue).await;
    hostile.open().await;
    let claim = header("hebi.tobacco", rogue.signer().certificate());
    hostile
        .batch(&batch_of(rogue.signer().seal(&claim, b"")))
        .await;
    hostile.show_certificate(rogue.signing_certificate()).await;
    town.until_refused("foreign-sender").await;
    town.goes_on("after").await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_key_signs_no_parcel() {
    let town = Town::new().await;
    let rogue = town.rogue();
    let (signer, certificate) = tls_signer(&town.world);
    let mut hostile = town.connect(&rogue).await;
    hostile.open().await;
    let parcel = signer.seal(&header(ROGUE, signer.certificate()), b"");
    hostile.batch(&batch_of(parcel)).await;
    hostile.show_certificate(&certificate).await;
    town.until_refused("untrusted-signer").await;
    town.goes_on("after").await;
    town.stop().await;
}

/// A signer from the TLS key of a newly issued identity, and that key's certificate.
fn tls_signer(world: &World) -> (Signer, Vec<u8>) {
    let (unit, folder) = (unit(ROGUE), world.path().join("tls-signer"));
    let asked = pki::Issue {
        dir: &world.path().join("ca"),
        unit: &unit,
        out: &folder,
        hosts: &[],
        csr: None,
        days: 30,
    };
    pki::issue(&asked, now()).expect("an identity");
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key")).expect("a key");
    let certificate = CertificateDer::from_pem_file(folder.join("tls.pem")).expect("a certificate");
    let signer = Signer::from_pkcs8(key.secret_der(), Fingerprint::of(&certificate));
    (signer.expect("a signer"), certificate.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_foreign_ca_or_of_last_month_does_not_get_in() {
    let town = Town::new().await;
    let foreign = town.world.path().join("foreign-ca");
    pki::init(&foreign, "foreign", now()).expect("a CA");
    let stranger = identity(&town.world, &foreign, ROGUE, now());
    let told = town.connect(&stranger).await.closed().await;
    assert!(told.contains("CA"), "{told}");

    // The CA was there then.
    let own = town.world.path().join("ca");
    let expired = identity(&town.world, &own, ROGUE, now() - 40 * DAY);
    let told = town.connect(&expired).await.closed().await;
    assert!(told.contains("expired"), "{told}");
    town.goes_on("after").await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_events_and_a_browsers_post_are_refused_with_what_is_wrong() {
    let town = Town::new().await;
    let good = town.tobacco.event("x", "hebi.police", "notice", json!(1));
    let without = |name: &str| {
        let mut event = good.clone();
        event.as_object_mut().expect("an object").remove(name);
        event.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event.to_string()
    };
    let deep = |levels: usize| {
        let nested = "[".repeat(levels) + &"]".repeat(levels);
        good.to_string()
            .replacen("\"data\":1", &format!("\"data\":{nested}"), 1)
    };
    const EVENT: &str = "application/cloudevents+json";
    // The body, its type, the origin, and what comes of it.
    let cases: [(&str, String, &str, Option<&str>, u16); 12] = [
        (
            "no JSON",
            "{\"specversion\": \"1.0\", ".into(),
            EVENT,
            None,
            400,
        ),
        (
            "half a surrogate pair",
            "{\"id\": \"\\ud800\"}".into(),
            EVENT,
            None,
            422,
        ),
        ("no object", "[]".into(), EVENT, None, 422),
        ("100,000 levels", deep(100_000), EVENT, None, 422),
        (
            "another version",
            with("specversion", json!("0.3")),
            EVENT,
            None,
            422,
        ),
        ("no id", without("id"), EVENT, None, 422),
        ("no receiver", without("to"), EVENT, None, 422),
        (
            "an unknown kind",
            with("type", json!("case.tranfser")),
            EVENT,
            None,
            422,
        ),
        (
            "another's source",
            with("source", json!("/unit/hebi.police")),
            EVENT,
            None,
            403,
        ),
        (
            "40 MB",
            with("data", json!("x".repeat(40_000_000))),
            EVENT,
            None,
            413,
        ),
        (
            "a form of another site",
            good.to_string(),
            "text/plain",
            Some("https://evil.example"),
            403,
        ),
        (
            "a script of another site",
            good.to_string(),
            EVENT,
            Some("https://evil.example"),
            403,
        ),
    ];
    for (what, body, kind, origin, expected) in cases {
        let url = format!("http://{}/v1/messages", town.tobacco.node.api_address());
        let origin = origin.map(str::to_owned);
        let (status, problem) = call(move || {
            let mut request = agent().post(&url).content_type(kind);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            request.send(body)
        })
        .await;
        assert_eq!(status, expected, "{what}: {problem}");
        for said in ["type", "title", "detail"] {
            assert!(
                problem[said].is_string(),
                "{what} says no {said}: {problem}"
            );
        }
    }
    let (_, queue) = town.tobacco.get("/v1/queue").await;
    assert_eq!(queue["total"], 0, "something of it was taken: {queue}");
    town.goes_on("after").await;
    town.stop().await;
}

#[test]
fn ten_mistakes_in_a_configuration_are_told_at_once_each_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("edge.toml");
    let mistakes = r#"unit = "Hebi.Tobacco"
data-dir = 7
colour = "red"
[identity]
dri = "identity"
[api]
listen = "127.0.0.1"
[upstream]
hub = "hebi..hub"
[[upstream.link]]
name = "exclusive"
kind = "4g"
address = "10.1.0.1"
budget-mib-per-day = -1
[limits]
message-kib = "large"
[[policy.allow]]
from = "hebi.***"
to = "hebi.police"
kinds = ["notice"]
"#;
    std::fs::write(&file, mistakes).expect("written");
    let check = Command::new(env!("CARGO_BIN_EXE_casegate"))
        .env("LC_ALL", "C")
        .arg("check")
        .arg("--config")
        .arg(&file)
        .output()
        .expect("it runs");
    assert_eq!(check.status.code(), Some(78));
    let told = String::from_utf8(check.stderr).expect("a text");
    let lines = [1, 2, 3, 5, 7, 9, 12, 13, 14, 16, 18];
    for line in lines {
        let start = format!("{}:{line}: ", file.display());
        let error = told.lines().find(|error| error.starts_with(&start));
        let error = error.unwrap_or_else(|| panic!("nothing of line {line}:\n{told}"));
        assert!(
            error.contains("; "),
            "it says nothing of what to write: {error}"
        );
    }
}
