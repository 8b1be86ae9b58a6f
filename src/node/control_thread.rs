//! The control thread: the admin listener, and what this node shares with others through Redis. No client waits for
//! anything that runs here.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::time::sleep;

use super::control_orders::ControlOrders;
use super::{Node, NodeError, cluster, operators};
use crate::runtime::{Alive, BEAT_EVERY, Driver, Publisher, run_alone};
use crate::tasks;

/// For the thread to end what it is at. It does nothing for longer than some milliseconds, unless it hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What the thread is made from.
pub(super) struct ControlSetup<'a> {
    pub(super) node: &'a Node,
    pub(super) operators: Option<operators::OperatorsWork>,
    /// None: it is alone.
    pub(super) cluster: Option<cluster::ClusterWork>,
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
    operators: Option<operators::OperatorsWork>,
    cluster: Option<cluster::ClusterWork>,
    publisher: Publisher,
    orders: ControlOrders,
    stop: oneshot::Receiver<()>,
    alive: Alive,
}

impl ControlSetup<'_> {
    /// # Errors
    /// Out of threads.
    pub(super) fn start(self) -> Result<ControlThread, NodeError> {
        let shared = &self.node.shared;
        let (stop, stopped) = oneshot::channel();
        let work = ControlWork {
            driver: shared.driver,
            operators: self.operators,
            cluster: self.cluster,
            publisher: shared.publisher.clone(),
            orders: shared.handover.control.clone().unwrap_or_default(),
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
            operators,
            cluster,
            publisher,
            orders,
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
            let clustered = cluster.map(|it| it.start(&publisher));
            let serving = operators.and_then(operators::OperatorsWork::start);
            tasks::spawn(orders.obey(serving.clone(), clustered));
            // Dropped without a word it means the same.
            let _ = stop.await;
            if let Some(serving) = serving {
                serving.close().await;
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
