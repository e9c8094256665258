//! A congestion controller for radio links, steered by delay.
//!
//! On 3G a lost packet says little: the radio loses some, in bursts, whether the line is full or not. What says that the line is
//! full is delay: the operator's buffer is deep, and once more is in flight than the line holds, every further packet only waits.
//! So this controller keeps a small standing queue, and takes loss for congestion only together with delay, or when much is lost.
//!
//! Once a round trip, from the shortest round trip seen in it (`now`) and the shortest ever seen (`base`):
//!
//! ```text
//! target = max(base / 4, 50 ms) + min(2 packets' time on the line, base / 4) + min(jitter, base / 4)
//! window = window * (1 + (base + target) / now) / 2
//! ```
//!
//! which is FAST TCP (Wei, Jin, Low, Hegde: IEEE/ACM Transactions on Networking 14(6), 2006) with half steps, for which a delay of
//! one round trip in the loop is stable. With an empty queue the window grows by an eighth or more a round trip; after
//! [`EMPTY_ROUNDS`] of them without loss, and at the start, it doubles until a queue is seen, and then goes straight to what the
//! line was seen to carry.
//!
//! - **Traffic in bursts** says little: the first packets after a pause meet no queue, however long the one is that the rest will make. So the
//!   window grows only after a round in which it was filled without a pause, and one before it (RFC 9002, section 7.8, asks for
//!   less: an application that goes on and off would open the window until the buffer overflows).
//! - **Beside cubic**, which fills every buffer, it gets between a fifth and nine tenths of a line whose buffer holds up to a second
//!   (`tests.rs`). In a buffer of two seconds that cubic keeps full it gets little (4 to 14 %): whoever wants more
//!   there has to fill it as well, and then every urgent message waits for two seconds.
//! - **The base may move**: another cell, another route. A window that has been at its floor for [`FLOOR_ROUNDS`] makes no queue of
//!   its own, so what is measured there is the new base. The same lets it hold its own beside a flow that fills the buffer.
//! - **Loss**: more than a tenth of the packets of [`LOSSY_ROUNDS`] in a row means a line with no buffer to speak of (or a
//!   policer): the window becomes what got through. Loss while there is a queue costs a tenth. Other loss costs nothing: radio
//!   loses in bursts, and one burst can take most of a round.
//! - **An outage** (persistent congestion, RFC 9002, section 7.6): the window is halved, but not below that of a new connection, and the base
//!   measured anew; after it the line is most likely what it was before, and restarting from two packets costs seconds on a long round trip.
//! - **Jitter and delayed acks** only make round trips longer, so the shortest of a round is what counts. What is left is in the
//!   target: the mean difference of two acks (RFC 3550, section 6.4.1), and that a packet of full size takes longer on a thin line
//!   than the small one by which the base was measured.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use quinn::congestion::Controller;
use quinn_proto::RttEstimator;

/// The window at first, in packets: below the ten of RFC 9002 (section 7.2), which take a third of a second at 256 kbit/s.
const FIRST_PACKETS: f64 = 8.0;
/// The least window, in packets.
const FLOOR_PACKETS: f64 = 4.0;
/// The most window, bytes: 20 Mbit/s over 400 ms.
const WINDOW_BYTES_MAX: f64 = 1024.0 * 1024.0;
/// The queue that is aimed at: this part of the base, and no less than [`TARGET_MIN`].
const TARGET_PART: f64 = 0.25;
/// The least queue that is aimed at, which delayed acks (25 ms) and scheduling in the radio must not look like.
const TARGET_MIN: Duration = Duration::from_millis(50);
/// Rounds without a queue, after which the window doubles again.
const EMPTY_ROUNDS: u32 = 3;
/// Rounds with a queue at the least window, after which the base is what is measured.
const FLOOR_ROUNDS: u32 = 8;
/// What is left of a line's rate after a round in which it carried less.
const RATE_KEEPS: f64 = 0.9;
/// More than this part of a round's bytes lost is congestion, whatever the delay.
const LOSS_MANY: f64 = 0.10;
/// Fewer bytes than this many packets lost in a round are not [`LOSS_MANY`].
const LOSS_PACKETS_MIN: f64 = 3.0;
/// So many rounds with [`LOSS_MANY`] in a row make it a property of the line.
const LOSSY_ROUNDS: u32 = 2;
/// What loss with a queue leaves of the window.
const LOSS_KEEPS: f64 = 0.9;

#[derive(Clone, Debug)]
pub(super) struct DelayBased {
    mtu: f64,
    window: f64,
    /// The shortest round trip of this path.
    base: Option<Duration>,
    doubling: bool,
    empty_rounds: u32,
    floor_rounds: u32,
    lossy_rounds: u32,
    /// What the line was last seen to carry while the window was used, bytes a second.
    rate: Option<f64>,
    /// Mean difference of the round trips of two acks.
    jitter: Duration,
    last_trip: Option<Duration>,
    round: Round,
    /// Whether the window was filled in the round before this one.
    was_filled: bool,
    in_flight: f64,
    /// The shortest round trip among the packets of the ack that is being read.
    of_ack: Option<Duration>,
}

/// What was seen since the oldest packet in flight was sent.
#[derive(Clone, Debug)]
struct Round {
    began: Instant,
    /// Whether a packet that was sent since has been acknowledged.
    over: bool,
    shortest: Option<Duration>,
    longest: Duration,
    acked: f64,
    lost: f64,
    /// Whether the window, and not the application, was the limit at any time.
    used: bool,
    /// Whether the application was.
    app_limited: bool,
    /// Whether as much was in flight as the window allows.
    filled: bool,
}

impl Round {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            over: false,
            shortest: None,
            longest: Duration::ZERO,
            acked: 0.0,
            lost: 0.0,
            used: false,
            app_limited: false,
            filled: false,
        }
    }
}

impl DelayBased {
    pub(super) fn new(now: Instant, mtu: u16) -> Self {
        let mtu = f64::from(mtu);
        Self {
            mtu,
            window: FIRST_PACKETS * mtu,
            base: None,
            doubling: true,
            empty_rounds: 0,
            floor_rounds: 0,
            lossy_rounds: 0,
            rate: None,
            jitter: Duration::ZERO,
            last_trip: None,
            round: Round::new(now),
            was_filled: false,
            in_flight: 0.0,
            of_ack: None,
        }
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.in_flight += bytes as f64;
        // A packet that would reach the window is not sent.
        self.round.filled |= self.in_flight + 2.0 * self.mtu >= self.window;
    }

    pub(super) fn acked(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let trip = now.saturating_duration_since(sent);
        self.of_ack = Some(self.of_ack.map_or(trip, |shortest| shortest.min(trip)));
        self.round.acked += bytes as f64;
        self.round.over |= sent >= self.round.began;
    }

    pub(super) fn ack_read(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        self.in_flight = in_flight as f64;
        let Some(trip) = self.of_ack.take() else {
            return;
        };
        let base = self.base.map_or(trip, |base| base.min(trip));
        self.base = Some(base);
        self.round.shortest = Some(self.round.shortest.map_or(trip, |s| s.min(trip)));
        self.round.longest = self.round.longest.max(trip);
        self.round.used |= !app_limited;
        self.round.app_limited |= app_limited;
        if let Some(last) = self.last_trip.replace(trip) {
            // An eighth of the difference, in whole steps.
            self.jitter = (self.jitter * 7 + trip.abs_diff(last)) / 8;
        }
        let queue = trip.saturating_sub(base);
        if self.doubling && self.round.used && queue > self.target(base) {
            // No need to wait for the round's end.
            self.stop_doubling(now, trip, base);
        }
        if self.round.over {
            self.end_round(now);
        }
    }

    fn end_round(&mut self, now: Instant) {
        let round = std::mem::replace(&mut self.round, Round::new(now));
        // What was acknowledged in this round was mostly sent in the one before.
        let fills = round.filled && !round.app_limited;
        let filled = std::mem::replace(&mut self.was_filled, fills) && fills;
        let (Some(trip), Some(base)) = (round.shortest, self.base) else {
            return;
        };
        let queue = trip.saturating_sub(base);
        let over = now.saturating_duration_since(round.began);
        if round.used {
            let rate = round.acked / over.as_secs_f64().max(1e-6);
            let before = self.rate.unwrap_or_default() * RATE_KEEPS;
            self.rate = Some(rate.max(before));
        }
        let target = self.target(base);
        let lost_many = round.lost > LOSS_PACKETS_MIN * self.mtu
            && round.lost > LOSS_MANY * (round.lost + round.acked);
        self.lossy_rounds = match lost_many {
            true => self.lossy_rounds + 1,
            false => 0,
        };
        self.doubling &= !lost_many;
        if self.lossy_rounds >= LOSSY_ROUNDS {
            self.set_window(self.window.min(round.acked));
        } else if round.lost > 0.0 && round.longest.saturating_sub(base) > target / 4 {
            self.doubling = false;
            self.set_window(self.window * LOSS_KEEPS);
        }
        // An application that sends little says nothing of the line.
        if !round.used {
            return;
        }
        if self.doubling && queue > target {
            self.settle(round.acked, over, base);
        } else if self.doubling {
            // Not beyond what was tried.
            if fills {
                self.set_window(self.window * 2.0);
            }
        } else {
            let aim = (base + target).as_secs_f64() / trip.as_secs_f64().max(1e-6);
            // After a pause the first packets meet no queue, however long the one is that the rest will make.
            let most = if filled { f64::INFINITY } else { 1.0 };
            self.set_window(self.window * ((1.0 + aim) / 2.0).min(most));
        }
        self.empty_rounds = match queue < target / 4 && round.lost == 0.0 && filled {
            true => self.empty_rounds + 1,
            false => 0,
        };
        self.doubling |= self.empty_rounds >= EMPTY_ROUNDS;
        self.mind_floor(trip, queue > target);
    }

    /// A queue was seen before the round was over.
    fn stop_doubling(&mut self, now: Instant, trip: Duration, base: Duration) {
        let over = now
            .saturating_duration_since(self.round.began)
            .max(trip / 2);
        let acked = self.round.acked;
        self.settle(acked, over, base);
        self.round = Round::new(now);
    }

    /// From doubling to what the line carries: `acked` bytes in `over`.
    fn settle(&mut self, acked: f64, over: Duration, base: Duration) {
        self.doubling = false;
        self.empty_rounds = 0;
        let rate = acked / over.as_secs_f64().max(1e-6);
        let carries = rate * (base + self.target(base)).as_secs_f64();
        self.set_window(self.window.min(carries.max(self.window / 2.0)));
    }

    fn mind_floor(&mut self, trip: Duration, queue: bool) {
        let at_floor = self.window <= FLOOR_PACKETS * self.mtu;
        self.floor_rounds = match at_floor && queue {
            true => self.floor_rounds + 1,
            false => 0,
        };
        if self.floor_rounds >= FLOOR_ROUNDS {
            self.floor_rounds = 0;
            self.base = Some(trip);
        }
    }

    /// The queue that is aimed at. Nothing in it is more than a part of the base: a target that grew with what it brings about
    /// would hold on to it.
    fn target(&self, base: Duration) -> Duration {
        let part = base.mul_f64(TARGET_PART);
        let packet = self.rate.map_or(0.0, |rate| self.mtu / rate.max(1.0));
        let packets = Duration::from_secs_f64((2.0 * packet).min(part.as_secs_f64()));
        part.max(TARGET_MIN) + packets + self.jitter.min(part)
    }

    pub(super) fn lost(&mut self, now: Instant, bytes: u64, persistent: bool) {
        self.round.lost += bytes as f64;
        self.in_flight = (self.in_flight - bytes as f64).max(0.0);
        if persistent {
            self.set_window((self.window / 2.0).max(FIRST_PACKETS * self.mtu));
            self.base = None;
            // Half of a window that was known to fill the line fills it without a queue.
            self.doubling = self.rate.is_none();
            self.empty_rounds = 0;
            self.floor_rounds = 0;
            self.last_trip = None;
            self.round = Round::new(now);
        }
    }

    pub(super) fn window_bytes(&self) -> u64 {
        self.window as u64
    }

    fn set_window(&mut self, window: f64) {
        self.window = window.clamp(FLOOR_PACKETS * self.mtu, WINDOW_BYTES_MAX);
    }
}

impl Controller for DelayBased {
    fn on_sent(&mut self, _now: Instant, bytes: u64, _last_packet_number: u64) {
        self.sent(bytes);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        _rtt: &RttEstimator,
    ) {
        self.acked(now, sent, bytes);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        _largest_packet_num_acked: Option<u64>,
    ) {
        self.ack_read(now, in_flight, app_limited);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        _sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.lost(now, lost_bytes, is_persistent_congestion);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = f64::from(new_mtu);
        self.set_window(self.window);
    }

    fn window(&self) -> u64 {
        self.window_bytes()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        (FIRST_PACKETS * self.mtu) as u64
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
