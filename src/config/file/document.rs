//! The values of a configuration file, each judged by the parser of its option.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::super::keys::{OptionKey, ValueKind, tables};
use super::super::mistake::Mistake;
use super::super::tables::{TableEntry, entries};
use super::{Said, Text, clipped, spelling};
use crate::redis::RedisUrl;

pub(super) struct Document<'a> {
    text: &'a Text<'a>,
    keys: &'a [OptionKey],
    /// Tables that have a shape of their own.
    others: &'a BTreeSet<String>,
    pub(super) values: BTreeMap<String, Said>,
    pub(super) entries: Vec<TableEntry>,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        text: &'a Text<'a>,
        keys: &'a [OptionKey],
        others: &'a BTreeSet<String>,
    ) -> Self {
        Document {
            text,
            keys,
            others,
            values: BTreeMap::new(),
            entries: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let at = name.span();
            let name: &str = name.get_ref();
            if self.others.contains(name) {
                self.read_other(name, value);
                continue;
            }
            match (tables().find(|it| *it == name), value.get_ref()) {
                (Some(table), DeValue::Table(entries)) => self.read_table(table, entries),
                (Some(table), _) => {
                    let sentence = format!(
                        "'{table}' must be a table: write [{table}], and its keys on the lines below it"
                    );
                    self.refuse(&at, None, sentence);
                }
                (None, _) => self.read_entry(None, name, at, value),
            }
        }
    }

    /// What is wrong in it is found by its type. One word in the place of the table is that of the option of its name.
    fn read_other(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        let place = |at| self.text.place(at);
        let mut keys = self.keys.iter();
        let option = keys.find(|it| it.table.is_none() && it.name == name);
        match (option, value.get_ref()) {
            (Some(key), DeValue::String(word)) => {
                let (texts, place) = (vec![word.to_string()], place(value.span().start));
                if key.check(word).is_ok() {
                    self.values.insert(key.id.clone(), Said { texts, place });
                }
            }
            _ => self.entries.extend(entries(name, value, &place)),
        }
    }

    fn read_table(&mut self, table: &'static str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            self.read_entry(Some(table), name.get_ref(), name.span(), value);
        }
    }

    fn read_entry(
        &mut self,
        table: Option<&str>,
        name: &str,
        at: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let mut keys = self.keys.iter();
        let Some(key) = keys.find(|it| it.table == table && it.name == name) else {
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            let sentence = spelling::unknown(self.keys, self.others, table, name, is_table);
            return self.refuse(&at, None, sentence);
        };
        match texts(key, value.get_ref()) {
            Ok(texts) => {
                let place = self.text.place(value.span().start);
                let texts = texts.into_iter().map(|it| self.resolved(key, it)).collect();
                self.values.insert(key.id.clone(), Said { texts, place });
            }
            Err(allowed) => {
                let path = key.path();
                let sentence = if key.is_secret() {
                    format!("invalid value for '{path}': {allowed}")
                } else {
                    let shown = self.text.text.get(value.span()).unwrap_or("");
                    format!("invalid value {} for '{path}': {allowed}", clipped(shown))
                };
                self.refuse(&value.span(), Some(key.long.clone()), sentence);
            }
        }
    }

    /// A path is looked for beside the file that names it.
    fn resolved(&self, key: &OptionKey, text: String) -> String {
        let folder = self.text.path.parent().filter(|_| key.is_file(&text));
        match folder.map(|it| it.join(&text).into_os_string().into_string()) {
            Some(Ok(path)) => path,
            // The name of the folder is no UTF-8: then it is looked for where the program is.
            Some(Err(_)) | None => text,
        }
    }

    fn refuse(&mut self, at: &Range<usize>, option: Option<String>, sentence: String) {
        let mistake = Mistake::at(self.text.place(at.start), sentence);
        self.mistakes.push(Mistake { option, ..mistake });
    }
}

/// The words that the option would be given; else what is allowed.
fn texts(key: &OptionKey, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (key.is_list, value) {
        (false, value) => Ok(vec![text(key, value)?]),
        (true, DeValue::Array(values)) => values.iter().map(|it| text(key, it.get_ref())).collect(),
        (true, DeValue::String(one)) => Err(format!("must be a list: [\"{one}\"]")),
        (true, _) => Err("must be a list of texts in quotes: [\"…\", \"…\"]".to_owned()),
    }
}

fn text(key: &OptionKey, value: &DeValue<'_>) -> Result<String, String> {
    let text = match (key.kind, value) {
        (ValueKind::Flag, DeValue::Boolean(flag)) => flag.to_string(),
        (ValueKind::Flag, _) => return Err("must be true or false, without quotes".to_owned()),
        (ValueKind::Count | ValueKind::Size, DeValue::Integer(number)) => decimal(number),
        (ValueKind::Count, _) => return Err(count_wanted(key)),
        (ValueKind::Share, DeValue::Integer(number)) => decimal(number),
        (ValueKind::Share, DeValue::Float(number)) => number.as_str().to_owned(),
        (ValueKind::Share, _) => {
            return Err("must be a number from 0 to 1, without quotes".to_owned());
        }
        (_, DeValue::String(text)) => text.to_string(),
        (ValueKind::Size | ValueKind::Time | ValueKind::Path | ValueKind::Text, other) => {
            return Err(text_wanted(key, other));
        }
    };
    key.check(&text)?;
    let has_password = || text.parse().is_ok_and(|url: RedisUrl| url.has_password());
    if key.is_secret() && has_password() {
        return Err(
            "must have no password: write that into a file of its own, and name it by redis-password-file".to_owned(),
        );
    }
    Ok(text)
}

/// `0x10` and `1_000` are numbers as well.
fn decimal(number: &DeInteger<'_>) -> String {
    let value = i128::from_str_radix(number.as_str(), number.radix());
    value.map_or_else(|_| number.to_string(), |it| it.to_string())
}

fn count_wanted(key: &OptionKey) -> String {
    match key.bounds() {
        Some(bounds) => format!(
            "must be a number from {} to {}, without quotes",
            bounds.min, bounds.max
        ),
        None => "must be a number, without quotes".to_owned(),
    }
}

fn text_wanted(key: &OptionKey, value: &DeValue<'_>) -> String {
    let plain = match value {
        DeValue::Integer(number) => decimal(number),
        DeValue::Float(number) => number.to_string(),
        _ => return "must be a text in quotes".to_owned(),
    };
    match key.check(&plain) {
        Ok(()) => "must be a text in quotes".to_owned(),
        Err(allowed) => format!("{allowed}, in quotes"),
    }
}
