//! 2026-07-28: every request stands alone and is checked alone: version, mirrored headers, capabilities.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::call::CallState;
use super::guard::InPlace;
use super::params::{self, ModernRequestMeta, RequestParams};
use super::post::{Post, not_acceptable};
use super::{Engine, EngineOutput, Exchange, ExchangeOwner, Refused, RequestFields, Wire};
use crate::app::call::Call;
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::types::LoggingLevel;
use crate::mcp::{Era, Mirrored, ProtocolVersion, RpcError, RpcMethod};
use crate::wire::header_value;
use crate::wire::json_rpc::Message;

impl Engine {
    pub(super) fn serve_modern(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        message: Message<'_>,
    ) {
        let key = post.request.exchange;
        let (id, method, params) = match message {
            Message::Request { id, method, params } => (id, method, params),
            // This revision defines none for HTTP; one that comes changes nothing.
            Message::Notification { .. } => return wire.answer(key, 202, &[], b""),
            Message::Response { .. } => {
                let sentence = "A response is never sent in 2026-07-28: answers to input requests go into the retried request.";
                return wire.refuse(key, None, &Refused::new(400, sentence));
            }
        };
        let known = RpcMethod::of(&method);
        let call = (id.raw(), &*method, params);
        if let Err(refused) = self.serve_modern_request(wire, post, known, call) {
            self.count_refused(known, Some(ProtocolVersion::V2026_07_28), &refused);
            wire.refuse(key, Some(id.raw()), &refused);
        }
    }

    /// # Errors
    /// What it is answered in place of a result.
    fn serve_modern_request(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        known: Option<RpcMethod>,
        (id, method, params): (&str, &str, Option<&RawValue>),
    ) -> Result<(), Refused> {
        let fields = &post.request.fields;
        let read = match post.envelope {
            Some(_) => None,
            None => Some(params::envelope(params)),
        };
        let sent = post.envelope.map(Result::as_ref);
        let envelope = match sent.or(read.as_ref().map(Result::as_ref)) {
            Some(Ok(envelope)) => envelope,
            Some(Err(error)) => return Err(Refused::rpc(400, error.clone())),
            None => return Ok(()),
        };
        check_version(fields, envelope.meta.as_ref())
            .and_then(|()| check_mirrors(fields, method, envelope))
            .map_err(|error| match error.code {
                RpcError::INVALID_PARAMS => Refused::rpc(400, error),
                _ => Refused::rpc(error.http_status(Era::Modern), error),
            })?;
        match known {
            Some(RpcMethod::ServerDiscover) => {
                self.serve_discover(wire, post.request.exchange, id);
            }
            Some(RpcMethod::SubscriptionsListen) if !fields.accepts_stream() => {
                let sentence =
                    format!("{method} is answered with text/event-stream: Accept must name it.");
                return Err(not_acceptable(sentence));
            }
            Some(RpcMethod::SubscriptionsListen) => {
                self.serve_listen(wire, post.request, id, params, envelope.meta.as_ref())?;
            }
            // Older revisions had it: here it is unknown.
            Some(known) if !known.is_of_era(Era::Modern) => {
                return Err(Refused::rpc(404, RpcError::method_not_found(method)));
            }
            _ => return self.serve_call(wire, post, (id, (known, method), params), envelope),
        }
        self.count_answered(known, Some(ProtocolVersion::V2026_07_28));
        Ok(())
    }

    /// One for the application, if its client may make it.
    fn serve_call(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        (id, (known, method), params): (&str, (Option<RpcMethod>, &str), Option<&RawValue>),
        envelope: &RequestParams<'_>,
    ) -> Result<(), Refused> {
        let (request, key) = (post.request, post.request.exchange);
        match self.check_rights(request, Era::Modern, (method, params), Some(envelope)) {
            Ok(()) => self.start_modern(wire, post, (id, (known, method), params), envelope),
            Err(InPlace::Refused(refused)) => Err(refused),
            Err(InPlace::Result(result)) => {
                let version = Some(ProtocolVersion::V2026_07_28);
                self.count_answered(known, version);
                let result = with_members(r#""ttlMs":0,"cacheScope":"private""#, &result);
                wire.answer_result(key, id, &self.complete(&result), &[]);
                Ok(())
            }
        }
    }

    fn serve_discover(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: Exchange, id: &str) {
        let mut result = json!({
            "supportedVersions": ProtocolVersion::STREAMABLE,
            "capabilities": self.server_info.modern_capabilities,
            "ttlMs": 3_600_000,
            "cacheScope": "public",
        });
        if let Some(instructions) = &self.server_info.instructions {
            result["instructions"] = Value::from(instructions.as_str());
        }
        let result = self.complete(&result.to_string());
        wire.answer_result(key, id, &result, &[]);
    }

    /// A modern result's members: `resultType` and who answers.
    pub(super) fn complete(&self, result: &str) -> String {
        let members = |text: &str| with_members(r#""resultType":"complete""#, text);
        if result.contains("\"_meta\"")
            && let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(result)
            && let Some(Value::Object(meta)) = object.get_mut("_meta")
        {
            meta.entry("io.modelcontextprotocol/serverInfo")
                .or_insert_with(|| self.server_info.implementation.clone());
            return members(&Value::Object(object).to_string());
        }
        with_members(&self.description.server_info_member, &members(result))
    }

    fn start_modern(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        (id, (known, method), params): (&str, (Option<RpcMethod>, &str), Option<&RawValue>),
        envelope: &RequestParams<'_>,
    ) -> Result<(), Refused> {
        let (key, client) = (post.request.exchange, post.request.client);
        let meta = envelope.meta.as_ref();
        let stated = meta.and_then(|meta| meta.log_level.as_deref());
        let log_level = match stated.map(|name| LoggingLevel::severity_of(name).ok_or(name)) {
            None => None,
            Some(Ok(level)) => Some(level),
            Some(Err(name)) => {
                let error =
                    RpcError::invalid_params(format!("Invalid params: {name} is not a log level."));
                return Err(Refused::rpc(400, error));
            }
        };
        self.check_calls(client, 1)?;
        let (fields, tree_bytes) = (&post.request.fields, post.tree_bytes);
        let charge = self.charge_call(wire, client, fields, params, tree_bytes)?;
        let capabilities = meta.and_then(|meta| meta.client_capabilities.as_deref());
        let info = meta.and_then(|meta| meta.client_info.as_deref());
        let client_info = self
            .profiles
            .intern(capabilities.unwrap_or(RawValue::NULL), info)
            .map_err(|error| Refused::rpc(400, error))?;
        let operation = self.begin_operation(known, params, fields.mcp_name);
        self.count_call(client);
        let version = ProtocolVersion::V2026_07_28;
        let call = self.calls.insert(CallState {
            version,
            session: None,
            id: id.into(),
            answer_to: post.answer_to(),
            log_level,
            operation,
            client,
            asks: Default::default(),
            timer: Default::default(),
            charge,
        });
        self.inspect(call, post.request, method);
        wire.expect_answer(key, ExchangeOwner::Call(call));
        let request = Call {
            version,
            method: Call::method_known(known, method),
            params: params.map(ToOwned::to_owned),
            client_capabilities: client_info.capabilities.clone(),
            client_info: client_info.info.clone(),
            caller: self.caller_seen(post.request, None),
            tree_bytes,
        };
        self.profiles.release(client_info);
        self.outputs
            .push_back(EngineOutput::Start { call, request });
        Ok(())
    }
}

/// Streamable HTTP, "Protocol Version Header", and basic, "Per-request protocol fields".
fn check_version(
    fields: &RequestFields<'_>,
    meta: Option<&ModernRequestMeta<'_>>,
) -> Result<(), RpcError> {
    let missing = |field: &str| {
        RpcError::invalid_params(format!(
            "Invalid params: _meta[\"io.modelcontextprotocol/{field}\"] is required."
        ))
    };
    let stated = meta
        .and_then(|meta| meta.protocol_version.as_deref())
        .ok_or_else(|| missing("protocolVersion"))?;
    let header = fields.version.text.ok_or_else(|| {
        RpcError::header_mismatch("Header mismatch: MCP-Protocol-Version is required.")
    })?;
    if header != stated {
        return Err(RpcError::header_mismatch(format!(
            "Header mismatch: MCP-Protocol-Version header value '{header}' does not match body value '{stated}'"
        )));
    }
    if stated != ProtocolVersion::V2026_07_28.as_str() {
        return Err(RpcError::unsupported_version(stated));
    }
    match meta.and_then(|meta| meta.client_capabilities.as_ref()) {
        Some(_) => Ok(()),
        None => Err(missing("clientCapabilities")),
    }
}

/// Streamable HTTP, "Server Validation": what a header says and what the body says is the same.
fn check_mirrors(
    fields: &RequestFields<'_>,
    method: &str,
    envelope: &RequestParams<'_>,
) -> Result<(), RpcError> {
    let mismatch = |name: &str, header: &str, body: &str| {
        RpcError::header_mismatch(format!(
            "Header mismatch: {name} header value '{header}' does not match body value '{body}'"
        ))
    };
    match fields.mcp_method {
        Some(header) if header == method => {}
        Some(header) => return Err(mismatch("Mcp-Method", header, method)),
        None => {
            return Err(RpcError::header_mismatch(
                "Header mismatch: Mcp-Method is required.",
            ));
        }
    }
    let (source, required) = match RpcMethod::of(method).and_then(RpcMethod::mirrored) {
        Some(Mirrored::Name) => (&envelope.name, true),
        Some(Mirrored::Uri) => (&envelope.uri, true),
        Some(Mirrored::TaskId) => (&envelope.task_id, false),
        None => return Ok(()),
    };
    if source
        .as_ref()
        .is_some_and(|raw| raw.get().len() > LOOK_ON_CORE_BYTES_MAX)
    {
        return Err(RpcError::header_mismatch(
            "Header mismatch: the body's value is longer than any Mcp-Name can be.",
        ));
    }
    // A body without the name has nothing to compare with; the params are checked by whoever serves the call.
    let Some(body) = source
        .as_ref()
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
    else {
        return Ok(());
    };
    let Some(header) = fields.mcp_name else {
        let error = || {
            RpcError::header_mismatch(format!(
                "Header mismatch: Mcp-Name is required for {method}."
            ))
        };
        return if required { Err(error()) } else { Ok(()) };
    };
    match header_value::decode(header) {
        Ok(decoded) if decoded == body => Ok(()),
        Ok(decoded) => Err(mismatch("Mcp-Name", &decoded, &body)),
        Err(_) => Err(RpcError::header_mismatch(
            "Header mismatch: the value of Mcp-Name is not valid Base64.",
        )),
    }
}

/// An object in JSON with members put before its own.
pub(super) fn with_members(members: &str, object: &str) -> String {
    debug_assert!(object.starts_with('{') && !members.is_empty());
    let rest = object[1..].trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    format!("{{{members}{comma}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_go_before_what_is_there() {
        assert_eq!(with_members(r#""a":1"#, "{}"), r#"{"a":1}"#);
        assert_eq!(with_members(r#""a":1"#, r#"{ "b":2}"#), r#"{"a":1,"b":2}"#);
    }
}
