//! Who is let in, and how sessions end.

use bytes::Bytes;
use tokio::time::Duration;

use super::world::{DEADLINE, End, Pki, SEED, World, dial_settings, in_time, listen_settings};
use crate::{
    emulator::{Emulator, Profile},
    link::{
        CloseCode, Command, DialError, Dialer, Ended, LinkKind, Listener,
        profile::CONTROL_BYTES_MAX,
    },
    model::Lane,
};

fn peer(code: CloseCode, reason: &str) -> Ended {
    Ended::Peer {
        code,
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn a_batch_over_the_bound_ends_the_session_with_the_bounds_name() {
    let world = World::over(Profile::lan()).await;
    let (edge, hub) = world.session(LinkKind::Lan).await;
    let mut edge = End::of(edge.start());
    let mut hub = End::of(hub.with_batch_bytes_max(10_000).start());
    edge.control(b"hello").await;
    edge.batch(1, Lane::Normal, vec![0; 10_000]).await;
    assert_eq!(hub.next_batch().await.len(), 10_000);
    edge.batch(2, Lane::Normal, vec![0; 10_001]).await;
    let reason = "a batch of more than 10000 bytes";
    assert_eq!(
        hub.end().await,
        Ended::here(CloseCode::BatchTooLarge, reason)
    );
    assert_eq!(edge.end().await, peer(CloseCode::BatchTooLarge, reason));
}

#[tokio::test]
async fn one_dialler_makes_one_session_after_another() {
    let world = World::over(Profile::lan()).await;
    let dialler = world.dialler("hub", LinkKind::Lan, &world.edge);
    for _ in 0..3 {
        let edge = in_time(dialler.dial()).await.expect("a session");
        let hub = in_time(world.hub.accept()).await.expect("a session");
        let (mut edge, mut hub) = (End::of(edge.start()), End::of(hub.start()));
        edge.control(b"hello").await;
        assert_eq!(hub.next_control().await, b"hello");
        hub.control(b"hello to you").await;
        assert_eq!(edge.next_control().await, b"hello to you");
        drop(edge.running);
        hub.end().await;
    }
}

#[tokio::test]
async fn a_batch_that_is_abandoned_is_never_taken_for_a_whole_one() {
    let world = World::over(Profile::lan()).await;
    let (edge, hub) = world.session(LinkKind::Lan).await;
    let mut hub = End::of(hub.start());
    let connection = edge.connection();
    let edge = edge.start();
    let mut stream = connection.open_uni().await.expect("a stream");
    stream.write_all(b"half a bat").await.expect("written");
    edge.commands
        .send(Command::Control(Bytes::from_static(b"hello")))
        .await
        .expect("sent");
    hub.next_control().await;
    stream.reset(quinn::VarInt::from_u32(0)).expect("reset");
    assert_eq!(
        hub.end().await,
        Ended::here(CloseCode::BatchAbandoned, "a batch was reset")
    );
    assert!(hub.batches.is_empty());
}

#[tokio::test]
async fn what_was_said_before_a_close_arrives_and_so_does_its_reason() {
    let world = World::over(Profile::exclusive()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Exclusive).await;
    hub.control(b"last words").await;
    hub.command(Command::Close {
        code: CloseCode::Protocol,
        reason: "frame 7 makes no sense".to_owned(),
    })
    .await;
    assert_eq!(edge.next_control().await, b"last words");
    let reason = "frame 7 makes no sense";
    assert_eq!(edge.end().await, peer(CloseCode::Protocol, reason));
    assert_eq!(hub.end().await, Ended::here(CloseCode::Protocol, reason));
    assert!(edge.running.handle.is_closed());
}

#[tokio::test]
async fn a_handle_ends_the_session_at_once() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Lan).await;
    hub.running.handle.close(CloseCode::Blocked, "blocked now");
    assert_eq!(
        hub.end().await,
        Ended::here(CloseCode::Blocked, "blocked now")
    );
    assert_eq!(edge.end().await, peer(CloseCode::Blocked, "blocked now"));
}

#[tokio::test]
async fn an_owner_that_goes_away_ends_the_session() {
    let world = World::over(Profile::lan()).await;
    let (edge, mut hub) = world.ends(LinkKind::Lan).await;
    drop(edge);
    assert_eq!(
        hub.end().await,
        peer(CloseCode::Done, "the node let the session go")
    );
    let (edge, hub) = world.session(LinkKind::Lan).await;
    drop(hub);
    let mut edge = End::of(edge.start());
    assert_eq!(edge.end().await, peer(CloseCode::Done, "dropped"));
}

#[tokio::test]
async fn a_control_message_over_the_bound_is_not_sent() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, _hub) = world.ends(LinkKind::Lan).await;
    edge.control(&vec![0; CONTROL_BYTES_MAX + 1]).await;
    assert_eq!(edge.end().await.name(), "control-too-large");
}

#[tokio::test]
async fn a_control_message_as_large_as_the_bound_arrives() {
    let world = World::over(Profile::lan()).await;
    let (edge, mut hub) = world.ends(LinkKind::Lan).await;
    edge.control(&vec![9; CONTROL_BYTES_MAX]).await;
    assert_eq!(hub.next_control().await.len(), CONTROL_BYTES_MAX);
}

#[tokio::test]
async fn a_peer_that_is_gone_is_noticed_by_its_silence() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Lan).await;
    world.link.down();
    assert_eq!(edge.end().await, Ended::Idle);
    // The hub offers the longest timeout, and the smaller of the two counts at both ends.
    assert_eq!(hub.end().await, Ended::Idle);
}

#[tokio::test]
async fn a_blocked_unit_is_told_so() {
    let world = World::over(Profile::lan()).await;
    let dialler = world.dialler("hub", LinkKind::Lan, &world.blocked);
    // The edge has its session before the hub has judged the certificate.
    let session = in_time(dialler.dial()).await.expect("a session");
    let mut edge = End::of(session.start());
    assert_eq!(edge.end().await, peer(CloseCode::Blocked, "blocked here"));
}

#[tokio::test]
async fn another_hub_than_the_one_that_was_asked_for_is_refused() {
    let world = World::over(Profile::lan()).await;
    let dialler = world.dialler("another.hub", LinkKind::Lan, &world.edge);
    let error = in_time(dialler.dial()).await.expect_err("the wrong hub");
    let reason = "expected another.hub, found hub";
    match error {
        DialError::Ended(_, ended) => {
            assert_eq!(ended, Ended::here(CloseCode::Identity, reason));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn certificates_of_another_authority_are_refused_by_both_sides() {
    let world = World::over(Profile::lan()).await;
    let mut stranger = Pki::new();
    let trusts_nobody_here = stranger.client("edge");
    let dialler = world.dialler("hub", LinkKind::Lan, &trusts_nobody_here);
    let error = in_time(dialler.dial()).await.expect_err("an unknown hub");
    assert!(
        matches!(&error, DialError::Ended(_, Ended::Tls(_))),
        "{error}"
    );
    let is_unknown_here = stranger.client_for(&world.pki, "edge");
    let dialler = world.dialler("hub", LinkKind::Lan, &is_unknown_here);
    let session = in_time(dialler.dial()).await.expect("a session for now");
    // The edge's own identification would refuse the hub, had the hub not refused the edge's certificate.
    let mut edge = End::of(session.start());
    assert_eq!(edge.end().await.name(), "tls");
}

#[tokio::test]
async fn a_client_that_has_to_prove_its_address_gets_in_and_keeps_its_kind() {
    // With one handshake at a time every client has to prove its address.
    let world = World::with(Profile::lan(), |settings| settings.handshakes = 1).await;
    let (edge, hub) = world.session(LinkKind::Lan).await;
    assert_eq!((edge.kind(), hub.kind()), (LinkKind::Lan, LinkKind::Lan));
    assert_eq!(hub.peer().unit.as_str(), "edge");
}

#[tokio::test]
async fn a_full_hub_refuses_and_takes_again_when_a_session_has_ended() {
    let world = World::with(Profile::lan(), |settings| settings.connections = 1).await;
    let (edge, hub) = world.session(LinkKind::Lan).await;
    let error = world.dial(LinkKind::Lan).await.expect_err("no room");
    assert!(
        matches!(&error, DialError::Ended(_, Ended::Refused)),
        "{error}"
    );
    drop((edge, hub));
    world.session(LinkKind::Lan).await;
}

#[tokio::test]
async fn one_session_too_many_of_a_unit_replaces_the_one_that_was_silent_longest() {
    let world = World::with(Profile::lan(), |settings| settings.connections_per_unit = 2).await;
    let (first, hub_first) = world.ends(LinkKind::Mobile).await;
    let (mut second, hub_second) = world.ends(LinkKind::Mobile).await;
    // The first speaks again after the second.
    let silence = |end: &End| end.running.handle.stats().silent;
    let both_silent = async {
        let least = Duration::from_millis(50);
        while silence(&hub_first) < least || silence(&hub_second) < least {
            tokio::task::yield_now().await;
        }
    };
    in_time(both_silent).await;
    let heard = hub_first.running.handle.stats().received_datagrams;
    first.control(b"still here").await;
    let spoken = async {
        while hub_first.running.handle.stats().received_datagrams == heard {
            tokio::task::yield_now().await;
        }
    };
    in_time(spoken).await;
    let (_third, _hub_third) = world.ends(LinkKind::Mobile).await;
    assert_eq!(
        second.end().await,
        peer(CloseCode::Replaced, "a newer session of the unit")
    );
    first.control(b"and now").await;
    assert!(first.ended.is_none() && !first.running.handle.is_closed());
}

#[test]
fn a_hub_that_was_killed_and_started_again_tells_the_edge_at_once() {
    // A runtime of its own for the hub, so that it can die without a word.
    let (hub_runtime, edge_runtime) = (runtime(), runtime());
    let mut pki = Pki::new();
    let (hub_tls, edge_tls) = (pki.server("hub"), pki.client("edge"));
    let mut settings = listen_settings(hub_tls);
    let (told, address) = std::sync::mpsc::channel();
    let (first_settings, identify) = (settings.clone(), pki.identify());
    hub_runtime.spawn(async move {
        let hub = Listener::bind(first_settings, identify).expect("a hub");
        told.send(hub.local_address()).expect("told");
        let session = hub.accept().await.expect("a session");
        let mut end = End::of(session.start());
        let hello = end.next_control().await;
        end.control(&hello).await;
        std::future::pending::<()>().await;
    });
    let address = address.recv_timeout(DEADLINE).expect("in time");
    settings.address = address.expect("an address");

    let (link, mut edge) = edge_runtime.block_on(async {
        let link = Emulator::start(Profile::lan(), SEED, settings.address)
            .await
            .expect("a link");
        // A kind that would wait two minutes before it called the session idle.
        let dial = dial_settings(link.address(), "hub", LinkKind::Mobile, &edge_tls);
        let dialler = Dialer::new(dial, pki.identify());
        let session = in_time(dialler.dial()).await.expect("a session");
        let mut edge = End::of(session.start());
        edge.control(b"hello").await;
        assert_eq!(edge.next_control().await, b"hello");
        (link, edge)
    });
    link.down();
    hub_runtime.shutdown_timeout(DEADLINE);
    link.up();
    edge_runtime.block_on(async {
        let _again = Listener::bind(settings, pki.identify()).expect("the hub again");
        edge.control(b"are you there?").await;
        assert_eq!(edge.end().await, Ended::Restarted);
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}
