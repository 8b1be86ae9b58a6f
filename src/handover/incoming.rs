//! The new process's side: it is told what there is, waits with everything made, and takes over when it is told to.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::successor::VARIABLE;
use super::words::{
    FORMAT, HandoverFault, Hello, ListenerFacts, NodeFacts, NodePart, READS_FROM, ToNew, ToOld,
    check_formats,
};
use crate::runtime::{ForCore, ReceivedCore};
use crate::socket::close_inherited_connections;

/// The old process is at the other end of the channel, and answers in milliseconds, or is gone.
const SOON: Duration = Duration::from_secs(10);
/// Until everything is under way the old process waits for calls to end, for as long as its operator allows; and at the end it
/// alone decides.
const LONG: Duration = Duration::from_secs(24 * 3_600);

/// A hand-over that this process takes part in.
pub(crate) struct Incoming {
    channel: Channel,
    pub(crate) facts: NodeFacts,
    pub(crate) listeners: Vec<InheritedListener>,
}

/// A listening socket that the old process had.
pub(crate) struct InheritedListener {
    /// None: it is the operators'.
    pub(crate) core: Option<u16>,
    /// The node made it, and may shut it down.
    pub(crate) is_own: bool,
    pub(crate) socket: TcpListener,
}

impl Incoming {
    /// Says that this process is there, if it was started to take over. Before any other thread is started: it takes standard
    /// input away.
    ///
    /// # Errors
    /// The old process is gone, or cannot be understood.
    pub(crate) fn of_this_process() -> Result<Option<Incoming>, HandoverFault> {
        let parent = std::os::unix::process::parent_id().to_string();
        if std::env::var_os(VARIABLE).is_none_or(|it| *it != *parent) {
            return Ok(None);
        }
        let system = |fault| HandoverFault::System("standard input is no channel", fault);
        let channel = Channel::of(take_standard_input().map_err(system)?);
        close_inherited_connections();
        let soon = Instant::now() + SOON;
        let hello = Hello {
            format: FORMAT,
            reads_from: READS_FROM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        channel.send(&ToOld::Hello(hello), &[], soon)?;
        let (welcome, _) = channel.receive(soon, "before it said what it has")?;
        let ToNew::Welcome(facts) = welcome else {
            return Err(HandoverFault::Unexpected("what it has"));
        };
        check_formats(facts.format, facts.reads_from)?;
        let mut incoming = Incoming {
            channel,
            facts: *facts,
            listeners: Vec::new(),
        };
        incoming.receive_listeners(soon)?;
        Ok(Some(incoming))
    }

    fn receive_listeners(&mut self, until: Instant) -> Result<(), HandoverFault> {
        loop {
            let received = self.channel.receive(until, "before it sent its sockets")?;
            match received {
                (ToNew::Listening, _) => return Ok(()),
                (ToNew::Listener(facts), mut with) if with.len() == 1 => {
                    let ListenerFacts { core, is_own } = facts;
                    self.listeners
                        .extend(with.pop().map(|it| InheritedListener {
                            core,
                            is_own,
                            socket: it.into(),
                        }));
                }
                _ => return Err(HandoverFault::Unexpected("on what it listens")),
            }
        }
    }

    /// Why this process does not take over. The old one goes on.
    pub(crate) fn refuse(&self, why: &str) {
        let refused = ToOld::Refused {
            why: why.to_owned(),
        };
        // It may be gone.
        let _ = self.channel.send(&refused, &[], Instant::now() + SOON);
    }

    /// All threads wait: the old process may stand still.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn prepared(&self) -> Result<(), HandoverFault> {
        self.tell(&ToOld::Prepared)
    }

    /// Receives everything, and checks that nothing is missing: what the node has beside its cores. Each of `cores` has its own as
    /// soon as it is whole: the next one, or the node, comes.
    ///
    /// # Errors
    /// The old process is gone, or keeps what it has.
    pub(crate) fn receive(
        &self,
        cores: &[Sender<ForCore>],
        mut take_part: impl FnMut(NodePart, File) -> Result<(), String>,
    ) -> Result<File, HandoverFault> {
        let mut until = Instant::now() + LONG;
        let mut counted = 0;
        let mut current: Option<(u16, ReceivedCore)> = None;
        let mut node = None;
        let pass = |current: &mut Option<(u16, ReceivedCore)>| {
            if let Some((core, taken)) = current.take()
                && let Some(to) = cores.get(usize::from(core))
            {
                // A core that is gone is missed by whoever started it.
                let _ = to.send(ForCore::State(taken));
            }
        };
        loop {
            let (message, mut with): (ToNew, Vec<OwnedFd>) = self
                .channel
                .receive(until, "before it had sent everything")?;
            until = Instant::now() + SOON;
            match message {
                ToNew::Part(part) => {
                    let state = with.pop().map(File::from);
                    let state = state.ok_or(HandoverFault::Unexpected("what the node has"))?;
                    take_part(part, state).map_err(HandoverFault::Refused)?;
                    self.tell(&ToOld::Taken)?;
                    if current.is_none() {
                        until = Instant::now() + LONG;
                    }
                }
                ToNew::Ahead { core, keys } => {
                    let to = cores.get(usize::from(core));
                    let to = to.filter(|_| keys.len() == with.len());
                    let to = to.ok_or(HandoverFault::Unexpected("whose sockets come ahead"))?;
                    let sockets = with.into_iter().map(TcpStream::from);
                    let _ = to.send(ForCore::Ahead(keys.into_iter().zip(sockets).collect()));
                    until = Instant::now() + LONG;
                }
                ToNew::Core { core } => {
                    pass(&mut current);
                    let state = with.pop().map(File::from);
                    let state = state.ok_or(HandoverFault::Unexpected("what a core had"))?;
                    let sockets = Vec::new();
                    current = Some((core, ReceivedCore { state, sockets }));
                }
                ToNew::Sockets { core } => match &mut current {
                    Some((known, taken)) if *known == core => {
                        counted += with.len();
                        taken.sockets.extend(with.into_iter().map(TcpStream::from));
                    }
                    _ => return Err(HandoverFault::Unexpected("whose sockets come")),
                },
                ToNew::Node => {
                    pass(&mut current);
                    node = with.pop().map(File::from);
                }
                ToNew::Sealed(sealed) => {
                    let node = node.ok_or(HandoverFault::Unexpected("what the node has"))?;
                    if sealed.sockets != sealed.ahead + counted {
                        return Err(HandoverFault::Unexpected("about all sockets that come"));
                    }
                    return Ok(node);
                }
                _ => return Err(HandoverFault::Unexpected("what it had")),
            }
        }
    }

    /// Everything is here and understood. Then it is for the old process alone to decide: one that gives up ends this process, or is
    /// gone, and both are heard. Whoever went by a time of its own could miss by a moment that it was told to go, and nobody
    /// would serve.
    ///
    /// # Errors
    /// The old process is gone, or keeps what it has.
    pub(crate) fn ready(&self) -> Result<(), HandoverFault> {
        self.tell(&ToOld::Ready)?;
        let (go, _) = self
            .channel
            .receive(Instant::now() + LONG, "before it let go of what it had")?;
        match go {
            ToNew::Go => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it lets go")),
        }
    }

    /// This process serves, whether the old one hears it or not; since when, by the monotonic clock of the machine.
    pub(crate) fn serving(&self, since_ns: Option<u64>) {
        let _ = self.tell(&ToOld::Serving { since_ns });
    }

    fn tell(&self, message: &ToOld) -> Result<(), HandoverFault> {
        self.channel.send(message, &[], Instant::now() + SOON)
    }
}

/// What was standard input. There is nothing to be read there from now on.
fn take_standard_input() -> io::Result<OwnedFd> {
    let channel = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(channel)
}
