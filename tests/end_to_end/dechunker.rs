//! What a chunked answer carries, as it comes.

/// Chunked bodies, without the strictness of a server.
#[derive(Default)]
pub(crate) struct Dechunker {
    waiting: Vec<u8>,
    /// The last chunk came; the connection may live on.
    pub(crate) is_over: bool,
}

impl Dechunker {
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.waiting.extend_from_slice(bytes);
        let mut body = Vec::new();
        while let Some(line) = self.waiting.windows(2).position(|it| it == b"\r\n") {
            let size = std::str::from_utf8(&self.waiting[..line]).expect("a chunk size");
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            let end = line + 2 + size;
            if self.waiting.len() < end + 2 {
                break;
            }
            self.is_over |= size == 0;
            body.extend_from_slice(&self.waiting[line + 2..end]);
            self.waiting.drain(..end + 2);
        }
        body
    }
}
