//! `elicitation/create`: a server asks the user, with a form or by sending them to a URL.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JsonObject, Meta};

/// The two modes; a form carries no `mode`, so that clients before 2025-11-25 understand it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ElicitRequest {
    /// A form to fill in.
    Form(FormRequest),
    /// A page to visit.
    Url(UrlRequest),
}

/// A form for the user, which the client shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormRequest {
    /// What the user is asked.
    pub message: String,
    /// The fields.
    pub requested_schema: ElicitSchema,
}

/// A page where the user does something that the client must not see, such as a payment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UrlRequest {
    /// Always `url`.
    mode: &'static str,
    /// Why the user should go there.
    pub message: String,
    /// Where that is.
    pub url: String,
    /// Required in 2025-11-25, where it is filled in if it is absent here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elicitation_id: Option<String>,
}

impl ElicitRequest {
    /// Asks the user to fill in a form.
    #[must_use]
    pub fn form(message: impl Into<String>, schema: ElicitSchema) -> Self {
        ElicitRequest::Form(FormRequest {
            message: message.into(),
            requested_schema: schema,
        })
    }

    /// For what must not pass through the client: credentials, payment, consent elsewhere.
    #[must_use]
    pub fn url(message: impl Into<String>, url: impl Into<String>) -> Self {
        ElicitRequest::Url(UrlRequest {
            mode: "url",
            message: message.into(),
            url: url.into(),
            elicitation_id: None,
        })
    }

    /// Whether an answer says all that was asked: an accepted form has its fields.
    #[must_use]
    pub fn is_answered_by(&self, answer: &ElicitResult) -> bool {
        match self {
            ElicitRequest::Form(form) if answer.is_accepted() => {
                let fields = answer.content.clone().unwrap_or_default();
                form.requested_schema.accepts(&fields)
            }
            _ => true,
        }
    }
}

/// A form: a flat object of primitive fields, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ElicitSchema {
    fields: Vec<(String, Value)>,
    required: Vec<String>,
}

impl ElicitSchema {
    /// A form without fields: a question of yes or no.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field that may stay empty; `schema` is one of the specification's primitive schemas.
    #[must_use]
    pub fn optional(mut self, name: impl Into<String>, schema: Value) -> Self {
        self.fields.push((name.into(), schema));
        self
    }

    /// A field that must be filled in.
    #[must_use]
    pub fn required(mut self, name: impl Into<String>, schema: Value) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.optional(name, schema)
    }

    /// A line of text.
    #[must_use]
    pub fn string(self, name: impl Into<String>) -> Self {
        self.required(name, json!({ "type": "string" }))
    }

    /// Yes or no.
    #[must_use]
    pub fn boolean(self, name: impl Into<String>) -> Self {
        self.required(name, json!({ "type": "boolean" }))
    }

    /// A whole number.
    #[must_use]
    pub fn integer(self, name: impl Into<String>) -> Self {
        self.required(name, json!({ "type": "integer" }))
    }

    /// A number.
    #[must_use]
    pub fn number(self, name: impl Into<String>) -> Self {
        self.required(name, json!({ "type": "number" }))
    }

    /// One of these.
    #[must_use]
    pub fn choice(self, name: impl Into<String>, options: &[&str]) -> Self {
        self.required(name, json!({ "type": "string", "enum": options }))
    }

    /// Whether a filled-in form has every required field, and each field the type it was asked for.
    #[must_use]
    pub fn accepts(&self, content: &JsonObject) -> bool {
        let complete = self.required.iter().all(|name| content.contains_key(name));
        let typed = |(name, schema): &(String, Value)| {
            content
                .get(name)
                .is_none_or(|value| has_type(value, schema["type"].as_str()))
        };
        complete && self.fields.iter().all(typed)
    }
}

fn has_type(value: &Value, expected: Option<&str>) -> bool {
    match expected {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer" | "number") => value.is_number(),
        Some("array") => value.is_array(),
        _ => true,
    }
}

impl Serialize for ElicitSchema {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "object")?;
        map.serialize_entry("properties", &RequestedFields(&self.fields))?;
        map.serialize_entry("required", &self.required)?;
        map.end()
    }
}

struct RequestedFields<'a>(&'a [(String, Value)]);

impl Serialize for RequestedFields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
    }
}

/// What the user did with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElicitAction {
    /// The user agreed, and filled in the form if it was one.
    Accept,
    /// The user said no.
    Decline,
    /// The user went away without an answer.
    Cancel,
}

impl ElicitAction {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ElicitAction::Accept => "accept",
            ElicitAction::Decline => "decline",
            ElicitAction::Cancel => "cancel",
        }
    }
}

/// What the user answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElicitResult {
    /// Whether it is an answer at all.
    pub action: ElicitAction,
    /// The form's fields, if the user accepted a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<JsonObject>,
    /// `_meta`: what programs add, under keys with a prefix of their own.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitResult {
    /// The user agreed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.action == ElicitAction::Accept
    }

    /// The fields of an accepted form.
    #[must_use]
    pub fn accepted(&self) -> Option<&JsonObject> {
        self.content.as_ref().filter(|_| self.is_accepted())
    }

    /// A text field of an accepted form.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.accepted()?.get(field)?.as_str()
    }

    /// The accepted form as a Rust type; `None` if the user did not accept.
    ///
    /// # Errors
    /// The fields do not fit `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        if !self.is_accepted() {
            return Ok(None);
        }
        let fields = self.content.clone().unwrap_or_default();
        serde_json::from_value(Value::Object(fields)).map(Some)
    }
}
