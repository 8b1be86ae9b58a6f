//! Server-sent events as they are read from a response: fields become [`Received`] values, line by line.
//!
//! What the HTML standard says of event streams, for a reader that blocks: a line ends with LF, CRLF or CR,
//! an event with an empty line; an event without data changes the last id and is otherwise nothing.

use std::io::{BufRead, Error, ErrorKind};
use std::time::Duration;

/// Bytes of one line and of one event's data; more is not a notification.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// An event's data and, if it has one, its id.
    Event {
        data: String,
        id: Option<String>,
    },
    /// An id without data: where to resume from.
    Id(String),
    Comment(String),
    Retry(Duration),
}

pub(super) struct SseReader<R> {
    input: R,
    data: Option<String>,
    id: Option<String>,
    /// The line before ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
}

impl<R: BufRead> SseReader<R> {
    pub(super) fn new(input: R) -> Self {
        SseReader {
            input,
            data: None,
            id: None,
            after_cr: false,
            at_start: true,
        }
    }

    /// The next thing received; `None` at the end of the stream, which drops an unfinished event.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Received>> {
        while let Some(line) = self.line()? {
            if let Some(received) = self.take_line(&line)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    fn take_line(&mut self, line: &str) -> std::io::Result<Option<Received>> {
        if line.is_empty() {
            let id = self.id.take();
            return Ok(match self.data.take() {
                Some(data) if !data.is_empty() => Some(Received::Event { data, id }),
                _ => id.map(Received::Id),
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Ok(Some(Received::Comment(value.to_owned()))),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() < EVENT_BYTES_MAX => {
                    data.push('\n');
                    data.push_str(value);
                }
                Some(_) => return Err(too_long()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => {
                let millis = value.parse().ok().map(Duration::from_millis);
                return Ok(millis.map(Received::Retry));
            }
            _ => {}
        }
        Ok(None)
    }

    /// The next line without its end; `None` at the end of the input.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(None);
            }
            if std::mem::take(&mut self.after_cr) && available[0] == b'\n' {
                self.input.consume(1);
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', available) else {
                line.extend_from_slice(available);
                let count = available.len();
                self.input.consume(count);
                if line.len() > EVENT_BYTES_MAX {
                    return Err(too_long());
                }
                continue;
            };
            line.extend_from_slice(&available[..end]);
            self.after_cr = available[end] == b'\r';
            self.input.consume(end + 1);
            let text = String::from_utf8_lossy(&line).into_owned();
            let is_first = std::mem::take(&mut self.at_start);
            return Ok(Some(match text.strip_prefix('\u{feff}') {
                Some(rest) if is_first => rest.to_owned(),
                _ => text,
            }));
        }
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidData, "an event is longer than 16 MiB")
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Everything in `input`, read `step` bytes at a time.
    fn read(input: &str, step: usize) -> Vec<Received> {
        let mut reader = SseReader::new(BufReader::with_capacity(step, input.as_bytes()));
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    fn event(data: &str, id: Option<&str>) -> Received {
        Received::Event {
            data: data.into(),
            id: id.map(Into::into),
        }
    }

    #[test]
    fn a_stream_cut_at_every_byte_reads_the_same() {
        let input = "\u{feff}: hi\nretry: 1500\r\nid: 7\r\ndata:a\rdata: b\r\rid: 8\n\nevent: message\r\ndata: {}\r\n\r\ndata\n\ndata: cut";
        let expected = vec![
            Received::Comment("hi".into()),
            Received::Retry(Duration::from_millis(1500)),
            event("a\nb", Some("7")),
            Received::Id("8".into()),
            event("{}", None),
        ];
        for step in 1..=input.len() {
            assert_eq!(read(input, step), expected, "step {step}");
        }
    }

    #[test]
    fn a_retry_that_is_no_number() {
        assert_eq!(read("retry: soon\n\n", 99), vec![]);
    }

    #[test]
    fn a_priming_event_without_data_moves_the_id() {
        assert_eq!(read("id: 1\ndata:\n\n", 99), [Received::Id("1".into())]);
    }
}
