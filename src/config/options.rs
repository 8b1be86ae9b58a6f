//! The options of `pinfold serve` as they are typed, with their `PINFOLD_*` variables and their help.
//!
//! Each option is parsed by itself here; what depends on another option, on a file or on the machine is
//! checked in `config`. Defaults of limits come from [`Limits::default`] and nowhere else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::authentication::AuthenticationOptions;
use super::cluster::ClusterOptions;
use super::log_filter::{LogFilter, LogFormat};
use super::policy::PolicyOptions;
use super::tables::Tables;
use super::traces::TraceOptions;
use super::units::{Milliseconds, Size, between, count_between};
use crate::admin::AdminRole;
use crate::app::board::BoardLimits;
use crate::clients::{Networks, NotANetwork, PRIVATE};
use crate::limits::Limits;
use crate::node::{CORES_MAX, endpoint, host, node_name, origin};
use crate::runtime::{BreakThread, Driver};
use crate::wire::public_url::{NotAPublicUrl, PublicUrl};
use crate::wire::session_id::NodeName;

/// The application that answers the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AppName {
    /// Resources whose contents arrive by publish (board://…)
    Board,
    /// What the official conformance suite expects of a server under test
    #[cfg(feature = "conformance")]
    #[value(hide = true)] // help, schema and completions are the same with it and without
    Conformance,
}

impl AppName {
    /// As it is typed.
    pub(crate) fn name(self) -> String {
        let typed = self.to_possible_value();
        typed.expect("none is skipped").get_name().to_owned()
    }
}

/// How the cores wait for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverChoice {
    /// io_uring; epoll, with a warning, where io_uring is forbidden
    Auto,
    /// io_uring, or no start
    Uring,
    /// epoll
    Epoll,
}

impl DriverChoice {
    pub(super) fn driver(self) -> Driver {
        match self {
            DriverChoice::Auto => Driver::Auto,
            DriverChoice::Uring => Driver::Uring,
            DriverChoice::Epoll => Driver::Epoll,
        }
    }
}

/// A new group of them wants a line in `keys::TABLES`.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    #[command(flatten)]
    pub file: FileOption,
    #[command(flatten)]
    pub listening: ListeningOptions,
    #[command(flatten)]
    pub running: RunningOptions,
    #[command(flatten)]
    pub authentication: AuthenticationOptions,
    #[command(flatten)]
    pub policy: PolicyOptions,
    #[command(flatten)]
    pub cluster: ClusterOptions,
    #[command(flatten)]
    pub traces: TraceOptions,
    #[command(flatten)]
    pub bounds: BoundOptions,
    #[command(flatten)]
    pub times: TimeOptions,
    /// What only a file can say.
    #[arg(skip)]
    pub tables: Tables,
}

#[derive(Args, Clone, Debug)]
pub struct FileOption {
    /// Configuration file (TOML). Its keys are these options. A variable overrides the file, an option overrides both.
    /// `pinfold config init` prints a file with every key
    #[arg(long, env = "PINFOLD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// As process 1, of a container say: serves in that very process. Without it process 1 only starts the one that serves and
    /// passes signals on, so that `pinfold upgrade` does not end the container
    #[arg(long, env = "PINFOLD_NO_PARENT")]
    pub no_parent: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where it listens, and to whom")]
pub struct ListeningOptions {
    /// Address for clients
    #[arg(long, env = "PINFOLD_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// Path of the MCP endpoint
    #[arg(long, env = "PINFOLD_ENDPOINT", value_name = "PATH", default_value = "/mcp", value_parser = endpoint)]
    pub endpoint: String,

    /// Public URL of the MCP endpoint, such as https://mcp.example.com/mcp: named in the server card, and in what clients
    /// are told about authentication
    #[arg(long, env = "PINFOLD_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<PublicUrl>,

    /// Shows no server card, neither beside the endpoint (/mcp/server-card) nor in a catalog (/.well-known/ai-catalog.json).
    /// With it, who is not let in learns neither name nor version
    #[arg(long, env = "PINFOLD_NO_SERVER_CARD")]
    pub no_server_card: bool,

    /// Serves HTTP+SSE, the transport of 2024-11-05, too: GET opens a session at /mcp/sse (below --endpoint) and at /sse. For
    /// clients that know no other; it will be there for twelve months from the first release that has it
    #[arg(long, env = "PINFOLD_LEGACY_SSE")]
    pub legacy_sse: bool,

    /// Origin of a web page that may use the server, such as https://example.com; repeat, or separate with commas.
    /// Programs send no Origin and need none
    #[arg(long = "allow-origin", env = "PINFOLD_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub origins: Vec<String>,

    /// Host that requests may name, such as mcp.example.com; repeat, or separate with commas.
    /// On a loopback address its own names are always allowed, and no other unless it is given here.
    /// Web pages of a host that is given here may use the server
    #[arg(long = "allow-host", env = "PINFOLD_ALLOW_HOST", value_name = "HOST", value_delimiter = ',', value_parser = host)]
    pub hosts: Vec<String>,

    /// Proxy whose X-Forwarded-For (or else Forwarded) names the client that a request counts for in the limits of one
    /// client: an address, or a network such as 10.0.0.0/8; repeat, or separate with commas; none for no proxy. It is
    /// believed for limits only, and never says who a client is or what it may do
    #[arg(long = "trusted-proxy", env = "PINFOLD_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',', default_value = PRIVATE, value_parser = networks)]
    pub trusted_proxies: Vec<Networks>,

    /// Address for publish, health and readiness; anything but loopback needs --admin-token-file
    #[arg(long, env = "PINFOLD_ADMIN", value_name = "IP:PORT", default_value = "127.0.0.1:9464", value_parser = address)]
    pub admin: SocketAddr,

    /// File with the bearer token of operators, who may do everything at the address of --admin; SIGHUP reads it again
    #[arg(long, env = "PINFOLD_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// File with the bearer token of whoever may publish there, and see what there is; needs --admin-token-file
    #[arg(long, env = "PINFOLD_ADMIN_PUBLISH_TOKEN_FILE", value_name = "FILE")]
    pub admin_publish_token_file: Option<PathBuf>,

    /// File with the bearer token of whoever may only see what there is, such as Prometheus; needs --admin-token-file
    #[arg(long, env = "PINFOLD_ADMIN_READ_TOKEN_FILE", value_name = "FILE")]
    pub admin_read_token_file: Option<PathBuf>,
}

impl ListeningOptions {
    pub(super) fn token_file(&self, role: AdminRole) -> Option<&Path> {
        let file = match role {
            AdminRole::Operate => &self.admin_token_file,
            AdminRole::Publish => &self.admin_publish_token_file,
            AdminRole::Read => &self.admin_read_token_file,
        };
        file.as_deref()
    }
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How it runs")]
pub struct RunningOptions {
    /// Application that answers
    #[arg(
        long,
        env = "PINFOLD_APP",
        value_name = "NAME",
        default_value = "board"
    )]
    pub app: AppName,

    /// Core threads, each pinned to its core [default: all]
    #[arg(long, env = "PINFOLD_CORES", value_name = "N", value_parser = |text: &str| count_between(text, 1, CORES_MAX))]
    pub cores: Option<u32>,

    /// How to wait for the kernel
    #[arg(
        long,
        env = "PINFOLD_DRIVER",
        value_name = "NAME",
        default_value = "auto"
    )]
    pub driver: DriverChoice,

    /// Name of this node: it leads every session id, so that a proxy can route on it [default: the host's name if it can be one, else "node"]
    #[arg(long, env = "PINFOLD_NODE", value_name = "NAME", value_parser = node_name)]
    pub node: Option<NodeName>,

    /// File with the key that seals what clients carry for the server (requestState): 32 bytes, or 64 hex digits.
    /// All nodes need the same [default: made from --peer-secret-file, else random at every start]
    #[arg(long, env = "PINFOLD_STATE_KEY_FILE", value_name = "FILE")]
    pub state_key_file: Option<PathBuf>,

    /// How much is logged: off, error, warn, info, debug or trace, and other levels for parts of the program, such as
    /// info,pinfold::cluster=debug. SIGHUP reads it again from the configuration file; PUT /log of the admin listener
    /// changes it until then
    #[arg(long, env = "PINFOLD_LOG", value_name = "LEVELS", default_value = "info", value_parser = log_filter)]
    pub log: LogFilter,

    /// How a line of the log looks
    #[arg(
        long,
        env = "PINFOLD_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Lets every connection land on a random core, so that tests see connections move
    #[arg(long, env = "PINFOLD_PLACE_AT_RANDOM", hide = true)]
    pub place_at_random: bool,

    /// Lets a thread (core-0, control, signals) panic or hang when SIGUSR2 comes, so that tests see what becomes of the
    /// node. It has no variable, so that no environment brings it along
    #[arg(long, value_name = "NAME=panic|stall", value_parser = broken_thread, hide = true)]
    pub break_thread: Option<BreakThread>,
}

const MANY: u32 = 100_000_000;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits of this node")]
pub struct BoundOptions {
    /// Open connections; further ones are answered 503 and closed
    #[arg(long, env = "PINFOLD_CONNECTIONS_MAX", value_name = "N", default_value_t = narrow(Limits::default().connections_max), value_parser = |text: &str| count_between(text, 1, MANY))]
    pub connections_max: u32,

    /// Live sessions. Past it an idle session of the client that holds most ends for each new one
    #[arg(long, env = "PINFOLD_SESSIONS_MAX", value_name = "N", default_value_t = narrow(Limits::default().sessions_max), value_parser = |text: &str| count_between(text, 1, MANY))]
    pub sessions_max: u32,

    /// New sessions a second; further ones are answered 503
    #[arg(long, env = "PINFOLD_INITIALIZE_PER_SECOND_MAX", value_name = "N", default_value_t = Limits::default().initialize_per_second_max, value_parser = |text: &str| count_between(text, 1, MANY))]
    pub initialize_per_second_max: u32,

    /// Open connections of one client, and so its open streams. A client is a principal where requests have one, or else an
    /// IPv4 address or an IPv6 /64, as the connection has it or a --trusted-proxy names it. A connection counts for its
    /// address, and for the client whose stream is open on it; a proxy's for that client alone. Further ones are answered
    /// 429 and closed
    /// [default: three quarters of --connections-max]
    #[arg(long, env = "PINFOLD_CONNECTIONS_PER_CLIENT_MAX", value_name = "N", value_parser = |text: &str| count_between(text, 1, MANY))]
    pub connections_per_client_max: Option<u32>,

    /// Live sessions of one client. Past it an idle session of its own ends for each new one
    /// [default: a quarter of --sessions-max]
    #[arg(long, env = "PINFOLD_SESSIONS_PER_CLIENT_MAX", value_name = "N", value_parser = |text: &str| count_between(text, 1, MANY))]
    pub sessions_per_client_max: Option<u32>,

    /// New sessions a second of one client; further ones are answered 429 [default: a quarter of --initialize-per-second-max]
    #[arg(long, env = "PINFOLD_INITIALIZE_PER_SECOND_PER_CLIENT_MAX", value_name = "N", value_parser = |text: &str| count_between(text, 1, MANY))]
    pub initialize_per_second_per_client_max: Option<u32>,

    /// Calls of one client that a core works on at the same time; further ones are answered 429. Each core counts by itself
    #[arg(long, env = "PINFOLD_CALLS_PER_CLIENT_MAX", value_name = "N", default_value_t = narrow(Limits::default().calls_per_client_max), value_parser = |text: &str| count_between(text, 1, MANY))]
    pub calls_per_client_max: u32,

    /// Messages a second of one client that a core takes, and as many at once; further ones are answered 429. Each core
    /// counts by itself. 0 for as many as come
    #[arg(long, env = "PINFOLD_CALLS_PER_SECOND_PER_CLIENT_MAX", value_name = "N", default_value_t = Limits::default().calls_per_second_per_client_max, value_parser = |text: &str| count_between(text, 0, MANY))]
    pub calls_per_second_per_client_max: u32,

    /// Tokens a second of one client that turn out to be bad and that a core looks at, and as many at once; further ones are
    /// answered 429. Tokens that were found good before are taken all the same. 0 for as many as come
    #[arg(long, env = "PINFOLD_BAD_TOKENS_PER_SECOND_PER_CLIENT_MAX", value_name = "N", default_value_t = Limits::default().bad_tokens_per_second_per_client_max, value_parser = |text: &str| count_between(text, 0, MANY))]
    pub bad_tokens_per_second_per_client_max: u32,

    /// Concurrent calls of a session (further ones are answered 429), and answers kept for a resume (the oldest goes)
    #[arg(long, env = "PINFOLD_STREAMS_PER_SESSION_MAX", value_name = "N", default_value_t = narrow(Limits::default().streams_per_session_max), value_parser = |text: &str| count_between(text, 1, 65_536))]
    pub streams_per_session_max: u32,

    /// Resource subscriptions of a session or a listen stream; further ones are refused
    #[arg(long, env = "PINFOLD_SUBSCRIPTIONS_MAX", value_name = "N", default_value_t = narrow(Limits::default().subscriptions_max), value_parser = |text: &str| count_between(text, 1, 1_000_000))]
    pub subscriptions_max: u32,

    /// Memory of all subscriptions together, their URIs included; further ones are refused
    #[arg(long, env = "PINFOLD_SUBSCRIPTION_BYTES_MAX", value_name = "SIZE", default_value_t = Size(Limits::default().subscription_bytes_max), value_parser = |text: &str| between(text, Size(1 << 16), Size(1 << 40)))]
    pub subscription_bytes_max: Size,

    /// Memory of all subscriptions of one client, each counted as if nobody else had it; further ones are answered 429
    /// [default: a quarter of --subscription-bytes-max]
    #[arg(long, env = "PINFOLD_SUBSCRIPTION_BYTES_PER_CLIENT_MAX", value_name = "SIZE", value_parser = |text: &str| between(text, Size(1 << 10), Size(1 << 40)))]
    pub subscription_bytes_per_client_max: Option<Size>,

    /// Memory for what clients make the node hold, all together: bodies that arrive, answers not read yet or kept for a
    /// resume, calls under way. Past it, kept answers go first, then connections that hold most for longest; new requests
    /// are answered 503 [default: a quarter of the machine's memory]
    #[arg(long, env = "PINFOLD_MEMORY_MAX", value_name = "SIZE", value_parser = |text: &str| between(text, Size(1 << 20), Size(1 << 44)))]
    pub memory_max: Option<Size>,

    /// Body of one request; larger ones are answered 413
    #[arg(long, env = "PINFOLD_BODY_BYTES_MAX", value_name = "SIZE", default_value_t = Size(Limits::default().body_bytes_max), value_parser = |text: &str| between(text, Size(1 << 10), Size(1 << 30)))]
    pub body_bytes_max: Size,

    /// Memory that the JSON values in one request's body would take; more is answered 413. Objects take the most
    #[arg(long, env = "PINFOLD_JSON_TREE_BYTES_MAX", value_name = "SIZE", default_value_t = Size(Limits::default().json_tree_bytes_max), value_parser = |text: &str| between(text, Size(1 << 16), Size(1 << 40)))]
    pub json_tree_bytes_max: Size,

    /// Messages kept for one stream until they are written, and for a resume
    #[arg(long, env = "PINFOLD_STREAM_QUEUE_BYTES_MAX", value_name = "SIZE", default_value_t = Size(Limits::default().stream_queue_bytes_max), value_parser = |text: &str| between(text, Size(1 << 10), Size(1 << 30)))]
    pub stream_queue_bytes_max: Size,

    /// All contents of the board together; a write that does not fit is refused
    #[arg(long, env = "PINFOLD_BOARD_BYTES_MAX", value_name = "SIZE", default_value_t = Size(BoardLimits::default().bytes_max), value_parser = |text: &str| between(text, Size(1 << 10), Size(1 << 40)))]
    pub board_bytes_max: Size,

    /// One entry of the board; a larger one is refused
    #[arg(long, env = "PINFOLD_BOARD_ENTRY_BYTES_MAX", value_name = "SIZE", default_value_t = Size(BoardLimits::default().entry_bytes_max), value_parser = |text: &str| between(text, Size(1 << 10), Size(64 << 20)))]
    pub board_entry_bytes_max: Size,
}

const MOMENT: Milliseconds = Milliseconds(10);
const MONTH: Milliseconds = Milliseconds(30 * 86_400_000);

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Times")]
pub struct TimeOptions {
    /// A stream that was silent this long gets a comment line, so that proxies do not close it
    #[arg(long, env = "PINFOLD_KEEP_ALIVE", value_name = "TIME", default_value_t = Milliseconds(Limits::default().keep_alive_ms), value_parser = span)]
    pub keep_alive: Milliseconds,

    /// A session ends after this long without a request and without an open stream
    #[arg(long, env = "PINFOLD_SESSION_IDLE", value_name = "TIME", default_value_t = Milliseconds(Limits::default().session_idle_ms), value_parser = span)]
    pub session_idle: Milliseconds,

    /// A connection closes after this long without a further request; keep it above the proxy's own time (Traefik: 90s)
    #[arg(long, env = "PINFOLD_CONNECTION_IDLE", value_name = "TIME", default_value_t = Milliseconds(Limits::default().connection_idle_ms), value_parser = span)]
    pub connection_idle: Milliseconds,

    /// Time for a request's head, from its first byte; for the first head of a connection, from its opening
    #[arg(long, env = "PINFOLD_HEAD_TIMEOUT", value_name = "TIME", default_value_t = Milliseconds(Limits::default().head_timeout_ms), value_parser = span)]
    pub head_timeout: Milliseconds,

    /// Time for a request's body, from the end of its head
    #[arg(long, env = "PINFOLD_BODY_TIMEOUT", value_name = "TIME", default_value_t = Milliseconds(Limits::default().body_timeout_ms), value_parser = span)]
    pub body_timeout: Milliseconds,

    /// A connection closes after this long in which its reader takes none of the waiting bytes
    #[arg(long, env = "PINFOLD_WRITE_STALL", value_name = "TIME", default_value_t = Milliseconds(Limits::default().write_stall_ms), value_parser = span)]
    pub write_stall: Milliseconds,

    /// How long an interrupted answer can be resumed
    #[arg(long, env = "PINFOLD_RESUME_WINDOW", value_name = "TIME", default_value_t = Milliseconds(Limits::default().resume_window_ms), value_parser = span)]
    pub resume_window: Milliseconds,

    /// A client's time to answer a question (elicitation, sampling, roots)
    #[arg(long, env = "PINFOLD_ASK_TIMEOUT", value_name = "TIME", default_value_t = Milliseconds(Limits::default().ask_timeout_ms), value_parser = span)]
    pub ask_timeout: Milliseconds,

    /// How long clients should wait before they open a stream again (retry:)
    #[arg(long, env = "PINFOLD_RETRY", value_name = "TIME", default_value_t = Milliseconds(Limits::default().retry_ms), value_parser = span)]
    pub retry: Milliseconds,
}

pub(crate) fn span(text: &str) -> Result<Milliseconds, String> {
    between(text, MOMENT, MONTH)
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")
}

fn broken_thread(text: &str) -> Result<BreakThread, &'static str> {
    let wrong = "must be a thread, such as core-0, and =panic or =stall";
    let (name, how) = text.split_once('=').ok_or(wrong)?;
    let stalls = match how {
        "panic" => false,
        "stall" => true,
        _ => return Err(wrong),
    };
    let thread = name.to_owned();
    Ok(BreakThread { thread, stalls })
}

fn log_filter(text: &str) -> Result<LogFilter, String> {
    text.parse()
}

fn public_url(text: &str) -> Result<PublicUrl, NotAPublicUrl> {
    text.parse()
}

fn networks(text: &str) -> Result<Networks, NotANetwork> {
    text.trim().parse()
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("the default limits are below four thousand million")
}
