//! What the program says while it serves, log lines above all, on its way to a descriptor that may not take it: a pipe
//! that nobody reads, or whose reader is gone, a disk that is full.
//!
//! ```text
//! any thread ─push─▶ waiting (bounded) ─▶ one thread that writes ─▶ the descriptor
//! ```
//!
//! A thread that logs never waits for more than a copy of its line, and never fails. What finds no room, and what is not
//! taken, is dropped and counted. The log says how many lines are missing as soon as somebody reads it again.
//! (`tracing-appender` bounds lines and not bytes, and writes to the very descriptor that hangs when it is dropped.)

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_WAITING_BYTES_MAX};

/// Before a descriptor is asked again that does not block and takes nothing now.
const PAUSE: Duration = Duration::from_millis(20);
/// A buffer that grew beyond this in a storm of lines is given back.
const KEPT_BYTES: usize = 64 * 1024;

/// Lines for one descriptor; clones are for the same one.
#[derive(Clone)]
#[allow(
    unnameable_types,
    reason = "only the subscriber's trait lets it be seen"
)]
pub struct LineWriter {
    shared: Arc<WriterHandle>,
}

/// All that is written to one descriptor by whoever has something to say; the writer ends after the last of them.
struct WriterHandle(Arc<LineQueue>);

struct LineQueue {
    waiting: Mutex<Waiting>,
    /// Of all lines.
    dropped: IntCounter,
    /// Something waits.
    came: Condvar,
    /// Nothing waits any more, nor is it being written.
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Whole lines; at most [`LOG_WAITING_BYTES_MAX`], so that their number is bounded too.
    bytes: Vec<u8>,
    /// Lines that were dropped, and not told of yet.
    dropped: u64,
    is_writing: bool,
    /// Nobody is left who could say something.
    is_over: bool,
}

impl LineWriter {
    /// Starts the thread that writes. It has a descriptor of its own: nobody else waits for a lock that it holds.
    ///
    /// # Errors
    /// Out of descriptors, or of threads.
    pub fn start(name: &str, descriptor: &impl AsFd) -> io::Result<Self> {
        let descriptor: BorrowedFd<'_> = descriptor.as_fd();
        let file = File::from(descriptor.try_clone_to_owned()?);
        let shared = Arc::new(LineQueue::new());
        let writer = shared.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || writer.write(file))?;
        let shared = Arc::new(WriterHandle(shared));
        Ok(LineWriter { shared })
    }

    /// Counts the lines that were dropped, for a page of metrics.
    #[must_use]
    pub fn dropped(&self) -> &IntCounter {
        &self.shared.0.dropped
    }

    /// Some text, its line ends included. What is longer than a line may be is cut.
    pub fn say(&self, text: &str) {
        self.push(text.as_bytes());
    }

    /// Waits until all is written that was said before, but no longer than that.
    pub fn end(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let shared = &self.shared.0;
        let mut waiting = shared.lock();
        while waiting.is_writing || !waiting.bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = shared.written.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic is said like everything else, and does not wait for the descriptor either.
    pub fn take_panics(&self, as_json: bool) {
        let lines = self.clone();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("without a name");
            // Only where it is asked for, by RUST_BACKTRACE.
            let trace = Backtrace::capture();
            let trace = (trace.status() == BacktraceStatus::Captured).then_some(trace);
            let trace = trace.map_or_else(String::new, |trace| format!("{trace}\n"));
            let text = format!("thread '{name}' {info}\n{trace}");
            lines.say(&match as_json {
                true => json_line(text.trim_end()),
                false => text,
            });
        }));
    }

    fn push(&self, text: &[u8]) {
        let cut = text.len() > LOG_LINE_BYTES_MAX;
        let text = if cut {
            &text[..LOG_LINE_BYTES_MAX]
        } else {
            text
        };
        let mut waiting = self.shared.0.lock();
        if waiting.bytes.len() + text.len() >= LOG_WAITING_BYTES_MAX {
            let dropped = ends_of_lines(text) + u64::from(cut);
            return self.shared.0.count_dropped(&mut waiting, dropped);
        }
        waiting.bytes.extend_from_slice(text);
        if cut {
            waiting.bytes.push(b'\n');
        }
        drop(waiting);
        self.shared.0.came.notify_one();
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a LineWriter;

    fn make_writer(&'a self) -> &'a LineWriter {
        self
    }
}

impl Write for &LineWriter {
    /// One line of the log: `tracing_subscriber` gives each as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.came.notify_one();
    }
}

impl LineQueue {
    fn new() -> Self {
        let name = "pinfold_log_lines_dropped_total";
        let help = "Lines of the log that were dropped, because nobody took them.";
        LineQueue {
            waiting: Mutex::default(),
            dropped: IntCounter::new(name, help).expect("the name is fixed and valid"),
            came: Condvar::new(),
            written: Condvar::new(),
        }
    }

    fn count_dropped(&self, waiting: &mut Waiting, lines: u64) {
        waiting.dropped += lines;
        self.dropped.inc_by(lines);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut file: impl Write) {
        let mut bytes = Vec::new();
        loop {
            let mut waiting = self.lock();
            while waiting.bytes.is_empty() {
                if waiting.is_over {
                    return;
                }
                let came = self.came.wait(waiting);
                waiting = came.unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut waiting.bytes, &mut bytes);
            waiting.is_writing = true;
            drop(waiting);

            let left = write_all(&mut file, &bytes);
            let lost = ends_of_lines(left);
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);

            let mut waiting = self.lock();
            waiting.is_writing = false;
            self.count_dropped(&mut waiting, lost);
            // Told once somebody takes lines again, and by one of them.
            let dropped = if lost == 0 {
                std::mem::take(&mut waiting.dropped)
            } else {
                0
            };
            drop(waiting);
            self.written.notify_all();
            if dropped > 0 {
                tracing::warn!(dropped, "lines are missing in this log: nobody took them");
            }
        }
    }
}

/// What is no event of the log, as one of its lines in JSON.
fn json_line(text: &str) -> String {
    let line = serde_json::json!({"level": "ERROR", "target": "pinfold", "message": text});
    format!("{line}\n")
}

fn ends_of_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// What was not taken, because it never will be. A descriptor that takes nothing now is waited for.
fn write_all<'a>(file: &mut impl Write, bytes: &'a [u8]) -> &'a [u8] {
    let mut left = bytes;
    while !left.is_empty() {
        match file.write(left) {
            Ok(0) => break,
            Ok(count) => left = &left[count..],
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pipe() -> (LineWriter, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let near = OwnedFd::from(near);
        (LineWriter::start("test-log", &near).expect("a thread"), far)
    }

    fn read(far: &mut UnixStream, until: &str) -> String {
        let mut text = Vec::new();
        let mut some = [0; 65_536];
        while !text.ends_with(until.as_bytes()) {
            let count = far.read(&mut some).expect("the other end is open");
            assert!(count > 0, "it ended");
            text.extend_from_slice(&some[..count]);
        }
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn what_was_said_last_is_there_at_the_end() {
        let (lines, mut far) = pipe();
        lines.say("one\n");
        (&lines).write_all(b"two\n").expect("it always works");
        lines.end(LONG);
        assert_eq!(read(&mut far, "two\n"), "one\ntwo\n");
    }

    #[test]
    fn a_pipe_that_is_never_read() {
        let (lines, mut far) = pipe();
        let line = "x".repeat(1023) + "\n";
        let said = 8 * LOG_WAITING_BYTES_MAX / line.len();
        for _ in 0..said {
            lines.say(&line);
        }
        let waiting = |lines: &LineWriter| {
            let waiting = lines.shared.0.lock();
            (waiting.bytes.len(), waiting.dropped)
        };
        let (bytes, dropped) = waiting(&lines);
        assert!(bytes <= LOG_WAITING_BYTES_MAX, "{bytes} bytes wait");
        assert!(
            dropped as usize > said / 2,
            "{dropped} of {said} were dropped"
        );
        lines.end(Duration::ZERO);
        // And then it is: the rest arrives, what is new has room, and the count is told.
        let taken = std::thread::spawn(move || {
            let mut count = 0;
            while count < (said as u64 - dropped) * 1024 {
                let mut some = [0; 65_536];
                count += far.read(&mut some).expect("the other end is open") as u64;
            }
            far
        });
        lines.end(LONG);
        let mut far = taken.join().expect("all but what was dropped arrives");
        assert_eq!(waiting(&lines), (0, 0), "it is told once");
        lines.say("after\n");
        assert!(read(&mut far, "after\n").ends_with("after\n"));
    }

    #[test]
    fn a_reader_that_is_gone_and_a_disk_that_is_full() {
        let (gone, far) = pipe();
        drop(far);
        let full = File::options().write(true).open("/dev/full");
        let full = LineWriter::start("test-log", &full.expect("Linux has it")).expect("a thread");
        for lines in [gone, full] {
            lines.say("one\ntwo\n");
            lines.end(LONG);
            assert_eq!(lines.shared.0.lock().dropped, 2);
        }
    }

    #[test]
    fn a_line_as_long_as_its_writer_likes() {
        let (lines, mut far) = pipe();
        lines.say(&("x".repeat(2 * LOG_LINE_BYTES_MAX) + "\n"));
        lines.say("next\n");
        let text = read(&mut far, "next\n");
        assert_eq!(text.len(), LOG_LINE_BYTES_MAX + "\nnext\n".len());
    }
}
