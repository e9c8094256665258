//! A path that goes and comes back.

use tokio::time::{Duration, Instant, timeout};

use super::world::{World, in_time};
use crate::{emulator::Profile, link::LinkKind, model::Lane};

/// QUIC's own probes double their distance: in this time about ten of them go out, two packets each.
const MORE_THAN_QUIC_PROBES: u64 = 30;
/// Packets that two ends may still owe each other once all is carried.
const LAST_ACKS_MAX: u64 = 6;
const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_looking_for_its_path_while_something_waits() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    world.link.down();
    // More than fits into any window, so that quinn has nothing more to send.
    edge.batch(1, Lane::Bulk, vec![1; 400_000]).await;
    let probed = async {
        while world.link.stats().up.dropped_outage < MORE_THAN_QUIC_PROBES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WITHIN, probed).await.expect("probes");
    world.link.up();
    assert_eq!(hub.next_batch().await.len(), 400_000);
    assert!(hub.controls.is_empty(), "a probe reached the owner");
    assert!(edge.ended.is_none() && hub.ended.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_message_alone_is_reason_enough_to_look_for_the_path() {
    let world = World::over(Profile::lan()).await;
    let (edge, mut hub) = world.ends(LinkKind::Mobile).await;
    world.link.down();
    edge.control(b"an ack").await;
    let probed = async {
        while world.link.stats().up.dropped_outage < MORE_THAN_QUIC_PROBES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WITHIN, probed).await.expect("probes");
    world.link.up();
    assert_eq!(in_time(hub.next_control()).await, b"an ack");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_nothing_under_way_is_silent_while_its_path_is_out() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    edge.batch(1, Lane::Normal, vec![1; 1_000]).await;
    hub.next_batch().await;
    while edge.carried.is_empty() {
        edge.step().await;
    }
    world.link.down();
    let offered =
        || world.link.stats().up.offered_packets + world.link.stats().down.offered_packets;
    let sent = offered();
    // The last acks may still be due, and nothing more: whoever probed would send as much in a second.
    let probed = async {
        while offered() < sent + LAST_ACKS_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let probed = timeout(Duration::from_secs(3), probed).await;
    assert!(probed.is_err(), "{} packets were sent", offered() - sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_that_its_path_does_not_answer_and_that_it_does_again() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Exclusive).await;
    edge.batch(1, Lane::Normal, vec![1; 1_000]).await;
    hub.next_batch().await;
    world.link.down();
    edge.batch(2, Lane::Normal, vec![2; 1_000]).await;
    let since = Instant::now();
    in_time(edge.path_that(|path| !path.answers)).await;
    let after = since.elapsed();
    assert!(after >= Duration::from_millis(550), "{after:?}");
    world.link.up();
    in_time(edge.path_that(|path| path.answers)).await;
    assert_eq!(hub.next_batch().await, vec![2; 1_000]);
    assert!(edge.ended.is_none() && hub.ended.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_what_its_path_carries() {
    let world = World::over(Profile::mobile_good()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    edge.batch(1, Lane::Bulk, vec![1; 400_000]).await;
    // 1 Mbit/s up, of which headers take some.
    let news = edge.path_that(|path| (70_000..135_000).contains(&path.rate));
    in_time(news).await;
    in_time(hub.next_batch()).await;
    let rtt = edge.path.expect("a path").rtt;
    assert!(rtt >= Duration::from_millis(100), "{rtt:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_is_told_once_that_its_peer_comes_from_another_address() {
    let world = World::over(Profile::lan()).await;
    let (edge, mut hub) = world.ends(LinkKind::Mobile).await;
    edge.control(b"from the first").await;
    assert_eq!(hub.next_control().await, b"from the first");
    assert_eq!(hub.moved, 0);
    world.link.rebind();
    edge.control(b"from another").await;
    while hub.moved == 0 {
        hub.step().await;
    }
    edge.control(b"from there again").await;
    while hub.controls.len() < 2 {
        hub.step().await;
    }
    assert_eq!(hub.moved, 1);
    assert!(edge.running.handle.quiet() < Duration::from_secs(20));
}
