//! The controllers on modelled lines: the emulator's queues, a sender as QUIC is one, many seeds.

use std::{
    collections::{BTreeMap, BinaryHeap},
    time::{Duration, Instant},
};

use super::delay::DelayBased;
use crate::emulator::{Burst, Direction, Loss, Outages, Pipe, Profile, SplitMix64, Verdict};

const PACKET: u64 = 1_200;
const OVERHEAD: u64 = 28;
const ACK: u64 = 60;
const SEEDS: u64 = 20;

/// What steers a flow.
enum Control {
    Delay(DelayBased),
    Cubic(Cubic),
}

/// Cubic (RFC 9438): what a neighbour on the same line does. Windows are in packets.
struct Cubic {
    window: f64,
    /// The window before it was last reduced, and what a flow that grows evenly (section 4.3) would have by now.
    most: f64,
    even: f64,
    threshold: f64,
    reduced_us: u64,
}

impl Cubic {
    const GROWS: f64 = 0.4;
    const KEEPS: f64 = 0.7;

    fn new() -> Self {
        Self {
            window: 10.0,
            most: 0.0,
            even: 0.0,
            threshold: f64::MAX,
            reduced_us: 0,
        }
    }

    fn acked(&mut self, now_us: u64, trip_us: u64, packets: f64) {
        if self.window < self.threshold {
            self.window += packets;
            return;
        }
        let pace = match self.even < self.most {
            true => 3.0 * (1.0 - Self::KEEPS) / (1.0 + Self::KEEPS),
            false => 1.0,
        };
        self.even += pace * packets / self.window;
        let turn = ((self.most - self.threshold).max(0.0) / Self::GROWS).cbrt();
        let since = (now_us - self.reduced_us + trip_us) as f64 / 1e6 - turn;
        let aim = Self::GROWS * since.powi(3) + self.most;
        self.window = match aim < self.even {
            true => self.window.max(self.even),
            false => {
                let most = self.window * 1.5;
                self.window + (aim.min(most) - self.window).max(0.0) / self.window * packets
            }
        };
    }

    fn lost(&mut self, now_us: u64, sent_us: u64) {
        if sent_us < self.reduced_us {
            return;
        }
        // Another flow has come: let it have some (section 4.7).
        self.most = match self.window < self.most {
            true => self.window * (1.0 + Self::KEEPS) / 2.0,
            false => self.window,
        };
        self.window = (self.window * Self::KEEPS).max(2.0);
        (self.threshold, self.even) = (self.window, self.window);
        self.reduced_us = now_us;
    }
}

impl Control {
    fn delay() -> Self {
        Control::Delay(DelayBased::new(Instant::now(), PACKET as u16))
    }

    fn window(&self) -> u64 {
        match self {
            Control::Delay(delay) => delay.window_bytes(),
            Control::Cubic(cubic) => (cubic.window * PACKET as f64) as u64,
        }
    }
}

/// A sender that has something to send, always or in bursts, and its receiver.
struct Flow {
    control: Control,
    bursts: Option<Bursts>,
    /// Whether it had nothing more to send when it was last looked.
    app_limited: bool,
    next: u64,
    /// When each packet in flight was sent.
    in_flight: BTreeMap<u64, u64>,
    trip_us: u64,
    last_ack_us: u64,
    probes: u32,
    tokens: f64,
    tokens_us: u64,
    /// At the receiver: what came since the last ack.
    unacked: Vec<u64>,
    came: u64,
}

/// So many packets at a time, and the next when all of them have been acknowledged.
struct Bursts {
    packets: u64,
    left: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Send,
    Arrives(u64),
    Acks,
    Acked(Vec<u64>),
    Probes,
}

/// Several flows over one line. Time is in microseconds after the start.
struct Line {
    up: Pipe,
    down: Pipe,
    random: SplitMix64,
    start: Instant,
    now: u64,
    flows: Vec<Flow>,
    agenda: BinaryHeap<std::cmp::Reverse<(u64, u64, usize, What)>>,
    order: u64,
    dropped: u64,
    offered: u64,
    /// The longest that a packet has waited, since it was last asked.
    queued_us: u64,
}

impl Line {
    fn new(profile: &Profile, controls: Vec<Control>, seed: u64) -> Self {
        let trip = profile.up.delay + profile.down.delay;
        let flow = |control| Flow {
            control,
            bursts: None,
            app_limited: false,
            next: 0,
            in_flight: BTreeMap::new(),
            trip_us: trip.as_micros() as u64,
            last_ack_us: 0,
            probes: 0,
            tokens: 10.0,
            tokens_us: 0,
            unacked: Vec::new(),
            came: 0,
        };
        let mut line = Self {
            up: Pipe::new(profile.up.clone(), profile.outages.clone()),
            down: Pipe::new(profile.down.clone(), profile.outages.clone()),
            random: SplitMix64::new(seed),
            start: Instant::now(),
            now: 0,
            flows: controls.into_iter().map(flow).collect(),
            agenda: BinaryHeap::new(),
            order: 0,
            dropped: 0,
            offered: 0,
            queued_us: 0,
        };
        for flow in 0..line.flows.len() {
            line.at(0, flow, What::Send);
            line.at(400_000, flow, What::Probes);
        }
        line
    }

    /// A flow begins so many seconds after the start.
    fn begins(&mut self, flow: usize, second: f64) {
        let at = (second * 1e6) as u64;
        for std::cmp::Reverse(mut next) in std::mem::take(&mut self.agenda) {
            if next.2 == flow {
                next.0 += at;
            }
            self.agenda.push(std::cmp::Reverse(next));
        }
        self.flows[flow].last_ack_us = at;
    }

    fn at(&mut self, us: u64, flow: usize, what: What) {
        self.order += 1;
        self.agenda
            .push(std::cmp::Reverse((us, self.order, flow, what)));
    }

    /// Runs on until so many seconds after the start; what each flow brought over meanwhile, bits a second.
    fn until(&mut self, second: f64) -> Vec<f64> {
        let (began, end) = (self.now, (second * 1e6) as u64);
        self.queued_us = 0;
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.came).collect();
        while let Some(std::cmp::Reverse((us, ..))) = self.agenda.peek()
            && *us <= end
            && let Some(std::cmp::Reverse((us, _, flow, what))) = self.agenda.pop()
        {
            self.now = us;
            self.happens(flow, what);
        }
        self.now = end;
        let took = (end - began) as f64 / 1e6;
        let came = self.flows.iter().zip(before);
        came.map(|(flow, before)| (flow.came - before) as f64 * 8.0 / took)
            .collect()
    }

    fn happens(&mut self, at: usize, what: What) {
        let now = self.now;
        match what {
            What::Send => self.send(at),
            What::Arrives(number) => {
                let flow = &mut self.flows[at];
                flow.came += PACKET + OVERHEAD;
                let last = flow.unacked.last().copied();
                flow.unacked.push(number);
                let gap = last.is_some_and(|last| number != last + 1);
                match (flow.unacked.len(), gap) {
                    (9.., _) | (_, true) => self.happens(at, What::Acks),
                    (1, _) => self.at(now + 25_000, at, What::Acks),
                    _ => {}
                }
            }
            What::Acks => {
                let acked = std::mem::take(&mut self.flows[at].unacked);
                if !acked.is_empty()
                    && let Verdict::Deliver { at_us, .. } =
                        self.down.offer(now, ACK, &mut self.random)
                {
                    self.at(at_us, at, What::Acked(acked));
                }
            }
            What::Acked(numbers) => self.acked(at, &numbers),
            What::Probes => {
                let flow = &mut self.flows[at];
                let patience = (flow.trip_us * 2 + 100_000) << flow.probes.min(1);
                if now >= flow.last_ack_us + patience && !flow.in_flight.is_empty() {
                    flow.probes += 1;
                    self.transmit(at);
                }
                self.at(now + 200_000, at, What::Probes);
            }
        }
    }

    /// Sends what the window and the pacer of quinn-proto let through: 5/4 of the window in a round trip, ten packets at once.
    fn send(&mut self, at: usize) {
        let now = self.now;
        loop {
            let flow = &mut self.flows[at];
            flow.app_limited = flow.bursts.as_ref().is_some_and(|bursts| bursts.left == 0);
            if flow.app_limited {
                return;
            }
            let window = flow.control.window();
            if (flow.in_flight.len() as u64 + 1) * PACKET > window {
                return;
            }
            let rate = 1.25 * window as f64 / PACKET as f64 / flow.trip_us as f64;
            flow.tokens = (flow.tokens + rate * (now - flow.tokens_us) as f64).min(10.0);
            flow.tokens_us = now;
            if flow.tokens < 1.0 {
                let wait = ((1.0 - flow.tokens) / rate).ceil() as u64;
                return self.at(now + wait.max(1), at, What::Send);
            }
            flow.tokens -= 1.0;
            if let Some(bursts) = &mut flow.bursts {
                bursts.left -= 1;
            }
            self.transmit(at);
        }
    }

    fn transmit(&mut self, at: usize) {
        let now = self.now;
        let flow = &mut self.flows[at];
        let number = flow.next;
        flow.next += 1;
        flow.in_flight.insert(number, now);
        if let Control::Delay(delay) = &mut flow.control {
            delay.sent(PACKET);
        }
        self.offered += 1;
        match self.up.offer(now, PACKET + OVERHEAD, &mut self.random) {
            Verdict::Deliver { at_us, departs_us } => {
                self.queued_us = self.queued_us.max(departs_us - now);
                self.at(at_us, at, What::Arrives(number));
            }
            Verdict::Dropped(Loss::Buffer) => self.dropped += 1,
            Verdict::Dropped(_) => {}
        }
    }

    fn acked(&mut self, at: usize, numbers: &[u64]) {
        let (now_us, start) = (self.now, self.start);
        let time = |us: u64| start + Duration::from_micros(us);
        let flow = &mut self.flows[at];
        let patience = flow.trip_us * 2 + 100_000;
        let persistent = now_us > flow.last_ack_us + 3 * patience;
        let mut largest = None;
        for number in numbers {
            let Some(sent) = flow.in_flight.remove(number) else {
                continue;
            };
            largest = largest.max(Some((*number, sent)));
            match &mut flow.control {
                Control::Delay(delay) => delay.acked(time(now_us), time(sent), PACKET),
                Control::Cubic(cubic) => cubic.acked(now_us, flow.trip_us, 1.0),
            }
        }
        let Some((largest, sent)) = largest else {
            return;
        };
        if let Control::Delay(delay) = &mut flow.control {
            let in_flight = flow.in_flight.len() as u64 * PACKET;
            delay.ack_read(time(now_us), in_flight, flow.app_limited);
        }
        flow.trip_us = (flow.trip_us * 7 + (now_us - sent)) / 8;
        let kept = flow.in_flight.split_off(&largest.saturating_sub(2));
        let lost = std::mem::replace(&mut flow.in_flight, kept);
        if let Some((_, sent)) = lost.last_key_value() {
            let bytes = lost.len() as u64 * PACKET;
            match &mut flow.control {
                Control::Delay(delay) => {
                    delay.lost(time(now_us), bytes, persistent && lost.len() > 2);
                }
                Control::Cubic(cubic) => cubic.lost(now_us, *sent),
            }
        }
        flow.last_ack_us = now_us;
        flow.probes = 0;
        if let Some(bursts) = &mut flow.bursts
            && flow.in_flight.is_empty()
        {
            bursts.left = bursts.packets;
        }
        self.at(now_us, at, What::Send);
    }
}

fn line(kbps: u64, delay_ms: u64, loss: f64, buffer_kib: u64) -> Profile {
    let up = Direction {
        rate_bps: Some(kbps * 1_000),
        delay: Duration::from_millis(delay_ms),
        loss,
        buffer_bytes: buffer_kib * 1024,
        ..Direction::PERFECT
    };
    let down = Direction {
        delay: Duration::from_millis(delay_ms),
        ..Direction::PERFECT
    };
    Profile {
        up,
        down,
        outages: Outages::default(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians over the seeds, one flow for 30 s: part of the line used, packets that found the buffer full of all packets, longest
/// time in the buffer after the first 5 s (seconds).
fn alone(profile: &Profile) -> (f64, f64, f64) {
    let rate = profile.up.rate_bps.expect("a rate") as f64;
    let mut seen = [vec![], vec![], vec![]];
    for seed in 0..SEEDS {
        let mut line = Line::new(profile, vec![Control::delay()], seed);
        line.until(5.0);
        let used = line.until(30.0)[0] / rate;
        seen[0].push(used);
        seen[1].push(line.dropped as f64 / line.offered as f64);
        seen[2].push(line.queued_us as f64 / 1e6);
    }
    let [used, dropped, queued] = seen.map(median);
    println!(
        "{:?}: used {used:.2} dropped {dropped:.3} queued {queued:.3}",
        profile.up
    );
    (used, dropped, queued)
}

#[test]
fn a_line_is_filled_and_its_buffer_is_not() {
    let mut bad = Vec::new();
    // What reaches the line beside the loss of the radio, and the longest wait that an urgent message may meet.
    for (profile, used_min, queued_max) in [
        (Profile::mobile_good(), 0.95, 0.25),
        (Profile::mobile_poor(), 0.80, 0.60),
        (line(1_000, 175, 0.035, 96), 0.85, 0.35),
        (line(384, 100, 0.0, 128), 0.95, 0.30),
        (line(3_000, 30, 0.005, 192), 0.95, 0.15),
        (line(64, 200, 0.01, 32), 0.90, 1.20),
    ] {
        let (used, dropped, queued) = alone(&profile);
        let good = used >= used_min && queued <= queued_max && dropped <= 0.002;
        if !good {
            bad.push(format!(
                "{used:.3} used, {dropped:.3} dropped, {queued:.3} s: {profile:?}"
            ));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_buffer_that_is_shallower_than_the_target_costs_little() {
    let (used, dropped, _) = alone(&line(384, 150, 0.005, 8));
    assert!(used >= 0.75 && dropped <= 0.10, "{used} {dropped}");
}

#[test]
fn bursts_of_loss_that_the_radio_makes_do_not_close_the_window() {
    let mut profile = line(1_000, 150, 0.0, 96);
    profile.up.burst = Some(Burst::of(0.05, 4.0));
    let (used, ..) = alone(&profile);
    assert!(used >= 0.80, "{used}");
}

#[test]
fn it_and_a_cubic_flow_do_not_starve_each_other_whoever_comes_first() {
    // 1 Mbit/s; delay of each way, loss of the radio, KiB of buffer (an eighth of a second to two), and the least share: a buffer of
    // two seconds is cubic's own.
    let lines = [
        (50, 0.0, 16, 0.2),
        (50, 0.0, 64, 0.2),
        (50, 0.0, 128, 0.2),
        (50, 0.0, 256, 0.03),
        (150, 0.0, 32, 0.2),
        (150, 0.0, 64, 0.2),
        (150, 0.0, 128, 0.2),
        (50, 0.005, 64, 0.2),
        (150, 0.005, 64, 0.2),
    ];
    let mut bad = Vec::new();
    for (delay_ms, loss, buffer_kib, share_min) in lines {
        for second in [0, 1] {
            let (mut shares, mut used) = (Vec::new(), Vec::new());
            for seed in 0..SEEDS {
                let flows = vec![Control::delay(), Control::Cubic(Cubic::new())];
                let mut line = Line::new(&line(1_000, delay_ms, loss, buffer_kib), flows, seed);
                line.begins(second, 10.0);
                line.until(20.0);
                let came = line.until(80.0);
                shares.push(came[0] / (came[0] + came[1]));
                used.push((came[0] + came[1]) / 1e6);
            }
            let (share, used) = (median(shares), median(used));
            println!("{delay_ms} ms, {loss}, {buffer_kib} KiB: share {share:.2} used {used:.2}");
            if !(share_min..=0.92).contains(&share) || used < 0.95 {
                bad.push((delay_ms, loss, buffer_kib, second, share, used));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn two_of_them_share_a_line_and_its_buffer_is_not_filled() {
    let (mut shares, mut dropped) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        let flows = vec![Control::delay(), Control::delay()];
        let mut line = Line::new(&Profile::mobile_good(), flows, seed);
        line.until(10.0);
        let came = line.until(70.0);
        shares.push(came[0].min(came[1]) / (came[0] + came[1]));
        dropped.push(line.dropped as f64 / line.offered as f64);
    }
    let (share, dropped) = (median(shares), median(dropped));
    println!("smaller share {share:.2}, dropped {dropped:.4}");
    assert!(share >= 0.2 && dropped <= 0.01, "{share} {dropped}");
}

#[test]
fn a_longer_path_is_taken_for_what_it_is_and_not_for_a_queue() {
    let mut line = Line::new(&line(1_000, 50, 0.0, 96), vec![Control::delay()], 1);
    line.until(10.0);
    // Another route: three times the round trip, for good.
    let longer = Duration::from_millis(250);
    line.up = Pipe::new(
        Direction {
            delay: longer,
            ..super::tests::line(1_000, 0, 0.0, 96).up
        },
        Outages::default(),
    );
    line.until(30.0);
    let used = line.until(60.0)[0] / 1e6;
    assert!(used >= 0.9, "{used}");
}

#[test]
fn after_an_outage_the_line_is_full_again_within_seconds() {
    for seed in 0..SEEDS {
        let mut profile = Profile::mobile_good();
        profile.outages = Outages::at(&[(Duration::from_secs(10), Duration::from_secs(25))]);
        let mut line = Line::new(&profile, vec![Control::delay()], seed);
        line.until(26.0);
        let used = line.until(29.0)[0] / 1e6;
        assert!(used >= 0.8, "seed {seed}: {used}");
    }
}

#[test]
fn a_line_that_turns_ten_times_faster_is_soon_used() {
    let mut line = Line::new(&line(300, 60, 0.0, 128), vec![Control::delay()], 1);
    line.until(10.0);
    line.up = Pipe::new(
        super::tests::line(3_000, 60, 0.0, 128).up,
        Outages::default(),
    );
    line.until(13.0);
    let used = line.until(16.0)[0] / 3e6;
    assert!(used >= 0.85, "{used}");
}

#[test]
fn traffic_in_bursts_does_not_open_the_window_without_end() {
    let mut bad = Vec::new();
    for packets in [10, 20, 30, 55, 100, 200] {
        for profile in [Profile::mobile_good(), line(384, 100, 0.0, 128)] {
            let mut line = Line::new(&profile, vec![Control::delay()], 1);
            line.flows[0].bursts = Some(Bursts {
                packets,
                left: packets,
            });
            line.until(5.0);
            let before = line.dropped;
            line.until(70.0);
            let (dropped, queued) = (line.dropped - before, line.queued_us as f64 / 1e6);
            if dropped > 0 || queued > 0.30 {
                bad.push(format!(
                    "{packets}: {dropped} dropped, {queued:.3} s: {profile:?}"
                ));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
