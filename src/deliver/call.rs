//! One call of the application.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::secret::Secret;
use crate::{cloudevents::Mode, config::Deliver, model::MessageId};

/// How much of an answer is read, so that its connection can be used again. What it says does not count.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection is kept for the next message.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The application has the message, and that is on stable storage here.
    Taken,
    /// The application has it, and the node could not note that.
    NotAcked(String),
    /// Nobody answers there.
    Unreachable(String),
    /// No answer came in time.
    Late(Duration),
    /// The application asks for patience, or has a fault that may pass.
    NotNow {
        /// What it answered.
        status: u16,
        /// When to come again, as it wishes.
        after: Option<Duration>,
    },
    /// The application does not want this message.
    Refused(u16),
    /// The message is damaged and cannot be posted.
    NoEvent,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::NotAcked(why) => write!(f, "taken, but the node could not note that: {why}"),
            Self::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
            Self::Late(after) => write!(f, "no answer within {} s", after.as_secs()),
            Self::NotNow { status, .. } => write!(f, "it answered {status}"),
            Self::Refused(status) => {
                write!(f, "it answered {status}, which will not pass by itself")
            }
            Self::NoEvent => f.write_str("the message is damaged; see the log"),
        }
    }
}

/// Calls one URL.
pub(super) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    secret: Secret,
    within: Duration,
}

impl Caller {
    pub(super) fn new(settings: &Deliver, secret: Secret) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(settings.in_flight as usize)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            client,
            url: settings.url.clone(),
            secret,
            within: Duration::from_secs(settings.timeout_s.into()),
        }
    }

    /// Posts an event.
    pub(super) async fn post(&self, message: MessageId, event: Bytes) -> Answer {
        match timeout(self.within, self.call(message, event)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Late(self.within),
        }
    }

    async fn call(&self, message: MessageId, event: Bytes) -> Answer {
        let id = message.to_string();
        let at = jiff::Timestamp::now().as_second();
        let signature = self.secret.signature(&id, at, &event);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, Mode::STRUCTURED)
            .header(USER_AGENT, concat!("casegate/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(Full::new(event));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::Unreachable(error.to_string()),
        };
        let answer = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => return Answer::Unreachable(innermost(&error)),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        // Whoever answers has decided; a connection that breaks in its body changes nothing.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        judged(status, after.map(Duration::from_secs))
    }
}

fn judged(status: StatusCode, after: Option<Duration>) -> Answer {
    let code = status.as_u16();
    match status {
        _ if status.is_success() => Answer::Taken,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Answer::NotNow {
            status: code,
            after,
        },
        _ if status.is_server_error() => Answer::NotNow {
            status: code,
            after,
        },
        // A redirection too: the address is the operator's to write.
        _ => Answer::Refused(code),
    }
}

/// What lies at the bottom of an error: "connection refused", and not "client error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_tried_again_soon() {
        let judged = |status: u16| judged(StatusCode::from_u16(status).expect("a status"), None);
        for taken in [200, 202, 204] {
            assert_eq!(judged(taken), Answer::Taken);
        }
        for status in [408, 429, 500, 502, 503] {
            let after = None;
            assert_eq!(judged(status), Answer::NotNow { status, after });
        }
        for refused in [301, 400, 401, 404, 410, 422] {
            assert_eq!(judged(refused), Answer::Refused(refused));
        }
    }
}
