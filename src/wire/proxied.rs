//! Whether a request came through a proxy: what proxies add to a head on its way, and clients do not.
//!
//! Anybody may write these fields: what follows from them must be harmless whoever wrote them.

use super::HeadView;

/// `Via` and `Forwarded` (RFC 9110, 7.6.3; RFC 7239), and what was there before them and is used by most.
const FIELDS: [&str; 2] = ["via", "forwarded"];
const PREFIX: &str = "x-forwarded-";

#[must_use]
pub fn came_through_proxy(request: &HeadView<'_>) -> bool {
    request.fields().any(|(name, _)| is_of_a_proxy(name))
}

fn is_of_a_proxy(name: &str) -> bool {
    let begins = name.as_bytes().get(..PREFIX.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(PREFIX.as_bytes()))
        || FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_write_and_clients_do_not() {
        for name in ["Via", "Forwarded", "X-Forwarded-For", "x-forwarded-proto"] {
            assert!(is_of_a_proxy(name), "{name}");
        }
        for name in ["Viable", "X-Forwarded", "Pinfold-Forwarded", "Host", "X-"] {
            assert!(!is_of_a_proxy(name), "{name}");
        }
    }
}
