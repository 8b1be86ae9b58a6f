//! What clients do, one random thing after the other.

use serde_json::json;

use crate::peer::{Expected, LISTS};
use crate::support::Request;
use crate::support::node::Breakage;
use crate::wire::Wire;
use crate::world::{URIS, World, topic};

impl World {
    pub(crate) fn act(&mut self, peer: usize) {
        match (self.peers[peer].version, self.peers[peer].session.clone()) {
            (None, _) => self.act_modern(peer),
            (Some(version), None) if !self.peers[peer].opening => {
                self.peers[peer].opening = true;
                self.send(peer, &Request::initialize(version), Expected::Initialize);
            }
            (Some(_), None) => {}
            (Some(version), Some(session)) => self.act_legacy(peer, version, session),
        }
    }

    fn act_modern(&mut self, peer: usize) {
        let id = self.next_id(peer);
        match self.random.below(5) {
            0 => self.call(peer, id),
            1 => self.garbage(peer),
            _ if !self.peers[peer].is_listening() => self.listen(peer, id),
            _ => {}
        }
    }

    fn listen(&mut self, peer: usize, id: u64) {
        let uris: Vec<String> = (3..3 + URIS)
            .filter(|_| self.random.one_in(2))
            .map(|uri| topic(uri).0)
            .collect();
        let tools = self.random.one_in(2);
        let mut topics = uris.clone();
        topics.extend(tools.then(|| LISTS[0].to_owned()));
        self.peers[peer].heard.clear();
        self.peers[peer].wanted.clear();
        let request = Request::listen(
            id,
            json!({"toolsListChanged": tools, "resourceSubscriptions": uris}),
        );
        self.send(peer, &request, Expected::Listen { id, topics });
    }

    fn act_legacy(&mut self, peer: usize, version: &str, session: String) {
        let id = self.next_id(peer);
        match self.random.below(24) {
            0..=3 => self.pings(peer, &session),
            4..=7 => self.call(peer, id),
            8..=10 => {
                let (uri, _) = topic(3 + self.random.below(URIS));
                self.peers[peer].asked.insert(uri.clone());
                let params = json!({"uri": uri});
                let request = Request::call(&session, id, "resources/subscribe", params);
                let settled = self.peers[peer].settled(&uri);
                self.send(
                    peer,
                    &request,
                    Expected::Subscribe {
                        uri,
                        id,
                        session,
                        settled,
                    },
                );
            }
            11 => self.unsubscribe(peer, id, session),
            12..=17 if !self.peers[peer].is_listening() || self.random.one_in(4) => {
                self.get(peer, session)
            }
            18..=19 => self.resume_call(peer, &session),
            20 => self.cancel(peer, session),
            21 => self.garbage(peer),
            22 if version == "2025-03-26" => {
                let batch = json!([{"jsonrpc": "2.0", "id": id, "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"}]);
                let request = Request::post(&batch).session(&session);
                self.send(
                    peer,
                    &request,
                    Expected::Plain {
                        id: Some(id),
                        session,
                    },
                );
            }
            23 if self.random.one_in(8) => self.delete(peer, session),
            _ => {}
        }
    }

    fn pings(&mut self, peer: usize, session: &str) {
        for _ in 0..1 + self.random.below(5) {
            let id = self.next_id(peer);
            let expected = Expected::Plain {
                id: Some(id),
                session: session.to_owned(),
            };
            self.send(peer, &Request::ping(session, id), expected);
        }
    }

    fn call(&mut self, peer: usize, id: u64) {
        let who = self.peers[peer].who(id);
        let params = json!({"name": "t", "arguments": {"who": who}});
        let session = self.peers[peer].session.clone();
        let request = match &session {
            Some(session) => Request::call(session, id, "tools/call", params),
            None => Request::modern(id, "tools/call", params),
        };
        self.peers[peer].requests.insert(id, Default::default());
        self.send(peer, &request, Expected::Call { id, session });
    }

    /// Until that is answered it may overtake, or be overtaken by, a subscribe on another connection.
    fn unsubscribe(&mut self, peer: usize, id: u64, session: String) {
        let (uri, _) = topic(3 + self.random.below(URIS));
        self.peers[peer].wanted.remove(&uri);
        self.peers[peer]
            .unsubscribed
            .entry(uri.clone())
            .or_default()
            .0 += 1;
        let request = Request::call(&session, id, "resources/unsubscribe", json!({"uri": uri}));
        self.send(peer, &request, Expected::Unsubscribe { uri, id, session });
    }

    pub(crate) fn get(&mut self, peer: usize, session: String) {
        let mut request = Request::get(&session);
        if let Some(id) = self.peers[peer]
            .last_id
            .clone()
            .filter(|_| self.peers[peer].resumes)
        {
            let off_by_one = self.node.breaks(Breakage::ResumesOffByOne);
            request = request.resume(&if off_by_one { one_further(&id) } else { id });
        }
        let delivered = self.peers[peer].delivered;
        self.send(peer, &request, Expected::Get { session, delivered });
    }

    fn resume_call(&mut self, peer: usize, session: &str) {
        let peer_state = &self.peers[peer];
        let mut waiting: Vec<_> = peer_state
            .requests
            .iter()
            .filter(|(_, it)| it.interrupted && !it.void)
            .collect();
        waiting.sort_by_key(|(id, _)| **id);
        let Some(&(&id, request)) = waiting.first() else {
            return;
        };
        let Some(last_id) = request.last_id.clone() else {
            return;
        };
        let request = self.peers[peer].requests.get_mut(&id);
        let request = request.expect("it is there");
        (request.interrupted, request.resumed) = (false, true);
        self.send(
            peer,
            &Request::get(session).resume(&last_id),
            Expected::Resume { id },
        );
    }

    fn cancel(&mut self, peer: usize, session: String) {
        let mut ids: Vec<u64> = self.peers[peer].requests.keys().copied().collect();
        ids.sort_unstable();
        let Some(&id) = ids.last() else { return };
        self.peers[peer]
            .requests
            .get_mut(&id)
            .expect("it is there")
            .void = true;
        let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let request = Request::post(&message).session(&session);
        self.send(peer, &request, Expected::Plain { id: None, session });
    }

    fn delete(&mut self, peer: usize, session: String) {
        let state = &mut self.peers[peer];
        state.deleted.insert(session.clone());
        state.session = None;
        state.wanted.clear();
        state
            .requests
            .values_mut()
            .for_each(|request| request.void = true);
        self.send(
            peer,
            &Request::delete(&session),
            Expected::Plain { id: None, session },
        );
    }

    /// What is no request, or none that can be served.
    fn garbage(&mut self, peer: usize) {
        let request = match self.random.below(4) {
            0 => Request::post_text("{").session("x"),
            1 => Request::new("PUT"),
            2 => Request::new("GET").with("Mcp-Session-Id", "node-a.AAAA"),
            _ => Request::new("POST").with("Content-Length", "+5"),
        };
        self.send(peer, &request, Expected::Garbage);
    }

    /// On a connection that is there, behind what is under way on it, or on a new one.
    fn send(&mut self, peer: usize, request: &Request, expected: Expected) {
        let request = self.peers[peer].passed_on(request, &mut self.random);
        let usable =
            |wire: &&mut Wire| wire.streaming.is_none() && wire.expected.len() < 8 && !wire.stalled;
        let open = |wire: &&mut Wire| !wire.ended;
        let behind_stream = self.random.one_in(10);
        let wires = &mut self.peers[peer].wires;
        let found = wires
            .iter_mut()
            .rev()
            .filter(open)
            .find(|wire| usable(wire) || (behind_stream && wire.expected.is_empty()));
        if let Some(wire) = found.filter(|_| !self.random.one_in(3)) {
            wire.expected.push_back(expected);
            let socket = &mut self.node.sockets[wire.socket];
            socket.reader.expected.push_back(false);
            socket.sent.extend(request.bytes());
            return;
        }
        let core = self.random.below(self.node.cores.len());
        let Some(socket) = self.node.connect(core, self.peers[peer].address()) else {
            return self.not_sent(peer, expected);
        };
        let mut wire = Wire::new(socket);
        wire.expected.push_back(expected);
        self.peers[peer].wires.push(wire);
        let socket = &mut self.node.sockets[socket];
        socket.principal = self.peers[peer].principal();
        socket.room = *self.random.pick(&[usize::MAX, usize::MAX, 200, 2_000]);
        socket.reader.expected.push_back(false);
        socket.sent.extend(request.bytes());
    }

    /// As if the connection had broken at once.
    fn not_sent(&mut self, peer: usize, expected: Expected) {
        let mut wire = Wire::new(usize::MAX);
        wire.expected.push_back(expected);
        self.peers[peer].wires.push(wire);
        let last = self.peers[peer].wires.len() - 1;
        self.peers[peer].lose(last);
    }
}

/// An event id whose reader knows of one change more.
fn one_further(id: &str) -> String {
    let mut parts: Vec<String> = id.split('.').map(str::to_owned).collect();
    let offset = u64::from_str_radix(&parts[3], 16).expect("an offset");
    parts[3] = format!("{:x}", offset + 1);
    parts.join(".")
}
