//! Holds the repository to its own rules: who may import whom, sizes of files, an opening comment in each, and
//! what has no place in code that is done.
//!
//! Reads the sources as text: crude, fast, and enough. What it refuses it says with file and line.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/halves.rs"]
mod halves;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/travel.rs"]
mod travel;

use layers::LAYERS;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;

/// Modules that neither wait, nor ask the clock, nor touch a socket.
const PURE: [&str; 5] = ["wire", "auth", "mcp", "shard", "forward"];
const PURE_DENY: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]";

/// Where raw memory or descriptors are handled, each block with its SAFETY line.
const UNSAFE_FILES: [&str; 3] = [
    "src/allocator.rs",
    "src/runtime/open_files.rs",
    "src/socket.rs",
];

struct Source {
    /// From the crate's root: `src/shard/mod.rs`.
    path: String,
    text: String,
}

impl Source {
    /// Without its tests, which come last in a file or are a file of their own.
    fn code(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.split("#[cfg(test)]").next().unwrap_or("")
    }

    fn is_test(&self) -> bool {
        let name = |name: &str| self.path.ends_with(name);
        name("/tests.rs") || name("/testing.rs") || self.path.contains("/tests/")
    }

    /// `shard` for `src/shard/mod.rs`, `limits` for `src/limits.rs`.
    fn module(&self) -> &str {
        let inner = self.path.trim_start_matches("src/");
        inner
            .split('/')
            .next()
            .unwrap_or(inner)
            .trim_end_matches(".rs")
    }

    /// Lines of code, numbered from 1, without comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self
            .code()
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, kind: &str, but: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            if !but.iter().any(|name| path.ends_with(name)) {
                collect(&path, kind, but, found);
            }
        } else if path.extension().is_some_and(|extension| extension == kind) {
            found.push(path);
        }
    }
}

fn sources(directories: &[&str]) -> Vec<Source> {
    files(directories, "rs", &[])
}

/// What has this extension in these directories, but for folders of these names.
fn files(directories: &[&str], kind: &str, but: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    directories
        .iter()
        .for_each(|directory| collect(&root().join(directory), kind, but, &mut paths));
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a readable file"),
        path: path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string(),
    };
    paths.into_iter().map(read).collect()
}

fn no_faults(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What a line names of the crate: `app::call` and `app::call::Topic` for `use crate::app::call::Topic`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|char: char| !(char.is_alphanumeric() || char == '_' || char == ':'));
        rest[..end.unwrap_or(rest.len())].trim_end_matches(':')
    })
}

/// Where a file names modules that are not below its own.
fn names_above(source: &Source) -> Vec<String> {
    let Some((own, allowed)) = LAYERS.iter().find(|(module, _)| *module == source.module()) else {
        panic!("{} is of no layer: give it one here", source.path);
    };
    let is_allowed = |name: &str| {
        let below = |module: &str| name == module || name.starts_with(&format!("{module}::"));
        below(own) || allowed.iter().any(|module| below(module))
    };
    let mut faults = Vec::new();
    for (number, line) in source.lines() {
        for name in named(line).filter(|name| !is_allowed(name)) {
            faults.push(format!(
                "{}:{number}: {own} names crate::{name}",
                source.path
            ));
        }
    }
    faults
}

/// Where a file waits. `clippy.toml` bans futures by their type; a block that is one has none to name.
fn waits(source: &Source) -> Vec<String> {
    let is_waiting = |line: &str| {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let mut words = line.split(|char| !is_word(char));
        words.any(|word| ["async", "await"].contains(&word))
    };
    let waiting = source.lines().filter(|(_, line)| is_waiting(line));
    waiting
        .map(|(number, _)| format!("{}:{number}: a pure module waits", source.path))
        .collect()
}

#[test]
fn a_layer_that_knows_who_is_above_it() {
    let all = sources(&["src"]);
    // Of unit tests alone, whatever layer they are of: `scratch`.
    let inner = all
        .iter()
        .filter(|it| !["lib", "main", "internals", "scratch"].contains(&it.module()));
    no_faults(&inner.flat_map(names_above).collect::<Vec<_>>());
}

/// The maps at the head of the crate and in the README: a layer knows only those above it.
#[test]
fn a_map_on_which_a_layer_knows_one_below_it() {
    let crate_map = fs::read_to_string(root().join("src/lib.rs")).expect("a crate");
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let rows = |text: &str, begins: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with(begins));
        rows.map(|row| row.split('|').nth(1).unwrap_or("").to_owned())
            .collect()
    };
    let maps = [
        ("src/lib.rs", rows(&crate_map, "// | ")),
        ("README.md", rows(&readme, "| `src/")),
    ];
    let mut faults = Vec::new();
    for (file, rows) in maps {
        let row_of = |module: &str| {
            let names = |row: &str| {
                row.split(|char: char| !char.is_alphanumeric() && char != '_')
                    .any(|word| word == module)
            };
            rows.iter().position(|row| names(row))
        };
        // Only the program knows it.
        for (module, allowed) in LAYERS.iter().filter(|(module, _)| *module != "allocator") {
            let Some(own) = row_of(module) else {
                faults.push(format!("{file} does not have {module}"));
                continue;
            };
            for other in allowed
                .iter()
                .map(|name| name.split("::").next().unwrap_or(name))
            {
                if row_of(other).is_none_or(|row| row > own) {
                    faults.push(format!("{file}: {module} knows {other}, which is below it"));
                }
            }
        }
    }
    no_faults(&faults);
}

/// With its unit and its reason, wherever it stands.
#[test]
fn a_bound_without_a_reason() {
    let is_bound = |line: &str| {
        let after_const = line
            .split_once("const ")
            .filter(|(before, _)| ["", "pub ", "pub(crate) ", "pub(super) "].contains(before));
        let name = after_const.and_then(|(_, rest)| rest.split(':').next());
        name.is_some_and(|name| name.ends_with("_MAX") || name.ends_with("_MIN"))
    };
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        let lines: Vec<&str> = source.code().lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_bound(line)) {
            // A comment may be that of two constants that belong together.
            let before = lines[..index].iter().rev();
            let mut paragraph = before.take_while(|line| !line.is_empty());
            if !paragraph.any(|line| line.starts_with("//")) {
                faults.push(format!("{}:{}: {line}", source.path, index + 1));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn a_pure_module_that_waits() {
    let all = sources(&["src"]);
    let pure = all.iter().filter(|it| PURE.contains(&it.module()));
    no_faults(&pure.flat_map(waits).collect::<Vec<_>>());
}

#[test]
fn a_rule_of_this_file_that_lets_its_fault_pass() {
    let planted = |text: &str| Source {
        path: "src/wire/planted.rs".into(),
        text: format!("//! A fault.\n{text}\n// crate::shard, .await\n"),
    };
    for text in [
        "use crate::shard::Shard;",
        "let it = crate::runtime::Server::new();",
    ] {
        assert_eq!(names_above(&planted(text)).len(), 1, "{text}");
    }
    for text in [
        "async fn f() {}",
        "let it = async { 1 };",
        "async move {",
        "    it.await",
    ] {
        assert_eq!(waits(&planted(text)).len(), 1, "{text}");
    }
    for text in [
        "use crate::limits::Limits;",
        "use super::hex;",
        "state.awaited = is_async;",
    ] {
        assert!(names_above(&planted(text)).is_empty(), "{text}");
        assert!(waits(&planted(text)).is_empty(), "{text}");
    }
}

#[test]
fn a_file_too_long_to_be_read_in_one_sitting() {
    let too_long = |source: &Source| source.text.lines().count() > FILE_LINES_MAX;
    let all = sources(&["src", "tests", "fuzz", "examples"]);
    let faults: Vec<_> = all
        .iter()
        .filter(|source| too_long(source))
        .map(|source| source.path.clone())
        .collect();
    no_faults(&faults);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for() {
    let opens = |source: &Source| {
        // The tail of the file that it is beside.
        if source.path.ends_with("/tests.rs") {
            return true;
        }
        let mut lines = source.text.lines().filter(|line| !line.starts_with("#!"));
        lines.next().is_some_and(|line| line.starts_with("//!"))
    };
    let all = sources(&["src", "tests", "fuzz/src", "fuzz/tests", "examples"]);
    let faults: Vec<_> = all
        .iter()
        .filter(|source| !opens(source))
        .map(|source| source.path.clone())
        .collect();
    no_faults(&faults);
}

#[test]
fn a_panic_or_a_note_to_oneself_left_in_the_code() {
    const WORDS: [&str; 6] = [
        ".unwrap()",
        "todo!(",
        "dbg!(",
        "unimplemented!(",
        "FIXME",
        "XXX",
    ];
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        for (number, line) in source.lines() {
            for word in WORDS.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn unsafe_code_where_nobody_looks_for_it() {
    let mut faults = Vec::new();
    for source in sources(&["src", "examples"]) {
        let has = source.lines().any(|(_, line)| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        });
        let allowed = UNSAFE_FILES.contains(&source.path.as_str());
        if has && !allowed {
            faults.push(source.path);
        }
    }
    no_faults(&faults);
}

#[test]
fn a_pure_module_that_may_ask_the_clock() {
    let mut faults = Vec::new();
    for module in PURE {
        let path = root().join(format!("src/{module}/mod.rs"));
        let text = fs::read_to_string(&path).expect("a module has a mod.rs");
        if !text.contains(PURE_DENY) {
            faults.push(format!(
                "src/{module}/mod.rs does not open with {PURE_DENY}"
            ));
        }
    }
    no_faults(&faults);
}

#[test]
fn a_dependency_without_a_reason() {
    let mut faults = Vec::new();
    for manifest in ["Cargo.toml", "bench/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let mut section = "";
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                section = line;
            }
            let is_dependency = section.ends_with("dependencies]") && line.contains(" = ");
            if is_dependency && !line.contains(" # ") {
                faults.push(format!("{manifest}:{}: {line}", index + 1));
            }
        }
    }
    no_faults(&faults);
}
