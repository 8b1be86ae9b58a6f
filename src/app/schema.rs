//! JSON Schemas (2020-12) of Rust types, by schemars: of what a type is read from ([`schema_of`], for arguments), and
//! of what it is written as ([`output_schema_of`], for answers).

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::mcp::types::{JsonObject, PromptArgument};

/// The schema of a tool's arguments: of a type that is an object in JSON, a struct with named fields or a map.
///
/// An `Option` is a field that may be absent, and is not offered `null`: several clients and models take no list of
/// types. The type's doc comment becomes the schema's description, a field's that of the property.
///
/// ```
/// #[derive(schemars::JsonSchema)]
/// struct Search {
///     /// What to look for.
///     query: String,
///     limit: Option<u32>,
/// }
///
/// let schema = pinfold::app::schema_of::<Search>();
/// assert_eq!(schema["properties"]["limit"]["type"], "integer");
/// assert_eq!(schema["required"], serde_json::json!(["query"]));
/// ```
///
/// # Panics
/// If the type is not an object: MCP's arguments always are.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> JsonObject {
    let schema = SchemaSettings::draft2020_12().into_generator();
    let Value::Object(mut schema) = schema.into_root_schema_for::<T>().to_value() else {
        panic!("{} has no properties", T::schema_name());
    };
    // An enum of objects has its type in each branch; the specification wants it at the root.
    let object = schema.entry("type").or_insert_with(|| json!("object"));
    assert!(object == "object", "{} is not an object", T::schema_name());
    simplify_optional(&mut schema);
    name_properties(&mut schema);
    schema
}

/// The schema of what a tool answers, as serde writes the type: a field that is always written is required, and an
/// `Option` may be `null` (`#[serde(skip_serializing_if = "Option::is_none")]` leaves it out instead). `None` for a type
/// that can be anything, as [`serde_json::Value`] can: there is nothing to declare.
///
/// It may be of any type. Clients up to 2025-11-25 know objects only: a tool that answers anything else is declared
/// to them as one that answers `{"result": …}`, and so is its answer.
///
/// ```
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Found {
///     title: String,
///     author: Option<String>,
/// }
///
/// let schema = pinfold::app::output_schema_of::<Found>().unwrap();
/// assert_eq!(schema["required"], serde_json::json!(["title", "author"]));
/// assert_eq!(schema["properties"]["author"]["type"], serde_json::json!(["string", "null"]));
/// ```
#[must_use]
pub fn output_schema_of<T: JsonSchema>() -> Option<JsonObject> {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let Value::Object(mut schema) = generator.into_root_schema_for::<T>().to_value() else {
        return None;
    };
    let says_anything = |key: &String| !matches!(key.as_str(), "$schema" | "title" | "description");
    if !schema.keys().any(says_anything) {
        return None;
    }
    if !schema.contains_key("type") && is_union_of_objects(&schema) {
        schema.insert("type".to_owned(), json!("object"));
    }
    name_properties(&mut schema);
    Some(schema)
}

/// An enum whose every variant is an object: so is the whole, and older clients want it said at the root.
fn is_union_of_objects(schema: &JsonObject) -> bool {
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"));
    let branches = branches.and_then(Value::as_array);
    branches.is_some_and(|branches| branches.iter().all(|branch| branch["type"] == "object"))
}

/// A property may be anything: `{}` says it as `true` does, and official clients refuse a tool for `true`.
fn name_properties(schema: &mut JsonObject) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for property in properties.values_mut() {
        if let Value::Bool(anything) = property {
            *property = match anything {
                true => json!({}),
                false => json!({ "not": {} }),
            };
        }
    }
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
