//! Variables that are nobody's, and look like one of pinfold's: a limit that somebody mistyped would be in force nowhere, and
//! nobody would notice.
//!
//! Others have variables of such names, too: Kubernetes gives those of a service `pinfold` to all containers beside it
//! (`PINFOLD_SERVICE_HOST`). So it is no mistake, and what is like none of ours is not spoken of.

use clap::Command;

use super::file::spelling::nearest;

const PREFIX: &str = "PINFOLD_";

/// A sentence on each of these names that is none of the program's, and like one of them.
#[must_use]
pub fn mistyped(program: &Command, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = Vec::new();
    collect(program, &mut known);
    let mut sentences: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .filter_map(|name| {
            let words = known.iter().filter_map(|it| it.strip_prefix(PREFIX));
            let meant = nearest(
                name.strip_prefix(PREFIX)?,
                words.map(|word| (word, word.to_owned())),
            );
            let meant = meant?;
            Some(format!(
                "there is no variable {name}, and nobody reads it: did you mean {PREFIX}{meant}?"
            ))
        })
        .collect();
    sentences.sort();
    sentences
}

/// The variables of a command and of all below it.
fn collect(command: &Command, known: &mut Vec<String>) {
    let own = command.get_arguments().filter_map(|it| it.get_env());
    known.extend(own.map(|name| name.to_string_lossy().into_owned()));
    for below in command.get_subcommands() {
        collect(below, known);
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::super::ServeOptions;
    use super::*;

    fn told(names: &[&str]) -> Vec<String> {
        let serve = ServeOptions::augment_args(Command::new("serve"));
        let program = Command::new("pinfold").subcommand(serve);
        mistyped(&program, names.iter().map(|it| (*it).to_owned()))
    }

    #[test]
    fn a_variable_that_was_mistyped_and_that_nobody_reads() {
        for (mistyped, meant) in [
            ("PINFOLD_LISTN", "PINFOLD_LISTEN?"),
            ("PINFOLD_SESSION_MAX", "PINFOLD_SESSIONS_MAX?"),
            ("PINFOLD_AUTH_TOKENFILE", "PINFOLD_AUTH_TOKEN_FILE?"),
            ("PINFOLD_PEER_SECRET", "PINFOLD_PEER_SECRET_FILE?"),
        ] {
            let told = told(&["PATH", "PINFOLD_LISTEN", mistyped]);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(
                told[0].contains(mistyped) && told[0].ends_with(meant),
                "{told:?}"
            );
        }
    }

    /// What others put there.
    #[test]
    fn a_variable_of_somebody_else_that_is_taken_for_a_mistake() {
        let others = [
            "PINFOLD_SERVICE_HOST",
            "PINFOLD_SERVICE_PORT",
            "PINFOLD_PORT",
            "PINFOLD_PORT_8080_TCP_ADDR",
            "PINFOLD_BINARY",
            "PINFOLD_",
            "HOME",
        ];
        assert_eq!(told(&others), Vec::<String>::new());
    }
}
