//! A request's body of any length, handed over in pieces as they arrive.

use bytes::BytesMut;
use monoio_codec::{Decoded, Decoder};

use super::framing::{AdminFraming, RequestError};
use crate::wire::chunked::ChunkedDecoder;

/// Decodes one body. Holds no bytes of it.
pub(super) struct LongBody {
    rest: LongBodyRest,
}

enum LongBodyRest {
    /// What is missing.
    Length(u64),
    Chunks(ChunkedDecoder),
    Finished,
}

/// Some bytes of the body, perhaps none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BodyPiece(pub(super) Vec<u8>);

impl LongBody {
    pub(super) fn new(framing: AdminFraming) -> Self {
        let rest = match framing {
            AdminFraming::Length(0) => LongBodyRest::Finished,
            AdminFraming::Length(bytes) => LongBodyRest::Length(bytes),
            AdminFraming::Chunked => LongBodyRest::Chunks(ChunkedDecoder::new()),
        };
        LongBody { rest }
    }

    /// The next byte of the connection is another request's.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.rest, LongBodyRest::Finished)
    }
}

impl Decoder for LongBody {
    type Item = BodyPiece;
    type Error = RequestError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Decoded<BodyPiece>, RequestError> {
        if src.is_empty() {
            return Ok(Decoded::Insufficient);
        }
        match &mut self.rest {
            LongBodyRest::Finished => Ok(Decoded::Insufficient),
            LongBodyRest::Length(missing) => {
                let bytes = usize::try_from(*missing).map_or(src.len(), |all| all.min(src.len()));
                *missing -= bytes as u64;
                if *missing == 0 {
                    self.rest = LongBodyRest::Finished;
                }
                Ok(Decoded::Some(BodyPiece(src.split_to(bytes).to_vec())))
            }
            LongBodyRest::Chunks(decoder) => {
                let mut piece = Vec::with_capacity(src.len());
                let decoded = decoder.decode(src, &mut piece, usize::MAX).map_err(|_| {
                    RequestError::Request(400, "The body is not chunked as RFC 9112 has it.")
                })?;
                let _ = src.split_to(decoded.used);
                if decoded.finished {
                    self.rest = LongBodyRest::Finished;
                }
                Ok(Decoded::Some(BodyPiece(piece)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body in `input`, which arrives `step` bytes at a time, and what is left over.
    fn feed(framing: AdminFraming, input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), u16> {
        let mut body = LongBody::new(framing);
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for bytes in input.chunks(step) {
            buffer.extend_from_slice(bytes);
            if !body.is_finished() {
                match body.decode(&mut buffer) {
                    Ok(Decoded::Some(BodyPiece(piece))) => found.extend(piece),
                    Ok(_) => unreachable!("there is always a piece"),
                    Err(RequestError::Request(status, _)) => return Err(status),
                    Err(RequestError::Io(error)) => panic!("{error}"),
                }
            }
        }
        assert!(body.is_finished());
        Ok((found, buffer.to_vec()))
    }

    #[test]
    fn a_body_cut_at_every_byte() {
        let chunks = b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\nGET";
        for step in 1..=chunks.len() {
            let expected = Ok((b"abcd".to_vec(), b"GET".to_vec()));
            assert_eq!(
                feed(AdminFraming::Chunked, chunks, step),
                expected,
                "{step}"
            );
            assert_eq!(feed(AdminFraming::Length(4), b"abcdGET", step), expected);
        }
        assert_eq!(
            feed(AdminFraming::Length(0), b"G", 1),
            Ok((vec![], b"G".into()))
        );
    }

    #[test]
    fn chunks_that_are_none() {
        for wrong in [
            "+1\r\nx",
            "1\nx",
            "1\r\nxy",
            "\r\n",
            "11111111111111111\r\n",
        ] {
            assert_eq!(
                feed(AdminFraming::Chunked, wrong.as_bytes(), 64),
                Err(400),
                "{wrong:?}"
            );
        }
    }
}
