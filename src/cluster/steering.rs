//! The sticky cookie as Traefik gives it out, so that a node can steer a client that keeps cookies to another node.

use sha2::{Digest, Sha256};

/// The cookie's value for a server: Traefik takes the first 16 hex digits of the SHA-256 of the server's URL, exactly
/// as it is written in the configuration of the load balancer (its `pkg/server/service/loadbalancer`, `sha256Hash`).
#[must_use]
pub fn cookie_value(server_url: &str) -> String {
    let digest = Sha256::digest(server_url.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen from Traefik 3.7.15.
    #[test]
    fn a_cookie_that_traefik_does_not_know() {
        assert_eq!(cookie_value("http://127.0.0.1:17101"), "05dbab2a9d90f679");
        assert_eq!(cookie_value("http://127.0.0.1:17102"), "c36ffcf32726c5f3");
    }
}
