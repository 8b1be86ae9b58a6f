//! Params that the engine itself understands, borrowed from the request.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::client_info;
use crate::app::call::{LISTS, RESOURCE, TopicKind};
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::RpcError;
use crate::mcp::read::read;

/// The per-request metadata of 2026-07-28 (basic, "Per-request protocol fields").
#[derive(Deserialize, Default)]
pub(super) struct ModernRequestMeta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow)]
    pub(super) protocol_version: Option<Cow<'a, str>>,
    #[serde(
        rename = "io.modelcontextprotocol/clientCapabilities",
        borrow,
        default,
        deserialize_with = "raw"
    )]
    pub(super) client_capabilities: Option<Cow<'a, RawValue>>,
    #[serde(
        rename = "io.modelcontextprotocol/clientInfo",
        borrow,
        default,
        deserialize_with = "raw"
    )]
    pub(super) client_info: Option<Cow<'a, RawValue>>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", borrow)]
    pub(super) log_level: Option<Cow<'a, str>>,
}

/// What any modern request may carry beside its own params, what headers mirror, and what a policy is asked about.
#[derive(Deserialize, Default)]
pub(super) struct RequestParams<'a> {
    #[serde(rename = "_meta", borrow)]
    pub(super) meta: Option<ModernRequestMeta<'a>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) name: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) uri: Option<Cow<'a, RawValue>>,
    #[serde(rename = "taskId", borrow, default, deserialize_with = "raw")]
    pub(super) task_id: Option<Cow<'a, RawValue>>,
    #[serde(rename = "ref", borrow, default, deserialize_with = "raw")]
    pub(super) reference: Option<Cow<'a, RawValue>>,
}

impl RequestParams<'_> {
    /// The same in texts of its own, and of what a client says of itself no more than is kept.
    ///
    /// # Errors
    /// -32602: what a client says of itself is wrong.
    pub(super) fn into_owned(self) -> Result<RequestParams<'static>, RpcError> {
        let text = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let raw = |raw: Option<Cow<'_, RawValue>>| raw.map(|raw| Cow::Owned(raw.into_owned()));
        let meta = self.meta.map(|meta| {
            let capabilities = meta
                .client_capabilities
                .as_deref()
                .map(client_info::kept_capabilities);
            let info = meta.client_info.as_deref().map(client_info::kept_info);
            Ok(ModernRequestMeta {
                protocol_version: text(meta.protocol_version),
                client_capabilities: capabilities.transpose()?.map(Cow::Owned),
                client_info: info.transpose()?.map(Cow::Owned),
                log_level: text(meta.log_level),
            })
        });
        Ok(RequestParams {
            meta: meta.transpose()?,
            name: raw(self.name),
            uri: raw(self.uri),
            task_id: raw(self.task_id),
            reference: raw(self.reference),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Initialize<'a> {
    #[serde(rename = "protocolVersion", borrow)]
    pub(super) protocol_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) capabilities: &'a RawValue,
    #[serde(rename = "clientInfo", borrow)]
    pub(super) client_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct SetLevel<'a> {
    #[serde(borrow)]
    pub(super) level: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Subscribe<'a> {
    #[serde(borrow)]
    pub(super) uri: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Cancelled<'a> {
    #[serde(rename = "requestId", borrow)]
    pub(super) request_id: &'a RawValue,
}

#[derive(Deserialize)]
pub(super) struct Listen {
    pub(super) notifications: Filter,
}

/// What a listen stream is to carry.
#[derive(Default)]
pub(super) struct Filter {
    /// Of each of the [`LISTS`], whether its changes.
    pub(super) lists: [bool; LISTS.len()],
    pub(super) resource_subscriptions: Vec<String>,
}

/// As serde would derive it, with the members that the table of topics has.
impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(filter: D) -> Result<Self, D::Error> {
        filter.deserialize_map(FilterVisitor)
    }
}

struct FilterVisitor;

impl<'de> Visitor<'de> for FilterVisitor {
    type Value = Filter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Filter, A::Error> {
        let mut lists = [None; LISTS.len()];
        let mut resources = None;
        while let Some(name) = members.next_key::<String>()? {
            let twice = |kind: &TopicKind| Err(A::Error::duplicate_field(kind.listen));
            let list = LISTS.iter().position(|(_, list)| list.listen == name);
            if let Some(list) = list {
                if lists[list].is_some() {
                    return twice(&LISTS[list].1);
                }
                lists[list] = Some(members.next_value()?);
            } else if name == RESOURCE.listen {
                if resources.is_some() {
                    return twice(&RESOURCE);
                }
                resources = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Filter {
            lists: lists.map(Option::unwrap_or_default),
            resource_subscriptions: resources.unwrap_or_default(),
        })
    }
}

/// A text that is borrowed unless something in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct BorrowedText<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A value as it was sent; none if it is null.
fn raw<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<Cow<'a, RawValue>>, D::Error> {
    Ok(Option::<&RawValue>::deserialize(value)?.map(Cow::Borrowed))
}

/// Of a method that the engine serves itself.
///
/// # Errors
/// -32602 with what is wrong in words, also if there is more of it than any such method needs.
pub(super) fn parse<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, RpcError> {
    parse_within(LOOK_ON_CORE_BYTES_MAX, params)
}

/// What any modern request may carry, whatever else it has.
///
/// # Errors
/// -32602 with what is wrong in words.
pub(super) fn envelope(params: Option<&RawValue>) -> Result<RequestParams<'_>, RpcError> {
    parse_within(usize::MAX, params)
}

/// # Errors
/// As [`parse`].
pub(super) fn parse_within<'a, T: Deserialize<'a>>(
    bytes_max: usize,
    params: Option<&'a RawValue>,
) -> Result<T, RpcError> {
    let text = params.map_or("{}", RawValue::get);
    if text.len() > bytes_max {
        return Err(RpcError::invalid_params(format!(
            "Invalid params: this method takes no more than {bytes_max} bytes of them."
        )));
    }
    read(text).map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_read_other_than_a_derived_one() {
        let parsed = |text: &str| {
            let raw = serde_json::from_str(text).expect("it is JSON");
            let listen = parse::<Listen>(Some(raw)).map_err(|fault| fault.message.into_owned());
            listen.map(|it| {
                (
                    it.notifications.lists,
                    it.notifications.resource_subscriptions,
                )
            })
        };
        for (text, lists, resources) in [
            ("{}", [false; 3], &[][..]),
            (
                r#"{"x":[{}],"promptsListChanged":true}"#,
                [false, true, false],
                &[],
            ),
            (
                r#"{"toolsListChanged":false,"resourcesListChanged":true,"resourceSubscriptions":["a:b"]}"#,
                [false, false, true],
                &["a:b"],
            ),
        ] {
            let resources = resources.iter().map(|uri| (*uri).to_owned()).collect();
            let text = format!(r#"{{"notifications":{text}}}"#);
            assert_eq!(parsed(&text), Ok((lists, resources)), "{text}");
        }
        for (text, fault) in [
            (
                "[]",
                "notifications: invalid type: array, expected an object",
            ),
            (
                "null",
                "notifications: invalid type: null, expected an object",
            ),
            (
                r#"{"toolsListChanged":1}"#,
                "notifications.toolsListChanged: invalid type: integer `1`, expected a boolean",
            ),
            (
                r#"{"resourceSubscriptions":[1]}"#,
                "notifications.resourceSubscriptions[0]: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"toolsListChanged":true,"toolsListChanged":1}"#,
                "notifications: duplicate field `toolsListChanged`",
            ),
        ] {
            let text = format!(r#"{{"notifications":{text}}}"#);
            assert_eq!(
                parsed(&text),
                Err(format!("Invalid params: {fault}")),
                "{text}"
            );
        }
    }
}
