//! Posts to a program of this machine, over plain HTTP: one URL, connections that are kept for a while, and a bound on how long an
//! answer may take.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use crate::language::{Both, fill, noticed};

/// How much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection is kept for the next post.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// What the node calls itself.
const NAME: &str = concat!("casegate/", env!("CARGO_PKG_VERSION"));

/// Posts to one URL.
#[derive(Debug)]
pub struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    within: Duration,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// When to come again, as whoever answered wishes: `Retry-After` in seconds.
    pub after: Option<Duration>,
    /// The body; empty when it broke off or is longer than 64 KiB, since whoever answers has decided by then.
    pub body: Bytes,
}

/// There was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody answers there.
    Unreachable(String),
    /// Not in time.
    Late(Duration),
}

impl NoAnswer {
    /// It in words.
    pub(crate) fn told(&self) -> Both {
        match self {
            Self::Unreachable(why) => noticed(|n| fill(n.unreachable, &[why])),
            Self::Late(within) => noticed(|n| fill(n.late, &[&within.as_secs()])),
        }
    }
}

impl Poster {
    /// Posts to `url` over at most `connections` that are kept; an answer comes `within` this time, or counts as none.
    pub fn new(url: Uri, connections: usize, within: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(connections)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            url,
            within,
        }
    }

    /// Posts a body.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answered, NoAnswer> {
        match timeout(self.within, self.call(headers, body)).await {
            Ok(answered) => answered,
            Err(_) => Err(NoAnswer::Late(self.within)),
        }
    }

    async fn call(&self, headers: HeaderMap, body: Bytes) -> Result<Answered, NoAnswer> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        let name = HeaderValue::from_static(NAME);
        request.headers_mut().insert(USER_AGENT, name);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| NoAnswer::Unreachable(innermost(&error)))?;
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        Ok(Answered {
            status,
            after: after.map(Duration::from_secs),
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
        })
    }
}

/// What lies at the bottom of an error: "connection refused", and not "client error".
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
