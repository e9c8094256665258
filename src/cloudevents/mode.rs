//! The HTTP protocol binding: which mode a request is in, and the binary mode's headers (HTTP Protocol Binding 1.0.2, section 3).

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    EventError,
    attribute::Given,
    intake::{Data, Draft},
    json,
};
use crate::parcel::BodyForm;

/// How an HTTP request carries events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One event as a JSON object, `application/cloudevents+json`.
    Structured,
    /// A JSON array of events, `application/cloudevents-batch+json`.
    Batch,
    /// Attributes in `ce-` headers, the data as the body.
    Binary,
}

impl Mode {
    /// The content type of a structured event.
    pub const STRUCTURED: &'static str = "application/cloudevents+json";
    /// The content type of a batch.
    pub const BATCH: &'static str = "application/cloudevents-batch+json";

    /// The mode of a request with this content type, with or without `ce-` headers; `None` when it carries no events, or carries
    /// them in an event format other than JSON.
    pub fn of(content_type: Option<&str>, has_event_headers: bool) -> Option<Self> {
        let essence = content_type.map(essence).unwrap_or_default();
        if essence.eq_ignore_ascii_case(Self::STRUCTURED) {
            return Some(Self::Structured);
        }
        if essence.eq_ignore_ascii_case(Self::BATCH) {
            return Some(Self::Batch);
        }
        let other_format = essence
            .get(.."application/cloudevents".len())
            .is_some_and(|start| start.eq_ignore_ascii_case("application/cloudevents"));
        (has_event_headers && !other_format).then_some(Self::Binary)
    }
}

/// Whether a content type is JSON: `application/json`, `text/json`, or one that ends in `+json` (RFC 6838, section 4.2.8).
pub fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    let ends = essence
        .len()
        .checked_sub("+json".len())
        .and_then(|at| essence.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case("+json"));
    ends || essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("text/json")
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Reads a binary-mode request: `ce-` headers and `content-type`; other headers are passed over.
pub(super) fn draft<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    body: Bytes,
) -> Result<Draft<'a>, EventError> {
    let mut attributes = Vec::with_capacity(16);
    for (header, value) in headers {
        let name = if header.eq_ignore_ascii_case("content-type") {
            Cow::Borrowed("datacontenttype")
        } else if let Some(name) = event_attribute(header) {
            name
        } else {
            continue;
        };
        let raw = std::str::from_utf8(value)
            .map_err(|_| EventError::attribute(&name, "the header is not UTF-8"))?;
        let text = if name == "datacontenttype" {
            Cow::Borrowed(raw)
        } else {
            decode(&name, raw)?
        };
        attributes.push((name, Given::Text(text)));
    }
    let json = attributes.iter().any(|(name, value)| {
        name == "datacontenttype" && matches!(value, Given::Text(text) if is_json(text))
    });
    let data = if body.is_empty() {
        Data::none()
    } else if json {
        let value = json::value(json::text(&body)?, "data")?;
        Data {
            form: BodyForm::Json,
            body: body.slice_ref(value.get().as_bytes()),
        }
    } else {
        Data {
            form: BodyForm::Binary,
            body,
        }
    };
    Ok(Draft { attributes, data })
}

/// The attribute that a `ce-` header gives. Header names have no case.
fn event_attribute(header: &str) -> Option<Cow<'_, str>> {
    let (prefix, name) = header.split_at_checked("ce-".len())?;
    if !prefix.eq_ignore_ascii_case("ce-") {
        return None;
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Some(Cow::Owned(name.to_ascii_lowercase()))
    } else {
        Some(Cow::Borrowed(name))
    }
}

/// Takes off the quotes and the percent-encoding of a header's value (section 3.1.3.2).
fn decode<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, EventError> {
    let quoted = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inner: Cow<'a, str> = match quoted {
        Some(inner) if inner.contains('\\') => {
            let mut plain = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                let c = if c == '\\' { chars.next() } else { Some(c) };
                plain.extend(c);
            }
            Cow::Owned(plain)
        }
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(raw),
    };
    if !inner.contains('%') {
        return Ok(inner);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest
            .split_at_checked(2)
            .and_then(|(digits, after)| {
                let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok()?;
                Some((decoded, after))
            })
            .ok_or_else(|| {
                EventError::attribute(
                    name,
                    "the header has a \"%\" that two hexadecimal digits do not follow; write \"%25\"",
                )
            })?;
        bytes.extend(digits);
        rest = after;
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| EventError::attribute(name, "the header's percent-encoding is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_the_mode() {
        let cases = [
            (
                Some("application/cloudevents+json"),
                false,
                Some(Mode::Structured),
            ),
            (
                Some("Application/CloudEvents+JSON ; charset=utf-8"),
                true,
                Some(Mode::Structured),
            ),
            (
                Some("application/cloudevents-batch+json"),
                false,
                Some(Mode::Batch),
            ),
            (Some("application/json"), true, Some(Mode::Binary)),
            (Some("application/pdf"), true, Some(Mode::Binary)),
            (None, true, Some(Mode::Binary)),
            (Some("application/json"), false, None),
            (Some("application/cloudevents+avro"), true, None),
            (None, false, None),
        ];
        for (content_type, headers, mode) in cases {
            assert_eq!(Mode::of(content_type, headers), mode, "{content_type:?}");
        }
    }

    #[test]
    fn json_is_told_by_its_name_or_its_suffix() {
        for json in [
            "application/json",
            "text/JSON; x=y",
            "application/problem+json",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "json", "application/jsonl", "text/plain", "é+jso"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn header_values_lose_their_quotes_and_their_percent_encoding() {
        let cases = [
            ("plain", "plain"),
            ("%E6%B5%9A%e5%8e%bf", "浚县"),
            ("浚县", "浚县"),
            (r#""a \"b\" \\ 100%25""#, r#"a "b" \ 100%"#),
            (r#"""#, r#"""#),
        ];
        for (raw, text) in cases {
            assert_eq!(decode("x", raw).as_deref(), Ok(text), "{raw}");
        }
        for raw in ["100%", "%4", "%zz", "%ff", "%é"] {
            assert!(decode("x", raw).is_err(), "{raw}");
        }
    }
}
