//! What may be called a URI here.

/// `scheme:…` (RFC 3986 section 3.1), with room for the non-ASCII characters that clients send unescaped.
#[must_use]
pub fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && !rest
            .chars()
            .any(|char| char.is_whitespace() || char.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_resource_is_not_called() {
        for uri in ["board://lunch", "a:b", "x-y.z+1:\u{e9}"] {
            assert!(is_uri(uri), "{uri}");
        }
        for wrong in [
            "", ":", "a:", "lunch", "1a:b", "a b:c", "a:b c", "a:b\n", "\u{e9}:a",
        ] {
            assert!(!is_uri(wrong), "{wrong}");
        }
    }
}
