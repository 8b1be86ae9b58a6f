//! A signed token in its compact form, RFC 7515, 7.1, taken apart. Nothing of it is true yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Reason;
use super::algorithm::Algorithm;
use super::json_members::Members;

/// What is taken as the type of an access token: RFC 9068, 2.1, and what issuers without it write.
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "jwt"];

pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What the signature is of.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) payload: String,
}

impl<'a> Jws<'a> {
    /// Takes no notice of a key, or of where one is, in the token itself (`jwk`, `jku`, `x5c`, `x5u`): whoever wrote the
    /// token would choose who is believed.
    pub(super) fn parse(token: &'a str) -> Result<Jws<'a>, Reason> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Reason::Malformed);
        };
        match parts.count() {
            0 => {}
            // RFC 7516, 9: two more are a JWE.
            2 => return Err(Reason::Encrypted),
            _ => return Err(Reason::Malformed),
        }
        let header_text = text(header)?;
        let header_members = Members::parse(&header_text)?;
        let signed_length = header.len() + 1 + payload.len();
        Ok(Jws {
            algorithm: algorithm(&header_members)?,
            key_id: header_members.read("kid", Reason::Malformed)?,
            signed: token.as_bytes().get(..signed_length).unwrap_or_default(),
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| Reason::Malformed)?,
            payload: text(payload)?,
        })
    }
}

fn algorithm(header: &Members<'_>) -> Result<Algorithm, Reason> {
    let name: String = header
        .read("alg", Reason::Malformed)?
        .ok_or(Reason::Malformed)?;
    let algorithm = Algorithm::parse(&name).ok_or(Reason::Algorithm)?;
    // RFC 7515, 4.1.11: whoever does not understand all of it refuses the token.
    if header.has("crit") {
        return Err(Reason::Critical);
    }
    let kind: Option<String> = header.read("typ", Reason::Malformed)?;
    let is_known = |kind: String| TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known));
    match kind.is_none_or(is_known) {
        true => Ok(algorithm),
        false => Err(Reason::Type),
    }
}

fn text(part: &str) -> Result<String, Reason> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Reason::Malformed)?;
    String::from_utf8(bytes).map_err(|_| Reason::Malformed)
}
