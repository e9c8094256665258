//! What the sender signs beside the body.

use bincode::{Decode, Encode};

use crate::model::{Fingerprint, Kind, Lane, MessageId, Millis, Pattern, UnitId};

/// A parcel's header: everything that the sender says about the body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// The unit that accepted and signed it.
    pub sender: UnitId,
    /// The CloudEvents id, unique for the sender.
    pub id: String,
    /// The receivers: units and patterns, in the order given.
    pub to: Vec<Pattern>,
    /// What it is about.
    pub kind: Kind,
    /// The case that it belongs to, if any.
    pub case: Option<String>,
    /// The lane that it asks for.
    pub lane: Lane,
    /// When the origin accepted it, milliseconds since the Unix epoch.
    pub accepted: Millis,
    /// When it expires, milliseconds since the Unix epoch.
    pub expires: Millis,
    /// The certificate whose key signed it.
    pub signer: Fingerprint,
    /// Digests of the attachments (BLAKE3), in the order given.
    pub attachments: Vec<[u8; 32]>,
    /// How the body was given.
    pub form: BodyForm,
    /// Every other CloudEvents attribute, in the order given: `subject`, `time`, `datacontenttype`, extensions.
    pub attributes: Vec<Attribute>,
}

impl Header {
    /// Largest encoded header, in bytes.
    pub const BYTES_MAX: usize = 32 * 1024;

    /// The message's name.
    pub fn message_id(&self) -> MessageId {
        MessageId::of(&self.sender, &self.id)
    }

    /// The text of an attribute that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|a| match &a.value {
            Value::Text(text) if a.name == name => Some(text.as_str()),
            _ => None,
        })
    }
}

/// How the body was given, so that it is handed over in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BodyForm {
    /// No data at all.
    None,
    /// `data`, a JSON value, as the text that was submitted.
    Json,
    /// `data_base64`, or a binary-mode body that is not JSON.
    Binary,
}

/// A CloudEvents attribute.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attribute {
    /// Its name: `a-z` and `0-9`.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A CloudEvents attribute's value as JSON carries it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    /// A JSON string.
    Text(String),
    /// A JSON number, an integer (CloudEvents has no other).
    Integer(i64),
    /// A JSON boolean.
    Boolean(bool),
}
