//! The entries of a board, by URI, and the room they take. A write takes effect whole or not at all. A full board refuses and
//! never evicts: `docs/decisions/0011-the-board-refuses.md`.
//!
//! Invariant: `bytes` is the sum of the entries' sizes, at most `limits.bytes_max`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::SCHEME;
use crate::app::contents::{Body, Change, ContentStore, Contents, StoreRefused};
use crate::mcp::types::Resource;
use crate::wire::uri::{NotAUri, normal};

/// What a board holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoardLimits {
    /// All entries together, their URIs and descriptions included.
    pub bytes_max: usize,
    /// One entry. Clients put what they read into a model's context: a megabyte is more than most can take.
    pub entry_bytes_max: usize,
    /// Entries; a list of as many is 1,000 pages.
    pub entries_max: usize,
    /// A URI. As much as clients may subscribe to.
    pub uri_bytes_max: usize,
}

impl Default for BoardLimits {
    fn default() -> Self {
        BoardLimits {
            bytes_max: 256 * 1024 * 1024,
            entry_bytes_max: 1024 * 1024,
            entries_max: 100_000,
            uri_bytes_max: crate::limits::Limits::default().uri_bytes_max,
        }
    }
}

/// Entries of which it is asked whether somebody may know of them, for one request: about a millisecond, in which writers wait.
/// A tenant that is one of many gets pages in which little is, and a client goes on to the next.
pub(super) const LOOKED_AT_MAX: usize = 4096;

pub(super) struct Store {
    limits: BoardLimits,
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    by_uri: BTreeMap<Box<str>, Arc<Contents>>,
    bytes: usize,
}

impl Store {
    pub(super) fn new(limits: BoardLimits) -> Self {
        Store {
            limits,
            entries: RwLock::default(),
        }
    }

    /// A page of those entries that are shown, in the order of their URIs, and after which one the next page begins. It may be
    /// short, or empty, where hardly any is shown.
    pub(super) fn list(
        &self,
        after: Option<&str>,
        count: usize,
        is_shown: impl Fn(&str) -> bool,
    ) -> (Vec<Resource>, Option<String>) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.read_lock();
        let mut rest = entries.by_uri.range::<str, _>((start, Bound::Unbounded));
        let (mut page, mut last) = (Vec::new(), None);
        for (uri, contents) in rest.by_ref().take(LOOKED_AT_MAX) {
            last = Some(uri);
            if is_shown(uri) {
                page.push(listed(uri, contents));
            }
            if page.len() == count {
                break;
            }
        }
        let last = last.filter(|_| rest.next().is_some());
        (page, last.map(ToString::to_string))
    }

    /// The first URIs with this beginning, and how many there are.
    pub(super) fn starting_with(&self, beginning: &str, count: usize) -> (Vec<String>, usize) {
        let entries = self.read_lock();
        let mut matching = entries.beginning_with(beginning);
        let first: Vec<String> = matching.by_ref().take(count).map(str::to_owned).collect();
        let total = first.len() + matching.count();
        (first, total)
    }

    /// The first URIs with this beginning that are shown, and whether that may not be all: no more than some are looked at.
    pub(super) fn shown_with(
        &self,
        beginning: &str,
        count: usize,
        is_shown: impl Fn(&str) -> bool,
    ) -> (Vec<String>, bool) {
        let entries = self.read_lock();
        let mut matching = entries.beginning_with(beginning);
        let looked_at = matching.by_ref().take(LOOKED_AT_MAX);
        let mut shown = looked_at.filter(|uri| is_shown(uri));
        let first = shown.by_ref().take(count).map(str::to_owned).collect();
        let more = shown.next().is_some() || matching.next().is_some();
        (first, more)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Entries> {
        // A writer changes nothing before its last check, so what it left when it panicked is whole.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContentStore for Store {
    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        own_uri(uri)
    }

    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused> {
        if !is_ours(uri, self.limits.uri_bytes_max) {
            return Err(StoreRefused::WrongUri);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match contents {
            Some(contents) => entries.insert(uri, contents, &self.limits),
            None => Ok(entries.remove(uri)),
        }
    }

    fn check(&self, uri: &str, contents: Option<&Contents>) -> Result<(), StoreRefused> {
        if !is_ours(uri, self.limits.uri_bytes_max) {
            return Err(StoreRefused::WrongUri);
        }
        contents.map_or(Ok(()), |contents| {
            let sizes = self.read_lock().bytes_with(uri, contents, &self.limits);
            sizes.map(drop)
        })
    }

    fn get(&self, uri: &str) -> Option<Contents> {
        let contents = self.read_lock().by_uri.get(uri).map(Arc::clone);
        contents.map(Arc::unwrap_or_clone)
    }

    fn uris_after(&self, uri: Option<&str>, count: usize) -> Vec<Box<str>> {
        let start = uri.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.read_lock();
        let rest = entries.by_uri.range::<str, _>((start, Bound::Unbounded));
        rest.take(count).map(|(uri, _)| uri.clone()).collect()
    }
}

impl Entries {
    fn beginning_with<'e>(&'e self, beginning: &'e str) -> impl Iterator<Item = &'e str> {
        let from = (Bound::Included(beginning), Bound::Unbounded);
        let matching = self.by_uri.range::<str, _>(from).map(|(uri, _)| &**uri);
        matching.take_while(move |uri| uri.starts_with(beginning))
    }

    fn insert(
        &mut self,
        uri: &str,
        contents: Contents,
        limits: &BoardLimits,
    ) -> Result<Change, StoreRefused> {
        self.bytes = self.bytes_with(uri, &contents, limits)?;
        let old = self.by_uri.get(uri);
        let change = change(old.map(|old| &**old), &contents);
        self.by_uri.insert(uri.into(), Arc::new(contents));
        Ok(change)
    }

    /// What all entries take once these contents are there.
    fn bytes_with(
        &self,
        uri: &str,
        contents: &Contents,
        limits: &BoardLimits,
    ) -> Result<usize, StoreRefused> {
        let old = self.by_uri.get(uri);
        let size = size(uri, contents);
        if size > limits.entry_bytes_max {
            return Err(StoreRefused::TooLarge);
        }
        let old_size = old.map_or(0, |old| self::size(uri, old));
        let bytes = self.bytes - old_size + size;
        if bytes > limits.bytes_max || (old.is_none() && self.by_uri.len() >= limits.entries_max) {
            return Err(StoreRefused::Full);
        }
        Ok(bytes)
    }

    fn remove(&mut self, uri: &str) -> Change {
        let old = self.by_uri.remove(uri);
        if let Some(old) = &old {
            self.bytes -= size(uri, old);
        }
        Change {
            list: old.is_some(),
            contents: old.is_some(),
        }
    }
}

/// What a write is worth telling: the list shows everything but the body itself.
fn change(old: Option<&Contents>, new: &Contents) -> Change {
    let Some(old) = old else {
        return Change {
            list: true,
            contents: true,
        };
    };
    let heading = |contents: &Contents| {
        (
            contents.mime_type.clone(),
            contents.name.clone(),
            contents.description.clone(),
        )
    };
    Change {
        list: heading(old) != heading(new),
        contents: old.body != new.body || old.mime_type != new.mime_type,
    }
}

/// The normal form, in which a slash is one however it came: clients that fill a template in encode a whole path, and
/// no two entries of a board differ in this alone. RFC 3986 leaves that to whoever makes up the URIs.
pub(super) fn own_uri(uri: &str) -> Result<Box<str>, NotAUri> {
    let (scheme, path) = uri.split_once(':').ok_or(NotAUri::NoScheme)?;
    let is_ours = SCHEME.strip_suffix("://") == Some(&*scheme.to_ascii_lowercase());
    if is_ours && (path.contains("%2F") || path.contains("%2f")) {
        let decoded = path.replace("%2F", "/").replace("%2f", "/");
        return Ok(normal(&format!("{scheme}:{decoded}"))?.into());
    }
    Ok(normal(uri)?.into())
}

/// In the board's own spelling.
fn is_ours(uri: &str, bytes_max: usize) -> bool {
    let path = uri.strip_prefix(SCHEME);
    let is_own = || own_uri(uri).is_ok_and(|own| &*own == uri);
    uri.len() <= bytes_max && path.is_some_and(|path| !path.is_empty()) && is_own()
}

/// Bytes an entry takes; the allocator's own are not counted.
fn size(uri: &str, contents: &Contents) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    uri.len()
        + body_size(&contents.body)
        + optional(&contents.mime_type)
        + optional(&contents.name)
        + optional(&contents.description)
}

fn body_size(body: &Body) -> usize {
    match body {
        Body::Text(text) => text.len(),
        Body::Blob(bytes) => bytes.len(),
    }
}

fn listed(uri: &str, contents: &Contents) -> Resource {
    let name = contents.name.as_deref().unwrap_or(uri);
    let mut resource = Resource::new(uri, name);
    resource.description.clone_from(&contents.description);
    resource.mime_type.clone_from(&contents.mime_type);
    resource
}
