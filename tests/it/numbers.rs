//! What an authenticated unit says of numbers, certificates and epochs that no node would say: it costs itself at most its session.

use casegate::{
    delivery::hop::{Frame, Hello},
    model::{Fingerprint, Ranges},
    pki::Identity,
};

use crate::{
    bad_input::ROGUE,
    floods::{HUB, assert_memory, passes},
    hostile::Hostile,
    processes::Connected,
};

/// Most ranges of numbers in one frame.
const RANGES_MAX: u64 = 16 * 1024;

async fn connect(town: &Connected, identity: &Identity) -> Hostile {
    Hostile::connect(identity, HUB, town.town.hub_address()).await
}

async fn open(town: &Connected, identity: &Identity) -> Hostile {
    let mut rogue = connect(town, identity).await;
    rogue.open().await;
    rogue
}

/// Says that numbers are gone, and waits until the hub has answered for all of them.
async fn says_gone(rogue: &mut Hostile, seqs: &Ranges) {
    rogue.say(&Frame::Gone(seqs.clone())).await;
    let mut answered = Ranges::new();
    while answered != *seqs {
        if let Frame::GoneAnswer(answer) = rogue.hear().await {
            answered.union(&answer.gone);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_there_is_may_be_gone_and_nobody_waits_for_that() {
    let town = Connected::new();
    let mut rogue = open(&town, &town.town.issue(ROGUE)).await;
    let mut all = Ranges::new();
    all.insert_range(0, u64::MAX);
    says_gone(&mut rogue, &all).await;
    passes(&town, "after-all-numbers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_starts_again_with_more_gaps_in_numbers_than_one_frame_tells() {
    let mut town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let mut rogue = open(&town, &identity).await;
    for frame in 0..3 {
        let first = frame * 3 * RANGES_MAX;
        let sparse: Ranges = (0..RANGES_MAX).map(|n| first + 3 * n + 1).collect();
        says_gone(&mut rogue, &sparse).await;
    }
    let epoch = rogue.hub_epoch;
    passes(&town, "before-the-restart");
    town.hub.stop();
    town.hub.start();
    passes(&town, "after-the-restart");
    let rogue = open(&town, &identity).await;
    assert_eq!(rogue.hub_epoch, epoch, "it has lost what it knew");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_was_is_believed_once_and_then_ends_the_session_alone() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let lie = async |epoch| {
        let mut rogue = connect(&town, &identity).await;
        let hello = Hello {
            peer_epoch: epoch,
            received: [1].into_iter().collect(),
            ..rogue.hello()
        };
        rogue.say(&Frame::Hello(hello)).await;
        rogue.closed().await
    };
    let first = open(&town, &identity).await.hub_epoch;
    lie(first).await;
    let second = open(&town, &identity).await.hub_epoch;
    assert_ne!(first, second, "a hub that was rolled back must notice");
    for _ in 0..3 {
        let why = lie(second).await;
        assert!(why.contains("remembers what never was"), "{why}");
    }
    assert_eq!(open(&town, &identity).await.hub_epoch, second);
    passes(&town, "after-the-lies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_epoch_in_one_session_ends_it() {
    let town = Connected::new();
    let mut rogue = connect(&town, &town.town.issue(ROGUE)).await;
    for epoch in [7, 8] {
        let hello = Hello {
            epoch,
            ..rogue.hello()
        };
        rogue.say(&Frame::Hello(hello)).await;
    }
    let why = rogue.closed().await;
    assert!(why.contains("a hello of another epoch"), "{why}");
    passes(&town, "after-two-epochs");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_certificates_again_and_again_and_reads_none_takes_little_memory() {
    let town = Connected::new();
    let identity = town.town.issue(ROGUE);
    let mut rogue = open(&town, &identity).await;
    let certificate = identity.signing_certificate();
    rogue.say(&Frame::Certificate(certificate.to_vec())).await;
    passes(&town, "before");
    let before = town.hub.peak_kib();
    // 256 certificates to each of 2,000 frames of 4 KB: 200 MB.
    let ask = Frame::WantCertificates(vec![Fingerprint::of(certificate); 256]);
    for _ in 0..2_000 {
        rogue.say(&ask).await;
    }
    passes(&town, "after");
    assert_memory(
        "certificates that nobody reads",
        &town.hub,
        before,
        64 * 1024,
    );
}
