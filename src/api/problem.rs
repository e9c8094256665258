//! Problem documents (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::gateway::{Cause, Refusal};
use crate::cloudevents::EventError;

/// What is told instead of an answer: `application/problem+json`, with a stable `type` of `urn:casegate:problem:<slug>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Box<str>,
    attribute: Option<Box<str>>,
    bound: Option<(&'static str, u64)>,
    index: Option<u32>,
    retry_after_s: Option<u32>,
}

/// What every `type` starts with.
pub const TYPE_PREFIX: &str = "urn:casegate:problem:";

/// The response carries the slug, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slug(pub(super) &'static str);

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into().into(),
            attribute: None,
            bound: None,
            index: None,
            retry_after_s: None,
        }
    }

    /// A parameter or member of a request is not as it must be.
    pub(super) fn invalid(attribute: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-request",
            "the request has a value that cannot be used",
            detail,
        )
        .about(attribute)
    }

    pub(super) fn about(mut self, attribute: &str) -> Self {
        self.attribute = Some(attribute.into());
        self
    }

    pub(super) fn bounded(mut self, name: &'static str, limit: u64) -> Self {
        self.bound = Some((name, limit));
        self
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The last part of its `type`.
    pub fn slug(&self) -> &'static str {
        self.slug
    }

    /// What is wrong and what to do, one phrase for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is told.
    pub(super) fn document(&self) -> Value {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("type", format!("{TYPE_PREFIX}{}", self.slug).into());
        put("title", self.title.into());
        put("status", self.status.as_u16().into());
        put("detail", (*self.detail).into());
        if let Some(attribute) = &self.attribute {
            put("attribute", (**attribute).into());
        }
        if let Some((name, limit)) = self.bound {
            put("bound", name.into());
            put("limit", limit.into());
        }
        if let Some(index) = self.index {
            put("index", index.into());
        }
        Value::Object(members)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (self.status, [kind], self.document().to_string()).into_response();
        response.extensions_mut().insert(Slug(self.slug));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<EventError> for Problem {
    fn from(error: EventError) -> Self {
        let status = StatusCode::from_u16(error.problem.status())
            .unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        let (slug, title) = (error.problem.slug(), error.problem.title());
        Self {
            attribute: error.attribute.map(Into::into),
            bound: error.bound,
            index: error.index.and_then(|index| index.try_into().ok()),
            ..Self::new(status, slug, title, error.detail)
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let told = told(refusal.cause);
        Self {
            attribute: refusal.attribute.map(Into::into),
            bound: refusal.bound,
            index: refusal.index.and_then(|index| index.try_into().ok()),
            retry_after_s: told.retry_after_s,
            ..Self::new(told.status, told.slug, told.title, refusal.detail)
        }
    }
}

struct Told {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    retry_after_s: Option<u32>,
}

fn told(cause: Cause) -> Told {
    let (status, slug, title, retry_after_s) = match cause {
        Cause::InvalidRequest => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-request",
            "the request has a value that cannot be used",
            None,
        ),
        Cause::Policy => (
            StatusCode::FORBIDDEN,
            "policy",
            "the policy does not allow it",
            None,
        ),
        Cause::UnknownMessage => (
            StatusCode::NOT_FOUND,
            "unknown-message",
            "no such message is known here",
            None,
        ),
        Cause::IdConflict => (
            StatusCode::CONFLICT,
            "id-conflict",
            "the id was used before, for other content",
            None,
        ),
        Cause::WrongState => (
            StatusCode::CONFLICT,
            "wrong-state",
            "the message is not in a state for this",
            None,
        ),
        Cause::UnknownNeighbour => (
            StatusCode::NOT_FOUND,
            "unknown-neighbour",
            "no such neighbour is known here",
            None,
        ),
        Cause::Draining => (
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "the node is drained for maintenance",
            Some(60),
        ),
        Cause::UnknownUnit => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown-unit",
            "the receiver is not a unit that is known",
            None,
        ),
        Cause::UnknownAttachment => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown-attachment",
            "an attachment that the message names is not here",
            None,
        ),
        Cause::BadFile => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-file",
            "the file is not one that this node takes",
            None,
        ),
        Cause::AlreadyImported => (
            StatusCode::CONFLICT,
            "already-imported",
            "the file has been imported before",
            None,
        ),
        Cause::NotByHand => (
            StatusCode::CONFLICT,
            "not-by-hand",
            "nothing can be carried between the two nodes by hand now",
            None,
        ),
        Cause::Expires => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "expires",
            "the expiry is past or too far ahead",
            None,
        ),
        Cause::Busy => (
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "the node has as much to do as it can",
            Some(1),
        ),
        Cause::MailboxFull => (
            StatusCode::INSUFFICIENT_STORAGE,
            "mailbox-full",
            "the receiver's mailbox is full",
            Some(30),
        ),
        Cause::BoundReached => (
            StatusCode::INSUFFICIENT_STORAGE,
            "bound-reached",
            "a queue or the storage has reached its bound",
            Some(30),
        ),
        Cause::DiskFull => (
            StatusCode::INSUFFICIENT_STORAGE,
            "disk-full",
            "the disk is full",
            Some(30),
        ),
        Cause::Recovering => (
            StatusCode::SERVICE_UNAVAILABLE,
            "recovering",
            "the node is reading its journal",
            Some(1),
        ),
        Cause::Stopping => (
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the node is stopping",
            Some(5),
        ),
        Cause::StorageFailed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "storage-failed",
            "stable storage has failed",
            Some(30),
        ),
        Cause::IndexUnavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "index-unavailable",
            "the index cannot answer now",
            Some(2),
        ),
        Cause::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "a part of the node has broken down",
            None,
        ),
    };
    Told {
        status,
        slug,
        title,
        retry_after_s,
    }
}
