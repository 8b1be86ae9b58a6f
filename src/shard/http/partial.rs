//! A request whose head came and whose body is still arriving: what is there of it, and what was decided at its head.

pub(super) mod travel;

use std::rc::Rc;

use super::Refused;
use super::documents::PublicDocument;
use crate::clients::Client;
use crate::principal::Identity;
use crate::wire::Malformed;
use crate::wire::chunked::{ChunkedDecoder, Decoded};
use crate::wire::http1::Head;
use crate::wire::json_scan::JsonScan;
use crate::wire::peer_question::PeerQuestion;

/// A request whose body is still arriving.
pub(in crate::shard) struct Partial {
    pub(super) head: Head,
    pub(super) head_bytes: Box<[u8]>,
    /// What arrived so far, decoded. Grows with what the client sends, not with what it announces.
    pub(super) body: Vec<u8>,
    /// Of `body`.
    pub(super) scan: JsonScan,
    pub(super) remaining: Remaining,
    /// What was decided at its head, and is told when its body is there.
    pub(super) verdict: HeadVerdict,
}

/// How a request is answered, once its body is there.
pub(super) enum HeadVerdict {
    Admitted(Sender),
    Refused(Box<Refused>),
    /// A field comes twice that must not.
    Ambiguous,
    /// It asks for the node's health.
    Probe,
    /// Another node asks for an operator there.
    Question(Box<PeerQuestion>),
    /// It asks for something that anybody may read.
    Document(Rc<PublicDocument>),
}

/// Of whom a request was let in.
#[derive(Clone, Default)]
pub(super) struct Sender {
    /// None: nobody is asked who they are.
    pub(super) identity: Option<Rc<Identity>>,
    /// Where it comes from, as far as somebody says who is believed: its client by address, also if that is a principal.
    pub(super) from: Option<Client>,
    /// Of the rules by which it was.
    pub(super) epoch: u64,
}

pub(super) enum Remaining {
    Length(usize),
    Chunked(ChunkedDecoder),
}

impl HeadVerdict {
    /// Whose request was let in, and by which epoch of the rules.
    pub(super) fn identity(&self) -> Option<(&Rc<Identity>, u64)> {
        match self {
            HeadVerdict::Admitted(sender) => Some((sender.identity.as_ref()?, sender.epoch)),
            _ => None,
        }
    }

    /// Of a request that is served here.
    pub(super) fn sender(&self) -> Sender {
        match self {
            HeadVerdict::Admitted(sender) => sender.clone(),
            _ => Sender::default(),
        }
    }
}

impl Partial {
    /// How many bytes were taken, and whether the body is complete now.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        body_bytes_max: usize,
    ) -> Result<(usize, bool), Malformed> {
        match &mut self.remaining {
            Remaining::Length(missing) => {
                let count = input.len().min(*missing);
                // Twice as much as there is, as a vector does, but no more than there will be.
                if self.body.capacity() - self.body.len() < count {
                    let enough = (2 * self.body.len()).max(count).min(*missing);
                    self.body.reserve_exact(enough);
                }
                self.body.extend_from_slice(&input[..count]);
                *missing -= count;
                Ok((count, *missing == 0))
            }
            Remaining::Chunked(decoder) => {
                let Decoded { used, finished } =
                    decoder.decode(input, &mut self.body, body_bytes_max)?;
                Ok((used, finished))
            }
        }
    }
}
