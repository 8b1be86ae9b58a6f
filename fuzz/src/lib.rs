//! The fuzz targets: what each of them feeds, and how they run without a fuzzer.
//!
//! A target is a name, the property that must hold for every input, and a number of inputs that take a second or two. The
//! programs of `fuzz_targets` hand inputs to it: from libFuzzer where cargo-fuzz builds them, else from files. The test
//! hands it `tests/corpus/{name}` and what [`Mutator`] makes of that.

mod core_state;
mod mutator;
mod shard;
#[path = "../../tests/support/mod.rs"]
mod support;

use pinfold::internals::auth::properties as auth;
use pinfold::internals::wire::properties as wire;

pub use self::mutator::Mutator;
pub use self::shard::met;

/// Longer inputs find nothing that these do not: properties cut them at every byte.
pub const INPUT_BYTES_MAX: usize = 512;

#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Panics if it does not hold.
    pub property: fn(&[u8]),
    /// Mutated inputs in a run of the tests.
    pub inputs: u64,
}

pub const TARGETS: [Target; 15] = [
    target("head", wire::head, 2_000),
    target("chunked", wire::chunked, 10_000),
    target("json_rpc", wire::json_rpc, 1_000),
    target("sse", wire::sse, 2_000),
    target("session_id", wire::session_id, 20_000),
    target("header_value", wire::header_value, 2_000),
    target("redis_reply", redis_reply, 50_000),
    target("bus_entry", bus_entry, 50_000),
    target("event_id", event_id, 100_000),
    target("access_token", auth::access_token, 10_000),
    target("key_set", auth::key_set, 20_000),
    target("token_file", auth::token_file, 20_000),
    target("policy", auth::policy, 10_000),
    target("shard", shard::shard, 2_000),
    target("core_state", core_state::core_state, 500),
];

const fn target(name: &'static str, property: fn(&[u8]), inputs: u64) -> Target {
    Target {
        name,
        property,
        inputs,
    }
}

fn redis_reply(input: &[u8]) {
    let _ = pinfold::internals::redis::properties::replies(input);
}

fn bus_entry(input: &[u8]) {
    let _ = pinfold::internals::cluster::bus::properties::entry(input);
}

fn event_id(input: &[u8]) {
    let _ = pinfold::internals::shard::properties::event_id(input);
}

/// The target of this name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn named(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no target is called {name}"))
}

/// Runs one target on files, as a fuzzer would with `-runs=0`.
pub fn replay(name: &str) {
    let target = named(name);
    let files = std::env::args_os().skip(1).collect::<Vec<_>>();
    if files.is_empty() {
        println!("{name} FILE…: runs the target on each file; a panic is a find");
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(input) => (target.property)(&input),
            Err(fault) => println!("{}: {fault}", file.display()),
        }
    }
}

/// What a program of `fuzz_targets` consists of.
#[macro_export]
macro_rules! fuzz_target {
    ($name:literal) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| ($crate::named($name).property)(input));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay($name);
        }
    };
}
