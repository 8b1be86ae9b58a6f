//! The command line of `pinfold sessions`.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Alone {
    #[command(subcommand)]
    command: SessionsCommand,
}

fn parse(words: &str) -> Result<SessionsCommand, clap::Error> {
    let words = ["sessions"].into_iter().chain(words.split(' '));
    Alone::try_parse_from(words).map(|it| it.command)
}

#[test]
fn sessions_that_are_named_by_nothing_or_twice() {
    for wrong in [
        "end",
        "end --yes",
        "end n1.AAEAAAAAAAAAAAEAAAGa0AAA --yes",
        "end n1.AAEAAAAAAAAAAAEAAAGa0AAA --principal dc18d98ab34b2f83b5913fec82dc81e9",
        "end --principal alice",
        "show",
        "list --all --limit 7",
        "list --all --after x",
        "list --limit 0",
        "list --limit 1001",
        "list --state open,slow",
        "list --sort size",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_name_that_is_none() {
    for wrong in [
        "n1",
        "n1.",
        "n1.AAEAAAAA",
        "..",
        "n1.AAEAAAAAAAAAAAEAAAGa0AAA/trace",
    ] {
        let refused = parse(&format!("show {wrong}"))
            .err()
            .map(|it| it.to_string());
        assert!(
            refused.is_some_and(|it| it.contains("pinfold sessions list")),
            "{wrong}"
        );
    }
    for right in [
        "n1.AAEAAAAAAAAAAAEAAAGa0AAA",
        "n1.~AAEAAAAAAAAAAAEAAAGa0AAA",
    ] {
        assert!(parse(&format!("show {right}")).is_ok(), "{right}");
    }
}
