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
            cipher: XChaCha20Poly1305::new(Key::from_slice(key)),
        }
    }

    pub(super) fn seal(&self, plain: &[u8]) -> String {
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).expect("Linux has random bytes once it has booted");
        let nonce = XNonce::clone_from_slice(&sealed);
        let cipher_text = self
            .cipher
            .encrypt(&nonce, plain)
            .expect("a state is far below the cipher's limit");
        sealed.extend_from_slice(&cipher_text);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    pub(super) fn unseal(&self, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, cipher_text) = bytes.split_at_checked(NONCE_BYTES)?;
        self.cipher
            .decrypt(XNonce::from_slice(nonce), cipher_text)
            .ok()
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
}
