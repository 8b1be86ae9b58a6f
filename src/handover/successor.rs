//! The old process's side: it starts the new one and hands it everything, or ends it and goes on.

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::words::{
    HandoverFault, ListenerFacts, NodeFacts, NodePart, Sealed, ToNew, ToOld, check_formats,
};
use crate::limits::{THREAD_HANGS_AFTER_LOOKS, THREAD_LOOK_EVERY_MS};
use crate::runtime::{CORE_ANSWERS_WITHIN, DESCRIPTORS_AT_ONCE};

/// Says to the new process whose child it is: that the channel is its standard input. Whatever it starts itself is not meant.
pub(super) const VARIABLE: &str = "PINFOLD_SUCCESSOR_OF";

/// For the new process to read its configuration and say that it is there.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// For its threads and its application to be made.
const PREPARED_WITHIN: Duration = Duration::from_secs(30);
/// For a part of the node to be taken over while everything goes on: some megabytes.
const PART_TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// From when everything stands still: for all that is sent to be taken and understood. Together with what cores had to stand still,
/// it is less than it takes the watchdog to count a core as hanging.
const PAUSE_MAX: Duration = Duration::from_secs(3);
const _: () = assert!(
    PAUSE_MAX.as_millis() + CORE_ANSWERS_WITHIN.as_millis()
        < (THREAD_LOOK_EVERY_MS * THREAD_HANGS_AFTER_LOOKS as u64) as u128
);
/// For the new process to say that it serves. It does so whether it is heard or not.
const SERVING_WITHIN: Duration = Duration::from_secs(10);
/// Between the end of its side of the channel and its own, for a process that exits.
const EXIT_WITHIN: Duration = Duration::from_secs(1);
const EXIT_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Which program takes over, and with which arguments.
#[derive(Clone, Debug)]
pub(crate) struct SuccessorProgram {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// What became of the new process after it was told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It said that it serves, and since when: by the monotonic clock of the machine, in nanoseconds.
    Since(Option<u64>),
    /// It said nothing so far.
    Unsaid,
    /// It has ended. Nobody serves.
    Ended,
}

/// A new process that has not taken over yet. Dropped, it is ended.
pub(crate) struct SuccessorProcess {
    channel: Channel,
    child: RefCell<Option<Child>>,
    /// Of the new program.
    pub(crate) version: String,
}

impl SuccessorProcess {
    /// Starts the new process, and waits until it is there.
    ///
    /// # Errors
    /// It does not start, or cannot take over.
    pub(crate) fn start(program: &SuccessorProgram) -> Result<SuccessorProcess, HandoverFault> {
        let system = |what| move |fault| HandoverFault::System(what, fault);
        let (channel, theirs) = Channel::pair().map_err(system("there is no channel"))?;
        let child = Command::new(&program.program)
            .args(&program.arguments)
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(theirs))
            .spawn()
            .map_err(system("the new process does not start"))?;
        let mut successor = SuccessorProcess {
            channel,
            child: RefCell::new(Some(child)),
            version: String::new(),
        };
        let at = "before it said that it is there: is this a pinfold that can take over?";
        let ToOld::Hello(hello) = successor.hear(Instant::now() + HELLO_WITHIN, at)? else {
            return Err(HandoverFault::Unexpected("that it is there"));
        };
        check_formats(hello.format, hello.reads_from)?;
        successor.version = hello.version;
        Ok(successor)
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
        match self.hear(until, "before its threads waited")? {
            ToOld::Prepared => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it is prepared")),
        }
    }

    /// Some of what the node has; returns when the new process has taken it over. `pause_end`: everything stands still, until then
    /// at most.
    ///
    /// # Errors
    /// It is gone, or does not take it, and says why.
    pub(crate) fn send_part(
        &self,
        part: NodePart,
        state: BorrowedFd<'_>,
        pause_end: Option<Instant>,
    ) -> Result<(), HandoverFault> {
        let until = pause_end.unwrap_or_else(|| Instant::now() + PART_TAKEN_WITHIN);
        self.tell(&ToNew::Part(part), &[state], until)?;
        match self.hear(until, "before it had taken what the node has")? {
            ToOld::Taken => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it has taken a part")),
        }
    }

    /// Descriptors of connections that a core still serves: no more than go with one message.
    ///
    /// # Errors
    /// The new process is gone, or takes nothing.
    pub(crate) fn send_ahead(
        &self,
        core: u16,
        keys: Vec<(u32, u32)>,
        sockets: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverFault> {
        let until = Instant::now() + PART_TAKEN_WITHIN;
        self.tell(&ToNew::Ahead { core, keys }, sockets, until)
    }

    /// From when everything stands still: until then all of it has to be there and understood, or it goes on here.
    #[must_use]
    pub(crate) fn pause_end() -> Instant {
        Instant::now() + PAUSE_MAX
    }

    /// # Errors
    /// The new process is gone, or takes nothing.
    pub(crate) fn send_core(
        &self,
        core: u16,
        state: BorrowedFd<'_>,
        sockets: &[BorrowedFd<'_>],
        until: Instant,
    ) -> Result<(), HandoverFault> {
        self.tell(&ToNew::Core { core }, &[state], until)?;
        for descriptors in sockets.chunks(DESCRIPTORS_AT_ONCE) {
            self.tell(&ToNew::Sockets { core }, descriptors, until)?;
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
        match self.hear(until, "before it had understood everything")? {
            ToOld::Ready => Ok(()),
            _ => Err(HandoverFault::Unexpected("that it is ready")),
        }
    }

    /// It serves from now on, and this process does nothing more.
    ///
    /// # Errors
    /// It was not told, and does not take over.
    pub(crate) fn commit(&self, until: Instant) -> Result<Served, HandoverFault> {
        self.tell(&ToNew::Go, &[], until)?;
        let heard = self.hear(Instant::now() + SERVING_WITHIN, "before it served");
        // Whatever becomes of it, it is not this process's to end any more.
        drop(self.child.take());
        Ok(match heard {
            Ok(ToOld::Serving { since_ns }) => Served::Since(since_ns),
            Err(HandoverFault::Ended(..)) => Served::Ended,
            _ => Served::Unsaid,
        })
    }

    /// Of the new process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.borrow().as_ref().map(Child::id)
    }

    fn tell(
        &self,
        message: &ToNew,
        descriptors: &[BorrowedFd<'_>],
        until: Instant,
    ) -> Result<(), HandoverFault> {
        let told = self.channel.send(message, descriptors, until);
        // It may have said why before it went.
        told.map_err(
            |fault| match self.hear(Instant::now(), "when it was told something") {
                Err(known @ (HandoverFault::Refused(_) | HandoverFault::Ended(..))) => known,
                _ => fault,
            },
        )
    }

    fn hear(&self, until: Instant, at: &'static str) -> Result<ToOld, HandoverFault> {
        let heard = self.channel.receive(until, at);
        let (message, _): (_, Vec<OwnedFd>) = heard.map_err(|fault| self.ended(fault))?;
        match message {
            ToOld::Refused { why } => Err(HandoverFault::Refused(why)),
            message => Ok(message),
        }
    }

    /// How it ended, if that is why it is gone.
    fn ended(&self, fault: HandoverFault) -> HandoverFault {
        let mut child = self.child.borrow_mut();
        let (HandoverFault::Gone(at), Some(child)) = (&fault, &mut *child) else {
            return fault;
        };
        let until = Instant::now() + EXIT_WITHIN;
        while Instant::now() < until {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(EXIT_LOOK_EVERY),
                Ok(Some(status)) => return HandoverFault::Ended(status, at),
                Err(_) => break,
            }
        }
        fault
    }
}

impl Drop for SuccessorProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
