//! How contents reach an application from outside of a request: what `POST /publish` carries for `board`.

use serde::{Deserialize, Serialize};

use super::topic::Topic;
pub use crate::wire::uri::NotAUri;
use crate::wire::uri::normal;

/// What a publisher puts at a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Contents {
    /// The media type, such as `text/plain`.
    pub mime_type: Option<String>,
    /// A name and a description for `resources/list`; the URI stands in for a missing name.
    pub name: Option<String>,
    /// What it is, for `resources/list`.
    pub description: Option<String>,
    /// The contents themselves.
    pub body: Body,
}

/// Text, or bytes that travel as base64 (`blob`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// UTF-8.
    Text(String),
    /// Bytes, as they are before base64.
    Blob(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// What a write changed, and so which notifications it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The list of resources has a new entry, or one less, or a changed one.
    pub list: bool,
    /// The resource's contents are different now.
    pub contents: bool,
}

impl Change {
    /// Nothing is different.
    pub const NONE: Change = Change {
        list: false,
        contents: false,
    };

    /// What one write and another changed together.
    #[must_use]
    pub const fn and(self, other: Change) -> Change {
        Change {
            list: self.list || other.list,
            contents: self.contents || other.contents,
        }
    }

    /// Nothing, if that was done.
    #[must_use]
    pub const fn unless(self, done: bool) -> Change {
        if done { Change::NONE } else { self }
    }

    /// The topics to publish.
    #[must_use]
    pub fn topics(self, uri: &str) -> Vec<Topic> {
        let resource = self.contents.then(|| Topic::Resource(uri.into()));
        let list = self.list.then_some(Topic::Resources);
        list.into_iter().chain(resource).collect()
    }
}

/// Why a write was not taken; the store is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreRefused {
    /// No room for so many bytes.
    Full,
    /// One entry may not be as large as this.
    TooLarge,
    /// This URI is not the application's to hold.
    WrongUri,
    /// The store panicked.
    Failed,
}

/// An application's door for contents from outside. Shared by all threads; called off the hot path.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::ops::Bound;
/// use std::sync::Mutex;
///
/// use pinfold::app::contents::{Body, Change, Contents, ContentStore, StoreRefused};
///
/// /// Keeps everything, at whatever URI.
/// #[derive(Default)]
/// struct Shelf(Mutex<BTreeMap<Box<str>, Contents>>);
///
/// impl ContentStore for Shelf {
///     fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused> {
///         let mut shelf = self.0.lock().unwrap();
///         let (was, is) = (shelf.get(uri).cloned(), contents.clone());
///         match contents {
///             Some(contents) => shelf.insert(uri.into(), contents),
///             None => shelf.remove(uri),
///         };
///         Ok(Change { list: was.is_some() != is.is_some(), contents: was != is })
///     }
///
///     fn check(&self, _: &str, _: Option<&Contents>) -> Result<(), StoreRefused> {
///         Ok(())
///     }
///
///     fn get(&self, uri: &str) -> Option<Contents> {
///         self.0.lock().unwrap().get(uri).cloned()
///     }
///
///     fn uris_after(&self, uri: Option<&str>, count: usize) -> Vec<Box<str>> {
///         let shelf = self.0.lock().unwrap();
///         let after = uri.map_or(Bound::Unbounded, Bound::Excluded);
///         shelf.range::<str, _>((after, Bound::Unbounded)).take(count).map(|(uri, _)| uri.clone()).collect()
///     }
/// }
///
/// let soup = Contents { mime_type: None, name: None, description: None, body: Body::Text("soup".into()) };
/// let shelf = Shelf::default();
/// assert!(shelf.put("shelf://lunch", Some(soup.clone())).unwrap().list);
/// // Equal contents are no change, and nobody is notified.
/// assert_eq!(shelf.put("shelf://lunch", Some(soup)), Ok(Change::NONE));
/// ```
pub trait ContentStore: Send + Sync {
    /// The spelling by which contents are kept and published: every other method takes this one only. A normal form (RFC
    /// 3986, 6.2.2), and its own spelling.
    ///
    /// # Errors
    /// [`NotAUri`]
    fn own_uri(&self, uri: &str) -> Result<Box<str>, NotAUri> {
        Ok(normal(uri)?.into())
    }

    /// Puts contents at a URI, or takes the resource away.
    ///
    /// # Errors
    /// [`StoreRefused`], and nothing has changed.
    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused>;

    /// Whether [`put`](ContentStore::put) would take this now.
    ///
    /// # Errors
    /// [`StoreRefused`], as it would say.
    fn check(&self, uri: &str, contents: Option<&Contents>) -> Result<(), StoreRefused>;

    /// What is at this very URI.
    fn get(&self, uri: &str) -> Option<Contents>;

    /// The first URIs after this one, in order.
    fn uris_after(&self, uri: Option<&str>, count: usize) -> Vec<Box<str>>;
}
