//! Who may do what: scopes for actions, as an operator writes them, made into a table that is asked for each request.
//!
//! ```toml
//! [policy]
//! read = "board:read"              # a scope; "a b" is both of them, ["a", "b"] is one of them
//! subscribe = "board:read"
//! publish = "board:write"
//! remove = "nobody"                # as if there were nothing of the kind
//!
//! [policy.tools]
//! "echo" = "anyone"                # anybody who was let in
//! "admin_*" = "board:admin"
//!
//! [policy.resources]
//! "board://{subject}/*" = "anyone" # everybody has an area; that of another one is unknown
//!
//! [policy.implies]
//! "board:admin" = ["board:write", "board:read"]
//! ```
//!
//! or, on one line, `policy = "read-only"`. What nobody says anything of is everybody's who was let in; `default` says
//! otherwise. A rule for one name goes before one with a `*`, of those the one with more text, and both before the rule
//! for all of a kind. URIs are compared in their normal form. A method of an extension is taken for a tool of its name.

mod need;
mod pattern;
mod schema;
mod settings;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::need::{CompiledNeed, Implied};
use self::pattern::{Match, Pattern};
pub use self::settings::{Need, PolicySettings, Preset, ResourceNeeds};
use self::template::normal_pattern;
use super::{Identity, Scopes};
use crate::limits::POLICY_RULES_MAX;
use crate::principal::is_scope;
pub use crate::principal::{Action, Decision, ListKind};

/// Of somebody all that a policy asks for.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub scopes: &'a Scopes,
    /// Empty: nothing is their own.
    pub subject: &'a str,
    pub tenant: Option<&'a str>,
}

impl<'a> From<&'a Identity> for Holder<'a> {
    fn from(identity: &'a Identity) -> Self {
        Holder {
            scopes: identity.scopes(),
            subject: identity.subject(),
            tenant: identity.tenant(),
        }
    }
}

/// A policy, ready to be asked. [`Default`] allows everything.
#[derive(Clone, Debug)]
pub struct Policy {
    kinds: Kinds,
    tools: Named,
    prompts: Named,
    resources: Vec<(Pattern, Verbs)>,
    /// All scopes that any rule names.
    scopes: BTreeSet<String>,
}

/// Rules for all of a kind.
#[derive(Clone, Debug)]
struct Kinds {
    list: CompiledNeed,
    call: CompiledNeed,
    prompt: CompiledNeed,
    complete: CompiledNeed,
    verbs: [CompiledNeed; 4],
}

/// Rules for names: of one each, and patterns, those with most text first.
#[derive(Clone, Debug, Default)]
struct Named {
    exact: BTreeMap<Box<str>, CompiledNeed>,
    patterns: Vec<(Pattern, CompiledNeed)>,
}

/// Reading, subscribing, publishing, removing. None: as for the kind.
type Verbs = [Option<CompiledNeed>; 4];

const READ: usize = 0;
const SUBSCRIBE: usize = 1;
const PUBLISH: usize = 2;
const REMOVE: usize = 3;

/// What cannot be in a policy: the end of a sentence that begins with "the policy".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPolicy(String);

impl Default for Policy {
    fn default() -> Self {
        Policy {
            kinds: Kinds {
                list: CompiledNeed::Anyone,
                call: CompiledNeed::Anyone,
                prompt: CompiledNeed::Anyone,
                complete: CompiledNeed::Anyone,
                verbs: [const { CompiledNeed::Anyone }; 4],
            },
            tools: Named::default(),
            prompts: Named::default(),
            resources: Vec::new(),
            scopes: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// # Errors
    /// [`BadPolicy`]
    pub fn new(settings: &PolicySettings) -> Result<Policy, BadPolicy> {
        let settings = settings.with_preset();
        let rules = settings.tools.len() + settings.prompts.len() + settings.resources.len();
        if rules > POLICY_RULES_MAX {
            return Err(BadPolicy(format!(
                "has {rules} rules, and at most {POLICY_RULES_MAX} are taken"
            )));
        }
        let mut compiler = Compiler {
            implied: Implied::new(&settings.implies),
            scopes: BTreeSet::new(),
        };
        compiler.check_implied(&settings.implies)?;
        let otherwise = settings.default.clone().unwrap_or(Need::Anyone);
        let mut of_kind = |need: &Option<Need>| compiler.need(need.as_ref().unwrap_or(&otherwise));
        let kinds = Kinds {
            list: of_kind(&settings.list)?,
            call: of_kind(&settings.call)?,
            prompt: of_kind(&settings.prompt)?,
            complete: of_kind(&settings.complete)?,
            verbs: [
                of_kind(&settings.read)?,
                of_kind(&settings.subscribe)?,
                of_kind(&settings.publish)?,
                of_kind(&settings.remove)?,
            ],
        };
        Ok(Policy {
            kinds,
            tools: compiler.named(&settings.tools)?,
            prompts: compiler.named(&settings.prompts)?,
            resources: compiler.resources(&settings.resources)?,
            scopes: compiler.scopes,
        })
    }

    /// Costs less than 100 ns with a few rules, and no memory.
    #[must_use]
    pub fn allows(&self, who: &Identity, action: Action<'_>) -> Decision<'_> {
        self.allows_holder(who.into(), action)
    }

    /// The same of somebody of whom less is known.
    #[must_use]
    pub fn allows_holder(&self, who: Holder<'_>, action: Action<'_>) -> Decision<'_> {
        match action {
            Action::List(_) => self.kinds.list.decide(who),
            Action::CallTool(name) => self.tools.decide(who, name, &self.kinds.call),
            Action::GetPrompt(name) => self.prompts.decide(who, name, &self.kinds.prompt),
            Action::Complete => self.kinds.complete.decide(who),
            Action::ReadResource(uri) => self.decide_resource(who, uri, READ),
            Action::SubscribeResource(uri) => self.decide_resource(who, uri, SUBSCRIBE),
            Action::Publish(uri) => self.decide_resource(who, uri, PUBLISH),
            Action::Remove(uri) => self.decide_resource(who, uri, REMOVE),
        }
    }

    /// Every scope that a rule names, for `scopes_supported`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// What a client needs to begin with: to list, to read and to subscribe. Empty if that takes no scope.
    #[must_use]
    pub fn first_scopes(&self) -> String {
        let needs = [
            &self.kinds.list,
            &self.kinds.verbs[READ],
            &self.kinds.verbs[SUBSCRIBE],
        ];
        let texts = needs.into_iter().filter_map(CompiledNeed::scopes);
        let words: BTreeSet<&str> = texts.flat_map(|text| text.split(' ')).collect();
        words.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// Everybody may do everything: nobody has to be asked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Kinds {
            list,
            call,
            prompt,
            complete,
            verbs,
        } = &self.kinds;
        let kinds = [list, call, prompt, complete];
        let anyone = |need: &CompiledNeed| matches!(need, CompiledNeed::Anyone);
        let has_rules =
            !self.resources.is_empty() || self.tools.has_rules() || self.prompts.has_rules();
        kinds.into_iter().chain(verbs).all(anyone) && !has_rules
    }

    /// Whether some rule asks what is somebody's own.
    #[must_use]
    pub fn names_owners(&self) -> bool {
        self.patterns().any(Pattern::names_owners)
    }

    /// Whether some rule is of no use where nobody is asked who they are.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        !self.scopes.is_empty() || self.names_owners()
    }

    /// Whether some rule asks what is a tenant's.
    #[must_use]
    pub fn names_tenants(&self) -> bool {
        self.patterns().any(Pattern::names_tenants)
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let named = [&self.tools, &self.prompts].map(|it| &it.patterns);
        let named = named.into_iter().flatten().map(|(pattern, _)| pattern);
        let resources = self.resources.iter().map(|(pattern, _)| pattern);
        named.chain(resources)
    }

    /// Whether there are rules for single resources: whether their URIs matter.
    #[must_use]
    pub fn names_resources(&self) -> bool {
        !self.resources.is_empty()
    }

    fn decide_resource(&self, who: Holder<'_>, uri: &str, verb: usize) -> Decision<'_> {
        for (pattern, verbs) in &self.resources {
            match (pattern.matches(uri, who), verbs.get(verb)) {
                (Match::No, _) | (Match::Own, None | Some(None)) => {}
                (Match::Foreign, _) => return Decision::Unknown,
                (Match::Own, Some(Some(need))) => return need.decide(who),
            }
        }
        self.kinds
            .verbs
            .get(verb)
            .map_or(Decision::Unknown, |need| need.decide(who))
    }
}

impl Named {
    fn has_rules(&self) -> bool {
        !self.exact.is_empty() || !self.patterns.is_empty()
    }

    fn decide<'p>(
        &'p self,
        who: Holder<'_>,
        name: &str,
        otherwise: &'p CompiledNeed,
    ) -> Decision<'p> {
        if let Some(need) = self.exact.get(name) {
            return need.decide(who);
        }
        for (pattern, need) in &self.patterns {
            match pattern.matches(name, who) {
                Match::No => {}
                Match::Own => return need.decide(who),
                Match::Foreign => return Decision::Unknown,
            }
        }
        otherwise.decide(who)
    }
}

struct Compiler {
    implied: Implied,
    scopes: BTreeSet<String>,
}

impl Compiler {
    fn check_implied(&mut self, implies: &BTreeMap<String, Vec<String>>) -> Result<(), BadPolicy> {
        let all = implies
            .iter()
            .flat_map(|(broad, narrow)| narrow.iter().chain([broad]));
        all.into_iter().try_for_each(|scope| self.note(scope))
    }

    fn note(&mut self, scope: &str) -> Result<(), BadPolicy> {
        match is_scope(scope) {
            true => self.scopes.insert(scope.to_owned()),
            false => {
                return Err(BadPolicy(not_a_scope(scope)));
            }
        };
        Ok(())
    }

    fn need(&mut self, need: &Need) -> Result<CompiledNeed, BadPolicy> {
        if let Need::OneOf(ways) = need {
            ways.iter()
                .flatten()
                .try_for_each(|scope| self.note(scope))?;
        }
        Ok(CompiledNeed::new(need, &self.implied))
    }

    fn named(&mut self, needs: &BTreeMap<String, Need>) -> Result<Named, BadPolicy> {
        let mut named = Named::default();
        for (text, need) in needs {
            let (pattern, need) = (Pattern::parse(text).map_err(BadPolicy)?, self.need(need)?);
            match pattern.is_exact() {
                true => drop(named.exact.insert(text.as_str().into(), need)),
                false => named.patterns.push((pattern, need)),
            }
        }
        named.patterns.sort_by_key(|(pattern, _)| pattern.rank());
        Ok(named)
    }

    fn resources(
        &mut self,
        rules: &BTreeMap<String, ResourceNeeds>,
    ) -> Result<Vec<(Pattern, Verbs)>, BadPolicy> {
        let mut resources = Vec::new();
        for (text, needs) in rules {
            let pattern = Pattern::parse(&normal_pattern(text)).map_err(BadPolicy)?;
            let mut verbs: Verbs = [const { None }; 4];
            let own = [&needs.read, &needs.subscribe, &needs.publish, &needs.remove];
            for (verb, need) in verbs.iter_mut().zip(own) {
                *verb = need.as_ref().map(|need| self.need(need)).transpose()?;
            }
            resources.push((pattern, verbs));
        }
        resources.sort_by_key(|(pattern, _)| pattern.rank());
        Ok(resources)
    }
}

/// The end of a sentence that begins with "the policy".
fn not_a_scope(scope: &str) -> String {
    format!(
        "names the scope \"{scope}\", which is none: visible ASCII without spaces, quotes and backslashes"
    )
}

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPolicy {}

#[cfg(test)]
mod tests;
