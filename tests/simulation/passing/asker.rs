//! One client: what it asked on which connection, and what must be true of all that it gets.

use std::collections::VecDeque;

use serde_json::json;

use super::line::End;
use crate::support::node::SocketId;
use crate::support::{Answer, Item, Request};

/// What is asked, of which session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ping,
    Call,
    Stream,
    Delete,
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) id: u64,
    pub(super) session: SessionOf,
    pub(super) at: u64,
}

/// A session, and who has it.
#[derive(Clone, Debug)]
pub(super) struct SessionOf {
    pub(super) id: String,
    pub(super) owner: End,
    /// Of the process that has it.
    pub(super) incarnation: u64,
}

/// A connection of a client to a node.
pub(super) struct Wire {
    pub(super) station: usize,
    pub(super) socket: SocketId,
    pub(super) asked: VecDeque<Asked>,
    pub(super) streaming: Option<Asked>,
    /// The number of the last message that came on its stream.
    pub(super) delivered: Option<u64>,
    pub(super) stalled: bool,
    /// It takes nothing, or did once: the node may give it up.
    pub(super) was_stalled: bool,
    /// When its client last read something while there was more to come.
    pub(super) took_at: u64,
    pub(super) ended: bool,
    /// An answer said that it is the last one.
    pub(super) closes: bool,
}

/// What came on a wire, as far as the whole convoy has to judge it.
pub(super) enum Came {
    Answer(Asked, Answer),
    StreamEnd,
}

/// What a call's answer carries: as long as the number says, and different for each.
pub(super) fn pad_of(id: u64) -> String {
    let length = (id * 7919 % 3_000) as usize;
    let letter = char::from(b'a' + (id % 26) as u8);
    format!("{id}{}", letter.to_string().repeat(length))
}

pub(super) fn request(kind: &Kind, id: u64, session: &str) -> Request {
    match kind {
        Kind::Ping => Request::ping(session, id),
        Kind::Call => {
            let filler = "f".repeat((id * 104_729 % 4_000) as usize);
            let params = json!({"name": "t", "arguments": {"who": id, "filler": filler}});
            Request::call(session, id, "tools/call", params)
        }
        Kind::Stream => Request::get(session),
        Kind::Delete => Request::delete(session),
    }
}

impl Wire {
    pub(super) fn new(station: usize, socket: SocketId) -> Self {
        Wire {
            station,
            socket,
            asked: VecDeque::new(),
            streaming: None,
            delivered: None,
            stalled: false,
            was_stalled: false,
            took_at: 0,
            ended: false,
            closes: false,
        }
    }

    /// Judges one thing that came, by itself.
    pub(super) fn take(&mut self, item: Item) -> Option<Came> {
        match item {
            Item::Answer(answer) if answer.status == 100 => None,
            Item::Answer(answer) => {
                let asked = self.asked.pop_front().expect("an answer to a request");
                self.closes |= answer.field("connection") == Some("close");
                if answer.field("content-type") == Some("text/event-stream") {
                    assert!(matches!(asked.kind, Kind::Stream | Kind::Call));
                    (self.streaming, self.delivered) = (Some(asked), None);
                    return None;
                }
                Some(Came::Answer(asked, answer))
            }
            Item::StreamEnd => {
                self.streaming.take().expect("a stream was open");
                Some(Came::StreamEnd)
            }
            Item::Frame(frame) => {
                let streaming = self.streaming.as_ref().expect("a stream is open");
                if !frame.is_message() {
                    return None;
                }
                let message = frame.json();
                if message["method"] == "notifications/message" {
                    let number = message["params"]["data"].as_u64().expect("a number");
                    let next = self
                        .delivered
                        .is_none_or(|delivered| number == delivered + 1);
                    assert!(next, "{number} after {:?}", self.delivered);
                    self.delivered = Some(number);
                } else {
                    assert_eq!(streaming.kind, Kind::Call, "{message}");
                    check_result(streaming.id, &message);
                }
                None
            }
        }
    }

    /// The request whose answer is awaited first.
    pub(super) fn first(&self) -> Option<&Asked> {
        self.streaming.as_ref().or(self.asked.front())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.first().is_none()
    }
}

pub(super) fn check_result(id: u64, message: &serde_json::Value) {
    assert_eq!(
        message["id"].as_u64(),
        Some(id),
        "somebody else's: {message}"
    );
    assert_eq!(
        message["result"]["pad"],
        pad_of(id),
        "not what was answered"
    );
}
