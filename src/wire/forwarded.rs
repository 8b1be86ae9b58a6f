//! `Pinfold-Forwarded: {node}.{proof}`: one node says to another that it passes a client's request on.
//!
//! The proof is an HMAC-SHA-256 of the node's name and the session id, under the secret that all nodes share. It is
//! worth nothing for another session, and the secret itself never leaves its node. The field permits little:
//! such a request is never passed on again.
//!
//! `Pinfold-Client: {proof}.{address}` says besides, with a proof of its own, whose request it is. A node of a version
//! without it neither sends nor misses it.
//!
//! `Pinfold-Proxied: {proof}` says that the fields in which a proxy says who asks came from the proxy. It is a proof of what is in
//! them: with other words there, or in another session, it is worth nothing.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::session_id::NodeName;
use crate::limits::NODE_NAME_BYTES_MAX;

/// The field's name, in lower case.
pub const FORWARDED: &str = "pinfold-forwarded";

/// The whole line: what a head grows by when it is passed on.
pub const FORWARDED_LINE_BYTES_MAX: usize =
    FORWARDED.len() + ": ".len() + NODE_NAME_BYTES_MAX + ".".len() + PROOF_CHARS + "\r\n".len();

/// The client's address, from the node that passes a request on.
pub const FORWARDED_CLIENT: &str = "pinfold-client";

/// That a proxy said what stands in the head: from the node that passes a request on.
pub const FORWARDED_PROXIED: &str = "pinfold-proxied";

/// The whole line.
pub const FORWARDED_PROXIED_BYTES: usize =
    FORWARDED_PROXIED.len() + ": ".len() + PROOF_CHARS + "\r\n".len();

/// Of 32 bytes in base64.
const PROOF_CHARS: usize = 43;

/// The name that operators know the proxy's sticky cookie by.
pub const STICKY_COOKIE: &str = "_mcp_backend";

/// What all nodes of a cluster know and nobody else.
#[derive(Clone)]
pub struct PeerSecret {
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret(…)")
    }
}

impl PeerSecret {
    /// Of at least 16 bytes that nobody can guess.
    #[must_use]
    pub fn new(secret: &[u8]) -> PeerSecret {
        let keyed = Hmac::new_from_slice(secret).expect("a key of any length will do");
        PeerSecret { keyed }
    }

    /// A key that every node makes from the same secret, one for each purpose. It tells nothing about the secret.
    #[doc(hidden)]
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> [u8; 32] {
        let mut key = self.keyed.clone();
        // Proofs are of a node's name, a dot and more: no name has a space.
        key.update(b"key for ");
        key.update(purpose.as_bytes());
        key.finalize().into_bytes().into()
    }

    /// The field's value for a request of this session that `from` passes on.
    #[doc(hidden)]
    #[must_use]
    pub fn sign(&self, from: NodeName, session: &str) -> String {
        let proof = self.proof(from, session).finalize().into_bytes();
        format!("{from}.{}", URL_SAFE_NO_PAD.encode(proof))
    }

    /// Which node passed the request on, if one of this cluster did. Takes the same time wherever a proof is wrong.
    #[doc(hidden)]
    #[must_use]
    pub fn verify(&self, value: &str, session: &str) -> Option<NodeName> {
        let (from, proof) = value.split_once('.')?;
        let from = NodeName::new(from)?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let right = self.proof(from, session).verify_slice(&proof);
        right.is_ok().then_some(from)
    }

    /// The value of [`FORWARDED_CLIENT`] for a request of this session that `from` passes on.
    #[doc(hidden)]
    #[must_use]
    pub fn sign_client(&self, client: IpAddr, from: NodeName, session: &str) -> String {
        let client = client.to_string();
        let proof = self.proof_of_client(&client, from, session);
        let proof = URL_SAFE_NO_PAD.encode(proof.finalize().into_bytes());
        format!("{proof}.{client}")
    }

    /// Whose request it is, if `from` says so.
    #[doc(hidden)]
    #[must_use]
    pub fn verify_client(&self, value: &str, from: NodeName, session: &str) -> Option<IpAddr> {
        let (proof, client) = value.split_once('.')?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let right = self.proof_of_client(client, from, session);
        right.verify_slice(&proof).ok()?;
        client.parse().ok()
    }

    /// The value of [`FORWARDED_PROXIED`] for a request of this session in which a proxy said these words.
    #[doc(hidden)]
    #[must_use]
    pub fn sign_proxied(&self, words: &str, session: &str) -> String {
        let proof = self.proof_of_words(words, session).finalize();
        URL_SAFE_NO_PAD.encode(proof.into_bytes())
    }

    /// Whether a node of this cluster heard them from a proxy.
    #[doc(hidden)]
    #[must_use]
    pub fn verify_proxied(&self, value: &str, words: &str, session: &str) -> bool {
        let proof = URL_SAFE_NO_PAD.decode(value);
        proof.is_ok_and(|proof| {
            let right = self.proof_of_words(words, session).verify_slice(&proof);
            right.is_ok()
        })
    }

    fn proof_of_words(&self, words: &str, session: &str) -> Hmac<Sha256> {
        let mut proof = self.keyed.clone();
        // A session id has no line end.
        for part in ["proxied ", session, "\n", words] {
            proof.update(part.as_bytes());
        }
        proof
    }

    fn proof_of_client(&self, client: &str, from: NodeName, session: &str) -> Hmac<Sha256> {
        let mut proof = self.keyed.clone();
        // No other proof begins like this one: a name has no space.
        for part in ["client ", client, " of ", from.as_str(), ".", session] {
            proof.update(part.as_bytes());
        }
        proof
    }

    fn proof(&self, from: NodeName, session: &str) -> Hmac<Sha256> {
        let mut proof = self.keyed.clone();
        proof.update(from.as_str().as_bytes());
        proof.update(b".");
        proof.update(session.as_bytes());
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).expect("a name")
    }

    #[test]
    fn what_is_signed_verifies() {
        let secret = PeerSecret::new(b"a secret");
        let value = secret.sign(node("node-a"), "session");
        assert_eq!(secret.verify(&value, "session"), Some(node("node-a")));
    }

    /// Nodes of two versions live in one cluster while it is replaced.
    #[test]
    fn a_proof_that_the_version_before_does_not_know() {
        let value = PeerSecret::new(b"a secret").sign(node("node-a"), "session");
        assert_eq!(value, "node-a.-fOMyQovbsMKmeFWFxQRctQlLksJCyxiPIKFm-pgfis");
        let client = "203.0.113.7".parse().unwrap();
        let value = PeerSecret::new(b"a secret").sign_client(client, node("node-a"), "session");
        assert_eq!(
            value,
            "I-mVb1c0Onpw8lHcHefbKs6LJH-UkEXgA4fSsbp42XI.203.0.113.7"
        );
        let key = PeerSecret::new(b"a secret").key_for("requestState");
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key),
            "BcPqvJcNBGFOunmSL__y-kUx5NWSfFZ95j7plF0VCfg"
        );
    }

    #[test]
    fn a_key_that_two_nodes_with_one_secret_do_not_share() {
        let key = |secret, purpose| PeerSecret::new(secret).key_for(purpose);
        assert_eq!(key(b"one", "state"), key(b"one", "state"));
        assert_ne!(key(b"one", "state"), key(b"two", "state"));
        assert_ne!(key(b"one", "state"), key(b"one", "other"));
    }

    #[test]
    fn what_is_forged_does_not() {
        let secret = PeerSecret::new(b"a secret");
        let value = secret.sign(node("node-a"), "session");
        let of_other_node = value.replace("node-a", "node-b");
        let cut = &value[..value.len() - 1];
        let unsigned = "node-a.";
        for forged in ["", ".", "node-a", unsigned, cut, &of_other_node, "Ä.x"] {
            assert_eq!(secret.verify(forged, "session"), None, "{forged}");
        }
        assert_eq!(secret.verify(&value, "another session"), None);
        let other = PeerSecret::new(b"another secret");
        assert_eq!(other.verify(&value, "session"), None);
    }

    #[test]
    fn a_client_that_another_one_is_taken_for() {
        let secret = PeerSecret::new(b"a secret");
        let from = node("node-a");
        for address in ["203.0.113.7", "2001:db8::7"] {
            let client: IpAddr = address.parse().unwrap();
            let value = secret.sign_client(client, from, "session");
            assert_eq!(secret.verify_client(&value, from, "session"), Some(client));
            assert_eq!(
                secret.verify_client(&value, node("node-b"), "session"),
                None
            );
            assert_eq!(secret.verify_client(&value, from, "another"), None);
            let forged = value.replace(address, "203.0.113.8");
            let cut = &value[1..];
            for forged in [&forged, cut, "", ".", address, "AAAA.203.0.113.7"] {
                assert_eq!(secret.verify_client(forged, from, "session"), None);
            }
        }
        let proof = secret.sign(from, "session").replace("node-a.", "");
        let mixed = format!("{proof}.203.0.113.7");
        assert_eq!(secret.verify_client(&mixed, from, "session"), None);
    }

    #[test]
    fn words_that_a_proxy_did_not_say() {
        let secret = PeerSecret::new(b"a secret");
        let value = secret.sign_proxied("alice\n\n", "session");
        let line = format!("{FORWARDED_PROXIED}: {value}\r\n");
        assert_eq!(line.len(), FORWARDED_PROXIED_BYTES);
        assert!(secret.verify_proxied(&value, "alice\n\n", "session"));
        for (words, session) in [
            ("bob\n\n", "session"),
            ("alice\n\nadmin", "session"),
            ("alice\n\n", "another"),
            ("", "session"),
        ] {
            assert!(!secret.verify_proxied(&value, words, session), "{words}");
        }
        let cut = &value[1..];
        let of_session = secret.sign(node("proxied"), "session");
        for forged in ["", cut, "AAAA", &of_session.replace("proxied.", "")] {
            assert!(!secret.verify_proxied(forged, "alice\n\n", "session"));
        }
        let other = PeerSecret::new(b"another secret");
        assert!(!other.verify_proxied(&value, "alice\n\n", "session"));
    }

    #[test]
    fn a_log_never_shows_the_secret() {
        assert_eq!(
            format!("{:?}", PeerSecret::new(b"a secret")),
            "PeerSecret(…)"
        );
    }
}
