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
    simplify_optional(&mut schema);
    schema
}

/// An optional field may be absent, so its schema need not offer `null` as well: several clients and models
/// take no list of types, and an `x-mcp-header` parameter must have one type. `null` is still read as absent.
fn simplify_optional(schema: &mut JsonObject) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| {
        let names = required.as_array();
        names.is_some_and(|names| names.iter().any(|other| other == name))
    };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            if let Some(kind) = one_type_or_null(property).filter(|_| !is_required(name)) {
                property["type"] = kind;
            }
            if let Value::Object(nested) = property {
                simplify_optional(nested);
            }
        }
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        let definitions = definitions.values_mut();
        definitions
            .filter_map(Value::as_object_mut)
            .for_each(simplify_optional);
    }
}

fn one_type_or_null(property: &Value) -> Option<Value> {
    match property.get("type")?.as_array()?.as_slice() {
        [kind, null] if null == "null" => Some(kind.clone()),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(dead_code, reason = "only its schema is used")]
    #[derive(JsonSchema)]
    struct Search {
        query: String,
        /// How many at most.
        limit: Option<u32>,
        #[schemars(extend("x-mcp-header" = "Region"))]
        region: Option<String>,
        inner: Option<Inner>,
    }

    #[allow(dead_code, reason = "only its schema is used")]
    #[derive(JsonSchema)]
    struct Inner {
        note: Option<String>,
    }

    #[test]
    fn optional_fields_have_one_type() {
        let schema = Value::Object(schema_of::<Search>());
        let kind = |path: &str| schema.pointer(path).unwrap().clone();
        assert_eq!(kind("/properties/query/type"), "string");
        assert_eq!(kind("/properties/limit/type"), "integer");
        assert_eq!(kind("/properties/region/type"), "string");
        assert_eq!(kind("/properties/region/x-mcp-header"), "Region");
        assert_eq!(kind("/$defs/Inner/properties/note/type"), "string");
    }

    #[test]
    #[should_panic(expected = "is not an object")]
    fn arguments_are_never_a_list() {
        let _ = schema_of::<Vec<u8>>();
    }
}
