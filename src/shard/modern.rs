//! 2026-07-28: every request stands alone and is checked alone: version, mirrored headers, capabilities.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{Refused, with_members};
use super::call::CallState;
use super::connection::State;
use super::params::{self, Envelope, Meta};
use super::post::{PostFields, not_acceptable};
use super::session::log_level;
use super::{ConnectionKey, Effect, Shard};
use crate::app::call::Call;
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::{Era, ProtocolVersion, RpcError};
use crate::wire::HeadView;
use crate::wire::header_value;
use crate::wire::json_rpc::Message;

/// Methods that older revisions had and this one has not: here they are unknown.
const REMOVED: [&str; 6] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "notifications/initialized",
];

impl Shard {
    pub(super) fn serve_modern(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        fields: PostFields<'_>,
        message: Message<'_>,
    ) {
        let (id, method, params) = match message {
            Message::Request { id, method, params } => (id, method, params),
            // This revision defines none for HTTP; one that comes changes nothing.
            Message::Notification { .. } => return self.answer(key, 202, &[], b""),
            Message::Response { .. } => {
                let sentence = "A response is never sent in 2026-07-28: answers to input requests go into the retried request.";
                return self.refuse(key, None, &Refused::new(400, sentence));
            }
        };
        let read = match fields.envelope {
            Some(_) => None,
            None => Some(params::envelope(params)),
        };
        let known = fields.envelope.map(Result::as_ref);
        let envelope = match known.or(read.as_ref().map(Result::as_ref)) {
            Some(Ok(envelope)) => envelope,
            Some(Err(error)) => return self.answer_error(key, 400, Some(id.raw()), error),
            None => return,
        };
        if let Err(error) = check_version(request, envelope.meta.as_ref())
            .and_then(|()| check_mirrors(request, &method, envelope))
        {
            let status = if error.code == RpcError::INVALID_PARAMS {
                400
            } else {
                error.http_status(Era::Modern)
            };
            return self.answer_error(key, status, Some(id.raw()), &error);
        }
        match &*method {
            "server/discover" => self.serve_discover(key, id.raw()),
            "subscriptions/listen" if !fields.accepts_stream => {
                let sentence =
                    "subscriptions/listen is answered with text/event-stream: Accept must name it.";
                self.refuse(key, Some(id.raw()), &not_acceptable(sentence));
            }
            "subscriptions/listen" => self.serve_listen(key, id.raw(), params),
            method if REMOVED.contains(&method) => {
                self.answer_error(
                    key,
                    404,
                    Some(id.raw()),
                    &RpcError::method_not_found(method),
                );
            }
            method => {
                let call = (id.raw(), method, params);
                self.start_modern(key, call, envelope, fields);
            }
        }
    }

    fn serve_discover(&mut self, key: ConnectionKey, id: &str) {
        let mut result = json!({
            "supportedVersions": ProtocolVersion::newest_first(),
            "capabilities": self.about.modern_capabilities,
            "ttlMs": 3_600_000,
            "cacheScope": "public",
        });
        if let Some(instructions) = &self.about.instructions {
            result["instructions"] = Value::from(instructions.as_str());
        }
        let result = self.complete(&result.to_string());
        self.answer_result(key, id, &result, &[]);
    }

    /// A modern result's members: `resultType` and who answers.
    pub(super) fn complete(&self, result: &str) -> String {
        let members = |text: &str| with_members(r#""resultType":"complete""#, text);
        if result.contains("\"_meta\"")
            && let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(result)
            && let Some(Value::Object(meta)) = object.get_mut("_meta")
        {
            meta.entry("io.modelcontextprotocol/serverInfo")
                .or_insert_with(|| self.about.server_info.clone());
            return members(&Value::Object(object).to_string());
        }
        with_members(&self.introduction.server_info_member, &members(result))
    }

    fn start_modern(
        &mut self,
        key: ConnectionKey,
        (id, method, params): (&str, &str, Option<&RawValue>),
        envelope: &Envelope<'_>,
        fields: PostFields<'_>,
    ) {
        let meta = envelope.meta.as_ref();
        let stated = meta.and_then(|meta| meta.log_level.as_deref());
        let log_level = match stated.map(|name| log_level(name).ok_or(name)) {
            None => None,
            Some(Ok(level)) => Some(level),
            Some(Err(name)) => {
                let error =
                    RpcError::invalid_params(format!("Invalid params: {name} is not a log level."));
                return self.answer_error(key, 400, Some(id), &error);
            }
        };
        let client = self.client_of(key);
        if let Err(refused) = self.check_calls(client, 1) {
            return self.refuse(key, Some(id), &refused);
        }
        let tree_bytes = fields.tree_bytes;
        let charge = match self.charge_call(client, params, tree_bytes) {
            Ok(charge) => charge,
            Err(refused) => return self.refuse(key, Some(id), &refused),
        };
        let capabilities = meta.and_then(|meta| meta.client_capabilities.as_deref());
        let info = meta.and_then(|meta| meta.client_info.as_deref());
        let profile = match self
            .profiles
            .intern(capabilities.unwrap_or(RawValue::NULL), info)
        {
            Ok(profile) => profile,
            Err(error) => return self.answer_error(key, 400, Some(id), &error),
        };
        self.count_call(client);
        let version = ProtocolVersion::V2026_07_28;
        let call = self.calls.insert(CallState {
            version,
            session: None,
            id: id.into(),
            answer_to: fields.answer_to(key),
            log_level,
            client,
            asks: Default::default(),
            timer: Default::default(),
            charge,
        });
        self.await_answer(key, call);
        let request = Call {
            version,
            method: method.into(),
            params: params.map(ToOwned::to_owned),
            client_capabilities: profile.capabilities.clone(),
            client_info: profile.info.clone(),
            caller: self.caller_seen(client, None, fields.head),
            tree_bytes,
        };
        self.profiles.release(profile);
        self.effects.push_back(Effect::Start { call, request });
    }

    pub(super) fn await_answer(&mut self, key: ConnectionKey, call: super::CallKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.state = State::ExpectAnswer(call);
            connection.since = self.now;
        }
    }
}

/// Streamable HTTP, "Protocol Version Header", and basic, "Per-request protocol fields".
fn check_version(request: &HeadView<'_>, meta: Option<&Meta<'_>>) -> Result<(), RpcError> {
    let missing = |field: &str| {
        RpcError::invalid_params(format!(
            "Invalid params: _meta[\"io.modelcontextprotocol/{field}\"] is required."
        ))
    };
    let stated = meta
        .and_then(|meta| meta.protocol_version.as_deref())
        .ok_or_else(|| missing("protocolVersion"))?;
    let header = request.field("mcp-protocol-version").ok_or_else(|| {
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
    request: &HeadView<'_>,
    method: &str,
    envelope: &Envelope<'_>,
) -> Result<(), RpcError> {
    let mismatch = |name: &str, header: &str, body: &str| {
        RpcError::header_mismatch(format!(
            "Header mismatch: {name} header value '{header}' does not match body value '{body}'"
        ))
    };
    match request.field("mcp-method") {
        Some(header) if header == method => {}
        Some(header) => return Err(mismatch("Mcp-Method", header, method)),
        None => {
            return Err(RpcError::header_mismatch(
                "Header mismatch: Mcp-Method is required.",
            ));
        }
    }
    let (source, required) = match method {
        "tools/call" | "prompts/get" => (&envelope.name, true),
        "resources/read" => (&envelope.uri, true),
        // The tasks extension mirrors the task's id.
        "tasks/get" | "tasks/update" | "tasks/cancel" => (&envelope.task_id, false),
        _ => return Ok(()),
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
    let Some(header) = request.field("mcp-name") else {
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
