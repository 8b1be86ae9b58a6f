//! JSON Schemas (2020-12) of Rust types, by schemars.

use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::mcp::types::{JsonObject, PromptArgument};

/// The schema of a type that is an object in JSON: a struct with named fields, or a map.
///
/// # Panics
/// If the type is not an object: MCP's arguments always are.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> JsonObject {
    let Value::Object(mut schema) = schemars::schema_for!(T).to_value() else {
        panic!("{} has no properties", T::schema_name());
    };
    // An enum of objects has its type in each branch; the specification wants it at the root.
    let object = schema.entry("type").or_insert_with(|| json!("object"));
    assert!(object == "object", "{} is not an object", T::schema_name());
    schema
}

/// A prompt's arguments as a type's schema describes them.
pub(super) fn prompt_arguments_of<T: JsonSchema>() -> Vec<PromptArgument> {
    let schema = schema_of::<T>();
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|other| other == name))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| PromptArgument {
            name: name.clone(),
            title: None,
            description: property["description"].as_str().map(str::to_owned),
            required: Some(required(name)),
        })
        .collect()
}
