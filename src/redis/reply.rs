//! What a Redis answers, the same for RESP2 and RESP3.

use std::fmt;

use bytes::Bytes;
use redis_protocol::{resp2, resp3};

use super::frame::FrameError::{self, NotResp};

/// An answer. Errors are answers: that of one command says nothing about the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Null,
    /// Also a boolean of RESP3: 0 or 1.
    Integer(i64),
    /// Also a number that is no integer, as it came.
    Text(Bytes),
    List(Vec<Reply>),
    /// In no order. RESP2 has none: see [`Reply::into_pairs`].
    Map(Vec<(Reply, Reply)>),
    Error(RedisError),
}

/// `-CODE message`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisError {
    /// `ERR`, `WRONGPASS`, `READONLY`, ….
    pub code: Box<str>,
    pub message: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Resp2,
    Resp3,
}

impl Reply {
    /// The error as one.
    ///
    /// # Errors
    /// It is one.
    pub fn checked(self) -> Result<Reply, RedisError> {
        match self {
            Reply::Error(error) => Err(error),
            other => Ok(other),
        }
    }

    #[must_use]
    pub fn error(&self) -> Option<&RedisError> {
        match self {
            Reply::Error(error) => Some(error),
            _ => None,
        }
    }

    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Reply::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Reply::Integer(number) => Some(*number),
            _ => None,
        }
    }

    #[must_use]
    pub fn into_list(self) -> Option<Vec<Reply>> {
        match self {
            Reply::List(list) => Some(list),
            _ => None,
        }
    }

    /// A map, or the list of keys and values that RESP2 has for one.
    #[must_use]
    pub fn into_pairs(self) -> Option<Vec<(Reply, Reply)>> {
        match self {
            Reply::Map(pairs) => Some(pairs),
            Reply::List(list) if list.len() % 2 == 0 => {
                let mut items = list.into_iter();
                let mut pairs = Vec::with_capacity(items.len() / 2);
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Some(pairs)
            }
            _ => None,
        }
    }

    /// Reads exactly one whole reply, to its last byte: what ends before was cut by a line end that none is. `None` for
    /// what RESP3 servers push without being asked.
    pub(super) fn read(bytes: &[u8], protocol: Protocol) -> Result<Option<Reply>, FrameError> {
        match protocol {
            Protocol::Resp2 => {
                let decoded = resp2::decode::decode(bytes).map_err(|_| NotResp)?;
                let (frame, used) = decoded.ok_or(NotResp)?;
                whole(used, bytes)?;
                Ok(Some(of_resp2(frame)))
            }
            Protocol::Resp3 => {
                let decoded = resp3::decode::complete::decode(bytes).map_err(|_| NotResp)?;
                let (frame, used) = decoded.ok_or(NotResp)?;
                whole(used, bytes)?;
                if matches!(frame, resp3::types::OwnedFrame::Push { .. }) {
                    return Ok(None);
                }
                of_resp3(frame).map(Some)
            }
        }
    }
}

impl RedisError {
    fn parse(line: &str) -> Self {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if first == "ERR" && rest.starts_with("The user executing the script can't") {
            // What a script may not do is no other fault than what its user may not.
            return RedisError {
                code: "NOPERM".into(),
                message: rest.into(),
            };
        }
        if !first.is_empty() && first.bytes().all(is_code) {
            return RedisError {
                code: first.into(),
                message: rest.into(),
            };
        }
        RedisError {
            code: "ERR".into(),
            message: line.into(),
        }
    }

    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        &*self.code == code
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl std::error::Error for RedisError {}

fn whole(used: usize, bytes: &[u8]) -> Result<(), FrameError> {
    (used == bytes.len()).then_some(()).ok_or(NotResp)
}

fn of_resp2(frame: resp2::types::OwnedFrame) -> Reply {
    use resp2::types::OwnedFrame as Frame;
    match frame {
        Frame::SimpleString(text) | Frame::BulkString(text) => Reply::Text(text.into()),
        Frame::Error(line) => Reply::Error(RedisError::parse(&line)),
        Frame::Integer(number) => Reply::Integer(number),
        Frame::Array(list) => Reply::List(list.into_iter().map(of_resp2).collect()),
        Frame::Null => Reply::Null,
    }
}

fn of_resp3(frame: resp3::types::OwnedFrame) -> Result<Reply, FrameError> {
    use resp3::types::OwnedFrame as Frame;
    let list = |items: Vec<Frame>| items.into_iter().map(of_resp3).collect::<Result<_, _>>();
    Ok(match frame {
        Frame::BlobString { data, .. }
        | Frame::SimpleString { data, .. }
        | Frame::BigNumber { data, .. }
        | Frame::VerbatimString { data, .. } => Reply::Text(data.into()),
        Frame::SimpleError { data, .. } => Reply::Error(RedisError::parse(&data)),
        Frame::BlobError { data, .. } => {
            Reply::Error(RedisError::parse(&String::from_utf8_lossy(&data)))
        }
        Frame::Boolean { data, .. } => Reply::Integer(data.into()),
        Frame::Null => Reply::Null,
        Frame::Number { data, .. } => Reply::Integer(data),
        Frame::Double { data, .. } => Reply::Text(data.to_string().into()),
        Frame::Array { data, .. } | Frame::Push { data, .. } => list(data).map(Reply::List)?,
        Frame::Set { data, .. } => list(data.into_iter().collect()).map(Reply::List)?,
        Frame::Map { data, .. } => {
            let pair = |(key, value)| Ok((of_resp3(key)?, of_resp3(value)?));
            Reply::Map(data.into_iter().map(pair).collect::<Result<_, _>>()?)
        }
        Frame::ChunkedString(_) | Frame::Hello { .. } => return Err(NotResp),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], protocol: Protocol) -> Reply {
        Reply::read(bytes, protocol).unwrap().unwrap()
    }

    fn text(text: &'static str) -> Reply {
        Reply::Text(text.into())
    }

    #[test]
    fn both_protocols_say_the_same() {
        let both = |bytes: &[u8]| {
            let reply = read(bytes, Protocol::Resp2);
            assert_eq!(read(bytes, Protocol::Resp3), reply);
            reply
        };
        assert_eq!(both(b"+OK\r\n"), text("OK"));
        assert_eq!(both(b":-3\r\n"), Reply::Integer(-3));
        assert_eq!(both(b"$2\r\n\r\n\r\n"), text("\r\n"));
        let list = both(b"*2\r\n$1\r\nk\r\n*1\r\n:1\r\n");
        let inner = Reply::List(vec![Reply::Integer(1)]);
        assert_eq!(list.into_pairs().unwrap(), [(text("k"), inner)]);
    }

    /// A bare LF ends a line for whoever looks for the end of the reply, and not for whoever reads it.
    #[test]
    fn a_reply_that_ends_before_its_bytes_do() {
        let bytes = b">2\r\n+message\n*2\r\n:1\r\n:2\r\n";
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(Reply::read(bytes, protocol), Err(NotResp));
        }
        assert_eq!(
            Reply::read(b"+OK\r\n+OK\r\n", Protocol::Resp2),
            Err(NotResp)
        );
    }

    #[test]
    fn what_only_one_of_them_has() {
        assert_eq!(read(b"$-1\r\n", Protocol::Resp2), Reply::Null);
        assert_eq!(read(b"*-1\r\n", Protocol::Resp2), Reply::Null);
        assert_eq!(read(b"_\r\n", Protocol::Resp3), Reply::Null);
        assert_eq!(read(b"#t\r\n", Protocol::Resp3), Reply::Integer(1));
        assert_eq!(read(b"=5\r\ntxt:a\r\n", Protocol::Resp3), text("a"));
        let map = read(b"%1\r\n$1\r\nk\r\n,1.5\r\n", Protocol::Resp3);
        assert_eq!(map.into_pairs().unwrap(), [(text("k"), text("1.5"))]);
        assert_eq!(
            Reply::read(b">1\r\n+x\r\n", Protocol::Resp3),
            Ok(None),
            "nobody asked"
        );
    }

    #[test]
    fn errors_have_a_code_and_a_message() {
        let error = |line: &[u8]| read(line, Protocol::Resp3).checked().unwrap_err();
        let refused = error(b"-WRONGPASS invalid\r\n");
        assert!(refused.is("WRONGPASS") && &*refused.message == "invalid");
        let in_script = b"-ERR The user executing the script can't run this command or subcommand script: 82, on @user_script:1.\r\n";
        assert!(error(in_script).is("NOPERM"));
        assert_eq!(error(b"-no code\r\n").to_string(), "ERR no code");
        assert_eq!(error(b"!8\r\nOOM full\r\n").to_string(), "OOM full");
    }
}
