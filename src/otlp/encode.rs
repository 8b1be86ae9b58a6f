//! Spans in the form of OTLP, named and described as OpenTelemetry's semantic conventions for MCP have it
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp>). What is ours alone begins with `pinfold.`.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::record::{SpanCall, SpanEnd, SpanRecord, SpanTarget};

/// `trace_flags` of a span that is sent.
const SAMPLED: u32 = 1;
/// It is known whether the parent is elsewhere, and it is.
const REMOTE_PARENT: u32 = 0x100 | 0x200;

/// The body of one request. `resource` is who sends it.
pub(super) fn request(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "pinfold".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let of_scope = ScopeSpans {
        scope: Some(scope),
        spans: spans.iter().map(span_of).collect(),
        ..ScopeSpans::default()
    };
    let of_resource = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![of_scope],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![of_resource],
    };
    request.encode_to_vec()
}

pub(super) fn resource<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Resource {
    Resource {
        attributes: attributes.map(|(key, text)| attribute(key, text)).collect(),
        ..Resource::default()
    }
}

fn span_of(record: &SpanRecord) -> Span {
    let parent = record.parent_id.map(|it| it.to_be_bytes().to_vec());
    let flags = match parent {
        Some(_) => SAMPLED | REMOTE_PARENT,
        None => SAMPLED,
    };
    Span {
        trace_id: record.trace_id.to_be_bytes().to_vec(),
        span_id: record.span_id.to_be_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        flags,
        name: name_of(record),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: record.started_ns,
        end_time_unix_nano: record.ended_ns,
        attributes: attributes(record),
        status: Some(status_of(record.end)),
        ..Span::default()
    }
}

/// With what the call is of, if that is a tool or a prompt that exists: names that clients make up are without end.
fn name_of(record: &SpanRecord) -> String {
    let method = &record.call.method;
    let exists = matches!(record.end, SpanEnd::Fine | SpanEnd::ToolFailed);
    match &record.call.target {
        Some(SpanTarget::Tool(name) | SpanTarget::Prompt(name)) if exists => {
            format!("{method} {name}")
        }
        _ => method.to_string(),
    }
}

fn attributes(record: &SpanRecord) -> Vec<KeyValue> {
    let SpanCall {
        method,
        version,
        target,
        request_id,
        session,
        client,
        principal,
    } = &record.call;
    let mut all = vec![
        attribute("mcp.method.name", method.as_ref()),
        attribute("mcp.protocol.version", *version),
        attribute("network.transport", "tcp"),
        attribute("network.protocol.name", "http"),
        attribute("network.protocol.version", "1.1"),
    ];
    match target {
        Some(SpanTarget::Tool(name)) => {
            all.push(attribute("gen_ai.tool.name", name.as_ref()));
            all.push(attribute("gen_ai.operation.name", "execute_tool"));
        }
        Some(SpanTarget::Prompt(name)) => {
            all.push(attribute("gen_ai.prompt.name", name.as_ref()));
        }
        Some(SpanTarget::Resource(uri)) => all.push(attribute("mcp.resource.uri", uri.as_ref())),
        None => {}
    }
    let mut told = |key, value: Option<String>| all.extend(value.map(|it| attribute(key, it)));
    told("jsonrpc.request.id", request_id.as_deref().map(Into::into));
    told("mcp.session.id", session.map(|it| it.to_string()));
    told("client.address", client.map(|it| it.to_string()));
    told("pinfold.principal", principal.map(|it| it.to_string()));
    let (kind, code) = match &record.end {
        SpanEnd::Fine => (None, None),
        SpanEnd::ToolFailed => (Some("tool_error".to_owned()), None),
        SpanEnd::Cancelled => (Some("cancelled".to_owned()), None),
        SpanEnd::Error(code) => (Some(code.to_string()), Some(code.to_string())),
    };
    told("error.type", kind);
    told("rpc.response.status_code", code);
    all
}

fn status_of(end: SpanEnd) -> Status {
    let code = match end {
        SpanEnd::Fine => StatusCode::Unset,
        SpanEnd::ToolFailed | SpanEnd::Cancelled | SpanEnd::Error(_) => StatusCode::Error,
    };
    Status {
        code: code.into(),
        ..Status::default()
    }
}

fn attribute(key: &str, text: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(text.into())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::otlp) fn span() -> SpanRecord {
        SpanRecord {
            trace_id: 1,
            span_id: 2,
            parent_id: Some(3),
            started_ns: 4,
            ended_ns: 5,
            call: SpanCall {
                method: "tools/call".into(),
                version: "2025-11-25",
                target: Some(SpanTarget::Tool("hello".into())),
                request_id: Some("7".into()),
                session: None,
                client: None,
                principal: None,
            },
            end: SpanEnd::Fine,
        }
    }

    fn decoded(record: SpanRecord) -> Span {
        let resource = resource([("service.name", "pinfold")].into_iter());
        let bytes = request(&resource, &[record]);
        let request = ExportTraceServiceRequest::decode(&*bytes).expect("it is one");
        let mut of_resource = request.resource_spans.into_iter();
        let of_resource = of_resource.next().expect("one resource");
        assert_eq!(of_resource.resource, Some(resource));
        of_resource.scope_spans[0].spans[0].clone()
    }

    fn value_of<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
        let found = span.attributes.iter().find(|it| it.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn a_span_without_a_parent_and_one_with_it() {
        let child = decoded(span());
        assert_eq!(child.parent_span_id, [0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!((child.flags, child.kind), (0x301, 2));
        let root = decoded(SpanRecord {
            parent_id: None,
            ..span()
        });
        assert_eq!((root.parent_span_id, root.flags), (Vec::new(), 1));
    }

    #[test]
    fn a_name_for_each_tool_that_a_client_makes_up() {
        let error = SpanEnd::Error(-32602);
        for (end, name, kind, status) in [
            (SpanEnd::Fine, "tools/call hello", None, 0),
            (
                SpanEnd::ToolFailed,
                "tools/call hello",
                Some("tool_error"),
                2,
            ),
            (SpanEnd::Cancelled, "tools/call", Some("cancelled"), 2),
            (error, "tools/call", Some("-32602"), 2),
        ] {
            let span = decoded(SpanRecord { end, ..span() });
            assert_eq!(span.name, name);
            assert_eq!(value_of(&span, "error.type"), kind);
            assert_eq!(value_of(&span, "gen_ai.tool.name"), Some("hello"));
            assert_eq!(span.status.expect("one").code, status);
        }
    }
}
