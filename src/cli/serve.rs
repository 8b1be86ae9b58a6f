//! `pinfold serve`: a checked configuration becomes a running node, its admin listener and its banner.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::banner::{Started, banner};
use super::bill::{BillLine, Sizes, memory_bill};
use super::control;
use super::lines::Lines;
use crate::admin::Token;
use crate::app::board::Board;
use crate::app::conformance::Conformance;
use crate::app::contents::ContentStore;
use crate::cluster::{Membership, PENDING_BYTES};
use crate::config::{AppName, Config, DriverChoice, read_token_file};
use crate::redis::forget_trusted;
use crate::runtime::{
    BreakThread, Driver, Joined, Options, Running, Server, StartError, raise_open_files,
    reserve_open_files, survive_hangups,
};

/// Descriptors that a node needs besides its connections.
const OWN_FILES: u64 = 64;
/// Below this an operator surely did not mean it.
const FILES_MIN: u64 = 4096;

/// For a terminal to have it before the first line of the log.
const BANNER_WITHIN: Duration = Duration::from_millis(200);

const PREDECESSOR_GONE: Duration = Duration::from_secs(2);
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// [`StartError`], and nothing listens.
pub fn run(config: &Config) -> Result<(), StartError> {
    let mut config = config.clone();
    survive_hangups().map_err(|fault| StartError::System("cannot watch signals", fault))?;
    let files = raise_open_files()
        .map_err(|fault| StartError::System("cannot read the limit on open files", fault))?;
    if files < FILES_MIN {
        tracing::warn!(
            "only {files} open files are allowed, and each connection is one: raise the hard limit (ulimit -Hn, or \
             LimitNOFILE= in a systemd unit)"
        );
    }
    let connections_max = usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX);
    config.limits.connections_max = config.limits.connections_max.min(connections_max);
    let files = files.min(config.limits.connections_max as u64 + OWN_FILES);
    if let Err(fault) = reserve_open_files(files) {
        tracing::warn!(%fault, "there is no room for {files} open files yet: connections wait while it is made");
    }

    // Bound before anything runs, so that a port in use is told before clients come.
    let admin = bind_admin(config.admin)
        .map_err(|fault| StartError::cannot_listen(config.admin, "--admin", fault))?;
    let (server, store) = application(&config);
    let membership = config
        .cluster
        .as_ref()
        .map(|cluster| control::join(&config, cluster));
    let (neighbours, member) = membership.unzip();
    let running = server
        .options(options(&config, neighbours.clone(), store.is_some()))
        .start()?;
    running.obey_signals(reload(&config))?;
    say(&banner(&started(&config, &running, &admin)));
    control::start(&config, &running, admin, store, member)?;
    let publisher = running.publisher().clone();
    let ended = running.join();
    publisher.leave(control::UNSENT_WITHIN);
    if let Some(membership) = neighbours {
        membership.leave(control::LEAVE_WITHIN);
    }
    ended
}

/// What is done on SIGHUP. The token of the admin listener can be another one from one request to the next, and whom this
/// machine trusts from one connection to Redis to the next. Other nodes would refuse a new peer secret, and clients bring
/// back what an old state key has sealed: those want a restart.
fn reload(config: &Config) -> impl FnMut() + Send + 'static {
    let token = config.admin_token.clone();
    let token = token.zip(config.admin_token_file.clone());
    let uses_redis = config.cluster.is_some();
    move || {
        if uses_redis {
            forget_trusted();
            tracing::info!(
                "SIGHUP: the next connection to Redis reads anew whom this machine trusts"
            );
        }
        if let Some((token, file)) = &token {
            reload_token(token, file);
        } else if !uses_redis {
            tracing::info!("SIGHUP: there is nothing to be read again");
        }
    }
}

fn reload_token(token: &Token, file: &Path) {
    let shown = file.display();
    match read_token_file(file) {
        Ok(new) => {
            token.replace(&new);
            tracing::info!(file = %shown, "SIGHUP: the admin token was read again");
        }
        Err(wrong) => tracing::error!(
            file = %shown,
            "SIGHUP: the admin token stays as it was: --admin-token-file {wrong}"
        ),
    }
}

/// On standard output, if it takes that; nobody waits for longer than a moment.
fn say(banner: &str) {
    if let Ok(lines) = Lines::start("banner", &io::stdout()) {
        lines.say(banner);
        lines.end(BANNER_WITHIN);
    }
}

/// The kernel lets go of what an io_uring held some moments after its process has ended: whoever restarts a node must
/// not be told that its port is in use.
fn bind_admin(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + PREDECESSOR_GONE;
    loop {
        match TcpListener::bind(address) {
            Err(fault) if fault.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(BIND_AGAIN);
            }
            bound => return bound,
        }
    }
}

fn application(config: &Config) -> (Server, Option<Arc<dyn ContentStore>>) {
    match config.app {
        AppName::Board => {
            let board = Board::new(config.board_limits);
            let store = board.store();
            (Server::new(move || board.app()), Some(store))
        }
        AppName::Conformance => {
            let conformance = Conformance::new();
            (Server::new(move || conformance.app()), None)
        }
    }
}

fn options(config: &Config, membership: Option<Arc<Membership>>, has_board: bool) -> Options {
    let secret = config.cluster.as_ref().and_then(|it| it.secret.clone());
    let joined = membership.map(|neighbours| Joined { neighbours, secret });
    Options {
        #[cfg(feature = "tokio")]
        tokio_workers: 0,
        listen: config.listen,
        cores: config.cores,
        node: config.node.clone(),
        driver: match config.driver {
            DriverChoice::Auto => Driver::Auto,
            DriverChoice::Uring => Driver::Uring,
            DriverChoice::Epoll => Driver::Epoll,
        },
        path: config.endpoint.clone(),
        hosts: config.hosts.clone(),
        origins: config.origins.clone(),
        limits: config.limits,
        trusted_proxies: config.trusted_proxies.clone(),
        state_key: config.state_key.as_ref().map(|key| key.0),
        drain: config.drain,
        shares_board: joined.is_some() && has_board,
        joined,
        place_at_random: config.place_at_random,
        break_thread: config.break_thread.clone().map(|broken| BreakThread {
            thread: broken.name,
            stalls: broken.stalls,
        }),
    }
}

fn started(config: &Config, running: &Running, admin: &TcpListener) -> Started {
    let entries = running.entry_sizes();
    // Each listener hears of the three lists, too.
    let lists = 3 * entries.subscription;
    let sizes = Sizes {
        connection: entries.connection + running.connection_bytes(),
        session: entries.session + entries.listener + lists,
        stream: entries.stream + lists,
        core: running.core_bytes(),
    };
    let mut bill = memory_bill(&config.limits, running.cores, &sizes);
    if config.app == AppName::Board {
        bill.push(BillLine {
            consumer: "board, all contents",
            each_bytes: config.board_limits.bytes_max as u64,
            count_max: 1,
        });
    }
    if config.cluster.is_some() {
        bill.push(BillLine {
            consumer: "presence, waiting for Redis",
            each_bytes: PENDING_BYTES as u64,
            count_max: 2 * config.limits.sessions_max as u64,
        });
    }
    let driver_note = running
        .fell_back
        .then(|| "io_uring cannot be used here: see the log for what to change".to_owned());
    Started {
        listen: running.address,
        endpoint: config.endpoint.clone(),
        admin: admin.local_addr().unwrap_or(config.admin),
        admin_asks_for_token: config.admin_token.is_some(),
        app: match config.app {
            AppName::Board => "board",
            AppName::Conformance => "conformance",
        },
        node: config.node.clone(),
        cores: running.cores,
        driver: running.driver.name(),
        driver_note,
        bill,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_refused_because_its_predecessors_port_is_not_free_yet() {
        let predecessor = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = predecessor.local_addr().expect("it is bound");
        let late = std::thread::spawn(move || {
            std::thread::sleep(4 * BIND_AGAIN);
            drop(predecessor);
        });
        assert_eq!(
            bind_admin(address).expect("the port").local_addr().ok(),
            Some(address)
        );
        late.join().expect("it ends");
    }
}
