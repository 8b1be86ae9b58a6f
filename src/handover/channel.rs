//! The channel between the two processes: whole messages, some with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::words::HandoverFault;
use crate::runtime::DESCRIPTORS_AT_ONCE;

/// Messages are small; what is large is in files that go along.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Before descriptors are sent again that found no room: as many as this process may have open are under way.
const ROOM_AGAIN: Duration = Duration::from_millis(1);

pub(super) struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Both ends; neither is inherited unless somebody sees to that.
    pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Channel { socket: ours }, theirs))
    }

    pub(super) fn of(socket: OwnedFd) -> Channel {
        Channel { socket }
    }

    /// # Errors
    /// The other end is gone, or takes nothing until the deadline.
    pub(super) fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
        until: Instant,
    ) -> Result<(), HandoverFault> {
        let failed = |fault: io::Error| HandoverFault::System("a message could not be sent", fault);
        let bytes = rmp_serde::to_vec_named(message).map_err(|it| failed(io::Error::other(it)))?;
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_ONCE))];
        loop {
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty()
                && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(failed(io::Error::other("too many descriptors")));
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => {
                    self.wait(PollFlags::OUT, until, "when it should have read")?
                }
                Err(Errno::TOOMANYREFS) if Instant::now() < until => std::thread::sleep(ROOM_AGAIN),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    return Err(HandoverFault::Gone("when it was told something"));
                }
                Err(fault) => return Err(failed(fault.into())),
            }
        }
    }

    /// The next message, and what came with it.
    ///
    /// # Errors
    /// The other end is gone, says nothing until the deadline, or something that is no message.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
        until: Instant,
        at: &'static str,
    ) -> Result<(T, Vec<OwnedFd>), HandoverFault> {
        let failed =
            |fault: io::Error| HandoverFault::System("a message could not be received", fault);
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_ONCE))];
        loop {
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut into = [IoSliceMut::new(&mut bytes)];
            let received = recvmsg(&self.socket, &mut into, &mut ancillary, flags);
            let count = match received {
                Ok(message) if message.bytes == 0 => return Err(HandoverFault::Gone(at)),
                // The kernel gives what has a place, and says no more than this of the others.
                Ok(message) if message.flags.contains(ReturnFlags::CTRUNC) => {
                    return Err(HandoverFault::NoDescriptors);
                }
                Ok(message) => message.bytes,
                Err(Errno::AGAIN) => {
                    self.wait(PollFlags::IN, until, at)?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Err(HandoverFault::Gone(at)),
                Err(fault) => return Err(failed(fault.into())),
            };
            let mut descriptors = Vec::new();
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            let message = rmp_serde::from_slice(&bytes[..count]);
            let message = message.map_err(|it| failed(io::Error::other(it)))?;
            return Ok((message, descriptors));
        }
    }

    fn wait(&self, what: PollFlags, until: Instant, at: &'static str) -> Result<(), HandoverFault> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HandoverFault::Silent(at));
        }
        let left = Timespec::try_from(left).map_err(|_| HandoverFault::Silent(at))?;
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), what)];
        match poll(&mut polled, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(fault) => Err(HandoverFault::System(
                "the other process cannot be waited for",
                fault.into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    use crate::runtime::memory_file;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn descriptors_that_are_lost_or_change_their_order() {
        let (here, there) = Channel::pair().expect("a socket");
        let there = Channel::of(there);
        let files: Vec<File> = (0..DESCRIPTORS_AT_ONCE)
            .map(|number| {
                let text = number.to_string();
                memory_file::write("test", text.as_bytes()).expect("there is room")
            })
            .collect();
        let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        here.send(&"all", &borrowed, soon()).expect("it is sent");
        let (said, received): (String, _) = there.receive(soon(), "now").expect("it is there");
        assert_eq!(
            (said.as_str(), received.len()),
            ("all", DESCRIPTORS_AT_ONCE)
        );
        for (number, descriptor) in received.into_iter().enumerate() {
            let text = memory_file::read(File::from(descriptor)).expect("a file");
            assert_eq!(text, number.to_string().into_bytes());
        }
    }

    /// More than the buffer has a place for, which is the same to the kernel as a process that may have no more.
    #[test]
    fn descriptors_that_do_not_arrive_and_are_not_missed() {
        let (here, there) = Channel::pair().expect("a socket");
        let files = [here.socket.as_fd(); 253];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&files)));
        let text = rmp_serde::to_vec_named("all").expect("a text");
        let sent = sendmsg(
            &here.socket,
            &[IoSlice::new(&text)],
            &mut ancillary,
            SendFlags::empty(),
        );
        assert!(sent.is_ok(), "{sent:?}");
        let received = Channel::of(there).receive::<String>(soon(), "now");
        let fault = received.expect_err("some are missing").to_string();
        assert!(fault.contains("LimitNOFILE="), "{fault}");
    }

    #[test]
    fn an_end_that_is_waited_for_for_ever() {
        let (here, there) = Channel::pair().expect("a socket");
        let now = Instant::now();
        let silent = here
            .receive::<String>(now, "at the test")
            .expect_err("nothing comes");
        assert!(matches!(silent, HandoverFault::Silent(_)), "{silent}");
        drop(there);
        let gone = here
            .receive::<String>(soon(), "at the test")
            .expect_err("it is gone");
        assert!(matches!(gone, HandoverFault::Gone(_)), "{gone}");
        assert!(gone.to_string().contains("at the test"), "{gone}");
        assert!(here.send(&"word", &[], soon()).is_err());
    }
}
