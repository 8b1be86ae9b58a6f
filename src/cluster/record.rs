//! What is written in Redis about nodes, as JSON, and what to make of what is found there.
//!
//! Members that are not known are ignored, so that nodes of two versions can live beside each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Advertised;
use crate::redis::{Command, RedisError, Reply};
use crate::wire::session_id::{NodeName, Process};

/// The names of the keys of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) prefix: Box<str>,
}

/// Where the marking of a dead process is claimed: while one node does it, others need not.
const BURIAL_LIFE: Duration = Duration::from_secs(300);

/// `{prefix}node:{name}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    pub(super) node: String,
    #[serde(rename = "boot")]
    pub(super) incarnation: u64,
    /// Its URL as the proxy's configuration has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// Where other nodes connect to it. None: it takes no requests from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<SocketAddr>,
    #[serde(default)]
    pub(super) version: String,
    /// Its sessions have ended, and its process will.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) leaving: bool,
    /// It drains: its clients go elsewhere, and its sessions are still there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) draining: bool,
    /// Others have claimed sessions of this process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) claimed: bool,
    /// It takes over sessions of nodes that are gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) adopts: bool,
    /// Rises with each heartbeat, so that others see a new one. 0: a version that does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) beats: u64,
}

pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What there is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FoundRecord<T> {
    Nothing,
    Record(T),
    /// Somebody else's, or damaged.
    Foreign,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Keys {
            prefix: prefix.into(),
        }
    }

    pub(super) fn node(&self, node: NodeName) -> String {
        format!("{}node:{node}", self.prefix)
    }

    fn processes(&self) -> String {
        format!("{}processes", self.prefix)
    }

    /// Answered by 1 if the index did not have it.
    pub(super) fn index_process(&self, process: Process, record: &str) -> Command {
        Command::new("HSET")
            .arg(self.processes())
            .arg(field_of(process))
            .arg(record)
    }

    pub(super) fn scan_processes(&self, cursor: &[u8], count: u64) -> Command {
        Command::new("HSCAN")
            .arg(self.processes())
            .arg(cursor)
            .arg("COUNT")
            .number(count)
    }

    pub(super) fn drop_process(&self, process: Process) -> Command {
        Command::new("HDEL")
            .arg(self.processes())
            .arg(field_of(process))
    }

    /// Answered by nothing if another node does it.
    pub(super) fn claim_marking(&self, process: Process, by: NodeName) -> Command {
        Command::new("SET")
            .arg(format!("{}burial:{}", self.prefix, field_of(process)))
            .arg(by.as_str())
            .arg("EX")
            .number(BURIAL_LIFE.as_secs())
            .arg("NX")
    }

    pub(super) fn read_node(&self, node: NodeName) -> Command {
        Command::new("GET").arg(self.node(node))
    }

    pub(super) fn write_node(&self, node: NodeName, value: &str, life: Duration) -> Command {
        Command::new("SET")
            .arg(self.node(node))
            .arg(value)
            .arg("PX")
            .number(life.as_millis() as u64)
    }

    pub(super) fn remove_node(&self, node: NodeName) -> Command {
        Command::new("DEL").arg(self.node(node))
    }
}

impl NodeRecord {
    /// As it begins.
    pub(super) fn of((node, incarnation): Process, advertised: Option<Advertised>) -> Self {
        NodeRecord {
            address: advertised.as_ref().map(|it| it.address),
            url: advertised.map(|it| it.url),
            node: node.to_string(),
            incarnation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            leaving: false,
            draining: false,
            claimed: false,
            adopts: false,
            beats: 0,
        }
    }

    pub(super) fn process(&self) -> Option<Process> {
        Some((NodeName::new(&self.node)?, self.incarnation))
    }

    /// Not all sessions that its process opened are there, or not for long: each is asked for by itself.
    pub(super) fn loses_sessions(&self) -> bool {
        self.claimed || self.draining || self.leaving
    }

    pub(super) fn json(&self) -> String {
        json(self)
    }
}

pub(super) fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("texts and numbers have a JSON form")
}

pub(super) fn found_node(reply: &Reply, node: NodeName) -> FoundRecord<NodeRecord> {
    let Some(found) = found::<NodeRecord>(reply) else {
        return FoundRecord::Nothing;
    };
    match found {
        Some(record) if record.node == node.as_str() => FoundRecord::Record(record),
        _ => FoundRecord::Foreign,
    }
}

/// An entry of the index of processes. None: it is not ours.
pub(super) fn indexed(field: &Reply, value: &Reply) -> Option<(Process, NodeRecord)> {
    let (name, incarnation) = std::str::from_utf8(field.text()?).ok()?.rsplit_once('.')?;
    let process = (NodeName::new(name)?, incarnation.parse().ok()?);
    match found_node(value, process.0) {
        FoundRecord::Record(record) if record.incarnation == process.1 => Some((process, record)),
        _ => None,
    }
}

pub(super) fn field_of((node, incarnation): Process) -> String {
    format!("{node}.{incarnation}")
}

/// None: nothing is there. `Some(None)`: it cannot be read; also a key of another type.
pub(super) fn found<T: for<'a> Deserialize<'a>>(reply: &Reply) -> Option<Option<T>> {
    match reply {
        Reply::Null => None,
        Reply::Text(text) => Some(serde_json::from_slice(text).ok()),
        _ => Some(None),
    }
}

/// Where a scan goes on, and what it found.
pub(super) type ScanPage = (Box<[u8]>, Vec<Reply>);

/// A page of a scan.
///
/// # Errors
/// Redis refuses it; none: this is no answer to a scan.
pub(super) fn scanned(reply: Reply) -> Result<ScanPage, Option<RedisError>> {
    let Reply::List(parts) = reply.checked()? else {
        return Err(None);
    };
    let mut parts = parts.into_iter();
    let cursor = parts.next().and_then(|it| it.text().map(Into::into));
    match (cursor, parts.next()) {
        (Some(cursor), Some(Reply::List(found))) => Ok((cursor, found)),
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_record_that_is_not_ours_is_foreign() {
        let name = NodeName::new("node-a").unwrap();
        let node = |text: &str| found_node(&Reply::Text(text.to_owned().into()), name);
        assert_eq!(node("{}"), FoundRecord::Foreign);
        assert_eq!(node(r#"{"node":"node-b","boot":1}"#), FoundRecord::Foreign);
        let address = |address: &str| {
            node(&format!(
                r#"{{"node":"node-a","boot":1,"address":"{address}"}}"#
            ))
        };
        for bad in ["", "10.0.0.1", "host:80", "http://10.0.0.1:80"] {
            assert_eq!(address(bad), FoundRecord::Foreign, "{bad}");
        }
        let FoundRecord::Record(record) = address("10.0.0.1:80") else {
            panic!("an address")
        };
        assert_eq!(record.address, Some(([10, 0, 0, 1], 80).into()));
        assert_eq!(
            found_node(&Reply::Text(record.json().into()), name),
            FoundRecord::Record(record)
        );
    }
}
