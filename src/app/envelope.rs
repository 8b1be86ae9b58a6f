//! Reading a call's params: what belongs to no method first, then what its method wants. Nothing is made of the rest.
//!
//! Params that would stall the core ([`Call::is_large`]) are read by another thread, all at once.

use std::any::Any;

use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Call, Link};
use super::params::{blocking, parse, unread};
use super::state::request_digest;
use crate::mcp::types::{
    CallToolRequest, CompleteRequest, GetPromptRequest, JsonObject, PaginatedRequest,
    ProgressToken, ReadResourceRequest,
};
use crate::mcp::{Era, RpcError, RpcMethod};
use crate::principal::PrincipalId;
use crate::wire::integer::is_integer;
use crate::wire::trace_context::TraceContext;

/// The params that belong to no method.
#[derive(Default)]
pub(super) struct CallEnvelope {
    pub(super) progress_token: Option<ProgressToken>,
    /// `_meta.traceparent`. What is wrong with it is nobody's mistake: it is ignored, as the header is.
    pub(super) trace: Option<TraceContext>,
    /// Unchecked.
    pub(super) input_responses: JsonObject,
    /// Sealed, and the digest of the request that it came with.
    pub(super) request_state: Option<(String, String)>,
    /// Of a call with large params: `_meta`.
    pub(super) meta: Option<Box<RawValue>>,
    /// Of a call with large params: what [`decode`](super::decode::decode) gives.
    pub(super) request: Option<Box<dyn Any + Send>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Texts<'a> {
    #[serde(rename = "_meta", borrow)]
    meta: Option<RequestMeta<'a>>,
    #[serde(borrow)]
    input_responses: Option<&'a RawValue>,
    #[serde(borrow)]
    request_state: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestMeta<'a> {
    #[serde(borrow)]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
}

/// No character of one is ever escaped.
fn trace_in(text: &RawValue) -> Option<TraceContext> {
    let inner = text.get().strip_prefix('"')?.strip_suffix('"')?;
    TraceContext::parse(inner)
}

impl CallEnvelope {
    /// # Errors
    /// -32602: `_meta`, its `progressToken` or `requestState` is wrong.
    pub(super) fn of(
        era: Era,
        method: &str,
        params: Option<&RawValue>,
        principal: Option<PrincipalId>,
    ) -> Result<Self, RpcError> {
        let texts: Texts<'_> = parse(params)?;
        let meta = texts.meta.unwrap_or_default();
        let token = meta.progress_token;
        if token.is_some_and(|token| !token.get().starts_with('"') && !is_integer(token.get())) {
            let sentence = "Invalid params: _meta.progressToken is neither a string nor an integer";
            return Err(RpcError::invalid_params(sentence));
        }
        let envelope = CallEnvelope {
            progress_token: token.map(ToOwned::to_owned),
            trace: meta.traceparent.and_then(trace_in),
            ..CallEnvelope::default()
        };
        if era == Era::Legacy {
            return Ok(envelope);
        }
        let request_state = match texts.request_state {
            None => None,
            Some(text) => {
                let sealed = serde_json::from_str(text.get()).map_err(|_| {
                    RpcError::invalid_params("Invalid params: requestState is not a string")
                })?;
                Some((sealed, request_digest(method, params, principal)?))
            }
        };
        // Anything but an object answers nothing, and so is asked for again.
        let responses = texts
            .input_responses
            .filter(|text| text.get().starts_with('{'));
        Ok(CallEnvelope {
            input_responses: match responses {
                None => JsonObject::new(),
                Some(_) => parse(responses)?,
            },
            request_state,
            ..envelope
        })
    }

    /// Of a call with large params.
    ///
    /// # Errors
    /// As [`of`](CallEnvelope::of).
    pub(super) fn of_large<'a>(
        call: &'a mut Call,
        link: &'a dyn Link,
    ) -> LocalBoxFuture<'a, Result<Self, RpcError>> {
        Box::pin(async move {
            let (era, method, params) = (call.era(), call.method.clone(), call.params.take());
            let principal = call.principal();
            let work = move || {
                let mut envelope = CallEnvelope::of(era, &method, params.as_deref(), principal);
                if let Ok(envelope) = &mut envelope {
                    envelope.meta = meta_text(params.as_deref()).map(ToOwned::to_owned);
                    envelope.request = Some(read_ahead(&method, params.as_deref()));
                }
                (params, envelope)
            };
            let (params, envelope) = blocking(link, work).await.map_err(|_| unread())?;
            call.params = params;
            envelope
        })
    }
}

/// `_meta` as it was sent.
pub(super) fn meta_text(params: Option<&RawValue>) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(rename = "_meta", borrow)]
        meta: Option<&'a RawValue>,
    }
    parse::<Whole<'_>>(params).ok()?.meta
}

/// What [`decode`](super::decode::decode) will ask for, of a call with large params.
fn read_ahead(method: &str, params: Option<&RawValue>) -> Box<dyn Any + Send> {
    match RpcMethod::of(method) {
        Some(RpcMethod::ToolsCall) => Box::new(parse::<CallToolRequest>(params)),
        Some(
            RpcMethod::ToolsList
            | RpcMethod::ResourcesList
            | RpcMethod::ResourcesTemplatesList
            | RpcMethod::PromptsList,
        ) => Box::new(parse::<PaginatedRequest>(params)),
        Some(RpcMethod::ResourcesRead) => Box::new(parse::<ReadResourceRequest>(params)),
        Some(RpcMethod::PromptsGet) => Box::new(parse::<GetPromptRequest>(params)),
        Some(RpcMethod::CompletionComplete) => Box::new(parse::<CompleteRequest>(params)),
        _ => Box::new(parse::<JsonObject>(params)),
    }
}
