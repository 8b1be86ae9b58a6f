//! What a client reads before it connects: the catalog of the host, the server card, and then the endpoint that it names,
//! through the proxy and whichever node answers.

use serde_json::Value;

use super::client::{Answer, initialize, try_get};
use super::fleet::{Fleet, Plan};

const HOST: &str = "https://mcp.example.com";
const CATALOG: &str = "/.well-known/ai-catalog.json";

fn fleet(test: &'static str, proxy_options: &'static [&'static str]) -> Fleet {
    let plan = Plan {
        joined: false,
        node_options: &["--public-url", "https://mcp.example.com/mcp"],
        proxy_options,
        ..Plan::new(test)
    };
    plan.start()
}

fn get(url: &str, fields: &[(&str, &str)]) -> Answer {
    try_get(url, fields).expect("an answer")
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

#[test]
fn a_client_that_knows_nothing_but_the_host() {
    let fleet = fleet("cluster/documents", &[]);
    let proxy = fleet.traefik.url();
    // Nobody has this name: the proxy stands for it.
    let here = |url: &Value| {
        let url = url.as_str().expect("a URL");
        let path = url.strip_prefix(HOST).expect("the public URL");
        format!("{proxy}{path}")
    };
    let catalog = json(&get(&format!("{proxy}{CATALOG}"), &[]));
    let accept = [("Accept", "application/mcp-server-card+json")];
    let answer = get(&here(&catalog["entries"][0]["url"]), &accept);
    assert_eq!(answer.field("content-type"), Some(accept[0].1));
    let card = json(&answer);
    let endpoint = here(&card["remotes"][0]["url"]);
    let opened = initialize(&endpoint, &[]);
    assert_eq!(opened.status, 200, "{opened:?}");
    let told: Value = serde_json::from_str(&opened.body).expect("JSON");
    let own = &told["result"]["serverInfo"];
    assert_eq!(own["version"], card["version"]);
    fleet.stop();
}

/// A cookie would bind whoever shares a cache; another tag would have the card sent again from each node.
#[test]
fn a_card_that_differs_from_node_to_node() {
    let fleet = fleet("cluster/documents_kept", &[]);
    let proxy = fleet.traefik.url();
    for path in ["/mcp/server-card", CATALOG] {
        let url = format!("{proxy}{path}");
        let page = [("Origin", "https://anybody.example")];
        let first = get(&url, &page);
        let tag = first.field("etag").expect("a tag").to_owned();
        for _ in 0..6 {
            let again = get(&url, &page);
            assert_eq!(
                (&again.body, again.field("etag")),
                (&first.body, Some(tag.as_str()))
            );
            assert_eq!(again.field("set-cookie"), None);
            assert_eq!(again.field("access-control-allow-origin"), Some("*"));
            assert_eq!(again.field("cache-control"), Some("public, max-age=3600"));
            let known = get(&url, &[("If-None-Match", tag.as_str())]);
            assert_eq!((known.status, known.body.as_str()), (304, ""));
        }
    }
    fleet.stop();
}

/// The catalog is the host's: a site that has one keeps it, with the other pages beside the endpoint.
#[test]
fn a_site_whose_own_catalog_is_gone() {
    let fleet = fleet("cluster/documents_site", &["--rest-has-catalog"]);
    let proxy = fleet.traefik.url();
    for path in [CATALOG, "/.well-known/security.txt"] {
        let page = get(&format!("{proxy}{path}"), &[]);
        assert!(page.body.starts_with("site "), "{page:?}");
    }
    let card = json(&get(&format!("{proxy}/mcp/server-card"), &[]));
    assert_eq!(card["name"], "com.example.mcp/pinfold");
    fleet.stop();
}

/// The metadata of the authorization chapters go where the endpoint is, and not to the rest of the site.
#[test]
fn a_token_that_a_client_looks_for_at_another_server() {
    let fleet = fleet("cluster/documents_auth", &[]);
    let proxy = fleet.traefik.url();
    for path in ["", "/mcp"] {
        let url = format!("{proxy}/.well-known/oauth-protected-resource{path}");
        let page = get(&url, &[]);
        assert!(!page.body.starts_with("site "), "{page:?}");
        assert_eq!(page.field("set-cookie"), None);
    }
    fleet.stop();
}
