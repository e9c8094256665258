//! The task that makes spans of events and posts them.
//!
//! Spans leave in the order in which they came, one post at a time. A batch that may be taken later stays at the head of the queue, and
//! what comes meanwhile is kept as long as there is room. OTLP says which answers those are; all others are final.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Queue, feed::Told, otlp, span::Span, story::Story};
use crate::{
    config::Traces,
    delivery::Event,
    language::{Both, Notices, fill, noticed},
    model::{Lsn, Millis, UnitId},
    observe::{Metrics, Trouble},
    post::{Answered, NoAnswer, Poster},
};

/// Spans that wait; some 2 MB.
const SPANS_MAX: usize = 4096;
/// Events that wait until they are on stable storage.
const HELD_MAX: usize = 4096;
/// Spans of one post.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Events that are taken at once.
const EVENTS_AT_ONCE: usize = 256;
/// How long the collector may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause: to ask on this machine costs next to nothing.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The longest pause that the collector may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(120);
/// How long what is left may take when the task is to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// How often it is logged that spans were refused.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// What it is done with.
#[derive(Debug)]
pub struct Terms {
    /// Where to.
    pub settings: Traces,
    /// The node's own unit.
    pub unit: UnitId,
    /// Where it is told what goes wrong.
    pub trouble: Arc<Trouble>,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It was taken, but for so many spans.
    Taken { rejected: u64 },
    /// It may be taken later, after the time that is asked for.
    Later { why: Both, after: Option<Duration> },
    /// It will not be taken.
    Refused(StatusCode),
}

struct Exporter {
    poster: Arc<Poster>,
    terms: Terms,
    metrics: Arc<Metrics>,
    story: Story,
    /// The last record on stable storage.
    synced: Lsn,
    held: VecDeque<(Lsn, Event)>,
    spans: VecDeque<Span>,
    /// So many of them are being posted.
    under_way: usize,
    calls: JoinSet<Outcome>,
    /// When the next batch leaves though it is not full.
    due: Option<Instant>,
    /// None leaves before.
    paused_until: Option<Instant>,
    /// Posts in a row that came to nothing.
    failures: u32,
    refused: u64,
    refused_told: Option<Instant>,
}

/// Exports what comes until it is to leave, or the feed is gone.
pub async fn run(
    queue: Queue,
    terms: Terms,
    metrics: Arc<Metrics>,
    mut left: watch::Receiver<bool>,
) {
    let mut told = queue.told.lock().await;
    let mut exporter = Exporter::new(terms, metrics);
    tokio::select! {
        () = exporter.keep_on(&mut told) => {}
        // The sender is gone only when the node is.
        _ = left.wait_for(|left| *left) => {}
    }
    exporter.flush(&mut told).await;
}

impl Exporter {
    fn new(terms: Terms, metrics: Arc<Metrics>) -> Self {
        let url = terms.settings.url.clone();
        Self {
            poster: Arc::new(Poster::new(url, 1, ANSWER_WITHIN)),
            story: Story::new(terms.unit.clone()),
            terms,
            metrics,
            synced: 0,
            held: VecDeque::new(),
            spans: VecDeque::new(),
            under_way: 0,
            calls: JoinSet::new(),
            due: None,
            paused_until: None,
            failures: 0,
            refused: 0,
            refused_told: None,
        }
    }

    async fn keep_on(&mut self, queue: &mut mpsc::Receiver<Told>) {
        let mut taken = Vec::with_capacity(EVENTS_AT_ONCE);
        loop {
            let next = self.next_post();
            tokio::select! {
                Some(done) = self.calls.join_next() => self.done(done),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.post(),
                count = queue.recv_many(&mut taken, EVENTS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    taken.drain(..).for_each(|told| self.take(told));
                }
            }
        }
    }

    /// What is left is posted, each batch once, while there is time for it.
    async fn flush(&mut self, queue: &mut mpsc::Receiver<Told>) {
        while let Ok(told) = queue.try_recv() {
            self.take(told);
        }
        let failures = self.failures;
        let all = async {
            loop {
                while let Some(done) = self.calls.join_next().await {
                    self.done(done);
                }
                if self.spans.is_empty() || self.failures > failures {
                    return;
                }
                self.post();
            }
        };
        // What is not through by then is counted.
        let _ = timeout(FLUSH_WITHIN, all).await;
        self.dropped(self.spans.len() as u64);
        self.terms.trouble.tell(None);
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Event { lsn, synced, event } => {
                let (Event::Message { at, .. } | Event::Concluded { at, .. }) = event else {
                    return;
                };
                // That it was synced so far may not have found room in the queue.
                self.release(synced, at);
                if lsn <= self.synced {
                    self.tell(event, at);
                } else if self.held.len() < HELD_MAX {
                    self.held.push_back((lsn, event));
                } else {
                    self.dropped(1);
                }
            }
            Told::Synced { lsn, at } => self.release(lsn, at),
        }
    }

    /// Everything up to this record is on stable storage.
    fn release(&mut self, synced: Lsn, at: Millis) {
        self.synced = self.synced.max(synced);
        let ready = self.held.partition_point(|(lsn, _)| *lsn <= self.synced);
        let ready: Vec<_> = self.held.drain(..ready).collect();
        for (_, event) in ready {
            self.tell(event, at);
        }
    }

    fn tell(&mut self, event: Event, durable: Millis) {
        let mut spans = Vec::new();
        self.story.take(event, durable, &mut spans);
        for span in spans {
            if self.spans.len() >= SPANS_MAX {
                self.dropped(1);
                continue;
            }
            if self.spans.is_empty() {
                self.due = Some(Instant::now() + GATHER);
            }
            self.spans.push_back(span);
        }
    }

    /// When the next batch is to leave, if nothing happens.
    fn next_post(&self) -> Option<Instant> {
        if self.under_way > 0 || self.spans.is_empty() {
            return None;
        }
        let due = self.due.filter(|_| self.spans.len() < BATCH_MAX);
        let due = due.unwrap_or_else(Instant::now);
        Some(self.paused_until.map_or(due, |until| until.max(due)))
    }

    fn post(&mut self) {
        self.under_way = self.spans.len().min(BATCH_MAX);
        let spans = self.spans.iter().take(self.under_way);
        let body = otlp::request(&self.terms.unit, spans);
        let poster = self.poster.clone();
        self.calls.spawn(async move {
            let json = HeaderValue::from_static("application/json");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
            judged(poster.post(headers, body.into()).await)
        });
    }

    fn done(&mut self, done: Result<Outcome, tokio::task::JoinError>) {
        let now = Instant::now();
        let count = std::mem::take(&mut self.under_way);
        let outcome = done.unwrap_or_else(|error| Outcome::Later {
            why: Both::as_told(error.to_string()),
            after: None,
        });
        let url = &self.terms.settings.url;
        match outcome {
            Outcome::Later { why, after } => {
                let trouble = Both::new(|language| {
                    let (n, why) = (Notices::of(language), why.of(language));
                    fill(n.traces_not_taken, &[url, &why, &SPANS_MAX])
                });
                self.terms.trouble.tell(Some(trouble));
                self.paused_until = Some(now + pause(self.failures, after));
                self.failures = self.failures.saturating_add(1);
                return;
            }
            Outcome::Taken { rejected } => {
                let rejected = rejected.min(count as u64);
                self.metrics
                    .traces()
                    .exported
                    .inc_by(count as u64 - rejected);
                self.refuse(now, rejected, StatusCode::OK);
            }
            Outcome::Refused(status) => self.refuse(now, count as u64, status),
        }
        self.spans.drain(..count);
        self.terms.trouble.tell(None);
        (self.failures, self.paused_until) = (0, None);
        self.due = (!self.spans.is_empty()).then_some(now + GATHER);
    }

    /// The collector does not want these, and never will.
    fn refuse(&mut self, now: Instant, count: u64, status: StatusCode) {
        self.dropped(count);
        self.refused += count;
        let is_due = self
            .refused_told
            .is_none_or(|told| now >= told + REFUSALS_TOLD_EVERY);
        if self.refused > 0 && is_due {
            let (url, status) = (&self.terms.settings.url, status.as_u16());
            let spans = std::mem::take(&mut self.refused);
            tracing::warn!(%url, status, spans, "the collector refused spans; look into its log for what it does not like");
            self.refused_told = Some(now);
        }
    }

    fn dropped(&self, count: u64) {
        self.metrics.traces().dropped.inc_by(count);
    }
}

/// How long to wait after one more failure.
fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    match asked {
        Some(asked) => asked.clamp(PAUSE_FIRST, PAUSE_ASKED_MAX),
        None => PAUSE_FIRST
            .saturating_mul(1 << failures.min(8))
            .min(PAUSE_MAX),
    }
}

/// What an answer means (OTLP 1.x, "OTLP/HTTP Response": these four may be tried again).
fn judged(answer: Result<Answered, NoAnswer>) -> Outcome {
    let answered = match answer {
        Ok(answered) => answered,
        Err(none) => {
            return Outcome::Later {
                why: none.told(),
                after: None,
            };
        }
    };
    match answered.status {
        status if status.is_success() => Outcome::Taken {
            rejected: otlp::rejected(&answered.body),
        },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Later {
            why: noticed(|n| fill(n.answered, &[&answered.status.as_u16()])),
            after: answered.after,
        },
        status => Outcome::Refused(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, after: Option<u64>, body: &'static str) -> Outcome {
        judged(Ok(Answered {
            status: StatusCode::from_u16(status).expect("a status"),
            after: after.map(Duration::from_secs),
            body: body.into(),
        }))
    }

    #[test]
    fn only_what_the_protocol_says_is_tried_again() {
        for status in [429, 502, 503, 504] {
            let (why, after) = (
                noticed(|n| fill(n.answered, &[&status])),
                Some(Duration::from_secs(7)),
            );
            assert_eq!(answer(status, Some(7), ""), Outcome::Later { why, after });
        }
        for status in [301, 400, 401, 404, 408, 413, 500, 501] {
            let refused = StatusCode::from_u16(status).expect("a status");
            assert_eq!(answer(status, None, ""), Outcome::Refused(refused));
        }
        let none = judged(Err(NoAnswer::Unreachable("refused".into())));
        assert!(matches!(none, Outcome::Later { after: None, .. }));
    }

    #[test]
    fn what_was_taken_only_in_part_is_known() {
        for (body, rejected) in [
            ("", 0),
            ("{}", 0),
            ("<html>", 0),
            (r#"{"partialSuccess":{"errorMessage":"beware"}}"#, 0),
            (
                r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#,
                3,
            ),
            (r#"{"partialSuccess":{"rejectedSpans":3}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":"-3"}}"#, 0),
        ] {
            assert_eq!(
                answer(200, None, body),
                Outcome::Taken { rejected },
                "{body}"
            );
        }
    }

    #[test]
    fn pauses_grow_and_have_bounds_whoever_asks_for_them() {
        let seconds = |failures, asked: Option<u64>| {
            pause(failures, asked.map(Duration::from_secs)).as_secs()
        };
        let grow: Vec<_> = [0, 1, 2, 3, 4, 5, 6, u32::MAX]
            .map(|n| seconds(n, None))
            .into();
        assert_eq!(grow, [1, 2, 4, 8, 10, 10, 10, 10]);
        assert_eq!(
            [0, 5, 86_400].map(|asked| seconds(9, Some(asked))),
            [1, 5, 120]
        );
    }
}
