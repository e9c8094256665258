//! From what an application submits to a parcel's header and body.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    EventError, Problem,
    attribute::{self, ATTACHMENTS_MAX, CASE_BYTES_MAX, Given, ID_BYTES_MAX},
    json, mode,
};
use crate::{
    model::{Digest, Fingerprint, Kind, Kinds, Lane, Limits, Millis, Pattern, UnitId},
    parcel::{Attribute, BodyForm, Header},
};

const DAY_MS: Millis = 24 * 3600 * 1000;

/// A message as it was accepted, ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The header, complete: `signer` and `accepted` are those of the [`Intake`].
    pub header: Header,
    /// The body: JSON text as it was submitted, or bytes. It shares the request's memory until it is copied into a parcel.
    pub body: Bytes,
    /// What was submitted, attributes and data, before any default: the same for a repeat in another order of members, another
    /// for any other difference.
    pub content: Digest,
}

/// Turns requests into submissions: what they are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Intake<'a> {
    /// This node's unit, which every event's `source` must name.
    pub unit: &'a UnitId,
    /// The kinds that may be submitted.
    pub kinds: &'a Kinds,
    /// The bounds: `message_kib`, `batch_messages`, `receivers` and `expires_days` are asked here.
    pub limits: &'a Limits,
    /// The certificate that the parcel will name.
    pub signer: Fingerprint,
    /// When the request is taken, milliseconds since the Unix epoch.
    pub accepted: Millis,
}

impl Intake<'_> {
    /// Reads one event, a JSON object.
    ///
    /// # Errors
    /// The body is not JSON, or not an event that this node carries.
    pub fn structured(&self, body: &Bytes) -> Result<Submission, EventError> {
        self.judge(Draft::of_members(json::event(json::text(body)?)?, body)?)
    }

    /// Reads a batch, a JSON array of events. One that is wrong refuses all.
    ///
    /// # Errors
    /// As for one event; the error names the first element that is wrong.
    pub fn batch(&self, body: &Bytes) -> Result<Vec<Submission>, EventError> {
        let events = json::batch(json::text(body)?, self.limits.batch_messages as usize)?;
        let submission = |(index, members)| {
            Draft::of_members(members, body)
                .and_then(|draft| self.judge(draft))
                .map_err(|error| error.at(index))
        };
        events.into_iter().enumerate().map(submission).collect()
    }

    /// Reads one event in binary mode: `ce-` headers hold the attributes, the body is the data. `headers` may hold every header
    /// of the request; their names have no case.
    ///
    /// # Errors
    /// The headers are no event that this node carries, or the body is not what its content type says.
    pub fn binary<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: Bytes,
    ) -> Result<Submission, EventError> {
        self.judge(mode::draft(headers, body)?)
    }

    fn judge(&self, draft: Draft<'_>) -> Result<Submission, EventError> {
        let content = draft.content();
        let Draft { attributes, data } = draft;
        let mut fields = Fields::default();
        let mut others = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            if let Given::Text(text) = &value {
                attribute::check_text(&name, text)?;
            }
            let field = match name.as_ref() {
                "specversion" => &mut fields.specversion,
                "id" => &mut fields.id,
                "source" => &mut fields.source,
                "type" => &mut fields.kind,
                "to" => &mut fields.to,
                "caseid" => &mut fields.case,
                "attachments" => &mut fields.attachments,
                "data" => {
                    return Err(EventError::attribute(
                        "data",
                        "is no attribute; send the data as the body",
                    ));
                }
                _ => {
                    others.push(Attribute {
                        name: name.into_owned(),
                        value: value.into_value(),
                    });
                    continue;
                }
            };
            if field.is_some() {
                return Err(EventError::attribute(&name, "is given twice"));
            }
            *field = Some(value.text(&name)?);
        }
        attribute::check_all(&others)?;

        match required("specversion", fields.specversion)?.as_ref() {
            "1.0" => {}
            _ => return Err(EventError::attribute("specversion", "must be \"1.0\"")),
        }
        let id = required("id", fields.id)?;
        attribute::check_length("id", &id, ID_BYTES_MAX)?;
        self.check_source(&required("source", fields.source)?)?;
        let (kind, rule) = self.kind(&required("type", fields.kind)?)?;
        let to = self.receivers(&required("to", fields.to)?)?;
        if let Some(case) = &fields.case {
            attribute::check_length("caseid", case, CASE_BYTES_MAX)?;
        }
        let attachments = fields.attachments.as_deref().map(digests).transpose()?;
        let text = |name: &str| attribute::text(&others, name);
        let lane = text("priority").map(lane).transpose()?;
        let expires = match text("expires") {
            Some(given) => self.expires(given)?,
            None => self
                .accepted
                .saturating_add(Millis::from(rule.expires_days) * DAY_MS),
        };
        self.check_size(data.body.len())?;

        let header = Header {
            sender: self.unit.clone(),
            id: id.into_owned(),
            to,
            kind,
            case: fields.case.map(Cow::into_owned),
            lane: lane.unwrap_or(rule.lane),
            accepted: self.accepted,
            expires,
            signer: self.signer,
            attachments: attachments.unwrap_or_default(),
            form: data.form,
            attributes: others,
        };
        Ok(Submission {
            header,
            body: data.body,
            content,
        })
    }

    fn check_source(&self, source: &str) -> Result<(), EventError> {
        if source.strip_prefix("/unit/") == Some(self.unit.as_str()) {
            return Ok(());
        }
        let detail = format!(
            "this node sends for one unit; write \"/unit/{}\"",
            self.unit
        );
        Err(EventError::new(Problem::ForeignSource, detail).about("source"))
    }

    fn kind(&self, text: &str) -> Result<(Kind, crate::model::KindRule), EventError> {
        let unknown = |detail| EventError::new(Problem::UnknownKind, detail).about("type");
        let kind: Kind = text
            .parse()
            .map_err(|error: crate::model::KindError| unknown(error.to_string()))?;
        if kind.is_receipt() {
            return Err(unknown("receipts are made by the gateways alone".into()));
        }
        match self.kinds.get(&kind) {
            Some(rule) => Ok((kind, rule)),
            None => Err(unknown(format!(
                "\"{kind}\" is not a kind of this node; add it as [[kind]] to its configuration"
            ))),
        }
    }

    /// The receivers of `to`. Blanks and repeats are refused, so that the text has one spelling and comes back as it was given.
    fn receivers(&self, text: &str) -> Result<Vec<Pattern>, EventError> {
        let receivers_max = self.limits.receivers as usize;
        let mut to = Vec::new();
        for name in text.split(',') {
            if to.len() == receivers_max {
                return Err(EventError::attribute(
                    "to",
                    format!(
                        "names more than {receivers_max} receivers; use a pattern or send in parts"
                    ),
                )
                .bounded("receivers", receivers_max as u64));
            }
            let receiver: Pattern = name.parse().map_err(|error: crate::model::PatternError| {
                EventError::attribute(
                    "to",
                    format!("{error}; receivers are parted by \",\" alone"),
                )
            })?;
            if to.contains(&receiver) {
                return Err(EventError::attribute(
                    "to",
                    format!("names \"{receiver}\" twice"),
                ));
            }
            to.push(receiver);
        }
        Ok(to)
    }

    fn expires(&self, text: &str) -> Result<Millis, EventError> {
        let refused = |detail: String| EventError::new(Problem::Expires, detail).about("expires");
        let expires = rfc3339(text).ok_or_else(|| {
            EventError::attribute(
                "expires",
                "is not a time of RFC 3339; write it as 2026-01-31T16:00:00Z",
            )
        })?;
        if expires <= self.accepted {
            return Err(refused("the time is past".into()));
        }
        let days_max = self.limits.expires_days;
        if expires - self.accepted > Millis::from(days_max) * DAY_MS {
            let detail = format!("the time is more than {days_max} days ahead");
            return Err(refused(detail).bounded("expires-days", days_max.into()));
        }
        Ok(expires)
    }

    fn check_size(&self, bytes: usize) -> Result<(), EventError> {
        let kib_max = u64::from(self.limits.message_kib);
        if bytes as u64 <= kib_max * 1024 {
            return Ok(());
        }
        let detail = format!(
            "the data has {bytes} bytes; at most {kib_max} KiB are carried, send it as an attachment"
        );
        Err(EventError::new(Problem::TooLarge, detail).bounded("message-kib", kib_max))
    }
}

/// The texts that become fields of the header.
#[derive(Default)]
struct Fields<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    case: Option<Cow<'a, str>>,
    attachments: Option<Cow<'a, str>>,
}

fn required<'a>(name: &str, value: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, EventError> {
    value.ok_or_else(|| EventError::attribute(name, "is missing"))
}

pub(super) fn lane(text: &str) -> Result<Lane, EventError> {
    text.parse().map_err(|error: crate::model::LaneError| {
        EventError::attribute("priority", error.to_string())
    })
}

fn digests(text: &str) -> Result<Vec<[u8; 32]>, EventError> {
    let digest = |word: &str| {
        word.strip_prefix("blake3:")
            .and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| {
                EventError::attribute(
                    "attachments",
                    "is a list of \"blake3:\" and 64 lower-case hexadecimal digits, parted by one blank",
                )
            })
    };
    let digests: Vec<_> = text
        .split(' ')
        .take(ATTACHMENTS_MAX + 1)
        .map(digest)
        .collect::<Result<_, _>>()?;
    if digests.len() > ATTACHMENTS_MAX {
        return Err(EventError::attribute(
            "attachments",
            format!("names more than {ATTACHMENTS_MAX} attachments"),
        ));
    }
    Ok(digests)
}

/// A date and time of RFC 3339, section 5.6, as milliseconds since the Unix epoch (0 for what was
/// before); `None` for anything else.
pub(super) fn rfc3339(text: &str) -> Option<Millis> {
    // What jiff reads besides (a blank between date and time, no seconds, a zone in brackets) is not RFC 3339.
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (moment, rest) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let fits = moment.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte.eq_ignore_ascii_case(shape),
    });
    let rest = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            fraction.get(digits..).filter(|_| digits > 0)?
        }
        _ => rest,
    };
    let zone = match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()),
        _ => false,
    };
    if !fits || !zone {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    time.as_millisecond().max(0).try_into().ok()
}

/// An event taken apart, before anything is judged.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) attributes: Vec<(Cow<'a, str>, Given<'a>)>,
    pub(super) data: Data,
}

/// An event's data.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) form: BodyForm,
    pub(super) body: Bytes,
}

impl Data {
    pub(super) fn none() -> Self {
        Self {
            form: BodyForm::None,
            body: Bytes::new(),
        }
    }
}

impl<'a> Draft<'a> {
    /// Parts the data from the attributes of an event that is a part of `request`.
    fn of_members(members: json::Members<'a>, request: &Bytes) -> Result<Self, EventError> {
        let mut attributes = Vec::with_capacity(members.len());
        let mut data = None;
        for (name, value) in members {
            let given = match name.as_ref() {
                "data" => {
                    json::check_readable(value, "data")?;
                    Data {
                        form: BodyForm::Json,
                        body: request.slice_ref(value.get().as_bytes()),
                    }
                }
                "data_base64" => Data {
                    form: BodyForm::Binary,
                    body: base64(&json::string("data_base64", value.get())?)?,
                },
                _ => {
                    attribute::check_name(&name)?;
                    let given = json::attribute(&name, value)?;
                    attributes.push((name, given));
                    continue;
                }
            };
            if data.replace(given).is_some() {
                return Err(EventError::attribute(
                    &name,
                    "the data is given twice; write either \"data\" or \"data_base64\", once",
                ));
            }
        }
        Ok(Self {
            attributes,
            data: data.unwrap_or_else(Data::none),
        })
    }

    /// The digest of what was submitted: the attributes in order of their names, then the data.
    fn content(&self) -> Digest {
        let mut sorted: Vec<_> = self.attributes.iter().collect();
        sorted.sort_by_key(|(name, _)| name.as_ref());
        let mut told = Vec::with_capacity(512);
        told.extend_from_slice(b"casegate content 1\0");
        let mut tell = |tag: u8, bytes: &[u8]| {
            told.push(tag);
            told.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            told.extend_from_slice(bytes);
        };
        for (name, value) in sorted {
            tell(b'n', name.as_bytes());
            match value {
                Given::Text(text) => tell(b't', text.as_bytes()),
                Given::Integer(number) => tell(b'i', &number.to_le_bytes()),
                Given::Boolean(truth) => tell(b'b', &[u8::from(*truth)]),
            }
        }
        let form = match self.data.form {
            BodyForm::None => b'0',
            BodyForm::Json => b'j',
            BodyForm::Binary => b'x',
        };
        tell(form, &[]);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&told).update(&self.data.body);
        let mut digest = Digest([0; 16]);
        digest
            .0
            .copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        digest
    }
}

fn base64(text: &str) -> Result<Bytes, EventError> {
    // One spelling only, so that what is encoded again on delivery is what was submitted.
    data_encoding::BASE64
        .decode(text.as_bytes())
        .map(Bytes::from)
        .map_err(|_| {
            EventError::attribute(
                "data_base64",
                "is not base64 of RFC 4648, section 4, with its padding and without white space",
            )
        })
}
