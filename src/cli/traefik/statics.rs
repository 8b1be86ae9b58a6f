//! The static configuration: where Traefik listens, and where it finds the rest.

use std::path::Path;

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
    # Put no `compress` or `buffering` middleware here: entry points' middlewares apply to all routers, and both hold
    # back events.

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
        entry = site.entry_point,
        listen = site.listen,
        folder = dynamic_folder.display(),
    )
}
