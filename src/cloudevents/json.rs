//! Reading JSON in one pass over an event's members, without building a tree of what is in them.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use super::{EventError, Problem, attribute::Given};

/// Deepest nesting of arrays and objects in `data`.
pub const NESTING_MAX: usize = 128;

/// Most members of an event that are looked at. More than these hold a repeated name or an extension too many, whatever they are.
const MEMBERS_MAX: usize = 64;

/// An event's members, in the order given: names, and values as the text that stands there.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The body as text.
pub(super) fn text(body: &[u8]) -> Result<&str, EventError> {
    std::str::from_utf8(body).map_err(|error| {
        EventError::new(
            Problem::InvalidJson,
            format!("not UTF-8 at byte {}", error.valid_up_to()),
        )
    })
}

/// One JSON value, without the white space around it, that every receiver can read.
pub(super) fn value<'a>(text: &'a str, name: &str) -> Result<&'a RawValue, EventError> {
    let value = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    check_readable(value, name)?;
    Ok(value)
}

/// The members of one event.
pub(super) fn event(text: &str) -> Result<Members<'_>, EventError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = MembersSeed
        .deserialize(&mut deserializer)
        .map_err(|error| invalid(&error))?;
    deserializer.end().map_err(|error| invalid(&error))?;
    Ok(members)
}

/// The members of every event of a batch, of which there may be `events_max`.
pub(super) fn batch(text: &str, events_max: usize) -> Result<Vec<Members<'_>>, EventError> {
    let mut events = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = BatchVisitor {
        events: &mut events,
        events_max,
    };
    let read = deserializer
        .deserialize_seq(seed)
        .and_then(|()| deserializer.end());
    match read {
        Ok(()) => Ok(events),
        Err(_) if events.len() > events_max => Err(EventError::new(
            Problem::TooLarge,
            format!("the batch has more than {events_max} events; send it in parts"),
        )
        .bounded("batch-messages", events_max as u64)),
        Err(error) => Err(invalid(&error).at(events.len())),
    }
}

/// An attribute's value: a string, an integer or a boolean.
pub(super) fn attribute<'a>(name: &str, value: &'a RawValue) -> Result<Given<'a>, EventError> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => string(name, raw).map(Given::Text),
        Some(b't') => Ok(Given::Boolean(true)),
        Some(b'f') => Ok(Given::Boolean(false)),
        Some(b'-' | b'0'..=b'9') if raw.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => {
            Err(EventError::attribute(
                name,
                "a number that is not an integer is no CloudEvents type; write it as a string",
            ))
        }
        Some(b'-' | b'0'..=b'9') => raw.parse().map(Given::Integer).map_err(|_| {
            EventError::attribute(
                name,
                "an integer has at most 32 bits in CloudEvents; write it as a string",
            )
        }),
        _ => Err(EventError::attribute(
            name,
            "an attribute is a string, an integer or a boolean; leave it out or write it as a string",
        )),
    }
}

/// The text of a JSON string, borrowed when nothing in it is escaped.
pub(super) fn string<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, EventError> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(|| EventError::attribute(name, "must be a string"))?;
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    // What is valid JSON and yet no text is an unpaired surrogate.
    serde_json::from_str(raw)
        .map(Cow::Owned)
        .map_err(|_| EventError::attribute(name, "has half of a surrogate pair"))
}

/// Refuses JSON at which a receiver's reader may give up, and with it on everything that it is handed at the same time: nested more than
/// [`NESTING_MAX`] deep, half of a surrogate pair, a number beyond what a double holds (RFC 8259, sections 9, 8.2 and 6). The text is valid
/// JSON.
pub(super) fn check_readable(value: &RawValue, name: &str) -> Result<(), EventError> {
    let (mut depth, mut rest) = (0usize, value.get());
    while let Some(first) = rest.bytes().next() {
        let (token, after) = rest.split_at(token_bytes(rest));
        rest = after;
        match first {
            b'[' | b'{' => {
                depth += 1;
                if depth > NESTING_MAX {
                    let detail =
                        format!("arrays and objects are nested more than {NESTING_MAX} deep");
                    return Err(EventError::new(Problem::Nesting, detail)
                        .about(name)
                        .bounded("nesting", NESTING_MAX as u64));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => drop(string(name, token)?),
            b'-' | b'0'..=b'9' if serde_json::from_str::<f64>(token).is_err() => {
                let detail = "has a number that is too large to be read; write it as a string";
                return Err(EventError::attribute(name, detail));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How long the string, the number, or the bracket, comma, letter or white space is with which a text of JSON begins.
fn token_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let end = match bytes.first() {
        Some(b'"') => {
            let mut escaped = false;
            let closing = bytes.iter().skip(1).position(|byte| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            });
            closing.map(|at| at + 2)
        }
        Some(b'-' | b'0'..=b'9') => bytes
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')),
        _ => Some(1),
    };
    end.unwrap_or(bytes.len())
}

/// What the reader found. Its own words repeat what was read, so only the place is taken over.
fn invalid(error: &serde_json::Error) -> EventError {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        Category::Data => EventError::new(
            Problem::InvalidEvent,
            format!("an event is a JSON object and a batch an array of them ({place})"),
        ),
        Category::Eof => EventError::new(Problem::InvalidJson, format!("cut short at {place}")),
        Category::Syntax | Category::Io => {
            EventError::new(Problem::InvalidJson, format!("not JSON at {place}"))
        }
    }
}

struct MembersSeed;

impl<'de> DeserializeSeed<'de> for MembersSeed {
    type Value = Members<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersSeed {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while members.len() < MEMBERS_MAX {
            let Some(name) = map.next_key_seed(NameSeed)? else {
                return Ok(members);
            };
            members.push((name, map.next_value()?));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(members)
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Fills a list from outside, so that an error can tell how far the reader came.
struct BatchVisitor<'v, 'de> {
    events: &'v mut Vec<Members<'de>>,
    events_max: usize,
}

impl<'de> Visitor<'de> for BatchVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(members) = seq.next_element_seed(MembersSeed)? {
            self.events.push(members);
            if self.events.len() > self.events_max {
                return Err(serde::de::Error::custom("too many events"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn data_may_be_nested_128_deep_and_no_deeper() {
        assert!(value(&nested(128), "data").is_ok());
        let error = value(&nested(129), "data").expect_err("129 levels");
        assert_eq!(error.problem, Problem::Nesting);
        assert_eq!(error.attribute.as_deref(), Some("data"));
    }

    #[test]
    fn a_hundred_thousand_levels_are_an_answer_and_not_a_crash() {
        let error = value(&nested(100_000), "data").expect_err("100,000 levels");
        assert_eq!(error.problem, Problem::Nesting);
        let open = "[".repeat(100_000);
        assert_eq!(
            value(&open, "data").expect_err("never closed").problem,
            Problem::InvalidJson
        );
        for text in [nested(100_000), open] {
            assert!(event(&text).is_err());
            assert!(batch(&text, 10).is_err());
        }
    }

    #[test]
    fn what_stops_a_receivers_reader_is_refused_wherever_it_stands() {
        for bad in [
            "1e400",
            "-1e11800",
            &"9".repeat(400),
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\\\ud83d""#,
        ] {
            for text in [bad.to_owned(), format!("[1, {{\"a\":{bad}}}, 2]")] {
                let error = value(&text, "data").expect_err(&text);
                assert_eq!(error.problem.status(), 422, "{text}");
                assert_eq!(error.attribute.as_deref(), Some("data"), "{text}");
            }
        }
        let error = value(r#"{"\udead":1}"#, "data").expect_err("a name");
        assert_eq!(error.problem.status(), 422);
        for good in [
            "-0.0",
            "0e99999",
            "1e308",
            "1.7976931348623157e308",
            "4.9e-324",
            "1e-400",
            "123456789012345678901234567890",
            "1250.00",
            r#""\ud83d\ude00 \\ud800 \u6848\"1e999""#,
            r#""1e400""#,
            r#"[true, null, false, "", {}, -1]"#,
        ] {
            assert_eq!(value(good, "data").expect(good).get(), good);
            serde_json::from_str::<serde_json::Value>(good).expect(good);
        }
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = format!(r#"["{}", "\"[", "\\"]"#, "[{".repeat(500));
        assert!(value(&text, "data").is_ok());
        let text = format!(r#"["\"{}"]"#, "{".repeat(500));
        assert!(value(&text, "data").is_ok());
    }

    #[test]
    fn an_attribute_is_a_string_an_integer_or_a_boolean() {
        let given = |raw: &str| {
            let value: Box<RawValue> = serde_json::from_str(raw).expect("JSON");
            attribute("x", &value).map(Given::into_value)
        };
        use crate::parcel::Value;
        assert_eq!(given(r#""a\u4e2d""#), Ok(Value::Text("a中".into())));
        assert_eq!(given("-2147483648"), Ok(Value::Integer(-2_147_483_648)));
        assert_eq!(given("true"), Ok(Value::Boolean(true)));
        for raw in [
            "1.0",
            "1e2",
            "2147483648",
            "null",
            "{}",
            "[]",
            r#""\ud800""#,
        ] {
            let error = given(raw).expect_err(raw);
            assert_eq!(error.problem.status(), 422, "{raw}");
            assert_eq!(error.attribute.as_deref(), Some("x"), "{raw}");
        }
    }

    #[test]
    fn an_error_in_a_batch_tells_which_event() {
        let error = batch(r#"[{"a":1},{"a":2},7]"#, 10).expect_err("7 is no event");
        assert_eq!((error.problem.status(), error.index), (422, Some(2)));
        let error = batch(r#"[{"a":1},{"a":]"#, 10).expect_err("no JSON");
        assert_eq!((error.problem.status(), error.index), (400, Some(1)));
        let error = batch("[{},{},{}]", 2).expect_err("three events");
        assert_eq!(error.problem.status(), 413);
        assert_eq!(error.bound, Some(("batch-messages", 2)));
    }
}
