//! One command: its name and its arguments, encoded as they are added.

/// What is sent to a Redis: `Command::new("SET").arg(key).arg(value)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    name: &'static str,
    count: usize,
    /// Each argument with its length, without the head that says how many there are.
    bytes: Vec<u8>,
}

impl Command {
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let command = Command {
            name,
            count: 0,
            bytes: Vec::with_capacity(64),
        };
        command.arg(name)
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        let arg = arg.as_ref();
        self.count += 1;
        emit_head(b'$', arg.len(), &mut self.bytes);
        self.bytes.extend_from_slice(arg);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.arg(itoa::Buffer::new().format(number))
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        let head = "*\r\n".len() + itoa::Buffer::new().format(self.count).len();
        head + self.bytes.len()
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.emit(&mut out);
        out
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        emit_head(b'*', self.count, out);
        out.extend_from_slice(&self.bytes);
    }
}

/// Arguments may be secret.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Command({} …)", self.name)
    }
}

fn emit_head(kind: u8, number: usize, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_on_the_wire() {
        let command = Command::new("SET").arg("k").arg(b"\r\n\0").number(30);
        assert_eq!(
            command.encoded(),
            b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\r\n\0\r\n$2\r\n30\r\n"
        );
        assert_eq!(command.size(), command.encoded().len());
        assert_eq!(format!("{command:?}"), "Command(SET …)");
    }
}
