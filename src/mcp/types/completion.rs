//! `completion/complete`: suggestions for an argument of a prompt or a resource template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Meta;
use super::common::object;

/// Suggestions for one argument, as a user types it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompleteRequest {
    /// What the argument belongs to.
    #[serde(rename = "ref", deserialize_with = "object")]
    pub reference: Reference,
    /// The argument, and how far the user has come.
    pub argument: ArgumentInfo,
    /// What was chosen for the other arguments (since 2025-06-18).
    #[serde(default)]
    pub context: CompletionContext,
}

/// What the argument belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum Reference {
    /// A prompt.
    #[serde(rename = "ref/prompt")]
    Prompt {
        /// Of the prompt.
        name: String,
    },
    /// A resource template.
    #[serde(rename = "ref/resource")]
    Resource {
        /// The template itself.
        uri: String,
    },
}

/// An argument that is being typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentInfo {
    /// The argument's name.
    pub name: String,
    /// What the user has typed so far.
    pub value: String,
}

/// What a suggestion may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionContext {
    /// The other arguments by name, as far as they are chosen.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

/// What `completion/complete` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompleteResult {
    /// The suggestions.
    pub completion: Completion,
    /// `_meta`: what programs add, under keys with a prefix of their own.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// Suggestions, the best ones first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// At most [`Completion::VALUES_MAX`].
    pub values: Vec<String>,
    /// How many there are altogether, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// There are more than these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
}

impl Completion {
    /// The specification's limit for one answer.
    pub const VALUES_MAX: usize = 100;

    /// The first values that fit into an answer, with `total` and `hasMore` told truthfully.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        let total = values.len();
        values.truncate(Self::VALUES_MAX);
        Completion {
            has_more: Some(total > values.len()),
            total: Some(total as u64),
            values,
        }
    }
}

impl From<Completion> for CompleteResult {
    fn from(completion: Completion) -> Self {
        CompleteResult {
            completion,
            meta: None,
        }
    }
}
