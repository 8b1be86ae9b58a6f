//! What a proxy says of who asks, at another node than the one that it says it to.
//!
//! A request for a session of another node leaves with the fields in which the proxy said so. Its owner sees a node for a
//! peer, and from anybody but the proxy those fields are worth nothing. So the node that heard the proxy proves what it heard
//! ([`FORWARDED_PROXIED`]), by the secret of all nodes and for this session.

use super::{ConnectionKey, Http, RequestFields, UpperLayer};
use crate::auth::ShownField;
use crate::limits::HEADER_FIELDS_MAX;
use crate::wire::HeadView;
use crate::wire::forwarded::{FORWARDED_PROXIED, FORWARDED_PROXIED_BYTES};
use crate::wire::http1::{self, HeadLimits};

/// What the node that passes a request on adds to its head besides: by whom it is passed on, and whose it is.
const OTHER_LINES: usize = 2;

impl<U: UpperLayer> Http<U> {
    /// What a head may have beyond its limit for this.
    pub(super) fn proxied_bytes_max(&self) -> usize {
        match self.identity_gate {
            Some(_) => FORWARDED_PROXIED_BYTES,
            None => 0,
        }
    }

    /// A request leaves for another node: `bytes` begin with its head. If that has no room for one more line, its owner does not
    /// learn who asks, and says so.
    pub(super) fn prove_proxied(&self, key: ConnectionKey, bytes: &mut Vec<u8>) {
        let connection = self.connections.get(key);
        if !connection.is_some_and(|it| it.names_principals) {
            return;
        }
        let limits = HeadLimits::from(&self.limits);
        let Ok(Some(head)) = http1::parse_head(bytes, 0, &limits) else {
            return;
        };
        let (view, head_len) = (head.view(bytes), head.len as usize);
        let fields = self.fields_of(&head, bytes);
        let fits = view.field_count() + 1 + OTHER_LINES <= HEADER_FIELDS_MAX
            && head_len + FORWARDED_PROXIED_BYTES <= self.limits.head_bytes_max;
        let words = self.proxy_words(&view).filter(|_| fits);
        let secret = self.neighbours.as_ref().and_then(|it| it.secret.as_ref());
        if let (Some(words), Some(secret), Some(session)) = (words, secret, fields.session_text()) {
            let proof = secret.sign_proxied(&words, session);
            let line = format!("{FORWARDED_PROXIED}: {proof}\r\n");
            // Before the empty line that ends the head.
            let end = head_len - 2;
            bytes.splice(end..end, line.into_bytes());
        }
    }

    /// Whether a node passed the request on that heard from a proxy who asks. That a node did is proven already.
    pub(super) fn is_proven_proxied(
        &self,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> bool {
        let secret = self.neighbours.as_ref().and_then(|it| it.secret.as_ref());
        let (true, Some(secret), Some(session)) =
            (fields.is_forwarded, secret, fields.session_text())
        else {
            return false;
        };
        let Some(words) = self.proxy_words(head) else {
            return false;
        };
        // A client may have sent one of its own.
        let mut proofs = head.fields_named(FORWARDED_PROXIED);
        proofs.any(|proof| secret.verify_proxied(proof, &words, session))
    }

    fn proxy_words(&self, head: &HeadView<'_>) -> Option<String> {
        let rules = self.identity_gate.as_ref()?.rules();
        rules.proxy_words(|name| ShownField::of(head.single(name)))
    }
}
