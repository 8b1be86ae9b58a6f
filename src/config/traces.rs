//! Where spans go. The options are there in every build, so that help, schema and configuration files are the same for all; one
//! that cannot send says so.

use std::path::PathBuf;

use clap::Args;

use super::units::Fraction;
use super::{ConfigError, Machine};
use crate::node::Options;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Traces")]
pub struct TraceOptions {
    /// OpenTelemetry collector that gets a span for each call of the application, by OTLP over HTTP (http/protobuf), such as
    /// http://127.0.0.1:4318; /v1/traces is added unless it ends so. Needs a build with the cargo feature otlp, in which
    /// OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS count where this is not given, and OTEL_SERVICE_NAME and
    /// OTEL_RESOURCE_ATTRIBUTES always
    #[arg(long, env = "PINFOLD_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// File with headers for the collector, such as its key: x-api-key: abc, one on a line
    #[arg(long, env = "PINFOLD_OTLP_HEADERS_FILE", value_name = "FILE")]
    pub otlp_headers_file: Option<PathBuf>,

    /// Share of the calls without a traceparent that become spans, from 0 to 1. Of those with one its sender says whether
    /// they do
    #[arg(long, env = "PINFOLD_OTLP_SAMPLE", value_name = "SHARE", default_value = "1", value_parser = share)]
    pub otlp_sample: Fraction,
}

fn share(text: &str) -> Result<Fraction, String> {
    text.parse()
}

/// # Errors
/// What cannot be used.
#[cfg(feature = "otlp")]
pub(super) fn check(
    options: &TraceOptions,
    machine: &Machine,
) -> Result<Option<crate::otlp::OtlpOptions>, ConfigError> {
    use crate::otlp::{OtlpOptions, headers_in};

    const HEADERS_FILE: &str = "--otlp-headers-file";
    let to = match &options.otlp_endpoint {
        Some(url) => {
            let to = OtlpOptions::to(url);
            Some(to.map_err(|allowed| ConfigError::new("--otlp-endpoint", url, allowed))?)
        }
        None => {
            let to = machine.otel.endpoint();
            to.map_err(|(name, value, allowed)| ConfigError::new(name, value, allowed))?
        }
    };
    let Some(to) = to else {
        return match &options.otlp_headers_file {
            None => Ok(None),
            Some(_) => Err(ConfigError::missing(
                "--otlp-endpoint",
                "must be given with --otlp-headers-file",
            )),
        };
    };
    let mut to = machine.otel.name(to);
    if let Some(path) = &options.otlp_headers_file {
        let refuse = |allowed| ConfigError::new(HEADERS_FILE, path.display(), allowed);
        let bytes = super::read_secret(path).map_err(refuse)?;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| refuse("must be a file of text".to_owned()))?;
        to = headers_in(&text, to).map_err(refuse)?;
    }
    let to = to.with_sample(options.otlp_sample.0);
    let wrong = |allowed| ConfigError::new("--otlp-sample", options.otlp_sample, allowed);
    Ok(Some(to.map_err(wrong)?))
}

/// The options of a node, with where its spans go.
#[cfg(feature = "otlp")]
pub(super) fn with(mut node: Options, spans: Option<crate::otlp::OtlpOptions>) -> Options {
    node.otlp = spans;
    node
}

#[cfg(not(feature = "otlp"))]
pub(super) fn with(node: Options, _: Option<()>) -> Options {
    node
}

/// # Errors
/// Spans are asked for.
#[cfg(not(feature = "otlp"))]
pub(super) fn check(options: &TraceOptions, _: &Machine) -> Result<Option<()>, ConfigError> {
    lacking(options).map_or(Ok(None), Err)
}

/// What a build says that cannot send spans.
#[cfg(any(test, not(feature = "otlp")))]
fn lacking(options: &TraceOptions) -> Option<ConfigError> {
    let allowed = "cannot be used: this pinfold was built without the cargo feature otlp (cargo build --release --features otlp)";
    match (&options.otlp_endpoint, &options.otlp_headers_file) {
        (Some(url), _) => Some(ConfigError::new("--otlp-endpoint", url, allowed)),
        (None, Some(file)) => Some(ConfigError::new(
            "--otlp-headers-file",
            file.display(),
            allowed,
        )),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn options(arguments: &[&str]) -> TraceOptions {
        let command = TraceOptions::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments);
        TraceOptions::from_arg_matches(&matches.expect("options")).expect("options")
    }

    #[test]
    fn a_build_that_sends_no_spans_and_does_not_say_so() {
        assert_eq!(lacking(&options(&[])), None);
        for (argument, flag) in [
            ("--otlp-endpoint=http://127.0.0.1:4318", "--otlp-endpoint"),
            ("--otlp-headers-file=key", "--otlp-headers-file"),
        ] {
            let said = lacking(&options(&[argument])).expect("it cannot be used");
            assert_eq!(said.flag, flag);
            assert!(said.allowed.contains("--features otlp"), "{said}");
        }
    }

    #[cfg(feature = "otlp")]
    mod sending {
        use super::*;
        use crate::otlp::{OtelVariables, OtlpOptions};
        use crate::scratch;

        fn given(
            arguments: &[&str],
            variables: &[(&str, &str)],
        ) -> Result<Option<OtlpOptions>, ConfigError> {
            let all = variables.iter();
            let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let machine = Machine {
                cores: 1,
                hostname: String::new(),
                memory_bytes: 1 << 30,
                otel: OtelVariables::of(all),
            };
            check(&options(arguments), &machine)
        }

        const STANDARD: [(&str, &str); 3] = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://std.example"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-std=1"),
            ("OTEL_SERVICE_NAME", "notes"),
        ];

        /// A key is for the collector that it was given with.
        #[test]
        fn a_key_for_another_collector() {
            let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
                let options = given(arguments, variables).expect("they can be used");
                format!("{:?}", options.expect("there is a collector"))
            };
            let own = shown(&["--otlp-endpoint=http://own.example"], &STANDARD);
            assert!(own.contains("http://own.example/v1/traces"), "{own}");
            assert!(!own.contains("x-std") && own.contains("notes"), "{own}");
            let standard = shown(&["--otlp-sample=0.5"], &STANDARD);
            assert!(
                standard.contains("http://std.example/v1/traces"),
                "{standard}"
            );
            assert!(standard.contains("x-std") && standard.contains("0.5"));
            let file = scratch::file("otlp-headers", b"x-own: secret\n");
            let file = format!("--otlp-headers-file={}", file.display());
            let both = shown(&["--otlp-endpoint=http://own.example", &file], &[]);
            assert!(both.contains("x-own") && !both.contains("secret"), "{both}");
        }

        #[test]
        fn what_cannot_be_used_of_it() {
            assert!(given(&[], &[]).expect("nothing is asked for").is_none());
            let empty = scratch::file("otlp-no-headers", b"secret");
            let file = format!("--otlp-headers-file={}", empty.display());
            let flag = |arguments: &[&str], variables: &[(&str, &str)]| {
                let said = given(arguments, variables).expect_err("it cannot be used");
                assert!(said.allowed.starts_with("must"), "{said}");
                assert!(!said.to_string().contains("secret"), "{said}");
                said.flag
            };
            let ours = "--otlp-endpoint=http://own.example";
            assert_eq!(flag(&["--otlp-endpoint=own"], &[]), "--otlp-endpoint");
            assert_eq!(flag(&[&file], &[]), "--otlp-endpoint");
            assert_eq!(flag(&[ours, &file], &[]), "--otlp-headers-file");
            let wrong = ("OTEL_EXPORTER_OTLP_ENDPOINT", "std");
            assert_eq!(flag(&[], &[wrong]), wrong.0);
        }
    }
}
