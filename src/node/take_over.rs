//! The node was another process's, and goes on in this one: the new process's side. See `hand_over`.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::cluster::ClusterMember;
use super::contents_copy::{read_back, take_contents};
use super::facts::wants_restart;
use super::listen::Listeners;
use super::node_state::WrittenNode;
use super::operators::Operators;
use super::{NodeError, Options, StateKey, names};
use crate::acceptor::Listening;
use crate::app::contents::ContentStore;
use crate::clients::Commons;
#[cfg(feature = "auth")]
use crate::credentials::CredentialStore;
use crate::handover::{HandoverFault, Incoming, NodeConfiguration, NodePart};
use crate::runtime::{CoreResume, ForCore, Publisher, continue_from, now};

/// For a core that was let go to watch its sockets. How long it took is told, and nothing depends on it.
const CORE_BEGINS_WITHIN: Duration = Duration::from_secs(1);

/// A hand-over that this process takes part in, before anything is made.
#[derive(Clone)]
pub(crate) struct TakeOver {
    incoming: Arc<Incoming>,
}

/// While the cores wait.
pub(super) struct Taking {
    incoming: Arc<Incoming>,
    received: JoinHandle<Result<File, HandoverFault>>,
    go: Vec<Sender<()>>,
    serve: Receiver<u64>,
}

impl TakeOver {
    /// If this process was started to take over. To be asked before anything else is done: the clock goes on, and standard input
    /// is taken away.
    ///
    /// # Errors
    /// The old process is gone, or cannot be understood.
    pub(crate) fn of_this_process() -> Result<Option<TakeOver>, NodeError> {
        let fault = |fault: HandoverFault| NodeError::Failed(format!("cannot take over: {fault}"));
        let Some(incoming) = Incoming::of_this_process().map_err(fault)? else {
            return Ok(None);
        };
        if !continue_from(incoming.facts.clock_began_ns) {
            let sentence = "cannot take over: the clock of this process runs already";
            incoming.refuse(sentence);
            return Err(NodeError::Failed(sentence.to_owned()));
        }
        let incoming = Arc::new(incoming);
        Ok(Some(TakeOver { incoming }))
    }

    /// Why this process does not take over after all. The old one goes on.
    pub(crate) fn refuse(&self, why: &str) {
        self.incoming.refuse(why);
    }

    /// Options of this process, as far as they may differ from those of the old one.
    ///
    /// # Errors
    /// They differ where that wants a restart.
    pub(super) fn settle(&self, options: &mut Options) -> Result<(), NodeError> {
        let facts = &self.incoming.facts;
        if options.cores != 0 && options.cores != facts.cores {
            return Err(wants_restart("cores", &facts.cores, &options.cores));
        }
        let name = options.node_name();
        if name.as_str() != facts.node {
            return Err(wants_restart(
                "the node's name",
                &facts.node,
                &name.as_str(),
            ));
        }
        let is_there =
            |asked: &SocketAddr, all: &[SocketAddr]| asked.port() == 0 || all.contains(asked);
        for address in &options.listen {
            if !is_there(address, &facts.addresses) {
                let were: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
                return Err(wants_restart(
                    "the address to listen on",
                    &were.join(" and "),
                    address,
                ));
            }
        }
        if options.listen.len() < facts.addresses.len() && !options.listen.is_empty() {
            let counts = (facts.addresses.len(), options.listen.len());
            return Err(wants_restart(
                "the number of addresses to listen on",
                &counts.0,
                &counts.1,
            ));
        }
        settle_admin(facts.admin, options)?;
        let key = facts.state_key.as_slice().try_into();
        let key = key
            .map_err(|_| NodeError::Failed("the old process's key has another size".to_owned()))?;
        if options.state_key.as_ref().is_some_and(|it| it.0 != key) {
            return Err(NodeError::Option(
                "state-key-file has another key than before: that wants a restart, since what clients bring back was sealed with \
                 that"
                    .to_owned(),
            ));
        }
        options.state_key = Some(StateKey(key));
        options.incarnation = facts.incarnation;
        options.cores = facts.cores;
        options.name = names::node_name(&facts.node).ok();
        Ok(())
    }

    /// Whether what this configuration says can be put into force while everything goes on.
    ///
    /// # Errors
    /// What wants a restart.
    pub(super) fn check(
        &self,
        now: &NodeConfiguration,
        options: &Options,
    ) -> Result<(), NodeError> {
        self.incoming.facts.configuration.check(now, options)
    }

    /// The sockets of the old process: for clients, and for operators.
    pub(super) fn listeners(&self) -> Result<(Listeners, Option<Listening>), NodeError> {
        let facts = &self.incoming.facts;
        let mut of_cores: Vec<Vec<Listening>> = (0..facts.cores).map(|_| Vec::new()).collect();
        let mut admin = None;
        for inherited in &self.incoming.listeners {
            let socket = inherited.socket.try_clone();
            let socket = socket.map_err(|fault| {
                NodeError::system("a listening socket cannot be taken over", fault)
            })?;
            let listening = match inherited.is_own {
                true => Listening::Own(socket),
                false => Listening::Given(socket),
            };
            match inherited.core {
                None => admin = Some(listening),
                Some(core) => match of_cores.get_mut(usize::from(core)) {
                    Some(core) => core.push(listening),
                    None => {
                        return Err(NodeError::Failed(
                            "a listening socket is of no core".to_owned(),
                        ));
                    }
                },
            }
        }
        let addresses = facts.addresses.clone();
        Ok((
            Listeners {
                of_cores,
                addresses,
            },
            admin,
        ))
    }

    /// Receives what the cores are to begin with; they wait for it.
    ///
    /// # Errors
    /// Out of threads.
    pub(super) fn begin(self, parts: TakesParts) -> Result<(Taking, Vec<CoreResume>), NodeError> {
        let cores = self.incoming.facts.cores;
        let (waits, waiting) = channel();
        let (serves, serve) = channel();
        let mut to_cores: Vec<Sender<ForCore>> = Vec::new();
        let mut go = Vec::new();
        let mut resumes = Vec::new();
        for _ in 0..cores {
            let (to_core, state) = channel();
            let (may_go, goes) = channel();
            to_cores.push(to_core);
            go.push(may_go);
            resumes.push(CoreResume {
                waits: waits.clone(),
                state,
                go: goes,
                serves: serves.clone(),
            });
        }
        drop((waits, serves));
        let incoming = self.incoming.clone();
        let receive = move || receive(&incoming, &waiting, to_cores, &parts);
        let received = std::thread::Builder::new()
            .name("handover".into())
            .spawn(receive)
            .map_err(|fault| NodeError::system("cannot start threads", fault))?;
        let taking = Taking {
            incoming: self.incoming,
            received,
            go,
            serve,
        };
        Ok((taking, resumes))
    }
}

/// The listener for operators goes along as well.
#[cfg(feature = "admin")]
fn settle_admin(was: Option<SocketAddr>, options: &Options) -> Result<(), NodeError> {
    let shown = |it: Option<SocketAddr>| it.map_or("none".to_owned(), |it| it.to_string());
    match (was, options.admin.address) {
        (Some(was), Some(is)) if is == was || is.port() == 0 => Ok(()),
        (None, None) => Ok(()),
        (was, is) => Err(wants_restart("admin", &shown(was), &shown(is))),
    }
}

#[cfg(not(feature = "admin"))]
fn settle_admin(was: Option<SocketAddr>, _: &Options) -> Result<(), NodeError> {
    was.map_or(Ok(()), |was| Err(wants_restart("admin", &was, &"none")))
}

fn receive(
    incoming: &Incoming,
    waiting: &Receiver<()>,
    to_cores: Vec<Sender<ForCore>>,
    parts: &TakesParts,
) -> Result<File, HandoverFault> {
    if waiting.iter().take(to_cores.len()).count() < to_cores.len() {
        return Err(HandoverFault::Unexpected("on every core that it waits"));
    }
    incoming.prepared()?;
    let received = incoming.receive(&to_cores, |part, file| parts.take(part, file));
    if let Err(fault) = &received {
        // Before the cores say that nothing comes for them, which is no reason. An old process that is gone does not hear it.
        incoming.refuse(&match fault {
            HandoverFault::Refused(why) => why.clone(),
            fault => format!("the new process cannot take over: {fault}"),
        });
    }
    received
}

/// Where parts of the node go that come before its cores.
pub(super) struct TakesParts {
    pub(super) store: Option<Arc<dyn ContentStore>>,
    #[cfg(feature = "auth")]
    pub(super) credentials: Option<Arc<CredentialStore>>,
}

impl TakesParts {
    fn take(&self, part: NodePart, file: File) -> Result<(), String> {
        match part {
            NodePart::Contents => take_contents(file, self.store.as_deref()),
            NodePart::Rules => self.take_rules(file),
        }
    }

    #[cfg(feature = "auth")]
    fn take_rules(&self, file: File) -> Result<(), String> {
        let unread = |fault| format!("who gets in to the node cannot be read: {fault}");
        let state = read_back(file).map_err(unread)?;
        if let Some(credentials) = &self.credentials {
            credentials.resume(state);
        }
        Ok(())
    }

    #[cfg(not(feature = "auth"))]
    fn take_rules(&self, _: File) -> Result<(), String> {
        Err("the node asks who its clients are, and this program was built without that".to_owned())
    }
}

impl Taking {
    /// The cores have what they begin with. So has the node, and the old process lets go: they serve.
    ///
    /// # Errors
    /// The old process keeps what it has.
    pub(super) fn finish(
        self,
        (publisher, commons): (&Publisher, &Commons),
        member: Option<&mut ClusterMember>,
        operators: Option<&mut Operators>,
    ) -> Result<TakenOver, NodeError> {
        let fault = |fault: HandoverFault| NodeError::Failed(format!("cannot take over: {fault}"));
        let panicked = |_| NodeError::Failed("the thread of the hand-over panicked".to_owned());
        let node = self.received.join().map_err(panicked)?.map_err(fault)?;
        let state = WrittenNode::read(node)
            .map_err(|fault| NodeError::system("what the node had cannot be read", fault))?;
        publisher.continue_from(state.last_offset);
        commons.take_in_rates(state.rates, now());
        let unread = |fault| NodeError::system("what the node had cannot be read", fault);
        if let Some(member) = member {
            let resumed = member.resume(&state.control.cluster, publisher);
            resumed.map_err(unread)?;
        }
        if let Some(operators) = operators {
            operators.resume(state.control.operators);
        }
        self.incoming.ready().map_err(fault)?;
        for core in &self.go {
            // One that is gone is missed by the watchdog.
            let _ = core.send(());
        }
        Ok(TakenOver {
            incoming: self.incoming,
            cores: self.go.len(),
            serve: self.serve,
        })
    }
}

/// The cores were let go.
pub(super) struct TakenOver {
    incoming: Arc<Incoming>,
    cores: usize,
    /// Since when each of them serves.
    serve: Receiver<u64>,
}

impl TakenOver {
    /// Everything else serves too.
    pub(super) fn serving(self) {
        let serve = (0..self.cores).map_while(|_| self.serve.recv_timeout(CORE_BEGINS_WITHIN).ok());
        let serve: Vec<u64> = serve.collect();
        let all = serve.len() == self.cores;
        self.incoming
            .serving(serve.into_iter().max().filter(|_| all));
    }
}
