//! Ending sessions: one at once, all of a principal after a question.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin, stdout};

use serde_json::Value;

use super::{EndSessions, SessionsAsked, encoded, of_all, unanswered};
use crate::cli::publish::{AdminClient, AdminFault};
use crate::cli::{EXIT_NO_ANSWER, EXIT_USAGE};
use crate::principal::PrincipalId;

/// # Errors
/// The exit code, and a sentence.
pub(super) fn end(admin: &AdminClient, options: &EndSessions) -> Result<String, AdminFault> {
    let one = options
        .name
        .map(|name| format!("/sessions/{}", encoded(&name.to_string())));
    let all = options
        .principal
        .map(|it| format!("/sessions?principal={it}"));
    // The parser asks for one of them.
    let path = one.or(all).unwrap_or_default();
    if let (Some(principal), false) = (options.principal, options.yes)
        && !is_meant(admin, principal, options.cluster)?
    {
        return Ok("nothing was ended\n".to_owned());
    }
    let answer = admin.delete(&of_all(path, options.cluster))?;
    let said = match options.json {
        true => format!("{answer}\n"),
        false => told(&answer),
    };
    let silent = unanswered(&answer);
    if silent.is_empty() {
        return Ok(said);
    }
    // What was done is said, and then what may not have been.
    let _ = stdout().write_all(said.as_bytes());
    Err((EXIT_NO_ANSWER, silent.join("; ")))
}

fn is_meant(
    admin: &AdminClient,
    principal: PrincipalId,
    is_of_all: bool,
) -> Result<bool, AdminFault> {
    if !stdin().is_terminal() {
        let sentence = "all sessions of a principal are ended after a question, and nobody is here to answer it: \
                        say --yes";
        return Err((EXIT_USAGE, sentence.to_owned()));
    }
    let filter = SessionsAsked {
        principal: Some(principal),
        ..SessionsAsked::default()
    };
    let count = admin.get(&of_all(filter.path(1, None), is_of_all))?["total"]
        .as_u64()
        .unwrap_or(0);
    let mut said = String::new();
    // Who cannot be asked has not said yes.
    let _ = write!(stderr(), "End all {count} sessions of {principal}? [y/N] ");
    let _ = stdin().lock().read_line(&mut said);
    Ok(is_yes(&said))
}

fn is_yes(said: &str) -> bool {
    matches!(said.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn told(answer: &Value) -> String {
    match answer["ended"].as_u64().unwrap_or(0) {
        1 => "1 session was ended\n".to_owned(),
        count => format!("{count} sessions were ended\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_yes() {
        for no in ["", "\n", "n\n", "yep\n", "ye", "no"] {
            assert!(!is_yes(no), "{no:?}");
        }
        for yes in ["y\n", "YES\n", " yes "] {
            assert!(is_yes(yes), "{yes:?}");
        }
    }
}
