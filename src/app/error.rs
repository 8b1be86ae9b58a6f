//! How a method of an application can end without its result.

use std::fmt;

use super::call::AskFailed;
use crate::mcp::RpcError;
use crate::mcp::types::JsonObject;

/// Made by `?` from any `std::error::Error`: an [`RpcError`] stays what it is, everything else is
/// [`Error::Failed`] with its text, which the client gets to see.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The answer is this JSON-RPC error.
    Rpc(RpcError),
    /// What was asked could not be done. From a tool it is a result with `isError`, so that the model sees the
    /// text and can react; from anything else an internal error (-32603).
    Failed(String),
    /// The arguments of a tool do not fit its schema, and how. A result with `isError` since 2025-11-25, so that the
    /// model can mend its call; -32602 before, and from anything but a tool.
    WrongArguments(String),
    /// The client was asked and gave no answer. Treated like [`Error::Failed`] unless the caller handles it.
    Unanswered(AskFailed),
    /// Not a failure: the call ends here, and starts again when the client brings the answers. Let it pass.
    InputRequired(Interruption),
    /// Not a failure: an extension's result, with a `resultType` of its own, in place of the method's.
    Instead(JsonObject),
}

/// Proof that the context has noted what the client must bring; made by the context only.
#[derive(Debug)]
pub struct Interruption(pub(super) ());

impl Error {
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Error::Failed(text.into())
    }

    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Error::Rpc(RpcError::invalid_params(message.into()))
    }

    /// A tool or prompt that is not there: -32602 in every revision.
    #[must_use]
    pub fn unknown(kind: &str, name: &str) -> Self {
        Self::invalid_params(format!("Unknown {kind}: {name}"))
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error> = Box::new(error);
        match error.downcast::<RpcError>() {
            Ok(rpc) => Error::Rpc(*rpc),
            Err(other) => Error::Failed(other.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Rpc(error) => error.fmt(f),
            Error::Failed(text) => f.write_str(text),
            Error::WrongArguments(fault) => write!(f, "Invalid arguments: {fault}"),
            Error::Unanswered(AskFailed::Error(error)) => {
                write!(f, "The client refused: {}", error.message)
            }
            Error::Unanswered(AskFailed::TimedOut) => {
                f.write_str("The client did not answer in time")
            }
            Error::Unanswered(AskFailed::NotSent) => {
                f.write_str("The client was not asked: it has not read what was sent to it before")
            }
            Error::Unanswered(AskFailed::SessionClosed) => {
                f.write_str("The session ended before the client answered")
            }
            Error::InputRequired(_) => f.write_str("The client's input is required"),
            Error::Instead(_) => f.write_str("Answered by an extension"),
        }
    }
}
