//! The names in an expression of PromQL: of metrics, and of labels.

use std::collections::BTreeSet;

/// After these comes a list of labels.
const BEFORE_LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const OTHER_WORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) metrics: BTreeSet<String>,
    pub(super) labels: BTreeSet<String>,
}

/// Of an expression that Prometheus can parse.
pub(super) fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expression;
    // In braces, or in the list of an aggregation.
    let mut is_label = false;
    let mut last_word = "";
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => 2 + rest[1..].find('"').expect("a string ends"),
            '[' => 1 + rest.find(']').expect("a range ends"),
            _ if is_of_word(first) => rest.find(|char| !is_of_word(char)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '{' => is_label = true,
            '(' => is_label = BEFORE_LABELS.contains(&last_word),
            '}' | ')' => is_label = false,
            _ if !is_of_word(first) || first.is_ascii_digit() => {}
            _ if is_label => _ = names.labels.insert(token.to_owned()),
            _ if is_metric(token, after) => _ = names.metrics.insert(token.to_owned()),
            _ => {}
        }
        if !first.is_whitespace() {
            last_word = token;
        }
    }
    names
}

fn is_metric(word: &str, after: &str) -> bool {
    let after = after.trim_start();
    let is_function = ["(", "by (", "without ("]
        .iter()
        .any(|it| after.starts_with(it));
    !is_function && !BEFORE_LABELS.contains(&word) && !OTHER_WORDS.contains(&word)
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || ['_', ':', '.'].contains(&char)
}

#[test]
fn a_name_that_is_not_found_in_an_expression() {
    let of = |expression: &str| {
        let names = names(expression);
        let join = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        (join(names.metrics), join(names.labels))
    };
    let pair = |metrics: &str, labels: &str| (metrics.to_owned(), labels.to_owned());
    assert_eq!(of("up == 0"), pair("up", ""));
    assert_eq!(
        of(r#"sum by (job, le) (rate(a_total{kind=~"x|y",z!=""}[5m])) > 0.5"#),
        pair("a_total", "job kind le z")
    );
    assert_eq!(
        of("a:b:rate5m / on (job) c{} and (d > 2 or vector(0))"),
        pair("a:b:rate5m c d", "job")
    );
}
