//! What a message says, for operators of a node that allows it. Every look is in the audit log.

use std::sync::Arc;

use askama::Template;
use axum::{
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Console,
    show::bytes,
    visit::{Frame, Visit, page as render},
    wrong::{Wrong, answer},
};
use crate::{
    api::Gateway,
    model::{MessageId, Role},
};

/// What is longer is not shown but given as a file, bytes.
const SHOWN_BYTES_MAX: usize = 512 * 1024;

#[derive(Template)]
#[template(path = "body.html")]
struct Page {
    f: Frame,
    messageid: String,
    subject: String,
    kind: String,
    size: String,
    text: String,
}

/// What there is of an event besides what its message's page shows.
#[derive(Deserialize)]
struct Event<'a> {
    subject: Option<String>,
    datacontenttype: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

/// `POST /console/messages/{messageid}/body`: not a link, since a look is on record.
pub(super) async fn show<G: Gateway>(
    State(console): State<Arc<Console<G>>>,
    Path(messageid): Path<String>,
    visit: Visit,
    body: Body,
) -> Response {
    let made = make(&console, &visit, &messageid, body).await;
    answer(&visit, made)
}

async fn make<G: Gateway>(
    console: &Console<G>,
    visit: &Visit,
    messageid: &str,
    body: Body,
) -> Result<Response, Wrong> {
    let t = visit.t();
    let (_, open) = console.form(visit, body, Role::Operator).await?;
    let Ok(messageid) = messageid.parse::<MessageId>() else {
        return Err(Wrong::Unknown(t.message_unknown));
    };
    let event = console.api.event(&open.actor, messageid).await?;
    // The node has written it.
    let event: Event<'_> = serde_json::from_slice(&event).map_err(|_| Wrong::Broken)?;
    let kind = event.datacontenttype.unwrap_or_default();
    let data = event.data.map_or("", RawValue::get);
    if is_json(&kind) && data.len() <= SHOWN_BYTES_MAX && event.data_base64.is_none() {
        return render(&Page {
            f: visit.frame("messages", t.body),
            messageid: messageid.to_string(),
            subject: event.subject.unwrap_or_default(),
            size: bytes(data.len() as u64),
            text: indented(data),
            kind,
        });
    }
    let (suffix, content) = match (event.data_base64, serde_json::from_str::<String>(data)) {
        (Some(coded), _) => {
            let content = data_encoding::BASE64.decode(coded.as_bytes());
            ("bin", content.map_err(|_| Wrong::Broken)?)
        }
        (None, Ok(text)) if !is_json(&kind) => (suffix(&kind), text.into_bytes()),
        (None, _) => ("json", data.as_bytes().to_vec()),
    };
    let name = format!("attachment; filename=\"{messageid}.{suffix}\"");
    // Whatever its sender says that it is, no browser is to run it here.
    let kind = (header::CONTENT_TYPE, "application/octet-stream".to_owned());
    let name = (header::CONTENT_DISPOSITION, name);
    Ok(([kind, name], content).into_response())
}

/// Whether a content is JSON (RFC 6839); an event that does not say is (CloudEvents, JSON format, section 3.1).
fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.is_empty() || kind == "application/json" || kind.ends_with("+json")
}

fn suffix(kind: &str) -> &'static str {
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/xml" | "text/xml" => "xml",
        "text/csv" => "csv",
        kind if kind.starts_with("text/") => "txt",
        _ => "bin",
    }
}

/// JSON with each member on a line of its own. Names, texts and numbers stay as they were written.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        // Deeper ones are no easier to read, and each would take more room than all of the text.
        out.extend(std::iter::repeat_n("  ", depth.min(32)));
    };
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                out.push(letter);
                while let Some(inside) = letters.next() {
                    out.push(inside);
                    match inside {
                        '\\' => out.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(letter);
                while letters
                    .next_if(|blank| blank.is_ascii_whitespace())
                    .is_some()
                {}
                match letters.next_if(|end| matches!(end, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_keeps_its_order_and_its_numbers_as_they_were_written() {
        let json = r#"{"n":1.50,"a":[ ],"o": {},"t":"a, {\"b\"}: \\","l":[1,{"x":null}]}"#;
        let text = indented(json);
        let expected = "{\n  \"n\": 1.50,\n  \"a\": [],\n  \"o\": {},\n  \"t\": \"a, {\\\"b\\\"}: \\\\\",\n  \"l\": [\n    1,\n    {\n      \"x\": null\n    }\n  ]\n}";
        assert_eq!(text, expected);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&text), read(json));
        assert_eq!(indented("\"x\""), "\"x\"");
        assert_eq!(indented(""), "");
    }

    #[test]
    fn what_is_nested_deeply_stays_small() {
        let json = format!("{}{}", "[1,".repeat(100), "1".to_owned() + &"]".repeat(100));
        assert!(indented(&json).len() < 100 * 200);
    }

    #[test]
    fn json_is_known_by_its_type() {
        for json in [
            "",
            "application/json",
            "application/geo+JSON; charset=utf-8",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in ["text/plain", "application/xml", "application/octet-stream"] {
            assert!(!is_json(other), "{other}");
        }
        assert_eq!(
            (suffix("text/xml; charset=utf-8"), suffix("text/plain")),
            ("xml", "txt")
        );
    }
}
