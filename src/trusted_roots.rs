//! Who may vouch for a server that this program asks over HTTPS: an issuer of tokens, a collector of spans.

use ureq::tls::{Certificate, RootCerts};

/// Whom the machine trusts now (SSL_CERT_FILE adds to it), or the public authorities where it trusts nobody.
pub(crate) fn of_this_machine() -> RootCerts {
    let own = rustls_native_certs::load_native_certs().certs;
    let own = own.iter().map(|it| Certificate::from_der(it).to_owned());
    let own: Vec<_> = own.collect();
    match own.is_empty() {
        true => RootCerts::WebPki,
        false => RootCerts::new_with_certs(&own),
    }
}
