//! Chunked bodies, decoded as they arrive (RFC 9112, 7.1), strictly: what one reader takes for the end of a chunk
//! and another does not is how requests are smuggled.
//!
//! Extensions and trailers are checked, bounded together, and dropped. The decoder holds no bytes.
//!
//! ```text
//! Size ─CR─▸ SizeLf ──▸ Data ──▸ DataCr ──▸ DataLf ──▸ Size …
//!   └;▸ Extension ─CR─▸ SizeLf ─size 0─▸ TrailerStart ─CR─▸ EndLf ──▸ Finished
//!                                          └▸ TrailerName ──▸ TrailerValue ─CR─▸ TrailerLf ──▸ TrailerStart
//! ```

use serde::{Deserialize, Serialize};

use super::Malformed;
use super::field::{is_token, is_value_byte};
use crate::limits::CHUNKED_OVERHEAD_BYTES_MAX;

/// Hexadecimal digits of a chunk's size: as many as a u64 has.
const SIZE_DIGITS_MAX: u8 = 16;

/// Decodes one body. After an error or the end it is used up. It can be written down in the middle of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChunkedDecoder {
    state: ChunkState,
    /// Of the current chunk: its size while that is read, then what is missing of it.
    left: u64,
    size_digits: u8,
    /// `decoded <= body_bytes_max`
    decoded: usize,
    /// `overhead <= CHUNKED_OVERHEAD_BYTES_MAX`
    overhead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that belong to the body.
    pub used: usize,
    /// The body is complete; the next message starts after `used`.
    pub finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ChunkState {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Finished,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    #[must_use]
    pub fn new() -> Self {
        ChunkedDecoder {
            state: ChunkState::Size,
            left: 0,
            size_digits: 0,
            decoded: 0,
            overhead: 0,
        }
    }

    /// Appends to `body` what `input` holds of it. `body_bytes_max` bounds the whole body, over all calls; a chunk
    /// that would pass it is refused by its size.
    pub fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> Result<Decoded, Malformed> {
        let mut used = 0;
        while used < input.len() && self.state != ChunkState::Finished {
            if self.state == ChunkState::Data {
                used += self.take_data(&input[used..], body);
            } else {
                self.state = self.step(input[used], body_bytes_max)?;
                used += 1;
            }
        }
        Ok(Decoded {
            used,
            finished: self.state == ChunkState::Finished,
        })
    }

    /// Whether this is in the middle of a body of which so many bytes are there: for whoever has it from somewhere else.
    #[must_use]
    pub fn has_decoded(&self, bytes: usize) -> bool {
        self.decoded == bytes && self.is_sound()
    }

    /// Whether what this counts is within its bounds: the same.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.size_digits <= SIZE_DIGITS_MAX && self.overhead <= CHUNKED_OVERHEAD_BYTES_MAX
    }

    /// Whether what was read so far ends with a whole chunk: the last one may follow.
    #[must_use]
    pub fn is_between_chunks(&self) -> bool {
        self.state == ChunkState::Size && self.size_digits == 0
    }

    fn take_data(&mut self, input: &[u8], body: &mut Vec<u8>) -> usize {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let len = input.len().min(left);
        body.extend_from_slice(&input[..len]);
        self.decoded = self.decoded.saturating_add(len);
        self.left -= len as u64;
        if self.left == 0 {
            self.state = ChunkState::DataCr;
        }
        len
    }

    fn step(&mut self, byte: u8, body_bytes_max: usize) -> Result<ChunkState, Malformed> {
        match self.state {
            ChunkState::Size => self.step_size(byte),
            ChunkState::Extension => match byte {
                b'\r' => Ok(ChunkState::SizeLf),
                _ if is_value_byte(byte) => self.count_overhead(ChunkState::Extension),
                _ => Err(Malformed::ChunkExtension),
            },
            ChunkState::SizeLf => {
                expect_lf(byte)?;
                self.enter_chunk(body_bytes_max)
            }
            ChunkState::DataCr if byte == b'\r' => Ok(ChunkState::DataLf),
            ChunkState::DataCr => Err(Malformed::ChunkEnd),
            ChunkState::DataLf => expect_lf(byte).map(|()| ChunkState::Size),
            ChunkState::TrailerStart => match byte {
                b'\r' => Ok(ChunkState::EndLf),
                _ if is_token(byte) => self.count_overhead(ChunkState::TrailerName),
                _ => Err(Malformed::Trailer),
            },
            ChunkState::TrailerName => match byte {
                b':' => self.count_overhead(ChunkState::TrailerValue),
                _ if is_token(byte) => self.count_overhead(ChunkState::TrailerName),
                _ => Err(Malformed::Trailer),
            },
            ChunkState::TrailerValue => match byte {
                b'\r' => Ok(ChunkState::TrailerLf),
                _ if is_value_byte(byte) => self.count_overhead(ChunkState::TrailerValue),
                _ => Err(Malformed::Trailer),
            },
            ChunkState::TrailerLf => expect_lf(byte).map(|()| ChunkState::TrailerStart),
            ChunkState::EndLf => expect_lf(byte).map(|()| ChunkState::Finished),
            ChunkState::Data | ChunkState::Finished => Ok(self.state),
        }
    }

    /// RFC 9112, 7.1: hexadecimal digits and nothing else; a recipient MUST anticipate large ones.
    fn step_size(&mut self, byte: u8) -> Result<ChunkState, Malformed> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if self.size_digits == SIZE_DIGITS_MAX {
                return Err(Malformed::ChunkSize);
            }
            self.size_digits += 1;
            self.left = self.left << 4 | u64::from(digit);
            return Ok(ChunkState::Size);
        }
        match byte {
            _ if self.size_digits == 0 => Err(Malformed::ChunkSize),
            b'\r' => Ok(ChunkState::SizeLf),
            b';' => self.count_overhead(ChunkState::Extension),
            _ => Err(Malformed::ChunkSize),
        }
    }

    fn enter_chunk(&mut self, body_bytes_max: usize) -> Result<ChunkState, Malformed> {
        self.size_digits = 0;
        if self.left == 0 {
            return Ok(ChunkState::TrailerStart);
        }
        let room = body_bytes_max.saturating_sub(self.decoded);
        if self.left > room as u64 {
            return Err(Malformed::BodyTooLarge);
        }
        Ok(ChunkState::Data)
    }

    fn count_overhead(&mut self, next: ChunkState) -> Result<ChunkState, Malformed> {
        if self.overhead == CHUNKED_OVERHEAD_BYTES_MAX {
            return Err(Malformed::ChunkedOverhead);
        }
        self.overhead += 1;
        Ok(next)
    }
}

fn expect_lf(byte: u8) -> Result<(), Malformed> {
    if byte == b'\n' {
        Ok(())
    } else {
        Err(Malformed::BareCr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{properties, response};

    fn decode(input: &str) -> Result<(Vec<u8>, Decoded), Malformed> {
        properties::chunked(input.as_bytes());
        let mut body = Vec::new();
        let decoded = ChunkedDecoder::new().decode(input.as_bytes(), &mut body, 64)?;
        Ok((body, decoded))
    }

    fn whole(input: &str) -> String {
        let (body, decoded) = decode(input).unwrap();
        assert!(decoded.finished, "{input:?}");
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn bodies() {
        assert_eq!(whole("0\r\n\r\n"), "");
        assert_eq!(whole("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "hello!");
        assert_eq!(whole("0000000000000005\r\nhello\r\n00\r\n\r\n"), "hello");
        assert_eq!(whole("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
        assert_eq!(whole("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n");
    }

    #[test]
    fn extensions_and_trailers_are_dropped() {
        assert_eq!(whole("1;a=\"b;\"; c\r\nx\r\n0;z\r\n\r\n"), "x");
        assert_eq!(
            whole("1\r\nx\r\n0\r\nA: b\r\nHost: \tevil\r\nE:\r\n\r\n"),
            "x"
        );
    }

    #[test]
    fn what_was_emitted_is_decoded() {
        let mut out = Vec::new();
        response::emit_chunk(&mut out, "grün".as_bytes());
        response::emit_chunk(&mut out, &[b'x'; 30]);
        out.extend_from_slice(response::LAST_CHUNK);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(whole(&text), format!("grün{}", "x".repeat(30)));
    }

    #[test]
    fn the_next_request_is_left_alone() {
        let (_, decoded) = decode("1\r\nx\r\n0\r\n\r\nGET /").unwrap();
        assert_eq!(
            decoded,
            Decoded {
                used: 11,
                finished: true
            }
        );
    }

    #[test]
    fn a_size_that_is_none() {
        for size in [
            "+5",
            "-5",
            " 5",
            "5 ",
            "5\t",
            "0x5",
            "",
            "g",
            "_5",
            "5_",
            ";a",
            "00000000000000005",
            "1FFFFFFFFFFFFFFFF",
        ] {
            let input = format!("{size}\r\nhello\r\n0\r\n\r\n");
            assert_eq!(decode(&input), Err(Malformed::ChunkSize), "{size:?}");
        }
        assert_eq!(decode("5\nhello"), Err(Malformed::ChunkSize));
    }

    #[test]
    fn a_chunk_that_ends_elsewhere() {
        for input in ["5\r\nhello!\r\n", "5\r\nhello\n", "5\r\nhello0\r\n\r\n"] {
            assert_eq!(decode(input), Err(Malformed::ChunkEnd), "{input:?}");
        }
    }

    #[test]
    fn a_bare_cr_ends_the_conversation() {
        for input in [
            "5\rhello",
            "5;a\rb\r\n",
            "5\r\nhello\r0",
            "0\r\n\r\r",
            "0\r\nA: b\rc",
            "5\r\r\n",
        ] {
            assert_eq!(decode(input), Err(Malformed::BareCr), "{input:?}");
        }
    }

    #[test]
    fn a_line_end_hidden_in_an_extension() {
        assert_eq!(decode("5;a\nhello"), Err(Malformed::ChunkExtension));
        assert_eq!(decode("5;a\0\r\n"), Err(Malformed::ChunkExtension));
    }

    #[test]
    fn a_trailer_that_is_none() {
        for trailer in [
            "A",
            " A: b",
            "A : b",
            ": b",
            "A: b\0",
            "A\n",
            "\n",
            "A: b\nB: c",
        ] {
            let input = format!("0\r\n{trailer}\r\n\r\n");
            assert_eq!(decode(&input), Err(Malformed::Trailer), "{trailer:?}");
        }
    }

    #[test]
    fn a_body_beyond_the_limit() {
        assert_eq!(decode("41\r\n"), Err(Malformed::BodyTooLarge));
        assert_eq!(decode("FFFFFFFFFFFFFFFF\r\n"), Err(Malformed::BodyTooLarge));
        let half = format!("20\r\n{}\r\n", "x".repeat(32));
        assert_eq!(whole(&format!("{half}{half}0\r\n\r\n")).len(), 64);
        assert_eq!(
            decode(&format!("{half}{half}1\r\n")),
            Err(Malformed::BodyTooLarge)
        );
    }

    #[test]
    fn endless_extensions_and_trailers() {
        let flood = "a".repeat(CHUNKED_OVERHEAD_BYTES_MAX);
        let mut body = Vec::new();
        for input in [
            format!("1;{flood}"),
            format!("0\r\n{flood}: b"),
            "1;aaaaaaa\r\nx\r\n".repeat(1000),
        ] {
            let fault = ChunkedDecoder::new().decode(input.as_bytes(), &mut body, 1 << 20);
            assert_eq!(fault, Err(Malformed::ChunkedOverhead));
        }
    }
}
