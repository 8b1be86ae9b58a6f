//! What an action takes, ready to be compared with what somebody has.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decision, Holder, Need};
use crate::auth::Scopes;

/// For each scope those that have it in them. MUST, 2026-07-28 authorization, "Scope Challenge Handling": a broader scope
/// does for a narrower one.
pub(super) struct Implied {
    broader: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug)]
pub(super) enum CompiledNeed {
    Anyone,
    Nobody,
    /// One of these is enough. At least one.
    OneOf(Box<[Way]>),
}

/// Scopes that are needed together.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// For a challenge.
    text: Box<str>,
    /// For each of them: itself, and those that imply it.
    all: Box<[Box<[Box<str>]>]>,
}

impl Implied {
    /// Through any number of steps.
    pub(super) fn new(implies: &BTreeMap<String, Vec<String>>) -> Implied {
        let mut broader: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for broad in implies.keys() {
            let (mut seen, mut next) = (BTreeSet::new(), vec![broad]);
            while let Some(scope) = next.pop() {
                for narrow in implies.get(scope).into_iter().flatten() {
                    if seen.insert(narrow) {
                        next.push(narrow);
                    }
                }
            }
            for narrow in seen {
                broader
                    .entry(narrow.clone())
                    .or_default()
                    .insert(broad.clone());
            }
        }
        Implied { broader }
    }

    fn enough_for(&self, scope: &str) -> Box<[Box<str>]> {
        let broader = self.broader.get(scope).into_iter().flatten();
        let broader = broader.filter(|broad| *broad != scope).map(String::as_str);
        [scope].into_iter().chain(broader).map(Box::from).collect()
    }
}

impl CompiledNeed {
    pub(super) fn new(need: &Need, implied: &Implied) -> CompiledNeed {
        let way = |scopes: &Vec<String>| Way {
            text: scopes.join(" ").into(),
            all: scopes
                .iter()
                .map(|scope| implied.enough_for(scope))
                .collect(),
        };
        match need {
            Need::Anyone => CompiledNeed::Anyone,
            Need::Nobody => CompiledNeed::Nobody,
            Need::OneOf(ways) => CompiledNeed::OneOf(ways.iter().map(way).collect()),
        }
    }

    pub(super) fn decide(&self, who: Holder<'_>) -> Decision<'_> {
        match self {
            CompiledNeed::Anyone => Decision::Allow,
            CompiledNeed::Nobody => Decision::Unknown,
            CompiledNeed::OneOf(ways) => match ways.iter().any(|way| way.is_open_to(who.scopes)) {
                true => Decision::Allow,
                false => self
                    .scopes()
                    .map_or(Decision::Unknown, Decision::MissingScope),
            },
        }
    }

    /// What to ask for: the way that stands first.
    pub(super) fn scopes(&self) -> Option<&str> {
        match self {
            CompiledNeed::OneOf(ways) => ways.first().map(|way| &*way.text),
            CompiledNeed::Anyone | CompiledNeed::Nobody => None,
        }
    }
}

impl Way {
    fn is_open_to(&self, own: &Scopes) -> bool {
        let mut needed = self.all.iter();
        needed.all(|enough| enough.iter().any(|scope| own.has(scope)))
    }
}
