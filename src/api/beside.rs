//! What a room that stands beside the API shares with it: the node, who is let in, bounds, and calls whose answer it passes on.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::Uri,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Actor, Api, Door, Gateway, Problem, Proof, Which, events, history, messages, request, stick,
    until_stopped, uploads,
};
use crate::{
    language::Language,
    model::{Limits, MessageId},
};

/// The API, for a room beside it. The room's paths pass the same door: connections, requests under way, hosts and origins.
pub struct Beside<G>(Arc<Api<G>>);

impl<G> Clone for Beside<G> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<G: Gateway> Beside<G> {
    pub(super) fn new(api: Arc<Api<G>>) -> Self {
        Self(api)
    }

    /// The node.
    pub fn gateway(&self) -> &Arc<G> {
        &self.0.gateway
    }

    /// The bounds of the API.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Whether looking needs a token too, or a certificate. The room asks for it itself: a browser's address line has none.
    pub fn is_closed(&self, door: Door) -> bool {
        self.0.guard.access.is_closed() || door.is_network()
    }

    /// Who bears this token, if it is somebody's.
    pub fn actor(&self, bearer: &[u8]) -> Option<Actor> {
        self.0.guard.access.actor(bearer)
    }

    /// Who showed their certificate at this door, and the proof of it.
    pub fn holder(&self, door: Door) -> Option<(Actor, Proof)> {
        self.0.guard.access.holder(door)
    }

    /// Whether this is still this actor's proof.
    pub fn is_still(&self, actor: &Actor, proof: &Proof) -> bool {
        self.0.guard.access.is_still(actor, proof)
    }

    /// Reads a whole body, within the bounds of the API.
    ///
    /// # Errors
    /// It is too large, does not come, or there is no room for it now.
    pub async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let held = self.0.bodies.read(body).await?;
        Ok(held.bytes.clone())
    }

    /// What `GET /v1/events` answers. A page that follows it looks at what has changed, and not at its words.
    pub async fn events(&self, uri: &Uri) -> Response {
        let (api, query) = (State(self.0.clone()), Query::try_from_uri(uri));
        let answer = events::listen(api, Language::English, query).await;
        answer.into_response()
    }

    /// What `GET /v1/history` answers.
    pub async fn history(&self, uri: &Uri) -> Response {
        let answer = history::show(State(self.0.clone()), Query::try_from_uri(uri)).await;
        answer.into_response()
    }

    /// What `POST /v1/uploads` answers.
    pub async fn begin_upload(&self, body: Body) -> Response {
        let answer = uploads::begin(State(self.0.clone()), body).await;
        answer.into_response()
    }

    /// What `GET /v1/uploads/{upload}` answers.
    pub async fn show_upload(&self, upload: String) -> Response {
        let answer = uploads::show(State(self.0.clone()), Ok(Path(upload))).await;
        answer.into_response()
    }

    /// What `PUT /v1/uploads/{upload}` answers.
    pub async fn go_on_with_upload(&self, upload: String, request: Request) -> Response {
        let query = Query::try_from_uri(request.uri());
        let path = Ok(Path(upload));
        let answer = uploads::go_on(State(self.0.clone()), path, query, request).await;
        answer.into_response()
    }

    /// What `GET /v1/messages/{messageid}/body` answers to an operator: the event, in JSON.
    ///
    /// # Errors
    /// Operators of this node do not read what messages say, or it is not here.
    pub async fn event(&self, actor: &Actor, message: MessageId) -> Result<Vec<u8>, Problem> {
        messages::event(&self.0, actor, message).await
    }

    /// Whether operators of this node read what messages say.
    pub fn bodies_are_shown(&self) -> bool {
        self.0.guard.access.bodies_are_shown()
    }

    /// What `POST /v1/queue/export` answers to an administrator. What fits a filter must be for one neighbour.
    ///
    /// # Errors
    /// Nothing was exported.
    pub async fn export(
        &self,
        actor: &Actor,
        which: Which,
        reason: &str,
    ) -> Result<Response, Problem> {
        let neighbour = match &which {
            Which::Fitting { filter, .. } => filter.neighbour.clone(),
            Which::Messages(_) => None,
        };
        stick::made(&self.0, actor, which, neighbour, reason).await
    }

    /// What `PUT /v1/import` answers to an operator.
    pub async fn import(&self, actor: &Actor, file: Body) -> Response {
        match stick::take(&self.0, actor, file).await {
            Ok(taken) => request::answer(taken),
            Err(problem) => problem.into_response(),
        }
    }

    /// Returns once the API is to stop.
    pub fn until_stopped(&self) -> impl Future<Output = ()> + Send + use<G> {
        let stopping: watch::Receiver<bool> = self.0.stopping.clone();
        until_stopped(stopping)
    }
}
