//! A configuration file: TOML, whose keys are the options of `pinfold serve`.
//!
//! Reading one finds everything that is wrong with it, each with its line, and keeps what is right: a file with a mistake
//! is used for nothing but to look for more of them. `document` judges the values, `spelling` guesses what was meant.

mod document;
pub(super) mod spelling;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::DeTable;

use super::keys::OptionKey;
use super::mistake::{Mistake, Place};
use super::tables::{self, TableEntry, Tables};
use document::Document;

/// Bytes read of a configuration file. Some hundred thousand rules are less; a log or a disk by mistake is more.
const FILE_BYTES_MAX: usize = 16 << 20;

/// What a file says. An option that it does not name is not here.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigFile {
    /// By the option's id.
    values: BTreeMap<String, Said>,
    pub(super) tables: Tables,
    /// What stands in those, for reports.
    pub(super) entries: Vec<TableEntry>,
}

/// A value, in the words of the option: `--listen` has one, `--allow-origin` any number.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) texts: Vec<String>,
    pub(super) place: Place,
}

impl ConfigFile {
    /// What it says, and what is wrong with it.
    pub(super) fn read(path: &Path, keys: &[OptionKey]) -> (ConfigFile, Vec<Mistake>) {
        match text_of(path) {
            Ok(text) => ConfigFile::parse(path, &text, keys),
            Err(mistake) => (ConfigFile::default(), vec![mistake]),
        }
    }

    pub(super) fn parse(path: &Path, text: &str, keys: &[OptionKey]) -> (ConfigFile, Vec<Mistake>) {
        let text = Text { path, text };
        let (table, wrong) = DeTable::parse_recoverable(text.text);
        let mut mistakes: Vec<Mistake> = wrong.iter().map(|it| text.refuse(it)).collect();
        // What is made of a line that is no TOML is not worth a second mistake.
        let lines: Vec<Option<usize>> = mistakes.iter().map(Mistake::line).collect();
        let names = tables::names::<Tables>();
        let (tables, wrong) = tables::read(table.get_ref(), &names);
        let mut document = Document::new(&text, keys, &names);
        document.read(table.get_ref());
        let of_shape = |it: &toml::de::Error| text.place_of(it, it.message().trim().to_owned());
        let further = wrong.iter().map(of_shape).chain(document.mistakes);
        mistakes.extend(further.filter(|it| !lines.contains(&it.line())));
        let file = ConfigFile {
            values: document.values,
            entries: document.entries,
            tables,
        };
        (file, mistakes)
    }

    pub(super) fn said(&self, id: &str) -> Option<&Said> {
        self.values.get(id)
    }
}

impl Mistake {
    fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|it| it.line)
    }
}

/// A file's text, and where in it something is.
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    /// Of a byte.
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Place {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    fn place_of(&self, error: &toml::de::Error, sentence: String) -> Mistake {
        let span = error.span().unwrap_or(0..0);
        Mistake::at(self.place(span.start), sentence)
    }

    /// What is no TOML.
    fn refuse(&self, error: &toml::de::Error) -> Mistake {
        let span = error.span().unwrap_or(0..0);
        let shown = clipped(self.text.get(span.clone()).unwrap_or("").trim());
        let message = error.message().trim();
        let sentence = match (message, shown.as_str()) {
            ("duplicate key", key) => format!("'{key}' is said twice in one table"),
            (message, "") => format!("{message} (a text is in quotes, a list in brackets)"),
            (message, shown) => {
                format!("{message}: {shown} (a text is in quotes, a list in brackets)")
            }
        };
        self.place_of(error, sentence)
    }
}

/// A value as far as a line of a message has room for it.
fn clipped(text: &str) -> String {
    const SHOWN_MAX: usize = 60; // characters, so that the line stays one
    let line = text.lines().next().unwrap_or("");
    let mut shown: String = line.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn text_of(path: &Path) -> Result<String, Mistake> {
    let refuse = |why: String| Mistake::of_file(format!("{}: {why}", path.display()));
    let bytes = bytes_of(path)
        .map_err(|fault| refuse(format!("the configuration file cannot be read: {fault}")))?;
    if bytes.len() > FILE_BYTES_MAX {
        let most = super::Size(FILE_BYTES_MAX);
        return Err(refuse(format!("a configuration file has at most {most}")));
    }
    String::from_utf8(bytes).map_err(|wrong| {
        let sound = wrong.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&wrong.as_bytes()[..sound]).into_owned();
        let place = Text { path, text: &text }.place(sound);
        Mistake::at(
            place,
            "a configuration file is UTF-8, which this byte is not".to_owned(),
        )
    })
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
