//! Answers of clients to what the server asked them.

use serde_json::value::RawValue;

use super::{Engine, EngineOutput, ExchangeOwner, Refused, SessionKey, Wire};
use crate::app::call::AskFailed;
use crate::limits::LOOK_ON_CORE_BYTES_MAX;
use crate::mcp::RpcError;
use crate::wire::integer::to_u32;

impl Engine {
    /// An answer to a request of ours. One that nobody waits for is ignored: it came too late.
    ///
    /// # Errors
    /// There is no room for it, and whoever waits for it goes on waiting.
    pub(super) fn take_response(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        session: SessionKey,
        id: &str,
        outcome: Result<&RawValue, &RawValue>,
    ) -> Result<(), Refused> {
        let Some(id) = to_u32(id) else {
            return Ok(());
        };
        let Some(session) = self.sessions.get(session) else {
            return Ok(());
        };
        let waiting = session.calls.iter().copied().find(|call| {
            self.calls
                .get(*call)
                .is_some_and(|state| state.asks.iter().any(|ask| ask.id == id))
        });
        let Some(call) = waiting else { return Ok(()) };
        let (Ok(answered) | Err(answered)) = outcome;
        self.charge_more(wire, call, answered)?;
        if let Some(state) = self.calls.get_mut(call) {
            state.asks.retain(|ask| ask.id != id);
        }
        let answer = match outcome {
            Ok(result) => Ok(result.to_owned()),
            Err(error) => Err(AskFailed::Error(client_error(error))),
        };
        self.outputs.push_back(EngineOutput::Answered {
            call,
            ask: id,
            answer,
        });
        Ok(())
    }
}

fn client_error(raw: &RawValue) -> RpcError {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Error<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
    }
    let error: Error<'_> = match raw.get().len() {
        0..=LOOK_ON_CORE_BYTES_MAX => serde_json::from_str(raw.get()).unwrap_or_default(),
        _ => Error::default(),
    };
    let code = error.code.and_then(|code| code.get().parse().ok());
    let message = error
        .message
        .and_then(|message| serde_json::from_str::<String>(message.get()).ok());
    RpcError::new(
        code.unwrap_or(RpcError::INTERNAL_ERROR),
        message.unwrap_or_else(|| "the client's error has no message".to_owned()),
    )
}
