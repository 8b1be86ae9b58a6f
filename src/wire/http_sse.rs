//! The target of a POST in HTTP+SSE (2024-11-05, transports): its query names the session, in place of a header.

/// The query's name for it. Clients take it as they got it, in the URL of the stream's first event.
pub const SESSION: &str = "sessionId";

/// The sessions that a query names: more than one is more than two parties could agree on.
pub fn sessions_in(query: &str) -> impl Iterator<Item = &str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| *name == SESSION)
        .map(|pair| pair.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_names_no_session_or_two() {
        let named = |query| sessions_in(query).collect::<Vec<_>>();
        assert_eq!(named("sessionId=a.b"), ["a.b"]);
        assert_eq!(named("x=1&sessionId=a.b&y"), ["a.b"]);
        assert_eq!(named("sessionId=a&sessionId=b"), ["a", "b"]);
        for none in [
            "",
            "sessionid=a",
            "sessionId",
            "xsessionId=a",
            "session%49d=a",
        ] {
            assert!(named(none).is_empty(), "{none}");
        }
    }
}
