//! Where a page of the sessions of all nodes ends, in one word: a place for each node. Nobody is to make anything of it.
//!
//! A node that did not answer keeps the place that it had. One that is not named begins at its beginning: what it has comes
//! later than its order would have it, and nothing of it is left out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::merge::MergedRow;
use crate::admin::node_rows::NodeRows;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AllNodesCursor {
    places: BTreeMap<String, NodePlace>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodePlace {
    /// As the node calls it.
    After(String),
    /// All were shown, so many.
    Done(usize),
}

impl AllNodesCursor {
    pub(super) fn parse(word: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(word).ok()?).ok()?;
        let places = text.split(',').map(|part| {
            let (node, place) = part.split_once(' ')?;
            let place = match place.strip_prefix('=') {
                Some(total) => NodePlace::Done(total.parse().ok()?),
                // It goes into an address.
                None if is_word(place) => NodePlace::After(place.to_owned()),
                None => return None,
            };
            Some((node.to_owned(), place))
        });
        let places = places.collect::<Option<_>>()?;
        Some(AllNodesCursor { places })
    }

    fn word(&self) -> String {
        let parts = self.places.iter().map(|(node, place)| match place {
            NodePlace::After(at) => format!("{node} {at}"),
            NodePlace::Done(total) => format!("{node} ={total}"),
        });
        URL_SAFE_NO_PAD.encode(parts.collect::<Vec<_>>().join(","))
    }

    pub(super) fn place(&self, node: &str) -> Option<&NodePlace> {
        self.places.get(node)
    }

    /// The cursor behind a page, and how many there are on all pages. None: nobody who answered has more.
    pub(super) fn behind(
        mut self,
        parts: &[(&str, NodeRows)],
        page: &[MergedRow<'_>],
    ) -> (Option<String>, usize) {
        let done = self.places.values().map(|place| match place {
            NodePlace::Done(total) => *total,
            NodePlace::After(_) => 0,
        });
        let total = done.sum::<usize>() + parts.iter().map(|(_, it)| it.total).sum::<usize>();
        let mut is_more = false;
        for (part, (node, rows)) in parts.iter().enumerate() {
            let mut shown = page.iter().filter(|it| it.part == part);
            let last = shown.next_back();
            let count = shown.count() + usize::from(last.is_some());
            let place = match last {
                _ if count == rows.rows.len() && !rows.more => NodePlace::Done(rows.total),
                Some(last) => NodePlace::After(last.row.at.clone()),
                None => {
                    is_more = true;
                    continue;
                }
            };
            is_more |= matches!(place, NodePlace::After(_));
            self.places.insert((*node).to_owned(), place);
        }
        (is_more.then(|| self.word()), total)
    }
}

fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_plain)
}
