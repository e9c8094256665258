//! What the node was like over the last hour, day and month, for charts.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Api, Gateway, Problem, find, request, view::time};
use crate::model::Millis;

/// How far back a history goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Span {
    /// An hour, by seconds.
    #[serde(rename = "1h")]
    Hour,
    /// A day, by the minute.
    #[serde(rename = "24h")]
    Day,
    /// Thirty days, by the quarter of an hour.
    #[serde(rename = "30d")]
    Month,
}

impl Span {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Its name in calls.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Month => "30d",
        }
    }

    /// The span of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == name)
    }

    /// How long it is.
    pub const fn millis(self) -> Millis {
        let hour = 3_600_000;
        match self {
            Self::Hour => hour,
            Self::Day => 24 * hour,
            Self::Month => 30 * 24 * hour,
        }
    }
}

/// The node over time: lists of the same length. Where nothing is known, because the node was off, there is one value of null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// How far it goes back.
    pub span: Span,
    /// How long a sample stands for, seconds. Samples of the last hour that are older than the node's run stand for a minute.
    pub step_s: u64,
    /// The time that it is about.
    #[serde(serialize_with = "time")]
    pub from: Millis,
    /// The end of it: now.
    #[serde(serialize_with = "time")]
    pub through: Millis,
    /// When each sample was taken, seconds since the Unix epoch, in order.
    pub at: Vec<u64>,
    /// What was sent over all links, on the wire, bits a second on average.
    pub sent_bps: Vec<Option<u64>>,
    /// What was received.
    pub received_bps: Vec<Option<u64>>,
    /// Messages that waited for neighbours, at most.
    pub queued: Vec<Option<u64>>,
    /// Messages that waited for the local application, at most.
    pub inbox: Vec<Option<u64>>,
}

impl History {
    /// One without samples.
    pub fn new(span: Span, step_s: u64, from: Millis, through: Millis) -> Self {
        Self {
            span,
            step_s,
            from,
            through,
            at: Vec::new(),
            sent_bps: Vec::new(),
            received_bps: Vec::new(),
            queued: Vec::new(),
            inbox: Vec::new(),
        }
    }

    /// Adds what was sent and received, and what waited for neighbours and for the application.
    pub fn add(&mut self, at: Millis, values: [u64; 4]) {
        self.put(at, values.map(Some));
    }

    /// Up to here, nothing is known.
    pub fn gap(&mut self, at: Millis) {
        self.put(at, [None; 4]);
    }

    fn put(&mut self, at: Millis, [sent, received, queued, inbox]: [Option<u64>; 4]) {
        self.at.push(at / 1000);
        self.sent_bps.push(sent);
        self.received_bps.push(received);
        self.queued.push(queued);
        self.inbox.push(inbox);
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    span: Option<String>,
}

/// `GET /v1/history?span=1h|24h|30d`.
pub(super) async fn show<G: Gateway>(
    State(api): State<Arc<Api<G>>>,
    query: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Parameters { span } = request::parameters(query)?;
    let span = match find::given(span) {
        None => Span::Hour,
        Some(name) => {
            Span::named(&name).ok_or_else(|| Problem::invalid("span", "write 1h, 24h or 30d"))?
        }
    };
    Ok(request::answer(api.gateway.history(span)))
}
