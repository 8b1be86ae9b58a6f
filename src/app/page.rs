//! Pages of a list: what an [`App`](super::App) whose lists are long cuts them with.
//!
//! A cursor names the last entry that was given, so it stays good when the list changes.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Error;

/// What leads every cursor before encoding: a cursor of anything else is refused, not guessed at.
const PREFIX: &str = "after:";

/// The cursor of the page that begins after the entry with this key.
#[must_use]
pub fn cursor_after(key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{PREFIX}{key}"))
}

/// The key that a client's cursor names: of the last entry that it was given.
///
/// # Errors
/// -32602: the cursor was not made here.
pub fn key_of(cursor: &str) -> Result<String, Error> {
    let key = BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(PREFIX).map(str::to_owned));
    key.ok_or_else(|| Error::invalid_params("Invalid cursor"))
}

/// One page of a list whose order is fixed, and the next page's cursor.
///
/// ```
/// use pinfold::app::page;
///
/// let names = ["ann", "bob", "cid"];
/// let (first, next) = page(&names, |name| name, None, 2)?;
/// assert_eq!(first, ["ann", "bob"]);
/// let (second, next) = page(&names, |name| name, next.as_deref(), 2)?;
/// assert_eq!((second, next), (&["cid"][..], None));
/// # Ok::<(), pinfold::app::Error>(())
/// ```
///
/// A list that is kept in order elsewhere (a database, a `BTreeMap`) needs no slice: [`key_of`] says after which entry a
/// page begins, and [`cursor_after`] makes the next cursor.
///
/// # Errors
/// -32602: the cursor was not made here, or its entry is gone.
pub fn page<'a, T>(
    entries: &'a [T],
    key: impl Fn(&T) -> &str,
    cursor: Option<&str>,
    size: usize,
) -> Result<(&'a [T], Option<String>), Error> {
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            let last = key_of(cursor)?;
            let index = entries.iter().position(|entry| key(entry) == last);
            index.ok_or_else(|| Error::invalid_params("Invalid cursor"))? + 1
        }
    };
    let end = entries.len().min(start + size);
    let page = &entries[start..end];
    let next = page.last().filter(|_| end < entries.len());
    Ok((page, next.map(|entry| cursor_after(key(entry)))))
}

/// Of a list that is always one page.
///
/// # Errors
/// -32602: there is a cursor, and none was given out.
pub fn no_cursor(cursor: Option<&str>) -> Result<(), Error> {
    match cursor {
        None => Ok(()),
        Some(_) => Err(Error::invalid_params("Invalid cursor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_a_list_once() {
        let entries = ["a", "b", "c", "d", "e"];
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = page(&entries, |entry| entry, cursor.as_deref(), 2).unwrap();
            seen.extend_from_slice(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, entries);
    }

    #[test]
    fn a_full_last_page_has_no_successor() {
        let (page, next) = page(&["a", "b"], |entry| entry, None, 2).unwrap();
        assert_eq!((page.len(), next), (2, None));
    }

    #[test]
    fn a_made_up_cursor_is_invalid_params() {
        for cursor in ["", "2", "YWZ0ZXI6eg", "YWZ0ZXI6", "\u{e9}", "after:a"] {
            let refused = page(&["a", "b"], |entry| entry, Some(cursor), 1);
            assert!(matches!(refused, Err(Error::Rpc(error)) if error.code == -32602));
        }
    }
}
