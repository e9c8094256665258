//! What is sent arrives, in the order that it should.

use std::collections::BTreeMap;

use tokio::time::{Duration, timeout};

use super::world::{End, SEED, World, in_time};
use crate::{
    emulator::{Burst, Direction, Profile, SplitMix64},
    link::{
        Command, Event, LinkKind,
        profile::{BULK_STREAMS_MAX, LARGE_BATCHES_MAX, PEER_STREAMS_MAX, PEER_STREAMS_TOLD},
    },
    model::Lane,
};

/// The losses and delays of a poor modem at a rate that a test can wait for.
fn poor_and_quick() -> Profile {
    let direction = Direction {
        rate_bps: Some(8_000_000),
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        burst: Some(Burst::of(0.03, 4.0)),
        buffer_bytes: 64 * 1024,
        ..Direction::PERFECT
    };
    Profile {
        up: direction.clone(),
        down: direction,
        ..Profile::lan()
    }
}

fn slow() -> Profile {
    let direction = Direction {
        rate_bps: Some(4_000_000),
        delay: Duration::from_millis(20),
        buffer_bytes: 64 * 1024,
        ..Direction::PERFECT
    };
    Profile {
        up: direction.clone(),
        down: direction,
        ..Profile::lan()
    }
}

/// Sends `count` batches, and a control message after each; takes as many; gives back what was sent and what came.
async fn exchange(mut end: End, count: u64, seed: u64) -> (End, BTreeMap<u64, Vec<u8>>) {
    let mut random = SplitMix64::new(seed);
    let mut sent = BTreeMap::new();
    for id in 0..count {
        let mut bytes = id.to_le_bytes().to_vec();
        bytes.resize(8 + (random.next_u64() % 3_000) as usize, id as u8);
        let lane = Lane::ALL[(random.next_u64() % 4) as usize];
        sent.insert(id, bytes.clone());
        end.batch(id, lane, bytes).await;
        // Send and take in one: whoever waits for room among the commands goes on taking events.
        let message = Command::Control(id.to_le_bytes().to_vec().into());
        let commands = end.running.commands.clone();
        let mut place = std::pin::pin!(commands.reserve());
        let place = loop {
            tokio::select! {
                place = &mut place => break place.expect("a session that takes commands"),
                () = end.step() => {}
            }
        };
        place.send(message);
    }
    let done = |end: &End| {
        end.carried.len() as u64 == count
            && end.batches.len() as u64 == count
            && end.controls.len() as u64 == count
    };
    while !done(&end) {
        end.step().await;
    }
    (end, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_batches_and_messages_arrive_intact_both_ways_over_a_lossy_link() {
    const COUNT: u64 = 1_000;
    let world = World::over(poor_and_quick()).await;
    let (edge, hub) = world.ends(LinkKind::Mobile).await;
    let ((edge, from_edge), (hub, from_hub)) =
        tokio::join!(exchange(edge, COUNT, SEED), exchange(hub, COUNT, SEED + 1));
    let expected: Vec<Vec<u8>> = (0..COUNT).map(|id| id.to_le_bytes().to_vec()).collect();
    for (mut end, sent) in [(edge, from_hub), (hub, from_edge)] {
        let came: BTreeMap<u64, Vec<u8>> = end
            .batches
            .drain(..)
            .map(|batch| {
                let id = batch.first_chunk().copied().map(u64::from_le_bytes);
                (id.expect("an id"), batch)
            })
            .collect();
        assert!(came == sent, "batches differ");
        assert!(end.controls == expected, "control messages differ");
        end.carried.sort_unstable();
        assert_eq!(end.carried, (0..COUNT).collect::<Vec<_>>());
    }
    let lost = world.link.stats().up.dropped_line;
    assert!(lost > 0, "the link lost nothing, so the test says nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_messages_arrive_once_over_a_link_that_carries_every_packet_twice_and_backwards()
 {
    const COUNT: u64 = 200;
    let direction = Direction {
        backwards: Some(Duration::from_millis(5)),
        twice: true,
        ..Direction::PERFECT
    };
    let odd = Profile {
        up: direction.clone(),
        down: direction,
        ..Profile::lan()
    };
    for kind in LinkKind::ALL {
        let world = World::over(odd.clone()).await;
        let (edge, hub) = world.ends(kind).await;
        let ((edge, from_edge), (hub, from_hub)) =
            tokio::join!(exchange(edge, COUNT, SEED), exchange(hub, COUNT, SEED + 1));
        for (end, sent) in [(edge, from_hub), (hub, from_edge)] {
            let mut came: Vec<Vec<u8>> = end.batches.into();
            came.sort_unstable();
            let mut sent: Vec<Vec<u8>> = sent.into_values().collect();
            sent.sort_unstable();
            assert!(came == sent, "batches differ");
            assert_eq!(end.controls.len() as u64, COUNT);
        }
        let up = world.link.stats().up;
        assert!(up.carried_packets > up.offered_packets * 3 / 2, "{up:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_express_batch_and_a_message_pass_a_large_bulk_batch_under_way() {
    let world = World::over(slow()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    // Larger than everything that quinn may hold of it, so that bulk presses against its window all the time.
    edge.batch(1, Lane::Bulk, vec![1; 2_000_000]).await;
    let under_way = async {
        while edge.running.handle.stats().sent_bytes < 300_000 {
            tokio::task::yield_now().await;
        }
    };
    in_time(under_way).await;
    edge.batch(2, Lane::Urgent, vec![2; 100_000]).await;
    edge.control(b"after").await;
    let first = hub.next_batch().await;
    assert_eq!((first.len(), first.first()), (100_000, Some(&2)));
    assert_eq!(hub.next_control().await, b"after");
    // What was under way, the batch itself, and what was in flight when it was sent: none of what quinn already held.
    let up = world.link.stats().up;
    assert!(up.carried_bytes < 550_000, "{up:?}");
    assert_eq!(hub.next_batch().await.len(), 2_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_is_granted_little_ahead_of_the_line_and_again_when_it_was_carried() {
    let world = World::over(slow()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    let (_, window_most) = LinkKind::Mobile.bulk_window_bytes();
    let mut most = 0;
    for id in 0..100 {
        edge.batch(id, Lane::Normal, vec![0; 30_000]).await;
        let under_way = id + 1 - edge.carried.len() as u64;
        most = most.max(under_way);
        assert!(under_way <= u64::from(BULK_STREAMS_MAX));
        assert!(under_way * 30_000 <= window_most);
        while let Ok(event) = hub.running.events.try_recv() {
            hub.note(event);
            hub.batches.clear();
        }
    }
    assert!(most >= 2, "the line was left idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_takes_nothing_stops_the_peer_and_then_gets_everything() {
    const BYTES: usize = 100_000;
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Lan).await;
    let mut sent = 0;
    // The hub takes no events. Quiet for a second, on a link that takes microseconds, is a stop.
    loop {
        if edge.bulk > 0 {
            edge.batch(sent, Lane::Bulk, vec![sent as u8; BYTES]).await;
            sent += 1;
            continue;
        }
        match timeout(Duration::from_secs(1), edge.step()).await {
            Ok(()) => {}
            Err(_) => break,
        }
    }
    // In the owner's channel, in quinn's hands at the hub, and on the way.
    let bound = u64::from(PEER_STREAMS_MAX + PEER_STREAMS_TOLD) + u64::from(BULK_STREAMS_MAX);
    assert!(
        sent > 0 && sent <= bound,
        "{sent} batches went out, bound {bound}"
    );
    let mut came: Vec<u8> = Vec::new();
    for _ in 0..sent {
        let batch = hub.next_batch().await;
        assert_eq!(batch.len(), BYTES);
        came.extend(batch.first());
    }
    came.sort_unstable();
    assert_eq!(came, (0..sent as u8).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_the_owner_keeps_count_until_it_drops_them() {
    let world = World::over(Profile::lan()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Lan).await;
    for id in 0..6 {
        edge.batch(id, Lane::Normal, vec![id as u8; 200_000]).await;
    }
    // Two large batches may be held; the others wait in quinn's hands until one is let go.
    let mut held = Vec::new();
    let mut came = 0;
    let mut waited = 0;
    while came < 6 {
        match timeout(Duration::from_millis(500), hub.running.events.recv()).await {
            Ok(Some(Event::Batch(batch))) => {
                held.push(batch);
                came += 1;
                assert!(held.len() <= LARGE_BATCHES_MAX, "one too many was taken");
            }
            Ok(Some(Event::Closed(ended))) => panic!("{ended}"),
            Ok(_) => {}
            Err(_) => {
                held.clear();
                waited += 1;
                assert!(waited < 10, "{came} batches came, and no more");
            }
        }
    }
}

#[tokio::test]
async fn a_session_over_an_outage_goes_on_where_it_was() {
    let world = World::over(Profile::exclusive()).await;
    let (mut edge, mut hub) = world.ends(LinkKind::Mobile).await;
    world.link.down();
    edge.batch(1, Lane::Normal, vec![1; 5_000]).await;
    edge.control(b"during").await;
    let lost = async {
        while world.link.stats().up.dropped_outage < 3 {
            tokio::task::yield_now().await;
        }
    };
    in_time(lost).await;
    world.link.up();
    assert_eq!(hub.next_batch().await.len(), 5_000);
    assert_eq!(hub.next_control().await, b"during");
}
