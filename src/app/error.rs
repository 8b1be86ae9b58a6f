//! How a method of an application can end without its result.

use std::fmt;

use super::call::AskFailed;
use crate::mcp::RpcError;
use crate::mcp::types::JsonObject;

/// Made by `?` from whatever becomes a `Box<dyn std::error::Error>`: any `std::error::Error`, `anyhow::Error`, a boxed
/// error, a text. An [`RpcError`] stays what it is, everything else is [`Error::Failed`] with its text, which the client
/// gets to see: of an `anyhow::Error` the outermost context, so say there what a stranger may know. (`{error:#}` is the
/// whole chain: [`Error::failed`]`(format!("{error:#}"))`.)
///
/// ```
/// use pinfold::app::Error;
///
/// fn config(path: &str) -> anyhow::Result<String> {
///     anyhow::Context::context(std::fs::read_to_string(path), "The configuration cannot be read")
/// }
///
/// async fn handler() -> Result<String, Error> {
///     let text = config("/nowhere")?;
///     let first = text.lines().next().ok_or("The configuration is empty")?;
///     Ok(first.to_owned())
/// }
/// ```
///
/// One type is not taken by `?`, for reasons of Rust's coherence rules: `Box<dyn std::error::Error + Send + Sync>`, for
/// which there is `.map_err(`[`Error::boxed`]`)?`.
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
    /// The client's access token is not good for this, and one with these scopes is: of
    /// [`Context::may`](super::Context::may). The client is answered 403, and told to get such a token.
    MissingScope(String),
    /// Not a failure: the call ends here, and starts again when the client brings the answers. Let it pass.
    InputRequired(Interruption),
    /// Not a failure: an extension's result, with a `resultType` of its own, in place of the method's.
    Instead(JsonObject),
}

/// Proof that the context has noted what the client must bring; made by the context only.
#[derive(Debug)]
pub struct Interruption(pub(super) ());

impl Error {
    /// A failure of a tool that the model gets to see, in words that it can act on; elsewhere an internal error.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Error::Failed(text.into())
    }

    /// Of an error that `?` cannot take: a boxed one that is `Send + Sync`.
    #[must_use]
    pub fn boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        let error: Box<dyn std::error::Error> = error;
        error.into()
    }

    /// The request is wrong: JSON-RPC's -32602, with what is wrong in words.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Error::Rpc(RpcError::invalid_params(message.into()))
    }

    /// A tool or prompt that is not there: -32602 in every revision.
    #[must_use]
    pub fn unknown(kind: &str, name: &str) -> Self {
        Error::Rpc(RpcError::unknown(kind, name))
    }
}

/// Not for `std::error::Error` alone: `anyhow::Error` and boxed errors are none. This is never one itself, or the two
/// ways to make it from itself would be in conflict.
impl<E: Into<Box<dyn std::error::Error>>> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error> = error.into();
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
            Error::MissingScope(scopes) => {
                write!(f, "This takes an access token with the scope {scopes}")
            }
            Error::InputRequired(_) => f.write_str("The client's input is required"),
            Error::Instead(_) => f.write_str("Answered by an extension"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(failing: Result<(), Error>) -> String {
        match failing {
            Err(Error::Failed(text)) => text,
            other => panic!("not what was said: {other:?}"),
        }
    }

    #[test]
    fn errors_of_any_make_are_their_text() {
        let anyhow = || Ok(Err(anyhow::anyhow!("cause").context("what was to be done"))?);
        assert_eq!(text(anyhow()), "what was to be done");
        let boxed: Box<dyn std::error::Error> = "boxed".into();
        assert_eq!(text((|| Ok(Err(boxed)?))()), "boxed");
        let sent: Box<dyn std::error::Error + Send + Sync> = "sent".into();
        assert_eq!(text(Err(Error::boxed(sent))), "sent");
        let stays = std::rc::Rc::new("not Send".to_owned());
        #[derive(Debug)]
        struct OfThisThread(std::rc::Rc<String>);
        impl fmt::Display for OfThisThread {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::error::Error for OfThisThread {}
        assert_eq!(text((|| Ok(Err(OfThisThread(stays))?))()), "not Send");
        assert_eq!(text((|| Ok(Err("a text")?))()), "a text");
    }

    #[test]
    fn a_json_rpc_error_stays_one() {
        let failing = || -> Result<(), Error> { Ok(Err(RpcError::method_not_found("x/y"))?) };
        assert!(matches!(failing(), Err(Error::Rpc(error)) if error.code == -32601));
        let boxed: Box<dyn std::error::Error> = Box::new(RpcError::method_not_found("x/y"));
        assert!(matches!(boxed.into(), Error::Rpc(error) if error.code == -32601));
    }
}
