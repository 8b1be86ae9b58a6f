//! `Mcp-Param-*`: arguments of a tool call that the client mirrors into header fields, so that proxies can route
//! on them. Header and body must say the same (2026-07-28, streamable HTTP, "Custom Headers from Tool Parameters").

use serde_json::Value;

use super::call::Headers;
use crate::mcp::RpcError;
use crate::mcp::types::JsonObject;
use crate::wire::header_value::matches_body;

/// What leads a parameter's name, as [`Headers`] has it.
const PREFIX: &str = "mcp-param-";

/// Compares the header fields with the arguments, parameter by annotated parameter.
///
/// # Errors
/// The first header that is missing, unreadable, doubled, or says something else.
pub(super) fn check(
    input_schema: &JsonObject,
    arguments: &JsonObject,
    headers: &Headers,
) -> Result<(), RpcError> {
    let Some(Value::Object(properties)) = input_schema.get("properties") else {
        return Ok(());
    };
    for (property, schema) in properties {
        let argument = arguments.get(property).filter(|value| !value.is_null());
        if let Some(Value::String(name)) = schema.get("x-mcp-header") {
            check_one(name, argument, headers)?;
        }
        // Only chains of `properties` lead to annotated parameters.
        if let Value::Object(nested) = schema {
            let nothing = JsonObject::new();
            let inner = argument.and_then(Value::as_object).unwrap_or(&nothing);
            check(nested, inner, headers)?;
        }
    }
    Ok(())
}

/// The parameters that a schema mirrors into headers: each property's schema and its header's name.
fn annotated<'a>(schema: &'a JsonObject, found: &mut Vec<(&'a Value, &'a Value)>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for property in properties.into_iter().flat_map(JsonObject::values) {
        if let Some(name) = property.get("x-mcp-header") {
            found.push((property, name));
        }
        if let Value::Object(nested) = property {
            annotated(nested, found);
        }
    }
}

/// Clients leave a tool with a wrong annotation out of their list, silently; so whoever writes one is told.
///
/// # Panics
/// If a name is no token or occurs twice, or a parameter is not a string, integer or boolean.
pub(super) fn assert_valid(tool: &str, input_schema: &JsonObject) {
    let mut found = Vec::new();
    annotated(input_schema, &mut found);
    let mut names = Vec::new();
    for (property, name) in found {
        let name = name.as_str().unwrap_or_default().to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        assert!(
            !name.is_empty() && name.bytes().all(token),
            "{tool}: an x-mcp-header is a header's name, not {name:?}"
        );
        assert!(
            ["string", "integer", "boolean"].contains(&property["type"].as_str().unwrap_or("")),
            "{tool}: x-mcp-header {name} is on a parameter that is no string, integer or boolean"
        );
        assert!(
            !names.contains(&name),
            "{tool}: x-mcp-header {name} is there twice"
        );
        names.push(name);
    }
}

fn check_one(name: &str, argument: Option<&Value>, headers: &Headers) -> Result<(), RpcError> {
    let mismatch = |what: &str| RpcError::header_mismatch(format!("Mcp-Param-{name} {what}"));
    let is_its = |header: &str| {
        let parameter = header.strip_prefix(PREFIX);
        parameter.is_some_and(|it| it.eq_ignore_ascii_case(name))
    };
    let mut sent = headers.iter().filter(|(header, _)| is_its(header));
    let header = sent.next();
    if sent.next().is_some() {
        return Err(mismatch("occurs more than once"));
    }
    match (header, argument) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(mismatch("is missing, but the body has a value")),
        (Some(_), None) => Err(mismatch("has a value, but the body has none")),
        (Some((_, value)), Some(argument)) => {
            if !value.bytes().all(is_field_byte) {
                return Err(mismatch("has invalid characters"));
            }
            match matches_body(value.trim_matches([' ', '\t']), argument) {
                Ok(true) => Ok(()),
                Ok(false) => Err(mismatch("does not match the value in the body")),
                Err(bad) => Err(mismatch(bad.sentence())),
            }
        }
    }
}

/// Visible ASCII, space and tab ("Value Encoding").
fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(arguments: Value, headers: &[(&str, &str)]) -> Result<(), i32> {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "limits": { "type": "object", "properties": {
                "rows": { "type": "integer", "x-mcp-header": "Rows" },
                "dry": { "type": "boolean", "x-mcp-header": "Dry" },
            } },
            "query": { "type": "string" },
        } });
        let named = headers
            .iter()
            .map(|(name, value)| (format!("Mcp-Param-{name}"), *value));
        let named: Vec<_> = named.collect();
        let fields = named.iter().map(|(name, value)| (name.as_str(), *value));
        let headers = Headers::of(fields, 0, false);
        let (Value::Object(schema), Value::Object(arguments)) = (schema, arguments) else {
            unreachable!("both are objects")
        };
        check(&schema, &arguments, &headers).map_err(|error| error.code)
    }

    const MISMATCH: Result<(), i32> = Err(RpcError::HEADER_MISMATCH);

    #[test]
    fn a_value_and_its_header_agree() {
        let body = json!({ "region": "us-west1", "query": "q" });
        assert_eq!(checked(body.clone(), &[("region", "us-west1")]), Ok(()));
        assert_eq!(checked(body.clone(), &[("region", " us-west1\t")]), Ok(()));
        let encoded = "=?base64?dXMtd2VzdDE=?=";
        assert_eq!(checked(body, &[("region", encoded)]), Ok(()));
    }

    #[test]
    fn a_header_is_missing_or_says_something_else() {
        let body = json!({ "region": "us-west1" });
        assert_eq!(checked(body.clone(), &[]), MISMATCH);
        assert_eq!(checked(body.clone(), &[("region", "US-WEST1")]), MISMATCH);
        assert_eq!(
            checked(body, &[("region", "us-west1"), ("region", "us-west1")]),
            MISMATCH
        );
    }

    #[test]
    fn nothing_is_expected_for_null_or_absent_values() {
        assert_eq!(checked(json!({ "region": null }), &[]), Ok(()));
        assert_eq!(checked(json!({}), &[]), Ok(()));
        assert_eq!(checked(json!({ "limits": null }), &[]), Ok(()));
        assert_eq!(checked(json!({}), &[("region", "us-west1")]), MISMATCH);
    }

    #[test]
    fn unknown_param_headers_are_nobodys_business() {
        assert_eq!(checked(json!({}), &[("query", "x")]), Ok(()));
    }

    #[test]
    fn broken_base64_and_forbidden_characters() {
        let body = json!({ "region": "Hello" });
        assert_eq!(
            checked(body.clone(), &[("region", "=?base64?SGVsbG8=?=")]),
            Ok(())
        );
        for broken in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "H\u{e9}llo"] {
            assert_eq!(checked(body.clone(), &[("region", broken)]), MISMATCH);
        }
    }

    #[test]
    fn without_the_whole_wrapper_a_value_is_literal() {
        for literal in ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?base64?="] {
            let body = json!({ "region": literal });
            assert_eq!(checked(body, &[("region", literal)]), Ok(()));
        }
    }

    #[test]
    #[should_panic(expected = "is there twice")]
    fn two_parameters_with_one_header() {
        let Value::Object(schema) = json!({ "properties": {
            "a": { "type": "string", "x-mcp-header": "Region" },
            "b": { "properties": { "c": { "type": "integer", "x-mcp-header": "REGION" } } },
        } }) else {
            unreachable!("it is an object")
        };
        assert_valid("tool", &schema);
    }

    #[test]
    #[should_panic(expected = "no string, integer or boolean")]
    fn a_header_for_a_fraction() {
        let Value::Object(schema) = json!({ "properties": {
            "a": { "type": "number", "x-mcp-header": "A" },
        } }) else {
            unreachable!("it is an object")
        };
        assert_valid("tool", &schema);
    }

    #[test]
    fn nested_numbers_and_booleans() {
        let body = json!({ "limits": { "rows": 42, "dry": true } });
        for rows in ["42", "42.0"] {
            let sent = [("rows", rows), ("dry", "true")];
            assert_eq!(checked(body.clone(), &sent), Ok(()));
        }
        assert_eq!(
            checked(body.clone(), &[("rows", "42"), ("dry", "True")]),
            MISMATCH
        );
        assert_eq!(checked(body, &[("dry", "true")]), MISMATCH);
        let large = json!({ "limits": { "rows": 9_007_199_254_740_993_u64 } });
        for (rows, agrees) in [("9007199254740993", Ok(())), ("9007199254740992", MISMATCH)] {
            assert_eq!(checked(large.clone(), &[("rows", rows)]), agrees);
        }
    }
}
