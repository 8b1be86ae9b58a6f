//! Reading what a client sent as a Rust type: structs from objects only, and faults in words for the author of that
//! client, who knows JSON and the place in it, but no type of ours.

use serde::de::{Deserialize, DeserializeOwned};
use serde_json::Value;

use super::objects::Objects;

/// # Errors
/// What is wrong where: `arguments.count: invalid type: string "2", expected an integer`.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    let mut source = serde_json::Deserializer::from_str(json);
    let read = T::deserialize(Objects(&mut source));
    match read.and_then(|value| source.end().map(|()| value)) {
        Ok(value) => Ok(value),
        // Where it is wrong is only looked for if it is.
        Err(fault) => {
            let mut source = serde_json::Deserializer::from_str(json);
            let again = serde_path_to_error::deserialize::<_, T>(Objects(&mut source));
            Err(match again {
                Ok(_) => plain(&fault.to_string()),
                Err(fault) => placed(&fault),
            })
        }
    }
}

/// # Errors
/// As [`read`].
pub(crate) fn read_value<T: DeserializeOwned>(json: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(Objects(json)).map_err(|fault| placed(&fault))
}

fn placed(fault: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let words = plain(&fault.inner().to_string());
    match fault.path().iter().len() {
        0 => words,
        _ => format!("{}: {words}", fault.path()),
    }
}

/// serde's sentence without what only a reader of our sources understands.
fn plain(fault: &str) -> String {
    // Lines and columns are those of a piece of the body that the client never saw.
    let fault = match fault.rsplit_once(" at line ") {
        Some((fault, place)) if place.contains(" column ") => fault,
        _ => fault,
    };
    if fault.contains("untagged enum") {
        return "this has none of the forms that are allowed here".to_owned();
    }
    let (found, expected) = fault.split_once(", expected ").unwrap_or((fault, ""));
    let found = found
        .replacen("invalid type: map", "invalid type: object", 1)
        .replacen("invalid type: sequence", "invalid type: array", 1)
        .replacen("unknown variant", "unknown value", 1);
    match expected {
        "" => found,
        expected => format!("{found}, expected {}", plain_kind(expected)),
    }
}

fn plain_kind(expected: &str) -> &str {
    let first = expected.split(' ').next().unwrap_or(expected);
    match first {
        "i8" => "an integer from -128 to 127",
        "i16" => "an integer from -32768 to 32767",
        "i32" => "an integer from -2147483648 to 2147483647",
        "i64" | "i128" | "isize" => "an integer",
        "u8" => "an integer from 0 to 255",
        "u16" => "an integer from 0 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "u64" | "u128" | "usize" => "an integer that is not negative",
        "f32" | "f64" => "a number",
        "unit" => "null",
        "option" => "a value or null",
        "struct" | "map" | "internally" | "adjacently" => "an object",
        "tuple" | "sequence" => "an array",
        "enum" => "one of the values that are allowed here",
        _ if expected == "a map" => "an object",
        _ if expected == "a sequence" || expected.starts_with("a tuple") => "an array",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Inner {
        count: u32,
        ratio: f64,
        size: Option<i64>,
    }

    #[derive(Debug, serde::Deserialize)]
    enum Choice {
        Plain,
        Whole { inner: Inner },
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        #[expect(dead_code, reason = "only made")]
        Inner(Inner),
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Outer<'a> {
        inner: Inner,
        some: Option<Inner>,
        many: Vec<Inner>,
        named: BTreeMap<String, Inner>,
        choice: Option<Choice>,
        either: Option<Either>,
        pair: (u8, bool),
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
    }

    #[test]
    fn a_list_taken_for_an_object() {
        for wrong in [
            "[]",
            r#"[{"count":1}]"#,
            r#"{"inner":[1,2,3]}"#,
            r#"{"some":[1,2,3]}"#,
            r#"{"many":[[1,2,3]]}"#,
            r#"{"named":{"a":[1,2,3]}}"#,
            r#"{"choice":{"Whole":[{"count":1}]}}"#,
            r#"{"choice":{"Whole":{"inner":[1,2,3]}}}"#,
        ] {
            let fault = read::<Outer<'_>>(wrong).expect_err(wrong);
            assert!(
                fault.ends_with("invalid type: array, expected an object"),
                "{wrong}: {fault}"
            );
        }
    }

    #[test]
    fn what_is_right_is_refused() {
        let right = r#"{"inner":{"count":1,"ratio":0.5},"some":{"size":-1},"many":[{}],"named":{"a":{}},
            "choice":{"Whole":{"inner":{}}},"either":"text","pair":[1,true],"raw":[1, {"a":2}]}"#;
        let read = read::<Outer<'_>>(right).expect("all of it is right");
        assert_eq!((read.inner.count, read.inner.ratio), (1, 0.5));
        assert_eq!(read.some.and_then(|some| some.size), Some(-1));
        assert_eq!(
            (read.many.len(), read.named.len(), read.pair),
            (1, 1, (1, true))
        );
        assert!(matches!(read.choice, Some(Choice::Whole { inner }) if inner.count == 0));
        assert!(matches!(read.either, Some(Either::Text(text)) if text == "text"));
        assert_eq!(read.raw.map(RawValue::get), Some(r#"[1, {"a":2}]"#));
        assert!(super::read::<Value>("{} x").is_err());
    }

    #[test]
    fn a_fault_in_the_words_of_our_sources() {
        for (wrong, words) in [
            (
                json!({"inner": 1}),
                "inner: invalid type: integer `1`, expected an object",
            ),
            (
                json!({"inner": {"count": "1"}}),
                "inner.count: invalid type: string \"1\", expected an integer from 0 to 4294967295",
            ),
            (
                json!({"many": [{}, {"ratio": []}]}),
                "many[1].ratio: invalid type: array, expected a number",
            ),
            (
                json!({"many": {}}),
                "many: invalid type: object, expected an array",
            ),
            (
                json!({"some": {"size": true}}),
                "some.size: invalid type: boolean `true`, expected an integer",
            ),
            (
                json!({"pair": 1}),
                "pair: invalid type: integer `1`, expected an array",
            ),
            (
                json!({"choice": "Plane"}),
                "choice: unknown value `Plane`, expected `Plain` or `Whole`",
            ),
            (
                json!({"either": 5}),
                "either: this has none of the forms that are allowed here",
            ),
        ] {
            let text = wrong.to_string();
            assert_eq!(read::<Outer<'_>>(&text).expect_err(words), words);
        }
        #[derive(Debug, serde::Deserialize)]
        struct Needs {
            #[expect(dead_code, reason = "only missed")]
            uri: String,
        }
        let fault = read_value::<Needs>(json!({})).expect_err("it is missing");
        assert_eq!(fault, "missing field `uri`");
        let fault = read_value::<Needs>(json!({"uri": [1]})).expect_err("it is no text");
        assert_eq!(fault, "uri: invalid type: array, expected a string");
    }
}
