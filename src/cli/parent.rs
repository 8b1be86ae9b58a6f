//! The program as process 1 of a container. When that one ends, everything there does: so it serves nobody, and stays. It starts the
//! process that serves, passes signals on to it, waits for whatever is left to it, and ends as that one does.
//!
//! After a hand-over (`pinfold upgrade`) another process serves, which the one before has named, in the words of sd_notify(3).
//! Nobody else is believed: the kernel says who writes. What else it says is passed on to whoever looks after the container.

use std::ffi::OsString;
use std::io::{self, IoSliceMut, Read as _, Write as _, stderr};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use super::supervisor::{NOTIFY_SOCKET, send};

/// As long as systemd takes them.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What is meant for the process that serves.
const PASSED_ON: [Signal; 8] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::USR1,
    Signal::USR2,
    Signal::QUIT,
    Signal::WINCH,
    Signal::CONT,
];
/// Of a process that a signal ended, as shells have it.
const EXIT_BY_SIGNAL: i32 = 128;

/// Whether this process must not be the one that serves.
pub(super) fn is_wanted(is_refused: bool) -> bool {
    std::process::id() == 1 && !is_refused
}

/// Until whoever serves ends: the exit code is its.
pub(super) fn run() -> ExitCode {
    match Parent::start().and_then(Parent::look_after) {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            // Nothing else is left to be done about it.
            let _ = writeln!(
                stderr(),
                "error: as process 1 the program cannot look after the one that serves: {fault}. --no-parent does without"
            );
            ExitCode::FAILURE
        }
    }
}

struct Parent {
    /// Who serves.
    serving: Pid,
    notified: UnixDatagram,
    woken: UnixStream,
    asked: Vec<(Signal, Arc<AtomicBool>)>,
    /// To whom that is passed on which is not for this process.
    above: Option<OsString>,
}

impl Parent {
    fn start() -> io::Result<Parent> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let mut asked = Vec::new();
        for signal in PASSED_ON {
            let flag = Arc::<AtomicBool>::default();
            flag::register(signal.as_raw(), flag.clone())?;
            pipe::register(signal.as_raw(), wake.try_clone()?)?;
            asked.push((signal, flag));
        }
        pipe::register(Signal::CHILD.as_raw(), wake)?;
        let (notified, name) = notify_socket()?;
        let mut arguments = std::env::args_os();
        let called = arguments.next().unwrap_or_default();
        let child = Command::new(std::env::current_exe()?)
            .arg0(called)
            .args(arguments)
            .env(NOTIFY_SOCKET, format!("@{name}"))
            // A terminal's Ctrl-C is for this process, which passes it on: else it would come twice.
            .process_group(0)
            .spawn()?;
        let serving = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Parent {
            serving: serving.ok_or_else(|| io::Error::other("the process has no number"))?,
            notified,
            woken,
            asked,
            above: std::env::var_os(NOTIFY_SOCKET),
        })
    }

    fn look_after(mut self) -> io::Result<u8> {
        loop {
            self.hear()?;
            for (signal, is_asked) in &self.asked {
                if is_asked.swap(false, Ordering::Relaxed) {
                    // It may have ended: then that is seen next.
                    let _ = kill_process(self.serving, *signal);
                }
            }
            if let Some(code) = self.reap()? {
                return Ok(code);
            }
            let wanted = PollFlags::IN;
            let mut polled = [
                PollFd::from_borrowed_fd(self.woken.as_fd(), wanted),
                PollFd::from_borrowed_fd(self.notified.as_fd(), wanted),
            ];
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
            while self.woken.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        }
    }

    /// Waits for all that have ended: whoever lost its parent is this process's child. The exit code of the one that serves.
    fn reap(&mut self) -> io::Result<Option<u8>> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.serving => {
                    // It may have named another one with its last words.
                    self.hear()?;
                    if pid == self.serving {
                        return Ok(Some(code(status)));
                    }
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(None),
                // Whoever serves ended, and was waited for as another one.
                Err(Errno::CHILD) => return Ok(Some(1)),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// What whoever serves has said by now.
    fn hear(&mut self) -> io::Result<()> {
        while let Some((sender, text)) = receive(&self.notified)? {
            if sender != self.serving {
                continue;
            }
            match successor(&text) {
                Some(pid) => self.serving = pid,
                None => self.pass_on(&text),
            }
        }
        Ok(())
    }

    fn pass_on(&self, text: &str) {
        if let Some(above) = &self.above {
            // Whoever wants to hear it sees to it that it can.
            let _ = send(above, text);
        }
    }
}

/// In no file system: a container may have none that can be written to.
fn notify_socket() -> io::Result<(UnixDatagram, String)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!("pinfold-{:016x}", u64::from_ne_bytes(random));
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    socket.set_nonblocking(true)?;
    set_socket_passcred(&socket, true)?;
    Ok((socket, name))
}

/// The next message, and who sent it. None: there is none now.
fn receive(socket: &UnixDatagram) -> io::Result<Option<(Pid, String)>> {
    loop {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let count = match recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(fault) => return Err(fault.into()),
        };
        let sender = ancillary.drain().find_map(|it| match it {
            RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
            _ => None,
        });
        if let Some(sender) = sender {
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            return Ok(Some((sender, text)));
        }
    }
}

/// Whom a message names as the one who serves from now on.
fn successor(text: &str) -> Option<Pid> {
    let pid = text.lines().find_map(|it| it.strip_prefix("MAINPID="))?;
    let pid = pid.parse::<u32>().ok()?;
    Pid::from_raw(pid.try_into().ok()?)
}

fn code(status: WaitStatus) -> u8 {
    let code = status.exit_status();
    let by_signal = || Some(EXIT_BY_SIGNAL + status.terminating_signal()?);
    let code = code.or_else(by_signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_else_than_was_named_to_serve() {
        let named = |text| successor(text).map(Pid::as_raw_pid);
        assert_eq!(named("MAINPID=17\n"), Some(17));
        assert_eq!(named("READY=1\nMAINPID=17\n"), Some(17));
        for nobody in [
            "READY=1\n",
            "MAINPID=\n",
            "MAINPID=0\n",
            "MAINPID=-1\n",
            "XMAINPID=1\n",
        ] {
            assert_eq!(named(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_sender_that_is_taken_for_another_one() {
        let (socket, name) = notify_socket().expect("a socket");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let sender = UnixDatagram::unbound().expect("a socket");
        sender
            .send_to_addr(b"READY=1\n", &address)
            .expect("it is bound");
        let (pid, text) = receive(&socket).expect("it works").expect("it is there");
        assert_eq!(
            (pid, text.as_str()),
            (rustix::process::getpid(), "READY=1\n")
        );
        assert!(receive(&socket).expect("it works").is_none());
    }
}
