//! Reading what a call is asked: names in paths, parameters, JSON bodies. Every mistake is told with the name of what it is in.

use std::{convert::Infallible, panic, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{
        FromRequestParts, Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderName, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{body::Bodies, problem::Problem};
use crate::{language::Language, model::MessageId};

/// Work on more bytes than this leaves the threads that answer requests.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// A path's one variable part, which may be no text at all.
pub(super) type NamedInPath = Result<Path<String>, PathRejection>;

/// The message that a path names. A text that is no messageid names no message.
pub(super) fn message(path: NamedInPath) -> Result<MessageId, Problem> {
    path.ok()
        .and_then(|Path(text)| text.parse().ok())
        .ok_or_else(unknown_message)
}

pub(super) fn unknown_message() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-message",
        "no such message is known here",
        "no message of that messageid is known here",
    )
    .about("messageid")
}

/// The parameters of a request.
pub(super) fn parameters<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    match query {
        Ok(Query(parameters)) => Ok(parameters),
        Err(_) => Err(Problem::invalid(
            "query",
            "a parameter is given twice or is not percent-encoded UTF-8",
        )),
    }
}

/// A number of at least 1; what is over `max` is taken for `max`.
pub(super) fn count(
    name: &str,
    text: Option<&str>,
    default: u32,
    max: u32,
) -> Result<u32, Problem> {
    let Some(text) = text else {
        return Ok(default.min(max).max(1));
    };
    // A number too long for the type is a large number all the same.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(0) => Err(Problem::invalid(name, "write a number of at least 1")),
        Ok(number) => Ok(number.min(max).max(1)),
        Err(_) if digits => Ok(max.max(1)),
        Err(_) => Err(Problem::invalid(name, "write a number of at least 1")),
    }
}

/// A time such as `30s`, `500ms`, `2m` or, in seconds, `30`; what is over `max` is taken for `max`.
pub(super) fn duration(name: &str, text: &str, max: Duration) -> Result<Duration, Problem> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" | "" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    match unit_ms {
        Some(unit_ms) if !number.is_empty() => {
            let number = number.parse::<u64>().unwrap_or(u64::MAX);
            Ok(Duration::from_millis(number.saturating_mul(unit_ms)).min(max))
        }
        _ => Err(Problem::invalid(name, "write a time as 30s, 500ms or 2m")),
    }
}

/// The JSON body of a call.
pub(super) async fn json<T: DeserializeOwned>(bodies: &Bodies, body: Body) -> Result<T, Problem> {
    let held = bodies.read(body).await?;
    read_json(&held.bytes)
}

/// The JSON body of a call that needs none: an empty one is `{}`.
pub(super) async fn json_or_nothing<T: DeserializeOwned>(
    bodies: &Bodies,
    body: Body,
) -> Result<T, Problem> {
    let held = bodies.read(body).await?;
    if held.bytes.trim_ascii().is_empty() {
        read_json(b"{}")
    } else {
        read_json(&held.bytes)
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde takes an array for an object with these members.
    let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
    let read = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => Problem::invalid(
                "body",
                format!(
                    "a member is missing, is unknown or has the wrong type ({place}); \
                     /v1/openapi.json says what the call takes"
                ),
            ),
            _ => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-json",
                "the body is not UTF-8 JSON",
                format!("not UTF-8 JSON at {place}"),
            ),
        }
    })?;
    match is_object {
        true => Ok(read),
        false => Err(Problem::invalid(
            "body",
            "is not a JSON object; /v1/openapi.json says what the call takes",
        )),
    }
}

/// An answer as JSON.
pub(super) fn answer(value: impl Serialize) -> Response {
    Json(value).into_response()
}

/// An answer as JSON, with words in the language that was asked for.
pub(super) fn answer_in(language: Language, value: impl Serialize) -> Response {
    (in_words(language), Json(value)).into_response()
}

/// What an answer says of its words.
pub(super) fn in_words(language: Language) -> [(HeaderName, &'static str); 2] {
    [
        (header::CONTENT_LANGUAGE, language.tag()),
        (header::VARY, "accept-language"),
    ]
}

/// What the caller would rather read, by `Accept-Language`.
impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accepted = parts.headers.get_all(header::ACCEPT_LANGUAGE).iter();
        Ok(Self::accepted(
            accepted.filter_map(|value| value.to_str().ok()),
        ))
    }
}

/// Does work on so many bytes: a little of it here and now, much of it where it keeps no other request waiting.
pub(super) async fn offload<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Work that has started is not cancelled: it panicked, and so does its request.
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        let max = Duration::from_secs(60);
        let read = |text: &str| duration("wait", text, max).map_err(|p| p.slug());
        assert_eq!(read("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(read("0"), Ok(Duration::ZERO));
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(read("5m"), Ok(max));
        assert_eq!(read("99999999999999999999999s"), Ok(max));
        for text in ["", "s", "-1s", "1.5s", "1h", "1s ", "é"] {
            assert_eq!(read(text), Err("invalid-request"), "{text}");
        }
    }

    #[test]
    fn a_body_is_an_object_and_no_array_of_its_members() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Named {
            messageids: Vec<String>,
        }
        let read = |text: &str| read_json::<Named>(text.as_bytes()).map_err(|p| p.slug());
        assert!(read(" {\"messageids\": []}").is_ok());
        assert_eq!(read("[[]]"), Err("invalid-request"));
        assert_eq!(read("[]"), Err("invalid-request"));
        assert_eq!(read("["), Err("invalid-json"));
    }

    #[test]
    fn counts_are_at_least_one_and_at_most_their_bound() {
        let read = |text| count("max", text, 100, 1000).map_err(|p| p.slug());
        assert_eq!(read(None), Ok(100));
        assert_eq!(read(Some("7")), Ok(7));
        assert_eq!(read(Some("5000")), Ok(1000));
        assert_eq!(read(Some("99999999999999")), Ok(1000));
        for text in ["", "0", "-1", "ten"] {
            assert_eq!(read(Some(text)), Err("invalid-request"), "{text}");
        }
    }
}
