//! What a path that is full, out or of another address does to a session.

use tokio::time::{Duration, timeout};

use super::world::{End, World, in_time};
use crate::{
    emulator::{Direction, Profile},
    link::{CloseCode, Ended, LinkKind, gate::Gate, profile::EXPRESS_RESERVE_BYTES, room::Class},
    model::Lane,
};

/// So slow that a second's bulk fills every window.
fn narrow() -> Profile {
    let direction = Direction {
        rate_bps: Some(500_000),
        delay: Duration::from_millis(50),
        buffer_bytes: 128 * 1024,
        ..Direction::PERFECT
    };
    Profile {
        up: direction.clone(),
        down: direction,
        ..Profile::lan()
    }
}

/// Waits until quinn's window of `end` is full of bulk on its way over `world`'s link to the edge.
async fn until_blocked(end: &End) {
    let blocked = async {
        let mut sent = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = end.running.handle.stats().sent_bytes;
            if now > 10_000 && now == sent {
                return;
            }
            sent = now;
        }
    };
    in_time(blocked).await;
}

fn told(code: CloseCode, reason: &str) -> Ended {
    Ended::Peer {
        code,
        reason: reason.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_closed_while_bulk_fills_its_window_tells_the_peer_why() {
    let world = World::over(narrow()).await;
    // A kind whose session would wait two minutes before it called itself idle.
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    hub.batch(1, Lane::Bulk, vec![1; 2_000_000]).await;
    while edge.running.handle.stats().received_bytes < 20_000 {
        tokio::task::yield_now().await;
    }
    hub.running.handle.close(CloseCode::Blocked, "blocked now");
    assert_eq!(edge.end().await, told(CloseCode::Blocked, "blocked now"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_closed_after_an_outage_filled_its_window_tells_the_peer_why() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    world.link.down();
    hub.batch(1, Lane::Bulk, vec![1; 100_000]).await;
    until_blocked(&hub).await;
    world.link.up();
    hub.running.handle.close(CloseCode::Blocked, "blocked now");
    assert_eq!(edge.end().await, told(CloseCode::Blocked, "blocked now"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stops_while_its_windows_are_full_tells_every_edge() {
    let world = World::over(narrow()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    hub.batch(1, Lane::Bulk, vec![1; 2_000_000]).await;
    while edge.running.handle.stats().received_bytes < 20_000 {
        tokio::task::yield_now().await;
    }
    let patience = Duration::from_secs(10);
    world
        .hub
        .close(CloseCode::Done, "the node stops", patience)
        .await;
    assert_eq!(edge.end().await, told(CloseCode::Done, "the node stops"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_go_in_their_order_and_control_before_all_of_them() {
    let world = World::over(narrow()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    edge.batch(0, Lane::Bulk, vec![9; 400_000]).await;
    while edge.running.handle.stats().sent_bytes < 30_000 {
        tokio::task::yield_now().await;
    }
    // In the worst order: each has to pass the ones before it.
    for (id, lane) in [(1, Lane::Normal), (2, Lane::Urgent), (3, Lane::Flash)] {
        edge.batch(id, lane, vec![id as u8; 30_000]).await;
    }
    edge.control(&[7; 30_000]).await;
    assert_eq!(hub.next_control().await.len(), 30_000);
    assert!(
        hub.batches.is_empty(),
        "a batch came before the control message"
    );
    let mut order = Vec::new();
    for _ in 0..4 {
        order.extend(hub.next_batch().await.first().copied());
    }
    assert_eq!(order, [3, 2, 1, 9]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_batch_finds_its_reserve_where_bulk_has_filled_the_buffer_and_no_more() {
    let world = World::over(Profile::lan()).await;
    let (edge, _hub) = world.session(LinkKind::Mobile).await;
    let connection = edge.connection();
    let gate = Gate::new(connection.clone(), LinkKind::Mobile);
    let mut bulk = connection.open_uni().await.expect("a stream");
    world.link.down();
    let write = gate.write(&mut bulk, Class::Bulk, 0, vec![0; 1_000_000].into());
    let write = timeout(Duration::from_millis(500), write).await;
    assert!(write.is_err(), "bulk has no bound");
    // As much on each stream as the peer has granted beforehand.
    let share = EXPRESS_RESERVE_BYTES as usize / 5;
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(connection.open_uni().await.expect("a stream"));
    }
    let (more, urgent) = streams.split_last_mut().expect("streams");
    for stream in urgent {
        let write = gate.write(stream, Class::Express, 2, vec![0; share].into());
        in_time(write).await.expect("written");
    }
    let write = gate.write(more, Class::Express, 2, vec![0; share].into());
    let write = timeout(Duration::from_millis(500), write).await;
    assert!(write.is_err(), "the reserve has no bound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_on_when_a_translator_gives_the_edge_another_port() {
    let world = World::over(Profile::lan()).await;
    let (edge, hub) = world.session(LinkKind::Mobile).await;
    let at_hub = hub.connection();
    let (mut edge, mut hub) = (End::of(edge.start()), End::of(hub.start()));
    edge.control(b"before").await;
    assert_eq!(hub.next_control().await, b"before");
    let before = at_hub.remote_address();
    world.link.rebind();
    edge.batch(1, Lane::Normal, vec![1; 300_000]).await;
    assert_eq!(hub.next_batch().await.len(), 300_000);
    hub.control(b"after").await;
    hub.batch(2, Lane::Normal, vec![2; 300_000]).await;
    assert_eq!(edge.next_control().await, b"after");
    assert_eq!(edge.next_batch().await.len(), 300_000);
    assert_ne!(
        at_hub.remote_address(),
        before,
        "the address did not change"
    );
    assert!(edge.ended.is_none() && hub.ended.is_none());
    // The new path has a controller of its own, which has to know the farewell too.
    world.link.down();
    hub.batch(3, Lane::Bulk, vec![3; 1_000_000]).await;
    until_blocked(&hub).await;
    world.link.up();
    hub.running.handle.close(CloseCode::Blocked, "blocked now");
    assert_eq!(edge.end().await, told(CloseCode::Blocked, "blocked now"));
}
