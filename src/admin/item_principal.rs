//! `principal` of an item: whose subscribers alone are to hear of it, by issuer and subject, or as logs show a principal.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PublishOutcome, Target, refused};
use crate::mcp::read::read;
use crate::principal::PrincipalId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalBody {
    issuer: String,
    subject: String,
}

/// Anything that names nobody is refused, `null` as well: whoever meant one must not tell everybody.
pub(super) fn parse(raw: &RawValue) -> Result<PrincipalId, PublishOutcome> {
    let bad = || {
        let sentence = "The principal must be an object with its issuer and subject, such as \
            {\"issuer\": \"https://login.example.com\", \"subject\": \"alice\"}, or its id of 32 hexadecimal digits; \
            leave it out to notify everyone";
        refused("bad_principal", sentence)
    };
    match raw.get().as_bytes()[0] {
        b'{' => read::<PrincipalBody>(raw.get())
            .map(|it| PrincipalId::of(&it.issuer, &it.subject))
            .map_err(|_| bad()),
        b'"' => read::<String>(raw.get())
            .ok()
            .and_then(|id| PrincipalId::parse(&id))
            .ok_or_else(bad),
        _ => Err(bad()),
    }
}

/// Of a target that is everyone's, the part that is this principal's.
pub(super) fn directed(
    principal: PrincipalId,
    target: Target,
    has_contents: bool,
) -> Result<Target, PublishOutcome> {
    let bad = |sentence: &str| Err(refused("bad_item", sentence));
    match target {
        Target::Topic(_) if has_contents => bad(
            "Contents are for whoever may read their uri, and all its subscribers are notified of them: leave the principal \
             out, or publish the uri alone",
        ),
        Target::Topic(topic) => Ok(Target::Directed(principal, topic)),
        _ => bad("A principal is notified of a uri or a topic; leave session, all and message out"),
    }
}
