//! The official clients, none of which begins again when its session is gone: each holds a session and a subscription through ten
//! hand-overs.

use super::Upgraded;
use crate::clients::read_tap;
use crate::program::{run, scratch_folder};
use crate::server::{App, binary};
use crate::tools;

#[test]
fn a_client_of_typescript_v1_that_notices() {
    holds_on("typescript_v1", "handover.mjs", &["2025-11-25", "v1"]);
}

#[test]
fn a_client_of_typescript_v2_that_notices() {
    holds_on("typescript_v2", "handover.mjs", &["2025-11-25", "v2"]);
}

#[test]
fn a_modern_client_of_typescript_v2_that_notices() {
    holds_on(
        "typescript_v2_modern",
        "handover.mjs",
        &["2026-07-28", "v2"],
    );
}

#[test]
fn a_client_of_python_that_notices() {
    holds_on("python", "handover.py", &["2025-11-25"]);
}

#[test]
fn a_modern_client_of_python_that_notices() {
    holds_on("python_modern", "handover.py", &["2026-07-28"]);
}

fn holds_on(test: &str, script: &str, arguments: &[&str]) {
    let node = Upgraded::start(test, App::Board, &[]);
    let mut command = tools::script(script);
    command.args([node.mcp(), node.admin()]).args(arguments);
    command.env("PINFOLD", binary());
    let log = scratch_folder(&format!("handover/{test}_client")).join("client.log");
    let mut tally = read_tap(&run(&mut command, &log));
    node.has_one_process();
    if !tally.all_passed() {
        tally.fail(node.log());
    }
    node.ends();
    tally.conclude(&format!("{}::{test}", module_path!()));
}
