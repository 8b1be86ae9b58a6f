//! What holds for whatever a client sends as `Last-Event-ID`: the body of a fuzz target. Panics when it does not hold.

use super::event_id::EventId;

/// A text that parses as an event id is what the id emits, to the letter. True if it is one.
pub fn event_id(input: &[u8]) -> bool {
    let Some(id) = std::str::from_utf8(input).ok().and_then(EventId::parse) else {
        return false;
    };
    assert_eq!(id.text().as_bytes(), input);
    true
}
