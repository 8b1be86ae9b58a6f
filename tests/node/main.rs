//! Nodes as a program of one's own has them, without the program: started, driven over plain HTTP, stopped, two in one
//! process, and what no application of theirs can break.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/acl.rs"]
mod acl;
mod client;
mod cluster;
mod directed;
mod ending;
mod open_files;
mod options;
mod otlp;
mod panics;
mod policy;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../bus/redis.rs"]
#[allow(dead_code, reason = "the tests of the bus hang and ask it, too")]
mod redis;
mod side_by_side;
mod stats;
