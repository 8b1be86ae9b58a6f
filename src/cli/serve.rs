//! `pinfold serve`: a checked configuration becomes a running node, its admin listener and its banner.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use super::banner::{Started, banner};
use super::bill::{BillLine, Sizes, memory_bill};
use super::desk::NodeDesk;
use crate::admin::{Rules, serve_admin};
use crate::app::board::Board;
use crate::app::conformance::Conformance;
use crate::app::contents::ContentStore;
use crate::config::{AppName, Config, DriverChoice};
use crate::runtime::{Driver, Options, Running, Server, StartError, raise_open_files, run_alone};

/// Descriptors that a node needs besides its connections.
const OWN_FILES: u64 = 64;
/// Below this an operator surely did not mean it.
const FILES_MIN: u64 = 4096;

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// [`StartError`], and nothing listens.
pub fn run(config: &Config) -> Result<(), StartError> {
    let mut config = config.clone();
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

    // Bound before anything runs, so that a port in use is told before clients come.
    let admin = TcpListener::bind(config.admin)
        .map_err(|fault| StartError::cannot_listen(config.admin, "--admin", fault))?;
    let (server, store) = application(&config);
    let running = server.options(options(&config)).start()?;
    running.stop_on_signals()?;
    print!("{}", banner(&started(&config, &running, &admin)));
    start_admin(&config, &running, admin, store)?;
    running.join()
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

fn options(config: &Config) -> Options {
    Options {
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
        state_key: config.state_key.as_ref().map(|key| key.0),
        drain: config.drain,
        joined: None,
        place_at_random: config.place_at_random,
    }
}

fn started(config: &Config, running: &Running, admin: &TcpListener) -> Started {
    let entries = running.entry_sizes();
    let sizes = Sizes {
        connection: entries.connection + running.connection_bytes(),
        session: entries.session + entries.listener,
        stream: entries.stream,
        subscription: entries.subscription,
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

/// The control thread: nothing that a client waits for runs here.
fn start_admin(
    config: &Config,
    running: &Running,
    listener: TcpListener,
    store: Option<Arc<dyn ContentStore>>,
) -> Result<(), StartError> {
    let rules = Rules::new(
        config.admin,
        config.admin_token.clone(),
        config.limits.uri_bytes_max,
    )
    .for_contents(config.board_limits.entry_bytes_max);
    let (publisher, driver) = (running.publisher().clone(), running.driver);
    let serve = move || {
        let desk = Rc::new(NodeDesk {
            publisher,
            store,
            bus: None,
        });
        let served = run_alone(driver, serve_admin(listener, desk, rules));
        if let Err(fault) = served.and_then(|served| served) {
            tracing::error!(%fault, "the admin listener ended: nobody can publish from outside");
        }
    };
    let thread = std::thread::Builder::new()
        .name("admin".into())
        .spawn(serve);
    thread
        .map(drop)
        .map_err(|fault| StartError::System("cannot start threads", fault))
}
