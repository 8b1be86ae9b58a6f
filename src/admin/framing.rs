//! Where a body ends, and why a connection does.

use monoio_http::h1::codec::decoder::DecodeError;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminFraming {
    Length(u64),
    Chunked,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The bytes are wrong or too many: answer, then close.
    Request(u16, &'static str),
    Io(std::io::Error),
}

impl From<std::io::Error> for RequestError {
    fn from(error: std::io::Error) -> Self {
        RequestError::Io(error)
    }
}

impl From<DecodeError> for RequestError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Io(error) => RequestError::Io(error),
            _ => RequestError::Request(400, "This is not HTTP/1.1 as RFC 9112 has it."),
        }
    }
}
