//! Sending a message by hand, with attachments; and one that only shows the way.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Redirect, Response},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Console,
    form::Form,
    messages::{Choice, kinds, lanes},
    session::{Said, secret},
    show::{iso, local_time},
    texts::{Texts, fill},
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::{Gateway, Refusal},
    cloudevents::{EventError, Submission, write_names},
    model::{MessageId, Millis, Role},
};

/// The kind of a message that only shows the way, and how long it has for it.
const TEST_KIND: &str = "exchange";
const TEST_EXPIRES_MS: Millis = 24 * 3600 * 1000;
/// The kind that the form begins with.
const FIRST_KIND: &str = "case.transfer";
/// Units that the form suggests.
const SUGGESTED_MAX: usize = 500;

#[derive(Template)]
#[template(path = "compose.html")]
struct Page {
    f: Frame,
    filled: Filled,
    wrong: Vec<(&'static str, String, String)>,
    kinds: Vec<Choice>,
    lanes: Vec<Choice>,
    units: Vec<(String, String)>,
    attachment_mib: u32,
}

/// The form as it was filled in.
#[derive(Default)]
struct Filled {
    id: String,
    to: String,
    case: String,
    subject: String,
    expires: String,
    text: String,
    is_json: bool,
    /// Digest and name of each attachment.
    attachments: Vec<(String, String)>,
}

impl Page {
    /// What is wrong with a field, if anything: in words, and as the node says it.
    fn wrong(&self, field: &str) -> Option<(&str, &str)> {
        let mut all = self.wrong.iter();
        all.find(|(name, ..)| *name == field)
            .map(|(_, text, detail)| (text.as_str(), detail.as_str()))
    }
}

/// A CloudEvent in JSON.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    caseid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    priority: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    expires: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    attachments: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    attachmentnames: &'a str,
    data: &'a RawValue,
}

/// Why a message was not taken: the field, and in words.
struct Fault {
    field: &'static str,
    text: String,
    detail: String,
}

/// `GET /console/compose?to=`.
pub(super) async fn page<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
) -> Response {
    let filled = Filled {
        to: visit.query.text("to").to_owned(),
        ..Filled::default()
    };
    let made = match visit.may_act() {
        true => show(&console, &visit, filled, FIRST_KIND, "", None).await,
        false if visit.session.is_some() => Err(Wrong::NotAllowed(Role::Operator)),
        false => Err(Wrong::SignIn),
    };
    answer(&visit, made)
}

async fn show<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    mut filled: Filled,
    kind: &str,
    lane: &str,
    fault: Option<Fault>,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let gateway = console.api.gateway();
    if filled.id.is_empty() {
        // Made with the page: a form that is sent twice is one message.
        let random = secret().ok_or(Wrong::Broken)?;
        filled.id = format!("console-{}", random.get(..24).unwrap_or_default());
    }
    let units = gateway.units().await?;
    let page = Page {
        f: visit.frame("compose", t.compose),
        filled,
        wrong: fault
            .map(|fault| (fault.field, fault.text, fault.detail))
            .into_iter()
            .collect(),
        kinds: kinds(t, gateway.intake().kinds, kind),
        lanes: lanes(t, lane),
        units: units
            .into_iter()
            .take(SUGGESTED_MAX)
            .map(|unit| (unit.unit.to_string(), unit.title.unwrap_or_default()))
            .collect(),
        attachment_mib: console.api.limits().attachment_mib,
    };
    let is_wrong = !page.wrong.is_empty();
    let shown = render(&page)?;
    Ok(match is_wrong {
        true => (StatusCode::UNPROCESSABLE_ENTITY, shown).into_response(),
        false => shown,
    })
}

/// `POST /console/compose`.
pub(super) async fn send<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = submit(&console, &visit, body).await;
    answer(&visit, made)
}

async fn submit<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Operator).await?;
    let filled = Filled::of(&form);
    let (kind, lane) = (form.text("kind"), form.text("priority"));
    match put(console, t, &filled, kind, lane).await {
        Ok(message) => {
            console.sessions.say(open, Said::good(t.compose_sent));
            Ok(Redirect::to(&format!("/console/messages/{message}")).into_response())
        }
        Err(fault) => show(console, visit, filled, kind, lane, Some(fault)).await,
    }
}

impl Filled {
    fn of(form: &Form) -> Self {
        let names = form.all("attachment_name").map(str::to_owned);
        let digests = form.all("attachment").map(str::to_owned);
        Self {
            id: form.text("id").to_owned(),
            // People write blanks after commas, and Chinese commas.
            to: form
                .text("to")
                .split([',', '，', '、', ';', '；', ' '])
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
                .join(","),
            case: form.text("case").to_owned(),
            subject: form.text("subject").to_owned(),
            expires: form.text("expires").to_owned(),
            text: form.raw("text").to_owned(),
            is_json: form.text("form") == "json",
            attachments: digests.zip(names).collect(),
        }
    }

    /// The data: JSON as it was written, or a text in JSON.
    fn data(&self, t: &Texts) -> Result<Box<RawValue>, Fault> {
        let json = match self.is_json {
            true => self.text.clone(),
            false => serde_json::json!({ "text": self.text }).to_string(),
        };
        serde_json::from_str(&json).map_err(|error| Fault {
            field: "data",
            text: t.field_json_wrong.to_owned(),
            detail: error.to_string(),
        })
    }

    /// The names of files, as the attribute has them: blanks, `%` and controls as `%XX`, and `%` for none.
    fn names(&self) -> String {
        write_names(self.attachments.iter().map(|(_, name)| name.as_str()))
    }
}

async fn put<G: Gateway>(
    console: &Console<G>,
    t: &Texts,
    filled: &Filled,
    kind: &str,
    lane: &str,
) -> Result<MessageId, Fault> {
    let data = filled.data(t)?;
    let expires = match filled.expires.as_str() {
        "" => String::new(),
        text => iso(local_time(text).ok_or_else(|| Fault {
            field: "expires",
            text: t.field_time_wrong.to_owned(),
            detail: String::new(),
        })?),
    };
    let digests = filled.attachments.iter().map(|(digest, _)| digest.as_str());
    let gateway = console.api.gateway();
    let event = Event {
        specversion: "1.0",
        id: &filled.id,
        source: format!("/unit/{}", gateway.intake().unit),
        kind,
        to: &filled.to,
        caseid: &filled.case,
        subject: &filled.subject,
        priority: lane,
        expires: &expires,
        attachments: &digests.collect::<Vec<_>>().join(" "),
        attachmentnames: &filled.names(),
        data: &data,
    };
    accept(&**gateway, t, &event).await
}

async fn accept<G: Gateway>(gateway: &G, t: &Texts, event: &Event<'_>) -> Result<MessageId, Fault> {
    // Texts and a value that was read from JSON can be written as JSON.
    let bytes = Bytes::from(serde_json::to_vec(event).unwrap_or_default());
    let read: Result<Submission, EventError> = gateway.intake().structured(&bytes);
    let submission = read.map_err(|error| Fault {
        field: field(error.attribute.as_deref()),
        text: t.field_wrong.to_owned(),
        detail: error.detail,
    })?;
    let message = submission.header.message_id();
    gateway
        .submit(vec![submission])
        .await
        .map_err(|refusal: Refusal| Fault {
            field: field(refusal.attribute),
            text: t.cause(refusal.cause).to_owned(),
            detail: refusal.detail,
        })?;
    Ok(message)
}

/// The field of the form that an attribute comes from.
fn field(attribute: Option<&str>) -> &'static str {
    match attribute {
        Some("to") => "to",
        Some("type") => "kind",
        Some("caseid") => "case",
        Some("subject") => "subject",
        Some("priority") => "priority",
        Some("expires") => "expires",
        Some("attachments" | "attachmentnames") => "attachments",
        Some("data") => "data",
        _ => "",
    }
}

/// `POST /console/compose/test`: a small message to `to`, whose timeline shows how long each hop takes.
pub(super) async fn test<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = send_test(&console, &visit, body).await;
    answer(&visit, made)
}

async fn send_test<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (form, open) = console.form(visit, body, Role::Operator).await?;
    let gateway = console.api.gateway();
    let random = secret().ok_or(Wrong::Broken)?;
    let id = format!("console-test-{}", random.get(..24).unwrap_or_default());
    let data = serde_json::value::to_raw_value(&serde_json::json!({ "test": true }));
    let data = data.map_err(|_| Wrong::Broken)?;
    let event = Event {
        specversion: "1.0",
        id: &id,
        source: format!("/unit/{}", gateway.intake().unit),
        kind: TEST_KIND,
        to: form.text("to"),
        caseid: "",
        subject: t.test_subject,
        priority: "",
        expires: &iso(gateway.intake().accepted + TEST_EXPIRES_MS),
        attachments: "",
        attachmentnames: "",
        data: &data,
    };
    match accept(&**gateway, t, &event).await {
        Ok(message) => {
            console.sessions.say(open, Said::good(t.test_sent));
            Ok(Redirect::to(&format!("/console/messages/{message}")).into_response())
        }
        Err(fault) => {
            let Fault { text, detail, .. } = fault;
            let said = Said::bad(fill(t.test_not_sent, &[&text, &detail]));
            Ok(console.back(open, &form, said))
        }
    }
}

/// `POST /console/uploads`: as the call of the API, for whoever has signed in.
pub(super) async fn begin_upload<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    request: Request,
) -> Response {
    match may_upload(&visit, request.headers()) {
        Ok(()) => console.api.begin_upload(request.into_body()).await,
        Err(status) => status.into_response(),
    }
}

/// `GET /console/uploads/{upload}`: the same.
pub(super) async fn show_upload<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    Path(upload): Path<String>,
    headers: HeaderMap,
) -> Response {
    match may_upload(&visit, &headers) {
        Ok(()) => console.api.show_upload(upload).await,
        Err(status) => status.into_response(),
    }
}

/// `PUT /console/uploads/{upload}?offset=`: the same.
pub(super) async fn go_on_with_upload<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    visit: Visit,
    Path(upload): Path<String>,
    request: Request,
) -> Response {
    match may_upload(&visit, request.headers()) {
        Ok(()) => console.api.go_on_with_upload(upload, request).await,
        Err(status) => status.into_response(),
    }
}

fn may_upload(visit: &Visit, headers: &HeaderMap) -> Result<(), StatusCode> {
    match visit.must_call(headers, Role::Operator) {
        Ok(_) => Ok(()),
        Err(Wrong::SignIn) => Err(StatusCode::UNAUTHORIZED),
        Err(_) => Err(StatusCode::FORBIDDEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_may_be_parted_as_people_part_them() {
        let form = "to=hebi.police%EF%BC%8C+hebi.court%2Chebi.hub%20&text=x";
        let filled = Filled::of(&Form::read(&Bytes::from(form)));
        assert_eq!(filled.to, "hebi.police,hebi.court,hebi.hub");
    }

    #[test]
    fn names_of_files_are_written_so_that_they_read_back() {
        let filled = Filled {
            attachments: vec![
                ("blake3:1".into(), "移送 书.pdf".into()),
                ("blake3:2".into(), String::new()),
                ("blake3:3".into(), "100%.txt".into()),
            ],
            ..Filled::default()
        };
        assert_eq!(filled.names(), "移送%20书.pdf % 100%25.txt");
    }
}
