//! One call of the application.

use std::time::Duration;

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, InvalidHeaderValue},
};

use super::secret::Secret;
use crate::{
    cloudevents::Mode,
    config::Deliver,
    language::{Both, fill, noticed},
    model::MessageId,
    post::{NoAnswer, Poster},
};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The application has the message, and that is on stable storage here.
    Taken,
    /// The application has it, and the node could not note that.
    NotAcked(String),
    /// Nobody answered.
    Silent(NoAnswer),
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

impl Answer {
    /// It in words.
    pub(super) fn told(&self) -> Both {
        match self {
            Self::Taken => noticed(|n| n.taken),
            Self::NotAcked(why) => noticed(|n| fill(n.taken_not_noted, &[why])),
            Self::Silent(why) => why.told(),
            Self::NotNow { status, .. } => noticed(|n| fill(n.answered, &[status])),
            Self::Refused(status) => noticed(|n| fill(n.answered_for_good, &[status])),
            Self::NoEvent => noticed(|n| n.message_damaged),
        }
    }
}

/// Calls one URL.
pub(super) struct Caller {
    poster: Poster,
    secret: Secret,
}

impl Caller {
    pub(super) fn new(settings: &Deliver, secret: Secret) -> Self {
        let within = Duration::from_secs(settings.timeout_s.into());
        let poster = Poster::new(settings.url.clone(), settings.in_flight as usize, within);
        Self { poster, secret }
    }

    /// Posts an event.
    pub(super) async fn post(&self, message: MessageId, event: Bytes) -> Answer {
        let headers = match self.headers(message, &event) {
            Ok(headers) => headers,
            Err(error) => return Answer::Silent(NoAnswer::Unreachable(error.to_string())),
        };
        match self.poster.post(headers, event).await {
            Ok(answered) => judged(answered.status, answered.after),
            Err(none) => Answer::Silent(none),
        }
    }

    fn headers(&self, message: MessageId, event: &[u8]) -> Result<HeaderMap, InvalidHeaderValue> {
        let id = message.to_string();
        let at = jiff::Timestamp::now().as_second();
        let signature = self.secret.signature(&id, at, event);
        Ok(HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(Mode::STRUCTURED)),
            (HeaderName::from_static("webhook-id"), id.parse()?),
            (HeaderName::from_static("webhook-timestamp"), at.into()),
            (
                HeaderName::from_static("webhook-signature"),
                signature.parse()?,
            ),
        ]))
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
