//! The control thread: the admin listener, and what this node shares with others through Redis. Nothing that a client
//! waits for runs here.

use std::net::TcpListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, select};
use monoio::time::sleep;

use super::desk::NodeDesk;
use crate::admin::{AdminPolicy, serve_admin};
use crate::app::contents::ContentStore;
use crate::cluster::bus::{self, BusDoor};
use crate::cluster::{ClusterSetup, Control, Membership};
use crate::config::{ClusterConfig, Config};
use crate::metrics::METRICS;
use crate::redis::Settings;
use crate::runtime::{Alive, BEAT_EVERY, Driver, Publisher, Running, StartError, run_alone};
use crate::wire::session_id::NodeName;

/// For Redis to be told that this node and its sessions are gone; it is told in milliseconds, or is not there.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// For Redis to take what was published here, if it is away when this node ends. A service manager waits longer than
/// this and a drain together.
pub(super) const UNSENT_WITHIN: Duration = Duration::from_secs(8);

/// What the thread takes with it.
struct Work {
    publisher: Publisher,
    driver: Driver,
    listener: TcpListener,
    store: Option<Arc<dyn ContentStore>>,
    policy: AdminPolicy,
    several: Option<Several>,
    alive: Alive,
}

/// Of a node that is not alone.
struct Several {
    control: Control,
    boot: u64,
    way: bus::Way,
    log: bus::Setup,
}

/// This node's membership: one end for its cores and one for the control thread.
pub(super) fn join(config: &Config, cluster: &ClusterConfig) -> (Arc<Membership>, Control) {
    crate::cluster::join(ClusterSetup {
        redis: cluster.redis.clone(),
        prefix: cluster.prefix.clone(),
        node: node(config),
        // Who passes nothing on has no secret by which others could pass something on to it.
        advertised: cluster.secret.as_ref().map(|_| cluster.advertised.clone()),
        sessions_max: config.limits.sessions_max,
    })
}

pub(super) fn start(
    config: &Config,
    running: &Running,
    listener: TcpListener,
    store: Option<Arc<dyn ContentStore>>,
    member: Option<Control>,
) -> Result<(), StartError> {
    METRICS.show_memory(running.memory().clone());
    METRICS.show_sessions(running.sessions().clone());
    let policy = AdminPolicy::new(
        config.admin,
        config.admin_token.clone(),
        config.limits.uri_bytes_max,
    )
    .for_contents(config.board_limits.entry_bytes_max);
    let several = config.cluster.as_ref().zip(member);
    let several = several.map(|(cluster, control)| Several {
        control,
        boot: running.boot,
        way: bus::Way {
            redis: Settings::new(
                cluster.redis.clone(),
                format!("pinfold-{}-bus", config.node),
            ),
            prefix: cluster.prefix.clone(),
        },
        log: bus::Setup {
            node: node(config),
            boot: running.boot,
            store: store.clone(),
            uri_bytes_max: config.limits.uri_bytes_max,
        },
    });
    let work = Work {
        publisher: running.publisher().clone(),
        driver: running.driver,
        listener,
        store,
        policy,
        several,
        alive: running.watch_thread("control"),
    };
    let thread = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || work.run());
    thread
        .map(drop)
        .map_err(|fault| StartError::System("cannot start threads", fault))
}

fn node(config: &Config) -> NodeName {
    NodeName::new(&config.node).expect("the options were checked")
}

impl Work {
    fn run(self) {
        let driver = self.driver;
        let beats = self.alive.beats();
        let served = run_alone(driver, async {
            monoio::spawn(async move {
                loop {
                    beats.beat();
                    sleep(BEAT_EVERY).await;
                }
            });
            match self.several {
                None => serve(self.publisher, self.listener, self.store, self.policy, None).await,
                Some(several) => {
                    let publisher = self.publisher.clone();
                    let (door, bus) = bus::open(several.way, several.log, publisher.clone());
                    let (all, some) = (publisher.clone(), publisher.clone());
                    let control = several.control.run(
                        several.boot,
                        move || all.announce_all(),
                        move || some.verify_some(),
                    );
                    let served = serve(
                        publisher,
                        self.listener,
                        self.store,
                        self.policy,
                        Some(door),
                    );
                    select(pin!(served), pin!(future::join(bus, control))).await;
                }
            }
        });
        if let Err(fault) = served {
            tracing::error!(%fault, "the control thread could not run: nobody can publish from outside");
        }
        // It serves for as long as the process lives: if it comes here, it is gone.
        drop(self.alive);
    }
}

async fn serve(
    publisher: Publisher,
    listener: TcpListener,
    store: Option<Arc<dyn ContentStore>>,
    policy: AdminPolicy,
    bus: Option<Arc<BusDoor>>,
) {
    let desk = Rc::new(NodeDesk {
        publisher,
        store,
        bus,
    });
    if let Err(fault) = serve_admin(listener, desk, policy).await {
        tracing::error!(%fault, "the admin listener ended: nobody can publish from outside");
    }
}
