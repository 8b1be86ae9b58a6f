//! Holds the repository to its own rules: who may import whom, sizes of files, an opening comment in each, and
//! what has no place in code that is done.
//!
//! Reads the sources as text: crude, fast, and enough. What it refuses it says with file and line.

#[path = "tidy/circles.rs"]
mod circles;

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;

/// Each module, and which modules of the crate it may name. Pure ones are below the runtime.
const LAYERS: [(&str, &[&str]); 17] = [
    ("limits", &[]),
    ("allocator", &[]),
    ("budget", &[]),
    ("line_limit", &[]),
    ("clients", &["limits", "budget"]),
    ("wire", &["limits"]),
    ("mcp", &["limits", "wire"]),
    (
        "shard",
        &["limits", "budget", "clients", "wire", "mcp", "app::call"],
    ),
    ("app", &["limits", "wire", "mcp"]),
    ("forward", &["limits", "budget", "clients", "wire", "shard"]),
    (
        "runtime",
        &[
            "limits",
            "budget",
            "clients",
            "line_limit",
            "wire",
            "mcp",
            "shard",
            "app",
            "forward",
        ],
    ),
    ("metrics", &["budget"]),
    ("redis", &["metrics"]),
    (
        "cluster",
        &[
            "limits",
            "line_limit",
            "wire",
            "mcp",
            "shard",
            "app",
            "runtime",
            "redis",
            "metrics",
        ],
    ),
    (
        "config",
        &[
            "limits", "clients", "wire", "mcp", "shard", "app", "admin", "redis", "cluster",
        ],
    ),
    (
        "admin",
        &["limits", "line_limit", "wire", "mcp", "app", "metrics"],
    ),
    (
        "cli",
        &[
            "limits", "wire", "mcp", "shard", "app", "runtime", "cluster", "config", "admin",
            "redis", "metrics",
        ],
    ),
];

/// Modules that neither wait, nor ask the clock, nor touch a socket.
const PURE: [&str; 4] = ["wire", "mcp", "shard", "forward"];
const PURE_DENY: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";

/// Where raw memory or descriptors are handled, each block with its SAFETY line.
const UNSAFE_FILES: [&str; 3] = [
    "src/allocator.rs",
    "src/runtime/open_files.rs",
    "src/runtime/socket.rs",
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

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(directories: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    directories
        .iter()
        .for_each(|directory| collect(&root().join(directory), &mut paths));
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

#[test]
fn a_layer_that_knows_who_is_above_it() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        if ["lib", "main"].contains(&source.module()) {
            continue;
        }
        let Some((own, allowed)) = LAYERS.iter().find(|(module, _)| *module == source.module())
        else {
            panic!("{} is of no layer: give it one here", source.path);
        };
        for (number, line) in source.lines() {
            let is_allowed = |name: &str| {
                let below =
                    |module: &str| name == module || name.starts_with(&format!("{module}::"));
                below(own) || allowed.iter().any(|module| below(module))
            };
            for name in named(line).filter(|name| !is_allowed(name)) {
                faults.push(format!(
                    "{}:{number}: {own} names crate::{name}",
                    source.path
                ));
            }
        }
    }
    no_faults(&faults);
}

#[test]
fn a_file_too_long_to_be_read_in_one_sitting() {
    let too_long = |source: &Source| source.text.lines().count() > FILE_LINES_MAX;
    let all = sources(&["src", "tests", "fuzz/fuzz_targets", "examples"]);
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
    let all = sources(&["src", "tests", "examples"]);
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
    let clippy = fs::read_to_string(root().join("clippy.toml")).expect("there is a clippy.toml");
    for name in [
        "Instant::now",
        "SystemTime::now",
        "sync::Mutex",
        "net::TcpStream",
        "thread::sleep",
    ] {
        if !clippy.contains(name) {
            faults.push(format!("clippy.toml does not disallow {name}"));
        }
    }
    no_faults(&faults);
}
