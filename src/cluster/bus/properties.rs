//! What holds for whatever somebody adds to the bus: the body of a fuzz target. Panics when it does not hold.

use super::entry::{Author, Entry, EntryField, emit, parse};
use super::id::EntryId;
use crate::limits::Limits;

/// The fields of an entry, names and values in turn with a NUL between them, are read or refused; what was read, added
/// again by a node, is read as the same. True if it was read.
pub fn entry(input: &[u8]) -> bool {
    id(input);
    let parts: Vec<&[u8]> = input.split(|&byte| byte == 0).collect();
    let fields: Vec<(&[u8], &[u8])> = parts
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let uri_bytes_max = Limits::default().uri_bytes_max;
    let Ok(Entry { author, news }) = parse(&fields, uri_bytes_max) else {
        return false;
    };
    let author = author.unwrap_or_else(|| Author {
        process: "node-a.1".into(),
        number: 7,
    });
    let emitted = emit(&author, &news);
    let again: Vec<(&[u8], &[u8])> = emitted.iter().map(as_bytes).collect();
    let expected = Entry {
        author: Some(author.clone()),
        news: news.clone(),
    };
    assert_eq!(parse(&again, uri_bytes_max), Ok(expected));
    true
}

fn as_bytes<'a>((name, value): &'a EntryField<'_>) -> (&'a [u8], &'a [u8]) {
    (name.as_bytes(), value)
}

/// An id that was read is written as one that reads the same, and the next one is later in both its order and its offset.
fn id(input: &[u8]) {
    let Some(id) = EntryId::parse(input) else {
        return;
    };
    assert_eq!(EntryId::parse(id.to_string().as_bytes()), Some(id));
    let next = id.next();
    assert!(next > id || id.ms == u64::MAX);
    assert!(next.offset() >= id.offset() || next < id);
}
