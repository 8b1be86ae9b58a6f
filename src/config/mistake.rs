//! What is wrong with what the program was told, and where it was told. There may be several: all are told at once.

use std::fmt;
use std::path::PathBuf;

/// A place in a configuration file, as editors know it: both numbers begin with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    /// In characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = self;
        write!(f, "{}:{line}:{column}", file.display())
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// None: it is no line of a file.
    pub place: Option<Place>,
    /// The option that it is about, without its `--`, if it is about one.
    pub option: Option<String>,
    /// What it is, and what is allowed.
    pub sentence: String,
}

impl Mistake {
    pub(super) fn of_file(sentence: String) -> Mistake {
        Mistake {
            place: None,
            option: None,
            sentence,
        }
    }

    pub(super) fn at(place: Place, sentence: String) -> Mistake {
        Mistake {
            place: Some(place),
            option: None,
            sentence,
        }
    }

    /// For putting them into order: by line, and last what is of no line.
    pub(super) fn rank(&self) -> (bool, usize, usize) {
        let place = self.place.as_ref();
        place.map_or((true, 0, 0), |it| (false, it.line, it.column))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

/// Never none; those of a file in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

/// One line for each of them.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}error: {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
