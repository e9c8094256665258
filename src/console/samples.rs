//! What the charts show: the node looked at every few seconds, in memory, for a day.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Console, visit::Visit};
use crate::{
    api::{Beside, Gateway, LinkView},
    model::{Millis, UnitId},
};

/// How often the node is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How many looks are kept: two hours.
const FINE_MAX: usize = 1440;
/// How many looks one sample of the day stands for, a minute, and how many of those are kept.
const FINE_PER_COARSE: usize = 12;
const COARSE_MAX: usize = 1440;
/// Rates are those of so many looks: half a minute.
const RATE_LOOKS: usize = 6;
/// Samples that a chart is given at most.
const SHOWN_MAX: usize = 720;

/// One look at the node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    at: Millis,
    /// Bits a second over all links since the look before, on the wire.
    up_bps: f32,
    down_bps: f32,
    queued: u32,
    inbox: u32,
}

/// What has been seen.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    fine: VecDeque<Sample>,
    coarse: VecDeque<Sample>,
    /// Looks since the last sample of the day.
    since_coarse: usize,
    links: HashMap<Path, Counters>,
}

/// One link to one neighbour.
type Path = (UnitId, String);

/// What a session has counted, and how fast it was lately.
#[derive(Debug)]
struct Counters {
    /// Which session it is: a new one counts from nothing.
    since: Option<Millis>,
    sent: u64,
    received: u64,
    payload_sent: u64,
    lately: VecDeque<Lately>,
}

/// What passed between two looks.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    seconds: f64,
    sent: u64,
    received: u64,
    payload_sent: u64,
}

/// How fast a link has been lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Speed {
    /// Bits a second on the wire.
    pub(super) up_bps: f64,
    pub(super) down_bps: f64,
    /// Bytes of parcels a second, before compression.
    pub(super) payload_up: f64,
}

impl Samples {
    /// How fast a link to a neighbour has been lately.
    pub(super) fn speed(&self, neighbour: &UnitId, link: &str) -> Speed {
        let key = (neighbour.clone(), link.to_owned());
        self.lock()
            .links
            .get(&key)
            .map(Counters::speed)
            .unwrap_or_default()
    }

    /// Bytes of parcels a second that have gone to a neighbour lately.
    pub(super) fn drain(&self, neighbour: &UnitId) -> f64 {
        let seen = self.lock();
        let of = seen.links.iter().filter(|((unit, _), _)| unit == neighbour);
        of.map(|(_, counters)| counters.speed().payload_up).sum()
    }

    /// Takes in a look at the node, `seconds` after the one before.
    fn take(&self, at: Millis, seconds: f64, links: &[LinkView], queued: u64, inbox: u64) {
        let mut seen = self.lock();
        let mut now = HashMap::with_capacity(links.len());
        let (mut sent, mut received) = (0, 0);
        for link in links.iter().filter(|link| link.up) {
            let path = (link.neighbour.clone(), link.link.clone());
            let before = seen.links.remove(&path);
            let counters = Counters::after(before, link, seconds);
            let last = counters.lately.back().copied().unwrap_or_default();
            sent += last.sent;
            received += last.received;
            now.insert(path, counters);
        }
        seen.links = now;
        let sample = Sample {
            at,
            up_bps: bits(sent, seconds) as f32,
            down_bps: bits(received, seconds) as f32,
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
            inbox: u32::try_from(inbox).unwrap_or(u32::MAX),
        };
        push(&mut seen.fine, sample, FINE_MAX);
        seen.since_coarse += 1;
        if seen.since_coarse == FINE_PER_COARSE {
            seen.since_coarse = 0;
            let minute = seen.fine.len().saturating_sub(FINE_PER_COARSE);
            let minute = Sample::mean(seen.fine.range(minute..));
            push(&mut seen.coarse, minute, COARSE_MAX);
        }
    }

    fn series(&self, of: Span, now: Millis) -> Series {
        let seen = self.lock();
        let from = now.saturating_sub(of.millis());
        let all = match of {
            Span::Hour => &seen.fine,
            Span::Day => &seen.coarse,
        };
        let all: Vec<Sample> = all.iter().filter(|s| s.at >= from).copied().collect();
        let per_point = all.len().div_ceil(SHOWN_MAX).max(1);
        let mut series = Series::default();
        for part in all.chunks(per_point) {
            let sample = Sample::mean(part.iter());
            series.at.push(sample.at / 1000);
            series.up.push(sample.up_bps.round());
            series.down.push(sample.down_bps.round());
            series.queued.push(sample.queued);
            series.inbox.push(sample.inbox);
        }
        series
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn after(before: Option<Self>, link: &LinkView, seconds: f64) -> Self {
        let same_session = before.as_ref().is_some_and(|before| {
            before.since == link.since
                && before.sent <= link.bytes_sent
                && before.received <= link.bytes_received
                && before.payload_sent <= link.payload_sent
        });
        let mut counters = match before {
            Some(before) if same_session => before,
            // What a session had sent before it was seen first is not of this moment.
            _ => Self {
                since: link.since,
                sent: link.bytes_sent,
                received: link.bytes_received,
                payload_sent: link.payload_sent,
                lately: VecDeque::new(),
            },
        };
        let lately = Lately {
            seconds,
            sent: link.bytes_sent - counters.sent,
            received: link.bytes_received - counters.received,
            payload_sent: link.payload_sent - counters.payload_sent,
        };
        push(&mut counters.lately, lately, RATE_LOOKS);
        counters.sent = link.bytes_sent;
        counters.received = link.bytes_received;
        counters.payload_sent = link.payload_sent;
        counters
    }

    fn speed(&self) -> Speed {
        let all = self.lately.iter();
        let sum = all.fold(Lately::default(), |sum, one| Lately {
            seconds: sum.seconds + one.seconds,
            sent: sum.sent + one.sent,
            received: sum.received + one.received,
            payload_sent: sum.payload_sent + one.payload_sent,
        });
        Speed {
            up_bps: bits(sum.sent, sum.seconds),
            down_bps: bits(sum.received, sum.seconds),
            payload_up: bits(sum.payload_sent, sum.seconds) / 8.0,
        }
    }
}

impl Sample {
    /// Samples taken together: rates as a mean, numbers and time as they were in the end.
    fn mean<'a>(samples: impl Iterator<Item = &'a Self>) -> Self {
        let (mut count, mut up, mut down, mut last) = (0.0, 0.0, 0.0, Self::default());
        for sample in samples {
            count += 1.0;
            up += sample.up_bps;
            down += sample.down_bps;
            last = *sample;
        }
        if count > 0.0 {
            (last.up_bps, last.down_bps) = (up / count, down / count);
        }
        last
    }
}

fn push<T>(ring: &mut VecDeque<T>, new: T, max: usize) {
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(new);
}

fn bits(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        bytes as f64 * 8.0 / seconds
    } else {
        0.0
    }
}

/// Looks at the node again and again, until the API stops.
pub(super) async fn keep<G: Gateway>(samples: Arc<Samples>, api: Beside<G>) {
    let looking = async {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Option<Instant> = None;
        loop {
            let now = every.tick().await;
            let gateway = api.gateway();
            // A node that cannot say now leaves a gap.
            let (Ok(links), Ok(status)) = (gateway.links().await, gateway.status().await) else {
                continue;
            };
            let seconds = before.map_or(0.0, |before| (now - before).as_secs_f64());
            before = Some(now);
            let (queued, inbox) = (status.queued.messages, status.inbox.messages);
            samples.take(gateway.intake().accepted, seconds, &links, queued, inbox);
        }
    };
    tokio::select! {
        () = looking => {}
        () = api.until_stopped() => {}
    }
}

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Hour,
    Day,
}

impl Span {
    const fn millis(self) -> Millis {
        match self {
            Self::Hour => 3600 * 1000,
            Self::Day => 24 * 3600 * 1000,
        }
    }
}

/// What a chart draws: one list for each line, and their times in seconds.
#[derive(Debug, Default, Serialize)]
struct Series {
    at: Vec<u64>,
    up: Vec<f32>,
    down: Vec<f32>,
    queued: Vec<u32>,
    inbox: Vec<u32>,
}

/// `GET /console/samples?span=hour|day`.
pub(super) async fn show<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let span = match visit.query.text("span") {
        "day" => Span::Day,
        _ => Span::Hour,
    };
    let now = console.api.gateway().intake().accepted;
    Json(console.samples.series(span, now)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(since: Millis, sent: u64) -> LinkView {
        LinkView {
            neighbour: "hebi.hub".parse().expect("a unit"),
            link: "3g".into(),
            kind: "3g".into(),
            up: true,
            state: "sound",
            since: Some(since),
            address: None,
            rtt_ms: None,
            loss_percent: None,
            rate_bps: None,
            bytes_sent: sent,
            bytes_received: sent / 2,
            payload_sent: sent * 4,
            payload_received: 0,
            ratio_sent: None,
            ratio_received: None,
            in_flight_bytes: 0,
            takes: "all",
            cost_s: 0.0,
            usage: None,
            lanes_sent: [0; 4].into(),
            dictionary: None,
            error: None,
        }
    }

    #[test]
    fn a_rate_is_what_passed_between_looks_and_a_new_session_begins_from_nothing() {
        let samples = Samples::default();
        let hub = "hebi.hub".parse().expect("a unit");
        samples.take(0, 0.0, &[link(1, 900_000)], 0, 0);
        assert_eq!(samples.speed(&hub, "3g"), Speed::default());
        samples.take(5000, 5.0, &[link(1, 905_000)], 7, 0);
        let speed = samples.speed(&hub, "3g");
        assert_eq!((speed.up_bps, speed.down_bps), (8000.0, 4000.0));
        assert_eq!(samples.drain(&hub), 4000.0);
        // The session breaks; the next one has sent less.
        samples.take(10_000, 5.0, &[link(2, 50)], 7, 0);
        samples.take(15_000, 5.0, &[link(2, 50)], 7, 0);
        assert_eq!(samples.speed(&hub, "3g"), Speed::default());

        let series = samples.series(Span::Hour, 15_000);
        assert_eq!(series.at, [0, 5, 10, 15]);
        assert_eq!(series.up, [0.0, 8000.0, 0.0, 0.0]);
        assert_eq!(series.queued, [0, 7, 7, 7]);
    }

    #[test]
    fn what_is_kept_has_a_bound_and_reaches_back_a_day() {
        let samples = Samples::default();
        let looks = (COARSE_MAX + 10) * FINE_PER_COARSE;
        let every = EVERY.as_millis() as Millis;
        for look in 0..looks as Millis {
            samples.take(look * every, 5.0, &[], look, 0);
        }
        let seen = samples.lock();
        assert_eq!((seen.fine.len(), seen.coarse.len()), (FINE_MAX, COARSE_MAX));
        drop(seen);
        let end = looks as Millis * every;
        let day = samples.series(Span::Day, end);
        let first = day.at.first().expect("some");
        assert!(end / 1000 - first <= 24 * 3600 && end / 1000 - first > 23 * 3600);
        let hour = samples.series(Span::Hour, end);
        assert!(hour.at.len() <= SHOWN_MAX && day.at.len() <= SHOWN_MAX);
    }
}
