//! What tools answer and declare, as clients of either era may read it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{NoArguments, Structured, Toolkit, output_schema_of, schema_of};
use crate::mcp::types::{CallToolResult, Tool};
use crate::testing::{TestClient, TestServer};

#[derive(Serialize, JsonSchema)]
struct Found {
    title: String,
    author: Option<String>,
    shelf: Option<Shelf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    extra: Value,
}

#[derive(Serialize, JsonSchema)]
struct Shelf {
    row: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind")]
enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Serialize, JsonSchema)]
struct Node {
    children: Vec<Node>,
}

fn found() -> Found {
    Found {
        title: "Emma".to_owned(),
        author: None,
        shelf: Some(Shelf { row: None }),
        note: None,
        extra: json!([1, null]),
    }
}

fn answering() -> TestServer {
    let node = || Node {
        children: vec![Node { children: vec![] }],
    };
    TestServer::new(
        Toolkit::new("t", "1")
            .tool("found", "", |_: NoArguments, _| async {
                Structured(found())
            })
            .tool("list", "", |_: NoArguments, _| async {
                Ok(Structured(vec![found()]))
            })
            .tool("none", "", |_: NoArguments, _| async {
                Structured(None::<Found>)
            })
            .tool("count", "", |_: NoArguments, _| async { Structured(7) })
            .tool("shape", "", |_: NoArguments, _| async {
                [
                    Structured(Shape::Circle { radius: 1.0 }),
                    Structured(Shape::Square { side: 1.0 }),
                ]
                .into_iter()
                .next_back()
                .expect("one of two")
            })
            .tool("names", "", |_: NoArguments, _| async {
                Structured(BTreeMap::from([("a", 1_u8)]))
            })
            .tool("trees", "", move |_: NoArguments, _| async move {
                Structured(vec![node()])
            })
            .tool("anything", "", |_: NoArguments, _| async {
                Structured(json!([1]))
            }),
    )
}

/// What is wrong with a value by a schema, as far as the schemas of these tests go.
fn fault(value: &Value, schema: &Value, root: &Value) -> Option<String> {
    if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
        let schema = root
            .pointer(&place[1..])
            .expect("a reference leads somewhere");
        return fault(value, schema, root);
    }
    for union in ["anyOf", "oneOf"] {
        let branches = schema.get(union).and_then(Value::as_array);
        if branches.is_some_and(|it| it.iter().all(|branch| fault(value, branch, root).is_some())) {
            return Some(format!("{value} is none of {union}"));
        }
    }
    let is = |kind: &Value| match kind.as_str().expect("a type's name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("no test uses {other}"),
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(is),
        Some(kind) => is(kind),
    };
    if !fits {
        return Some(format!("{value} is not {}", schema["type"]));
    }
    let required = schema.get("required").and_then(Value::as_array);
    let missing = required
        .into_iter()
        .flatten()
        .find(|name| value.get(name.as_str().expect("a name")).is_none());
    if let Some(name) = missing {
        return Some(format!("{name} is missing"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut inner = properties
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| fault(value.get(name)?, schema, root));
    let items = value.as_array().into_iter().flatten();
    let mut items = items.filter_map(|item| fault(item, schema.get("items")?, root));
    inner.next().or_else(|| items.next())
}

fn answer(client: &TestClient, tool: &Tool) -> Value {
    let result = client.call_tool(&tool.name, json!({})).expect("an answer");
    let value = result.structured_content.expect("it is structured");
    if let Some(schema) = tool.output_schema.clone() {
        let schema = Value::Object(schema);
        assert_eq!(
            fault(&value, &schema, &schema),
            None,
            "{}: {schema:#}",
            tool.name
        );
    }
    value
}

/// The schemas of 2025-06-18 and 2025-11-25: `structuredContent` is an object, `outputSchema` has its type at the root,
/// and the official clients refuse a property whose schema is no object.
#[test]
fn a_structured_answer_that_an_older_client_refuses() {
    let client = answering().legacy();
    for tool in client.list_tools().expect("a list") {
        let schema = tool.output_schema.clone();
        assert_eq!(schema.is_none(), tool.name == "anything");
        let properties = schema.as_ref().map(|schema| {
            assert_eq!(schema["type"], "object", "{}", tool.name);
            schema
                .get("properties")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        });
        assert!(
            properties
                .unwrap_or_default()
                .values()
                .all(Value::is_object),
            "{}",
            tool.name
        );
        let value = answer(&client, &tool);
        let is_wrapped = ["list", "none", "count", "trees", "anything"].contains(&&*tool.name);
        assert!(value.is_object(), "{}: {value}", tool.name);
        assert_eq!(value.get("result").is_some(), is_wrapped, "{}", tool.name);
    }
}

/// 2026-07-28: any JSON, and any schema.
#[test]
fn a_structured_answer_is_itself_to_a_client_of_today() {
    let client = answering().modern();
    let tools = client.list_tools().expect("a list");
    let values: BTreeMap<_, _> = tools
        .iter()
        .map(|tool| (&*tool.name, answer(&client, tool)))
        .collect();
    assert_eq!(values["list"][0]["title"], "Emma");
    assert_eq!(values["none"], Value::Null);
    assert_eq!(values["count"], 7);
    assert_eq!(
        values["trees"],
        json!([{ "children": [{ "children": [] }] }])
    );
    assert_eq!(values["anything"], json!([1]));
    let schema = |name: &str| {
        let tool = tools
            .iter()
            .find(|tool| tool.name == name)
            .expect("it is listed");
        Value::from(tool.output_schema.clone())
    };
    assert_eq!(schema("list")["type"], "array");
    assert_eq!(
        schema("found")["required"],
        json!(["title", "author", "shelf", "extra"])
    );
}

/// An object is one in both eras, but the tool may be declared to answer something else as well.
#[test]
fn an_object_in_the_place_of_a_wrapped_answer() {
    let server = TestServer::new(Toolkit::new("t", "1").tool(
        "maybe",
        "",
        |_: NoArguments, _| async { Structured(Some(found())) },
    ));
    let [legacy, modern] = server.both_eras();
    let value = |client: &TestClient| answer(client, &client.list_tools().expect("a list")[0]);
    assert_eq!(value(&legacy)["result"]["title"], "Emma");
    assert_eq!(value(&modern)["title"], "Emma");
}

#[test]
fn a_tools_author_knows_better_than_its_type() {
    let schema = output_schema_of::<BTreeMap<String, u8>>().expect("an object");
    let tool = Tool::new("t", "").output_schema(schema.clone());
    let app = Toolkit::new("t", "1").add_tool(tool, |_: NoArguments, _| async {
        Structured(json!({ "a": 1 }))
    });
    let tools = TestServer::new(app).modern().list_tools().expect("a list");
    assert_eq!(tools[0].output_schema.as_ref(), Some(&schema));
}

#[test]
fn a_failure_has_no_structure() {
    let app = Toolkit::new("t", "1").tool("fails", "", |_: NoArguments, _| async {
        Err::<Structured<Found>, _>("no luck".into())
    });
    for client in TestServer::new(app).both_eras() {
        let result = client.call_tool("fails", json!({})).expect("a result");
        assert_eq!(result, CallToolResult::error("no luck"));
    }
}

#[test]
fn a_comment_of_ours_that_describes_everybodys_tool() {
    let schema = Value::Object(schema_of::<NoArguments>());
    assert_eq!(schema["type"], "object");
    assert_eq!(schema.get("description"), None);
}
