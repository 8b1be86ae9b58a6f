//! `pinfold serve`: a checked configuration becomes a running node and its banner.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::banner::{Started, banner};
use super::lines::LineWriter;
use super::memory_estimate::{BillLine, Sizes, memory_bill};
use crate::admin::Token;
use crate::app::board::Board;
use crate::app::conformance::Conformance;
use crate::cluster::PENDING_BYTES;
use crate::config::{AppName, Config, read_token_file};
use crate::metrics::Registry;
use crate::node::{Node, NodeBuilder, NodeError};
use crate::runtime::{CORE_BYTES, SCRATCH_BYTES, SOCKET_BYTES, survive_hangups};
use crate::shard::Shard;

/// For a terminal to have it before the first line of the log.
const BANNER_WITHIN: Duration = Duration::from_millis(200);

/// Serves until SIGTERM or Ctrl-C. The lines that the log has lost stand on the node's page of metrics.
///
/// # Errors
/// [`NodeError`], and nothing listens.
pub fn run(config: &Config, lines: &LineWriter) -> Result<(), NodeError> {
    survive_hangups().map_err(|fault| NodeError::System("cannot watch signals", fault.into()))?;
    let registry = Registry::new();
    let counted = registry.register(Box::new(lines.dropped().clone()));
    counted.expect("nothing else counts there yet");
    let node = application(config).registry(registry).start_with(|node| {
        node.obey_signals(reload(config, node))?;
        say(&banner(&started(config, node)));
        Ok(())
    })?;
    node.join_blocking()
}

/// What is done on SIGHUP. The token of the admin listener can be another one from one request to the next, and whom this
/// machine trusts from one connection to Redis to the next. Other nodes would refuse a new peer secret, and clients bring
/// back what an old state key has sealed: those want a restart.
fn reload(config: &Config, node: &Node) -> impl FnMut() + Send + 'static {
    let token = config.node.admin_token.clone();
    let token = token.zip(config.admin_token_file.clone());
    let (node, uses_redis) = (node.clone(), config.node.cluster.is_some());
    move || {
        if uses_redis {
            node.reload_authorities();
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
    if let Ok(lines) = LineWriter::start("banner", &io::stdout()) {
        lines.say(banner);
        lines.end(BANNER_WITHIN);
    }
}

fn application(config: &Config) -> NodeBuilder {
    let options = config.node.clone();
    match config.app {
        AppName::Board => {
            let board = Board::new(config.board_limits);
            let store = board.store();
            Node::builder_from(options, move || board.app()).contents(store)
        }
        AppName::Conformance => {
            let conformance = Conformance::new();
            Node::builder_from(options, move || conformance.app())
        }
    }
}

fn started(config: &Config, node: &Node) -> Started {
    let (entries, options) = (Shard::entry_sizes(), node.options());
    // Each listener hears of the three lists, too.
    let lists = 3 * entries.subscription;
    let sizes = Sizes {
        connection: entries.connection + SOCKET_BYTES,
        session: entries.session + entries.listener + lists,
        stream: entries.stream + lists,
        core: SCRATCH_BYTES + CORE_BYTES,
    };
    let mut estimate = memory_bill(&options.limits, node.cores(), &sizes);
    if config.app == AppName::Board {
        estimate.push(BillLine {
            consumer: "board, all contents",
            each_bytes: config.board_limits.bytes_max as u64,
            count_max: 1,
        });
    }
    if options.cluster.is_some() {
        estimate.push(BillLine {
            consumer: "presence, waiting for Redis",
            each_bytes: PENDING_BYTES as u64,
            count_max: 2 * options.limits.sessions_max as u64,
        });
    }
    let driver_note = node
        .fell_back()
        .then(|| "io_uring cannot be used here: see the log for what to change".to_owned());
    Started {
        listen: node.address(),
        endpoint: options.path.clone(),
        admin: node.admin_address().expect("--admin has a default"),
        admin_asks_for_token: options.admin_token.is_some(),
        app: match config.app {
            AppName::Board => "board",
            AppName::Conformance => "conformance",
        },
        node: node.name(),
        cores: node.cores(),
        driver: node.driver().name(),
        driver_note,
        estimate,
    }
}
