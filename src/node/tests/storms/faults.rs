//! What the weather does to lines and machines.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::world::{Scene, Seat};
use crate::{link::tests::net::Line, node::tests::paused::is_held, sim::disk::SplitMix64};

/// Between two faults, at most, milliseconds.
const PAUSE_MS: u64 = 6_000;

/// A line as a seed has it while faults happen: seldom sound.
pub(super) fn draw_line(dice: &mut SplitMix64) -> Line {
    let delay_ms = [2, 15, 60, 200][dice.below(4) as usize];
    let mut line = Line::sound(delay_ms, [20, 100, 1_000][dice.below(3) as usize]);
    let mut some = |percent, most: u64| match dice.chance(percent) {
        true => dice.below(most + 1),
        false => 0,
    };
    line.jitter_ms = some(60, 2 * delay_ms);
    line.lost = some(60, 60);
    line.bursts = some(30, 8);
    line.burst_ms = 800;
    line.late = some(40, 100);
    line.doubled = some(40, 80);
    line.flipped = some(40, 40);
    line
}

/// Between one and as many as `most`, small ones as often as large ones.
fn magnitude(dice: &mut SplitMix64, most: u64) -> u64 {
    let powers = u64::from(most.ilog2());
    let least = 1 << dice.below(powers + 1);
    (least + dice.below(least)).min(most)
}

/// Breaks things until `until`, and waits until all that can heal has healed.
pub(super) async fn storm(scene: Arc<Scene>, mut dice: SplitMix64, until: Instant) {
    let mut under_way = JoinSet::new();
    loop {
        sleep(Duration::from_millis(1 + dice.below(PAUSE_MS))).await;
        if Instant::now() >= until {
            break;
        }
        let (near, seat) = scene.edge_address(dice.next_u64());
        let lasts = Duration::from_millis(magnitude(&mut dice, 45_000));
        let net = scene.net.clone();
        match dice.below(10) {
            0 | 1 => {
                tracing::info!(%near, ?lasts, "the line falls silent");
                under_way.spawn(cut(
                    scene.clone(),
                    vec![(near, scene.hub_ip), (scene.hub_ip, near)],
                    lasts,
                ));
            }
            2 | 3 => {
                let way = match dice.chance(50) {
                    true => (near, scene.hub_ip),
                    false => (scene.hub_ip, near),
                };
                tracing::info!(?way, ?lasts, "the line carries nothing one way");
                under_way.spawn(cut(scene.clone(), vec![way], lasts));
            }
            4 | 5 => {
                tracing::info!(%near, "the line changes");
                net.set_line(near, scene.hub_ip, draw_line(&mut dice));
                net.set_line(scene.hub_ip, near, draw_line(&mut dice));
            }
            6 | 7 => {
                tracing::info!(%near, "it comes from another address");
                net.rebind(near);
            }
            8 => {
                let seat = scene.seats[dice.below(3) as usize].clone();
                under_way.spawn(kill(scene.clone(), seat, lasts / 4));
            }
            _ => {
                let seat = match dice.chance(50) {
                    true => scene.seats[seat].clone(),
                    false => scene.seats[0].clone(),
                };
                under_way.spawn(restart(scene.clone(), seat, lasts / 4));
            }
        }
    }
    while let Some(done) = under_way.join_next().await {
        done.expect("no panic");
    }
}

async fn cut(scene: Arc<Scene>, ways: Vec<(IpAddr, IpAddr)>, lasts: Duration) {
    for (from, to) in &ways {
        scene.net.cut(*from, *to);
    }
    sleep(lasts).await;
    for (from, to) in &ways {
        scene.net.mend(*from, *to);
    }
}

/// A node ends in peace and starts again.
async fn restart(scene: Arc<Scene>, seat: Arc<Seat>, lasts: Duration) {
    let mut node = seat.node.lock().await;
    let Some(running) = node.take() else { return };
    tracing::info!(unit = %seat.settings.unit, "it stops");
    seat.leaves();
    running.stop().await;
    // The process is gone, and its sockets with it, whatever QUIC would still have waited for.
    for ip in &seat.ips {
        scene.net.switch_off(*ip);
        scene.net.switch_on(*ip);
    }
    sleep(lasts).await;
    *node = Some(seat.start().await);
}

/// A node is killed: of this moment is what the disk has, and what the neighbours have seen.
async fn kill(scene: Arc<Scene>, seat: Arc<Seat>, lasts: Duration) {
    let mut node = seat.node.lock().await;
    // Files come and go at the end of a checkpoint, in a thread: what is copied meanwhile would be of no moment.
    while is_held() {
        sleep(Duration::from_millis(1)).await;
    }
    let Some(running) = node.take() else { return };
    tracing::info!(unit = %seat.settings.unit, "it is killed");
    seat.leaves();
    for ip in &seat.ips {
        scene.net.switch_off(*ip);
    }
    let image = seat.image();
    // What it does from here on nobody sees.
    running.stop().await;
    seat.put_back(&image);
    sleep(lasts).await;
    for ip in &seat.ips {
        scene.net.switch_on(*ip);
    }
    *node = Some(seat.start().await);
}
