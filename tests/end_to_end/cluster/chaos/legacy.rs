//! A client of 2025-06-18: a session, its subscriptions and its stream, which it resumes where it was. Some keep the
//! proxy's cookie, some have no jar.

use serde_json::{Value, json};

use super::super::client::{Answer, try_delete};
use super::super::stream::Stream;
use super::follower::Follower;
use super::verdict::Known;
use super::world::now;

pub(super) struct State {
    has_jar: bool,
    cookie: Option<String>,
    session: Option<Known>,
    /// Where it usually asks.
    home: &'static str,
    last_id: String,
}

impl State {
    pub(super) fn new(has_jar: bool) -> State {
        State {
            has_jar,
            cookie: None,
            session: None,
            home: "Traefik",
            last_id: String::new(),
        }
    }

    pub(super) fn tell(&self) -> String {
        let jar = if self.has_jar { "with" } else { "without" };
        let node = self
            .session
            .as_ref()
            .map_or("no node", |it| it.node.as_str());
        format!(
            "a legacy client {jar} a cookie jar, by way of {}, with a session of {node}",
            self.home
        )
    }

    pub(super) fn note_id(&mut self, stream: &Stream) {
        if !stream.last_id.is_empty() {
            self.last_id.clone_from(&stream.last_id);
        }
    }

    /// A session if it has none, and its stream.
    pub(super) fn connect(&mut self, of: &mut Follower) {
        if self.session.is_none() && !self.open(of) {
            return;
        }
        let Some(session) = self.session.clone() else {
            return;
        };
        let place = of.world.place(self.somewhere(of));
        let mut fields = self.fields(place.name);
        if !self.last_id.is_empty() {
            fields.push(("Last-Event-ID", self.last_id.clone()));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        let asked = now();
        let stream = Stream::try_of_session(place.address, &session.id, &fields);
        let status = stream.as_ref().map_or(0, Stream::status);
        of.note_status(place, status);
        match stream {
            Some(stream) if status == 200 => {
                of.write_down(format!(
                    "has a stream by {}, from {:?}",
                    place.name, self.last_id
                ));
                if self.last_id.is_empty() {
                    of.begin_anew();
                } else {
                    let how = match place.name == self.home {
                        true => "resumed",
                        false => "resumed by another way",
                    };
                    of.world.count("streams", how);
                }
                of.stream = Some(stream);
            }
            Some(mut stream) if status == 404 => {
                let body = stream.refusal();
                if of.is_gone(&session, place, asked, &body) {
                    self.forget(of);
                }
            }
            _ => {}
        }
    }

    /// At most often where it was before.
    fn somewhere(&self, of: &mut Follower) -> &'static str {
        match of.random.below(3) {
            0 => of.somewhere(),
            _ => self.home,
        }
    }

    fn open(&mut self, of: &mut Follower) -> bool {
        self.home = of.somewhere();
        let place = of.world.place(self.home);
        let fields = self.fields(place.name);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "pinfold-chaos", "version": "1"},
        }});
        let asked = now();
        let Some(answer) = of.ask(place, &fields, &body) else {
            return false;
        };
        if answer.status == 404 {
            of.note_lost_way(place, asked);
        }
        let Some(id) = answer.field("mcp-session-id") else {
            return false;
        };
        of.world.count("sessions", "opened");
        of.write_down(format!("has session {id} by {}", place.name));
        self.session = Some(Known::new(id, now()));
        self.keep_cookie(&answer);
        of.uris.clone().iter().all(|uri| {
            let params = json!({"uri": uri});
            let answer = self.request(of, self.home, "resources/subscribe", params);
            let is_done = answer.is_some_and(|answer| answer.status == 200);
            if !is_done {
                // It begins anew with another one.
                self.session = None;
            }
            is_done
        })
    }

    fn fields(&self, place: &str) -> Vec<(&'static str, String)> {
        let cookie = self.cookie.iter().filter(|_| place == "Traefik");
        cookie.map(|it| ("Cookie", it.clone())).collect()
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        let set = answer.field("set-cookie").filter(|_| self.has_jar);
        let cookie = set.and_then(|set| set.split(';').next());
        self.cookie = cookie.map(str::to_owned).or(self.cookie.take());
    }

    /// In its session, which is over if the answer says so.
    fn request(
        &mut self,
        of: &mut Follower,
        name: &str,
        method: &str,
        params: Value,
    ) -> Option<Answer> {
        let session = self.session.clone()?;
        let place = of.world.place(name);
        let mut fields = self.fields(place.name);
        fields.push(("Mcp-Session-Id", session.id.clone()));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let asked = now();
        let answer = of.ask(place, &fields, &body)?;
        self.keep_cookie(&answer);
        if answer.status == 404 && of.is_gone(&session, place, asked, &answer.body) {
            self.forget(of);
        }
        Some(answer)
    }

    pub(super) fn read(&mut self, of: &mut Follower, uri: &str) -> Option<Answer> {
        let name = self.somewhere(of);
        self.request(of, name, "resources/read", json!({"uri": uri}))
    }

    /// True if it was answered in its session.
    pub(super) fn ping(&mut self, of: &mut Follower) -> bool {
        let name = of.somewhere();
        let answer = self.request(of, name, "ping", json!({}));
        let is_answered = answer.is_some_and(|it| it.status == 200);
        if is_answered {
            of.world.count("pings", "answered");
        }
        is_answered
    }

    /// Deletes its session, and asks once more for it.
    pub(super) fn end_session(&mut self, of: &mut Follower) {
        let Some(session) = &mut self.session else {
            return;
        };
        let place = of.world.place(of.somewhere());
        let asked = now();
        session.deleted = Some(asked);
        let known = session.clone();
        let answer = try_delete(&place.mcp, &known.id);
        of.note_status(place, answer.as_ref().map_or(0, |it| it.status));
        let Some(answer) = answer else {
            // Whether it was deleted is not known: 404 `expired` is as right as 200.
            return;
        };
        let is_gone = answer.status == 404 && of.is_gone(&known, place, asked, &answer.body);
        if answer.status < 300 {
            of.world.count("sessions", "deleted");
            let hung_ms = of
                .world
                .timeline()
                .hung_ms(&known.node, (known.opened, now()));
            // What a node that hangs is told of it does not hear.
            if self.ping(of) && hung_ms == 0 {
                of.world
                    .fail(&format!("session {} was deleted, and goes on", known.id));
            }
        }
        if is_gone || answer.status < 300 {
            self.forget(of);
        }
    }

    fn forget(&mut self, of: &mut Follower) {
        self.session = None;
        self.last_id = String::new();
        of.stream = None;
        of.begin_anew();
        of.write_down("has no session any more");
    }
}
