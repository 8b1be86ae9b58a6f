//! What a node has beside its cores, as it is written down for the process that takes its place.
//!
//! | what | how it travels |
//! |---|---|
//! | sessions, streams, connections, subscriptions | with their cores |
//! | the place in the log, and contents | here |
//! | name, incarnation, clock, the key that seals `requestState` | the new process is told before it makes anything |
//! | counters | not: a process counts from its start, and Prometheus knows what to do about that |

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::handle::NodeInner;
use crate::app::contents::{Body, ContentStore, Contents};

/// Contents that are read of the store at once.
const SOME: usize = 1_000;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct NodeState {
    pub(super) last_offset: u64,
    contents: Vec<StoredContents>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredContents {
    uri: String,
    mime_type: Option<String>,
    name: Option<String>,
    description: Option<String>,
    body: StoredBody,
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredBody {
    Text(String),
    Blob(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl NodeState {
    /// Of a node that stands still.
    pub(super) fn of(node: &NodeInner, last_offset: u64) -> NodeState {
        NodeState {
            last_offset,
            contents: node.store.as_deref().map(all_contents).unwrap_or_default(),
        }
    }

    /// The contents are there again. Those that the store refuses are lost, and how many is said.
    pub(super) fn put_contents(self, store: &dyn ContentStore) {
        let refused = self.contents.into_iter().filter_map(|stored| {
            let (uri, contents) = stored.contents();
            store.put(&uri, Some(contents)).err()
        });
        let refused = refused.count();
        if refused > 0 {
            tracing::error!(
                refused,
                "contents were lost in the hand-over: this program has less room for them than the one before"
            );
        }
    }

    pub(super) fn write(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("pinfold-node", MemfdFlags::CLOEXEC)?);
        let bytes = rmp_serde::to_vec_named(self).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        Ok(file)
    }

    pub(super) fn read(mut file: File) -> io::Result<NodeState> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        rmp_serde::from_slice(&bytes).map_err(io::Error::other)
    }
}

fn all_contents(store: &dyn ContentStore) -> Vec<StoredContents> {
    let mut all = Vec::new();
    let mut after: Option<Box<str>> = None;
    loop {
        let uris = store.uris_after(after.as_deref(), SOME);
        let Some(last) = uris.last() else {
            return all;
        };
        after = Some(last.clone());
        let stored = |uri: &Box<str>| Some(StoredContents::of(uri, store.get(uri)?));
        all.extend(uris.iter().filter_map(stored));
    }
}

impl StoredContents {
    fn of(uri: &str, contents: Contents) -> Self {
        let Contents {
            mime_type,
            name,
            description,
            body,
        } = contents;
        StoredContents {
            uri: uri.to_owned(),
            mime_type,
            name,
            description,
            body: match body {
                Body::Text(text) => StoredBody::Text(text),
                Body::Blob(bytes) => StoredBody::Blob(bytes),
            },
        }
    }

    fn contents(self) -> (String, Contents) {
        let StoredContents {
            uri,
            mime_type,
            name,
            description,
            body,
        } = self;
        let body = match body {
            StoredBody::Text(text) => Body::Text(text),
            StoredBody::Blob(bytes) => Body::Blob(bytes),
        };
        let contents = Contents {
            mime_type,
            name,
            description,
            body,
        };
        (uri, contents)
    }
}
