//! Names in Redis that are not this node's spelling of a URI: of nodes of an older version, and of other programs.
//!
//! The hash keeps what an older node stored under the name that it has there, since that node asks for it by that
//! name; this node shows it under its own. Of what the hash has under several names the newest counts, and what is
//! taken away is so under all of them. Everything else in the bus is by this node's spelling.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Bus;
use super::ask::{CONTENTS_AT_ONCE, FoundValue};
use super::entry::{Entry, MalformedEntry};
use crate::wire::uri::{mended, normal};

/// Names of one resource besides its own: more than anybody makes up who does not want to find out.
const OTHERS_MAX: usize = 15;

/// Names in the hash that are not this node's, by this node's: seldom any.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Spellings {
    others: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Spellings {
    pub(super) fn has(&self, uri: &str) -> bool {
        self.others.contains_key(uri)
    }

    pub(super) fn others(&self, uri: &str) -> Vec<Box<str>> {
        self.others.get(uri).cloned().unwrap_or_default()
    }

    /// False: there is no room for it.
    fn add(&mut self, uri: &str, name: &str) -> bool {
        let names = self.others.entry(uri.into()).or_default();
        if names.iter().any(|it| **it == *name) {
            return true;
        }
        let has_room = names.len() < OTHERS_MAX;
        if has_room {
            names.push(name.into());
        }
        has_room
    }

    fn remove(&mut self, uri: &str, name: &str) {
        if let Some(names) = self.others.get_mut(uri) {
            names.retain(|it| **it != *name);
            if names.is_empty() {
                self.others.remove(uri);
            }
        }
    }

    /// What Redis has of each resource, by whichever name; names that it does not have are forgotten.
    pub(super) fn settle(
        &mut self,
        wanted: WantedValues,
        values: Vec<FoundValue>,
    ) -> Vec<(Box<str>, FoundValue)> {
        let mut values = values.into_iter();
        let mut settled = Vec::new();
        for (uri, others) in wanted.resources {
            let mut found = values.next().unwrap_or_default();
            for (name, other) in others.iter().zip(values.by_ref()) {
                if other.value.is_none() {
                    self.remove(&uri, name);
                }
                found = found.or_newer(other);
            }
            settled.push((uri, found));
        }
        settled
    }
}

/// Resources that Redis is asked for, each by all of its names.
#[derive(Debug, Default)]
pub(super) struct WantedValues {
    resources: Vec<(Box<str>, Vec<Box<str>>)>,
    names: usize,
}

impl WantedValues {
    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.names < CONTENTS_AT_ONCE
    }

    pub(super) fn contains(&self, uri: &str) -> bool {
        self.resources.iter().any(|(own, _)| **own == *uri)
    }

    pub(super) fn add(&mut self, uri: &str, spellings: &Spellings) {
        let others = spellings.others(uri);
        self.names += 1 + others.len();
        self.resources.push((uri.into(), others));
    }

    pub(super) fn names(&self) -> Vec<Box<str>> {
        let names = self.resources.iter();
        let names = names.flat_map(|(uri, others)| std::iter::once(uri).chain(others));
        names.cloned().collect()
    }
}

impl Bus {
    /// This node's spelling; `None`: it is no URI, and nothing to encode would help.
    fn own_uri(&self, uri: &str) -> Option<Box<str>> {
        let own = |uri: &str| match &self.store {
            Some(store) => store.own_uri(uri).ok(),
            None => normal(uri).ok().map(Box::from),
        };
        own(uri).or_else(|| own(&mended(uri).ok()?))
    }

    /// As [`own_uri`](Bus::own_uri), of a name in the hash.
    pub(super) fn own_uri_of_stored(&mut self, name: &str) -> Option<Box<str>> {
        let own = self.own_uri(name).filter(|_| !has_space(name))?;
        self.note_name(&own, name);
        Some(own)
    }

    /// The hash has this resource by this name, or may have it: it is asked for by that, too.
    pub(super) fn note_name(&mut self, uri: &str, name: &str) {
        let is_other = *uri != *name && self.store.is_some() && !has_space(name);
        if is_other && !self.spellings.add(uri, name) {
            self.refuse_value(name);
        }
    }

    /// Of an entry, which may be an older node's, as this node spells it.
    ///
    /// # Errors
    /// [`MalformedEntry`]
    pub(super) fn in_own_words(&self, entry: Entry) -> Result<Entry, MalformedEntry> {
        let news = entry.news.renamed(|uri| {
            let own = self.own_uri(&uri);
            let own = own.ok_or(MalformedEntry(
                "uri is no URI (RFC 3986), such as board://lunch",
            ))?;
            match own.len() > self.uri_bytes_max {
                true => Err(MalformedEntry("uri is too long once it is encoded")),
                false => Ok(own),
            }
        })?;
        Ok(Entry { news, ..entry })
    }
}

/// The scripts part names by spaces, and no node ever let one in.
fn has_space(name: &str) -> bool {
    name.contains(|it: char| it.is_ascii_whitespace())
}
