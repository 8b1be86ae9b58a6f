//! How much is logged: a level for everything, and others for parts of it.
//!
//! ```text
//! info
//! info,pinfold::cluster=debug,pinfold::access=off
//! ```

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// What a filter may be.
const FORM: &str = "is a level (off, error, warn, info, debug, trace), and others for parts of the program: info,pinfold::cluster=debug";

/// Bytes of one, and its parts: what somebody typed, not what a program made.
const BYTES_MAX: usize = 1024;

/// A level for everything, and for what begins with these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    level: LevelFilter,
    parts: Vec<(Box<str>, LevelFilter)>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// An object of JSON in each line
    Json,
}

impl LogFormat {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl LogFilter {
    /// For a schema: what each filter matches, though not each text that matches is one.
    pub const PATTERN: &str = "^([A-Za-z0-9_:-]+=)?(off|error|warn|info|debug|trace)(,([A-Za-z0-9_:-]+=)?(off|error|warn|info|debug|trace))*$";

    #[must_use]
    pub fn targets(&self) -> Targets {
        let parts = self.parts.iter();
        let parts = parts.map(|(name, level)| (name.to_string(), *level));
        Targets::new().with_default(self.level).with_targets(parts)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        let mut parts = self.parts.iter();
        parts.try_for_each(|(name, level)| write!(f, ",{name}={level}"))
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFilter, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("{FORM}; at most {BYTES_MAX} bytes"));
        }
        let (mut level, mut parts) = (None, Vec::<(Box<str>, LevelFilter)>::new());
        for part in text.split(',').map(str::trim) {
            let Some((name, of_name)) = part.split_once('=') else {
                if level.replace(level_of(part)?).is_some() {
                    return Err(format!(
                        "has one level for everything; this has two. It {FORM}"
                    ));
                }
                continue;
            };
            if !is_name(name) {
                return Err(format!("{FORM}; \"{name}\" names no part"));
            }
            if parts.iter().any(|(other, _)| **other == *name) {
                return Err(format!(
                    "names each part once, and {name} twice in this one"
                ));
            }
            parts.push((name.into(), level_of(of_name)?));
        }
        Ok(LogFilter {
            level: level.unwrap_or(LevelFilter::INFO),
            parts,
        })
    }
}

fn level_of(text: &str) -> Result<LevelFilter, String> {
    let names = ["off", "error", "warn", "info", "debug", "trace"];
    let known = names.contains(&text).then(|| text.parse().ok());
    known
        .flatten()
        .ok_or_else(|| format!("{FORM}; \"{text}\" is no level"))
}

/// A path of Rust, as the log has them.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
    };
    text.split("::").all(is_part)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<LogFilter>().map(|it| it.to_string())
    }

    #[test]
    fn a_filter_reads_back_as_it_is_shown() {
        for text in ["off", "info", "warn,pinfold::cluster=debug,rustls=off"] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        assert_eq!(
            read("pinfold=debug , error").as_deref(),
            Ok("error,pinfold=debug")
        );
        assert_eq!(
            read("pinfold::shard=trace").as_deref(),
            Ok("info,pinfold::shard=trace")
        );
    }

    #[test]
    fn a_mistake_that_would_log_everything_or_nothing() {
        for wrong in [
            "",
            "inof",
            "INFO",
            "3",
            "info,",
            "info,debug",
            "info,=debug",
            "info,pinfold=",
            "info,pinfold=loud",
            "info,pinfold:cluster=debug",
            "info,a b=debug",
            "info,a=debug,a=warn",
            "info=x,[span]=debug",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("inof").unwrap_err().contains("\"inof\" is no level"));
        assert!(read(&format!("info,{}=debug", "a".repeat(1024))).is_err());
    }

    #[test]
    fn the_longest_name_decides() {
        let filter: LogFilter = "warn,pinfold=info,pinfold::cluster=debug"
            .parse()
            .expect("a filter");
        let targets = filter.targets();
        let is_logged = |target: &str, level: Level| targets.would_enable(target, &level);
        assert!(is_logged("pinfold::cluster::bus", Level::DEBUG));
        assert!(
            !is_logged("pinfold::shard", Level::DEBUG) && is_logged("pinfold::shard", Level::INFO)
        );
        assert!(!is_logged("rustls", Level::INFO) && is_logged("rustls", Level::WARN));
    }
}
