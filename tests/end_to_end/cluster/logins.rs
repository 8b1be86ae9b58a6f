//! Clients that log in by the SDKs' own ways against three nodes behind the proxy: kept at their node, or in turns, so that most
//! requests are passed on to another one, and must be known there. And behind a Traefik as everybody has one.

use super::fleet::Plan;
use crate::auth::{Login, OidcProvider};
use crate::program::scratch_folder;
use crate::server::App;

/// One test for each client, and for each way to route it.
macro_rules! however_clients_are_routed {
    ($($name:ident => $login:expr;)*) => {
        however_clients_are_routed! { by_name "node": $($name => $login;)* }
        however_clients_are_routed! { in_turns "none": $($name => $login;)* }
        however_clients_are_routed! { plainly PLAIN: $($name => $login;)* }
    };
    ($how:ident $affinity:tt: $($name:ident => $login:expr;)*) => {
        mod $how {
            use super::*;
            $(#[test] fn $name() {
                run($login, $affinity, concat!(module_path!(), "::", stringify!($name)));
            })*
        }
    };
}

however_clients_are_routed! {
    typescript_v2_2025_11_25 => Login::typescript("v2", "2025-11-25");
    typescript_v2_2026_07_28 => Login::typescript("v2", "2026-07-28");
    python_2025_11_25 => Login::python("2025-11-25");
    python_2026_07_28 => Login::python("2026-07-28");
}

/// In place of a way to keep clients at their node: `pinfold traefik` is not asked.
const PLAIN: &str = "plain";

fn run(login: Login, affinity: &'static str, test: &'static str) {
    let folder = scratch_folder(&format!("{test}_provider"));
    let provider = OidcProvider::start(&folder);
    let plan = Plan {
        app: App::Conformance,
        affinity,
        tls: affinity != PLAIN,
        plain: affinity == PLAIN,
        issuer: Some(provider.port),
        ..Plan::new(test)
    };
    let fleet = plan.start();
    let certificate = fleet.traefik.certificate();
    let trust = [
        ("NODE_EXTRA_CA_CERTS", certificate.as_path()),
        ("SSL_CERT_FILE", certificate.as_path()),
    ];
    let trust = if plan.tls { trust.as_slice() } else { &[] };
    let (mcp, admin) = (fleet.traefik.mcp(), fleet.node("a").admin());
    let tally = login.check(&mcp, &admin, &provider, trust, &fleet.scratch);
    fleet.stop();
    tally.conclude(test);
}
