//! How contents reach an application from outside of a request: what `POST /publish` carries for `board`.

/// What a publisher puts at a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub mime_type: Option<String>,
    /// A name and a description for `resources/list`; the URI stands in for a missing name.
    pub name: Option<String>,
    pub description: Option<String>,
    pub body: Body,
}

/// Text, or bytes that travel as base64 (`blob`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Text(String),
    Blob(Vec<u8>),
}

/// What a write changed, and so which notifications it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The list of resources has a new entry, or one less, or a changed one.
    pub list: bool,
    /// The resource's contents are different now.
    pub contents: bool,
}

/// Why a write was not taken; the store is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRefused {
    /// No room for so many bytes.
    Full,
    /// One entry may not be as large as this.
    TooLarge,
    /// This URI is not the application's to hold.
    WrongUri,
}

/// An application's door for contents from outside. Shared by all threads; called off the hot path.
pub trait ContentStore: Send + Sync {
    /// Puts contents at a URI, or takes the resource away.
    ///
    /// # Errors
    /// [`StoreRefused`], and nothing has changed.
    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused>;
}
