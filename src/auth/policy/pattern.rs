//! Names and URIs as a policy writes them: text, `*` for anything, and `{subject}` or `{tenant}` for one's own.

use std::borrow::Cow;
use std::cmp::Reverse;

use percent_encoding::percent_decode_str;

use super::Holder;

/// Bytes of a pattern. A URI has 2,048; nobody writes one by hand that is longer than this.
const PATTERN_BYTES_MAX: usize = 512;

/// Text with anybody's own in between, and then text with `*` in between.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Each is a text, and whose the segment behind it is.
    own: Box<[(Box<str>, Whose)]>,
    /// What is between the `*`: one without any.
    rest: Box<[Box<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Subject,
    Tenant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Own,
    /// It is of the same form, and somebody else's.
    Foreign,
}

const PLACES: [(&str, Whose); 2] = [("{subject}", Whose::Subject), ("{tenant}", Whose::Tenant)];

impl Pattern {
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with "the policy".
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let wrong = |what: &str| Err(format!("has the pattern \"{text}\", {what}"));
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return wrong("which is empty or too long");
        }
        let mut own = Vec::new();
        let mut left = text;
        while let Some((at, place, whose)) = first_place(left) {
            let (before, behind) = (&left[..at], &left[at + place.len()..]);
            if before.contains('*') {
                return wrong(
                    "in which a * stands before a place of one's own: it could be anybody's",
                );
            }
            let is_segment = behind.is_empty() || behind.starts_with('/');
            if !is_segment || !before.ends_with('/') {
                return wrong(
                    "in which a place of one's own is not a whole segment, between two slashes",
                );
            }
            own.push((before.into(), whose));
            left = behind;
        }
        if left.contains(['{', '}']) {
            return wrong("in which braces are neither {subject} nor {tenant}");
        }
        Ok(Pattern {
            own: own.into(),
            rest: left.split('*').map(Box::from).collect(),
        })
    }

    /// It asks what is somebody's own.
    pub(super) fn names_owners(&self) -> bool {
        !self.own.is_empty()
    }

    /// It asks what is a tenant's.
    pub(super) fn names_tenants(&self) -> bool {
        self.own.iter().any(|(_, whose)| *whose == Whose::Tenant)
    }

    /// The parts that end in somebody's own: a text each, and whose the segment behind it is.
    pub(super) fn own_parts(&self) -> &[(Box<str>, Whose)] {
        &self.own
    }

    /// What is between the `*` behind those: one part without any.
    pub(super) fn rest_parts(&self) -> &[Box<str>] {
        &self.rest
    }

    /// It is of one name only.
    pub(super) fn is_exact(&self) -> bool {
        self.own.is_empty() && self.rest.len() == 1
    }

    /// Those that say more stand first: those without a `*`, and then by how much text there is.
    pub(super) fn rank(&self) -> (bool, Reverse<usize>) {
        let own: usize = self.own.iter().map(|(text, _)| text.len()).sum();
        let rest: usize = self.rest.iter().map(|text| text.len()).sum();
        (self.rest.len() > 1, Reverse(own + rest))
    }

    pub(super) fn matches(&self, name: &str, who: Holder<'_>) -> Match {
        let (mut left, mut is_own) = (name, true);
        for (text, whose) in &self.own {
            let Some(behind) = left.strip_prefix(&**text) else {
                return Match::No;
            };
            let end = behind.find('/').unwrap_or(behind.len());
            let (segment, behind) = behind.split_at(end);
            is_own &= whose.is(segment, who);
            left = behind;
        }
        match (rest_matches(&self.rest, left), is_own) {
            (false, _) => Match::No,
            (true, true) => Match::Own,
            (true, false) => Match::Foreign,
        }
    }
}

fn first_place(text: &str) -> Option<(usize, &'static str, Whose)> {
    let found = PLACES
        .iter()
        .filter_map(|(place, whose)| Some((text.find(place)?, *place, *whose)));
    found.min_by_key(|(at, ..)| *at)
}

/// The first is the beginning, the last the end, and the others come in between in their order: whichever comes soonest
/// leaves most for the next.
pub(super) fn rest_matches(parts: &[Box<str>], text: &str) -> bool {
    let Some((first, others)) = parts.split_first() else {
        return text.is_empty();
    };
    let Some((last, between)) = others.split_last() else {
        return **first == *text;
    };
    let Some(mut left) = text.strip_prefix(&**first) else {
        return false;
    };
    for part in between {
        let Some(at) = left.find(&**part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or("");
    }
    left.ends_with(&**last)
}

impl Whose {
    pub(super) fn is(self, segment: &str, who: Holder<'_>) -> bool {
        let own = match self {
            Whose::Subject => who.subject,
            Whose::Tenant => match who.tenant {
                Some(tenant) => tenant,
                None => return false,
            },
        };
        if own.is_empty() {
            return false;
        }
        segment == own || decoded(segment).is_some_and(|segment| segment == own)
    }
}

/// `auth0|alice` is `auth0%7Calice` in a URI.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    segment
        .contains('%')
        .then(|| percent_decode_str(segment).decode_utf8().ok())
        .flatten()
}
