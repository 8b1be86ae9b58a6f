//! Whether the lints of the pure layers fire: a line that breaks each rule of `clippy.toml` must not pass.
//!
//! All lines are one crate that opens as the pure modules do and has their `clippy.toml`; what clippy says of it is read as
//! JSON. A rule that names nothing that exists, or that no line here breaks, fails. Clippy does not see an `async` block: of
//! those `tests/tidy.rs` takes care.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What `src/{wire,auth,mcp,shard,forward}/mod.rs` open with; `tests/tidy.rs` holds that they do.
const PURE_DENY: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]";

/// The rule, as clippy names it, and an expression that breaks it and nothing else.
const BREAKS: &[(&str, &str)] = &[
    ("std::time::Instant::now", "std::time::Instant::now()"),
    (
        "std::time::Instant::elapsed",
        "any::<std::time::Instant>().elapsed()",
    ),
    ("std::time::SystemTime::now", "std::time::SystemTime::now()"),
    (
        "std::time::SystemTime::elapsed",
        "any::<std::time::SystemTime>().elapsed()",
    ),
    ("std::thread::sleep", "std::thread::sleep(any())"),
    ("std::thread::park", "std::thread::park()"),
    (
        "std::thread::park_timeout",
        "std::thread::park_timeout(any())",
    ),
    ("std::thread::yield_now", "std::thread::yield_now()"),
    ("std::thread::spawn", "std::thread::spawn(|| ())"),
    ("std::thread::scope", "std::thread::scope(|_| ())"),
    (
        "std::thread::Builder::spawn",
        "any::<std::thread::Builder>().spawn(|| ())",
    ),
    ("getrandom::fill", "getrandom::fill(any())"),
    (
        "getrandom::fill_uninit",
        "getrandom::fill_uninit(any()).map(|_| ())",
    ),
    ("getrandom::u32", "getrandom::u32()"),
    ("getrandom::u64", "getrandom::u64()"),
    (
        "std::hash::RandomState::new",
        "std::hash::RandomState::new()",
    ),
    ("std::env::var", "std::env::var(\"A\")"),
    ("std::env::var_os", "std::env::var_os(\"A\")"),
    ("std::env::vars", "std::env::vars()"),
    ("std::env::args", "std::env::args()"),
    ("std::fs::read", "std::fs::read(\"a\")"),
    ("std::fs::read_to_string", "std::fs::read_to_string(\"a\")"),
    ("std::fs::write", "std::fs::write(\"a\", \"b\")"),
    ("std::fs::read_dir", "std::fs::read_dir(\"a\")"),
    ("std::fs::metadata", "std::fs::metadata(\"a\")"),
    ("std::fs::create_dir_all", "std::fs::create_dir_all(\"a\")"),
    ("std::fs::remove_file", "std::fs::remove_file(\"a\")"),
    ("std::fs::rename", "std::fs::rename(\"a\", \"b\")"),
    ("std::fs::copy", "std::fs::copy(\"a\", \"b\")"),
    ("std::io::stdin", "std::io::stdin()"),
    ("std::io::stdout", "std::io::stdout()"),
    ("std::io::stderr", "std::io::stderr()"),
    (
        "std::net::ToSocketAddrs::to_socket_addrs",
        "std::net::ToSocketAddrs::to_socket_addrs(\"a:1\")",
    ),
    (
        "std::collections::HashMap::iter",
        "any::<&Map>().iter().count()",
    ),
    (
        "std::collections::HashMap::iter_mut",
        "any::<&mut Map>().iter_mut().count()",
    ),
    (
        "std::collections::HashMap::keys",
        "any::<&Map>().keys().count()",
    ),
    (
        "std::collections::HashMap::values",
        "any::<&Map>().values().count()",
    ),
    (
        "std::collections::HashMap::values_mut",
        "any::<&mut Map>().values_mut().count()",
    ),
    (
        "std::collections::HashMap::into_keys",
        "any::<Map>().into_keys().count()",
    ),
    (
        "std::collections::HashMap::into_values",
        "any::<Map>().into_values().count()",
    ),
    (
        "std::collections::HashMap::drain",
        "any::<&mut Map>().drain().count()",
    ),
    (
        "std::collections::HashSet::iter",
        "any::<&Set>().iter().count()",
    ),
    (
        "std::collections::HashSet::drain",
        "any::<&mut Set>().drain().count()",
    ),
    ("iter_over_hash_type", "for _ in any::<Map>() {}"),
    ("iter_over_hash_type", "for _ in &any::<Set>() {}"),
    ("std::sync::Mutex", "any::<std::sync::Mutex<u8>>()"),
    ("std::sync::RwLock", "any::<std::sync::RwLock<u8>>()"),
    ("std::sync::Barrier", "any::<std::sync::Barrier>()"),
    ("std::sync::OnceLock", "any::<std::sync::OnceLock<u8>>()"),
    ("std::sync::LazyLock", "any::<std::sync::LazyLock<u8>>()"),
    ("std::sync::Condvar", "any::<std::sync::Condvar>()"),
    (
        "std::sync::mpsc::Sender",
        "any::<std::sync::mpsc::Sender<u8>>()",
    ),
    (
        "std::sync::mpsc::SyncSender",
        "any::<std::sync::mpsc::SyncSender<u8>>()",
    ),
    (
        "std::sync::mpsc::Receiver",
        "any::<std::sync::mpsc::Receiver<u8>>()",
    ),
    (
        "std::sync::atomic::AtomicBool",
        "any::<std::sync::atomic::AtomicBool>()",
    ),
    (
        "std::sync::atomic::AtomicU32",
        "any::<std::sync::atomic::AtomicU32>()",
    ),
    (
        "std::sync::atomic::AtomicU64",
        "any::<std::sync::atomic::AtomicU64>()",
    ),
    (
        "std::sync::atomic::AtomicUsize",
        "any::<std::sync::atomic::AtomicUsize>()",
    ),
    (
        "std::sync::atomic::AtomicI64",
        "any::<std::sync::atomic::AtomicI64>()",
    ),
    (
        "std::sync::atomic::AtomicU8",
        "any::<std::sync::atomic::AtomicU8>()",
    ),
    (
        "std::sync::atomic::AtomicU16",
        "any::<std::sync::atomic::AtomicU16>()",
    ),
    (
        "std::sync::atomic::AtomicI8",
        "any::<std::sync::atomic::AtomicI8>()",
    ),
    (
        "std::sync::atomic::AtomicI16",
        "any::<std::sync::atomic::AtomicI16>()",
    ),
    (
        "std::sync::atomic::AtomicI32",
        "any::<std::sync::atomic::AtomicI32>()",
    ),
    (
        "std::sync::atomic::AtomicIsize",
        "any::<std::sync::atomic::AtomicIsize>()",
    ),
    (
        "std::sync::atomic::AtomicPtr",
        "any::<std::sync::atomic::AtomicPtr<u8>>()",
    ),
    ("std::sync::Once", "any::<std::sync::Once>()"),
    (
        "std::sync::atomic::fence",
        "std::sync::atomic::fence(any())",
    ),
    (
        "std::sync::mpsc::channel",
        "std::sync::mpsc::channel::<u8>()",
    ),
    (
        "std::sync::mpsc::sync_channel",
        "std::sync::mpsc::sync_channel::<u8>(1)",
    ),
    ("std::net::TcpStream", "any::<std::net::TcpStream>()"),
    ("std::net::TcpListener", "any::<std::net::TcpListener>()"),
    ("std::net::UdpSocket", "any::<std::net::UdpSocket>()"),
    (
        "std::os::unix::net::UnixStream",
        "any::<std::os::unix::net::UnixStream>()",
    ),
    (
        "std::os::unix::net::UnixListener",
        "any::<std::os::unix::net::UnixListener>()",
    ),
    (
        "std::os::unix::net::UnixDatagram",
        "any::<std::os::unix::net::UnixDatagram>()",
    ),
    ("std::fs::File", "any::<std::fs::File>()"),
    ("std::fs::OpenOptions", "any::<std::fs::OpenOptions>()"),
    ("std::process::Command", "any::<std::process::Command>()"),
    (
        "std::future::Future",
        "{ async fn waits() { any::<Waits>().await } waits() }",
    ),
    (
        "std::future::Future",
        "any::<Box<dyn std::future::Future<Output = ()>>>()",
    ),
];

/// What stands before the lines: none of it breaks a rule.
const BEFORE: &str = "type Map = std::collections::HashMap<u8, u8>;
type Set = std::collections::HashSet<u8>;
type Waits = std::future::Ready<()>;
fn any<T>() -> T { loop {} }
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A crate of all lines that break a rule, each on a line of its own, and at the end one that breaks none.
fn write_crate(directory: &Path) -> Vec<&'static str> {
    let mut source = format!("{PURE_DENY}\n{BEFORE}");
    let first = source.lines().count();
    for (_, expression) in BREAKS {
        source += &format!("pub fn f() {{ let _ = {expression}; }}\n");
    }
    source += "pub fn f() { let _ = any::<&Map>().get(&1); }\n";
    let mut expected = vec![""; first];
    expected.extend(BREAKS.iter().map(|(rule, _)| rule));
    expected.push("");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let getrandom = manifest.lines().find(|line| line.starts_with("getrandom"));
    let getrandom = getrandom.expect("pinfold has its randomness from getrandom");
    let manifest = format!(
        "[package]\nname = \"breaks\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [workspace]\n[dependencies]\n{getrandom}\n"
    );
    fs::create_dir_all(directory.join("src")).expect("a directory");
    for (name, text) in [("Cargo.toml", manifest), ("src/lib.rs", number(&source))] {
        fs::write(directory.join(name), text).expect("a file");
    }
    for name in ["Cargo.lock", "clippy.toml"] {
        fs::copy(root().join(name), directory.join(name)).expect("a copy");
    }
    expected
}

/// Gives each function a name of its own.
fn number(source: &str) -> String {
    let lines = source.lines().enumerate();
    lines
        .map(|(number, line)| line.replace("pub fn f()", &format!("pub fn f{number}()")) + "\n")
        .collect()
}

/// Line by line what clippy refuses: the rule, or the whole sentence if it is none of ours.
fn refused(directory: &Path) -> Vec<(usize, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet", "--message-format=json"])
        .arg("--target-dir")
        .arg(directory.join("target"))
        .args(["--", "-A", "clippy::all"]) // what is denied at the head of the file stays so
        .current_dir(directory)
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages: Vec<Value> = messages
        .filter(|it| it["reason"] == "compiler-message")
        .map(|mut it| it["message"].take())
        .filter(|it| it["spans"].as_array().is_some_and(|it| !it.is_empty()))
        .collect();
    assert!(
        !messages.is_empty(),
        "clippy does not run here (`rustup component add clippy`):\n{said}"
    );
    let found = messages.iter().map(|it| {
        let sentence = it["message"].as_str().unwrap_or("");
        let span = &it["spans"][0];
        let rule = match it["code"]["code"].as_str() {
            Some("clippy::disallowed_methods" | "clippy::disallowed_types") => {
                sentence.split('`').nth(1).unwrap_or(sentence)
            }
            Some("clippy::iter_over_hash_type") => "iter_over_hash_type",
            _ => sentence,
        };
        assert!(
            span["file_name"].as_str() == Some("src/lib.rs"),
            "{}: {sentence}",
            span["file_name"]
        );
        (
            span["line_start"].as_u64().unwrap_or(0) as usize,
            rule.to_owned(),
        )
    });
    found.collect()
}

#[test]
fn a_line_that_breaks_a_rule_of_the_pure_layers_and_passes() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lints");
    let expected = write_crate(&directory);
    let refused: BTreeSet<(usize, String)> = refused(&directory).into_iter().collect();
    let mut faults = Vec::new();
    for (index, rule) in expected.iter().enumerate() {
        let own: Vec<_> = refused
            .iter()
            .filter(|(line, _)| *line == index + 1)
            .collect();
        if !rule.is_empty() && !own.iter().any(|(_, it)| it == rule) {
            faults.push(format!("{rule} lets its line pass"));
        }
        let others = own.iter().filter(|(_, it)| it != rule);
        faults.extend(others.map(|(line, it)| format!("line {line}: {it}")));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_rule_that_no_line_breaks() {
    let clippy = fs::read_to_string(root().join("clippy.toml")).expect("there is a clippy.toml");
    let paths = clippy
        .lines()
        .filter_map(|line| line.split_once("path = \"")?.1.split('"').next());
    let broken: BTreeSet<&str> = BREAKS.iter().map(|(rule, _)| *rule).collect();
    let missing: Vec<_> = paths.filter(|path| !broken.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(
        !clippy.contains("allow-invalid"),
        "a rule that names nothing"
    );
}
