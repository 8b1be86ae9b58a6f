//! Items from a file or standard input: lines as they are, or a JSON list. The first byte says which.
//!
//! Lines are not looked into: the admin listener answers each of them, wrong ones too.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::value::RawValue;

use super::{PublishOptions, READ_AHEAD};

/// Lines of one request. Their answers fit what the listener holds for a publisher that is still sending.
const LINES_MAX: usize = 4000;

/// Bytes of one request, after which it takes no more lines.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a request waits for another line. Shorter than anybody notices, longer than reading one takes.
const GATHER: Duration = Duration::from_millis(2);

/// One item on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ItemLine {
    /// What people call it: a target, or where it was found.
    pub(super) name: String,
    /// Without a line end.
    pub(super) json: Vec<u8>,
}

/// Lines as they are read, or why there are no more.
pub(super) type ItemLines = Receiver<Result<ItemLine, String>>;

/// Reads a file, or standard input for `-`, in a thread of its own; its length if it has one.
///
/// # Errors
/// The file cannot be opened, or options were given that belong to arguments.
pub(super) fn open(
    options: &PublishOptions,
    path: &Path,
) -> Result<(ItemLines, Option<u64>), String> {
    let has_contents = options.text.is_some() || options.file.is_some() || options.blob.is_some();
    let is_for_some = options.session.is_some() || options.principal.is_some();
    if has_contents || options.delete || is_for_some || options.key.is_some() {
        return Err("items from standard input bring their own contents, principal, session and key; leave --text, --file, --blob, --delete, --principal, --session and --key out".into());
    }
    let (input, bytes): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let fail = |error| format!("cannot read {}: {error}", path.display());
        let file = std::fs::File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        let bytes = metadata.is_file().then_some(metadata.len());
        (Box::new(file), bytes)
    };
    let (sender, receiver) = sync_channel(READ_AHEAD);
    std::thread::spawn(move || split(BufReader::new(input), |line| sender.send(line).is_ok()));
    Ok((receiver, bytes))
}

/// Hands over each item of `input` until there are no more, it cannot be read, or `take` says so.
fn split(mut input: impl BufRead, mut take: impl FnMut(Result<ItemLine, String>) -> bool) {
    let done = match is_list(&mut input) {
        Ok((true, _)) => split_list(input, &mut take),
        Ok((false, skipped)) => split_lines(input, skipped, &mut take),
        Err(error) => Err(format!("the items cannot be read: {error}")),
    };
    if let Err(sentence) = done {
        take(Err(sentence));
    }
}

/// Whether the first byte that is not white space begins a list, and how many lines end before it.
fn is_list(input: &mut impl BufRead) -> std::io::Result<(bool, usize)> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok((false, skipped));
        }
        let first = buffer.iter().position(|byte| !byte.is_ascii_whitespace());
        let blank = first.unwrap_or(buffer.len());
        skipped += memchr::memchr_iter(b'\n', &buffer[..blank]).count();
        let is_list = first.map(|first| buffer[first] == b'[');
        input.consume(blank);
        if let Some(is_list) = is_list {
            return Ok((is_list, skipped));
        }
    }
}

fn split_list(
    mut input: impl BufRead,
    take: &mut impl FnMut(Result<ItemLine, String>) -> bool,
) -> Result<(), String> {
    let mut text = Vec::new();
    input
        .read_to_end(&mut text)
        .map_err(|error| format!("the items cannot be read: {error}"))?;
    let items: Vec<&RawValue> = serde_json::from_slice(&text)
        .map_err(|error| format!("the items are no JSON list: {error}"))?;
    for (number, item) in (1..).zip(items) {
        // Line ends within JSON are white space.
        let json = item.get().replace(['\n', '\r'], " ").into_bytes();
        let name = format!("item {number}");
        if !take(Ok(ItemLine { name, json })) {
            break;
        }
    }
    Ok(())
}

fn split_lines(
    mut input: impl BufRead,
    skipped: usize,
    take: &mut impl FnMut(Result<ItemLine, String>) -> bool,
) -> Result<(), String> {
    for number in skipped + 1.. {
        let mut json = Vec::new();
        let read = input
            .read_until(b'\n', &mut json)
            .map_err(|error| format!("the items cannot be read: {error}"))?;
        if read == 0 {
            break;
        }
        if json.ends_with(b"\n") {
            json.pop();
        }
        // The listener answers no blank lines either.
        let name = format!("line {number}");
        if !json.trim_ascii().is_empty() && !take(Ok(ItemLine { name, json })) {
            break;
        }
    }
    Ok(())
}

/// Groups lines into requests: as many as have arrived, and no more than one request should have.
pub(super) struct Batches {
    lines: ItemLines,
    wrong: Option<String>,
}

impl Batches {
    pub(super) fn new(lines: ItemLines) -> Self {
        Batches { lines, wrong: None }
    }
}

impl Iterator for Batches {
    type Item = Result<Vec<ItemLine>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(wrong) = self.wrong.take() {
            return Some(Err(wrong));
        }
        let first = match self.lines.recv().ok()? {
            Ok(line) => line,
            Err(wrong) => return Some(Err(wrong)),
        };
        let mut bytes = first.json.len();
        let mut batch = vec![first];
        while batch.len() < LINES_MAX && bytes < BYTES_MAX {
            match self.lines.recv_timeout(GATHER) {
                Ok(Ok(line)) => {
                    bytes += line.json.len();
                    batch.push(line);
                }
                Ok(Err(wrong)) => {
                    self.wrong = Some(wrong);
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Ok(batch))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn names_and_json(input: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let mut wrong = None;
        // A tiny buffer: what is looked at first may be all that has arrived.
        split(BufReader::with_capacity(2, input.as_bytes()), |line| {
            match line {
                Ok(line) => lines.push(format!(
                    "{}: {}",
                    line.name,
                    String::from_utf8(line.json).unwrap()
                )),
                Err(sentence) => wrong = Some(sentence),
            }
            true
        });
        wrong.map_or(Ok(lines), Err)
    }

    #[test]
    fn lines_and_lists_mean_the_same() {
        let lines = names_and_json("\n\n{\"topic\":\"tools\"}\r\n\nnonsense\n{}");
        assert_eq!(
            lines.unwrap(),
            [
                "line 3: {\"topic\":\"tools\"}\r",
                "line 5: nonsense",
                "line 6: {}"
            ]
        );
        let list = names_and_json(" \n[{\"topic\":\n\"tools\"},\n 7]\n");
        assert_eq!(
            list.unwrap(),
            ["item 1: {\"topic\": \"tools\"}", "item 2: 7"]
        );
        assert_eq!(names_and_json("\n \n"), Ok(vec![]));
    }

    #[test]
    fn a_list_that_is_none() {
        let wrong = names_and_json("[{},").unwrap_err();
        assert!(wrong.contains("no JSON list"), "{wrong}");
    }

    #[test]
    fn more_lines_than_one_request_takes() {
        let (sender, receiver) = channel();
        let line = |bytes: usize| {
            Ok(ItemLine {
                name: "x".into(),
                json: vec![b'x'; bytes],
            })
        };
        for _ in 0..=LINES_MAX {
            sender.send(line(1)).unwrap();
        }
        sender.send(line(BYTES_MAX)).unwrap();
        sender.send(line(1)).unwrap();
        sender.send(Err("wrong".into())).unwrap();
        drop(sender);
        let sizes: Vec<_> = Batches::new(receiver)
            .map(|batch| batch.map(|batch| batch.len()))
            .collect();
        assert_eq!(sizes, [Ok(LINES_MAX), Ok(2), Ok(1), Err("wrong".into())]);
    }
}
