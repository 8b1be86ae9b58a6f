//! The dynamic configuration: which request goes to which node.
//!
//! Three layers of routers, the first that fits takes the request: a session id's node, the MCP endpoint, the rest of
//! the site. Names of routers and services begin with `pinfold`, so that they stand apart from others of the operator.

use std::fmt::Write as _;

use super::HEALTH;
use super::site::{Site, Tls, TraefikNode};
use crate::cluster::steering::cookie_value;
use crate::wire::forwarded::STICKY_COOKIE;

const HEAD: &str = "\
# Traefik 3, the dynamic part: read again whenever it changes.
# Printed by `pinfold traefik`: run it again when a node comes or goes.

http:
";

const MIDDLEWARES: &str = "  middlewares:
    # A node that takes no connection is asked again until the health check has put another one in its place, which takes
    # a second: clients see a short delay and no 502. Requests that a node has begun to read are not sent twice.
    pinfold-retry:
      retry:
        # The waits grow to twice the first, half of each is random: 1.3 s at least.
        attempts: 6
        initialInterval: 400ms

";

/// Of every router to a node.
const CHAIN: &str = "      middlewares: [pinfold-retry]\n";

/// The default router must lose against every other one of the operator, the MCP routers win.
const REST_PRIORITY: u32 = 1;
const ENDPOINT_PRIORITY: u32 = 1_000;
const NODE_PRIORITY: u32 = 2_000;
const DOCUMENTS_PRIORITY: u32 = 3_000;

pub(super) fn emit(site: &Site) -> String {
    let mut out = HEAD.to_owned();
    out += "  routers:\n";
    emit_rest_router(&mut out, site);
    emit_endpoint_router(&mut out, site);
    emit_node_routers(&mut out, site);
    emit_documents_router(&mut out, site);
    emit_health_router(&mut out, site);
    out += MIDDLEWARES;
    out += "  services:\n";
    emit_rest_service(&mut out, site);
    emit_endpoint_service(&mut out, site);
    emit_node_services(&mut out, site);
    emit_documents_service(&mut out, site);
    emit_transport(&mut out, site);
    emit_certificates(&mut out, site);
    out
}

fn emit_rest_router(out: &mut String, site: &Site) {
    if site.rest.is_empty() {
        return;
    }
    *out += "    # The rest of the site: servers in turns, no cookie.\n";
    let rule = rule(site, "PathPrefix(`/`)");
    emit_router(out, site, "pinfold-rest", &rule, REST_PRIORITY, "");
}

fn emit_endpoint_router(out: &mut String, site: &Site) {
    *out += match site.affinity.has_cookie() {
        true => {
            "    # The MCP endpoint: a client that keeps cookies stays at its node; whoever has none gets the next in turn.\n"
        }
        false => {
            "    # The MCP endpoint: nodes in turns; they pass on what belongs to another one.\n"
        }
    };
    let rule = rule(site, &format!("PathPrefix(`{}`)", site.endpoint));
    emit_router(out, site, "pinfold-mcp", &rule, ENDPOINT_PRIORITY, CHAIN);
}

fn emit_node_routers(out: &mut String, site: &Site) {
    if !site.affinity.has_node_routers() {
        return;
    }
    *out += "    # Sessions: the node's name leads the session id, so every request goes straight to its node. Most clients keep
    # no cookies, and this is what spares them a hop.\n";
    for TraefikNode { name, .. } in &site.nodes {
        let path = format!(
            "PathPrefix(`{}`) && HeaderRegexp(`Mcp-Session-Id`, `^{name}\\.`)",
            site.endpoint
        );
        let router = format!("pinfold-node-{name}");
        emit_router(out, site, &router, &rule(site, &path), NODE_PRIORITY, CHAIN);
    }
}

fn emit_documents_router(out: &mut String, site: &Site) {
    *out += "    # What a client reads before it connects, the same at each node: the server card, the catalog of the host that leads to
    # it, and where to get a token. Without the cookie: these are for anybody, and may be kept on the way.\n";
    let endpoint = site.endpoint.trim_end_matches('/');
    let mut paths = vec![format!("{endpoint}/server-card")];
    if !site.rest_has_catalog {
        paths.push("/.well-known/ai-catalog.json".to_owned());
    }
    paths.push("/.well-known/oauth-protected-resource".to_owned());
    if !endpoint.is_empty() {
        paths.push(format!("/.well-known/oauth-protected-resource{endpoint}"));
    }
    let paths: Vec<_> = paths.iter().map(|it| format!("Path(`{it}`)")).collect();
    let rule = rule(site, &format!("({})", paths.join(" || ")));
    let name = "pinfold-documents";
    emit_router(out, site, name, &rule, DOCUMENTS_PRIORITY, CHAIN);
}

fn emit_health_router(out: &mut String, site: &Site) {
    if site.health.is_none() {
        return;
    }
    let _ = write!(
        out,
        "    # Here and not in the static part: it is answered when all of this has been read, and not before.
    {HEALTH}:
      rule: 'Path(`/ping`)'
      entryPoints: [{HEALTH}]
      service: ping@internal

"
    );
}

fn emit_router(out: &mut String, site: &Site, name: &str, rule: &str, priority: u32, more: &str) {
    let tls = match site.tls {
        Tls::Off => "",
        Tls::Placeholder | Tls::Files { .. } => "      tls: {}\n",
    };
    let _ = write!(
        out,
        "    {name}:
      rule: '{rule}'
      priority: {priority}
      entryPoints: [{entry}]
{more}{tls}      service: {name}

",
        entry = site.entry_point,
    );
}

/// Hosts, endpoints and names have no quotes and no backticks.
fn rule(site: &Site, path: &str) -> String {
    let hosts: Vec<_> = site
        .hosts
        .iter()
        .map(|it| format!("Host(`{it}`)"))
        .collect();
    match hosts.as_slice() {
        [] => path.to_owned(),
        [host] => format!("{host} && {path}"),
        hosts => format!("({}) && {path}", hosts.join(" || ")),
    }
}

fn emit_rest_service(out: &mut String, site: &Site) {
    if site.rest.is_empty() {
        return;
    }
    *out += "    pinfold-rest:\n      loadBalancer:\n        servers:\n";
    for url in &site.rest {
        let _ = writeln!(out, "          - url: '{url}'");
    }
    *out += "\n";
}

fn emit_endpoint_service(out: &mut String, site: &Site) {
    *out += "    # All nodes.\n    pinfold-mcp:\n      loadBalancer:\n        servers:\n";
    for TraefikNode { name, url, weight } in &site.nodes {
        let note = match site.affinity.has_cookie() {
            true => format!("{name}: {STICKY_COOKIE}={}", cookie_value(url)),
            false => name.clone(),
        };
        let _ = writeln!(out, "          - url: '{url}' # {note}");
        if *weight != 1 {
            let _ = writeln!(out, "            weight: {weight}");
        }
    }
    *out += "        # 503 from a node that takes its leave: it gets no new requests, and keeps those that it has.\n";
    emit_health(out);
    if site.affinity.has_cookie() {
        let _ = write!(
            out,
            "        # For the MCP endpoint only: the rest of the site neither sees it nor is bound by it.
        sticky:
          cookie:
            name: {STICKY_COOKIE}
            httpOnly: true
            secure: true
            sameSite: strict
            path: {}
",
            site.endpoint
        );
    }
    *out += "\n";
}

fn emit_node_services(out: &mut String, site: &Site) {
    if !site.affinity.has_node_routers() {
        return;
    }
    *out += "    # One node alone, and all others in its place while it is down or leaving: one of them passes on what it still answers.
    # When it is gone, that one takes the session over; or (--on-owner-loss 404) it answers 404 with the reason, and the client
    # initializes again.\n";
    for TraefikNode { name, url, .. } in &site.nodes {
        let _ = write!(
            out,
            "    pinfold-node-{name}:
      failover:
        service: pinfold-only-{name}
        fallback: pinfold-mcp
    pinfold-only-{name}:
      loadBalancer:
        servers:
          - url: '{url}'
"
        );
        emit_health(out);
        *out += "\n";
    }
}

fn emit_documents_service(out: &mut String, site: &Site) {
    *out += "    # All nodes, in turns.\n    pinfold-documents:\n      loadBalancer:\n        servers:\n";
    for TraefikNode { url, .. } in &site.nodes {
        let _ = writeln!(out, "          - url: '{url}'");
    }
    emit_health(out);
    *out += "\n";
}

fn emit_health(out: &mut String) {
    *out += "        serversTransport: pinfold
        healthCheck:
          path: /readyz
          interval: 1s
          timeout: 1s
";
}

fn emit_transport(out: &mut String, site: &Site) {
    let _ = write!(
        out,
        "  serversTransports:
    pinfold:
      forwardingTimeouts:
        dialTimeout: 2s
        # From the end of a request to the beginning of its answer. However long a call takes, a node begins to answer
        # within its --keep-alive, and then goes on for as long as it likes: one that is later hangs, and whoever waits
        # for it is told 504.
        responseHeaderTimeout: {}s
        # Below the nodes' --connection-idle (2m), so that no request meets a connection that is being closed.
        idleConnTimeout: 90s
      # Connections kept for the next requests, for each node.
      maxIdleConnsPerHost: 1024
",
        site.answer_begins_within_s
    );
}

fn emit_certificates(out: &mut String, site: &Site) {
    match &site.tls {
        Tls::Off => {}
        Tls::Placeholder => {
            *out += "
# Until there is a certificate here, Traefik makes one up that no client trusts.
# tls:
#   certificates:
#     - certFile: /etc/traefik/site.pem
#       keyFile: /etc/traefik/site.key
";
        }
        Tls::Files { certificate, key } => {
            let _ = write!(
                out,
                "
tls:
  certificates:
    - certFile: '{certificate}'
      keyFile: '{key}'
"
            );
        }
    }
}
