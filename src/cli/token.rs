//! `pinfold token new`: a token for a client, and its line for the server's file.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::auth::StaticTokens;
use crate::credentials::new_token;

pub const EXAMPLES: &str = "\
Examples:
  pinfold token new --name ci --scopes 'board:read board:write' >> /etc/pinfold/tokens
        appends the line; the token itself is shown on the terminal, and is nowhere else
  pinfold token new --name ci --until 2027-01-01
        until that day only
  pinfold serve --auth token --auth-token-file /etc/pinfold/tokens
        lets in whoever has one. A file that has changed is read on SIGHUP";

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token: it goes to standard error, its line for --auth-token-file to standard output
    #[command(after_help = EXAMPLES)]
    New(NewTokenOptions),
}

#[derive(Args, Debug)]
pub struct NewTokenOptions {
    /// Whose it is. Two tokens of one name are one principal, so that one can be replaced without a gap
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// What it is good for, with spaces between the scopes
    #[arg(long, value_name = "SCOPES", default_value = "")]
    pub scopes: String,

    /// The day from which on it is worth nothing
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub until: Option<String>,
}

#[must_use]
pub fn run(command: &TokenCommand) -> ExitCode {
    let TokenCommand::New(options) = command;
    let (code, said) = match made(options) {
        Ok((token, line)) => match writeln!(stdout(), "{line}") {
            Ok(()) => (ExitCode::SUCCESS, token),
            Err(fault) => (ExitCode::FAILURE, format!("error: {fault}")),
        },
        Err(why) => (ExitCode::from(super::EXIT_USAGE), format!("error: {why}")),
    };
    // Nothing else is left to be done about it.
    let _ = writeln!(stderr(), "{said}");
    code
}

/// A token, and its line.
fn made(options: &NewTokenOptions) -> Result<(String, String), String> {
    let new = new_token()?;
    let mut line = format!("{} {}", options.name, new.hash);
    for scope in options.scopes.split_ascii_whitespace() {
        line.push(' ');
        line.push_str(scope);
    }
    if let Some(until) = &options.until {
        line.push_str(" until=");
        line.push_str(until);
    }
    // What a file could not have in it is said now.
    let read = StaticTokens::parse(&line).map_err(|wrong| wrong.what)?;
    match read.len() {
        1 => Ok((new.token, line)),
        _ => Err("--name cannot be the name of a token".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, scopes: &str, until: Option<&str>) -> NewTokenOptions {
        NewTokenOptions {
            name: name.into(),
            scopes: scopes.into(),
            until: until.map(Into::into),
        }
    }

    #[test]
    fn a_line_that_does_not_let_its_token_in() {
        let (token, line) = made(&options("ci", "b a", Some("2099-01-01"))).unwrap();
        let tokens = StaticTokens::parse(&line).unwrap();
        let identity = tokens.find(&token).expect("it is let in");
        assert_eq!(identity.subject(), "ci");
        assert_eq!(identity.scopes().to_string(), "a b");
        assert!(identity.valid_until().is_some() && !line.contains(&token));
    }

    #[test]
    fn a_line_that_no_server_would_read() {
        for (name, scopes, until) in [
            ("two words", "", None),
            ("#ci", "", None),
            ("", "", None),
            ("ci", "a\"b", None),
            ("ci", "", Some("tomorrow")),
        ] {
            assert!(
                made(&options(name, scopes, until)).is_err(),
                "{name} {scopes}"
            );
        }
    }
}
