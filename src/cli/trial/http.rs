//! Calls to a node's interface, as an application makes them.

use std::{net::SocketAddr, time::Duration};

use super::error::TrialError;

/// How long an answer may take: longer than any wait that the demo asks for.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes: what one call to the inbox may hand out, and more.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// An application's connection to one gateway.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
}

/// The status and the text of an answer.
pub(super) type Answer = (u16, String);

impl Client {
    pub(super) fn new(api: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(ANSWER_WITHIN));
        Self {
            agent: config.build().into(),
            base: format!("http://{api}"),
        }
    }

    /// # Errors
    /// There is no answer.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, TrialError> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        answer(move || agent.get(&url).call()).await
    }

    /// # Errors
    /// There is no answer.
    pub(super) async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> Result<Answer, TrialError> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        answer(move || agent.post(&url).content_type(content_type).send(body)).await
    }
}

type Response = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

async fn answer(call: impl FnOnce() -> Response + Send + 'static) -> Result<Answer, TrialError> {
    let called = tokio::task::spawn_blocking(move || {
        let mut response = call()?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string()?;
        Ok((response.status().as_u16(), text))
    });
    let failed = |why: String| TrialError::internal(format!("a gateway does not answer: {why}"));
    match called.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(ureq::Error::to_string(&error))),
        Err(error) => Err(failed(error.to_string())),
    }
}
