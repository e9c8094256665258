//! The node's clocks: the one place where time is read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::model::{Millis, Now};

/// Monotonic time since the node started, and a wall clock that never steps back while the node runs. Clones are the same clock.
///
/// What the wall clock read before a restart is in the journal; the machine takes the later of the two.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    base: Instant,
    wall: Arc<AtomicU64>,
}

impl Clock {
    /// A clock whose monotonic side reads 0 now.
    pub(super) fn start() -> Self {
        Self {
            base: Instant::now(),
            wall: Arc::default(),
        }
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Now {
        Now {
            mono: self.mono(),
            wall: self.wall(),
        }
    }

    /// Milliseconds since the node started.
    pub(super) fn mono(&self) -> Millis {
        self.base.elapsed().as_millis() as Millis
    }

    /// Milliseconds since the Unix epoch; never less than an earlier answer.
    pub(super) fn wall(&self) -> Millis {
        #[cfg(test)]
        if let Some(wall) = super::tests::paused::wall() {
            return self.not_before(wall);
        }
        let system = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as Millis);
        self.not_before(system)
    }

    /// The moment that a reading of the monotonic side stands for. Rounded up, so that what was due at `mono` is due then.
    pub(super) fn instant(&self, mono: Millis) -> Instant {
        self.base + Duration::from_millis(mono)
    }

    fn not_before(&self, wall: Millis) -> Millis {
        self.wall.fetch_max(wall, Ordering::Relaxed).max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_never_steps_back() {
        let clock = Clock::start();
        let now = clock.wall();
        assert_eq!(clock.clone().not_before(now + 50_000), now + 50_000);
        assert_eq!(clock.not_before(now), now + 50_000);
        assert!(clock.wall() >= now + 50_000);
    }
}
