//! Whose a client is, where it is asked: what was published for another principal it never hears of.

use pinfold::PrincipalId;

use crate::peer::Peer;
use crate::support::identified::principal;
use crate::support::node::Node;
use crate::support::{Frame, Request, client};

impl Peer {
    pub(crate) fn principal(&self) -> Option<PrincipalId> {
        self.name.map(principal)
    }

    pub(crate) fn shown(&self, request: &Request) -> Request {
        match self.name {
            Some(name) => request.clone().shown_by(name),
            None => request.clone(),
        }
    }

    /// An event's id has the place of what it tells of.
    pub(crate) fn check_is_not_anothers(&self, node: &Node, frame: &Frame) {
        let offset = frame.id.as_ref().and_then(|id| id.split('.').nth(3));
        let offset = offset.and_then(|it| u64::from_str_radix(it, 16).ok());
        if !frame.is_message() || !client::is_topic_event(&frame.json()) {
            return;
        }
        let whose = offset.and_then(|offset| node.directed.get(&offset));
        assert!(
            whose.is_none_or(|whose| Some(*whose) == self.principal()),
            "client {} was told of what was for another: {frame:?}",
            self.number
        );
    }
}
