//! What clients subscribe to.

use std::borrow::Cow;

use crate::wire::uri::normal;

/// What changed, in the words of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The contents of the resource at this URI.
    Resource(Box<str>),
}

impl Topic {
    /// By the normal form of its URI. What is none stays as it is: nobody can have subscribed to it.
    #[must_use]
    pub fn normal(self) -> Topic {
        match &self {
            Topic::Resource(uri) => match normal(uri) {
                Ok(Cow::Owned(normal)) => Topic::Resource(normal.into()),
                _ => self,
            },
            Topic::Tools | Topic::Prompts | Topic::Resources => self,
        }
    }
}
