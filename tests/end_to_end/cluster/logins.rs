//! Clients that log in by the SDKs' own ways against three nodes behind the proxy: kept at their node, or in turns, so that most
//! requests are passed on to another one, and must be known there. And behind a Traefik as everybody has one.

use super::fleet::{PLAIN, Plan, however_clients_are_routed};
use crate::auth::{Login, OidcProvider};
use crate::program::scratch_folder;
use crate::server::App;

however_clients_are_routed! { by_name "node", in_turns "none", plainly PLAIN => {
    typescript_v2_2025_11_25 => Login::typescript("v2", "2025-11-25");
    typescript_v2_2026_07_28 => Login::typescript("v2", "2026-07-28");
    python_2025_11_25 => Login::python("2025-11-25");
    python_2026_07_28 => Login::python("2026-07-28");
} }

fn run(login: Login, affinity: &'static str, test: &'static str) {
    let folder = scratch_folder(&format!("{test}_provider"));
    let provider = OidcProvider::start(&folder);
    let plan = Plan {
        issuer: Some(provider.port),
        ..Plan::routed(test, App::Conformance, affinity)
    };
    plan.run(|mcp, admin, trust, scratch| login.check(mcp, admin, &provider, trust, scratch));
}
