//! What a token says, each claim of the type that RFC 7519, 4.1 gives it. Whether it holds for this server is the
//! verifier's.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_members::Members;
use super::{Reason, Scopes, UnixSeconds};

pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audiences: Vec<String>,
    pub(super) expires: UnixSeconds,
    pub(super) not_before: Option<UnixSeconds>,
    pub(super) issued_at: Option<UnixSeconds>,
    pub(super) scopes: Scopes,
    pub(super) name: Option<String>,
    pub(super) tenant: Option<String>,
    /// Only for whoever proves to have a key: RFC 7800, 3.1.
    pub(super) is_bound: bool,
}

/// What people are called, in the order in which it is looked for.
const NAMES: [&str; 4] = ["name", "preferred_username", "email", "client_id"];

/// One, or several: `aud`, and `scp` of some issuers.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn into_list(self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

impl Claims {
    pub(super) fn parse(payload: &str, tenant_claim: Option<&str>) -> Result<Claims, Reason> {
        let members = Members::parse(payload)?;
        let text = |name| members.read::<String>(name, Reason::Claim);
        let needed = |name| text(name)?.filter(|it| !it.is_empty()).ok_or(Reason::Claim);
        let audiences = members.read::<OneOrMore>("aud", Reason::Claim)?;
        let tenant = tenant_claim.map(|claim| members.read::<String>(claim, Reason::Claim));
        Ok(Claims {
            issuer: needed("iss")?,
            subject: needed("sub")?,
            audiences: audiences.ok_or(Reason::Audience)?.into_list(),
            expires: time(&members, "exp", f64::floor)?.ok_or(Reason::Claim)?,
            not_before: time(&members, "nbf", f64::ceil)?,
            issued_at: time(&members, "iat", f64::floor)?,
            scopes: scopes(&members)?,
            name: NAMES.iter().find_map(|name| text(name).ok().flatten()),
            tenant: tenant.transpose()?.flatten(),
            is_bound: members.has("cnf"),
        })
    }
}

/// As it was signed, for handlers.
pub(super) fn raw(payload: String) -> Option<Box<RawValue>> {
    RawValue::from_string(payload).ok()
}

/// A NumericDate may have a fraction; rounded to the side on which the token is worth less.
fn time(
    members: &Members<'_>,
    name: &str,
    round: fn(f64) -> f64,
) -> Result<Option<UnixSeconds>, Reason> {
    let seconds = members.read::<f64>(name, Reason::Claim)?;
    match seconds {
        // Saturates: what is later than any clock is later than any clock.
        Some(seconds) if seconds >= 0.0 => Ok(Some(round(seconds) as UnixSeconds)),
        Some(_) => Err(Reason::Claim),
        None => Ok(None),
    }
}

/// `scope` with spaces in it (RFC 8693, 4.2), and `scp`, a list or a text.
fn scopes(members: &Members<'_>) -> Result<Scopes, Reason> {
    let scope = members.read::<OneOrMore>("scope", Reason::Claim)?;
    let scp = members.read::<OneOrMore>("scp", Reason::Claim)?;
    let lists: Vec<String> = [scope, scp]
        .into_iter()
        .flatten()
        .flat_map(OneOrMore::into_list)
        .collect();
    Ok(Scopes::of(lists.iter().flat_map(|list| list.split(' '))))
}
