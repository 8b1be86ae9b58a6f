//! What many types share: names and versions, roles, annotations, levels, pages.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Any JSON object.
pub type JsonObject = Map<String, Value>;

/// `_meta` of a definition or a result.
pub type Meta = JsonObject;

/// What a client chose to recognise a request's progress by: a string or an integer, given back as it came.
pub type ProgressToken = Box<RawValue>;

/// The name and version of a client or server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Implementation {
    /// For programs, and for people if there is no title.
    pub name: String,
    /// A name for people, where `name` is for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// In any scheme of its author's.
    pub version: String,
    /// What it is and is good for, in words for people and models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Pictures of it for a user interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_url: Option<String>,
}

impl Implementation {
    /// Of this name and version, and nothing more.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Implementation {
            name: name.into(),
            version: version.into(),
            ..Self::default()
        }
    }

    /// Gives it a name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Says what it is and is good for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// A picture for a user interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Icon {
    /// `https:` or `data:`.
    pub src: String,
    /// The media type, such as `text/plain`, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// `48x48`, or `any`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<String>,
    /// `light` or `dark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, or whoever acts for one.
    User,
    /// The model.
    Assistant,
}

/// Whom a content is for, and how much it matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// For whom it is. Empty: for everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Role>,
    /// 0 (may be left out) to 1 (needed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// The severities of RFC 5424, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggingLevel {
    /// For whoever looks for a fault.
    Debug,
    /// All is well.
    Info,
    /// All is well, and worth to be known.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A part of the server does not work.
    Critical,
    /// Somebody has to act at once.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LoggingLevel {
    /// Each level's name, by its severity.
    pub const NAMES: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];

    /// As it stands on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The severity of the level of this name.
    #[must_use]
    pub fn severity_of(name: &str) -> Option<u8> {
        let index = Self::NAMES.iter().position(|&it| it == name)?;
        u8::try_from(index).ok()
    }

    /// The name of a level's severity.
    pub(crate) fn name_of(severity: u8) -> Option<&'static str> {
        Self::NAMES.get(usize::from(severity)).copied()
    }

    /// 0 debug … 7 emergency.
    #[must_use]
    pub const fn severity(self) -> u8 {
        self as u8
    }
}

/// A page of a list: the first, or the one that a result's `nextCursor` names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaginatedRequest {
    /// The `nextCursor` of an earlier result. None: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What serde would also take from a list, since it keeps it aside first: an enum with its tag inside.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let members = JsonObject::deserialize(deserializer)?;
    T::deserialize(Value::Object(members)).map_err(D::Error::custom)
}

/// `null` is a value like any other, and not what is absent.
pub(super) fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// Takes `null` for what is absent: some clients write `"arguments": null`.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_has_one_name_for_serde_and_another_for_us() {
        for (severity, name) in (0..).zip(LoggingLevel::NAMES) {
            let level: LoggingLevel = serde_json::from_value(Value::from(name)).expect("a level");
            assert_eq!((level.severity(), level.name()), (severity, name));
            assert_eq!(LoggingLevel::severity_of(name), Some(severity));
        }
        assert_eq!(LoggingLevel::severity_of("Debug"), None);
    }
}
