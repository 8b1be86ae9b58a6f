//! Every target on its corpus and on inputs made of it, the same in each run: what a fuzzer would do, for a second or two.
//!
//! `PINFOLD_FUZZ_SEED` starts another sequence of inputs, `PINFOLD_FUZZ_TIMES` makes it so many times as long.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pinfold_fuzz::{Mutator, TARGETS, named};

/// Says which input it was when a property did not hold for it.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let entries = fs::read_dir(directory.join(name)).expect("every target has a corpus");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a readable file"))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    files
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn run(name: &str) {
    let target = named(name);
    let inputs: Vec<_> = corpus(name).into_iter().map(|(_, input)| input).collect();
    for input in &inputs {
        let _shown = Shown(input);
        (target.property)(input);
    }
    let mut mutator = Mutator::new(number_from("PINFOLD_FUZZ_SEED", 1), inputs);
    for _ in 0..target.inputs * number_from("PINFOLD_FUZZ_TIMES", 1) {
        let input = mutator.input();
        let _shown = Shown(&input);
        (target.property)(&input);
    }
}

macro_rules! one_test_for_each {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*
        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

one_test_for_each! {
    head chunked json_rpc sse session_id header_value redis_reply bus_entry event_id
    access_token key_set token_file policy shard core_state
}

#[test]
fn a_target_that_no_test_runs() {
    let names = TARGETS.map(|target| target.name);
    assert_eq!(TESTED, names);
    for name in names {
        let program = format!("fuzz_targets/{name}.rs");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&program);
        let text = fs::read_to_string(path).expect("every target has a program");
        assert!(text.contains(&format!("(\"{name}\")")), "{program}");
    }
}

/// As in `tests/wire_corpus.rs`: what begins with `ok_` is well-formed, and nothing else is.
#[test]
fn a_file_of_the_corpus_with_the_wrong_name() {
    type Verdict = fn(&[u8]) -> bool;
    let verdicts: [(&str, Verdict); 3] = [
        (
            "redis_reply",
            pinfold::internals::redis::properties::replies,
        ),
        (
            "bus_entry",
            pinfold::internals::cluster::bus::properties::entry,
        ),
        ("event_id", pinfold::internals::shard::properties::event_id),
    ];
    for (name, verdict) in verdicts {
        for (file, input) in corpus(name) {
            assert_eq!(verdict(&input), file.starts_with("ok_"), "{name}/{file}");
        }
    }
}
/// A script that goes astray early leaves most of the engine alone.
#[test]
fn a_corpus_of_the_whole_shard_that_reaches_little() {
    const KINDS: [&str; 15] = [
        "Answered",
        "Cancel",
        "Forward",
        "Hold",
        "Idle",
        "Locate",
        "MakeRoom",
        "Move",
        "PeerLeft",
        "Read",
        "Say",
        "ShutdownWrite",
        "Start",
        "WriteStalled",
        "half-closed",
    ];
    let mut met = BTreeSet::new();
    for (_, input) in corpus("shard") {
        met.extend(pinfold_fuzz::met(&input));
    }
    let missing = |kind: &&&str| !met.contains(**kind);
    let missing: Vec<_> = KINDS.iter().filter(missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
