//! The control thread: the admin listener, and what this node shares with others through Redis. No client waits for
//! anything that runs here.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::time::sleep;

use super::backend::NodeBackend;
use super::{ClusterConfig, Node, NodeError};
use crate::acceptor::{Acceptor, Listening};
use crate::admin::{AdminPolicy, serve_admin};
use crate::app::contents::ContentStore;
use crate::cluster::ClusterTask;
use crate::cluster::bus::{self, BusHandle};
use crate::redis::Settings;
use crate::runtime::{Alive, BEAT_EVERY, Driver, Publisher, run_alone};
use crate::tasks;

/// For the thread to end what it is at. It does nothing for longer than some milliseconds, unless it hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What the thread is made from.
pub(super) struct ControlSetup<'a> {
    pub(super) node: &'a Node,
    pub(super) admin: Option<Listening>,
    pub(super) store: Option<Arc<dyn ContentStore>>,
    pub(super) cluster: Option<(ClusterConfig, ClusterTask)>,
    /// At which what is published waits for the bus.
    pub(super) bus: Option<Arc<BusHandle>>,
}

/// The thread, as the node holds it.
pub(super) struct ControlThread {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    /// Closed by the end of the thread.
    ended: Receiver<()>,
}

/// What the thread takes with it.
struct ControlWork {
    driver: Driver,
    admin: Option<(Listening, AdminPolicy)>,
    backend: NodeBackend,
    cluster: Option<(ClusterWork, Arc<BusHandle>)>,
    stop: oneshot::Receiver<()>,
    alive: Alive,
}

/// Of a node that is not alone.
struct ClusterWork {
    task: ClusterTask,
    incarnation: u64,
    settings: bus::RedisSettings,
    log: bus::BusSetup,
}

impl ControlSetup<'_> {
    /// # Errors
    /// Out of threads.
    pub(super) fn start(self) -> Result<ControlThread, NodeError> {
        let shared = &self.node.shared;
        let policy = shared.admin_address.map(|address| self.policy(address));
        let (stop, stopped) = oneshot::channel();
        let cluster = self
            .cluster
            .map(|(cluster, task)| cluster_parts(self.node, &cluster, task, self.store.clone()));
        let cluster = cluster.zip(self.bus.clone());
        let work = ControlWork {
            driver: shared.driver,
            admin: self.admin.zip(policy),
            backend: NodeBackend {
                publisher: shared.publisher.clone(),
                store: self.store,
                bus: self.bus,
                metrics: shared.metrics.clone(),
            },
            cluster,
            stop: stopped,
            alive: shared.watch.thread("control"),
        };
        let (lives, ended) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                let _lives = lives;
                work.run();
            });
        let thread = thread.map_err(|fault| NodeError::system("cannot start threads", fault))?;
        Ok(ControlThread {
            thread,
            stop,
            ended,
        })
    }

    fn policy(&self, address: SocketAddr) -> AdminPolicy {
        let options = self.node.options();
        let token = options.admin_token.clone();
        AdminPolicy::new(address, token, options.limits.uri_bytes_max)
            .for_contents(options.content_bytes_max)
    }
}

fn cluster_parts(
    node: &Node,
    cluster: &ClusterConfig,
    task: ClusterTask,
    store: Option<Arc<dyn ContentStore>>,
) -> ClusterWork {
    let (shared, options) = (&node.shared, node.options());
    let (name, incarnation) = (options.node_name(), options.incarnation);
    let mut redis = Settings::new(cluster.redis.clone(), format!("pinfold-{name}-bus"));
    redis.authorities = shared.authorities.clone();
    ClusterWork {
        task,
        incarnation,
        settings: bus::RedisSettings {
            redis,
            prefix: cluster.prefix.clone(),
            metrics: shared.metrics.clone(),
        },
        log: bus::BusSetup {
            node: name,
            incarnation,
            store,
            uri_bytes_max: options.limits.uri_bytes_max,
        },
    }
}

impl ControlThread {
    /// Nobody is answered from now on, and nothing more is said to Redis.
    pub(super) fn end(self) {
        // Fails if the thread is gone.
        let _ = self.stop.send(());
        if self.ended.recv_timeout(ENDS_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the control thread hangs, and was left behind");
            return;
        }
        // That it panicked was said.
        let _ = self.thread.join();
    }
}

impl ControlWork {
    fn run(self) {
        let ControlWork {
            driver,
            admin,
            backend,
            cluster,
            stop,
            alive,
        } = self;
        let beats = alive.beats();
        let served = run_alone(driver, async move {
            tasks::spawn(async move {
                loop {
                    beats.beat();
                    sleep(BEAT_EVERY).await;
                }
            });
            if let Some((parts, bus)) = cluster {
                share(parts, bus, &backend.publisher);
            }
            let acceptor =
                admin.and_then(|(listening, policy)| open_admin(listening, policy, backend));
            // Dropped without a word it means the same.
            let _ = stop.await;
            if let Some(acceptor) = acceptor {
                acceptor.close().await;
            }
        });
        match served {
            Ok(()) => alive.ended(),
            Err(fault) => {
                tracing::error!(%fault, "the control thread could not run: nobody can publish from outside");
            }
        }
    }
}

/// Starts the bus, and what this node tells the others of itself.
fn share(parts: ClusterWork, bus: Arc<BusHandle>, publisher: &Publisher) {
    tasks::spawn(bus::run(parts.settings, parts.log, publisher.clone(), bus));
    let (all, some) = (publisher.clone(), publisher.clone());
    tasks::spawn(parts.task.run(
        parts.incarnation,
        move || all.announce_all(),
        move || some.verify_some(),
    ));
}

fn open_admin(
    listening: Listening,
    policy: AdminPolicy,
    backend: NodeBackend,
) -> Option<Rc<Acceptor>> {
    match Acceptor::new(listening).map(Rc::new) {
        Ok(acceptor) => {
            tasks::spawn(serve_admin(acceptor.clone(), Rc::new(backend), policy));
            Some(acceptor)
        }
        Err(fault) => {
            tracing::error!(%fault, "the admin listener ended: nobody can publish from outside");
            None
        }
    }
}
