//! Which congestion controller a link gets: the one place to change it.
//!
//! | link | controller | why |
//! | --- | --- | --- |
//! | `3g` | [`delay`]: steered by the queue's delay | loss is the radio's as often as the buffer's, and buffers are deep |
//! | `exclusive` | [`capped`]: cubic (RFC 9438), at most four times what the line holds | loss means congestion, and a deep buffer is not ours to fill |
//! | `lan` | cubic | nothing to add |
//!
//! Each is wrapped in [`valve`], by which the session opens the window a little to look for a path that has come back, and
//! altogether to say farewell.

mod capped;
mod delay;
mod meter;
mod valve;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory, CubicConfig};

use self::{capped::Capped, delay::DelayBased};
use super::LinkKind;

pub(super) use self::valve::Valve;

/// The controller for one connection over one kind of link.
pub(super) fn controller(
    kind: LinkKind,
    valve: &Valve,
) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(Factory {
        kind,
        valve: valve.clone(),
    })
}

struct Factory {
    kind: LinkKind,
    valve: Valve,
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let cubic = || Arc::new(CubicConfig::default()).build(now, mtu);
        let controller: Box<dyn Controller> = match self.kind {
            LinkKind::Mobile => Box::new(DelayBased::new(now, mtu)),
            LinkKind::Exclusive => Box::new(Capped::new(cubic(), now)),
            LinkKind::Lan => cubic(),
        };
        self.valve.fit(controller, now)
    }
}
