//! Acked history: lone messages get smaller, a hub that was restarted goes on, and a neighbour that lies gains nothing.

use casegate::{
    config::{Compression, LinkKind, Listen, Settings},
    delivery::hop::{Entry, Frame, Generation, GenerationAnswer, Targets},
    model::{Digest, Lane, Limits, Ranges},
    parcel::{BodyForm, Header, Parcel, Signer},
    wire::{self, Against, Compressor, Dictionary, History},
};

use crate::{
    dictionaries::{events, link, send, until_used},
    hostile::{Hostile, identity},
    world::{Running, World, eventually, now, unit},
};

const HUB: &str = "hebi.hub";
const TOBACCO: &str = "hebi.tobacco";
const POLICE: &str = "hebi.police";
const ROGUE: &str = "hebi.rogue";

/// An edge's settings, for a link where bytes count.
fn over_3g(edge: Settings, change: impl Fn(&mut casegate::config::Link)) -> Settings {
    let mut edge = edge;
    for link in edge.upstream.iter_mut().flat_map(|up| &mut up.links) {
        link.kind = LinkKind::ThreeG;
        change(link);
    }
    edge
}

/// Bytes of batches that it takes to send each event alone.
async fn alone(edge: &Running, police: &Running, events: &[String]) -> u64 {
    let mut bytes = 0;
    for event in events.chunks(1) {
        bytes += send(edge, police, event).await;
    }
    bytes
}

/// Sends twenty events at a time, each alone, until they take a tenth less than `plain`: what is agreed on anew comes behind the
/// messages, and how far behind is the machine's.
async fn smaller_than(plain: u64, edge: &Running, police: &Running, seed: u64) {
    const ROUNDS: u64 = 8;
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let bytes = alone(edge, police, &events(seed + round, TOBACCO, 20)).await;
        if bytes * 10 < plain * 9 {
            return;
        }
        took.push(bytes);
    }
    panic!("{took:?} bytes, and {plain} without");
}

#[tokio::test(flavor = "multi_thread")]
async fn lone_messages_get_smaller_with_what_was_acked_and_go_on_when_the_hub_is_restarted() {
    let world = World::new();
    let hub_settings = world.hub(HUB);
    let hub = Running::start(hub_settings.clone()).await;
    let at = hub.dial_in().await;
    let police = Running::start(world.edge(POLICE, HUB, at)).await;
    let settings = over_3g(world.edge(TOBACCO, HUB, at), |_| {});
    let without = Settings {
        limits: Limits {
            history_mib: 0,
            ..Limits::default()
        },
        ..settings.clone()
    };

    let edge = Running::start(without).await;
    until_used(&edge, "built-in").await;
    let plain = alone(&edge, &police, &events(22, TOBACCO, 20)).await;
    // A reload is enough.
    edge.node.reload(settings).await.expect("reloaded");
    smaller_than(plain, &edge, &police, 30).await;

    // The hub has forgotten everything, and the edge has not.
    let since = link(&edge).await["since"].clone();
    hub.node.stop().await;
    let hub = Running::start(Settings {
        listen: Some(Listen { address: at }),
        ..hub_settings
    })
    .await;
    eventually("there is a new session", async || {
        let now = link(&edge).await;
        now["dictionary"] == "built-in" && now["since"] != since
    })
    .await;
    smaller_than(plain, &edge, &police, 40).await;
    let (_, metrics) = edge.get("/metrics").await;
    let metrics = metrics.as_str().expect("a text");
    let remembered = metrics
        .lines()
        .find_map(|line| line.strip_prefix("casegate_history_bytes "));
    let remembered: u64 = remembered.and_then(|n| n.parse().ok()).expect("a number");
    assert!(remembered > 4_096, "{remembered}");
    for node in [edge, police, hub] {
        node.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_without_compression_has_no_history_either() {
    let world = World::new();
    let hub = Running::start(world.hub(HUB)).await;
    let at = hub.dial_in().await;
    let police = Running::start(world.edge(POLICE, HUB, at)).await;
    let off = |link: &mut casegate::config::Link| link.compression = Compression::Off;
    let edge = Running::start(over_3g(world.edge(TOBACCO, HUB, at), off)).await;
    until_used(&edge, "built-in").await;
    let all = events(26, TOBACCO, 12);
    let first = alone(&edge, &police, &all[..4]).await;
    assert!(first > all[..4].iter().map(|e| e.len() as u64).sum::<u64>() * 7 / 10);
    let then = alone(&edge, &police, &all[8..]).await;
    assert!(then > all[8..].iter().map(|e| e.len() as u64).sum::<u64>() * 7 / 10);
    for node in [edge, police, hub] {
        node.node.stop().await;
    }
}

fn message(id: &str, signer: &Signer) -> Parcel {
    let header = Header {
        sender: unit(ROGUE),
        id: id.into(),
        to: vec![POLICE.parse().expect("a pattern")],
        kind: "notice".parse().expect("a kind"),
        case: None,
        lane: Lane::Normal,
        accepted: now(),
        expires: now() + 24 * 3600 * 1000,
        signer: signer.certificate(),
        attachments: vec![],
        form: BodyForm::Json,
        attributes: vec![],
    };
    signer.seal(&header, "\"同一个人写的另一条通知\"".as_bytes())
}

fn batch_of(seq: u64, parcel: &Parcel, against: Against) -> Vec<u8> {
    let entry = Entry {
        seq,
        after: vec![],
        targets: Targets::Signed,
        attested: 0,
    };
    let settings = wire::Settings {
        against,
        ..wire::Settings::default()
    };
    let entries = [(entry, parcel.clone())];
    wire::pack(&entries, &settings, &mut Compressor::new()).to_vec()
}

async fn answer(rogue: &mut Hostile, number: u64) -> GenerationAnswer {
    loop {
        if let Frame::GenerationAnswer(about, answer) = rogue.hear().await {
            assert_eq!(about, number);
            return answer;
        }
    }
}

async fn acked(rogue: &mut Hostile, seq: u64) {
    loop {
        if let Frame::Ack(ack) = rogue.hear().await
            && ack.received.contains(seq)
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_neighbour_is_told_what_is_lacked_and_one_that_names_nothing_is_cut_off() {
    let world = World::new();
    let hub = Running::start(world.hub(HUB)).await;
    let at = hub.dial_in().await;
    let police = Running::start(world.edge(POLICE, HUB, at)).await;
    let who = identity(&world, &world.path().join("ca"), ROGUE, now());
    let mut rogue = Hostile::connect(&who, HUB, at).await;
    rogue.open().await;
    // It says what it has built in, so that both have a dictionary in common.
    let built_in = Dictionary::built_in();
    rogue
        .say(&Frame::Dictionaries(
            casegate::delivery::hop::Dictionaries {
                built_in: built_in.id(),
                own: None,
            },
        ))
        .await;
    let first = message("g1", who.signer());
    rogue.batch(&batch_of(1, &first, Against::BuiltIn)).await;
    rogue.show_certificate(who.signing_certificate()).await;
    acked(&mut rogue, 1).await;

    let ids = [built_in.id().0, first.digest().0].concat();
    let honest = Generation {
        number: 1,
        sender: unit(ROGUE),
        base: 1,
        first: 1,
        last: 1,
        without: Ranges::new(),
        id: Digest::of(&ids),
    };
    rogue.say(&Frame::Generation(honest.clone())).await;
    assert_eq!(answer(&mut rogue, 1).await, GenerationAnswer::Have);
    let lies = [
        Generation {
            id: Digest([7; 16]),
            ..honest.clone()
        },
        Generation {
            last: 9_000_000,
            sender: unit(POLICE),
            ..honest.clone()
        },
        Generation {
            base: 7,
            ..honest.clone()
        },
    ];
    for (lie, number) in lies.into_iter().zip(2..) {
        rogue
            .say(&Frame::Generation(Generation { number, ..lie }))
            .await;
        assert_eq!(answer(&mut rogue, number).await, GenerationAnswer::Lack);
    }
    // Offers without end: each is answered, and none is kept for ever.
    for number in 10..400 {
        let offer = Generation {
            number,
            ..honest.clone()
        };
        rogue.say(&Frame::Generation(offer)).await;
        assert_eq!(answer(&mut rogue, number).await, GenerationAnswer::Have);
    }

    // What names one of them is read; what names one that is forgotten, or that was a lie, comes to nothing.
    let text = wire::history_text(&first).expect("a text");
    let history = History::new(honest.id, built_in, std::iter::once(text.as_slice()));
    let history = std::sync::Arc::new(history);
    let named = |number| Against::History(number, history.clone());
    let second = message("g2", who.signer());
    rogue.batch(&batch_of(2, &second, named(11))).await;
    assert_eq!(answer(&mut rogue, 11).await, GenerationAnswer::Lack);
    rogue.batch(&batch_of(2, &second, named(399))).await;
    acked(&mut rogue, 2).await;
    let received = police.receive(2).await;
    assert_eq!(received[1]["id"], "g2");

    rogue.batch(&batch_of(3, &second, named(4_000))).await;
    let told = rogue.closed().await;
    assert!(told.contains("generation 4000 was not offered"), "{told}");
    for node in [police, hub] {
        node.node.stop().await;
    }
}
