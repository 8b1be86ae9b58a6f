//! `Pinfold-Forwarded: {node}.{proof}`: one node's word to another that it passes a client's request on.
//!
//! The proof is an HMAC-SHA-256 of the node's name and the session id, under the secret that all nodes share: it is
//! worth nothing for another session, and the secret itself never leaves its node. What the field permits is little:
//! such a request is never passed on again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::session_id::NodeName;
use crate::limits::NODE_NAME_BYTES_MAX;

/// The field's name, in lower case.
pub const FORWARDED: &str = "pinfold-forwarded";

/// The whole line: what a head grows by when it is passed on.
pub const FORWARDED_LINE_BYTES_MAX: usize =
    FORWARDED.len() + ": ".len() + NODE_NAME_BYTES_MAX + ".".len() + PROOF_CHARS + "\r\n".len();

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
    #[must_use]
    pub fn new(secret: &[u8]) -> PeerSecret {
        let keyed = Hmac::new_from_slice(secret).expect("a key of any length will do");
        PeerSecret { keyed }
    }

    /// A key that every node makes from the same secret, one for each purpose. It tells nothing about the secret.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> [u8; 32] {
        let mut key = self.keyed.clone();
        // Proofs are of a node's name, a dot and more: no name has a space.
        key.update(b"key for ");
        key.update(purpose.as_bytes());
        key.finalize().into_bytes().into()
    }

    /// The field's value for a request of this session that `from` passes on.
    #[must_use]
    pub fn sign(&self, from: NodeName, session: &str) -> String {
        let proof = self.proof(from, session).finalize().into_bytes();
        format!("{from}.{}", URL_SAFE_NO_PAD.encode(proof))
    }

    /// Which node passed the request on, if one of this cluster did. Takes the same time wherever a proof is wrong.
    #[must_use]
    pub fn verify(&self, value: &str, session: &str) -> Option<NodeName> {
        let (from, proof) = value.split_once('.')?;
        let from = NodeName::new(from)?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let right = self.proof(from, session).verify_slice(&proof);
        right.is_ok().then_some(from)
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
    fn a_log_never_shows_the_secret() {
        assert_eq!(
            format!("{:?}", PeerSecret::new(b"a secret")),
            "PeerSecret(…)"
        );
    }
}
