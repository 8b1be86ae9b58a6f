//! The official clients against three nodes behind the proxy, over TLS: kept at their node by name, by the cookie alone
//! (which most of them do not keep), or not at all. And behind a Traefik as everybody has one.

use super::fleet::{PLAIN, Plan, however_clients_are_routed};
use crate::clients::{Client, OVER_SSE, board, conformance};

however_clients_are_routed! { by_name "node", by_cookie "cookie", in_turns "none", plainly PLAIN => {
    typescript_v1_2024_11_05 => conformance("typescript_v1.mjs", OVER_SSE);
    typescript_v2_2024_11_05 => conformance("typescript_v2.mjs", OVER_SSE);
    python_2024_11_05 => conformance("python_client.py", OVER_SSE);
    typescript_v1_2025_11_25 => conformance("typescript_v1.mjs", "2025-11-25");
    typescript_v2_2025_11_25 => conformance("typescript_v2.mjs", "2025-11-25");
    typescript_v2_2026_07_28 => conformance("typescript_v2.mjs", "2026-07-28");
    python_2025_11_25 => conformance("python_client.py", "2025-11-25");
    python_2026_07_28 => conformance("python_client.py", "2026-07-28");
    board_2025_11_25 => board("board.mjs", "2025-11-25");
    board_2026_07_28 => board("board.mjs", "2026-07-28");
} }

fn run(client: Client, affinity: &'static str, test: &'static str) {
    let plan = Plan {
        node_options: client.options(),
        ..Plan::routed(test, client.app, affinity)
    };
    plan.run(|mcp, admin, trust, scratch| client.check(mcp, admin, trust, scratch));
}
