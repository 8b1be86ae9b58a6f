//! The application's contents on their way to the next process: all of them while this one serves, and then only what has
//! changed since. Some megabytes at a time, each taken over before the next is read: the next process has all of it in the end, and no
//! third copy is anywhere.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::app::contents::{Body, ContentStore, Contents};
use crate::handover::{HandoverFault, NodePart, SuccessorProcess};
use crate::runtime::{ContentChanges, memory_file};

/// Contents that are looked for in the store at once.
const URIS_AT_ONCE: usize = 256;
/// Of contents in one piece, about: one resource may be more.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// With no more than so many changes everything may stand still: they are copied in a millisecond or two.
const FEW: usize = 64;
/// How often what has changed is copied before that. A board that changes faster is copied as it stands.
const ROUNDS_MAX: usize = 4;

/// Some contents as they are written down. None: there is nothing at this URI any more.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ContentsPiece {
    contents: Vec<(Box<str>, Option<Contents>)>,
}

/// A copy under way. Dropped, nothing more is noted.
pub(super) struct ContentsCopy<'a> {
    store: &'a dyn ContentStore,
    changes: &'a ContentChanges,
    successor: &'a SuccessorProcess,
}

impl<'a> ContentsCopy<'a> {
    /// Copies all there is.
    ///
    /// # Errors
    /// The next process is gone, or does not take them.
    pub(super) fn begin(
        store: &'a dyn ContentStore,
        changes: &'a ContentChanges,
        successor: &'a SuccessorProcess,
    ) -> Result<Self, HandoverFault> {
        changes.begin();
        let copy = ContentsCopy {
            store,
            changes,
            successor,
        };
        copy.send_all()?;
        Ok(copy)
    }

    /// Until little is left to be copied.
    ///
    /// # Errors
    /// As above.
    pub(super) fn catch_up(&self) -> Result<(), HandoverFault> {
        for _ in 0..ROUNDS_MAX {
            if self.send_changed(None)? <= FEW {
                break;
            }
        }
        Ok(())
    }

    /// What has changed since: how many. `pause_end`: everything stands still, until then at most.
    ///
    /// # Errors
    /// As above.
    pub(super) fn send_changed(&self, pause_end: Option<Instant>) -> Result<usize, HandoverFault> {
        let changed = self.changes.take();
        if changed.is_everything {
            // What was taken away meanwhile is known to nobody.
            return Err(HandoverFault::TooMuch(
                "contents change faster than they can be copied",
            ));
        }
        self.send(changed.uris.iter().map(|uri| &**uri), pause_end)?;
        Ok(changed.uris.len())
    }

    fn send_all(&self) -> Result<(), HandoverFault> {
        let mut after: Option<Box<str>> = None;
        loop {
            let uris = self.store.uris_after(after.as_deref(), URIS_AT_ONCE);
            self.send(uris.iter().map(|uri| &**uri), None)?;
            let Some(last) = uris.last() else {
                return Ok(());
            };
            after = Some(last.clone());
        }
    }

    fn send<'b>(
        &self,
        uris: impl Iterator<Item = &'b str>,
        pause_end: Option<Instant>,
    ) -> Result<(), HandoverFault> {
        let (mut piece, mut bytes) = (ContentsPiece::default(), 0);
        for uri in uris {
            let contents = self.store.get(uri);
            bytes += uri.len() + contents.as_ref().map_or(0, size);
            piece.contents.push((uri.into(), contents));
            if bytes >= PIECE_BYTES {
                self.send_piece(&std::mem::take(&mut piece), pause_end)?;
                bytes = 0;
            }
        }
        self.send_piece(&piece, pause_end)
    }

    fn send_piece(
        &self,
        piece: &ContentsPiece,
        pause_end: Option<Instant>,
    ) -> Result<(), HandoverFault> {
        if piece.contents.is_empty() {
            return Ok(());
        }
        let unwritten = |fault| HandoverFault::System("contents cannot be written down", fault);
        let file = write_down("pinfold-contents", piece).map_err(unwritten)?;
        let successor = self.successor;
        successor.send_part(NodePart::Contents, file.as_fd(), pause_end)
    }
}

impl Drop for ContentsCopy<'_> {
    fn drop(&mut self) {
        self.changes.end();
    }
}

fn size(contents: &Contents) -> usize {
    match &contents.body {
        Body::Text(text) => text.len(),
        Body::Blob(bytes) => bytes.len(),
    }
}

/// A piece arrives.
///
/// # Errors
/// It cannot be read, or this program has no room for it: in a sentence.
pub(super) fn take_contents(file: File, store: Option<&dyn ContentStore>) -> Result<(), String> {
    let unread = |fault: io::Error| format!("contents of the node cannot be read: {fault}");
    let piece: ContentsPiece = read_back(file).map_err(unread)?;
    let store = store.ok_or("the node has contents, and this program has no place for them")?;
    for (uri, contents) in piece.contents {
        store.put(&uri, contents).map_err(|refused| {
            format!(
                "contents that the node has are not taken by this program ({refused:?}): give it as much room for them as the \
                 one before, with --board-bytes-max and --board-entry-bytes-max"
            )
        })?;
    }
    Ok(())
}

/// Into the memory of nobody, for the next process.
///
/// # Errors
/// Out of memory or descriptors.
pub(super) fn write_down(name: &str, value: &impl Serialize) -> io::Result<File> {
    let bytes = rmp_serde::to_vec_named(value).map_err(io::Error::other)?;
    memory_file::write(name, &bytes)
}

/// # Errors
/// It is something else.
pub(super) fn read_back<T: for<'de> Deserialize<'de>>(file: File) -> io::Result<T> {
    let bytes = memory_file::read(file)?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::board::{Board, BoardLimits};

    fn contents(body: Body) -> Contents {
        Contents {
            mime_type: Some("text/plain".into()),
            name: Some("soup".into()),
            description: None,
            body,
        }
    }

    #[test]
    fn contents_that_read_back_as_others_or_stay_when_they_were_taken_away() {
        let board = Board::new(BoardLimits::default());
        let store = board.store();
        let gone: Box<str> = "board://gone".into();
        store
            .put(&gone, Some(contents(Body::Text("x".into()))))
            .expect("there is room");
        let text = contents(Body::Text("so\nup \u{1f372}".into()));
        let blob = contents(Body::Blob(vec![0, 255, 10]));
        let piece = ContentsPiece {
            contents: vec![
                ("board://a".into(), Some(text.clone())),
                ("board://b".into(), Some(blob.clone())),
                (gone.clone(), None),
            ],
        };
        let file = write_down("test", &piece).expect("it is written");
        take_contents(file, Some(&*store)).expect("it is taken");
        assert_eq!(store.get("board://a"), Some(text));
        assert_eq!(store.get("board://b"), Some(blob));
        assert_eq!(store.get(&gone), None);
    }

    #[test]
    fn a_board_that_is_too_small_and_loses_contents() {
        let board = Board::new(BoardLimits {
            entry_bytes_max: 2,
            ..BoardLimits::default()
        });
        let piece = ContentsPiece {
            contents: vec![(
                "board://a".into(),
                Some(contents(Body::Text("soup".into()))),
            )],
        };
        let file = write_down("test", &piece).expect("it is written");
        let refused = take_contents(file, Some(&*board.store())).expect_err("it is too large");
        assert!(refused.contains("--board-entry-bytes-max"), "{refused}");
        let file = write_down("test", &piece).expect("it is written");
        assert!(take_contents(file, None).is_err());
    }
}
