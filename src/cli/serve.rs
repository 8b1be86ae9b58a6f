//! `pinfold serve`: a checked configuration becomes a running node and its banner.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::banner::{ShownByClients, Started, banner};
use super::lines::LineWriter;
use super::log::Log;
use super::memory_estimate::{BillLine, Sizes, bill_of_principals, memory_bill};
use super::reload::{ReloadOutcome, Reloadable, Reloader};
use super::supervisor;
use crate::admin::AdminRole;
use crate::app::board::Board;
use crate::cluster::PENDING_BYTES;
use crate::config::{AppName, Config, EffectiveSettings, Layers, Machine};
use crate::credentials::Authenticator;
use crate::metrics::Registry;
use crate::node::{HandoverPlan, Node, NodeBuilder, NodeError, TakeOver};
use crate::runtime::{CORE_BYTES, SCRATCH_BYTES, SOCKET_BYTES, survive_hangups};
use crate::shard::Shard;

/// For a terminal to have it before the first line of the log.
const BANNER_WITHIN: Duration = Duration::from_millis(200);

/// Of the rules that have changed, for one line of the log.
const RULES_NAMED: usize = 20;

/// A node's configuration, and how to hear of a new one.
pub struct Given {
    pub config: Config,
    pub settings: EffectiveSettings,
    pub layers: Layers,
    pub machine: Machine,
}

/// Serves until SIGTERM or Ctrl-C. The lines that the log has lost stand on the node's page of metrics.
///
/// # Errors
/// [`NodeError`], and nothing listens.
pub(super) fn run(
    given: Given,
    log: Log,
    lines: &LineWriter,
    take_over: Option<TakeOver>,
) -> Result<(), NodeError> {
    survive_hangups().map_err(|fault| NodeError::System("cannot watch signals", fault.into()))?;
    let registry = Registry::new();
    let counted = registry.register(Box::new(lines.dropped().clone()));
    counted.expect("nothing else counts there yet");
    let Given {
        config,
        settings,
        layers,
        machine,
    } = given;
    let takes_over = take_over.is_some();
    let node = application(&config)
        .registry(registry)
        .log_control(Arc::new(log.clone()))
        .handed_over(handover_plan(&config, lines)?, take_over);
    let node = node.start_with(|node| {
        let table = reloadable(&config, node, log);
        let reload = Reloader::new(layers, machine, settings, table).start();
        let reload = reload.map_err(|fault| NodeError::System("out of threads", fault.into()))?;
        node.obey_signals_and_tell(reload, supervisor::stopping)?;
        say(&banner(&started(&config, node)));
        if !takes_over {
            supervisor::ready();
        }
        Ok(())
    })?;
    node.join_blocking()
}

/// The program that is where this one was when it started takes over, with the same arguments: a new version, or a new
/// configuration file.
fn handover_plan(config: &Config, lines: &LineWriter) -> Result<HandoverPlan, NodeError> {
    let program = this_program()
        .map_err(|fault| NodeError::System("cannot tell which program this is", fault.into()))?;
    Ok(HandoverPlan {
        program,
        application: config.app.name(),
        arguments: std::env::args_os().skip(1).collect(),
        grace: config.handover_grace,
        last_words: supervisor::last_words(lines.clone()),
    })
}

/// Where this program was found: where a newer one will be. A link is not followed, since that may be what a deploy changes.
fn this_program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let is_own = |path: &PathBuf| path.canonicalize().is_ok_and(|it| it == own);
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let found = if called.components().count() > 1 {
        std::path::absolute(&called).into_iter().find(is_own)
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(&called))
            .find(is_own)
    };
    Ok(found.unwrap_or(own))
}

/// What SIGHUP can change. The tokens of the admin listener can be others from one request to the next, and whom this
/// machine trusts from one connection to Redis to the next. Other nodes would refuse a new peer secret, and clients bring
/// back what an old state key has sealed: those want a restart.
fn reloadable(config: &Config, node: &Node, log: Log) -> Vec<Reloadable> {
    let mut table = vec![log_level(log)];
    table.extend(AdminRole::ALL.map(|role| admin_token(role, config)));
    if !matches!(config.node.auth.authenticator, Authenticator::None) {
        table.push(credentials(node.clone()));
    }
    table.push(policy(config, node.clone()));
    if config.node.cluster.is_some() {
        table.push(authorities(node.clone()));
    }
    table
}

/// What an operator has changed since is as the configuration says again.
fn log_level(log: Log) -> Reloadable {
    Reloadable {
        options: &["log"],
        apply: Box::new(move |new| {
            let (filter, _) = &new.log;
            if *filter == log.in_force() || !log.set(filter.clone()) {
                return ReloadOutcome::Same;
            }
            ReloadOutcome::Changed(format!("the log's level is {filter} from now on"))
        }),
    }
}

/// Whether there is one at all cannot change: without any the admin listener is on a loopback address.
fn admin_token(role: AdminRole, config: &Config) -> Reloadable {
    let in_force = config.node.admin.tokens().of(role).cloned();
    let (options, name): (&[&str], _) = match role {
        AdminRole::Operate => (&["admin-token-file"], "admin"),
        AdminRole::Publish => (&["admin-publish-token-file"], "admin publish"),
        AdminRole::Read => (&["admin-read-token-file"], "admin read"),
    };
    Reloadable {
        options,
        apply: Box::new(
            move |new| match (&in_force, new.node.admin.tokens().of(role)) {
                (Some(token), Some(new)) => {
                    token.replace(new);
                    ReloadOutcome::Changed(format!("the {name} token was read again"))
                }
                (None, None) => ReloadOutcome::Same,
                (Some(_), None) | (None, Some(_)) => ReloadOutcome::WantsRestart,
            },
        ),
    }
}

/// The file itself may have changed; another one wants a restart.
fn credentials(node: Node) -> Reloadable {
    Reloadable {
        options: &[],
        apply: Box::new(move |_| match node.reload_credentials() {
            Ok(what) => ReloadOutcome::Changed(what),
            Err(why) => {
                tracing::error!("SIGHUP: tokens stay as they were: {why}");
                ReloadOutcome::Same
            }
        }),
    }
}

/// From nobody being asked anything to a policy, and back, a node cannot go.
fn policy(config: &Config, node: Node) -> Reloadable {
    let mut in_force = config.node.auth.policy.clone();
    Reloadable {
        options: &["policy"],
        apply: Box::new(move |new| {
            let policy = &new.node.auth.policy;
            let others = policy.that_differ(&in_force);
            if others.is_empty() {
                return ReloadOutcome::Same;
            }
            match node.set_policy(policy.clone()) {
                Ok(()) => {
                    in_force.clone_from(policy);
                    ReloadOutcome::Changed(format!(
                        "other rules of the policy hold: {}",
                        named(&others)
                    ))
                }
                Err(_) => ReloadOutcome::WantsRestart,
            }
        }),
    }
}

/// As many as a line has room for.
fn named(rules: &[String]) -> String {
    let (shown, others) = rules.split_at(rules.len().min(RULES_NAMED));
    let more = match others.len() {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    shown.join(", ") + &more
}

fn authorities(node: Node) -> Reloadable {
    Reloadable {
        options: &[],
        apply: Box::new(move |_| {
            node.reload_authorities();
            let what = "the next connection to Redis reads anew whom this machine trusts";
            ReloadOutcome::Changed(what.to_owned())
        }),
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
        #[cfg(feature = "conformance")]
        AppName::Conformance => {
            let conformance = crate::app::conformance::Conformance::new();
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
    if !matches!(config.node.auth.authenticator, Authenticator::None) {
        estimate.extend(bill_of_principals(&options.limits, node.cores()));
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
        admin_asks_for_token: options.admin.token.is_some(),
        shown: match config.node.auth.authenticator {
            Authenticator::Token(_) => ShownByClients::Token,
            Authenticator::Jwt(_) => ShownByClients::AccessToken,
            Authenticator::Proxy(_) => ShownByClients::WordOfProxy,
            Authenticator::None | Authenticator::Hook(_) => ShownByClients::Nothing,
        },
        app: config.app.name(),
        node: node.name(),
        cores: node.cores(),
        driver: node.driver().name(),
        driver_note,
        estimate,
    }
}
