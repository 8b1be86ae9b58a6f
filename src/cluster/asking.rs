//! What operators ask of other nodes: a connection for each question, to where clients connect there. A node that does not
//! answer in time is named to whoever asked, and nobody waits for it longer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::TcpStream;
use monoio::time::timeout;

use super::membership::Membership;
use super::seen::{PeerSeen, PeerState};
use crate::runtime::unix_ms;
use crate::wire::forwarded::PeerSecret;
use crate::wire::http1::Method;
use crate::wire::peer_question::{PeerQuestion, QuestionKey};
use crate::wire::response_head::{ResponseFraming, parse_response_head};
use crate::wire::session_id::{NodeName, Process};

/// For a node to answer: it takes milliseconds, unless it hangs or is cut off.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Questions under way to one node. It answers some at once, and more would only pile up at one that hangs.
const UNDER_WAY_MAX: usize = 8;

/// Of an answer: a thousand sessions are half of a megabyte, with long names some.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// Processes of which is known which number was the last: as many as a node knows.
const ASKED_MAX: usize = 1024;

/// Asks other nodes. For the control thread.
pub(crate) struct PeerAsker {
    membership: Arc<Membership>,
    /// None: nothing is asked of other nodes.
    key: Option<QuestionKey>,
    own: Process,
    numbers: RefCell<QuestionNumbers>,
    under_way: RefCell<HashMap<NodeName, usize>>,
}

/// Status and body, as they came.
pub(crate) type PeerReply = (u16, Vec<u8>);

impl PeerAsker {
    pub(crate) fn new(
        membership: Arc<Membership>,
        secret: Option<&PeerSecret>,
        own: Process,
    ) -> Self {
        PeerAsker {
            membership,
            key: secret.map(QuestionKey::of),
            own,
            numbers: RefCell::new(QuestionNumbers::above(unix_ms())),
            under_way: RefCell::default(),
        }
    }

    /// The other nodes by name, those that are silent among them.
    pub(crate) fn nodes(&self) -> Vec<NodeName> {
        let mut names: Vec<NodeName> = self.peers().iter().map(|it| it.node).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn peers(&self) -> Vec<PeerSeen> {
        let (own, _) = self.own;
        let mut others = self.membership.seen().others;
        others.retain(|it| it.node != own && it.state != PeerState::Restarted);
        others
    }

    /// # Errors
    /// A sentence on why there is no answer.
    pub(crate) async fn ask(
        &self,
        node: NodeName,
        method: Method,
        target: &str,
    ) -> Result<PeerReply, String> {
        if self.key.is_none() {
            return Err("this node asks no others: it was started with --no-forward".to_owned());
        }
        let known = self.peers().into_iter().filter(|it| it.node == node);
        let Some(peer) = known.max_by_key(|it| it.incarnation) else {
            return Err("no node of this name is known here".to_owned());
        };
        let Some(address) = peer.address else {
            return Err(
                "it takes no requests of other nodes: it was started with --no-forward".to_owned(),
            );
        };
        let to = (node, peer.incarnation);
        let silent = match peer.state {
            PeerState::Gone => ", and it writes no heartbeat",
            _ => "",
        };
        let asked = self.ask_at(to, address, method, target, ANSWER_WITHIN);
        let answer = asked.await;
        answer.map_err(|fault| format!("{fault} ({address}){silent}"))
    }

    /// Asks a process where it is.
    ///
    /// # Errors
    /// Why there is no answer; `ConnectionRefused` if no process is there.
    pub(super) async fn ask_at(
        &self,
        to: Process,
        address: SocketAddr,
        method: Method,
        target: &str,
        within: Duration,
    ) -> io::Result<PeerReply> {
        let key = self.key.as_ref();
        let key = key.ok_or_else(|| unreadable("this node asks no others"))?;
        let question = PeerQuestion {
            from: self.own.0,
            incarnation: self.own.1,
            number: self.numbers.borrow_mut().next(to),
            method,
            target: target.into(),
        };
        let request = key.request(&question, to, &address.to_string());
        let request = request.ok_or_else(|| unreadable("nothing can be asked by this method"))?;
        let _under_way = UnderWay::of(self, to.0).ok_or_else(|| {
            unreadable("as many questions as may be are on their way to it: ask again in a moment")
        })?;
        let answer = timeout(within, exchange(address, request.into_bytes()));
        answer.await.unwrap_or_else(|_| {
            let seconds = within.as_secs_f64();
            let sentence = format!("no answer within {seconds} s");
            Err(io::Error::new(io::ErrorKind::TimedOut, sentence))
        })
    }
}

/// Numbers of questions, one after the other to each process: it remembers the last few only, and others are asked meanwhile.
struct QuestionNumbers {
    /// The last one of all.
    last: u64,
    of: HashMap<Process, u64>,
}

impl QuestionNumbers {
    /// Above those of the process in whose place this one goes on, which asked less than a thousand in a millisecond.
    fn above(unix_ms: u64) -> Self {
        QuestionNumbers {
            last: unix_ms * 1_000,
            of: HashMap::new(),
        }
    }

    fn next(&mut self, to: Process) -> u64 {
        if self.of.len() >= ASKED_MAX && !self.of.contains_key(&to) {
            // Whoever is asked again has a number above all that there were.
            self.of.clear();
        }
        let number = self.of.entry(to).or_insert(self.last);
        *number += 1;
        self.last = self.last.max(*number);
        *number
    }
}

/// One of [`UNDER_WAY_MAX`].
struct UnderWay<'a> {
    asker: &'a PeerAsker,
    node: NodeName,
}

impl<'a> UnderWay<'a> {
    fn of(asker: &'a PeerAsker, node: NodeName) -> Option<Self> {
        let mut under_way = asker.under_way.borrow_mut();
        let count = under_way.entry(node).or_default();
        (*count < UNDER_WAY_MAX).then(|| {
            *count += 1;
            UnderWay { asker, node }
        })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = self.asker.under_way.borrow_mut();
        if let Some(count) = under_way.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.node);
            }
        }
    }
}

async fn exchange(address: SocketAddr, request: Vec<u8>) -> io::Result<PeerReply> {
    let mut stream = TcpStream::connect_addr(address).await?;
    stream.write_all(request).await.0?;
    let (mut bytes, mut buffer) = (Vec::new(), Vec::with_capacity(READ_BYTES));
    loop {
        let (read, taken) = stream.read(buffer).await;
        let count = read?;
        bytes.extend_from_slice(&taken[..count]);
        buffer = taken;
        if let Some(reply) = whole(&mut bytes)? {
            return Ok(reply);
        }
        if count == 0 {
            return Err(unreadable("it broke off before its answer was whole"));
        }
    }
}

/// None: there is more to come.
fn whole(bytes: &mut Vec<u8>) -> io::Result<Option<PeerReply>> {
    let head =
        parse_response_head(bytes).map_err(|_| unreadable("what answers there is no node"))?;
    let Some(head) = head else {
        return Ok(None);
    };
    let length = match head.framing {
        ResponseFraming::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        ResponseFraming::None => 0,
        ResponseFraming::Chunked | ResponseFraming::UntilClose => usize::MAX,
    };
    if length > ANSWER_BYTES_MAX {
        return Err(unreadable("its answer is larger than 8 MiB"));
    }
    if bytes.len() < head.len + length {
        return Ok(None);
    }
    let body = bytes.split_off(head.len);
    Ok(Some((head.status, body)))
}

fn unreadable(sentence: &str) -> io::Error {
    io::Error::other(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Result<Option<PeerReply>, String> {
        whole(&mut text.as_bytes().to_vec()).map_err(|it| it.to_string())
    }

    #[test]
    fn an_answer_that_is_taken_before_it_is_whole() {
        let all = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..all.len() {
            assert_eq!(reply(&all[..end]), Ok(None), "{end}");
        }
        assert_eq!(reply(all), Ok(Some((200, b"abc".to_vec()))));
    }

    #[test]
    fn an_answer_without_bounds() {
        let large = "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n";
        let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for text in [large, endless] {
            assert!(reply(text).is_err(), "{text}");
        }
        assert!(reply("SSH-2.0-OpenSSH\r\n").is_err());
    }

    /// Whoever is asked remembers what the process before asked, which had the same name.
    #[test]
    fn a_question_of_a_process_that_goes_on_for_another_one() {
        let to = (NodeName::new("a").expect("a name"), 1);
        let mut before = QuestionNumbers::above(1_000_000);
        let last = (0..100).map(|_| before.next(to)).last().expect("some");
        let mut next = QuestionNumbers::above(1_000_001);
        assert!(next.next(to) > last);
    }

    /// It takes a question late whose number is among the last 64.
    #[test]
    fn a_question_that_is_old_because_others_were_asked() {
        let process = |number: u64| (NodeName::new("a").expect("a name"), number);
        let mut numbers = QuestionNumbers::above(0);
        let first = numbers.next(process(0));
        for other in 1..ASKED_MAX as u64 {
            numbers.next(process(other));
        }
        assert_eq!(numbers.next(process(0)), first + 1);
        let last = numbers.last;
        numbers.next(process(u64::MAX));
        assert!(numbers.next(process(0)) > last, "never a number again");
        assert!(numbers.of.len() <= ASKED_MAX);
    }

    #[test]
    fn a_node_that_hangs_and_is_asked_for_ever() {
        let own = (NodeName::new("a").expect("a name"), 1);
        let asker = PeerAsker::new(Arc::new(Membership::new()), None, own);
        let other = NodeName::new("b").expect("a name");
        let mut held: Vec<_> = (0..UNDER_WAY_MAX)
            .map(|_| UnderWay::of(&asker, other).expect("room"))
            .collect();
        assert!(UnderWay::of(&asker, other).is_none());
        held.pop();
        assert!(UnderWay::of(&asker, other).is_some());
        held.clear();
        assert!(asker.under_way.borrow().is_empty());
    }
}
