//! One request to the collector, bounded in time and bytes whatever it answers.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::settings::OtlpOptions;

/// Bytes of an answer's head and body each; a collector that took everything says nothing.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// For a connection to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of what a collector says for people, as the log has it.
const SAID_BYTES_MAX: usize = 200;

pub(super) struct Poster {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BatchAnswer {
    /// All were taken, but for so many, and why.
    Taken { rejected: u64, said: String },
    /// It may work later, not before the time that the collector names.
    Later {
        after: Option<Duration>,
        why: String,
    },
    /// It would be the same again.
    Never { why: String },
}

impl Poster {
    /// Trusts whom the machine trusts now (SSL_CERT_FILE adds to it), or the public authorities where it trusts nobody.
    pub(super) fn new(options: &OtlpOptions) -> Poster {
        let own = match options.is_secure() {
            true => rustls_native_certs::load_native_certs().certs,
            false => Vec::new(),
        };
        let own: Vec<_> = own
            .iter()
            .map(|it| Certificate::from_der(it).to_owned())
            .collect();
        let roots = match own.is_empty() {
            true => RootCerts::WebPki,
            false => RootCerts::new_with_certs(&own),
        };
        let agent = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("pinfold/", env!("CARGO_PKG_VERSION")))
            .accept("application/x-protobuf")
            .max_response_header_size(ANSWER_BYTES_MAX)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WITHIN))
            .build()
            .new_agent();
        Poster {
            agent,
            url: options.traces_url().to_owned(),
            headers: options.headers().to_vec(),
        }
    }

    pub(super) fn post(&self, body: &[u8], within: Duration) -> BatchAnswer {
        let mut request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(within))
            .build()
            .content_type("application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(fault) => return no_answer(&fault),
        };
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let status = response.status().as_u16();
        let said = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX as u64);
        // What cannot be read of it says nothing.
        let said = said.read_to_vec().unwrap_or_default();
        judged(status, retry_after, &said)
    }
}

fn no_answer(fault: &ureq::Error) -> BatchAnswer {
    let why = match fault {
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        ureq::Error::HostNotFound => "there is no host of that name".to_owned(),
        fault => format!("it cannot be reached: {fault}"),
    };
    BatchAnswer::Later { after: None, why }
}

/// As OTLP/HTTP has it: some statuses ask for another try, the others for none.
fn judged(status: u16, retry_after: Option<u64>, body: &[u8]) -> BatchAnswer {
    let why = format!("it answers {status}");
    match status {
        200..=299 => {
            let partly = ExportTraceServiceResponse::decode(body).ok();
            let partly = partly.and_then(|it| it.partial_success);
            let partly = partly.unwrap_or_default();
            let mut said = partly.error_message;
            said.truncate(said.floor_char_boundary(SAID_BYTES_MAX));
            BatchAnswer::Taken {
                rejected: u64::try_from(partly.rejected_spans).unwrap_or(0),
                said,
            }
        }
        429 | 502 | 503 | 504 => BatchAnswer::Later {
            after: retry_after.map(Duration::from_secs),
            why,
        },
        _ => BatchAnswer::Never { why },
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn an_answer_that_asks_for_another_try() {
        for status in [429, 502, 503, 504] {
            let after = Some(Duration::from_secs(7));
            let answer = judged(status, Some(7), b"");
            assert!(matches!(answer, BatchAnswer::Later { after: it, .. } if it == after));
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(
                judged(status, None, b""),
                BatchAnswer::Never { .. }
            ));
        }
    }

    #[test]
    fn a_collector_that_takes_some_of_them() {
        let response = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "ü".repeat(SAID_BYTES_MAX),
            }),
        };
        let said = "ü".repeat(SAID_BYTES_MAX / 2);
        let rejected = 3;
        let right = BatchAnswer::Taken { rejected, said };
        assert_eq!(judged(200, None, &response.encode_to_vec()), right);
        let all = BatchAnswer::Taken {
            rejected: 0,
            said: String::new(),
        };
        assert_eq!(judged(200, None, b""), all);
        assert_eq!(judged(202, None, b"what is this?"), all);
    }
}
