//! What sessions, streams and calls take of the node's budget.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::keys::StreamKey;
use super::stream::{MESSAGE_OVERHEAD_BYTES, OutgoingMessage, stand_in};
use super::{CallKey, Engine, ExchangeOwner, Millis, Refused, RequestFields, SessionKey, Wire};
use crate::budget::{BudgetExceeded, Charge};
use crate::clients::Client;
use crate::wire::json_scan::JsonScan;

/// How often the text of a call's params is there: the engine's, the handler's, and what it makes of it. The tree comes
/// on top.
const TEXTS_OF_A_CALL: usize = 3;
/// What a call takes in any case: its entry, its future, its id.
const CALL_BYTES: usize = 2048;

impl Engine {
    /// Charges so much to a client, after room was made for it if there was none.
    ///
    /// # Errors
    /// [`BudgetExceeded`]: the other cores are asked to make room, for whoever comes next.
    pub(in crate::shard) fn charge(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        client: Option<Client>,
        count: usize,
    ) -> Result<Charge, BudgetExceeded> {
        let share = self.memory.share_of(client);
        self.memory.check_share(share.as_ref(), count)?;
        if !self.memory.has_room(count) {
            self.make_room(wire, self.memory.needed(count));
        }
        self.memory.charge(share, count)
    }

    /// The charge of a call with these params, of which a tree would take `tree_bytes`.
    ///
    /// # Errors
    /// 503: try again.
    pub(super) fn charge_call(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        client: Option<Client>,
        fields: &RequestFields<'_>,
        params: Option<&RawValue>,
        tree_bytes: usize,
    ) -> Result<Charge, Refused> {
        let text_bytes = params.map_or(0, |params| params.get().len());
        // Its handler may look at them until it ends.
        let fields_bytes = fields.all.as_ref().map_or(0, |all| all.text.len());
        let count = CALL_BYTES + TEXTS_OF_A_CALL * text_bytes + tree_bytes + fields_bytes;
        self.charge(wire, client, count)
            .map_err(|BudgetExceeded| Refused::out_of_memory())
    }

    /// The client's answer to a question of a call comes on top.
    ///
    /// # Errors
    /// 503: try again.
    pub(super) fn charge_more(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        call: CallKey,
        answer: &RawValue,
    ) -> Result<(), Refused> {
        let client = self.calls.get(call).and_then(|state| state.client);
        let text = answer.get();
        let tree_bytes = JsonScan::of(text.as_bytes()).tree_bytes();
        let more = self
            .charge(wire, client, TEXTS_OF_A_CALL * text.len() + tree_bytes)
            .map_err(|BudgetExceeded| Refused::out_of_memory())?;
        if let Some(state) = self.calls.get_mut(call) {
            state.charge.add(more);
        }
        Ok(())
    }

    /// A message that is kept, with its charge.
    pub(super) fn message(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        session: Option<SessionKey>,
        data: &[u8],
    ) -> Result<Rc<OutgoingMessage>, BudgetExceeded> {
        let session = session.and_then(|session| self.sessions.get(session));
        let client = session.and_then(|session| session.client);
        let charge = self.charge(wire, client, data.len() + MESSAGE_OVERHEAD_BYTES)?;
        Ok(OutgoingMessage::new(data, charge))
    }

    /// The same for what is small and must not be lost.
    pub(super) fn small_message(&self, data: &[u8]) -> Rc<OutgoingMessage> {
        let charge = self
            .memory
            .charge_beyond(data.len() + MESSAGE_OVERHEAD_BYTES);
        OutgoingMessage::new(data, charge)
    }

    /// Of what a stream has written it keeps as much as it may.
    pub(super) fn trim(&mut self, key: StreamKey) {
        let (memory, bytes_max) = (&self.memory, self.limits.stream_queue_bytes_max);
        if let Some(stream) = self.streams.get_mut(key) {
            stream.trim(bytes_max, |answer| {
                let data = stand_in(answer)?;
                let charge = memory.charge_beyond(data.len() + MESSAGE_OVERHEAD_BYTES);
                Some(OutgoingMessage::new(&data, charge))
            });
        }
    }

    pub(in crate::shard) fn make_room(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        count: usize,
    ) {
        let memory = Rc::clone(&self.memory);
        let now = self.now;
        let drop_kept = |count| self.drop_kept_answers(count);
        memory.make_room(now, count, drop_kept, |count| wire.end_slow(count));
    }

    /// Answers that are kept for who may come back, the oldest first. A little more goes than is asked for: looking
    /// for them costs a walk over all streams. True: there is as much room now.
    pub(super) fn drop_kept_answers(&mut self, count: usize) -> bool {
        let wanted = count.saturating_add(self.memory.total() / 32);
        let mut kept: Vec<(Millis, StreamKey)> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.kept_bytes() > 0)
            .map(|(key, stream)| {
                // A client that is there now is less likely to come back for what it was sent.
                let since = match stream.exchange {
                    Some(_) => 0,
                    None => stream.interrupted_at,
                };
                (since, key)
            })
            .collect();
        kept.sort_unstable();
        for (_, key) in kept {
            if wanted <= self.memory.free() {
                break;
            }
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            if !stream.is_kept() {
                stream.forget_written();
                continue;
            }
            self.forget_stream(key);
        }
        count <= self.memory.free()
    }
}
