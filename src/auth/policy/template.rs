//! Templates of URIs: whether somebody may read some resource that one of them stands for.
//!
//! An expression is a hole that takes anything, or anything but slashes. What is said of it errs in one direction alone: a
//! template may be shown of which nothing is there for somebody, and none is hidden of which something is.

use std::borrow::Cow;

use super::pattern::{Pattern, Whose, rest_matches};
use super::{Decision, Holder, Policy, READ};
use crate::auth::Identity;
use crate::wire::uri::normal;

/// Where an expression stands that takes no slash, and one that may take any text.
const SEGMENT: char = '\u{1}';
const ANY: char = '\u{2}';

/// What stands for them while the text around them is made normal: nothing in a URI is changed about it.
const WORDS: [(char, &str); 2] = [(SEGMENT, "~0~"), (ANY, "~1~")];

impl Policy {
    /// Whether somebody may read some resource whose URI this template (RFC 6570) makes.
    #[must_use]
    pub fn allows_some(&self, who: &Identity, template: &str) -> Decision<'_> {
        let (who, template) = (Holder::from(who), with_holes(template));
        let mut missing = None;
        for (pattern, verbs) in &self.resources {
            let need = verbs.get(READ).and_then(Option::as_ref);
            let has_own = pattern.overlaps(&template, who);
            if has_own && let Some(need) = need {
                match need.decide(who) {
                    Decision::Allow => return Decision::Allow,
                    Decision::MissingScope(scopes) => missing = missing.or(Some(scopes)),
                    Decision::Unknown => {}
                }
            }
            // All that it makes is of this rule, and what is one's own was looked at.
            if pattern.covers(&template) && (need.is_some() || !has_own) {
                return missing.map_or(Decision::Unknown, Decision::MissingScope);
            }
        }
        match (self.kinds.verbs.get(READ).map(|it| it.decide(who)), missing) {
            (Some(Decision::Allow), _) => Decision::Allow,
            (_, Some(scopes)) | (Some(Decision::MissingScope(scopes)), None) => {
                Decision::MissingScope(scopes)
            }
            (Some(Decision::Unknown) | None, None) => Decision::Unknown,
        }
    }
}

/// A template with holes in place of its expressions, and its text in the normal form.
fn with_holes(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (expression, behind) = behind.split_once('}').unwrap_or(("+", ""));
        let operator = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']);
        text.push_str(before);
        text.push(if operator { ANY } else { SEGMENT });
        rest = behind;
    }
    text.push_str(rest);
    let worded = WORDS
        .iter()
        .fold(text.clone(), |text, (hole, word)| text.replace(*hole, word));
    // What is no URI even so is compared as it stands.
    let Ok(normal) = normal(&worded) else {
        return text;
    };
    let normal = normal.into_owned();
    WORDS.iter().fold(normal, |text, (hole, word)| {
        text.replace(word, &hole.to_string())
    })
}

impl Pattern {
    /// Whether something that a template makes is of this pattern, and one's own.
    fn overlaps(&self, template: &str, who: Holder<'_>) -> bool {
        let mut left = template;
        for (text, whose) in self.own_parts() {
            if !whose.is_known(who) {
                return false;
            }
            match behind(left, text) {
                Behind::Nothing => return false,
                Behind::Hole => return true,
                Behind::Text(rest) => left = rest,
            }
            let end = left.find('/').unwrap_or(left.len());
            let (segment, rest) = left.split_at(end);
            if segment.contains(ANY) {
                return true;
            }
            if !segment.contains(SEGMENT) && !whose.is(segment, who) {
                return false;
            }
            left = rest;
        }
        let of_template: Vec<Box<str>> = left.split([SEGMENT, ANY]).map(Box::from).collect();
        let of_pattern = self.rest_parts();
        match (of_pattern, &*of_template) {
            ([exact], _) => rest_matches(&of_template, exact),
            (_, [exact]) => rest_matches(of_pattern, exact),
            ([first, .., last], [other_first, .., other_last]) => {
                let begin = first.starts_with(&**other_first) || other_first.starts_with(&**first);
                begin && (last.ends_with(&**other_last) || other_last.ends_with(&**last))
            }
            _ => false,
        }
    }

    /// Whether all that a template makes is of this pattern, whosever it is.
    fn covers(&self, template: &str) -> bool {
        let mut left = template;
        for (text, _) in self.own_parts() {
            let Some(rest) = left.strip_prefix(&**text) else {
                return false;
            };
            let end = rest.find('/').unwrap_or(rest.len());
            let (segment, rest) = rest.split_at(end);
            if segment.contains(ANY) {
                return false;
            }
            left = rest;
        }
        rest_matches(self.rest_parts(), left)
    }
}

/// What follows a text in a template.
enum Behind<'t> {
    Text(&'t str),
    /// It may end within a hole, and whatever comes then may be in that as well.
    Hole,
    /// The template is another one.
    Nothing,
}

fn behind<'t>(template: &'t str, text: &str) -> Behind<'t> {
    let literal = template.split([SEGMENT, ANY]).next().unwrap_or(template);
    match (template.strip_prefix(text), literal.len() < template.len()) {
        (Some(rest), _) => Behind::Text(rest),
        (None, true) if text.starts_with(literal) => Behind::Hole,
        (None, _) => Behind::Nothing,
    }
}

/// A pattern for URIs in the normal form that they are compared in.
pub(super) fn normal_pattern(text: &str) -> Cow<'_, str> {
    const PLACES: [(&str, &str); 2] = [("{subject}", "~0~"), ("{tenant}", "~1~")];
    let worded = PLACES.iter().fold(text.to_owned(), |text, (place, word)| {
        text.replace(place, word)
    });
    match normal(&worded) {
        Ok(normal) if normal != worded => PLACES
            .iter()
            .fold(normal.into_owned(), |text, (place, word)| {
                text.replace(word, place)
            })
            .into(),
        _ => text.into(),
    }
}

impl Whose {
    /// Whether anything can be theirs.
    fn is_known(self, who: Holder<'_>) -> bool {
        match self {
            Whose::Subject => !who.subject.is_empty(),
            Whose::Tenant => who.tenant.is_some_and(|tenant| !tenant.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Action, PolicySettings};

    fn policy(toml: &str) -> Policy {
        let settings: PolicySettings = toml::from_str(toml).expect("settings");
        Policy::new(&settings).expect("a policy")
    }

    fn alice() -> Identity {
        Identity::new("https://login.example", "auth0|alice")
            .with_scopes("read")
            .with_tenant("acme")
    }

    const RULES: &str = r#"
        default = "read"
        [resources]
        "board://area/{subject}/*" = "anyone"
        "board://{tenant}/*" = "anyone"
        "board://admin/*" = "nobody"
        "board://hidden" = "nobody"
        "vault://*" = "keys"
        "*.secret" = "nobody"
    "#;

    #[test]
    fn a_template_of_which_nothing_is_ones_own() {
        let policy = policy(RULES);
        let of = |template: &str| policy.allows_some(&alice(), template);
        for shown in [
            "board://area/{who}/x",
            "board://area/{who}/{+path}",
            "board://area/auth0%7Calice/{x}",
            "board://area/auth0|alice/{x}",
            "BOARD://AREA/auth0%7calice/{x}",
            "board://{area}/x",
            "board://{+path}",
            "board{+rest}",
            "{+any}",
            "board://acme/{x}",
            "other://{x}",
            "board://area/a{who}/x",
            "vault{+x}",
        ] {
            assert_eq!(of(shown), Decision::Allow, "{shown}");
        }
        for hidden in [
            "board://area/bob/{x}",
            "board://area/bob{x}/{y}/",
            "board://other/{x}",
            "board://hidden",
            "board://admin/{x}",
        ] {
            let is_hidden = of(hidden) == Decision::Unknown;
            // A hole behind letters of somebody else's may end as one's own only if it begins so: that is not looked at.
            let may_err = hidden.contains("bob{");
            assert!(is_hidden || may_err, "{hidden}");
        }
        assert_eq!(of("vault://{x}"), Decision::MissingScope("keys"));
        assert_eq!(of("a://{x}.secret"), Decision::Unknown);
        let nobody = policy.allows_some(&Identity::anonymous(), "board://area/{who}/x");
        assert_ne!(nobody, Decision::Allow);
    }

    /// Nothing is hidden of which something may be read: each template is filled in, in many ways.
    #[test]
    fn a_template_that_is_hidden_with_what_is_ones_own() {
        let pieces = [
            "board://",
            "area/",
            "auth0%7Calice",
            "bob",
            "acme",
            "/",
            "x",
            "admin",
            ".secret",
        ];
        let mut random = 1_u64;
        let mut next = |count: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % count
        };
        let policies = [
            policy(RULES),
            policy(
                "default = \"nobody\"\n[resources]\n\"board://area/{subject}/*\" = \"read\"\n\"*x\" = \"read\"\n\"board://*/x\" = \"nobody\"",
            ),
        ];
        let mut allowed = 0;
        for _ in 0..20_000 {
            let (mut template, mut uri) = ("board://".to_owned(), "board://".to_owned());
            for _ in 0..=next(4) {
                let piece = pieces[next(pieces.len())];
                uri.push_str(piece);
                match next(3) {
                    0 if !piece.contains('/') => template.push_str("{x}"),
                    1 => template.push_str("{+x}"),
                    _ => template.push_str(piece),
                }
            }
            for policy in &policies {
                let Ok(own) = normal(&uri) else { continue };
                let may = policy.allows(&alice(), Action::ReadResource(&own));
                if may == Decision::Allow {
                    allowed += 1;
                    let shown = policy.allows_some(&alice(), &template);
                    assert_eq!(shown, Decision::Allow, "{template}, {uri}");
                }
            }
        }
        assert!(allowed > 1_000, "{allowed}");
    }

    #[test]
    fn a_rule_that_nothing_matches_as_it_is_spelt() {
        for (written, uri) in [
            ("BOARD://Area/*", "board://area/x"),
            ("board://Grün/%7e*", "board://gr%C3%BCn/~x"),
            ("board://a/b%7ca/*", "board://a/b%7Ca/x"),
            ("board://Area/{subject}/*", "board://area/auth0%7Calice/x"),
            (
                "board://Area/{tenant}/{subject}/%41",
                "board://area/acme/auth0%7Calice/A",
            ),
        ] {
            let text = format!("default = \"nobody\"\n[resources]\n\"{written}\" = \"anyone\"");
            let may = policy(&text).allows(&alice(), Action::ReadResource(uri)) == Decision::Allow;
            assert!(may, "{written}");
        }
    }
}
