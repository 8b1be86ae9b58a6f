//! The proxy starts, or is told that a node is empty: what clients see of it.

use super::client::{self, initialize};
use super::fleet::Plan;

/// Until it has read its routers it answers 404 to everything, which clients take for the end of their sessions. With TLS
/// they find no certificate that they trust until then; without, it is for whatever is in front of it to ask first.
#[test]
fn a_front_that_asks_whether_the_proxy_has_read_its_routers() {
    let plan = Plan {
        says_when: true,
        ..Plan::new("cluster/proxy_says_when")
    };
    let fleet = plan.start();
    let site = client::try_get(&format!("{}/graphql", fleet.traefik.url()), &[]);
    assert_eq!(site.map(|it| it.status), Some(200), "it says so too early");
    fleet.stop();
}

#[test]
fn a_node_that_has_no_sessions_beside_full_ones() {
    let plan = Plan {
        proxy_options: &["--weight", "c=4"],
        ..Plan::new("cluster/weights")
    };
    let fleet = plan.start();
    let of_c = (0..60).filter(|_| {
        let answer = initialize(&fleet.traefik.mcp(), &[]);
        let id = answer.field("mcp-session-id").expect("a session");
        id.starts_with("c.")
    });
    assert!(of_c.count() > 30, "four of six");
    fleet.stop();
}
