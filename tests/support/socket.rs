//! A fake socket: two byte queues, and how much the kernel takes of what is written.

use std::collections::VecDeque;
use std::net::IpAddr;

use pinfold::PrincipalId;
use pinfold::internals::shard::{Closed, ConnectionKey};

use super::reader::Reader;

pub struct Socket {
    pub core: usize,
    pub peer: Option<IpAddr>,
    /// Whose it is, if all that asks there is somebody's.
    pub principal: Option<PrincipalId>,
    /// `None` while it is on its way to another core, and when the server is done with it.
    pub key: Option<ConnectionKey>,
    /// Sent by the client, not read by the server yet.
    pub sent: VecDeque<u8>,
    /// The server wants to read.
    pub reading: bool,
    /// Bytes the kernel still takes before the client reads some.
    pub room: usize,
    /// A write that the kernel did not take whole.
    pub unwritten: VecDeque<u8>,
    /// Taken by the kernel, not read by the client yet.
    pub arrived: VecDeque<u8>,
    pub half_closed: bool,
    pub closed: Option<Closed>,
    /// The client sends nothing after `sent`, and the server was told so.
    pub ended: bool,
    pub end_seen: bool,
    /// The client closed or broke off.
    pub client_left: bool,
    pub reader: Reader,
    /// Topic events in the order in which they were written here, each with what its core had heard of by then.
    pub delivered: Vec<(String, u64)>,
}

impl Socket {
    pub fn new(core: usize, peer: Option<IpAddr>, key: ConnectionKey) -> Self {
        Socket {
            core,
            peer,
            principal: None,
            key: Some(key),
            sent: VecDeque::new(),
            reading: true,
            room: usize::MAX,
            unwritten: VecDeque::new(),
            arrived: VecDeque::new(),
            half_closed: false,
            closed: None,
            ended: false,
            end_seen: false,
            client_left: false,
            reader: Reader::default(),
            delivered: Vec::new(),
        }
    }

    /// True if the kernel took everything.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        assert!(
            self.unwritten.is_empty(),
            "two writes at once on one socket"
        );
        assert!(!self.half_closed, "bytes after the half-close");
        self.unwritten.extend(bytes);
        self.push_on();
        self.unwritten.is_empty()
    }

    /// The kernel takes what it has room for. True if that was something.
    pub fn push_on(&mut self) -> bool {
        let count = self.room.min(self.unwritten.len());
        self.arrived.extend(self.unwritten.drain(..count));
        if self.room != usize::MAX {
            self.room -= count;
        }
        count > 0
    }

    /// The client reads at most `count` bytes, which makes room for as many.
    pub fn read(&mut self, count: usize) {
        let count = count.min(self.arrived.len());
        let bytes: Vec<u8> = self.arrived.drain(..count).collect();
        if self.room != usize::MAX {
            self.room += count;
        }
        self.reader.read(&bytes);
    }

    /// Nothing more can come of it.
    pub fn is_over(&self) -> bool {
        self.half_closed || self.closed.is_some()
    }
}
