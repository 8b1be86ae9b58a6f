//! What makes a node one of several: Redis, the address at which the others reach it, the secret they share, and how it
//! drains.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::units::{Milliseconds, between};
use super::{ConfigError, kept, read_secret};
use crate::cluster::Advertised;
use crate::node::{
    ClusterConfig, DRAIN_ALONE, DRAIN_BEHIND_PROXY, PEER_SECRET_BYTES_MIN, advertised, prefix,
    resolve,
};
use crate::redis::{BadRedisUrl, RedisUrl};
use crate::shard::DrainTimes;
use crate::wire::forwarded::PeerSecret;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Several nodes")]
pub struct ClusterOptions {
    /// Redis that all nodes share: redis://[user[:password]@]host[:port][/db], rediss:// for TLS, or unix:///path.
    /// Without it this node is alone
    #[arg(long, env = "PINFOLD_REDIS", value_name = "URL", value_parser = redis, hide_env_values = true)]
    pub redis: Option<RedisUrl>,

    /// File with the password of Redis: the URL then has none. It may have a user: redis://user:@host
    #[arg(long, env = "PINFOLD_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,

    /// What every key in Redis starts with; nodes with the same prefix are one cluster
    #[arg(long, env = "PINFOLD_REDIS_PREFIX", value_name = "TEXT", default_value = "mcp:", value_parser = prefix)]
    pub redis_prefix: String,

    /// Where other nodes reach this node's --listen, such as http://10.0.0.1:8080. The proxy's configuration should name
    /// it by the same URL [default: --listen]
    #[arg(long, env = "PINFOLD_ADVERTISE", value_name = "URL", value_parser = advertised)]
    pub advertise: Option<String>,

    /// File with the secret by which nodes know each other, at least 16 bytes (openssl rand -hex 32). All nodes need the
    /// same
    #[arg(long, env = "PINFOLD_PEER_SECRET_FILE", value_name = "FILE")]
    pub peer_secret_file: Option<PathBuf>,

    /// Answer requests for another node's session with 404 misrouted, in place of passing them on
    #[arg(long, env = "PINFOLD_NO_FORWARD")]
    pub no_forward: bool,

    /// What becomes of the sessions of a node that died, or that drains: another node takes them over when their clients come
    /// there (adopt), if the application says that they may be, as the board does; or they end, and their clients are told 404.
    /// Say the same on every node [default: adopt with --redis, unless --no-forward]
    #[arg(long, env = "PINFOLD_ON_OWNER_LOSS", value_name = "WHAT", value_enum)]
    pub on_owner_loss: Option<OnOwnerLoss>,

    /// Time from SIGTERM until streams begin to close, for the proxy to notice that /readyz says 503
    /// [default: 5s with --redis, else 0s]
    #[arg(long, env = "PINFOLD_DRAIN_NOTICE", value_name = "TIME", value_parser = drain_time)]
    pub drain_notice: Option<Milliseconds>,

    /// Time in which all streams close, spread evenly [default: 20s with --redis, else 1s]
    #[arg(long, env = "PINFOLD_DRAIN_WINDOW", value_name = "TIME", value_parser = drain_time)]
    pub drain_window: Option<Milliseconds>,

    /// When a new process takes over (`pinfold upgrade`): for calls under way to end. What is under way then keeps the node
    /// where it is
    #[arg(long, env = "PINFOLD_HANDOVER_GRACE", value_name = "TIME", default_value = "30s", value_parser = drain_time)]
    pub handover_grace: Milliseconds,
}

/// What becomes of sessions whose node is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOwnerLoss {
    /// Another node takes them over
    Adopt,
    /// They end
    #[value(name = "404")]
    End,
}

const HOUR: Milliseconds = Milliseconds(3_600_000);

pub(super) fn drain_times(options: &ClusterOptions) -> DrainTimes {
    let times = match options.redis {
        Some(_) => DRAIN_BEHIND_PROXY,
        None => DRAIN_ALONE,
    };
    DrainTimes {
        notice_ms: options.drain_notice.map_or(times.notice_ms, |span| span.0),
        window_ms: options.drain_window.map_or(times.window_ms, |span| span.0),
    }
}

/// # Errors
/// All that is missing, or makes no sense without Redis.
pub(super) fn check(
    options: &ClusterOptions,
    listen: SocketAddr,
    has_name: bool,
) -> Result<Option<ClusterConfig>, Vec<ConfigError>> {
    let Some(redis) = &options.redis else {
        return alone(options).map(|()| None);
    };
    let mut wrong = Vec::new();
    if !has_name {
        wrong.push(ConfigError::missing(
            "--node",
            "must be given with --redis, and be different on every node, such as n1: session ids lead with it",
        ));
    }
    let secret = kept(peer_secret(options), &mut wrong).flatten();
    if options.no_forward
        && let Some(value) = adopts(options)
    {
        let allowed = "cannot be used with --no-forward: nodes that pass no requests on take no sessions over";
        wrong.push(ConfigError::new("--on-owner-loss", value, allowed));
    }
    let redis = kept(with_password(redis, options), &mut wrong);
    let reached_at = match &options.advertise {
        Some(url) => resolve(url).map_err(|allowed| ConfigError::new("--advertise", url, allowed)),
        None => listened(listen),
    };
    let reached_at = kept(reached_at, &mut wrong);
    match redis {
        Some(redis) if wrong.is_empty() => Ok(Some(ClusterConfig {
            redis,
            prefix: options.redis_prefix.clone(),
            advertised: reached_at,
            secret,
            adopts: options.on_owner_loss != Some(OnOwnerLoss::End) && !options.no_forward,
        })),
        _ => Err(wrong),
    }
}

fn peer_secret(options: &ClusterOptions) -> Result<Option<PeerSecret>, ConfigError> {
    match &options.peer_secret_file {
        Some(path) if options.no_forward => Err(ConfigError::new(
            "--peer-secret-file",
            path.display(),
            "cannot be used with --no-forward: without it nodes pass no requests on",
        )),
        Some(path) => read_peer_secret(path).map(Some),
        None if options.no_forward => Ok(None),
        None => Err(ConfigError::missing(
            "--peer-secret-file",
            "must be given with --redis, so that nodes can pass requests on to each other (openssl rand -hex 32 > FILE, \
             the same on every node), or else --no-forward",
        )),
    }
}

fn with_password(redis: &RedisUrl, options: &ClusterOptions) -> Result<RedisUrl, ConfigError> {
    let Some(path) = &options.redis_password_file else {
        return Ok(redis.clone());
    };
    let refuse =
        |allowed: String| ConfigError::new("--redis-password-file", path.display(), allowed);
    if redis.has_password() {
        return Err(refuse(
            "makes no sense if the URL of --redis has a password".to_owned(),
        ));
    }
    let password = read_secret(path).map_err(refuse)?;
    let password = std::str::from_utf8(&password).map(str::trim);
    match password {
        Ok(password) if !password.is_empty() => Ok(redis.with_password(password)),
        _ => Err(refuse("must be a file with a password, as text".to_owned())),
    }
}

/// The address of `--listen`, if others can reach it as it stands.
fn listened(listen: SocketAddr) -> Result<Advertised, ConfigError> {
    if listen.ip().is_unspecified() || listen.port() == 0 {
        return Err(ConfigError::missing(
            "--advertise",
            format!(
                "must be given when --listen is {listen}: the URL at which other nodes reach this one, such as http://10.0.0.1:8080"
            ),
        ));
    }
    Ok(Advertised {
        url: format!("http://{listen}"),
        address: listen,
    })
}

fn alone(options: &ClusterOptions) -> Result<(), Vec<ConfigError>> {
    let shown = |path: &Option<PathBuf>| path.as_deref().map(|it| it.display().to_string());
    let needing = [
        ("--advertise", options.advertise.clone()),
        ("--peer-secret-file", shown(&options.peer_secret_file)),
        ("--redis-password-file", shown(&options.redis_password_file)),
        ("--on-owner-loss", adopts(options)),
    ];
    let needs_redis = "makes no sense without --redis: this node is alone";
    let wrong = needing
        .into_iter()
        .filter_map(|(flag, value)| Some(ConfigError::new(flag, value?, needs_redis)));
    let wrong: Vec<ConfigError> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn adopts(options: &ClusterOptions) -> Option<String> {
    let is_asked_for = options.on_owner_loss == Some(OnOwnerLoss::Adopt);
    is_asked_for.then(|| "adopt".to_owned())
}

fn read_peer_secret(path: &Path) -> Result<PeerSecret, ConfigError> {
    let refuse = |allowed: String| ConfigError::new("--peer-secret-file", path.display(), allowed);
    let bytes = read_secret(path).map_err(refuse)?;
    let secret = bytes.trim_ascii();
    if secret.len() < PEER_SECRET_BYTES_MIN {
        return Err(refuse(format!(
            "must be a file of at least {PEER_SECRET_BYTES_MIN} bytes (openssl rand -hex 32)"
        )));
    }
    Ok(PeerSecret::new(secret))
}

fn redis(text: &str) -> Result<RedisUrl, String> {
    text.parse().map_err(|bad: BadRedisUrl| bad.to_string())
}

fn drain_time(text: &str) -> Result<Milliseconds, String> {
    between(text, Milliseconds(0), HOUR)
}
