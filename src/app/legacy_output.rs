//! Structured answers for clients up to 2025-11-25. Their `structuredContent` is an object, and their `outputSchema` has
//! `"type": "object"` at its root (schema of 2025-06-18 and 2025-11-25). 2026-07-28 takes any JSON there.
//!
//! To these clients a tool whose schema has another root answers `{"result": …}`. The official SDKs do the same
//! (SEP-2106), so a client finds the same value whichever server it asks.

use serde_json::{Map, Value, json};

use crate::mcp::types::{CallToolResult, JsonObject, Tool};

/// Where the schema of the value is within that of the object.
const VALUE: &str = "#/properties/result";

/// Whether the answers of a tool with this schema need an object around them.
pub(super) fn wraps(output_schema: &JsonObject) -> bool {
    output_schema.get("type") != Some(&Value::from("object"))
}

/// A tool as an older client may read it.
pub(super) fn tool(mut tool: Tool) -> Tool {
    tool.output_schema = tool.output_schema.map(|schema| match wraps(&schema) {
        true => wrapped(&schema),
        false => schema,
    });
    tool
}

/// An answer as an older client may read it. `wraps`: the tool's schema is declared to it with an object around.
pub(super) fn result(mut result: CallToolResult, wraps: bool) -> CallToolResult {
    result.structured_content = result.structured_content.map(|value| match value {
        Value::Object(_) if !wraps => value,
        value => json!({ "result": value }),
    });
    result
}

fn wrapped(schema: &JsonObject) -> JsonObject {
    let mut inner = schema.clone();
    let dialect = inner.remove("$schema");
    let mut outer = JsonObject::new();
    if let Some(dialect) = dialect {
        outer.insert("$schema".to_owned(), dialect);
    }
    outer.insert("type".to_owned(), json!("object"));
    let value = moved(&Value::Object(inner));
    outer.insert("properties".to_owned(), json!({ "result": value }));
    outer.insert("required".to_owned(), json!(["result"]));
    outer
}

/// A schema that is no longer its document's root: references into it start further down.
fn moved(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => keywords
            .iter()
            .map(moved_keyword)
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(schemas) => schemas.iter().map(moved).collect(),
        other => other.clone(),
    }
}

fn moved_keyword((keyword, value): (&String, &Value)) -> (String, Value) {
    let value = match (keyword.as_str(), value) {
        ("$ref" | "$dynamicRef", Value::String(place)) => match place.strip_prefix('#') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{VALUE}{rest}").into()
            }
            _ => value.clone(),
        },
        // Values, not schemas.
        ("const" | "enum" | "default" | "examples", _) => value.clone(),
        // By names that are the author's: `const` may be one of them.
        (
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
            Value::Object(named),
        ) => {
            let named = named.iter();
            named
                .map(|(name, schema)| (name.clone(), moved(schema)))
                .collect::<Map<_, _>>()
                .into()
        }
        _ => moved(value),
    };
    (keyword.clone(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_follow_the_schema_that_moved() {
        let Value::Object(schema) = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/Node" }, { "$ref": "#" }],
            "$defs": { "Node": { "properties": {
                "const": { "$ref": "#/$defs/Node" },
                "kind": { "const": { "$ref": "#" } },
            } } },
        }) else {
            unreachable!("it is an object")
        };
        assert_eq!(
            Value::Object(wrapped(&schema)),
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": { "result": {
                    "anyOf": [
                        { "type": "null" },
                        { "$ref": "#/properties/result/$defs/Node" },
                        { "$ref": "#/properties/result" },
                    ],
                    "$defs": { "Node": { "properties": {
                        "const": { "$ref": "#/properties/result/$defs/Node" },
                        "kind": { "const": { "$ref": "#" } },
                    } } },
                } },
                "required": ["result"],
            })
        );
    }
}
