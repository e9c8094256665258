//! Which congestion controller a link gets: the one place to change it.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

use super::LinkKind;

/// The window of a connection that is being closed, in bytes: more than was ever in flight, so that nothing is held back, and more
/// than the pacer paces.
const OPEN_WINDOW_BYTES: u64 = 1 << 40;

/// The controller for one connection over one kind of link.
///
/// Cubic (RFC 9438) for all: its window stops growing where the application does, and the bulk window of [`super::gate`] keeps
/// the application at one and a half times what is in flight.
pub(super) fn controller(
    _kind: LinkKind,
    farewell: &Farewell,
) -> Arc<dyn ControllerFactory + Send + Sync> {
    Arc::new(Farewelled {
        factory: Arc::new(CubicConfig::default()),
        farewell: farewell.clone(),
    })
}

/// Lets one connection's last word out.
///
/// quinn-proto 0.11.19 asks the congestion window before it sends CONNECTION_CLOSE for as long as stream data is pending, and
/// reads no acks after a close, so that a window that is full then stays full: the peer of a blocked connection never learns of
/// its end. Once the farewell is said the window is open, on every path of the connection; nothing but the close can go out by
/// it, because a closed connection sends nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Farewell(Arc<AtomicBool>);

impl Farewell {
    /// Closes the connection, and sees that the peer is told.
    pub(super) fn close(&self, connection: &quinn::Connection, code: quinn::VarInt, reason: &[u8]) {
        connection.close(code, reason);
        self.0.store(true, Relaxed);
        // Changes nothing and wakes quinn's driver, which may have found the window full since the first one.
        connection.close(code, reason);
    }
}

struct Farewelled {
    factory: Arc<CubicConfig>,
    farewell: Farewell,
}

impl ControllerFactory for Farewelled {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(UntilFarewell {
            controller: self.factory.clone().build(now, current_mtu),
            farewell: self.farewell.clone(),
        })
    }
}

/// Another controller, until the farewell.
struct UntilFarewell {
    controller: Box<dyn Controller>,
    farewell: Farewell,
}

impl Controller for UntilFarewell {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.controller.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.controller.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.controller
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.controller
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.controller.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.farewell.0.load(Relaxed) {
            OPEN_WINDOW_BYTES
        } else {
            self.controller.window()
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.controller.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            controller: self.controller.clone_box(),
            farewell: self.farewell.clone(),
        })
    }

    fn initial_window(&self) -> u64 {
        self.controller.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
