//! From a parcel's header and body to the event that an application is handed.

use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::{
    EventError,
    attribute::{self, ATTACHMENTS_MAX, CASE_BYTES_MAX, ID_BYTES_MAX},
    intake, json,
};
use crate::{
    model::Millis,
    parcel::{BodyForm, Header, Value},
};

/// Checks that a header and a body, wherever they came from, make an event that can be handed to an application: every rule of
/// submission but those that are the submitting node's own (kinds, bounds that are configured, the time). A node asks this of
/// what it receives, before it accepts it; what fails here is malformed.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(header: &Header, body: &[u8]) -> Result<(), EventError> {
    let text = |name: &str, text: &str, bytes_max: usize| {
        if text.is_empty() {
            return Err(EventError::attribute(name, "is empty"));
        }
        attribute::check_length(name, text, bytes_max)?;
        attribute::check_text(name, text)
    };
    text("id", &header.id, ID_BYTES_MAX)?;
    if let Some(case) = &header.case {
        text("caseid", case, CASE_BYTES_MAX)?;
    }
    if header.to.is_empty() {
        return Err(EventError::attribute("to", "is missing"));
    }
    if header.attachments.len() > ATTACHMENTS_MAX {
        return Err(EventError::attribute(
            "attachments",
            format!("names more than {ATTACHMENTS_MAX} attachments"),
        ));
    }
    attribute::check_all(&header.attributes)?;
    if let Some(given) = header.text("priority")
        && intake::lane(given)? != header.lane
    {
        return Err(EventError::attribute("priority", "is not the lane"));
    }
    if let Some(given) = header.text("expires")
        && intake::rfc3339(given) != Some(header.expires)
    {
        return Err(EventError::attribute("expires", "is not the expiry"));
    }
    match header.form {
        BodyForm::None if !body.is_empty() => {
            Err(EventError::attribute("data", "comes without being told of"))
        }
        BodyForm::None | BodyForm::Binary => Ok(()),
        BodyForm::Json => json::value(json::text(body)?, "data").map(drop),
    }
}

/// Appends the event in structured JSON: what was submitted, unchanged, and `receivedtime`, `signedby` (the unit and its
/// certificate's fingerprint, parted by a blank) and `messageid`. `received` is when the message came, milliseconds since the
/// Unix epoch.
///
/// # Errors
/// The header and the body do not pass [`check`]; nothing is appended.
pub fn write_event(
    header: &Header,
    body: &[u8],
    received: Millis,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    check(header, body)?;
    out.reserve(body.len() + 1024);
    out.extend_from_slice(br#"{"specversion":"1.0","id":"#);
    write_text(&header.id, out);
    let plain = |name: &str, text: &dyn std::fmt::Display, out: &mut Vec<u8>| {
        out.extend_from_slice(format!(",\"{name}\":\"{text}\"").as_bytes());
    };
    plain("source", &format_args!("/unit/{}", header.sender), out);
    plain("type", &header.kind, out);
    for attribute in &header.attributes {
        out.push(b',');
        write_text(&attribute.name, out);
        out.push(b':');
        match &attribute.value {
            Value::Text(text) => write_text(text, out),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Boolean(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
        }
    }
    plain("to", &Joined(&header.to, ","), out);
    if let Some(case) = &header.case {
        out.extend_from_slice(br#","caseid":"#);
        write_text(case, out);
    }
    if !header.attachments.is_empty() {
        let digests = header
            .attachments
            .iter()
            .map(|digest| format!("blake3:{}", data_encoding::HEXLOWER.encode(digest)))
            .collect::<Vec<_>>();
        plain("attachments", &Joined(&digests, " "), out);
    }
    plain("receivedtime", &Moment(received), out);
    plain(
        "signedby",
        &format_args!("{} {}", header.sender, header.signer),
        out,
    );
    plain("messageid", &header.message_id(), out);
    match header.form {
        BodyForm::None => {}
        BodyForm::Json => {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(body);
        }
        BodyForm::Binary => {
            out.extend_from_slice(br#","data_base64":""#);
            let from = out.len();
            out.resize(from + BASE64.encode_len(body.len()), 0);
            BASE64.encode_mut(body, &mut out[from..]);
            out.push(b'"');
        }
    }
    out.push(b'}');
    Ok(())
}

/// The event of [`write_event`] as one JSON value.
///
/// # Errors
/// The header and the body do not pass [`check`].
pub fn to_event(
    header: &Header,
    body: &[u8],
    received: Millis,
) -> Result<Box<RawValue>, EventError> {
    let mut out = Vec::new();
    write_event(header, body, received, &mut out)?;
    let text = String::from_utf8(out)
        .unwrap_or_else(|error| unreachable!("every part is text that was checked: {error}"));
    let event = RawValue::from_string(text)
        .unwrap_or_else(|error| unreachable!("every part is JSON that was checked: {error}"));
    Ok(event)
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text)
        .unwrap_or_else(|error| unreachable!("a text is always written into memory: {error}"));
}

/// Several things with something between them.
struct Joined<'a, T>(&'a [T], &'a str);

impl<T: std::fmt::Display> std::fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

/// Milliseconds since the Unix epoch as RFC 3339, in UTC, with milliseconds.
struct Moment(Millis);

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Later than the year 9999 is no time that a clock gives; it is written as the last that can be.
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}
