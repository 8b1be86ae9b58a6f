//! What is written in Redis about sessions and nodes, as JSON, and what to make of what is found there.
//!
//! Members that are not known are ignored, so that nodes of two versions can live beside each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::redis::{Command, Reply};
use crate::runtime::unix_ms_of;
use crate::shard::SessionInfo;
use crate::wire::session_id::{NodeName, Process, SessionId};

/// A session's record outlives its last use by thirty days.
const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long it is known that a session ended with its process: clients that sleep longer get `unknown`.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(300);

/// The names of the keys of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
}

/// `{prefix}session:{id}` of a session that lives, as far as is known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionRecord<'a> {
    node: &'a str,
    #[serde(rename = "boot")]
    incarnation: u64,
    protocol_version: &'a str,
    client: ClientRecord<'a>,
    /// Unix milliseconds.
    created_at: u64,
}

#[derive(Serialize)]
struct ClientRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

/// `{prefix}session:{id}` of a session that ended with its process.
#[derive(Serialize)]
struct Tombstone<'a> {
    node: &'a str,
    #[serde(rename = "boot")]
    incarnation: u64,
    ended: &'a str,
}

/// What of a session's record tells whether it lives.
#[derive(Deserialize)]
struct FoundSession {
    node: String,
    #[serde(rename = "boot")]
    incarnation: u64,
    ended: Option<String>,
}

const OWNER_RESTARTED: &str = "owner_restarted";
const OWNER_DOWN: &str = "owner_down";
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
    /// Rises with each heartbeat, so that others see a new one. 0: a version that does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) beats: u64,
}

fn is_zero(count: &u64) -> bool {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Lives,
    Restarted,
    /// Its process died, and no other one of its node had come when that was found.
    Down,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Keys {
            prefix: prefix.into(),
        }
    }

    pub(super) fn session(&self, session: &SessionId) -> String {
        let mut key = format!("{}session:", self.prefix);
        session.emit(&mut key);
        key
    }

    pub(super) fn node(&self, node: NodeName) -> String {
        format!("{}node:{node}", self.prefix)
    }

    pub(super) fn write_session(&self, session: &SessionId, info: &SessionInfo) -> Command {
        let record = SessionRecord {
            node: session.node.as_str(),
            incarnation: session.locator.incarnation,
            protocol_version: info.version.as_str(),
            client: ClientRecord {
                name: info.client_name.as_deref(),
                version: info.client_version.as_deref(),
            },
            created_at: unix_ms_of(info.created_at),
        };
        self.set_session(session, json(&record), SESSION_LIFE)
    }

    pub(super) fn mark_terminated(&self, session: &SessionId) -> Command {
        let tombstone = Tombstone {
            node: session.node.as_str(),
            incarnation: session.locator.incarnation,
            ended: OWNER_RESTARTED,
        };
        self.set_session(session, json(&tombstone), TOMBSTONE_LIFE)
    }

    /// The session's process is dead. Only what is there is written over.
    pub(super) fn mark_dead(&self, session: &SessionId, restarted: bool) -> Command {
        let tombstone = Tombstone {
            node: session.node.as_str(),
            incarnation: session.locator.incarnation,
            ended: if restarted {
                OWNER_RESTARTED
            } else {
                OWNER_DOWN
            },
        };
        self.set_session(session, json(&tombstone), TOMBSTONE_LIFE)
            .arg("XX")
    }

    /// What a record was before it was marked.
    pub(super) fn restore_session(&self, session: &SessionId, value: &[u8]) -> Command {
        self.set_session(session, value, SESSION_LIFE).arg("XX")
    }

    /// Some keys of sessions of a node, from where the last step ended.
    pub(super) fn scan_sessions(&self, node: NodeName, cursor: &[u8], count: u64) -> Command {
        let mut pattern = String::new();
        for it in self.prefix.chars() {
            if "*?[]\\".contains(it) {
                pattern.push('\\');
            }
            pattern.push(it);
        }
        pattern += &format!("session:{node}.*");
        Command::new("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .number(count)
    }

    /// The session of a key that a scan found.
    pub(super) fn session_of(&self, key: &[u8]) -> Option<SessionId> {
        let key = std::str::from_utf8(key).ok()?;
        let id = key.strip_prefix(&*self.prefix)?.strip_prefix("session:")?;
        SessionId::parse(id)
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

    pub(super) fn refresh_session(&self, session: &SessionId) -> Command {
        Command::new("EXPIRE")
            .arg(self.session(session))
            .number(SESSION_LIFE.as_secs())
    }

    pub(super) fn remove_session(&self, session: &SessionId) -> Command {
        Command::new("DEL").arg(self.session(session))
    }

    pub(super) fn read_session(&self, session: &SessionId) -> Command {
        Command::new("GET").arg(self.session(session))
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

    fn set_session(&self, session: &SessionId, value: impl AsRef<[u8]>, life: Duration) -> Command {
        Command::new("SET")
            .arg(self.session(session))
            .arg(value)
            .arg("EX")
            .number(life.as_secs())
    }
}

impl NodeRecord {
    pub(super) fn json(&self) -> String {
        json(self)
    }
}

fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("texts and numbers have a JSON form")
}

/// What an answer to [`Keys::read_session`] says. An error of Redis says nothing about the session.
pub(super) fn found_session(reply: &Reply, session: &SessionId) -> FoundRecord<SessionState> {
    let Some(found) = found::<FoundSession>(reply) else {
        return FoundRecord::Nothing;
    };
    match found {
        Some(found)
            if found.node == session.node.as_str()
                && found.incarnation == session.locator.incarnation =>
        {
            FoundRecord::Record(match found.ended {
                None => SessionState::Lives,
                Some(ended) if ended == OWNER_DOWN => SessionState::Down,
                Some(_) => SessionState::Restarted,
            })
        }
        _ => FoundRecord::Foreign,
    }
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

fn field_of((node, incarnation): Process) -> String {
    format!("{node}.{incarnation}")
}

/// None: nothing is there. `Some(None)`: it cannot be read; also a key of another type.
fn found<T: for<'a> Deserialize<'a>>(reply: &Reply) -> Option<Option<T>> {
    match reply {
        Reply::Null => None,
        Reply::Text(text) => Some(serde_json::from_slice(text).ok()),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;

    const TEXT: &str = "node-a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ";
    const INCARNATION: u64 = 0x0a0b_0c0d_0e0f_1011;

    fn session() -> SessionId {
        SessionId::parse(TEXT).unwrap()
    }

    /// The value that a command sets.
    fn value(command: &Command) -> Reply {
        let wire = command.encoded();
        let text = String::from_utf8(wire).unwrap();
        let value = text.split("\r\n").find(|part| part.starts_with('{'));
        Reply::Text(value.unwrap().to_owned().into())
    }

    #[test]
    fn a_session_is_found_as_it_was_written() {
        let keys = Keys::new("mcp:");
        let info = SessionInfo {
            version: ProtocolVersion::V2025_11_25,
            client_name: Some("a \"client\"".into()),
            client_version: None,
            created_at: 1_000,
        };
        let command = keys.write_session(&session(), &info);
        let found = found_session(&value(&command), &session());
        assert_eq!(found, FoundRecord::Record(SessionState::Lives));
        let Reply::Text(json) = value(&command) else {
            panic!("a text")
        };
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["client"], serde_json::json!({"name": "a \"client\""}));
        assert_eq!(json["protocolVersion"], "2025-11-25");
        assert!(json["createdAt"].as_u64().unwrap() > 1_700_000_000_000);
        let wire = String::from_utf8(command.encoded()).unwrap();
        assert!(wire.contains(&format!("mcp:session:{TEXT}\r\n")));
        assert!(wire.ends_with("\r\n$2\r\nEX\r\n$7\r\n2592000\r\n"));
        let tombstone = keys.mark_terminated(&session());
        let found = found_session(&value(&tombstone), &session());
        assert_eq!(found, FoundRecord::Record(SessionState::Restarted));
    }

    /// PERF.md has these.
    #[test]
    fn what_a_session_costs_redis() {
        let keys = Keys::new("mcp:");
        let mut session = session();
        session.node = NodeName::new("a").unwrap();
        let info = SessionInfo {
            version: ProtocolVersion::V2025_11_25,
            client_name: Some("mcp-inspector".into()),
            client_version: Some("0.17.2".into()),
            created_at: 1_000,
        };
        session.locator.incarnation = 1_790_000_000_000;
        let commands = [
            keys.write_session(&session, &info),
            keys.refresh_session(&session),
            keys.remove_session(&session),
        ];
        assert_eq!(commands.map(|it| it.size()), [252, 96, 80]);
    }

    #[test]
    fn what_is_not_ours_is_foreign() {
        let text = |text: String| found_session(&Reply::Text(text.into()), &session());
        assert_eq!(
            found_session(&Reply::Null, &session()),
            FoundRecord::Nothing
        );
        for foreign in ["", "hello", "[]", "{}", "null", "{\"node\":\"node-a\"}"] {
            assert_eq!(text(foreign.to_owned()), FoundRecord::Foreign, "{foreign}");
        }
        let record = |node: &str, incarnation: u64| {
            format!(r#"{{"node":"{node}","boot":{incarnation},"x":1}}"#)
        };
        assert_eq!(text(record("node-b", INCARNATION)), FoundRecord::Foreign);
        assert_eq!(text(record("node-a", 7)), FoundRecord::Foreign);
        let ours = FoundRecord::Record(SessionState::Lives);
        assert_eq!(text(record("node-a", INCARNATION)), ours);

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
