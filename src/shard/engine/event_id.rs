//! Event ids of legacy streams: how far the reader of one stream of one session is, in both dimensions.
//!
//! `{epoch}.{session}.{stream}.{offset}.{sequence}`, lower-case hex, and `.m` if it names a targeted message, so that
//! a message and a topic event never share an id: every topic event up to `offset` and every
//! targeted message up to `sequence` had left on this stream when the event did. So one id is enough to resume.

use crate::wire::hex::write_hex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    /// Of the notification log; another one means that offsets cannot be compared.
    pub(crate) epoch: u32,
    /// The session's generation on its core: an id never resumes another session's stream.
    pub(crate) session: u32,
    /// 0 is the stream of GET, others answer a POST.
    pub(crate) stream: u32,
    pub(crate) offset: u64,
    pub(crate) sequence: u32,
    /// Of the targeted message `sequence`, not of a topic event at `offset`.
    pub(crate) message: bool,
}

impl EventId {
    /// Put together aside and appended at once: there is one in each of a broadcast's events.
    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        let numbers = [
            u64::from(self.epoch),
            self.session.into(),
            self.stream.into(),
            self.offset,
            self.sequence.into(),
        ];
        let mut text = [b'.'; 5 * (16 + 1)];
        let mut len = 0;
        for number in numbers {
            len += write_hex(&mut text[len..], number) + 1;
        }
        out.extend_from_slice(&text[..len - 1]);
        if self.message {
            out.extend_from_slice(b".m");
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut bytes = Vec::new();
        self.emit(&mut bytes);
        String::from_utf8(bytes).expect("digits and dots are ASCII")
    }

    /// `None`: not an id that this server ever made.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let cursor = text.strip_suffix(".m");
        let message = cursor.is_some();
        let mut parts = cursor.unwrap_or(text).split('.');
        let id = EventId {
            epoch: hex32(parts.next()?)?,
            session: hex32(parts.next()?)?,
            stream: hex32(parts.next()?)?,
            offset: hex(parts.next()?, 16)?,
            sequence: hex32(parts.next()?)?,
            message,
        };
        parts.next().is_none().then_some(id)
    }
}

fn hex32(text: &str) -> Option<u32> {
    hex(text, 8).and_then(|value| u32::try_from(value).ok())
}

fn hex(text: &str, digits_max: usize) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.len() <= digits_max
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && (text.len() == 1 || !text.starts_with('0'));
    canonical.then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let mut id = EventId {
            epoch: 0xdead_beef,
            session: 1,
            stream: 0,
            offset: u64::MAX,
            sequence: 77,
            message: false,
        };
        let text = id.text();
        assert_eq!(text, "deadbeef.1.0.ffffffffffffffff.4d");
        assert_eq!(EventId::parse(&text), Some(id));
        id.message = true;
        let message = id.text();
        assert_eq!(message, "deadbeef.1.0.ffffffffffffffff.4d.m");
        assert_eq!(EventId::parse(&message), Some(id));
    }

    #[test]
    fn garbage_is_no_event_id() {
        for text in [
            "",
            "1",
            "1.2.3.4",
            "1.2.3.4.5.6",
            "01.2.3.4.5",
            "+1.2.3.4.5",
            "1.2.3.4.G",
            "1.2.3.4.5.m.m",
            ".m",
            "1..3.4.5",
            "100000000.2.3.4.5",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
