//! One simulated client: what it believes, and what must be true of all that it receives.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use serde_json::Value;

use crate::support::node::Node;
use crate::support::{self, Answer, Frame, Item, Random, client};
use crate::wire::Wire;

/// A request under way: what its answer is checked against.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Initialize,
    /// 202, or an answer with this id; of this session, if of any.
    Plain {
        id: Option<u64>,
        session: String,
    },
    /// `settled`: how many unsubscribes of the URI had happened when it was sent.
    Subscribe {
        uri: String,
        id: u64,
        session: String,
        settled: Option<usize>,
    },
    Unsubscribe {
        uri: String,
        id: u64,
        session: String,
    },
    Call {
        id: u64,
        session: Option<String>,
    },
    Get {
        session: String,
        /// The last message that the client had read when it asked.
        delivered: u64,
    },
    /// A GET for the rest of a call's answer.
    Resume {
        id: u64,
    },
    Listen {
        id: u64,
        topics: Vec<String>,
    },
    /// Refused, with any status.
    Garbage,
}

/// A call as its client sees it.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) answered: bool,
    /// Nothing can be said about it any more: cancelled, refused, or its connection broke.
    pub(crate) void: bool,
    progress: u64,
    pub(crate) last_id: Option<String>,
    /// Its stream ended or broke before the answer.
    pub(crate) interrupted: bool,
    /// Its client came back for the answer.
    pub(crate) resumed: bool,
}

/// In place of an answer that was too large to be kept.
const NOT_KEPT: &str = "answer_not_kept";

pub(crate) struct Peer {
    pub(crate) number: usize,
    /// `None`: 2026-07-28.
    pub(crate) version: Option<&'static str>,
    /// Whose requests it sends, if anybody asks.
    pub(crate) name: Option<&'static str>,
    pub(crate) session: Option<String>,
    pub(crate) opening: bool,
    pub(crate) wires: Vec<Wire>,
    pub(crate) last_id: Option<String>,
    /// Sends `Last-Event-ID`.
    pub(crate) resumes: bool,
    /// Topics it is surely subscribed to, each with the offset from which on.
    pub(crate) wanted: HashMap<String, u64>,
    /// The last message that this session was told.
    pub(crate) delivered: u64,
    /// How many unsubscribes of a URI were sent, and how many of them answered. Others may arrive at any time.
    pub(crate) unsubscribed: HashMap<String, (usize, usize)>,
    /// Topics it ever asked for.
    pub(crate) asked: HashSet<String>,
    /// The newest state of each topic that it was told of.
    pub(crate) heard: HashMap<String, u64>,
    pub(crate) requests: HashMap<u64, Request>,
    ids: HashMap<String, String>,
    pub(crate) deleted: HashSet<String>,
    pub(crate) next_id: u64,
}

pub(crate) const LISTS: [&str; 3] = [
    "tools/list_changed",
    "prompts/list_changed",
    "resources/list_changed",
];

impl Peer {
    pub(crate) fn new(
        number: usize,
        version: Option<&'static str>,
        resumes: bool,
        name: Option<&'static str>,
    ) -> Self {
        Peer {
            number,
            version,
            name,
            session: None,
            opening: false,
            wires: Vec::new(),
            last_id: None,
            resumes,
            wanted: HashMap::new(),
            delivered: 0,
            unsubscribed: HashMap::new(),
            asked: HashSet::new(),
            heard: HashMap::new(),
            requests: HashMap::new(),
            ids: HashMap::new(),
            deleted: HashSet::new(),
            next_id: 1,
        }
    }

    /// Where it connects from: nobody knows, an address that it shares with others, or a proxy.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.number % 3 {
            0 => None,
            1 => Some([203, 0, 113, 1].into()),
            _ => Some([127, 0, 0, 1].into()),
        }
    }

    /// As the proxy passes it on, if there is one: for a client of many.
    pub(crate) fn passed_on(
        &self,
        request: &support::Request,
        random: &mut Random,
    ) -> support::Request {
        let request = &self.shown(request);
        if self.address().is_none_or(|it| !it.is_loopback()) || random.one_in(4) {
            return request.clone();
        }
        let client = format!("203.0.113.{}", 1 + random.below(3));
        request.clone().with("X-Forwarded-For", &client)
    }

    /// Reads what arrived on one wire, and believes it.
    pub(crate) fn take(&mut self, node: &mut Node, wire: usize, count: usize) {
        let socket = self.wires[wire].socket;
        node.take(socket, count);
        while let Some(item) = node.sockets[socket].reader.items.pop_front() {
            if let Item::Answer(answer) = &item {
                node.met.insert(format!(
                    "{} {}",
                    answer.status,
                    answer.field("content-type").unwrap_or("")
                ));
            }
            self.take_item(node, wire, item);
        }
    }

    fn take_item(&mut self, node: &Node, index: usize, item: Item) {
        let wire = &mut self.wires[index];
        match item {
            Item::Answer(answer) if answer.status == 100 => {}
            Item::Answer(answer) => {
                if answer.status == 408 {
                    // The network was too slow: the connection ends, and what was asked is lost with it.
                    wire.excused = true;
                    return;
                }
                let expected = wire.expected.pop_front().expect("an answer to a request");
                wire.excused |= matches!(expected, Expected::Garbage);
                if answer.field("content-type") == Some("text/event-stream") {
                    if let Expected::Get { delivered, .. } = expected {
                        wire.delivered = delivered;
                    }
                    wire.streaming = Some(expected);
                } else {
                    self.take_answer(node, &expected, &answer);
                }
            }
            Item::StreamEnd => {
                let ended = wire.streaming.take().expect("a stream was open");
                self.stream_ended(&ended);
            }
            Item::Frame(frame) if frame.comment => {}
            Item::Frame(frame) => self.take_frame(node, index, &frame),
        }
    }

    fn take_answer(&mut self, node: &Node, expected: &Expected, answer: &Answer) {
        let status = answer.status;
        match expected {
            Expected::Initialize => {
                self.opening = false;
                if status == 200 {
                    self.begin_session(node, answer.field("mcp-session-id").expect("a session id"));
                } else {
                    assert_eq!(status, 503, "{answer:?}");
                }
            }
            Expected::Plain { session, .. }
            | Expected::Subscribe { session, .. }
            | Expected::Unsubscribe { session, .. }
            | Expected::Get { session, .. }
                if status == 404 =>
            {
                assert!(
                    self.deleted.contains(session),
                    "a session was lost: {answer:?}"
                );
            }
            Expected::Plain { id: None, .. } => assert!(matches!(status, 202 | 204), "{answer:?}"),
            // A batch, whatever is in it.
            Expected::Plain { id: Some(_), .. } if status == 429 => {
                assert_eq!(self.version, Some("2025-03-26"))
            }
            Expected::Plain { id: Some(id), .. } => {
                assert_eq!((status, answer.json()["id"].as_u64()), (200, Some(*id)));
            }
            Expected::Unsubscribe { uri, id, session } => {
                assert_eq!((status, answer.json()["id"].as_u64()), (200, Some(*id)));
                if self.session.as_ref() == Some(session) {
                    self.unsubscribed.entry(uri.clone()).or_default().1 += 1;
                }
            }
            Expected::Subscribe {
                uri,
                id,
                session,
                settled,
            } => {
                assert_eq!((status, answer.json()["id"].as_u64()), (200, Some(*id)));
                let sure = settled.is_some() && *settled == self.settled(uri);
                if sure && self.session.as_ref() == Some(session) && !self.wanted.contains_key(uri)
                {
                    self.wanted.insert(uri.clone(), node.offset);
                }
            }
            Expected::Call { id, session } => {
                self.take_call_answer(*id, session.as_deref(), answer)
            }
            Expected::Resume { id } => {
                assert!(matches!(status, 404 | 405), "{answer:?}");
                self.requests.entry(*id).or_default().void = true;
            }
            Expected::Garbage => assert!((400..500).contains(&status), "{answer:?}"),
            Expected::Get { .. } | Expected::Listen { .. } => panic!("{expected:?} got {answer:?}"),
        }
    }

    fn take_call_answer(&mut self, id: u64, session: Option<&str>, answer: &Answer) {
        if answer.status == 200 {
            return self.take_response(id, &answer.json());
        }
        let gone = session.is_some_and(|session| self.deleted.contains(session));
        assert!(
            answer.status == 429 || (answer.status == 404 && gone),
            "{answer:?}"
        );
        assert_eq!(answer.json()["id"].as_u64().unwrap_or(id), id);
        self.requests.entry(id).or_default().void = true;
    }

    fn begin_session(&mut self, node: &Node, id: &str) {
        self.session = Some(id.to_owned());
        self.last_id = None;
        self.wanted = LISTS
            .iter()
            .map(|topic| ((*topic).to_owned(), node.offset))
            .collect();
        self.asked = self.wanted.keys().cloned().collect();
        self.unsubscribed.clear();
        self.heard.clear();
        self.ids.clear();
    }

    /// A response reaches nobody but who asked, says what was asked for, and comes once.
    fn take_response(&mut self, id: u64, message: &Value) {
        assert_eq!(
            message["id"].as_u64(),
            Some(id),
            "somebody else's answer: {message}"
        );
        let who = self.who(id);
        let request = self.requests.get_mut(&id).expect("it was asked");
        if message["error"]["data"]["reason"] == NOT_KEPT {
            assert!(request.resumed, "it was there all the time: {message}");
        } else {
            assert_eq!(message["result"]["who"], who, "{message}");
        }
        assert!(!request.answered, "answered twice: {message}");
        request.answered = true;
    }

    /// How many unsubscribes of this URI have happened; `None` if one may still be on its way.
    pub(crate) fn settled(&self, uri: &str) -> Option<usize> {
        let (sent, answered) = self.unsubscribed.get(uri).copied().unwrap_or_default();
        (sent == answered).then_some(sent)
    }

    pub(crate) fn who(&self, id: u64) -> String {
        format!("{}-{id}", self.number)
    }

    fn stream_ended(&mut self, ended: &Expected) {
        match ended {
            Expected::Call { id, .. } | Expected::Resume { id } => {
                let request = self.requests.entry(*id).or_default();
                request.interrupted = !request.answered;
            }
            Expected::Get { .. } | Expected::Plain { .. } => {}
            _ => panic!("a stream that never ends ended: {ended:?}"),
        }
    }

    fn take_frame(&mut self, node: &Node, index: usize, frame: &Frame) {
        let streaming = self.wires[index]
            .streaming
            .clone()
            .expect("a stream is open");
        // Sessions of different cores may have the same number: of one session ids are unique.
        if self.deleted.is_empty()
            && frame.is_message()
            && let (Some(id), Some(data)) = (&frame.id, &frame.data)
            && let Some(before) = self.ids.insert(id.clone(), data.clone())
        {
            let same = &before == data || data.contains(NOT_KEPT);
            assert!(same, "the id {id} names two events: {before} {data}");
        }
        match &streaming {
            Expected::Get { session, .. } => {
                assert_ne!(frame.id, None, "an event of a session has an id");
                self.check_is_not_anothers(node, frame);
                if self.session.as_ref() == Some(session) {
                    self.last_id.clone_from(&frame.id);
                    self.take_topic(node, index, frame, None);
                    // What an id stands for is what its own stream had carried.
                    self.delivered = self.wires[index].delivered;
                } else if frame.is_message() && client::is_topic_event(&frame.json()) {
                    // Of a session that this client has left; what is next on this connection counts on.
                    self.wires[index].events += 1;
                }
            }
            Expected::Listen { id, topics } => {
                self.take_listen_frame(node, index, frame, *id, topics)
            }
            Expected::Call { id, .. } | Expected::Resume { id } => self.take_call_frame(*id, frame),
            Expected::Plain { .. } => {}
            _ => panic!("{streaming:?} is no stream"),
        }
    }

    fn take_listen_frame(
        &mut self,
        node: &Node,
        index: usize,
        frame: &Frame,
        id: u64,
        topics: &[String],
    ) {
        assert!(
            frame.id.is_none() && frame.retry.is_none(),
            "nothing to resume in this era: {frame:?}"
        );
        let message = frame.json();
        let subscription = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(subscription.as_u64(), Some(id), "{message}");
        if message["method"] == "notifications/subscriptions/acknowledged" {
            assert_eq!(self.wires[index].events, 0);
            let floor = node.offset;
            self.wanted
                .extend(topics.iter().map(|topic| (topic.clone(), floor)));
        } else {
            assert!(
                topics.iter().all(|topic| self.wanted.contains_key(topic)),
                "an event before the acknowledgement"
            );
            self.take_topic(node, index, frame, Some(topics));
        }
    }

    fn take_topic(&mut self, node: &Node, index: usize, frame: &Frame, only: Option<&[String]>) {
        if !frame.is_message() {
            return;
        }
        if frame.method() == "notifications/message" {
            let number = frame.json()["params"]["data"].as_u64().expect("a number");
            let delivered = &mut self.wires[index].delivered;
            assert!(
                number > *delivered,
                "told again, or out of order: {number} after {delivered}"
            );
            *delivered = number;
            return;
        }
        let topic = client::topic_of(&frame.json());
        let asked = only.map_or_else(|| self.asked.contains(&topic), |only| only.contains(&topic));
        assert!(asked, "{topic} was never asked for");
        let wire = &mut self.wires[index];
        let (delivered, offset) = &node.sockets[wire.socket].delivered[wire.events];
        assert_eq!(delivered, &topic, "events changed places");
        wire.events += 1;
        let heard = self.heard.entry(topic).or_insert(0);
        // Nothing is told again there: without news for this client it was somebody else's.
        let is_news = only.is_none() || *offset > *heard;
        assert!(is_news, "told of {delivered} for nothing");
        *heard = (*heard).max(*offset);
    }

    fn take_call_frame(&mut self, id: u64, frame: &Frame) {
        let who = self.who(id);
        let legacy = self.version.is_some();
        let request = self.requests.get_mut(&id).expect("it was asked");
        assert_eq!(frame.id.is_some(), legacy, "{frame:?}");
        request.last_id.clone_from(&frame.id);
        if !frame.is_message() {
            assert_eq!(self.version, Some("2025-11-25"), "primed");
            return;
        }
        let message = frame.json();
        match message["method"].as_str() {
            None => self.take_response(id, &message),
            Some("notifications/progress") => {
                assert_eq!(
                    message["params"]["progressToken"].as_str(),
                    Some(who.as_str()),
                    "{message}"
                );
                let progress = message["params"]["progress"].as_u64().expect("a number");
                assert!(
                    progress > request.progress,
                    "repeated or out of order: {message}"
                );
                request.progress = progress;
            }
            Some("notifications/cancelled") => assert!(legacy, "{message}"),
            Some(_) => assert!(legacy && message["id"].is_u64(), "{message}"),
        }
    }

    /// The connection is over, whoever ended it.
    pub(crate) fn lose(&mut self, wire: usize) {
        let wire = self.wires.swap_remove(wire);
        for expected in wire.streaming.into_iter().chain(wire.expected) {
            match expected {
                Expected::Initialize => self.opening = false,
                Expected::Call { id, .. } | Expected::Resume { id } => {
                    let request = self.requests.entry(id).or_default();
                    request.interrupted = !request.answered;
                    request.void |= self.version.is_none() || request.last_id.is_none();
                }
                Expected::Listen { .. } => self.wanted.clear(),
                _ => {}
            }
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        let stays_open =
            |it: &&Expected| matches!(it, Expected::Get { .. } | Expected::Listen { .. });
        let is_ours = |it: &Expected| match it {
            Expected::Get { session, .. } => self.session.as_ref() == Some(session),
            _ => true,
        };
        // Behind the first one nothing is served.
        let first = |wire: &Wire| {
            wire.streaming
                .iter()
                .chain(&wire.expected)
                .find(stays_open)
                .is_some_and(is_ours)
        };
        self.wires.iter().any(first)
    }
}
