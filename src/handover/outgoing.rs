//! The old process's side: it starts the new one and hands it everything, or ends it and goes on.

use std::ffi::OsString;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::{Channel, DESCRIPTORS_MAX};
use super::words::{HandoverFault, ListenerFacts, NodeFacts, Sealed, ToNew, ToOld, check_formats};

/// Says to the new process whose child it is: that the channel is its standard input. Whatever it starts itself is not meant.
pub(super) const VARIABLE: &str = "PINFOLD_SUCCESSOR_OF";

/// For the new process to read its configuration and say that it is there.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// For its threads and its application to be made.
const PREPARED_WITHIN: Duration = Duration::from_secs(30);
/// From when everything stands still: for what is sent to be taken.
const TAKEN_WITHIN: Duration = Duration::from_millis(1_500);
/// And for it to be understood.
const READY_WITHIN: Duration = Duration::from_millis(1_500);
/// For the new process to say that it serves. It does so whether it is heard or not.
const SERVING_WITHIN: Duration = Duration::from_secs(10);

/// Which program takes over, and with which arguments.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// What the new process says after it was told that everything is its own.
pub(crate) enum SinceWhen {
    /// By the monotonic clock of the machine, in nanoseconds.
    Since(Option<u64>),
    NotSaid,
}

/// A new process that has not taken over yet. Dropped, it is ended.
pub(crate) struct Outgoing {
    channel: Channel,
    child: Option<Child>,
    /// Of the new program.
    pub(crate) version: String,
}

impl Outgoing {
    /// Starts the new process, and waits until it is there.
    ///
    /// # Errors
    /// It does not start, or cannot take over.
    pub(crate) fn start(peer: &Peer) -> Result<Outgoing, HandoverFault> {
        let system = |what| move |fault| HandoverFault::System(what, fault);
        let (channel, theirs) = Channel::pair().map_err(system("there is no channel"))?;
        let child = Command::new(&peer.program)
            .args(&peer.arguments)
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(theirs))
            .spawn()
            .map_err(system("the new process does not start"))?;
        let mut outgoing = Outgoing {
            channel,
            child: Some(child),
            version: String::new(),
        };
        let ToOld::Hello(hello) = outgoing.hear(HELLO_WITHIN, "before it said that it is there")?
        else {
            return Err(HandoverFault::Unexpected("that it is there"));
        };
        check_formats(hello.format, hello.reads_from)?;
        outgoing.version = hello.version;
        Ok(outgoing)
    }

    /// Tells it what it has to know before it makes anything, and waits until its threads wait.
    ///
    /// # Errors
    /// Why it cannot take over.
    pub(crate) fn prepare<'a>(
        &self,
        facts: NodeFacts,
        listeners: impl Iterator<Item = (Option<u16>, bool, &'a TcpListener)>,
    ) -> Result<(), HandoverFault> {
        let until = Instant::now() + PREPARED_WITHIN;
        self.tell(&ToNew::Welcome(facts.into()), &[], until)?;
        for (core, is_own, listener) in listeners {
            let facts = ListenerFacts { core, is_own };
            self.tell(&ToNew::Listener(facts), &[listener.as_fd()], until)?;
        }
        self.tell(&ToNew::Listening, &[], until)?;
        match self.hear(PREPARED_WITHIN, "before its threads waited")? {
            ToOld::Prepared => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it is prepared")),
        }
    }

    /// From when everything stands still: until then all of it has to be there.
    #[must_use]
    pub(crate) fn deadline() -> Instant {
        Instant::now() + TAKEN_WITHIN
    }

    /// # Errors
    /// The new process is gone, or takes nothing.
    pub(crate) fn send_core(
        &self,
        core: u16,
        state: BorrowedFd<'_>,
        sockets: &[TcpStream],
        until: Instant,
    ) -> Result<(), HandoverFault> {
        self.tell(&ToNew::Core { core }, &[state], until)?;
        for some in sockets.chunks(DESCRIPTORS_MAX) {
            let descriptors: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            self.tell(&ToNew::Sockets { core }, &descriptors, until)?;
        }
        Ok(())
    }

    /// What the node has beside its cores, and that this is all. Returns when the new process has understood it.
    ///
    /// # Errors
    /// It has not, and says why.
    pub(crate) fn seal(
        &self,
        node: BorrowedFd<'_>,
        sealed: Sealed,
        until: Instant,
    ) -> Result<(), HandoverFault> {
        self.tell(&ToNew::Node, &[node], until)?;
        self.tell(&ToNew::Sealed(sealed), &[], until)?;
        match self.hear(READY_WITHIN, "before it had understood everything")? {
            ToOld::Ready => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it is ready")),
        }
    }

    /// It serves from now on, and this process does nothing more.
    ///
    /// # Errors
    /// It was not told, and does not take over.
    pub(crate) fn commit(mut self) -> Result<SinceWhen, HandoverFault> {
        self.tell(&ToNew::Go, &[], Instant::now() + TAKEN_WITHIN)?;
        // Whatever becomes of it, it is not this process's to end any more.
        self.child = None;
        let heard = self.hear(SERVING_WITHIN, "before it served");
        Ok(match heard {
            Ok(ToOld::Serving { since_ns }) => SinceWhen::Since(since_ns),
            _ => SinceWhen::NotSaid,
        })
    }

    /// Of the new process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn tell(
        &self,
        message: &ToNew,
        descriptors: &[BorrowedFd<'_>],
        until: Instant,
    ) -> Result<(), HandoverFault> {
        let told = self.channel.send(message, descriptors, until);
        // It may have said why before it went.
        told.map_err(|fault| match self.hear(Duration::ZERO, "") {
            Err(refused @ HandoverFault::Refused(_)) => refused,
            _ => fault,
        })
    }

    fn hear(&self, within: Duration, at: &'static str) -> Result<ToOld, HandoverFault> {
        let (message, _): (_, Vec<OwnedFd>) = self.channel.receive(Instant::now() + within, at)?;
        match message {
            ToOld::Refused { why } => Err(HandoverFault::Refused(why)),
            message => Ok(message),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
