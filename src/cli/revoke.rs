//! `pinfold revoke`: what somebody was given is worth nothing any more, said to the admin listener of any node.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::publish::{AdminClient, AdminTarget};
use super::{EXIT_NO_ANSWER, EXIT_USAGE};
use crate::principal::PrincipalId;

pub const EXAMPLES: &str = "\
Examples:
  pinfold revoke --issuer https://login.example.com --subject alice
        tokens that were issued up to now are answered 401, her streams end, her calls are cancelled; her
        sessions stay, for a token that is issued later
  pinfold revoke --issuer pinfold:tokens --subject ci
        a name in the token file: take its line out of the file, too, or this ends with the node
  pinfold revoke --principal dc18d98ab34b2f83b5913fec82dc81e9 --issued-up-to 1764547200
        as the log names somebody, and only what was issued up to that second (since 1970)

Any node tells all that share its Redis; those that start later, or were cut off, know it for thirty days. While Redis is
away this node alone knows it: its answer says so, and it tells the others when Redis is back.

Exit code: 0 it is taken back, 1 the server takes nothing back, 2 wrong options, 3 no answer from the admin listener.";

#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("whose").required(true).args(["issuer", "principal"]))]
pub struct RevokeOptions {
    #[command(flatten)]
    admin: AdminTarget,

    /// Who vouched for them: `iss` of their tokens, or pinfold:tokens
    #[arg(long, value_name = "ISSUER", requires = "subject")]
    issuer: Option<String>,

    /// Who they are to the issuer: `sub` of their tokens, or the name in the token file
    #[arg(long, value_name = "SUBJECT", conflicts_with = "principal")]
    subject: Option<String>,

    /// Who they are, in the 32 digits of the log
    #[arg(long, value_name = "HEX")]
    principal: Option<PrincipalId>,

    /// Tokens that were issued up to this second, since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    issued_up_to: Option<u64>,
}

/// Revokes and reports; the exit code says how it went.
#[must_use]
pub fn run(options: &RevokeOptions) -> ExitCode {
    let (code, written) = match revoke(options) {
        Ok(sentence) => (0, writeln!(stdout(), "{sentence}")),
        Err((code, sentence)) => (code, writeln!(stderr(), "error: {sentence}")),
    };
    match written {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

fn revoke(options: &RevokeOptions) -> Result<String, (u8, String)> {
    let usage = |sentence| (EXIT_USAGE, sentence);
    let admin = AdminClient::new(&options.admin).map_err(usage)?;
    let answered = admin.post("/revoke", &body(options));
    let (status, answer) = answered.map_err(|sentence| (EXIT_NO_ANSWER, sentence))?;
    match (
        status,
        answer["revoked"].as_bool(),
        answer["error"].as_str(),
    ) {
        (200, Some(true), _) => Ok(told(&answer)),
        (404, ..) => Err((
            1,
            "this server is of a version that takes nothing back".to_owned(),
        )),
        (_, _, Some(error)) => Err((1, format!("{status}: {error}"))),
        _ => Err((
            EXIT_NO_ANSWER,
            "this is not pinfold's admin listener".to_owned(),
        )),
    }
}

fn body(options: &RevokeOptions) -> Value {
    let mut body = json!({});
    if let (Some(issuer), Some(subject)) = (&options.issuer, &options.subject) {
        body["issuer"] = issuer.as_str().into();
        body["subject"] = subject.as_str().into();
    }
    if let Some(principal) = options.principal {
        body["principal"] = principal.to_string().into();
    }
    if let Some(second) = options.issued_up_to {
        body["issuedUpTo"] = second.into();
    }
    body
}

fn told(answer: &Value) -> String {
    let principal = answer["principal"].as_str().unwrap_or_default();
    let where_it_is = match answer["kept"].as_str() {
        Some("cluster") => ", on all nodes",
        Some("node") => ", on this node; on the others when Redis is back",
        _ => "",
    };
    format!(
        "what {principal} was given up to second {} is taken back{where_it_is}",
        answer["issuedUpTo"]
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        options: RevokeOptions,
    }

    fn parse(words: &str) -> Result<RevokeOptions, clap::Error> {
        let words = ["revoke"].into_iter().chain(words.split(' '));
        Alone::try_parse_from(words).map(|it| it.options)
    }

    #[test]
    fn somebody_who_is_named_by_half_or_twice() {
        for wrong in [
            "--issuer i",
            "--subject s",
            "--principal alice",
            "--issued-up-to 7",
            "--issuer i --subject s --principal dc18d98ab34b2f83b5913fec82dc81e9",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn somebody_else_than_was_named() {
        let options = parse("--issuer i --subject s --issued-up-to 7").expect("it is sound");
        assert_eq!(
            body(&options),
            json!({ "issuer": "i", "subject": "s", "issuedUpTo": 7 })
        );
        let digits = "dc18d98ab34b2f83b5913fec82dc81e9";
        let options = parse(&format!("--principal {digits}")).expect("it is sound");
        assert_eq!(body(&options), json!({ "principal": digits }));
    }

    #[test]
    fn other_nodes_that_are_said_to_know() {
        let answer =
            |kept: &str| told(&json!({ "principal": "dc", "issuedUpTo": 7, "kept": kept }));
        assert!(answer("cluster").ends_with("on all nodes"));
        assert!(answer("node").contains("when Redis is back"));
    }
}
