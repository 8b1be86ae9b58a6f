//! What an operator may set, parsed once into a checked [`Config`]: code that holds one need not doubt it.
//!
//! `options` has the flags and their help, `units` and `names` parse single values. Here are the checks that
//! need a second option, a file or the machine. A mistake names the flag, the value and what is allowed, and
//! is found before anything listens. Secrets never show in `Debug`.
//!
//! ```text
//! options, cluster ─▶ keys: what may be said ─▶ schema
//!   file: what is said, and where ─▶ layers: who has the last word ─▶ settings: what is in force
//!                                                                  └▶ Config::check
//! ```

mod authentication;
mod cluster;
mod file;
mod keys;
mod layers;
mod log_filter;
mod memory;
mod mistake;
mod options;
mod policy;
mod schema;
mod settings;
mod tables;
mod traces;
mod units;
mod variables;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use crate::node::{endpoint, host, origin};
pub use keys::{MinMax, OptionKey, ValueKind, keys};
pub use layers::{Layered, Layers};
pub use log_filter::{LogFilter, LogFormat};
pub use mistake::{Mistake, Mistakes, Place};
pub(crate) use options::span;
pub use options::{AppName, DriverChoice, ServeOptions};
pub use schema::schema;
pub use settings::{EffectiveSettings, Origin, Setting};
pub use tables::{TableEntry, Tables};
pub use units::{Milliseconds, Size};
pub use variables::mistyped;

use crate::admin::{AdminRole, AdminTokens, Token};
use crate::app::board::BoardLimits;
use crate::credentials::Authenticator;
use crate::limits::Limits;
use crate::node::{
    AdminOptions, AuthOptions, CORES_MAX, Options, Pinning, STATE_KEY_BYTES, StateKey,
    node_from_host,
};
#[cfg(feature = "otlp")]
use crate::otlp::OtelVariables;
use options::{BoundOptions, ListeningOptions, TimeOptions};

/// Bytes read of a file that should hold a token or a key; neither is longer.
const SECRET_FILE_BYTES_MAX: usize = 4096;

/// What clients may hold of the machine's memory, by default: one part in so many. The kernel holds as much again for
/// their sockets, and other programs live here too.
const MEMORY_SHARE: usize = 4;

/// Everything that `pinfold serve` was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the node runs.
    pub node: Options,
    /// Where its admin token came from, and another one may be later.
    pub admin_token_file: Option<PathBuf>,
    pub app: AppName,
    /// How much, and how its lines look.
    pub log: (LogFilter, LogFormat),
    pub board_limits: BoardLimits,
    /// For calls to end before a new process takes over.
    pub handover_grace: Duration,
}

/// What the checks need to know of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub cores: usize,
    pub hostname: String,
    /// Of the machine, or of the container if that is less.
    pub memory_bytes: usize,
    /// OpenTelemetry's own variables.
    #[cfg(feature = "otlp")]
    pub otel: OtelVariables,
}

impl Machine {
    /// The machine as this process may use it (affinity and cgroup included).
    #[must_use]
    pub fn here() -> Self {
        Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            hostname: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
            memory_bytes: memory::bytes_here(),
            #[cfg(feature = "otlp")]
            otel: OtelVariables::of(std::env::vars_os().filter_map(|(name, value)| {
                // What is no text is nobody's mistake here.
                Some((name.into_string().ok()?, value.into_string().ok()?))
            })),
        }
    }
}

/// An option that cannot be used, in the form of the command line parser's own errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub flag: &'static str,
    pub value: String,
    /// A sentence that begins with "must" or says what is missing.
    pub allowed: String,
}

impl ConfigError {
    fn new(flag: &'static str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        ConfigError {
            flag,
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    /// The same about a value that was said by a variable or in a file.
    fn named(&self, name: &str) -> String {
        match self.value.as_str() {
            "" => format!("'{name}' {}", self.allowed),
            value => format!("invalid value '{value}' for '{name}': {}", self.allowed),
        }
    }

    /// An option that another one asks for.
    fn missing(flag: &'static str, allowed: impl Into<String>) -> Self {
        Self::new(flag, "", allowed)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named(self.flag))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks what the options say together, reads the files they name, fills in the machine's defaults.
    ///
    /// # Errors
    /// All options that cannot be used, at least one.
    pub fn check(options: ServeOptions, machine: &Machine) -> Result<Self, Vec<ConfigError>> {
        let ServeOptions {
            file: _,
            listening,
            running,
            authentication,
            cluster: several,
            traces,
            bounds,
            times,
            policy,
            tables,
        } = options;
        let mut wrong = Vec::new();
        let admin_tokens = admin_tokens(&listening, &mut wrong);
        let cluster = cluster::check(&several, listening.listen, running.node.is_some());
        let cluster = cluster.unwrap_or_else(|refused| {
            wrong.extend(refused);
            None
        });
        let policy = policy::check(&policy, &tables, &authentication);
        let policy = kept(policy, &mut wrong).unwrap_or_default();
        let auth = AuthOptions {
            policy,
            ..who_gets_in(&authentication, &listening, &mut wrong)
        };
        let spans = kept(traces::check(&traces, machine), &mut wrong).flatten();
        let state_key = running.state_key_file.as_deref().map(read_state_key);
        let state_key = kept(state_key.transpose(), &mut wrong).flatten();
        let cores = kept(cores(running.cores, machine), &mut wrong).unwrap_or_default();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let name = running.node.or_else(|| node_from_host(&machine.hostname));
        let board_limits = board_limits(&bounds);
        let admin = admin_options(listening.admin, admin_tokens, &board_limits);
        let node = Options {
            listen: vec![listening.listen],
            path: listening.endpoint,
            public_url: listening.public_url,
            server_card: !listening.no_server_card,
            legacy_sse: listening.legacy_sse,
            origins: listening.origins,
            hosts: listening.hosts,
            // On any other address it was said, or there is a mistake.
            anybody: matches!(auth.authenticator, Authenticator::None),
            trusted_proxies: listening.trusted_proxies.into_iter().collect(),
            admin,
            auth,
            cluster,
            drain: Some(cluster::drain_times(&several)),
            state_key,
            name,
            cores,
            pinning: Pinning::Always,
            driver: running.driver.driver(),
            limits: Limits {
                auth_grace_ms: authentication.auth_grace.0,
                ..limits(&bounds, &times, machine)
            },
            place_at_random: running.place_at_random,
            break_thread: running.break_thread,
            ..Options::default()
        };
        Ok(Config {
            node: traces::with(node, spans),
            admin_token_file: listening.admin_token_file,
            app: running.app,
            log: (running.log, running.log_format),
            board_limits,
            handover_grace: Duration::from_millis(several.handover_grace.0),
        })
    }
}

fn who_gets_in(
    authentication: &authentication::AuthenticationOptions,
    listening: &ListeningOptions,
    wrong: &mut Vec<ConfigError>,
) -> AuthOptions {
    let (listen, public) = (listening.listen, listening.public_url.as_ref());
    let auth = authentication::check(authentication, listen, public);
    auth.unwrap_or_else(|refused| {
        wrong.extend(refused);
        AuthOptions::default()
    })
}

/// A value, or one more mistake.
fn kept<T>(value: Result<T, ConfigError>, wrong: &mut Vec<ConfigError>) -> Option<T> {
    value.map_err(|refused| wrong.push(refused)).ok()
}

/// The admin listener's address, and what it asks for.
fn admin_tokens(listening: &ListeningOptions, wrong: &mut Vec<ConfigError>) -> AdminTokens {
    let admin = listening.admin;
    if admin == listening.listen && admin.port() != 0 {
        let allowed = "must not be the address of --listen";
        wrong.push(ConfigError::new("--admin", admin, allowed));
    }
    if listening.admin_token_file.is_none() && !admin.ip().is_loopback() {
        let allowed = "must be a loopback address, such as 127.0.0.1:9464, unless --admin-token-file gives a token to ask for";
        wrong.push(ConfigError::new("--admin", admin, allowed));
    }
    let found = wrong.len();
    let mut token = |role: AdminRole| {
        let file = listening.token_file(role)?;
        kept(read_token(role.option(), file), wrong)
    };
    let tokens = AdminTokens {
        operate: token(AdminRole::Operate),
        publish: token(AdminRole::Publish),
        read: token(AdminRole::Read),
    };
    // What one that cannot be read would have been beside the others is not known.
    if let (true, Err((role, allowed))) = (wrong.len() == found, tokens.check()) {
        let file = listening
            .token_file(role)
            .map(|it| it.display().to_string());
        wrong.push(ConfigError::new(
            role.option(),
            file.unwrap_or_default(),
            allowed,
        ));
    }
    tokens
}

fn admin_options(
    address: SocketAddr,
    tokens: AdminTokens,
    board_limits: &BoardLimits,
) -> AdminOptions {
    AdminOptions {
        address: Some(address),
        token: tokens.operate,
        publish_token: tokens.publish,
        read_token: tokens.read,
        content_bytes_max: board_limits.entry_bytes_max,
    }
}

/// Reads the bearer token of `--admin-token-file` or `--token-file`: the file's text without white space around it.
///
/// # Errors
/// The file cannot be read, or its text cannot be a token.
pub fn read_token_file(path: &Path) -> Result<Token, String> {
    let bytes = read_secret(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| "must be a file with a token of visible ASCII characters".to_owned())?;
    Token::parse(text.trim()).map_err(|wrong| format!("the token in this file {wrong}"))
}

fn read_token(flag: &'static str, path: &Path) -> Result<Token, ConfigError> {
    read_token_file(path).map_err(|allowed| ConfigError::new(flag, path.display(), allowed))
}

fn read_state_key(path: &Path) -> Result<StateKey, ConfigError> {
    let refuse = |allowed: String| ConfigError::new("--state-key-file", path.display(), allowed);
    let bytes = read_secret(path).map_err(refuse)?;
    parse_state_key(&bytes).ok_or_else(|| {
        refuse(format!(
            "must be a file of {STATE_KEY_BYTES} bytes or {} hex digits (openssl rand -hex {STATE_KEY_BYTES})",
            2 * STATE_KEY_BYTES
        ))
    })
}

fn parse_state_key(bytes: &[u8]) -> Option<StateKey> {
    if let Ok(key) = bytes.try_into() {
        return Some(StateKey(key));
    }
    let digits = bytes.trim_ascii();
    if digits.len() != 2 * STATE_KEY_BYTES {
        return None;
    }
    let mut key = [0; STATE_KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(StateKey(key))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            file.take(SECRET_FILE_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|error| format!("must be a file that can be read: {error}"))?;
    if bytes.len() > SECRET_FILE_BYTES_MAX {
        return Err(format!(
            "must be a file of at most {SECRET_FILE_BYTES_MAX} bytes"
        ));
    }
    Ok(bytes)
}

fn cores(asked: Option<u32>, machine: &Machine) -> Result<usize, ConfigError> {
    let most = machine.cores.min(CORES_MAX as usize);
    match asked.map(|cores| cores as usize) {
        None => Ok(most),
        Some(cores) if cores <= most => Ok(cores),
        Some(cores) => Err(ConfigError::new(
            "--cores",
            cores,
            format!("must be a number from 1 to {most}: this process may use no more cores"),
        )),
    }
}

fn limits(bounds: &BoundOptions, times: &TimeOptions, machine: &Machine) -> Limits {
    let wide = |count: u32| count as usize;
    Limits {
        memory_bytes_max: bounds
            .memory_max
            .map_or(machine.memory_bytes / MEMORY_SHARE, |size| size.0),
        connections_max: bounds.connections_max as usize,
        sessions_max: bounds.sessions_max as usize,
        initialize_per_second_max: bounds.initialize_per_second_max,
        connections_per_client_max: bounds.connections_per_client_max.map(wide),
        sessions_per_client_max: bounds.sessions_per_client_max.map(wide),
        initialize_per_second_per_client_max: bounds.initialize_per_second_per_client_max,
        calls_per_client_max: bounds.calls_per_client_max as usize,
        calls_per_second_per_client_max: bounds.calls_per_second_per_client_max,
        bad_tokens_per_second_per_client_max: bounds.bad_tokens_per_second_per_client_max,
        streams_per_session_max: bounds.streams_per_session_max as usize,
        subscriptions_max: bounds.subscriptions_max as usize,
        subscription_bytes_max: bounds.subscription_bytes_max.0,
        subscription_bytes_per_client_max: bounds
            .subscription_bytes_per_client_max
            .map(|size| size.0),
        body_bytes_max: bounds.body_bytes_max.0,
        json_tree_bytes_max: bounds.json_tree_bytes_max.0,
        stream_queue_bytes_max: bounds.stream_queue_bytes_max.0,
        keep_alive_ms: times.keep_alive.0,
        session_idle_ms: times.session_idle.0,
        connection_idle_ms: times.connection_idle.0,
        head_timeout_ms: times.head_timeout.0,
        body_timeout_ms: times.body_timeout.0,
        write_stall_ms: times.write_stall.0,
        resume_window_ms: times.resume_window.0,
        ask_timeout_ms: times.ask_timeout.0,
        retry_ms: times.retry.0,
        ..Limits::default()
    }
}

fn board_limits(bounds: &BoundOptions) -> BoardLimits {
    BoardLimits {
        bytes_max: bounds.board_bytes_max.0,
        // An entry that fills a small board alone is refused for its own size: taking others away would not help.
        entry_bytes_max: bounds.board_entry_bytes_max.0.min(bounds.board_bytes_max.0),
        ..BoardLimits::default()
    }
}

#[cfg(test)]
mod tests;
