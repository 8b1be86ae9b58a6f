//! What stands in a table stands nowhere else: methods in `src/mcp/methods.rs`, lists in `src/app/topic.rs`, the frame of
//! a JSON-RPC message in `src/wire/rpc_emit.rs`.

use super::{Source, no_faults, sources};

const METHODS: &str = "src/mcp/methods.rs";
const TOPICS: &str = "src/app/topic.rs";
const MESSAGES: &str = "src/wire/rpc_emit.rs";

/// Files with words that a table has, and mean something else by them.
const EXCEPTIONS: [(&str, &str, &str); 4] = [
    (
        "src/mcp/methods.rs",
        "\"tools\"",
        "what stands before a method's slash",
    ),
    ("src/testing/client.rs", "\"tools\"", "members of results"),
    (
        "src/mcp/types/input.rs",
        "\"tools\"",
        "a client's capability",
    ),
    (
        "src/wire/json_rpc.rs",
        "jsonrpc\\\"",
        "what is wrong with a message that was read",
    ),
];

/// The first string of each row: `ToolsList "tools/list" row(…)`.
fn methods(all: &[Source]) -> Vec<String> {
    let table = all.iter().find(|it| it.path == METHODS).expect("a table");
    let rows = table
        .lines()
        .filter(|(_, line)| line.contains(" row(MethodRole::"));
    let methods: Vec<String> = rows
        .map(|(_, row)| row.split('"').nth(1).expect("a row has a name").to_owned())
        .collect();
    assert!(methods.len() > 20, "the rows look different now");
    methods
}

/// Not as a part of a longer word or path.
fn has_word(line: &str, word: &str) -> bool {
    let goes_on = |char: char| char.is_alphanumeric() || char == '_' || char == '/';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(goes_on) && !after.starts_with(goes_on)
    })
}

/// Where a file says a method, a list or the frame of a message by itself.
fn words_of_tables(source: &Source, methods: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in source.lines() {
        let mut find = |table: &str, word: &str| {
            let excepted = |it: &(&str, &str, &str)| it.0 == source.path && word.starts_with(it.1);
            if source.path != table && has_word(line, word) && !EXCEPTIONS.iter().any(excepted) {
                let path = &source.path;
                faults.push(format!("{path}:{number}: {word} stands in {table}"));
            }
        };
        for method in methods {
            match method.contains('/') {
                true => find(METHODS, method),
                false => find(METHODS, &format!("\"{method}\"")),
            }
        }
        // One of the lists is enough to find whoever has them all.
        for list in ["\"tools\"", "toolsListChanged", "resourceSubscriptions"] {
            find(TOPICS, list);
        }
        find(MESSAGES, "jsonrpc\\\"");
        find(MESSAGES, "jsonrpc\":");
    }
    faults
}

#[test]
fn a_method_or_a_list_that_is_known_in_two_places() {
    let all = sources(&["src"]);
    let methods = methods(&all);
    let faults = all.iter().flat_map(|it| words_of_tables(it, &methods));
    no_faults(&faults.collect::<Vec<_>>());
}

#[test]
fn a_rule_on_tables_that_lets_its_fault_pass() {
    let methods = methods(&sources(&["src"]));
    let planted = |text: &str| Source {
        path: "src/shard/planted.rs".into(),
        text: format!("//! A fault.\n{text}\n// tools/call, \"tools\"\n"),
    };
    for text in [
        "let it = \"tools/call\";",
        "\"ping\" => Ok(()),",
        "format!(r#\"{{\"method\":\"notifications/resources/updated\"}}\"#)",
        "#[serde(rename = \"roots/list\")]",
        "(\"tools\", Topic::Tools),",
        "filter[\"toolsListChanged\"] = true;",
        "json!({ \"jsonrpc\": \"2.0\" })",
        "b\"{\\\"jsonrpc\\\":\\\"2.0\\\"}\"",
    ] {
        let faults = words_of_tables(&planted(text), &methods);
        assert!(!faults.is_empty(), "{text}");
    }
    for text in ["let it = RpcMethod::ToolsCall;", "ping();"] {
        let faults = words_of_tables(&planted(text), &methods);
        assert!(faults.is_empty(), "{text}: {faults:?}");
    }
}
