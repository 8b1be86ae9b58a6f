//! What of a result its client may see: lists without what they may not have, and nothing that others could share. It holds for
//! whatever application answers, since it is done to the text of the answer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Engine;
use super::params::BorrowedText;
use super::rights::Inspected;
use crate::app::call::{Caching, Outcome};
use crate::mcp::{PolicyQuestion, RpcError, members_of};
use crate::principal::Identity;

/// Where 2026-07-28 says who may share a result.
const SCOPE: &str = "cacheScope";
const PRIVATE: &str = "\"private\"";

impl Engine {
    /// An outcome without what its client may not see.
    pub(super) fn shown<'o>(
        &self,
        inspected: &Inspected,
        outcome: &'o Outcome,
    ) -> Cow<'o, Outcome> {
        let (Outcome::Result { json, .. } | Outcome::Other { json }) = outcome else {
            return Cow::Borrowed(outcome);
        };
        let new = match self.shown_text(inspected.question, &inspected.identity, json) {
            Ok(new) => new,
            Err(Unreadable) => {
                let sentence = "The server cannot tell what of its answer is for this client.";
                return Cow::Owned(Outcome::Error(RpcError::internal(sentence)));
            }
        };
        match outcome {
            Outcome::Result {
                caching: Some(Caching { ttl_ms, public }),
                ..
            } if *public || new.is_some() => Cow::Owned(Outcome::Result {
                json: new.unwrap_or_else(|| json.clone()),
                caching: Some(Caching {
                    ttl_ms: *ttl_ms,
                    public: false,
                }),
            }),
            _ => match (outcome, new) {
                (_, None) => Cow::Borrowed(outcome),
                (Outcome::Other { .. }, Some(json)) => Cow::Owned(Outcome::Other { json }),
                (_, Some(json)) => {
                    let caching = None;
                    Cow::Owned(Outcome::Result { json, caching })
                }
            },
        }
    }

    /// None: as it is.
    fn shown_text(
        &self,
        question: PolicyQuestion,
        identity: &Identity,
        json: &str,
    ) -> Result<Option<String>, Unreadable> {
        match question {
            PolicyQuestion::List(kind) => {
                let (member, key) = members_of(kind);
                let is_shown = |name: &str| self.may_see(identity, kind, name);
                let entries = |entries: &RawValue| only(entries, key, is_shown);
                rewritten(json, Some((member, &entries)))
            }
            // What is in it is for whoever may read it, and that was asked.
            PolicyQuestion::Resource if json.contains(SCOPE) => rewritten(json, None),
            _ => Ok(None),
        }
    }
}

/// It is not what such a result is.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

/// The members of an object in their order, each as it stands. One that is there twice is no such object.
struct ResultMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

type Rewrite<'r> = &'r dyn Fn(&RawValue) -> Result<Option<String>, Unreadable>;

/// A result for one client alone, with one member rewritten. None: it is so already.
fn rewritten(
    json: &str,
    member: Option<(&str, Rewrite<'_>)>,
) -> Result<Option<String>, Unreadable> {
    let ResultMembers(members) = serde_json::from_str(json).map_err(|_| Unreadable)?;
    let mut is_new = false;
    let mut text = String::from("{");
    for (name, value) in &members {
        let new = match member {
            Some((own, rewrite)) if own == name => rewrite(value)?,
            _ => (name == SCOPE && value.get() != PRIVATE).then(|| PRIVATE.to_owned()),
        };
        is_new |= new.is_some();
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(&**name).to_string());
        text.push(':');
        text.push_str(new.as_deref().unwrap_or(value.get()));
    }
    text.push('}');
    Ok(is_new.then_some(text))
}

/// Of a list those that are shown, by what they are called by. None: all of them.
fn only(
    entries: &RawValue,
    key: &str,
    is_shown: impl Fn(&str) -> bool,
) -> Result<Option<String>, Unreadable> {
    let entries: Vec<&RawValue> = serde_json::from_str(entries.get()).map_err(|_| Unreadable)?;
    let mut shown = Vec::with_capacity(entries.len());
    for entry in &entries {
        let ResultMembers(members) = serde_json::from_str(entry.get()).map_err(|_| Unreadable)?;
        let named = members.into_iter().find(|(name, _)| name == key);
        let (_, name) = named.ok_or(Unreadable)?;
        let BorrowedText(name) = serde_json::from_str(name.get()).map_err(|_| Unreadable)?;
        if is_shown(&name) {
            shown.push(entry.get());
        }
    }
    let is_less = shown.len() < entries.len();
    Ok(is_less.then(|| format!("[{}]", shown.join(","))))
}

impl<'de: 'a, 'a> Deserialize<'de> for ResultMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = ResultMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((BorrowedText(name), value)) = object.next_entry()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom("a member that is there twice"));
                    }
                    members.push((name, value));
                }
                Ok(ResultMembers(members))
            }
        }
        object.deserialize_map(OfObject)
    }
}
