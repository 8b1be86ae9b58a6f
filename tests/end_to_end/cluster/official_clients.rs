//! The official clients against three nodes behind the proxy, over TLS: kept at their node by name, by the cookie alone
//! (which most of them do not keep), or not at all. And behind a Traefik as everybody has one.

use super::fleet::Plan;
use crate::clients::{Client, board, conformance};

/// One test for each client, and for each way to keep it at its node.
macro_rules! however_clients_are_routed {
    ($($name:ident => $client:expr;)*) => {
        however_clients_are_routed! { by_name "node": $($name => $client;)* }
        however_clients_are_routed! { by_cookie "cookie": $($name => $client;)* }
        however_clients_are_routed! { in_turns "none": $($name => $client;)* }
        however_clients_are_routed! { plainly PLAIN: $($name => $client;)* }
    };
    ($how:ident $affinity:tt: $($name:ident => $client:expr;)*) => {
        mod $how {
            use super::*;
            $(#[test] fn $name() {
                run(&$client, $affinity, concat!(module_path!(), "::", stringify!($name)));
            })*
        }
    };
}

however_clients_are_routed! {
    typescript_v1_2025_11_25 => conformance("typescript_v1.mjs", "2025-11-25");
    typescript_v2_2025_11_25 => conformance("typescript_v2.mjs", "2025-11-25");
    typescript_v2_2026_07_28 => conformance("typescript_v2.mjs", "2026-07-28");
    python_2025_11_25 => conformance("python_client.py", "2025-11-25");
    python_2026_07_28 => conformance("python_client.py", "2026-07-28");
    board_2025_11_25 => board("board.mjs", "2025-11-25");
    board_2026_07_28 => board("board.mjs", "2026-07-28");
}

/// In place of a way to keep clients at their node: `pinfold traefik` is not asked.
const PLAIN: &str = "plain";

fn run(client: &Client, affinity: &'static str, test: &'static str) {
    let plan = Plan {
        app: client.app,
        affinity,
        tls: affinity != PLAIN,
        plain: affinity == PLAIN,
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
    let tally = client.check(&mcp, &admin, trust, &fleet.scratch);
    fleet.stop();
    tally.conclude(test);
}
