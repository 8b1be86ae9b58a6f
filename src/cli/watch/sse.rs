//! Server-sent events as `watch` reads them from a blocking response: the wire's parser, and, one by one, what it gives besides
//! events (ids without data, `retry`, comments).

use std::collections::VecDeque;
use std::io::{BufRead, Error, ErrorKind};
use std::time::Duration;

use crate::wire::sse::EventParser;

/// More is not a notification.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SseItem {
    /// An event's data and where to resume after it; empty if the stream has no ids.
    Event {
        data: String,
        id: String,
    },
    /// An id without data: where to resume from.
    Id(String),
    /// A comment line; keep-alives are.
    Comment,
    Retry(Duration),
}

pub(super) struct SseReader<R> {
    input: R,
    parser: EventParser,
    /// Read and not given out yet.
    waiting: VecDeque<SseItem>,
}

impl<R: BufRead> SseReader<R> {
    pub(super) fn new(input: R) -> Self {
        SseReader {
            input,
            parser: EventParser::new(EVENT_BYTES_MAX),
            waiting: VecDeque::new(),
        }
    }

    /// The next thing received; `None` at the end of the stream, which drops an unfinished event.
    pub(super) fn next(&mut self) -> std::io::Result<Option<SseItem>> {
        while self.waiting.is_empty() {
            if !self.read()? {
                return Ok(None);
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// False at the end of the input.
    fn read(&mut self) -> std::io::Result<bool> {
        let available = self.input.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let (retry_ms, comments) = (self.parser.retry_ms(), self.parser.comment_count());
        let parsed = self.parser.parse(available);
        let (used, event) = parsed.map_err(|fault| Error::new(ErrorKind::InvalidData, fault))?;
        self.input.consume(used);
        for _ in comments..self.parser.comment_count() {
            self.waiting.push_back(SseItem::Comment);
        }
        if let Some(new) = self
            .parser
            .retry_ms()
            .filter(|_| self.parser.retry_ms() != retry_ms)
        {
            self.waiting
                .push_back(SseItem::Retry(Duration::from_millis(new)));
        }
        match event {
            None => {}
            Some(event) if event.data.is_empty() => self.waiting.push_back(SseItem::Id(event.id)),
            Some(event) => self.waiting.push_back(SseItem::Event {
                data: event.data,
                id: event.id,
            }),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Everything in `input`, read `step` bytes at a time.
    fn read(input: &str, step: usize) -> Vec<SseItem> {
        let mut reader = SseReader::new(BufReader::with_capacity(step, input.as_bytes()));
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn a_stream_cut_at_every_byte_reads_the_same() {
        let input = ": hi\nretry: 1500\r\nid: 7\r\ndata:a\rdata: b\r\rid: 8\ndata:\n\ndata: {}\r\n\r\ndata: cut";
        let event = |data: &str, id: &str| SseItem::Event {
            data: data.into(),
            id: id.into(),
        };
        let expected = vec![
            SseItem::Comment,
            SseItem::Retry(Duration::from_millis(1500)),
            event("a\nb", "7"),
            SseItem::Id("8".into()),
            event("{}", "8"),
        ];
        for step in 1..=input.len() {
            assert_eq!(read(input, step), expected, "step {step}");
        }
    }
}
