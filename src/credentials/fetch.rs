//! One GET to an issuer, bounded in time and bytes, whatever it answers.

use std::time::{Duration, Instant};

use ureq::tls::TlsConfig;

use crate::auth::max_age_s;
use crate::limits::KEY_SET_BYTES_MAX;
use crate::trusted_roots;

/// How often an issuer may send us elsewhere. Key sets move now and then behind the URL that everybody has.
const REDIRECTS_MAX: u32 = 3;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;

pub(super) struct Fetcher {
    agent: ureq::Agent,
}

pub(super) struct IssuerAnswer {
    pub(super) body: Vec<u8>,
    pub(super) max_age_s: Option<u64>,
}

impl Fetcher {
    /// See [`trusted_roots`] for whom it trusts.
    pub(super) fn new() -> Fetcher {
        let roots = trusted_roots::of_this_machine();
        let agent = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("pinfold/", env!("CARGO_PKG_VERSION")))
            .accept("application/json, application/jwk-set+json")
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(0)
            .build()
            .new_agent();
        Fetcher { agent }
    }

    /// Until then, and no longer.
    ///
    /// # Errors
    /// A sentence on why there is nothing.
    pub(super) fn get(&self, url: &str, until: Instant) -> Result<IssuerAnswer, String> {
        let is_secure = url
            .get(..6)
            .is_some_and(|it| it.eq_ignore_ascii_case("https:"));
        let left = until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        let request = self
            .agent
            .get(url)
            .config()
            .https_only(is_secure)
            // In the clear is on this machine only, and stays there.
            .max_redirects(if is_secure { REDIRECTS_MAX } else { 0 })
            .timeout_global(Some(left))
            .build();
        let mut response = request.call().map_err(|error| sentence(url, &error))?;
        if response.status().as_u16() != 200 {
            return Err(format!("{url} answers {}", response.status()));
        }
        let text = |name: &str| response.headers().get(name)?.to_str().ok();
        let max_age_s = max_age_s(text("cache-control"), text("age"));
        let body = response
            .body_mut()
            .with_config()
            .limit(KEY_SET_BYTES_MAX as u64);
        let body = body.read_to_vec().map_err(|error| sentence(url, &error))?;
        Ok(IssuerAnswer { body, max_age_s })
    }
}

fn sentence(url: &str, error: &ureq::Error) -> String {
    match error {
        ureq::Error::BodyExceedsLimit(_) => {
            format!("{url} answers more than {KEY_SET_BYTES_MAX} bytes")
        }
        ureq::Error::Timeout(_) => format!("{url} does not answer in time"),
        ureq::Error::StatusCode(status) => format!("{url} answers {status}"),
        error => format!("{url} cannot be read: {error}"),
    }
}
