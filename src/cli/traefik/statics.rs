//! The static configuration: where Traefik listens, and where it finds the rest.

use std::path::Path;

use super::HEALTH;
use super::site::{Site, Tls};

pub(super) fn emit(site: &Site, dynamic_folder: &Path) -> String {
    let tls = match site.tls {
        Tls::Off => "Plain HTTP: TLS ends in front of this.",
        Tls::Placeholder | Tls::Files { .. } => "TLS; its certificate is in the dynamic part.",
    };
    format!(
        "\
# Traefik 3, the static part: read once when it starts (traefik --configFile=…/traefik.yml).
# Printed by `pinfold traefik`.

entryPoints:
  # {tls}
  {entry}:
    address: '{listen}'
    transport:
      respondingTimeouts:
        # Time to send a request. Event streams are not cut by it: their requests are complete.
        readTimeout: 60s
        # No limit on the time of an answer: an event stream is one that goes on for days.
        writeTimeout: 0s
        # A connection of a client between two requests.
        idleTimeout: 180s
      lifeCycle:
{life}    # Put no `compress` or `buffering` middleware here: entry points' middlewares apply to all routers, and both hold
    # back events.
{health}
providers:
  file:
    # The dynamic part, dynamic/pinfold.yml: read again whenever it changes, streams stay open.
    directory: '{folder}'
    watch: true

log:
  level: INFO

global:
  checkNewVersion: false
  sendAnonymousUsage: false
",
        life = life(site),
        health = health(site),
        entry = site.entry_point,
        listen = site.listen,
        folder = dynamic_folder.display(),
    )
}

/// What SIGTERM does to those who are there and to those who come.
fn life(site: &Site) -> String {
    let accept = match site.health {
        None => String::new(),
        Some(_) => "        # From SIGTERM on /ping says 503, and for so long whoever has not seen it yet is still served.
        requestAcceptGraceTimeout: 5s
"
        .into(),
    };
    accept
        + "        # Nobody new is served while it waits for what is under way, and event streams do not end by themselves.
        graceTimeOut: 2s
"
}

fn health(site: &Site) -> String {
    match &site.health {
        None => String::new(),
        Some(address) => format!(
            "  # For whoever must know whether requests can come (a load balancer in front, systemd).
  {HEALTH}:
    address: '{address}'
    transport:
      lifeCycle:
        # As long as the other one, to say 503 meanwhile.
        requestAcceptGraceTimeout: 5s
        graceTimeOut: 2s

# Its router is in the dynamic part: 200 is said only when that has been read.
ping:
  entryPoint: {HEALTH}
  manualRouting: true
  terminatingStatusCode: 503
"
        ),
    }
}
