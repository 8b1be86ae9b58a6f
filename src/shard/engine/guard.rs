//! Whether somebody may have a request served, and what they get instead. Asked before the application hears of it, with names as
//! the application will read them: of doubled members nothing is believed, and a URI is compared in the application's own spelling.
//!
//! What a policy hides is answered in the words for what is not there (`RpcError::not_there`), whether or not it is there:
//! so nobody learns which it is. What another token would open is 403, which says which scopes that takes (2026-07-28
//! authorization, "Runtime Insufficient Scope Errors"). In a batch that is an error of its message.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::params::{self, BorrowedText, RequestParams};
use super::{Engine, Refused, Request};
use crate::app::call::Topic;
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::read::read;
use crate::mcp::types::{
    CallToolRequest, CompleteRequest, GetPromptRequest, ReadResourceRequest, Reference,
};
use crate::mcp::{Capability, Era, PolicyQuestion, RpcError, RpcMethod, members_of};
use crate::principal::{Action, Identity, ListKind};
use crate::wire::uri::has_dot_segments;

/// Why somebody may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied<'a> {
    /// These scopes would do, with spaces between them.
    MissingScope(&'a str),
    /// For them it is not there.
    Unknown,
}

/// What somebody gets in place of what they may not have.
pub(super) enum InPlace {
    Refused(Refused),
    /// A result with nothing in it.
    Result(String),
}

/// Who asks, and in whose words they are answered.
#[derive(Clone, Copy)]
struct Asking<'a> {
    identity: Option<&'a Identity>,
    era: Era,
}

const NO_COMPLETIONS: &str = r#"{"completion":{"values":[]}}"#;

impl Engine {
    /// Whether the application is to serve this request of its own method. `envelope`: its params, if they were read already.
    pub(super) fn check_rights(
        &self,
        request: &Request<'_>,
        era: Era,
        (method, params): (&str, Option<&RawValue>),
        envelope: Option<&RequestParams<'_>>,
    ) -> Result<(), InPlace> {
        if !self.has_policy() {
            return Ok(());
        }
        let asking = Asking {
            identity: request.identity.as_deref(),
            era,
        };
        // What the engine serves does not get here.
        let Some(question) = RpcMethod::of(method).and_then(RpcMethod::question) else {
            return self.check_extension(asking, method);
        };
        let read;
        let envelope = match envelope {
            Some(envelope) => envelope,
            None => {
                read = params::envelope(params).map_err(|error| asking.error(error))?;
                &read
            }
        };
        let checked = self.check_question(asking, question, params, envelope);
        let capabilities = &self.server_info.modern_capabilities;
        match checked {
            // Nobody is told of rules for what is not there in any case.
            Err(_) if !Capability::is_declared_for(method, capabilities) => {
                Err(asking.error(RpcError::method_not_found(method)))
            }
            checked => checked,
        }
    }

    /// What an extension's method does is as much its author's affair as what a tool does: it is asked for as a tool of that name,
    /// so that a policy which allows nothing allows no method either.
    fn check_extension(&self, asking: Asking<'_>, method: &str) -> Result<(), InPlace> {
        let action = Action::CallTool(method);
        match self.may(asking.identity, action) {
            Err(Denied::Unknown) => Err(asking.error(RpcError::method_not_found(method))),
            checked => checked.map_err(|denied| self.in_place(asking, denied, action)),
        }
    }

    fn check_question(
        &self,
        asking: Asking<'_>,
        question: PolicyQuestion,
        params: Option<&RawValue>,
        envelope: &RequestParams<'_>,
    ) -> Result<(), InPlace> {
        match question {
            PolicyQuestion::List(kind) => match self.may(asking.identity, Action::List(kind)) {
                Err(Denied::Unknown) => Err(InPlace::Result(empty_list(kind))),
                checked => {
                    checked.map_err(|denied| self.in_place(asking, denied, Action::List(kind)))
                }
            },
            PolicyQuestion::Tool => {
                let name = text(envelope.name.as_deref())
                    .ok_or_else(|| asking.unread::<CallToolRequest>(params))?;
                self.check(asking, Action::CallTool(&name))
            }
            PolicyQuestion::Prompt => {
                let name = text(envelope.name.as_deref())
                    .ok_or_else(|| asking.unread::<GetPromptRequest>(params))?;
                self.check(asking, Action::GetPrompt(&name))
            }
            PolicyQuestion::Resource => {
                let uri = text(envelope.uri.as_deref())
                    .ok_or_else(|| asking.unread::<ReadResourceRequest>(params))?;
                self.check_resource(asking, &uri)
            }
            PolicyQuestion::Completion => {
                let reference = reference(envelope.reference.as_deref())
                    .ok_or_else(|| asking.unread::<CompleteRequest>(params))?;
                self.check_completion(asking, &reference)
            }
            // The engine serves it, and asks then.
            PolicyQuestion::Subscription => Ok(()),
        }
    }

    fn check(&self, asking: Asking<'_>, action: Action<'_>) -> Result<(), InPlace> {
        let checked = self.may(asking.identity, action);
        checked.map_err(|denied| self.in_place(asking, denied, action))
    }

    /// What is refused is called as the application would: it is given this spelling, too.
    fn check_resource(&self, asking: Asking<'_>, uri: &str) -> Result<(), InPlace> {
        let as_sent = Action::ReadResource(uri);
        if !self.has_rules_for_resources() && self.may(asking.identity, as_sent).is_ok() {
            return Ok(());
        }
        let own = self
            .own_spelling(uri)
            .map_err(|fault| asking.error(fault))?;
        match own {
            Some(own) => self.check(asking, Action::ReadResource(&own)),
            None => Err(self.in_place(asking, Denied::Unknown, as_sent)),
        }
    }

    /// Completions tell what there is, so they are for whoever may have what they are of.
    fn check_completion(&self, asking: Asking<'_>, reference: &Reference) -> Result<(), InPlace> {
        match self.may(asking.identity, Action::Complete) {
            Err(Denied::Unknown) => return Err(InPlace::Result(NO_COMPLETIONS.to_owned())),
            checked => checked.map_err(|denied| self.in_place(asking, denied, Action::Complete))?,
        }
        match reference {
            Reference::Prompt { name } => self.check(asking, Action::GetPrompt(name)),
            Reference::Resource { uri } if uri.contains('{') => {
                let checked = self.may_read_some(asking.identity, uri);
                checked.map_err(|denied| self.in_place(asking, denied, Action::ReadResource(uri)))
            }
            Reference::Resource { uri } => self.check_resource(asking, uri),
        }
    }

    fn in_place(&self, asking: Asking<'_>, denied: Denied<'_>, action: Action<'_>) -> InPlace {
        match denied {
            Denied::MissingScope(scopes) => {
                InPlace::Refused(self.missing_scopes(asking.identity, scopes))
            }
            Denied::Unknown => asking.error(RpcError::not_there(asking.era, action)),
        }
    }

    /// Whether somebody may hear that this changed.
    pub(super) fn may_hear_of(
        &self,
        identity: Option<&Identity>,
        topic: &Topic,
    ) -> Result<(), Denied<'_>> {
        self.may(identity, hearing_of(topic))
    }

    /// Whether an entry of a list is one that somebody may have: a tool or a prompt by its name, a resource by its URI, a
    /// template by itself.
    pub(super) fn may_see(&self, identity: &Identity, kind: ListKind, name: &str) -> bool {
        let identity = Some(identity);
        match kind {
            ListKind::Tools => self.may(identity, Action::CallTool(name)).is_ok(),
            ListKind::Prompts => self.may(identity, Action::GetPrompt(name)).is_ok(),
            ListKind::Templates => self.may_read_some(identity, name).is_ok(),
            ListKind::Resources if !self.has_rules_for_resources() => {
                self.may(identity, Action::ReadResource(name)).is_ok()
            }
            ListKind::Resources => {
                let own = self.own_spelling(name).ok().flatten();
                own.is_some_and(|own| self.may(identity, Action::ReadResource(&own)).is_ok())
            }
        }
    }

    /// As rules are compared with it. None: there may be two readings of it, and rules are for one.
    fn own_spelling(&self, uri: &str) -> Result<Option<Box<str>>, RpcError> {
        if has_dot_segments(uri) {
            return Ok(None);
        }
        (self.spelling)(uri)
            .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}.")))
    }
}

impl Asking<'_> {
    fn error(self, error: RpcError) -> InPlace {
        InPlace::Refused(Refused::rpc(error.http_status(self.era), error))
    }

    /// What the application would say of params that it cannot read.
    fn unread<'p, T: Deserialize<'p>>(self, params: Option<&'p RawValue>) -> InPlace {
        let fault = params::parse::<T>(params).err();
        self.error(fault.unwrap_or_else(|| {
            RpcError::invalid_params("Invalid params: what they name is longer than any name here.")
        }))
    }
}

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    let read = || serde_json::from_str::<BorrowedText<'_>>(raw).ok();
    (raw.len() <= LOOK_ON_CORE_BYTES_MAX)
        .then(read)?
        .map(|text| text.0)
}

fn reference(raw: Option<&RawValue>) -> Option<Reference> {
    let raw = raw?.get();
    let is_object = raw.starts_with('{') && raw.len() <= LOOK_ON_CORE_BYTES_MAX;
    is_object.then(|| read(raw).ok())?
}

fn empty_list(kind: ListKind) -> String {
    let (member, _) = members_of(kind);
    format!(r#"{{"{member}":[]}}"#)
}

/// To hear that a list changed is to see it, as far as a policy goes.
pub(super) fn hearing_of(topic: &Topic) -> Action<'_> {
    match topic {
        Topic::Tools => Action::List(ListKind::Tools),
        Topic::Prompts => Action::List(ListKind::Prompts),
        Topic::Resources => Action::List(ListKind::Resources),
        Topic::Resource(own) => Action::SubscribeResource(own),
    }
}
