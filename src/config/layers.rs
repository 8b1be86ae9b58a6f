//! Defaults, the configuration file, variables, options: whoever comes later in this list has the last word.
//!
//! The command line parser has three of the four layers already. What a file says takes the place of the defaults in it,
//! and then everything is parsed again: so there is one parser for a value wherever it was said, and one rule for which
//! one counts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, FromArgMatches};

use super::file::ConfigFile;
use super::keys::{OptionKey, keys};
use super::mistake::{Mistake, Mistakes};
use super::settings::EffectiveSettings;
use super::{Config, Machine, ServeOptions};

/// Where the options of a node come from, to be read as often as somebody asks.
#[derive(Clone)]
pub struct Layers {
    program: Command,
    arguments: Vec<OsString>,
}

/// All of them together. If the file has mistakes, they are not complete.
#[derive(Clone)]
pub struct Layered {
    pub options: ServeOptions,
    pub settings: EffectiveSettings,
    mistakes: Vec<Mistake>,
}

impl Layers {
    /// Of a command, anywhere in the program, that takes [`ServeOptions`]. The arguments are those that the program takes, its
    /// own name included.
    #[must_use]
    pub fn new(program: Command, arguments: Vec<OsString>) -> Layers {
        Layers { program, arguments }
    }

    /// Reads the file that is asked for, if one is.
    ///
    /// # Errors
    /// What the command line parser refuses. What is wrong with the file is told by [`Layered::check`].
    pub fn read(&self) -> Result<Layered, Mistakes> {
        let matches = self.parse(self.program.clone())?;
        let (path, leaf) = leaf(&matches);
        let Some(file) = leaf.get_one::<PathBuf>("config") else {
            return layered(leaf, None, Vec::new());
        };
        let keys = keys();
        let (file, mistakes) = ConfigFile::read(file, &keys);
        let program = lay_under(self.program.clone(), &path, &file, &keys);
        let matches = self.parse(program)?;
        let (_, leaf) = self::leaf(&matches);
        layered(leaf, Some(&file), mistakes)
    }

    /// Another command's options, with a configuration file of `serve` below those of them that `shared` names: both
    /// commands have them, and mean the same.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn with_file_of_serve<T: FromArgMatches>(
        &self,
        file: &Path,
        shared: &[&str],
    ) -> Result<T, Mistakes> {
        let all = keys();
        let (file, mut mistakes) = ConfigFile::read(file, &all);
        mistakes.sort_by_key(Mistake::rank);
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let is_shared = |key: &OptionKey| shared.contains(&key.long.as_str());
        let keys: Vec<OptionKey> = all.into_iter().filter(is_shared).collect();
        let matches = self.parse(self.program.clone())?;
        let (path, _) = leaf(&matches);
        let matches = self.parse(lay_under(self.program.clone(), &path, &file, &keys))?;
        let (_, leaf) = leaf(&matches);
        T::from_arg_matches(leaf).map_err(refused)
    }

    fn parse(&self, program: Command) -> Result<ArgMatches, Mistakes> {
        program
            .try_get_matches_from(&self.arguments)
            .map_err(refused)
    }
}

impl Layered {
    /// What is checked with everything in sight, and everything that is wrong.
    ///
    /// # Errors
    /// All mistakes, those of the file first, in the order of its lines.
    pub fn check(self, machine: &Machine) -> Result<(Config, EffectiveSettings), Mistakes> {
        let Layered {
            options,
            mut settings,
            mut mistakes,
        } = self;
        let checked = Config::check(options, machine);
        if let Err(wrong) = &checked {
            // What is missing because it was refused before is no mistake of its own.
            let known: Vec<_> = mistakes.iter().filter_map(|it| it.option.clone()).collect();
            let further = wrong.iter().map(|it| settings.locate(it));
            let is_new = |it: &Mistake| it.option.as_ref().is_none_or(|it| !known.contains(it));
            mistakes.extend(further.filter(is_new));
        }
        mistakes.sort_by_key(Mistake::rank);
        match checked {
            Ok(config) if mistakes.is_empty() => {
                settings.fill_in(&config);
                Ok((config, settings))
            }
            Ok(_) | Err(_) => Err(Mistakes(mistakes)),
        }
    }
}

fn layered(
    leaf: &ArgMatches,
    file: Option<&ConfigFile>,
    mistakes: Vec<Mistake>,
) -> Result<Layered, Mistakes> {
    let mut options = ServeOptions::from_arg_matches(leaf).map_err(refused)?;
    options.tables = file.map(|it| it.tables.clone()).unwrap_or_default();
    Ok(Layered {
        options,
        settings: EffectiveSettings::of(leaf, file),
        mistakes,
    })
}

/// The command that was given, and its options.
fn leaf(mut matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let mut path = Vec::new();
    while let Some((name, inner)) = matches.subcommand() {
        path.push(name);
        matches = inner;
    }
    (path, matches)
}

fn lay_under(command: Command, path: &[&str], file: &ConfigFile, keys: &[OptionKey]) -> Command {
    match path {
        [] => keys
            .iter()
            .filter_map(|key| Some((key, file.said(&key.id)?)))
            .fold(command, |command, (key, said)| {
                key.lay_under(command, &said.texts)
            }),
        [first, rest @ ..] => {
            command.mut_subcommand(first, |inner| lay_under(inner, rest, file, keys))
        }
    }
}

fn refused(error: clap::Error) -> Mistakes {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    Mistakes(vec![Mistake::of_file(text.to_owned())])
}
