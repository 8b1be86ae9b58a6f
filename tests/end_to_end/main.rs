//! End to end: the real program, real clients, the official conformance suites; several nodes behind the real Traefik.
//!
//! Each test starts a `pinfold` of its own on free ports, runs one program of `tests/clients` against it, and ends
//! it with SIGTERM, which must lead to exit 0. The clients tell their checks as TAP, the suites leave a file for
//! each scenario; both are read, counted, and what failed is told by name. `tests/setup` installs what is needed;
//! a test whose tools are missing fails and says so.
//!
//! Variables: `PINFOLD_BINARY` runs another binary than the one cargo built (`tests/run` takes the release build);
//! `PINFOLD_TALLY` is a file to which each test appends how many checks passed and failed; `PINFOLD_ATTACKS` one to which
//! each attack appends what it cost.

mod attacks;
mod auth;
mod clients;
mod cluster;
mod configuration;
mod conformance;
mod console;
mod crowd;
mod dechunker;
mod deploy_check;
mod drain;
mod fairness;
mod half_close;
mod handover;
mod hardship;
mod identity;
mod kubernetes;
mod observed;
mod open_files;
mod operators;
mod otlp;
#[path = "../support/ports.rs"]
mod ports;
mod processes;
mod program;
mod publish;
#[path = "../support/random.rs"]
#[allow(
    unreachable_pub,
    reason = "other test programs have it below `support`"
)]
mod random;
mod replaced_token;
mod server;
mod syscalls;
mod tally;
mod terminal;
mod tools;
mod trace;
mod waits;

use server::{App, Placement};

/// One test for each line and each placement of connections on cores.
macro_rules! on_every_placement {
    ($($name:ident => $subject:expr;)*) => {
        mod one_core {
            use super::*;
            $(#[test] fn $name() { $subject.run(Placement::OneCore, concat!(module_path!(), "::", stringify!($name))); })*
        }
        /// Each connection is accepted by a random core, so most have to move to the core of their session.
        mod moving_between_cores {
            use super::*;
            $(#[test] fn $name() { $subject.run(Placement::AtRandom, concat!(module_path!(), "::", stringify!($name))); })*
        }
    };
}
pub(crate) use on_every_placement;
