//! What is written in Redis about sessions, as JSON, and what to make of what is found there.
//!
//! A record says where its session lives: `node` and `boot` are of the process that has it, which is the one that its id names
//! until another one has claimed it. Each claim raises the `fence`, and nobody's record is written over by one of a lower fence.
//! Members that are not known are ignored, so that nodes of two versions can live beside each other.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::record::{FoundRecord, Keys, found, is_zero, json};
use crate::redis::{Command, Reply};
use crate::runtime::unix_ms_of;
use crate::shard::{PortableSession, SessionInfo};
use crate::wire::session_id::{NodeName, Process, SessionId};

/// A session's record outlives its last use by thirty days.
const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The same of one that nobody has, and of one that was claimed: in no node's scan is it found again.
pub(super) const UNOWNED_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is known that a session ended with its process: clients that sleep longer get `unknown`.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(300);

/// `{prefix}session:{id}`. Scripts read its first three members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionRecord {
    #[serde(default, skip_serializing_if = "is_zero")]
    fence: u64,
    /// The process that has it, or had it.
    node: String,
    #[serde(rename = "boot")]
    incarnation: u64,
    #[serde(default)]
    protocol_version: String,
    #[serde(default)]
    client: ClientRecord,
    /// Unix milliseconds.
    #[serde(default)]
    created_at: u64,
    /// Its node has let go of it: whoever is asked for it may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    free: bool,
    /// None: it cannot be taken over, also because nobody here understands it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "understood"
    )]
    state: Option<Box<PortableSession>>,
    /// Why it does not live.
    #[serde(default, skip_serializing)]
    ended: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ClientRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Box<str>>,
}

/// `{prefix}session:{id}` of a session that ended with its process.
#[derive(Serialize)]
struct Tombstone<'a> {
    node: &'a str,
    #[serde(rename = "boot")]
    incarnation: u64,
    ended: &'a str,
}

/// What a session's record says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoundSession {
    pub(super) state: SessionState,
    /// The process that has it, or had it.
    pub(super) owner: Process,
    record: SessionRecord,
    /// To the letter.
    pub(super) text: Box<[u8]>,
}

const OWNER_RESTARTED: &str = "owner_restarted";
const OWNER_DOWN: &str = "owner_down";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Lives,
    Restarted,
    /// Its process died, and no other one of its node had come when that was found.
    Down,
}

impl Keys {
    pub(super) fn session(&self, session: &SessionId) -> String {
        let mut key = format!("{}session:", self.prefix);
        session.emit(&mut key);
        key
    }

    /// The record of a session that `owner` has, or lets go of. With a fence or a state, answered by 0 if somebody else has it by
    /// now, and nothing is written.
    pub(super) fn write_session(
        &self,
        owner: Process,
        session: &SessionId,
        info: &SessionInfo,
        free: bool,
    ) -> Command {
        let record = record(owner, info, free);
        let life = match free || session.process() != owner {
            true => UNOWNED_LIFE,
            false => SESSION_LIFE,
        };
        match info.fence > 0 || info.state.is_some() {
            true => self.set_unless_claimed(session, owner, info.fence, &record, life),
            false => self.set_session(session, record, life),
        }
    }

    /// The session ends with its process. `is_guarded`: what another one has of it stays.
    pub(super) fn mark_terminated(
        &self,
        owner: Process,
        session: &SessionId,
        is_guarded: bool,
    ) -> Command {
        let tombstone = tombstone(owner, OWNER_RESTARTED);
        match is_guarded {
            true => self.set_unless_claimed(session, owner, 0, &tombstone, TOMBSTONE_LIFE),
            false => self.set_session(session, tombstone, TOMBSTONE_LIFE),
        }
    }

    /// Nobody has a session any more that can still be taken over: it can be for a while.
    pub(super) fn orphan_session(&self, session: &SessionId) -> Command {
        Command::new("EXPIRE")
            .arg(self.session(session))
            .number(UNOWNED_LIFE.as_secs())
    }

    /// The session's process is dead. Only what is there is written over.
    pub(super) fn mark_dead(
        &self,
        owner: Process,
        session: &SessionId,
        restarted: bool,
    ) -> Command {
        let ended = if restarted {
            OWNER_RESTARTED
        } else {
            OWNER_DOWN
        };
        self.set_session(session, tombstone(owner, ended), TOMBSTONE_LIFE)
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

    pub(super) fn refresh_session(&self, owner: Process, session: &SessionId) -> Command {
        let life = match session.process() == owner {
            true => SESSION_LIFE,
            false => UNOWNED_LIFE,
        };
        Command::new("EXPIRE")
            .arg(self.session(session))
            .number(life.as_secs())
    }

    pub(super) fn remove_session(&self, session: &SessionId) -> Command {
        Command::new("DEL").arg(self.session(session))
    }

    pub(super) fn read_session(&self, session: &SessionId) -> Command {
        Command::new("GET").arg(self.session(session))
    }

    fn set_session(&self, session: &SessionId, value: impl AsRef<[u8]>, life: Duration) -> Command {
        Command::new("SET")
            .arg(self.session(session))
            .arg(value)
            .arg("EX")
            .number(life.as_secs())
    }
}

fn record((node, incarnation): Process, info: &SessionInfo, free: bool) -> String {
    json(&SessionRecord {
        fence: info.fence,
        node: node.to_string(),
        incarnation,
        protocol_version: info.version.as_str().to_owned(),
        client: ClientRecord {
            name: info.client_name.clone(),
            version: info.client_version.clone(),
        },
        created_at: unix_ms_of(info.created_at),
        free,
        state: info.state.clone(),
        ended: None,
    })
}

fn understood<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Box<PortableSession>>, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    Ok(serde_json::from_value(value).ok())
}

fn tombstone((node, incarnation): Process, ended: &str) -> String {
    json(&Tombstone {
        node: node.as_str(),
        incarnation,
        ended,
    })
}

/// What an answer to [`Keys::read_session`] says. An error of Redis says nothing about the session.
pub(super) fn found_session(reply: &Reply, session: &SessionId) -> FoundRecord<FoundSession> {
    let Some(read) = found::<SessionRecord>(reply) else {
        return FoundRecord::Nothing;
    };
    let found = read.and_then(|read| FoundSession::of(read, reply.text()?));
    match found {
        // Without a fence nobody but its first process can have written it.
        Some(found) if found.record.fence > 0 || found.owner == session.process() => {
            FoundRecord::Record(found)
        }
        _ => FoundRecord::Foreign,
    }
}

impl FoundSession {
    fn of(record: SessionRecord, text: &[u8]) -> Option<FoundSession> {
        Some(FoundSession {
            state: match &record.ended {
                None => SessionState::Lives,
                Some(ended) if ended == OWNER_DOWN => SessionState::Down,
                Some(_) => SessionState::Restarted,
            },
            owner: (NodeName::new(&record.node)?, record.incarnation),
            record,
            text: text.into(),
        })
    }

    pub(super) fn fence(&self) -> u64 {
        self.record.fence
    }

    pub(super) fn is_free(&self) -> bool {
        self.record.free
    }

    pub(super) fn lives(&self) -> bool {
        self.state == SessionState::Lives
    }

    /// What it needs to live on elsewhere, if it may.
    pub(super) fn adoptable(&self) -> Option<&PortableSession> {
        self.record.state.as_deref().filter(|_| self.lives())
    }

    /// The record by which this process has it, and by which fence.
    pub(super) fn claimed_by(&self, (node, incarnation): Process) -> (String, u64) {
        let fence = self.record.fence + 1;
        let record = SessionRecord {
            fence,
            node: node.to_string(),
            incarnation,
            free: false,
            ..self.record.clone()
        };
        (json(&record), fence)
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

    fn info() -> SessionInfo {
        SessionInfo {
            version: ProtocolVersion::V2025_11_25,
            client_name: Some("a \"client\"".into()),
            client_version: None,
            created_at: 1_000,
            fence: 0,
            state: None,
        }
    }

    fn portable() -> Option<Box<PortableSession>> {
        Some(Box::new(PortableSession {
            revision: "2025-11-25".into(),
            ..PortableSession::default()
        }))
    }

    fn record_of(found: FoundRecord<FoundSession>) -> FoundSession {
        match found {
            FoundRecord::Record(found) => found,
            other => panic!("a record and not {other:?}"),
        }
    }

    #[test]
    fn a_session_is_found_as_it_was_written() {
        let (keys, own) = (Keys::new("mcp:"), session().process());
        let command = keys.write_session(own, &session(), &info(), false);
        let found = record_of(found_session(&value(&command), &session()));
        assert_eq!((found.state, found.owner), (SessionState::Lives, own));
        assert!(!found.is_free() && found.adoptable().is_none());
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
        let tombstone = keys.mark_terminated(own, &session(), true);
        let found = record_of(found_session(&value(&tombstone), &session()));
        assert_eq!(found.state, SessionState::Restarted);
    }

    #[test]
    fn a_session_that_another_process_has_and_that_is_taken_for_the_first_ones() {
        let (keys, session) = (Keys::new("mcp:"), session());
        let other = (NodeName::new("node-b").unwrap(), 7);
        let state = portable();
        let first = SessionInfo { state, ..info() };
        let command = keys.write_session(session.process(), &session, &first, false);
        let found = record_of(found_session(&value(&command), &session));
        assert_eq!(found.adoptable(), first.state.as_deref());
        let (claimed, fence) = found.claimed_by(other);
        assert_eq!(fence, 1);
        assert!(
            claimed.starts_with(r#"{"fence":1,"node":"node-b","boot":7,"#),
            "{claimed}"
        );
        let found = record_of(found_session(&Reply::Text(claimed.into()), &session));
        assert_eq!((found.owner, found.fence()), (other, 1));
        assert_eq!(found.adoptable(), first.state.as_deref());
        let freed = SessionInfo { fence: 1, ..first };
        let freed = keys.write_session(other, &session, &freed, true);
        let found = record_of(found_session(&value(&freed), &session));
        assert!(found.is_free() && found.owner == other);
        assert!(
            String::from_utf8(freed.encoded())
                .unwrap()
                .ends_with("$5\r\n86400\r\n")
        );
    }

    /// A client says what it likes of itself, and a later version says more.
    #[test]
    fn a_state_that_nobody_here_understands() {
        for state in ["7", r#"{"subscriptions":7}"#, "null", r#""x""#, "[[]]"] {
            let record = format!(r#"{{"node":"node-a","boot":{INCARNATION},"state":{state}}}"#);
            let found = record_of(found_session(&Reply::Text(record.into()), &session()));
            assert!(found.lives() && found.adoptable().is_none(), "{state}");
        }
        let later = r#"{"revision":"2025-11-25","more":{"of":"it"}}"#;
        let record = format!(r#"{{"node":"node-a","boot":{INCARNATION},"state":{later}}}"#);
        let found = record_of(found_session(&Reply::Text(record.into()), &session()));
        assert!(found.adoptable().is_some());
    }

    /// PERF.md has these.
    #[test]
    fn what_a_session_costs_redis() {
        let keys = Keys::new("mcp:");
        let mut session = session();
        session.node = NodeName::new("a").unwrap();
        session.locator.incarnation = 1_790_000_000_000;
        let own = session.process();
        let info = SessionInfo {
            client_name: Some("mcp-inspector".into()),
            client_version: Some("0.17.2".into()),
            ..info()
        };
        let commands = [
            keys.write_session(own, &session, &info, false),
            keys.refresh_session(own, &session),
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
        assert!(record_of(text(record("node-a", INCARNATION))).lives());
    }
}
