//! What an editor is told of a policy that stands in a configuration file: what may stand in place of a table.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{Need, Preset};

impl JsonSchema for Need {
    fn schema_name() -> Cow<'static, str> {
        "Need".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "\"anyone\" who was let in, \"nobody\", a scope, several with spaces between them (all of them), \
                            or a list (one of them).",
            "anyOf": [
                {"enum": ["anyone", "nobody"]},
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
            ],
        })
    }
}

/// A policy by one word.
pub(super) fn or_a_preset(schema: &mut Schema) {
    let words = [Preset::Open, Preset::ReadOnly, Preset::Closed];
    let words: Vec<&str> = words.into_iter().map(Preset::word).collect();
    or(schema, json!({"enum": words}));
}

/// The same for everything that can be done with a resource.
pub(super) fn or_a_need(schema: &mut Schema) {
    or(schema, json!({"$ref": "#/definitions/Need"}));
}

/// What is said of the table is said of both.
fn or(schema: &mut Schema, other: Value) {
    let description = schema.remove("description");
    let table = std::mem::take(schema).to_value();
    schema.insert("anyOf".to_owned(), json!([other, table]));
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
}
