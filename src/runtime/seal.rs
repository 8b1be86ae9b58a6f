//! Sealing of `requestState`: what a modern client brings back is encrypted and authenticated.
//!
//! `base64url(nonce ‖ XChaCha20-Poly1305(plain))`. Nonces are random and 24 bytes long, so one key serves any number
//! of seals; nodes that share the key open each other's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};

const NONCE_BYTES: usize = 24;

#[derive(Clone)]
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Sealer {
            cipher: XChaCha20Poly1305::new(&Key::from(*key)),
        }
    }

    pub(super) fn seal(&self, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("Linux has random bytes once it has booted");
        let cipher_text = self
            .cipher
            .encrypt(&XNonce::from(nonce), plain)
            .expect("a state is far below the cipher's limit");
        let sealed = [&nonce, cipher_text.as_slice()].concat();
        URL_SAFE_NO_PAD.encode(sealed)
    }

    pub(super) fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, cipher_text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher.decrypt(&XNonce::from(*nonce), cipher_text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tampered_state_does_not_open() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(b"state");
        assert_eq!(sealer.unseal(&sealed).as_deref(), Some(&b"state"[..]));
        assert_eq!(sealer.unseal(&format!("{sealed}-TAMPERED")), None);
        let other = if sealed.starts_with('A') { "B" } else { "A" };
        assert_eq!(sealer.unseal(&format!("{other}{}", &sealed[1..])), None);
        assert_eq!(Sealer::new(&[8; 32]).unseal(&sealed), None);
        assert_eq!(sealer.unseal(""), None);
    }

    /// Nodes of two versions live in one cluster while it is replaced. The release before chacha20poly1305 0.11 sealed this
    /// in a round of the tool `test_input_required_result_request_state`.
    #[test]
    fn a_state_of_the_release_before_that_does_not_open() {
        const SEALED: &str = "8tNJbcaJ8iEZCWIPE5BiLleJqMdqi4N9JRKhKuR938rLfuNxdMD7JT5DgpHU7DFbgTQo_eBbvRKKXFYV\
            hoKEDQPk9B5f0Ug96akaLOk1EneNZR4HMW4Ocs5CZppKFl_GrIoCJ4SIanyUwr3WynyzBePjMMgDPCZWtjf24X1FNfNIcoFSWG7u\
            kCP6KEzUHrVHb4c4Apa9OSPDHEmgO-pQdz-eA94feJU9pQE";
        let plain = Sealer::new(b"thirty-two bytes of a state key.").unseal(SEALED);
        let plain = String::from_utf8(plain.expect("it opens")).unwrap();
        assert!(plain.starts_with(r#"{"expires_ms":1795960391583,"request":"Xj8HGLv8"#));
        assert!(plain.ends_with(r#","memory":{"answers":{},"kept":{"asked":true}}}"#));
    }
}
