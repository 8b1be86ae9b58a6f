//! The JSON Schema of a configuration file, for editors: draft 7, which is what they know best.
//!
//! It is made of the options, as `keys` has them, and of the types of `tables`. An editor cannot be told more than the
//! parsers know, and a parser may know more than a schema can say: `pinfold config check` has the last word.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::keys::{OptionKey, ValueKind, keys, tables};
use super::tables::Tables;

/// Of all that a file may say.
#[must_use]
pub fn schema() -> Value {
    schema_with::<Tables>()
}

fn schema_with<T: JsonSchema>() -> Value {
    let keys = keys();
    let of_table = |table: Option<&str>| -> Map<String, Value> {
        let keys = keys.iter().filter(|it| it.table == table);
        keys.map(|it| (it.name.clone(), property(it))).collect()
    };
    let mut properties = of_table(None);
    for table in tables() {
        let mut keys = keys.iter();
        let heading = keys
            .find(|it| it.table == Some(table))
            .map(|it| it.heading.clone());
        let object = object(heading.unwrap_or_default(), of_table(Some(table)));
        properties.insert(table.to_owned(), object);
    }
    let generator = SchemaSettings::draft07().into_generator();
    let mut shaped = generator.into_root_schema_for::<T>();
    if let Some(Value::Object(fields)) = shaped.remove("properties") {
        properties.extend(fields);
    }
    let about = "Configuration of pinfold: `pinfold serve --config FILE`".to_owned();
    let mut schema = object(about, properties);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    if let Some(definitions) = shaped.remove("definitions") {
        schema["definitions"] = definitions;
    }
    schema
}

fn object(about: String, properties: Map<String, Value>) -> Value {
    json!({
        "description": about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(key: &OptionKey) -> Value {
    let value = value(key);
    let mut property = match key.is_list {
        true => json!({"type": "array", "items": value}),
        false => value,
    };
    property["description"] = about(key).into();
    let defaults: Vec<Value> = key.default_texts().iter().map(|it| key.json(it)).collect();
    match (key.is_list, defaults.as_slice()) {
        (true, _) => property["default"] = defaults.into(),
        (false, [one]) => property["default"] = one.clone(),
        (false, _) => {}
    }
    property
}

fn about(key: &OptionKey) -> String {
    let mut about = key.help();
    if let (ValueKind::Size | ValueKind::Time, Some(bounds)) = (key.kind, key.bounds()) {
        about += &format!(
            ". From {} to {}",
            key.spell(bounds.min),
            key.spell(bounds.max)
        );
    }
    if key.kind == ValueKind::Path {
        about += ". A relative path begins at the folder of this file";
    }
    about
}

fn value(key: &OptionKey) -> Value {
    let numbers = || {
        let bounds = key.bounds();
        json!({
            "type": "integer",
            "minimum": bounds.map_or(0, |it| it.min),
            "maximum": bounds.map_or(i64::MAX.unsigned_abs(), |it| it.max),
        })
    };
    match key.kind {
        ValueKind::Flag => json!({"type": "boolean"}),
        ValueKind::Count => numbers(),
        ValueKind::Size => json!({
            "anyOf": [numbers(), {"type": "string", "pattern": "^[0-9]+([KkMmGg][Ii][Bb]|[Bb])?$"}],
        }),
        ValueKind::Time => json!({"type": "string", "pattern": "^[0-9]+([Mm]?[Ss]|[MmHhDd])$"}),
        ValueKind::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
        ValueKind::Path => json!({"type": "string", "minLength": 1}),
        ValueKind::Text => {
            let choices: Vec<String> = key.choices().into_iter().map(|(name, _)| name).collect();
            match choices.as_slice() {
                [] => match key.pattern() {
                    Some(pattern) => json!({"type": "string", "pattern": pattern}),
                    None => json!({"type": "string"}),
                },
                _ => json!({"type": "string", "enum": choices}),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a later version may have it.
    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Shaped {
        policy: Policy,
    }

    /// Who may do what.
    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Policy {
        scope: String,
    }

    #[test]
    fn a_key_that_no_editor_knows() {
        let schema = schema();
        for key in keys() {
            let of_table = match key.table {
                Some(table) => &schema["properties"][table],
                None => &schema,
            };
            let property = &of_table["properties"][&key.name];
            let definition = property["$ref"]
                .as_str()
                .and_then(|it| it.strip_prefix('#'));
            let property = definition.map_or(Some(property), |it| schema.pointer(it));
            let about = property.map(|it| &it["description"]);
            assert!(about.is_some_and(Value::is_string), "{}", key.path());
            assert_eq!(of_table["additionalProperties"], json!(false));
        }
        let cores = &schema["properties"]["cores"];
        assert_eq!(
            (&cores["minimum"], &cores["maximum"]),
            (&json!(1), &json!(512))
        );
        assert_eq!(schema["properties"]["app"]["enum"], json!(["board"]));
    }

    #[test]
    fn a_table_of_a_shape_of_its_own() {
        let schema = schema_with::<Shaped>();
        let named = &schema["properties"]["policy"]["$ref"];
        assert_eq!(named, "#/definitions/Policy");
        let policy = &schema["definitions"]["Policy"];
        assert_eq!(policy["properties"]["scope"]["type"], "string");
        assert!(schema["properties"]["listen"].is_object());
    }
}
