//! The configuration file, as an operator meets it: what a mistake is told like, who has the last word, what the program
//! prints for editors, shells and `man`.

mod layers;
mod mistakes;
mod printed;

use std::path::Path;
use std::process::Command;

use crate::program::{Finished, run};
use crate::server::binary;

/// The program with these arguments and variables, to its end.
fn pinfold(arguments: &[&str], variables: &[(&str, &str)], scratch: &Path) -> Finished {
    let mut command = Command::new(binary());
    command.args(arguments).envs(variables.iter().copied());
    run(&mut command, &scratch.join("output"))
}

/// What it prints when all is well.
fn printed(arguments: &[&str], variables: &[(&str, &str)], scratch: &Path) -> String {
    let finished = pinfold(arguments, variables, scratch);
    assert_eq!(
        finished.status.code(),
        Some(0),
        "{arguments:?}: {finished:?}"
    );
    finished.output
}

/// A file of the scratch folder, as an argument.
fn written(scratch: &Path, name: &str, contents: impl AsRef<[u8]>) -> String {
    let path = scratch.join(name);
    std::fs::write(&path, contents).expect("a file can be written");
    path.to_str().expect("a plain path").to_owned()
}

/// A file of the repository.
fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}
