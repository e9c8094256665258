//! What an attribute may be called and may hold (CloudEvents 1.0.2, "Context Attributes" and "Type System").

use std::borrow::Cow;

use super::EventError;
use crate::parcel::{Attribute, Value};

/// Longest `id`, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Most extension attributes that the gateway does not interpret.
pub const EXTENSIONS_MAX: usize = 32;
/// All names and values of such extension attributes together, in bytes.
pub const EXTENSION_BYTES_MAX: usize = 4096;
/// Most attachments of one message.
pub(super) const ATTACHMENTS_MAX: usize = 64;
/// Longest `caseid`, in bytes.
pub(super) const CASE_BYTES_MAX: usize = 256;

/// Attributes that are told in full by a header's fields, or that only a gateway sets, so that none of these names may stand
/// among a header's attributes.
const RESERVED: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "to",
    "caseid",
    "attachments",
    "data",
    "receivedtime",
    "signedby",
    "messageid",
];

/// Attributes that only a gateway sets.
const GATEWAYS_OWN: &[&str] = &["receivedtime", "signedby", "messageid"];

/// The longest value, in bytes, of an attribute that has a meaning and stands among a header's attributes all the same; `None`
/// for an extension that the gateway knows nothing of.
fn bytes_max(name: &str) -> Option<usize> {
    match name {
        "subject" | "dataschema" => Some(1024),
        "datacontenttype" => Some(256),
        "time" | "inreplyto" => Some(128),
        "priority" | "expires" => Some(64),
        _ => None,
    }
}

/// Attributes that CloudEvents or the gateway defines as texts that are not empty.
fn must_be_text(name: &str) -> bool {
    matches!(
        name,
        "subject" | "dataschema" | "datacontenttype" | "inreplyto" | "priority" | "expires"
    )
}

/// An attribute's value as it was given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
}

impl<'a> Given<'a> {
    /// The text of an attribute that must be a text with something in it.
    pub(super) fn text(self, name: &str) -> Result<Cow<'a, str>, EventError> {
        match self {
            Given::Text(text) if text.is_empty() => Err(EventError::attribute(
                name,
                "is empty; leave it out or give it a value",
            )),
            Given::Text(text) => Ok(text),
            Given::Integer(_) | Given::Boolean(_) => {
                Err(EventError::attribute(name, "must be a string"))
            }
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Given::Text(text) => Value::Text(text.into_owned()),
            Given::Integer(number) => Value::Integer(number.into()),
            Given::Boolean(truth) => Value::Boolean(truth),
        }
    }
}

/// The text of one of these attributes, if it is there and is a text.
pub(super) fn text<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find_map(|a| match &a.value {
        Value::Text(text) if a.name == name => Some(text.as_str()),
        _ => None,
    })
}

/// Checks that an event may bear an attribute of this name.
pub(super) fn check_name(name: &str) -> Result<(), EventError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(EventError::attribute(
            name,
            "an attribute's name has only a-z and 0-9",
        ));
    }
    if GATEWAYS_OWN.contains(&name) {
        return Err(EventError::attribute(
            name,
            "is set by the gateway that delivers the event; leave it out",
        ));
    }
    Ok(())
}

/// Checks that a text has only characters that CloudEvents allows: no controls, no noncharacters.
pub(super) fn check_text(name: &str, text: &str) -> Result<(), EventError> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    let barred = |c: char| {
        let point = u32::from(c);
        c.is_control() || (0xfdd0..=0xfdef).contains(&point) || point & 0xfffe == 0xfffe
    };
    match text.chars().find(|c| barred(*c)) {
        None => Ok(()),
        Some(c) => Err(EventError::attribute(
            name,
            format!(
                "has the character U+{:04X}, which CloudEvents does not allow in an attribute",
                u32::from(c)
            ),
        )),
    }
}

pub(super) fn check_length(name: &str, text: &str, bytes_max: usize) -> Result<(), EventError> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(EventError::attribute(
        name,
        format!("has {} bytes; at most {bytes_max} are carried", text.len()),
    ))
}

/// Checks a header's attributes, wherever the header came from: names, characters, lengths, number, and that no name comes
/// twice or says what a field says.
pub(super) fn check_all(attributes: &[Attribute]) -> Result<(), EventError> {
    let (mut extensions, mut bytes) = (0, 0);
    for (at, Attribute { name, value }) in attributes.iter().enumerate() {
        check_name(name)?;
        let earlier = attributes.iter().take(at);
        if RESERVED.contains(&name.as_str()) || earlier.into_iter().any(|e| e.name == *name) {
            return Err(EventError::attribute(name, "is given twice"));
        }
        let length = match value {
            Value::Text(text) => {
                check_text(name, text)?;
                text.len()
            }
            Value::Integer(number) if i32::try_from(*number).is_err() => {
                return Err(EventError::attribute(
                    name,
                    "an integer has at most 32 bits in CloudEvents; write it as a string",
                ));
            }
            Value::Integer(_) => 4,
            Value::Boolean(_) => 1,
        };
        if must_be_text(name) && !matches!(value, Value::Text(text) if !text.is_empty()) {
            return Err(EventError::attribute(
                name,
                "must be a string that is not empty",
            ));
        }
        if let Some(bytes_max) = bytes_max(name) {
            if let Value::Text(text) = value {
                check_length(name, text, bytes_max)?;
            }
            continue;
        }
        extensions += 1;
        bytes += name.len() + length;
        if extensions > EXTENSIONS_MAX {
            return Err(EventError::attribute(
                name,
                format!(
                    "is one too many; at most {EXTENSIONS_MAX} extension attributes are carried"
                ),
            ));
        }
        if bytes > EXTENSION_BYTES_MAX {
            return Err(EventError::attribute(
                name,
                format!(
                    "passes the bound of {EXTENSION_BYTES_MAX} bytes for all extension attributes together"
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Attribute {
        Attribute {
            name: name.into(),
            value: Value::Text(value.into()),
        }
    }

    #[test]
    fn thirty_two_extensions_pass_beside_the_attributes_that_cloudevents_defines() {
        let mut all: Vec<_> = (0..32).map(|n| text(&format!("x{n}"), "1")).collect();
        all.push(text("subject", "a title"));
        all.push(text("time", "yesterday"));
        all.push(text("datacontenttype", "application/json"));
        assert_eq!(check_all(&all), Ok(()));
        all.push(text("x32", "1"));
        let error = check_all(&all).expect_err("33 extensions");
        assert_eq!(error.attribute.as_deref(), Some("x32"));
    }

    #[test]
    fn extensions_share_four_kib() {
        let half = "a".repeat(2000);
        assert!(check_all(&[text("x", &half), text("y", &half)]).is_ok());
        let error = check_all(&[text("x", &half), text("y", &half), text("z", &half)]);
        assert_eq!(error.expect_err("6 KB").attribute.as_deref(), Some("z"));
    }

    #[test]
    fn a_name_that_a_field_or_the_gateway_speaks_for_never_stands_among_the_attributes() {
        for name in RESERVED {
            assert!(check_all(&[text(name, "forged")]).is_err(), "{name}");
        }
    }

    #[test]
    fn controls_and_noncharacters_are_refused_and_other_scripts_are_not() {
        for barred in ["a\nb", "\u{7f}", "\u{85}", "\u{fdd0}", "\u{1fffe}"] {
            assert!(check_text("subject", barred).is_err(), "{barred:?}");
        }
        assert!(check_text("subject", "浚县烟草专卖局 é \u{1f4e6}").is_ok());
    }
}
