//! Nodes on a paused clock: everything that a node does in threads of its own is done where it is asked for, or time waits for it, so that a
//! day of a node takes as long as there is work in it.
//!
//! What stays outside is what decides nothing: the index's thread and the one that hands it news. What the system draws for TLS stays random.

use std::{
    cell::{Cell, RefCell},
    sync::mpsc::{Sender, channel},
    time::{Duration, SystemTime},
};

use tokio::{sync::mpsc::UnboundedSender, task::spawn_blocking, time::Instant};

use crate::{
    delivery::{Bug, Delivery},
    journal::{Done, Write},
    model::Millis,
    node::store::{JobDone, NodeDisk},
    sim::disk::SplitMix64,
};

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
    static HOLDS: Cell<u32> = const { Cell::new(0) };
}

/// What nodes of this thread have in place of the system.
struct Here {
    dice: SplitMix64,
    began: Instant,
    wall: SystemTime,
}

/// A sync takes so many milliseconds at most, and one of five on a disk that has other things to do.
const SYNC_MS: u64 = 25;
const SLOW_SYNC_MS: u64 = 500;

/// From now on nodes that are started on this thread are on its paused clock. Ends when it is dropped.
pub(in crate::node) struct Paused(());

impl Paused {
    pub(in crate::node) fn begin(seed: u64, bug: Option<Bug>) -> Self {
        HERE.set(Some(Here {
            dice: SplitMix64(seed),
            began: Instant::now(),
            wall: SystemTime::now(),
        }));
        BUG.set(bug);
        HOLDS.set(0);
        Self(())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        HERE.set(None);
        BUG.set(None);
    }
}

fn here<T>(of: impl FnOnce(&mut Here) -> T) -> Option<T> {
    HERE.with_borrow_mut(|here| here.as_mut().map(of))
}

pub(in crate::node) fn is_here() -> bool {
    here(|_| ()).is_some()
}

pub(in crate::node) fn random() -> Option<u64> {
    here(|here| here.dice.next_u64())
}

pub(in crate::node) fn wall() -> Option<Millis> {
    here(|here| {
        let at = here.wall + here.began.elapsed();
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as Millis)
    })
}

pub(in crate::node) fn plant_in(machine: &mut Delivery) {
    if let Some(bug) = BUG.get() {
        machine.plant(bug);
    }
}

/// How long the next write takes until it is known to be durable.
pub(in crate::node) fn sync_takes() -> Option<Duration> {
    here(|here| {
        let most = match here.dice.chance(20) {
            true => SLOW_SYNC_MS,
            false => SYNC_MS,
        };
        Duration::from_millis(1 + here.dice.below(most))
    })
}

/// Writes when it is to be durable, and tells of it: who is killed before has nothing of it on its disk.
pub(in crate::node) fn write(
    write: Write<NodeDisk>,
    takes: Duration,
    tell: UnboundedSender<JobDone>,
) {
    tokio::spawn(async move {
        tokio::time::sleep(takes).await;
        // The node may have ended.
        let _ = tell.send(Done::Write(write.run()));
    });
}

/// While there is one, time does not go on by itself: tokio lets none pass while a blocking task is under way.
#[derive(Debug)]
pub(in crate::node) struct Hold(
    #[expect(dead_code, reason = "its end is what it is for")] Sender<()>,
);

pub(in crate::node) fn hold() -> Option<Hold> {
    is_here().then(|| {
        let (end, ended) = channel::<()>();
        spawn_blocking(move || ended.recv());
        HOLDS.set(HOLDS.get() + 1);
        Hold(end)
    })
}

/// Whether time waits for some node's checkpoint.
pub(in crate::node) fn is_held() -> bool {
    HOLDS.get() > 0
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.set(HOLDS.get().saturating_sub(1));
    }
}
