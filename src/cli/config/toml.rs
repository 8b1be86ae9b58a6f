//! Options as a configuration file: what is in force, or an example with everything that there is.

use std::fmt::Write as _;
use std::path::Path;

use ::toml::Value;

use crate::config::{EffectiveSettings, OptionKey, Origin, Setting, ValueKind, keys};

const WIDTH: usize = 118;

/// What was said is said in it; defaults are comments, so that a later version may have better ones.
pub(super) fn emit(settings: &EffectiveSettings) -> String {
    let mut file = Emitted::default();
    for setting in settings.iter() {
        file.enter(&setting.key);
        let value = value(&setting.key, &setting.texts);
        let name = &setting.key.name;
        let said = match &setting.origin {
            _ if setting.hides_something() => hidden(setting),
            Origin::Default if setting.texts.is_empty() => format!("# {name} ="),
            Origin::Default => format!("# {name} = {value}"),
            Origin::File(place) => {
                format!("{name} = {value} # {}:{}", place.file.display(), place.line)
            }
            Origin::Variable(from) | Origin::Flag(from) => format!("{name} = {value} # {from}"),
        };
        file.line(&said);
    }
    let mut table = "";
    for entry in settings.entries() {
        if entry.table != table {
            table = &entry.table;
            file.line(&format!("\n[{table}]"));
        }
        let (path, value, place) = (&entry.path, &entry.value, &entry.place);
        let place = format!("{}:{}", place.file.display(), place.line);
        file.line(&format!("{path} = {value} # {place}"));
    }
    file.text
}

/// Every key with its help and its default, all of it comments.
pub(super) fn example() -> String {
    let mut file = Emitted::default();
    file.line("# pinfold serve --config FILE, or PINFOLD_CONFIG=FILE. Each key is an option of `pinfold serve`, which counts");
    file.line("# more than what stands here; so does its variable. What stands here as a comment is the default.");
    file.line("# Paths begin at the folder of this file. `pinfold config check --config FILE` says what is wrong with it.");
    for key in keys() {
        file.enter(&key);
        file.line("");
        file.comment(&key.help());
        for (name, means) in key.choices().iter().filter(|(_, means)| !means.is_empty()) {
            file.comment(&format!("- {name}: {means}"));
        }
        let texts = key.default_texts();
        let value = match texts.as_slice() {
            [] if key.is_list => "[]".to_owned(),
            [] => String::new(),
            texts => value(&key, texts),
        };
        file.line(format!("# {} = {value}", key.name).trim_end());
    }
    file.text += POLICY;
    file.text
}

/// The table that has rules, by example.
const POLICY: &str = r#"
# What they may do, by rules, in place of the one word at `policy` above. What no rule says is everybody's who gets in.
# [policy]
#   preset = "open"                  # or "read-only", "closed": what holds where nothing is said
#   read = "board:read"              # a scope; "a b" is both of them, ["a", "b"] one of them
#   subscribe = "board:read"         # likewise list, publish, remove, call, prompt, complete, and default for all of these
#   publish = "board:write"
#   remove = "nobody"                # as if it were not there
#
# [policy.tools]                     # and [policy.prompts]
#   "echo" = "anyone"                # anybody who gets in
#   "admin_*" = "board:admin"
#
# [policy.resources]                 # by URI; a table of read, subscribe, publish and remove, or one need for all four
#   "board://people/{subject}/*" = "anyone" # everybody has an area, that of another one does not exist; so with {tenant}
#
# [policy.implies]                   # scopes that have others in them
#   "board:admin" = ["board:write", "board:read"]
"#;

/// A file as it grows.
#[derive(Default)]
struct Emitted {
    text: String,
    /// Where the last line belongs.
    heading: String,
    table: Option<&'static str>,
}

impl Emitted {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// The table of this key begins, if it is not its turn already.
    fn enter(&mut self, key: &OptionKey) {
        if self.heading == key.heading {
            return;
        }
        if !self.text.is_empty() {
            self.line("");
        }
        self.line(&format!("# {}", key.heading));
        if let Some(table) = key.table.filter(|it| self.table != Some(*it)) {
            self.line(&format!("[{table}]"));
        }
        self.heading.clone_from(&key.heading);
        self.table = key.table;
    }

    /// Words, as many to a line as have room.
    fn comment(&mut self, words: &str) {
        let mut line = String::from("#");
        for word in words.split_whitespace() {
            if line.chars().count() + word.chars().count() >= WIDTH {
                self.line(&line);
                line = String::from("#");
            }
            let _ = write!(line, " {word}");
        }
        self.line(&line);
    }
}

/// A URL with a password is said without it.
fn hidden(setting: &Setting) -> String {
    format!(
        "# {} = {:?}: its password is not shown; a file has it by redis-password-file",
        setting.key.name,
        setting.shown().join(", "),
    )
}

fn value(key: &OptionKey, texts: &[String]) -> String {
    let mut values = texts.iter().map(|it| one(key, it));
    if key.is_list {
        return format!("[{}]", values.collect::<Vec<_>>().join(", "));
    }
    values.next().unwrap_or_default()
}

fn one(key: &OptionKey, text: &str) -> String {
    match key.kind {
        ValueKind::Flag | ValueKind::Count | ValueKind::Share => text.to_owned(),
        ValueKind::Path if key.is_file(text) => {
            // Elsewhere a relative path would be another file.
            let path = std::path::absolute(Path::new(text));
            quoted(&path.map_or_else(|_| text.to_owned(), |it| it.display().to_string()))
        }
        ValueKind::Size | ValueKind::Time | ValueKind::Path | ValueKind::Text => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
