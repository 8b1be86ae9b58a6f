//! What is kept of `capabilities` and `clientInfo`. Nothing is made of the rest.
//!
//! Kept are the capabilities that MCP names, as flags; of `extensions` and `experimental` the names with their
//! settings, as far as they go into [`PROFILE_SETTINGS_BYTES_MAX`]; of `clientInfo` the beginnings of `name`, `title` and
//! `version`. A client's mistakes are forgiven as they always were: a capability that is no object is there, one that
//! is null is not. The members come out in one order, so that the same words are the same text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as Read, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits::{PROFILE_NAME_BYTES_MAX, PROFILE_SETTINGS_BYTES_MAX};
use crate::mcp::RpcError;
use crate::wire::json_scan::JsonScan;

/// A declared capability without anything further to it.
#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
struct EmptyCapability {}

type Flag = Option<Lenient<EmptyCapability>>;

#[derive(Read, Serialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub(super) struct Declared {
    #[serde(skip_serializing_if = "Option::is_none")]
    elicitation: Option<Lenient<Elicitation>>,
    #[serde(skip_serializing_if = "NamedSettings::is_none")]
    experimental: NamedSettings,
    #[serde(skip_serializing_if = "NamedSettings::is_none")]
    extensions: NamedSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    roots: Option<Lenient<Roots>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Lenient<Sampling>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Lenient<TasksCapability>>,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default)]
struct Elicitation {
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Flag,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Flag,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct Roots {
    #[serde(skip_serializing_if = "LenientBool::is_false")]
    list_changed: LenientBool,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default)]
struct Sampling {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Flag,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Flag,
}

/// Of 2025-11-25.
#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default)]
struct TasksCapability {
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Flag,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Flag,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Lenient<TaskRequests>>,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default)]
struct TaskRequests {
    #[serde(skip_serializing_if = "Option::is_none")]
    elicitation: Option<Lenient<TaskElicitation>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Lenient<TaskSampling>>,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default)]
struct TaskElicitation {
    #[serde(skip_serializing_if = "Option::is_none")]
    create: Flag,
}

#[derive(Read, Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct TaskSampling {
    #[serde(skip_serializing_if = "Option::is_none")]
    create_message: Flag,
}

#[derive(Read, Serialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub(super) struct Info<'a> {
    #[serde(borrow, skip_serializing_if = "Truncated::is_none")]
    name: Truncated<'a>,
    #[serde(borrow, skip_serializing_if = "Truncated::is_none")]
    title: Truncated<'a>,
    #[serde(borrow, skip_serializing_if = "Truncated::is_none")]
    version: Truncated<'a>,
}

impl Declared {
    pub(super) fn has_texts(&self) -> bool {
        !self.experimental.is_none() || !self.extensions.is_none()
    }

    /// Without what a client can word in many ways.
    pub(super) fn flags(self) -> Self {
        Declared {
            experimental: NamedSettings::default(),
            extensions: NamedSettings::default(),
            ..self
        }
    }
}

/// # Errors
/// -32602: it is not an object, or has a member twice.
pub(super) fn read<'a, T: Deserialize<'a>>(what: &str, raw: &'a RawValue) -> Result<T, RpcError> {
    if !raw.get().starts_with('{') {
        return Err(RpcError::invalid_params(format!(
            "Invalid params: {what} must be an object."
        )));
    }
    serde_json::from_str(raw.get())
        .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {what}: {fault}")))
}

/// All that is kept, as one text.
pub(super) fn emit(declared: &Declared, info: Option<&Info<'_>>) -> String {
    serde_json::to_string(&(declared, info)).expect("keys are strings, values are JSON")
}

pub(super) fn raw(kept: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(kept).expect("keys are strings, values are JSON")
}

/// An object as its members say; anything else is one without members.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(transparent)]
struct Lenient<T>(T);

/// True, or anything else.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(transparent)]
struct LenientBool(bool);

/// A text's beginning; none of anything else.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(transparent)]
struct Truncated<'a>(Option<Cow<'a, str>>);

/// Names with their settings.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(transparent)]
struct NamedSettings(Option<BTreeMap<String, Value>>);

impl LenientBool {
    fn is_false(&self) -> bool {
        !self.0
    }
}

impl Truncated<'_> {
    fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl NamedSettings {
    fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

/// Visits anything, and makes nothing of what it does not expect.
macro_rules! forgiving {
    ($otherwise:expr; $($kind:ident)*) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($otherwise)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($otherwise)
        }

        $(forgiving!(@ $kind $otherwise);)*
    };
    (@ bool $otherwise:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
    };
    (@ str $otherwise:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
    };
    (@ map $otherwise:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($otherwise)
        }
    };
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Any<T> {
            type Value = T;
            forgiving!(T::default(); bool str);

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Any(PhantomData)).map(Lenient)
    }
}

impl<'de> Deserialize<'de> for LenientBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = bool;
            forgiving!(false; str map);

            fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
                Ok(value)
            }
        }
        deserializer.deserialize_any(Any).map(LenientBool)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Truncated<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Option<Cow<'de, str>>;
            forgiving!(None; bool map);

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Some(Cow::Owned(beginning(text).to_owned())))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Some(Cow::Borrowed(beginning(text))))
            }
        }
        deserializer.deserialize_any(Any).map(Truncated)
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(PROFILE_NAME_BYTES_MAX)]
}

impl<'de> Deserialize<'de> for NamedSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Option<BTreeMap<String, Value>>;
            forgiving!(None; bool str);

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                let mut room = PROFILE_SETTINGS_BYTES_MAX;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let settings = map.next_value::<&'de RawValue>()?.get();
                    let name_bytes = name.len() + NAME_BYTES;
                    if settings == "null" || name_bytes > room {
                        continue;
                    }
                    room -= name_bytes;
                    let bytes = JsonScan::of(settings.as_bytes()).tree_bytes();
                    let value = match bytes <= room && settings.len() <= room {
                        true => serde_json::from_str(settings).unwrap_or_default(),
                        false => Value::Object(Default::default()),
                    };
                    if value != Value::Object(Default::default()) {
                        room -= bytes;
                    }
                    kept.insert(name.into_owned(), value);
                }
                Ok(Some(kept))
            }
        }
        deserializer.deserialize_any(Any).map(NamedSettings)
    }
}

/// What a name takes besides its bytes.
const NAME_BYTES: usize = 128;
