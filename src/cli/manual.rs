//! What is made of the command line for shells and for `man`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args, Clone, Debug)]
pub struct CompletionsOptions {
    /// For this shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  pinfold completions bash > /etc/bash_completion.d/pinfold
  pinfold completions zsh > \"${fpath[1]}/_pinfold\"
  pinfold completions fish > ~/.config/fish/completions/pinfold.fish";

#[derive(Args, Clone, Debug)]
pub struct ManOptions {
    /// Directory for a page of each command, such as /usr/local/share/man/man1 [default: the program's page, printed]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub const MAN_EXAMPLES: &str = "\
Examples:
  pinfold man /usr/local/share/man/man1
        pinfold(1), pinfold-serve(1) and so on
  pinfold man | man -l -
        reads the first of them";

/// Prints the shell's script.
#[must_use]
pub fn completions(options: &CompletionsOptions, mut program: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut program, "pinfold", &mut script);
    ended(Path::new("standard output"), print(&script))
}

/// Prints a page, or writes all of them.
#[must_use]
pub fn man(options: &ManOptions, program: Command) -> ExitCode {
    let program = program.disable_help_subcommand(true);
    let Some(directory) = &options.directory else {
        let mut page = Vec::new();
        let printed = clap_mangen::Man::new(program).render(&mut page);
        return ended(
            Path::new("standard output"),
            printed.and_then(|()| print(&page)),
        );
    };
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(program, directory));
    ended(directory, written)
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

fn ended(place: &Path, written: io::Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {} cannot be written: {fault}", place.display());
            ExitCode::FAILURE
        }
    }
}
