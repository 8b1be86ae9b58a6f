//! `POST /revoke`: whose tokens are worth nothing any more.
//!
//! ```json
//! {"issuer": "https://login.example", "subject": "alice"}
//! {"principal": "dc18d98ab34b2f83b5913fec82dc81e9", "issuedUpTo": 1764547200}
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::call::KeptBy;
use crate::limits::LEEWAY_MAX_S;
use crate::principal::{PrincipalId, UnixSeconds};

/// Whose tokens, and which: those that were issued up to this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub principal: PrincipalId,
    pub issued_up_to: UnixSeconds,
}

/// It counts on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeOutcome {
    /// Who knows of it. `None` on a node that is alone.
    pub kept: Option<KeptBy>,
}

/// As somebody is named in a request, or on a command line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NamedPrincipal {
    issuer: Option<String>,
    subject: Option<String>,
    principal: Option<String>,
    issued_up_to: Option<UnixSeconds>,
}

/// # Errors
/// A sentence on what is wrong.
pub(super) fn parse(body: &[u8]) -> Result<Revocation, String> {
    let named: NamedPrincipal = serde_json::from_slice(body)
        .map_err(|fault| format!("The body is not what it must be: {fault}. {FORM}"))?;
    let principal = match (named.issuer, named.subject, named.principal) {
        (Some(issuer), Some(subject), None) => PrincipalId::of(&issuer, &subject),
        (None, None, Some(digits)) => digits
            .parse()
            .map_err(|allowed| format!("\"principal\" {allowed}, as the log has them. {FORM}"))?,
        _ => return Err(FORM.to_owned()),
    };
    let issued_up_to = named.issued_up_to.unwrap_or_else(now);
    // It could not be taken back before that day. Milliseconds are the likeliest reason.
    if issued_up_to > now().saturating_add(LEEWAY_MAX_S) {
        return Err(format!(
            "\"issuedUpTo\" is in the future: it is in seconds since 1970, and now is {}. {FORM}",
            now()
        ));
    }
    Ok(Revocation {
        principal,
        issued_up_to,
    })
}

const FORM: &str = "Send {\"issuer\": …, \"subject\": …} as they stand in a token (iss, sub), or {\"principal\": …}; and \"issuedUpTo\", \
in seconds since 1970, unless it is now.";

/// What an operator is answered.
pub(super) fn render(whose: &Revocation, revoked: RevokeOutcome) -> Value {
    let mut object = json!({
        "revoked": true,
        "principal": whose.principal.to_string(),
        "issuedUpTo": whose.issued_up_to,
    });
    match revoked.kept {
        Some(KeptBy::Cluster) => object["kept"] = "cluster".into(),
        Some(KeptBy::Node) => object["kept"] = "node".into(),
        None => {}
    }
    object
}

fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_is_named_by_half_or_twice() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"issuer":"i"}"#,
            r#"{"subject":"s"}"#,
            r#"{"issuer":"i","subject":"s","principal":"dc18d98ab34b2f83b5913fec82dc81e9"}"#,
            r#"{"principal":"alice"}"#,
            r#"{"issuer":"i","subject":"s","issuedUpTo":-1}"#,
            r#"{"issuer":"i","subject":"s","issuedUpto":1}"#,
            // In milliseconds.
            r#"{"issuer":"i","subject":"s","issuedUpTo":1764547200000}"#,
        ] {
            let refused = parse(wrong.as_bytes()).expect_err(wrong);
            assert!(refused.contains("issuedUpTo"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn one_principal_that_two_names_do_not_mean() {
        let by_name = br#"{"issuer":"https://login.example","subject":"alice","issuedUpTo":7}"#;
        let by_digits = br#"{"principal":"dc18d98ab34b2f83b5913fec82dc81e9","issuedUpTo":7}"#;
        let whose = parse(by_name).expect("it is sound");
        assert_eq!(parse(by_digits), Ok(whose));
        let before = now();
        let until_now = parse(br#"{"issuer":"i","subject":"s"}"#).expect("it is sound");
        assert!((before..=now()).contains(&until_now.issued_up_to));
        let told = render(
            &whose,
            RevokeOutcome {
                kept: Some(KeptBy::Node),
            },
        );
        assert_eq!(
            (&told["kept"], &told["issuedUpTo"]),
            (&json!("node"), &json!(7))
        );
        assert!(
            render(&whose, RevokeOutcome { kept: None })
                .get("kept")
                .is_none()
        );
    }
}
