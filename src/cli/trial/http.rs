//! Calls to a node's interface, as an application makes them.

use std::{io, net::SocketAddr, time::Duration};

use super::error::TrialError;
use crate::{
    cli::texts::{fill, t},
    model::BlobDigest,
};

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

impl Client {
    /// Brings an attachment.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn put(&self, path: &str, body: Vec<u8>) -> Result<Answer, TrialError> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        let kind = "application/octet-stream";
        answer(move || agent.put(&url).content_type(kind).send(&body)).await
    }

    /// The size and the digest of what is at `path`.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn digest(&self, path: &str) -> Result<(u64, BlobDigest), TrialError> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        let read = tokio::task::spawn_blocking(move || {
            let mut hasher = blake3::Hasher::new();
            let mut body = agent.get(&url).call()?.into_body().into_reader();
            let size = io::copy(&mut body, &mut hasher)?;
            Ok((size, BlobDigest(*hasher.finalize().as_bytes())))
        });
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(failed(ureq::Error::to_string(&error))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn failed(why: String) -> TrialError {
    TrialError::internal(fill(t().trial_no_answer, &[&why]))
}

type Response = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

async fn answer(call: impl FnOnce() -> Response + Send + 'static) -> Result<Answer, TrialError> {
    let called = tokio::task::spawn_blocking(move || {
        let mut response = call()?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string()?;
        Ok((response.status().as_u16(), text))
    });
    match called.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(ureq::Error::to_string(&error))),
        Err(error) => Err(failed(error.to_string())),
    }
}
