//! What somebody wants to do, and what is said of it.

use std::fmt;

use super::Identity;

/// What somebody wants to do. A policy has rules for each (`[policy]` in the configuration file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// To see what there is of a kind, and to hear that it changed.
    List(ListKind),
    /// To call the tool of this name.
    CallTool(&'a str),
    /// To read the resource at this URI.
    ReadResource(&'a str),
    /// To hear when the resource at this URI changes.
    SubscribeResource(&'a str),
    /// To get the prompt of this name.
    GetPrompt(&'a str),
    /// Completions of a prompt's arguments or a template's.
    Complete,
    /// To give the resource at this URI other contents.
    Publish(&'a str),
    /// To take the resource at this URI away.
    Remove(&'a str),
}

/// What there are lists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Tools.
    Tools,
    /// Prompts.
    Prompts,
    /// Resources, each at its URI.
    Resources,
    /// Templates of URIs.
    Templates,
}

/// What a policy says of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'p> {
    /// They may.
    Allow,
    /// 403: these scopes would do, with spaces between them.
    MissingScope(&'p str),
    /// It is to be answered as what is not there: nothing that this principal could get would change that.
    Unknown,
}

/// What says who may do what.
pub trait Permits: fmt::Debug {
    fn decide(&self, who: &Identity, action: Action<'_>) -> Decision<'_>;
}
