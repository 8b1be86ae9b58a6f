//! What clients subscribe to: the topics, and how each party calls them. Whoever tells of a change, asks for it, or
//! hands it on, asks this table.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::mcp::RpcMethod;
use crate::wire::uri::normal;

/// What changed, in the words of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// A kind of topic.
#[derive(Debug)]
pub(crate) struct TopicKind {
    /// For publishers: on the admin listener, in entries of Redis and on the command line. A resource has its URI there.
    pub(crate) name: &'static str,
    /// What clients are notified with.
    pub(crate) notification: RpcMethod,
    /// Where the server declares it: a pointer into its capabilities.
    pub(crate) declared: &'static str,
    /// What the params of `subscriptions/listen` call it.
    pub(crate) listen: &'static str,
}

/// The lists. Each has its topic's place in the fan-out.
pub(crate) static LISTS: [(Topic, TopicKind); 3] = [
    (
        Topic::Tools,
        TopicKind {
            name: "tools",
            notification: RpcMethod::ToolsListChanged,
            declared: "/tools/listChanged",
            listen: "toolsListChanged",
        },
    ),
    (
        Topic::Prompts,
        TopicKind {
            name: "prompts",
            notification: RpcMethod::PromptsListChanged,
            declared: "/prompts/listChanged",
            listen: "promptsListChanged",
        },
    ),
    (
        Topic::Resources,
        TopicKind {
            name: "resources",
            notification: RpcMethod::ResourcesListChanged,
            declared: "/resources/listChanged",
            listen: "resourcesListChanged",
        },
    ),
];

/// Every single resource.
pub(crate) static RESOURCE: TopicKind = TopicKind {
    name: "uri",
    notification: RpcMethod::ResourceUpdated,
    declared: "/resources/subscribe",
    listen: "resourceSubscriptions",
};

/// The names of the lists, for sentences.
pub(crate) const LIST_NAMES: &str = "tools, prompts or resources";
/// To whoever names another one in Redis.
pub(crate) const NO_LIST: &str = "topic is tools, prompts or resources";

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

    /// The list that publishers call so.
    #[must_use]
    pub(crate) fn list_named(name: &str) -> Option<Topic> {
        let list = LISTS.iter().find(|(_, kind)| kind.name == name);
        list.map(|(topic, _)| topic.clone())
    }

    /// Which of the [`LISTS`] it is, or the URI of a resource.
    ///
    /// # Errors
    /// It is no list but the resource at this URI.
    pub(crate) const fn list(&self) -> Result<usize, &str> {
        match self {
            Topic::Tools => Ok(0),
            Topic::Prompts => Ok(1),
            Topic::Resources => Ok(2),
            Topic::Resource(uri) => Err(uri),
        }
    }

    /// How each party calls it.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static TopicKind {
        match self.list() {
            Ok(list) => &LISTS[list].1,
            Err(_) => &RESOURCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_not_found_by_its_place_or_its_name() {
        for (place, (topic, kind)) in LISTS.iter().enumerate() {
            assert_eq!(topic.list(), Ok(place));
            assert_eq!(Topic::list_named(kind.name).as_ref(), Some(topic));
            assert_eq!(topic.kind().name, kind.name);
            assert!(LIST_NAMES.contains(kind.name) && NO_LIST.ends_with(LIST_NAMES));
        }
        let resource = Topic::Resource("a:b".into());
        assert_eq!((resource.list(), resource.kind().name), (Err("a:b"), "uri"));
        assert_eq!(Topic::list_named(RESOURCE.name), None);
    }
}
