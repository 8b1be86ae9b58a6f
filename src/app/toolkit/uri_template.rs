//! URI templates (RFC 6570) as far as they can be read backwards: literals, `{name}` for one path segment, and
//! `{+name}` for any text. Values are percent-decoded.

use std::collections::BTreeMap;

/// The values that a URI has in the places of its template's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// A variable's value; empty if the template has no such name.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Literal(String),
    Segment(String),
    Rest(String),
}

/// A template that URIs are compared with.
///
/// ```
/// use pinfold::app::UriTemplate;
///
/// let template = UriTemplate::new("notes://{folder}/{+path}");
/// let found = template.matches("notes://home/a%20b/c.md").unwrap();
/// assert_eq!((found.value("folder"), found.value("path")), ("home", "a b/c.md"));
/// assert_eq!(template.matches("notes://home"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate(Vec<TemplatePart>);

impl UriTemplate {
    /// # Panics
    /// If the template has unclosed braces or an operator other than `+`: a mistake of whoever wrote it.
    #[must_use]
    pub fn new(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once('{') {
            let (expression, tail) = after.split_once('}').expect("a brace is closed");
            if !literal.is_empty() {
                parts.push(TemplatePart::Literal(literal.to_owned()));
            }
            let part = match expression.strip_prefix('+') {
                Some(name) => TemplatePart::Rest(name.to_owned()),
                None => TemplatePart::Segment(expression.to_owned()),
            };
            let (TemplatePart::Segment(name) | TemplatePart::Rest(name)) = &part else {
                unreachable!("made above")
            };
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            assert!(plain && !name.is_empty(), "{{{expression}}} is not a name");
            parts.push(part);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Literal(rest.to_owned()));
        }
        UriTemplate(parts)
    }

    /// The values that a URI has in the places of the names. `None`: it is not of this template.
    #[must_use]
    pub fn matches(&self, uri: &str) -> Option<Variables> {
        let mut variables = Variables::default();
        match_parts(&self.0, uri, &mut variables.0).then_some(variables)
    }
}

/// Tries the shortest value of each variable first. The depth is that of the template.
fn match_parts(
    parts: &[TemplatePart],
    uri: &str,
    variables: &mut BTreeMap<String, String>,
) -> bool {
    let Some((part, parts)) = parts.split_first() else {
        return uri.is_empty();
    };
    let (name, whole) = match part {
        TemplatePart::Literal(literal) => {
            let rest = uri.strip_prefix(literal.as_str());
            return rest.is_some_and(|rest| match_parts(parts, rest, variables));
        }
        TemplatePart::Segment(name) => (name, uri.split(['/', '?', '#']).next().unwrap_or("")),
        TemplatePart::Rest(name) => (name, uri),
    };
    if parts.is_empty() {
        let complete = whole.len() == uri.len() && !uri.is_empty();
        return complete && insert(variables, name, uri);
    }
    let ends = whole.char_indices().map(|(index, c)| index + c.len_utf8());
    for end in ends {
        if match_parts(parts, &uri[end..], variables) {
            return insert(variables, name, &uri[..end]);
        }
    }
    false
}

fn insert(variables: &mut BTreeMap<String, String>, name: &str, encoded: &str) -> bool {
    let Some(value) = percent_decode(encoded) else {
        return false;
    };
    variables.insert(name.to_owned(), value);
    true
}

/// `None` if what is encoded is not text. A `%` without two hex digits stands for itself.
pub(in crate::app) fn percent_decode(encoded: &str) -> Option<String> {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes[index] == b'%';
        let digits = hex.then(|| encoded.get(index + 1..index + 3)).flatten();
        let digits = digits.filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(Ok(byte)) = digits.map(|text| u8::from_str_radix(text, 16)) {
            decoded.push(byte);
            index += 3;
        } else {
            decoded.push(bytes[index]);
            index += 1;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(template: &str, uri: &str, name: &str) -> Option<String> {
        let variables = UriTemplate::new(template).matches(uri)?;
        Some(variables.value(name).to_owned())
    }

    #[test]
    fn a_name_stands_for_one_segment() {
        let template = "test://template/{id}/data";
        assert_eq!(
            value(template, "test://template/123/data", "id").as_deref(),
            Some("123")
        );
        assert_eq!(
            value(template, "test://template/a%20b%2Fc/data", "id").as_deref(),
            Some("a b/c")
        );
        for other in [
            "test://template//data",
            "test://template/1/2/data",
            "test://template/1/datas",
            "test://template/%ff/data",
        ] {
            assert_eq!(value(template, other, "id"), None, "{other}");
        }
    }

    #[test]
    fn a_plus_stands_for_any_text() {
        let uri = "file:///a/b?c#d";
        assert_eq!(
            value("file:///{+path}", uri, "path").as_deref(),
            Some("a/b?c#d")
        );
        assert_eq!(value("file:///{path}", uri, "path"), None);
        assert_eq!(value("x:{a}-{b}", "x:1-2-3", "b").as_deref(), Some("2-3"));
    }

    #[test]
    #[should_panic(expected = "is not a name")]
    fn an_operator_that_cannot_be_read_backwards() {
        let _ = UriTemplate::new("test://{?query}");
    }
}
