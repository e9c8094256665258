//! What charts show: the node looked at every few seconds. The last hour is in memory; what is taken together by the minute and by the quarter
//! of an hour is kept in the index, so that it survives a restart. Nothing that is promised waits for any of it, and nothing fails with it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{handle::NodeHandle, shared::Shared, status::Status};
use crate::{
    api::{History, LinkView, Span},
    index::{Grain, Index, Sample},
    language::Language,
    model::{Millis, UnitId},
    observe::{Lately, Passed, Speed, bits_per_second},
};

/// How often the node is looked at.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_MS: Millis = EVERY.as_millis() as Millis;
/// How often the index is asked for what was kept before, until it is open.
const RESUME_EVERY: Duration = Duration::from_millis(500);
/// How many looks are kept: an hour.
const LOOKS_MAX: usize = 720;
/// Looks of one minute. More come only when the clock stands still.
const LOOKS_PER_MINUTE_MAX: usize = 120;
/// Rates are those of so many looks: half a minute.
const RATE_LOOKS: usize = 6;

/// What has been seen.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    looks: VecDeque<Sample>,
    /// The looks of the minute that is not over.
    minute: Vec<Sample>,
    minutes: VecDeque<Sample>,
    quarters: VecDeque<Sample>,
    links: HashMap<Path, Lately<Option<Millis>, RATE_LOOKS>>,
}

/// One link to one neighbour.
type Path = (UnitId, String);

/// Samples that are complete, and are to be kept.
type Complete = Vec<(Grain, Sample)>;

impl Samples {
    /// How fast a link to a neighbour has been lately.
    pub(super) fn speed(&self, neighbour: &UnitId, link: &str) -> Speed {
        let key = (neighbour.clone(), link.to_owned());
        let seen = self.lock();
        seen.links.get(&key).map(Lately::speed).unwrap_or_default()
    }

    /// Takes in a look at the node, `seconds` after the one before.
    fn take(&self, look: Look<'_>, seconds: f64) -> Complete {
        let mut seen = self.lock();
        let mut now = HashMap::with_capacity(look.links.len());
        let (mut sent, mut received) = (0, 0);
        for link in look.links.iter().filter(|link| link.up) {
            let path = (link.neighbour.clone(), link.link.clone());
            let before = seen.links.remove(&path);
            let counted = Passed {
                sent: link.bytes_sent,
                received: link.bytes_received,
                payload_sent: link.payload_sent,
            };
            let lately = Lately::after(before, link.since, counted, seconds);
            sent += lately.last().sent;
            received += lately.last().received;
            now.insert(path, lately);
        }
        seen.links = now;
        seen.add(Sample {
            at: look.at,
            sent_bps: bits_per_second(sent, seconds),
            received_bps: bits_per_second(received, seconds),
            queued: look.queued,
            inbox: look.inbox,
        })
    }

    /// Puts what was kept before behind what has been seen since. Gives quarters of an hour that were over and not taken together, because the
    /// node was off when they ended.
    fn resume(&self, minutes: Vec<Sample>, quarters: Vec<Sample>, now: Millis) -> Complete {
        let mut seen = self.lock();
        resume(&mut seen.minutes, minutes, Grain::Minute);
        resume(&mut seen.quarters, quarters, Grain::Quarter);
        let taken = seen.quarters.back().map_or(0, |last| quarter(last.at));
        let mut missing: Vec<u64> = seen.minutes.iter().map(|m| quarter(m.at)).collect();
        missing.retain(|number| *number > taken && *number < quarter(now));
        missing.dedup();
        let complete = missing.into_iter().map(|number| seen.end_quarter(number));
        complete.flatten().collect()
    }

    /// What was seen over the time that ends now.
    pub(super) fn history(&self, span: Span, now: Millis) -> History {
        let seen = self.lock();
        let since = now.saturating_sub(span.millis());
        let minutes = || seen.minutes.iter().map(|s| (s, Grain::Minute.millis()));
        let looks = seen.looks.iter().map(|look| (look, EVERY_MS));
        let (step, samples): (_, Vec<(&Sample, Millis)>) = match span {
            Span::Hour => {
                // What is older than this run is there by the minute.
                let first = seen.looks.front().map_or(now, |look| look.at);
                let before = minutes().filter(|(minute, _)| minute.at < first);
                (EVERY_MS, before.chain(looks).collect())
            }
            Span::Day => (Grain::Minute.millis(), minutes().collect()),
            Span::Month => {
                let step = Grain::Quarter.millis();
                (step, seen.quarters.iter().map(|s| (s, step)).collect())
            }
        };
        let mut history = History::new(span, step / 1000, since, now);
        let mut before = None;
        for (sample, step) in samples {
            if sample.at < since || sample.at > now {
                continue;
            }
            // The node was off, or did not come to look.
            if before.is_some_and(|before| sample.at.saturating_sub(before) > 3 * step) {
                history.gap(sample.at - step);
            }
            before = Some(sample.at);
            let Sample {
                at,
                sent_bps,
                received_bps,
                queued,
                inbox,
            } = *sample;
            history.add(at, [sent_bps, received_bps, queued, inbox]);
        }
        history
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at the node.
struct Look<'a> {
    at: Millis,
    links: &'a [LinkView],
    queued: u64,
    inbox: u64,
}

impl Seen {
    fn add(&mut self, look: Sample) -> Complete {
        let mut complete = Vec::new();
        let number = |at: Millis| at / Grain::Minute.millis();
        let last = self.minute.last().copied();
        if let Some(last) = last
            && (number(last.at) != number(look.at) || self.minute.len() == LOOKS_PER_MINUTE_MAX)
        {
            let minute = together(&self.minute);
            self.minute.clear();
            push(&mut self.minutes, minute, Grain::Minute.kept());
            complete.push((Grain::Minute, minute));
            if quarter(last.at) != quarter(look.at) {
                complete.extend(self.end_quarter(quarter(last.at)));
            }
        }
        self.minute.push(look);
        push(&mut self.looks, look, LOOKS_MAX);
        complete
    }

    /// Takes the minutes of a quarter of an hour together.
    fn end_quarter(&mut self, number: u64) -> Option<(Grain, Sample)> {
        let of = self.minutes.iter().filter(|m| quarter(m.at) == number);
        let of: Vec<Sample> = of.copied().collect();
        if of.is_empty() {
            return None;
        }
        let sample = together(&of);
        push(&mut self.quarters, sample, Grain::Quarter.kept());
        Some((Grain::Quarter, sample))
    }
}

fn quarter(at: Millis) -> u64 {
    at / Grain::Quarter.millis()
}

/// Samples as one: rates on average, and the most that waited.
fn together(samples: &[Sample]) -> Sample {
    let mean = |rate: fn(&Sample) -> u64| {
        let sum = samples.iter().map(rate).fold(0, u64::saturating_add);
        sum / samples.len().max(1) as u64
    };
    let most = |count: fn(&Sample) -> u64| samples.iter().map(count).max().unwrap_or(0);
    Sample {
        at: samples.last().map_or(0, |last| last.at),
        sent_bps: mean(|s| s.sent_bps),
        received_bps: mean(|s| s.received_bps),
        queued: most(|s| s.queued),
        inbox: most(|s| s.inbox),
    }
}

/// Adds what is newer than all of it. A clock that was set back takes what was after that moment with it.
fn push(ring: &mut VecDeque<Sample>, new: Sample, max: usize) {
    while ring.back().is_some_and(|last| last.at >= new.at) {
        ring.pop_back();
    }
    if ring.len() == max {
        ring.pop_front();
    }
    ring.push_back(new);
}

fn resume(ring: &mut VecDeque<Sample>, kept: Vec<Sample>, grain: Grain) {
    let first = ring.front().map_or(Millis::MAX, |first| first.at);
    for sample in kept.into_iter().rev().filter(|kept| kept.at < first) {
        if ring.len() == grain.kept() {
            break;
        }
        ring.push_front(sample);
    }
}

/// Looks at the node again and again, until it stops or is gone.
pub(super) fn keep(node: &NodeHandle) {
    let mut status = node.watch_status();
    let (shared, started) = (Arc::downgrade(&node.shared), node.started);
    tokio::spawn(async move {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = interval(RESUME_EVERY);
        let mut round = Round::default();
        loop {
            tokio::select! {
                now = every.tick() => {
                    let Some(shared) = shared.upgrade() else { return };
                    round.look(&NodeHandle { shared, started }, now).await;
                }
                _ = again.tick(), if !round.is_resumed => {
                    let Some(shared) = shared.upgrade() else { return };
                    round.resume(&NodeHandle { shared, started }).await;
                }
                () = async { drop(status.wait_for(|status| *status == Status::Stopping).await) } => return,
            }
        }
    });
}

/// What is known from one look to the next.
#[derive(Default)]
struct Round {
    before: Option<Instant>,
    /// What was kept before the node started has been read.
    is_resumed: bool,
}

impl Round {
    async fn look(&mut self, node: &NodeHandle, now: Instant) {
        let seen = node.look(|machine| (machine.neighbours(), machine.inbox_view().messages));
        // A node that cannot say now leaves a gap.
        let Ok((neighbours, inbox)) = seen.await else {
            return;
        };
        let Shared {
            samples,
            index,
            clock,
            ..
        } = &*node.shared;
        let lanes = neighbours.iter().flat_map(|n| &n.lanes);
        let queued = lanes.map(|lane| lane.messages).sum();
        let before = self.before.replace(now);
        let seconds = before.map_or(0.0, |before| (now - before).as_secs_f64());
        let at = clock.wall();
        let look = Look {
            at,
            links: &node.link_views(neighbours, Language::English),
            queued,
            inbox,
        };
        let complete = samples.take(look, seconds);
        keep_all(index, complete).await;
    }

    /// Reads what was kept before the node started, once the index is open.
    async fn resume(&mut self, node: &NodeHandle) {
        let Shared {
            samples,
            index,
            clock,
            ..
        } = &*node.shared;
        let at = clock.wall();
        let minutes = index.samples(Grain::Minute, at).await;
        let quarters = index.samples(Grain::Quarter, at).await;
        if let (Ok(minutes), Ok(quarters)) = (minutes, quarters) {
            self.is_resumed = true;
            keep_all(index, samples.resume(minutes, quarters, at)).await;
        }
    }
}

async fn keep_all(index: &Index, complete: Complete) {
    if complete.is_empty() {
        return;
    }
    if let Err(error) = index.keep_samples(complete).await {
        tracing::debug!(%error, "samples for the charts are not kept");
    }
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
            sent_bps: None,
            received_bps: None,
            payload_sent_bps: None,
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

    fn look(at: Millis, links: &[LinkView], queued: u64) -> Look<'_> {
        Look {
            at,
            links,
            queued,
            inbox: 0,
        }
    }

    #[test]
    fn a_rate_is_what_passed_between_looks_and_a_new_session_begins_from_nothing() {
        let samples = Samples::default();
        let hub = "hebi.hub".parse().expect("a unit");
        samples.take(look(0, &[link(1, 900_000)], 0), 0.0);
        assert_eq!(samples.speed(&hub, "3g"), Speed::default());
        samples.take(look(5000, &[link(1, 905_000)], 7), 5.0);
        let speed = samples.speed(&hub, "3g");
        assert_eq!((speed.sent, speed.received), (8000, 4000));
        assert_eq!(speed.payload_sent, 32_000);
        // The session breaks; the next one has sent less.
        samples.take(look(10_000, &[link(2, 50)], 7), 5.0);
        samples.take(look(15_000, &[link(2, 50)], 7), 5.0);
        assert_eq!(samples.speed(&hub, "3g"), Speed::default());

        let history = samples.history(Span::Hour, 15_000);
        assert_eq!(history.at, [0, 5, 10, 15]);
        assert_eq!(history.sent_bps, [0, 8000, 0, 0].map(Some));
        assert_eq!(history.queued, [0, 7, 7, 7].map(Some));
    }

    #[test]
    fn what_is_kept_has_a_bound_and_reaches_back_a_month_across_restarts() {
        let (mut minutes, mut quarters) = (Vec::new(), Vec::new());
        let start = 1_800_000_000_000;
        let mut now = start;
        // Thirty-two days; the node is off for a day in the middle, and starts anew afterwards.
        let runs: [u64; 2] = [16, 15];
        for days in runs {
            let samples = Samples::default();
            let complete = samples.resume(minutes.clone(), quarters.clone(), now);
            quarters.extend(complete.into_iter().map(|(_, sample)| sample));
            for _ in 0..days * 24 * 720 {
                let queued = u64::from(now % 3_600_000 < EVERY_MS) * 9;
                for (grain, sample) in samples.take(look(now, &[], queued), 5.0) {
                    match grain {
                        Grain::Minute => minutes.push(sample),
                        Grain::Quarter => quarters.push(sample),
                    }
                }
                now += EVERY_MS;
            }
            let seen = samples.lock();
            assert!(seen.looks.len() <= LOOKS_MAX);
            assert!(seen.minutes.len() <= Grain::Minute.kept());
            assert!(seen.quarters.len() <= Grain::Quarter.kept());
            drop(seen);
            for span in Span::ALL {
                let history = samples.history(span, now);
                let first = history.at.first().expect("some") * 1000;
                let back = span.millis().min(now - start);
                assert!(first < now - back + 16 * 60_000, "{span:?} reaches back");
                assert_eq!(history.queued.iter().flatten().max(), Some(&9));
                let gaps = history.queued.iter().filter(|value| value.is_none());
                let has_gap = span == Span::Month && now - start > 17 * 24 * 3_600_000;
                assert_eq!(gaps.count(), usize::from(has_gap), "{span:?}");
            }
            now += 24 * 3_600_000;
        }
    }

    #[test]
    fn a_quarter_of_an_hour_in_which_the_node_was_started_anew_is_whole() {
        let minute = |number: u64, queued| Sample {
            at: 900_000 * 100 + number * 60_000,
            queued,
            ..Sample::default()
        };
        let samples = Samples::default();
        let now = 900_000 * 101 + 5000;
        let complete = samples.resume(vec![minute(1, 3), minute(2, 70)], Vec::new(), now);
        let [(Grain::Quarter, sample)] = complete[..] else {
            panic!("{complete:?}");
        };
        assert_eq!((sample.queued, sample.at), (70, minute(2, 0).at));
        // In the hour that is shown the minutes stand before the looks of this run, with a gap between.
        samples.take(look(now, &[], 1), 0.0);
        let history = samples.history(Span::Hour, now);
        assert_eq!(history.queued, [Some(3), Some(70), None, Some(1)]);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_samples_in_order() {
        let samples = Samples::default();
        for at in [100_000, 105_000, 500_000, 110_000, 115_000, 200_000] {
            samples.take(look(at, &[], 0), 5.0);
        }
        let history = samples.history(Span::Hour, 200_000);
        assert!(history.at.is_sorted(), "{:?}", history.at);
        let seen = samples.lock();
        assert!(seen.minutes.iter().is_sorted_by_key(|sample| sample.at));
    }
}
