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
pub(super) enum Bad {
    /// The bytes are wrong or too many: answer, then close.
    Request(u16, &'static str),
    Io(std::io::Error),
}

impl From<std::io::Error> for Bad {
    fn from(error: std::io::Error) -> Self {
        Bad::Io(error)
    }
}

impl From<DecodeError> for Bad {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Io(error) => Bad::Io(error),
            _ => Bad::Request(400, "This is not HTTP/1.1 as RFC 9112 has it."),
        }
    }
}
