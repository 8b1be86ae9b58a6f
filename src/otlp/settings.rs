//! Where spans go, in whose name, and how many of them.

use std::fmt;

use percent_encoding::percent_decode_str;
use ureq::http::{HeaderName, HeaderValue, Uri};

/// What OTLP/HTTP has for spans.
const TRACES_PATH: &str = "/v1/traces";

/// Where a node's spans go: to an OpenTelemetry collector, or to whoever speaks OTLP over HTTP.
///
/// ```
/// use pinfold::OtlpOptions;
///
/// let options = OtlpOptions::to("http://127.0.0.1:4318")?
///     .with_header("Authorization", "Bearer of-the-collector")?
///     .with_service_name("notes")
///     .with_sample(0.1)?;
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct OtlpOptions {
    url: String,
    /// Secrets, often.
    headers: Vec<(String, String)>,
    sample: f64,
    service: String,
    resource: Vec<(String, String)>,
}

impl OtlpOptions {
    /// To the collector at this URL, such as `http://127.0.0.1:4318`; `/v1/traces` is added unless it ends so.
    ///
    /// # Errors
    /// What is wrong with the URL: a sentence that begins with "must".
    pub fn to(endpoint: &str) -> Result<OtlpOptions, String> {
        Self::at(endpoint, true)
    }

    fn at(endpoint: &str, is_base: bool) -> Result<OtlpOptions, String> {
        let url = checked(endpoint)?;
        let url = match is_base && !url.ends_with(TRACES_PATH) {
            true => format!("{}{TRACES_PATH}", url.trim_end_matches('/')),
            false => url.to_owned(),
        };
        Ok(OtlpOptions {
            url,
            headers: Vec::new(),
            sample: 1.0,
            service: "pinfold".to_owned(),
            resource: Vec::new(),
        })
    }

    /// Sends this header with each request: the key of a service, for example.
    ///
    /// # Errors
    /// It cannot be one: a sentence that begins with "must".
    pub fn with_header(mut self, name: &str, value: &str) -> Result<OtlpOptions, String> {
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !is_name || HeaderValue::from_str(value).is_err() {
            return Err("must be headers of visible characters, such as x-api-key: abc".to_owned());
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Of requests without a `traceparent`, this share becomes spans: 0 for none, 1 (the default) for all. Whether one with a
    /// `traceparent` does is for its sender to say.
    ///
    /// # Errors
    /// It is none: a sentence that begins with "must".
    pub fn with_sample(mut self, share: f64) -> Result<OtlpOptions, String> {
        if !(0.0..=1.0).contains(&share) {
            return Err("must be a share from 0 to 1, such as 0.1".to_owned());
        }
        self.sample = share;
        Ok(self)
    }

    /// `service.name` of all spans. `pinfold` unless it is given.
    #[must_use]
    pub fn with_service_name(mut self, name: &str) -> OtlpOptions {
        name.clone_into(&mut self.service);
        self
    }

    /// One more attribute of whoever sends the spans, such as `deployment.environment.name`.
    #[must_use]
    pub fn with_resource(mut self, key: &str, value: &str) -> OtlpOptions {
        self.resource.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn traces_url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_secure(&self) -> bool {
        self.url
            .get(..6)
            .is_some_and(|it| it.eq_ignore_ascii_case("https:"))
    }

    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn sample(&self) -> f64 {
        self.sample
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    pub(super) fn resource(&self) -> &[(String, String)] {
        &self.resource
    }
}

/// Without what its headers say.
impl fmt::Debug for OtlpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpOptions")
            .field("url", &self.url)
            .field("headers", &headers)
            .field("sample", &self.sample)
            .field("service", &self.service)
            .field("resource", &self.resource)
            .finish()
    }
}

/// It goes into the log, so it has no secret.
fn checked(endpoint: &str) -> Result<&str, String> {
    let wrong = "must be a URL of http or https without user, query and fragment, such as http://127.0.0.1:4318";
    let url: Uri = endpoint.parse().map_err(|_| wrong.to_owned())?;
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |it| it.as_str());
    let is_plain =
        !authority.is_empty() && !authority.contains('@') && !endpoint.contains(['?', '#']);
    match ["http", "https"].contains(&scheme) && is_plain {
        true => Ok(endpoint),
        false => Err(wrong.to_owned()),
    }
}

/// The headers in a file, `Name: value` on a line each.
///
/// # Errors
/// A sentence that begins with "must"; it does not say what is in the file.
pub(crate) fn headers_in(text: &str, mut options: OtlpOptions) -> Result<OtlpOptions, String> {
    let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or("must be a file of lines such as x-api-key: abc")?;
        options = options.with_header(name.trim(), value.trim())?;
    }
    Ok(options)
}

/// OpenTelemetry's own variables, as far as they mean something here.
#[derive(Clone, Default)]
pub struct OtelVariables(Vec<(String, String)>);

impl OtelVariables {
    /// Of these.
    pub(crate) fn of(variables: impl Iterator<Item = (String, String)>) -> OtelVariables {
        let is_one =
            |(name, value): &(String, String)| name.starts_with("OTEL_") && !value.is_empty();
        OtelVariables(variables.filter(is_one).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }

    fn first<'a>(&self, names: [&'a str; 2]) -> Option<(&'a str, &str)> {
        names
            .into_iter()
            .find_map(|name| Some((name, self.get(name)?)))
    }

    /// Where spans go, if nothing but a variable says so.
    ///
    /// # Errors
    /// The variable that cannot be used, its value, and what is allowed.
    pub(crate) fn endpoint(&self) -> Result<Option<OtlpOptions>, (&'static str, String, String)> {
        const ENDPOINTS: [&str; 2] = [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ];
        const HEADERS: [&str; 2] = [
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ];
        let is_off = self
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|it| it.eq_ignore_ascii_case("true"))
            || self.get("OTEL_TRACES_EXPORTER") == Some("none");
        let Some((name, url)) = self.first(ENDPOINTS).filter(|_| !is_off) else {
            return Ok(None);
        };
        let is_base = name == ENDPOINTS[1];
        let mut options =
            OtlpOptions::at(url, is_base).map_err(|allowed| (name, url.to_owned(), allowed))?;
        if let Some((name, text)) = self.first(HEADERS) {
            // What is in it is a secret.
            let wrong = |allowed| (name, "…".to_owned(), allowed);
            let none = || {
                wrong("must be headers such as x-api-key=abc, with commas between them".to_owned())
            };
            for (header, value) in pairs(text) {
                let value = value.ok_or_else(none)?;
                options = options.with_header(&header, &value).map_err(wrong)?;
            }
        }
        Ok(Some(options))
    }

    /// Adds who sends the spans.
    pub(crate) fn name(&self, mut options: OtlpOptions) -> OtlpOptions {
        for (key, value) in pairs(self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            if let Some(value) = value {
                options = options.with_resource(&key, &value);
            }
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            options.resource.retain(|(key, _)| key != "service.name");
            options = options.with_service_name(name);
        }
        options
    }
}

/// Names alone: values may be secrets.
impl fmt::Debug for OtelVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// `name=value,name=value`, with percent signs for what cannot stand there.
fn pairs(text: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text.trim());
        text.decode_utf8_lossy().into_owned()
    };
    let all = text.split(',').filter(|it| !it.trim().is_empty());
    all.map(move |pair| match pair.split_once('=') {
        Some((name, value)) => (decoded(name), Some(decoded(value))),
        None => (decoded(pair), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> OtelVariables {
        let all = all
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        OtelVariables::of(all)
    }

    #[test]
    fn a_url_that_is_not_that_of_spans() {
        for (said, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://c.example/otlp", "https://c.example/otlp/v1/traces"),
            ("https://c.example/v1/traces", "https://c.example/v1/traces"),
        ] {
            let options = OtlpOptions::to(said).expect("a URL");
            assert_eq!(options.traces_url(), url);
            assert_eq!(options.is_secure(), said.starts_with("https"));
        }
        for wrong in [
            "",
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317",
            "/v1/traces",
            "http://user:secret@c.example",
            "http://c.example?key=secret",
            "http://c.example#a",
        ] {
            let said = OtlpOptions::to(wrong).expect_err(wrong);
            assert!(
                said.starts_with("must be a URL") && !said.contains("secret"),
                "{said}"
            );
        }
    }

    #[test]
    fn secrets_of_a_collector_that_are_shown() {
        let options = OtlpOptions::to("http://c.example").expect("a URL");
        let options = headers_in("X-Api-Key: secret\n\n b : c \n", options).expect("headers");
        let right = [("X-Api-Key", "secret"), ("b", "c")];
        let right = right.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options.headers(), right);
        assert!(!format!("{options:?}").contains("secret"));
        for wrong in ["secret", "a b: secret", "a: sec\u{1}ret"] {
            let options = OtlpOptions::to("http://c.example").expect("a URL");
            let said = headers_in(wrong, options).expect_err(wrong);
            assert!(
                said.starts_with("must") && !said.contains("sec\u{1}"),
                "{said}"
            );
        }
        let all = variables(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=secret")]);
        assert!(!format!("{all:?}").contains("secret"));
    }

    #[test]
    fn the_standard_variables() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.example");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b.example/x");
        let url = |all: &[(&str, &str)]| {
            let options = variables(all).endpoint().expect("they can be used");
            options.map(|it| it.traces_url().to_owned())
        };
        assert_eq!(url(&[]), None);
        assert_eq!(
            url(&[endpoint]).as_deref(),
            Some("http://a.example/v1/traces")
        );
        assert_eq!(
            url(&[endpoint, of_traces]).as_deref(),
            Some("http://b.example/x")
        );
        assert_eq!(url(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(url(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
        let all = variables(&[
            endpoint,
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%2Cb, c = d "),
            ("OTEL_SERVICE_NAME", "notes"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,k8s.pod.name=p%201,wrong",
            ),
        ]);
        let options = all.endpoint().expect("they can be used").expect("one");
        let options = all.name(options);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options.headers(),
            [pair("x-api-key", "a,b"), pair("c", "d")]
        );
        assert_eq!(options.service(), "notes");
        assert_eq!(options.resource(), [pair("k8s.pod.name", "p 1")]);
        for wrong in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "a.example"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ] {
            let all = variables(&[wrong, endpoint]);
            let (name, value, allowed) = all.endpoint().expect_err("it cannot be used");
            assert_eq!(name, wrong.0);
            assert!(allowed.starts_with("must") && value != "secret");
        }
    }

    #[test]
    fn a_share_that_is_none() {
        let with = |share| OtlpOptions::to("http://c.example").and_then(|it| it.with_sample(share));
        assert!([0.0, 0.5, 1.0].into_iter().all(|it| with(it).is_ok()));
        assert!(
            [-0.1, 1.1, f64::NAN]
                .into_iter()
                .all(|it| with(it).is_err())
        );
    }
}
