//! The scan against the tree that it stands for, and against a reader of one byte at a time.

use serde_json::Value;

use super::*;
use crate::wire::properties;

const TEXTS: [&str; 16] = [
    "",
    "1",
    "{}",
    "[[]]",
    r#"{"[":["]]",{"\\":[]}]}"#,
    r#"["\"[[",[[]],{}]"#,
    r#""\\\"[{""#,
    r#"[[1],[[2]],"]"]"#,
    r#"{"a":{"b":{"c":[1,2,3,{"d":"\u005b[[["}]}}}"#,
    r#"[{"":0},{"":0},{"":0}]"#,
    "[1,2.5e3,-0,true,false,null]",
    " [ 1 , 2 ] ",
    r#""ends in a backslash\"#,
    r#"{"not":"closed"#,
    "]]]}}}[",
    "[[[[[[[[[[",
];

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn a_depth_that_is_not_the_trees() {
    let trees = TEXTS
        .iter()
        .filter_map(|text| Some((text, serde_json::from_str(text).ok()?)));
    for (text, tree) in trees {
        assert_eq!(
            JsonScan::of(text.as_bytes()).deepest,
            depth_of(&tree),
            "{text}"
        );
    }
}

#[test]
fn a_text_that_is_another_when_it_arrives_in_pieces() {
    for text in TEXTS {
        properties::json_scan(text.as_bytes());
    }
}

#[test]
fn a_few_bytes_that_are_hundreds_in_a_tree() {
    let bytes = |text: &str| JsonScan::of(text.as_bytes()).tree_bytes();
    let objects = format!("[{}0]", r#"{"":0},"#.repeat(1000));
    assert!((700_000..900_000).contains(&bytes(&objects)));
    let numbers = format!("[{}0]", "1,".repeat(1000));
    assert!((60_000..70_000).contains(&bytes(&numbers)));
    let text = format!("\"{}\"", "[{,:".repeat(1000));
    assert!((4000..4100).contains(&bytes(&text)));
    assert!(bytes(" 12345678901234567890 ") < 100);
}

#[test]
fn what_is_past_a_bound() {
    let bounds = JsonBounds {
        depth_max: 2,
        tree_bytes_max: 1000,
    };
    let check = |text: &str| JsonScan::of(text.as_bytes()).check(&bounds);
    assert_eq!(check("[[1,2,3]]"), Ok(()));
    assert_eq!(check("[[[]]]"), Err(TooMuch::Depth));
    assert_eq!(check("[{},{}]"), Err(TooMuch::Tree));
}
