//! What goes with a file: `NAME.casegate.json` says to whom it goes, and the rule of its folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::config::SpoolFolder;

/// What such a file's name ends with.
pub(super) const SUFFIX: &str = ".casegate.json";
/// Largest such file, bytes.
pub(super) const BYTES_MAX: u64 = 64 * 1024;

/// How a file is to be sent. The names of `casegate send`'s options are taken too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Address {
    /// The receivers: units or patterns, a list or parted by commas.
    #[serde(deserialize_with = "receivers")]
    pub(super) to: Option<String>,
    /// The kind.
    #[serde(alias = "type")]
    pub(super) kind: Option<String>,
    /// The case.
    #[serde(alias = "caseid")]
    pub(super) case: Option<String>,
    /// The lane.
    pub(super) priority: Option<String>,
    /// The title.
    #[serde(alias = "subject")]
    pub(super) title: Option<String>,
    /// When it expires, RFC 3339.
    pub(super) expires: Option<String>,
    /// The id of the message that it answers.
    #[serde(alias = "inreplyto")]
    pub(super) in_reply_to: Option<String>,
    /// The id of the message; made of its content otherwise.
    pub(super) id: Option<String>,
    /// What the file is.
    #[serde(rename = "as")]
    pub(super) is: Option<Is>,
    /// The media type of a file that is data.
    pub(super) content_type: Option<String>,
    /// Other attributes.
    pub(super) attributes: BTreeMap<String, String>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Is {
    /// An attachment of a message without data.
    Attachment,
    /// The message's data.
    Data,
}

fn receivers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    match OneOrMore::deserialize(from) {
        Ok(OneOrMore::One(to)) => Ok(Some(to)),
        Ok(OneOrMore::More(to)) => Ok(Some(to.join(","))),
        Err(_) => Err(de::Error::custom(
            "\"to\" is a unit's name, or a list of such",
        )),
    }
}

impl Address {
    /// Reads a sidecar.
    ///
    /// # Errors
    /// It is no JSON, or says something that a sidecar does not.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// What the folder says where this one says nothing.
    pub(super) fn or(self, folder: &SpoolFolder) -> Self {
        let to: Vec<_> = folder.to.iter().map(ToString::to_string).collect();
        Self {
            to: self.to.or_else(|| Some(to.join(","))),
            kind: self.kind.or_else(|| Some(folder.kind.to_string())),
            case: self.case.or_else(|| folder.case.clone()),
            priority: self
                .priority
                .or_else(|| folder.priority.map(|lane| lane.to_string())),
            title: self.title.or_else(|| folder.title.clone()),
            is: self.is.or(folder.is_data.then_some(Is::Data)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_says_what_its_folder_does_not() {
        let folder = SpoolFolder {
            name: "to-police".into(),
            to: vec!["hebi.police".parse().expect("a unit")],
            kind: "case.material".parse().expect("a kind"),
            case: Some("A".into()),
            priority: None,
            title: None,
            is_data: true,
        };
        let read = |text: &str| Address::read(text.as_bytes());
        let address = read(r#"{"case": "B", "title": "t", "to": ["hebi.a", "hebi.b"]}"#);
        let address = address.expect("a sidecar").or(&folder);
        assert_eq!(address.to.as_deref(), Some("hebi.a,hebi.b"));
        assert_eq!(address.kind.as_deref(), Some("case.material"));
        assert_eq!(address.case.as_deref(), Some("B"));
        assert_eq!(address.is, Some(Is::Data));
        let plain = Address::default().or(&folder);
        assert_eq!(plain.to.as_deref(), Some("hebi.police"));

        for (bad, why) in [
            (r#"{"too": "x"}"#, "unknown field `too`"),
            (r#"{"to": 7}"#, "a unit's name"),
            ("[", "EOF"),
        ] {
            let error = read(bad).expect_err("bad").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
