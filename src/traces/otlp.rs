//! Spans as OTLP has them over HTTP: JSON, with ids in hexadecimal and 64-bit numbers as texts
//! (OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding", and `opentelemetry/proto/trace/v1/trace.proto`).
//! Attributes are called as the semantic conventions for messaging have them, where they have them.

use serde::{Deserialize, Serialize};

use super::{
    ids::{SpanId, TraceId},
    span::{Note, Span, Value},
};
use crate::model::{Millis, UnitId};

/// What traces of this kind of node are called.
const SERVICE: &str = "casegate";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// W3C's trace flags: sampled, and an id that is as good as random.
const FLAGS: u32 = 0b11;
/// `STATUS_CODE_ERROR`. A span without an error has no status: that it went well is for whoever asked for it to say.
const STATUS_ERROR: u8 = 2;

/// `ExportTraceServiceRequest`, with spans of `unit`, as JSON.
pub(super) fn request<'a>(unit: &UnitId, spans: impl Iterator<Item = &'a Span>) -> Vec<u8> {
    let attributes = vec![
        text("service.name", SERVICE),
        text("service.instance.id", unit.as_str()),
        text("service.version", VERSION),
    ];
    let scope_spans = [ScopeSpans {
        scope: Scope {
            name: SERVICE,
            version: VERSION,
        },
        spans: spans.map(told).collect(),
    }];
    let resource_spans = [ResourceSpans {
        resource: Resource { attributes },
        scope_spans,
    }];
    // Texts and numbers alone, which are always JSON.
    serde_json::to_vec(&Request { resource_spans }).unwrap_or_default()
}

/// How many spans an answer, which says that the request was taken, says were not.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = serde_json::from_slice::<Answer>(answer).unwrap_or_default();
    match answer.partial_success.rejected_spans {
        Count::Number(count) => count,
        Count::Text(count) => count.parse().unwrap_or_default(),
    }
}

fn told(span: &Span) -> SpanTold<'_> {
    let operation = span.operation;
    let name = match span.destination.as_str() {
        "" => operation.name().to_owned(),
        destination => format!("{} {destination}", operation.name()),
    };
    let mut attributes = vec![
        text("messaging.system", SERVICE),
        text("messaging.operation.name", operation.name()),
    ];
    let kind = operation.kind_of_operation();
    attributes.extend(kind.map(|kind| text("messaging.operation.type", kind)));
    if !span.destination.is_empty() {
        attributes.push(text("messaging.destination.name", &span.destination));
    }
    attributes.push(KeyValue {
        key: "messaging.message.id",
        value: AnyValue::StringValue(span.message.to_string()),
    });
    attributes.extend(span.attributes.iter().map(|(key, value)| KeyValue {
        key,
        value: match value {
            Value::Text(text) => AnyValue::StringValue(text.clone()),
            Value::Number(number) => AnyValue::IntValue(number.to_string()),
        },
    }));
    let error = span.error.map(|error| text("error.type", error.kind));
    attributes.extend(error);
    SpanTold {
        trace_id: span.trace,
        span_id: span.id,
        parent_span_id: span.parent,
        flags: FLAGS,
        name,
        kind: operation.span_kind(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes,
        events: span.notes.iter().map(noted).collect(),
        status: span.error.map(|error| Status {
            message: error.text,
            code: STATUS_ERROR,
        }),
    }
}

fn noted(note: &Note) -> EventTold {
    EventTold {
        time_unix_nano: nanos(note.at),
        name: note.name,
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    KeyValue {
        key,
        value: AnyValue::StringValue(value.to_owned()),
    }
}

fn nanos(at: Millis) -> String {
    at.saturating_mul(1_000_000).to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanTold<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanTold<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    flags: u32,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventTold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventTold {
    time_unix_nano: String,
    name: &'static str,
}

#[derive(Serialize)]
struct Status<'a> {
    message: &'a str,
    code: u8,
}

#[derive(Serialize)]
struct KeyValue {
    key: &'static str,
    value: AnyValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum AnyValue {
    StringValue(String),
    IntValue(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    rejected_spans: Count,
}

/// A 64-bit number is a text in this encoding, and not everybody keeps to that.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}
