//! Connections between nodes: bytes under way in both directions, and ends that break.

use std::collections::VecDeque;

pub(super) type LineId = usize;

/// A node that takes connections, or the one that the test plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Station(usize),
    Played,
}

pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: End,
    /// The process of the node that it was opened to.
    pub(super) incarnation: u64,
    /// Sent by the node in between, not taken by the owner yet.
    pub(super) up: VecDeque<u8>,
    pub(super) down: VecDeque<u8>,
    /// How much the kernel takes of what goes up.
    pub(super) room: usize,
    pub(super) up_ended: bool,
    pub(super) down_ended: bool,
    /// Reset: whoever reads or writes is told.
    pub(super) broken: bool,
    /// The node in between has closed it.
    pub(super) closed: bool,
    /// The owner has answered a request that had not come whole.
    pub(super) refused: bool,
    /// The owner has seen its end.
    pub(super) is_over: bool,
    /// The owner's socket for it, when it has been accepted.
    pub(super) landed: Option<usize>,
}

#[derive(Default)]
pub(super) struct Network {
    pub(super) lines: Vec<Line>,
}

/// The connection is broken.
pub(super) struct Reset;

impl Network {
    pub(super) fn open(&mut self, from: usize, to: End, incarnation: u64) -> LineId {
        self.lines.push(Line {
            from,
            to,
            incarnation,
            up: VecDeque::new(),
            down: VecDeque::new(),
            room: usize::MAX,
            up_ended: false,
            down_ended: false,
            broken: false,
            closed: false,
            refused: false,
            is_over: false,
            landed: None,
        });
        self.lines.len() - 1
    }
}

impl Line {
    /// How many bytes the kernel took.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        assert!(!self.up_ended && !self.closed, "sent after its end");
        if self.broken {
            return Err(Reset);
        }
        let count = bytes.len().min(self.room.saturating_sub(self.up.len()));
        self.up.extend(&bytes[..count]);
        Ok(count)
    }

    /// What the owner says. Behind a reset nothing comes: the rest of an answer whose beginning is lost would be taken for the whole.
    pub(super) fn say(&mut self, bytes: impl Iterator<Item = u8>) {
        if !self.broken {
            self.down.extend(bytes);
        }
    }

    /// `None`: there is nothing. Empty: it is the end.
    pub(super) fn receive(&mut self, count: usize) -> Result<Option<Vec<u8>>, Reset> {
        if !self.down.is_empty() {
            let count = count.min(self.down.len());
            return Ok(Some(self.down.drain(..count).collect()));
        }
        match (self.broken, self.down_ended) {
            (true, _) => Err(Reset),
            (_, true) => Ok(Some(Vec::new())),
            _ => Ok(None),
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.down.is_empty() && !self.broken && !self.down_ended
    }

    /// Nothing more can come of it for the owner.
    pub(super) fn closed_at_both(&self) -> bool {
        self.closed && self.is_over
    }

    /// Reset, and what was under way is lost.
    pub(super) fn cut(&mut self) {
        self.broken = true;
        self.down.clear();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.down.clear();
    }
}

#[test]
fn what_comes_behind_a_reset() {
    let mut network = Network::default();
    let line = network.open(0, End::Played, 0);
    let line = &mut network.lines[line];
    line.say(b"the beginning".iter().copied());
    line.cut();
    line.say(b"the rest".iter().copied());
    assert!(line.receive(usize::MAX).is_err());
}
