//! The notes: text files of one directory. Everything here waits for the disk, so handlers call it by `blocking`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longer ones are no notes.
const NOTE_BYTES_MAX: u64 = 1024 * 1024;

/// The URI of each note is this and its name.
const SCHEME: &str = "note:///";
pub(crate) const TEMPLATE: &str = "note:///{name}";

#[derive(Clone)]
pub(crate) struct Directory(Arc<Path>);

impl Directory {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Directory(path.canonicalize()?.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// In order.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.0)?;
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| is_name(name));
        names.sort();
        Ok(names)
    }

    pub(crate) fn read(&self, name: &str) -> io::Result<String> {
        let path = self.file(name)?;
        if std::fs::metadata(&path)?.len() > NOTE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "{name} is longer than a note may be"
            )));
        }
        std::fs::read_to_string(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.file(name)?, text)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.file(name)?)
    }

    /// A name comes from a stranger, and may lead nowhere else.
    fn file(&self, name: &str) -> io::Result<PathBuf> {
        match is_name(name) {
            true => Ok(self.0.join(name)),
            false => Err(io::Error::other(format!("{name:?} is no name of a note"))),
        }
    }
}

/// Letters, digits, and dots, dashes and underscores behind the first: what is the same in a path and in a URI.
pub(crate) fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.bytes().all(letter) && !name.is_empty() && !name.starts_with('.')
}

pub(crate) fn uri_of(name: &str) -> String {
    format!("{SCHEME}{name}")
}
