//! `GET /v1/events`: what happens, as server-sent events (HTML Living Standard, section 9.2), for as long as somebody listens.
//!
//! Steps of messages are told as they happen. Links, units, attachments on their way and the node's numbers are looked at every second
//! and told when they have changed; everything is told once at the beginning, so that a listener who comes back needs no other call.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    hash::{DefaultHasher, Hasher as _},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{Api, Gateway, Heard, Problem, Refusal, body, request, until_stopped};
use crate::language::Language;

/// Listeners at a time.
pub(super) const LISTENERS_MAX: usize = 16;
/// How often the node is looked at for what is not told by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a line is sent when there is nothing to say, so that either end notices when the other is gone.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);
/// What can be listened to.
const TOPICS: [&str; 5] = ["message", "link", "unit", "attachment", "status"];

#[derive(Debug, Deserialize)]
pub(super) struct Listen {
    topics: Option<String>,
}

/// `GET /v1/events`.
pub(super) async fn listen<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    language: Language,
    query: Result<Query<Listen>, QueryRejection>,
) -> Result<Response, Problem> {
    let Listen { topics } = request::parameters(query)?;
    let topics = read_topics(topics.as_deref())?;
    let Ok(place) = api.listeners.clone().try_acquire_owned() else {
        let problem = body::busy("as many listen as may at a time");
        return Err(problem.bounded("listeners", LISTENERS_MAX as u64));
    };
    let mut every = interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopping = until_stopped(api.stopping.clone());
    let listener = Listener {
        happenings: Box::pin(api.gateway.listen()),
        api,
        topics,
        language,
        every,
        told: HashMap::new(),
        waiting: VecDeque::new(),
        _place: place,
    };
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let sign_of_life = KeepAlive::new().interval(SIGN_OF_LIFE_EVERY);
    let answer = Sse::new(events.take_until(stopping)).keep_alive(sign_of_life);
    Ok((request::in_words(language), answer).into_response())
}

fn read_topics(text: Option<&str>) -> Result<HashSet<&'static str>, Problem> {
    let Some(text) = text else {
        return Ok(TOPICS.into());
    };
    let known = |name: &str| TOPICS.into_iter().find(|topic| *topic == name);
    let topics: Option<HashSet<_>> = text.split(',').map(known).collect();
    topics.ok_or_else(|| {
        let all = TOPICS.join(",");
        Problem::invalid("topics", format!("write some of {all}, parted by commas"))
    })
}

struct Listener<G> {
    api: Arc<Api<G>>,
    topics: HashSet<&'static str>,
    language: Language,
    happenings: Pin<Box<dyn Stream<Item = Heard> + Send>>,
    every: Interval,
    /// What was told of each thing that was there when the node was looked at last, as a sum of it.
    told: HashMap<(&'static str, String), u64>,
    waiting: VecDeque<Event>,
    _place: OwnedSemaphorePermit,
}

impl<G: Gateway> Listener<G> {
    /// The next event; none when the node ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                heard = self.happenings.next() => match heard? {
                    Heard::Happening(happening) if self.topics.contains("message") => {
                        return Some(event("message", &happening));
                    }
                    Heard::Lost(happenings) if self.topics.contains("message") => {
                        return Some(event("lost", &json!({"steps": happenings})));
                    }
                    _ => {}
                },
                _ = self.every.tick() => {
                    if let Err(refusal) = self.look().await {
                        self.note("problem", String::new(), &Problem::from(refusal).document());
                    }
                }
            }
        }
    }

    /// Looks at the node and tells what has changed.
    async fn look(&mut self) -> Result<(), Refusal> {
        let gateway = self.api.gateway.clone();
        let mut there = HashSet::new();
        if self.topics.contains("link") {
            for link in gateway.links(self.language).await? {
                let key = format!("{} {}", link.neighbour, link.link);
                self.note("link", key.clone(), &link);
                there.insert(("link", key));
            }
        }
        if self.topics.contains("unit") {
            for unit in gateway.units().await? {
                let key = unit.unit.to_string();
                self.note("unit", key.clone(), &unit);
                there.insert(("unit", key));
            }
        }
        if self.topics.contains("status") || self.topics.contains("attachment") {
            let mut status = gateway.status(self.language).await?;
            let under_way = std::mem::take(&mut status.attachments.under_way);
            if self.topics.contains("attachment") {
                for transfer in under_way {
                    let (digest, neighbour) = (transfer.digest, &transfer.neighbour);
                    let key = format!("{digest} {neighbour} {}", transfer.way);
                    self.note("attachment", key.clone(), &transfer);
                    there.insert(("attachment", key));
                }
            }
            if self.topics.contains("status") {
                self.note("status", String::new(), &status);
                there.insert(("status", String::new()));
            }
        }
        let gone = self.told.extract_if(|key, _| !there.contains(key));
        let gone =
            gone.map(|((topic, key), _)| event("gone", &json!({"what": topic, "name": key})));
        self.waiting.extend(gone);
        Ok(())
    }

    /// Tells of a thing, unless nothing has changed since it was told of.
    fn note(&mut self, topic: &'static str, key: String, view: &impl Serialize) {
        let data = text(view);
        let mut sum = DefaultHasher::new();
        sum.write(data.as_bytes());
        let sum = sum.finish();
        if self.told.insert((topic, key), sum) != Some(sum) {
            self.waiting
                .push_back(Event::default().event(topic).data(data));
        }
    }
}

fn event(topic: &'static str, view: &impl Serialize) -> Event {
    Event::default().event(topic).data(text(view))
}

fn text(view: &impl Serialize) -> String {
    // Views have only texts for names, so that they can always be written.
    serde_json::to_string(view).unwrap_or_default()
}
