//! Admission: decided once for each request, when its head is complete.
//!
//! The order is: is it for another core, must somebody find out about it first ([`Admission::Wait`]), is its
//! body of a size that is taken, can two parties read it in two ways, is it a question about the node's health, is it another node's (`questions`), is it for a
//! document that anybody may read, and then its path, `Host`, `Origin`, who passed it on, and who sent it. A refusal is sent when the body is there, so that the connection goes
//! on. Of a large body alone nothing more is read.
//!
//! Some requests need an answer from elsewhere first: where the session is, or who asks (`identify`).
//! [`UpperLayer::place`] and [`UpperLayer::ask`] do that. The request waits, unread beyond its head, until a word
//! comes back ([`Http::handle_word`]). Then it is admitted anew, with the word beside it.

use super::connection::{Connection, ConnectionState};
use super::identify::NotLetIn;
use super::partial::{HeadVerdict, Sender};
use super::{ConnectionKey, Destination, Http, HttpOutput, Refused, RequestFields, UpperLayer};
use crate::clients::Client;
use crate::wire::HeadView;
use crate::wire::forwarded::{FORWARDED, FORWARDED_CLIENT, FORWARDED_LINE_BYTES_MAX};
use crate::wire::http1::{self, Framing, HeadLimits, Method};

/// What is to become of a request.
pub(super) enum Admission {
    /// It is answered here, by the engine or without it.
    Here(HeadVerdict),
    /// Nothing of its body is read, and the connection ends with the answer.
    Unread(Refused),
    /// Its connection moves to this core.
    Move(u16),
    /// Somebody is asked first.
    Wait,
    /// Somebody was asked who sent it.
    Asked,
}

impl<U: UpperLayer> Http<U> {
    pub(super) fn admit(
        &mut self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
        upper: &U,
    ) -> Admission {
        match upper.place(fields) {
            Destination::Core(core) => return Admission::Move(core),
            Destination::Elsewhere if self.may_wait(key, head, fields) => {
                self.identify(key, head);
                let from = self.connections.get(key).and_then(|it| it.client);
                return match self.who_asks(key, head, fields) {
                    Ok(_) => {
                        // The session's node finds out itself who it is. It is told where the request comes from.
                        if let Some(connection) = self.connections.get_mut(key) {
                            connection.client = from;
                        }
                        Admission::Wait
                    }
                    Err(NotLetIn::Asked) => Admission::Asked,
                    Err(NotLetIn::Refused(refused)) => {
                        Admission::Here(HeadVerdict::Refused(refused))
                    }
                };
            }
            Destination::Elsewhere | Destination::Here => {}
        }
        if !self.fits(head) {
            return Admission::Unread(self.body_too_large());
        }
        Admission::Here(if fields.is_ambiguous() {
            HeadVerdict::Ambiguous
        } else if self.probed(head).is_some() {
            HeadVerdict::Probe
        } else if let Some(question) = self.peer_question(head, fields) {
            HeadVerdict::Question(question)
        } else if let Some(found) = self.find_document(head, fields) {
            self.identify(key, head);
            match found {
                Ok(document) => HeadVerdict::Document(document),
                Err(refused) => HeadVerdict::Refused(Box::new(refused)),
            }
        } else {
            let let_in = self.let_in(key, head, fields).map_err(Box::new);
            let from = self.connections.get(key).and_then(|it| it.client);
            let who = let_in.map_err(NotLetIn::Refused);
            match who.and_then(|()| self.who_asks(key, head, fields)) {
                Ok(identity) => HeadVerdict::Admitted(Sender {
                    identity,
                    from,
                    epoch: self.rules_epoch(),
                }),
                Err(NotLetIn::Refused(refused)) => HeadVerdict::Refused(refused),
                Err(NotLetIn::Asked) => return Admission::Asked,
            }
        })
    }

    /// Path, `Host` and `Origin`, and who passed it on.
    fn let_in(
        &mut self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Result<(), Refused> {
        self.identify(key, head);
        self.gate.admit(head.path(), fields)?;
        self.check_forwarded(key, head, fields)
    }

    /// Requests that are refused for another reason, and those that were passed on or asked about already, are served
    /// here.
    fn may_wait(
        &self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> bool {
        let method = head.head().method;
        let has_no_word = |it: &Connection<U>| it.word.is_none();
        self.connections.get(key).is_some_and(has_no_word)
            && matches!(method, Method::Get | Method::Post | Method::Delete)
            && self.fits(head)
            && (!fields.is_forwarded || self.adopts())
            && self.gate.admit(head.path(), fields).is_ok()
    }

    /// Whether its body is no longer than any may be, as far as is announced.
    fn fits(&self, head: &HeadView<'_>) -> bool {
        match head.head().framing {
            Framing::Length(length) => length <= self.limits.body_bytes_max as u64,
            Framing::None | Framing::Chunked => true,
        }
    }

    /// Whether a request with a large body, of which so many bytes are announced, is worth waiting for: there is room for
    /// it, and nothing in its head will have it refused. Then the verdict stands.
    pub(super) fn admit_large(
        &mut self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
        verdict: HeadVerdict,
        announced: usize,
        upper: &mut U,
    ) -> Result<HeadVerdict, Refused> {
        let verdict = match verdict {
            HeadVerdict::Refused(refused) => return Err(*refused),
            HeadVerdict::Ambiguous
            | HeadVerdict::Probe
            | HeadVerdict::Question(_)
            | HeadVerdict::Document(_) => {
                self.let_in(key, head, fields)?;
                verdict
            }
            HeadVerdict::Admitted(_) => verdict,
        };
        if head.head().method == Method::Post {
            let connection = self.connections.get(key);
            let word = connection.and_then(|it| it.word);
            let client = connection.and_then(|it| it.client);
            let principal = verdict.identity().map(|it| it.0.id());
            upper.foresee(word, principal, client, fields)?;
        }
        match self.could_hold(key, announced, upper) {
            true => Ok(verdict),
            false => Err(Refused::out_of_memory()),
        }
    }

    /// Earlier answers leave from here first; until then the request waits in the inbox.
    pub(super) fn wait(&mut self, key: ConnectionKey, fields: &RequestFields<'_>, upper: &mut U) {
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.is_writing()
        {
            connection.state = ConnectionState::ExpectWord;
            connection.since = now;
            upper.ask(key, fields);
        }
    }

    /// What was found out about a request that waits. Too late if its client is gone.
    pub(in crate::shard) fn handle_word(&mut self, key: ConnectionKey, word: U::Word) {
        let now = self.now;
        if let Some(connection) = self.waiting(key) {
            connection.state = ConnectionState::ExpectHead(None);
            connection.since = now;
            connection.word = Some(word);
            self.freed.push_back(key);
        }
    }

    /// The same, found out before its connection came here.
    pub(in crate::shard) fn tell_before(&mut self, key: ConnectionKey, word: U::Word) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.word = Some(word);
        }
    }

    /// A request that waits leaves for another node, with its connection and what was read of it.
    pub(in crate::shard) fn handle_leave(&mut self, key: ConnectionKey) {
        let Some(connection) = self.waiting(key) else {
            return;
        };
        let (mut bytes, client) = (connection.take_inbox(), connection.client);
        self.prove_proxied(key, &mut bytes);
        if let Some(ticket) = self.remove_with_ticket(key) {
            self.outputs.push_back(HttpOutput::Forward {
                connection: key,
                bytes,
                client,
                ticket,
            });
        }
    }

    /// The same for another core.
    pub(in crate::shard) fn handle_leave_for(&mut self, key: ConnectionKey, core: u16) {
        let Some(connection) = self.waiting(key) else {
            return;
        };
        let bytes = connection.take_inbox();
        if let Some(ticket) = self.remove_with_ticket(key) {
            self.stats.moves += 1;
            self.outputs.push_back(HttpOutput::Move {
                connection: key,
                core,
                bytes,
                ticket,
            });
        }
    }

    /// Whether a request that waits says that another node passed it on.
    pub(in crate::shard) fn was_passed_on(&self, key: ConnectionKey) -> bool {
        let Some(connection) = self.connections.get(key).filter(|_| self.adopts()) else {
            return false;
        };
        let limits = HeadLimits {
            head_bytes_max: self.limits.head_bytes_max + self.forwarded_bytes_max(),
            target_bytes_max: self.limits.target_bytes_max,
        };
        let bytes = connection.inbox();
        match http1::parse_head(bytes, 0, &limits) {
            Ok(Some(head)) => self.fields_of(&head, bytes).is_forwarded,
            Ok(None) | Err(_) => false,
        }
    }

    /// Sessions of other nodes may be here: what these pass on may be for one of those.
    fn adopts(&self) -> bool {
        self.neighbours.as_ref().is_some_and(|it| it.adopts)
    }

    fn waiting(&mut self, key: ConnectionKey) -> Option<&mut Connection<U>> {
        if self.waits_for_identity(key) {
            return None;
        }
        let waits = |it: &&mut Connection<U>| matches!(it.state, ConnectionState::ExpectWord);
        self.connections.get_mut(key).filter(waits)
    }

    /// What a head may have beyond its limit: a node that passes it on adds its word to it.
    pub(super) fn forwarded_bytes_max(&self) -> usize {
        let neighbours = self.neighbours.as_ref();
        match neighbours.is_some_and(|it| it.secret.is_some()) {
            true => FORWARDED_LINE_BYTES_MAX + self.proxied_bytes_max(),
            false => 0,
        }
    }

    /// Who says that a node passed a request on proves it.
    fn check_forwarded(
        &mut self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Result<(), Refused> {
        if !fields.is_forwarded {
            return Ok(());
        }
        let Some(neighbours) = &self.neighbours else {
            return Ok(());
        };
        let session = fields.session_text().unwrap_or_default();
        let word = head.single(FORWARDED).ok().flatten();
        let proven = neighbours
            .secret
            .as_ref()
            .zip(word)
            .and_then(|(secret, word)| {
                let from = secret.verify(word, session)?;
                // A client may have sent one of its own.
                let mut words = head.fields_named(FORWARDED_CLIENT);
                Some(words.find_map(|word| secret.verify_client(word, from, session)))
            });
        let Some(client) = proven else {
            self.outputs.push_back(HttpOutput::Forged);
            return Err(forged());
        };
        // Nodes of the version before do not say whose it is.
        self.is_named(key, client.map(Client::of));
        Ok(())
    }
}

fn forged() -> Refused {
    let sentence = "Pinfold-Forwarded does not come from a node of this cluster. Clients leave it out; nodes share \
                    one --peer-secret-file.";
    Refused::with_reason(403, "forged_forward", sentence)
}
