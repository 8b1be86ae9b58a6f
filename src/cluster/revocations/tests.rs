//! The log as a plain value: what Redis has, and what a node makes of that.

use super::*;

const NOW_S: UnixSeconds = 1_800_000_000;

/// What a Redis makes of the commands: a list of entries, each with a place.
#[derive(Default)]
struct Stream {
    entries: Vec<(PrincipalId, UnixSeconds)>,
    refuses: bool,
    /// It refuses to be written alone.
    may_be_read: bool,
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::of("issuer", name)
}

fn text(text: impl Into<Vec<u8>>) -> Reply {
    Reply::Text(text.into().into())
}

impl Stream {
    fn answer(&mut self, command: &Command) -> Reply {
        let encoded = String::from_utf8(command.encoded()).expect("text");
        let words: Vec<&str> = encoded.split("\r\n").skip(1).skip(1).step_by(2).collect();
        let is_read = words.first() == Some(&"XREAD");
        if self.refuses && !(is_read && self.may_be_read) {
            let code = "OOM".into();
            let message = "no".into();
            return Reply::Error(RedisError { code, message });
        }
        match words.as_slice() {
            [
                "XADD",
                "mcp:revoked",
                "MAXLEN",
                "~",
                _,
                "*",
                "principal",
                principal,
                "until",
                until,
            ] => {
                let entry = (
                    principal.parse().expect("digits"),
                    until.parse().expect("a number"),
                );
                self.entries.push(entry);
                text(format!("{}-0", self.entries.len()))
            }
            ["XTRIM", "mcp:revoked", "MINID", "~", _] => Reply::Integer(0),
            ["XREAD", "COUNT", count, "STREAMS", "mcp:revoked", after] => {
                let after: usize = after.trim_end_matches("-0").parse().expect("a place");
                let count = count.parse().expect("a number");
                self.read(after, count)
            }
            other => panic!("{other:?}"),
        }
    }

    fn read(&self, after: usize, count: usize) -> Reply {
        let entries = (1..).zip(&self.entries).skip(after).take(count);
        let entry = |(place, (principal, until)): (usize, &(PrincipalId, UnixSeconds))| {
            let fields = [
                "principal".into(),
                principal.to_string(),
                "until".into(),
                until.to_string(),
            ];
            Reply::List(vec![
                text(format!("{place}-0")),
                Reply::List(fields.map(text).to_vec()),
            ])
        };
        let entries: Vec<Reply> = entries.map(entry).collect();
        match entries.is_empty() {
            true => Reply::Null,
            false => Reply::List(vec![Reply::List(vec![
                text("mcp:revoked"),
                Reply::List(entries),
            ])]),
        }
    }
}

/// One node, and what it knows.
struct Peer {
    log: RevocationLog,
    known: BTreeMap<PrincipalId, UnixSeconds>,
}

impl Peer {
    fn new() -> Peer {
        Peer {
            log: RevocationLog::new("mcp:"),
            known: BTreeMap::new(),
        }
    }

    fn revoke(&mut self, name: &str, until: UnixSeconds) {
        self.known.insert(principal(name), until);
        self.log.post(principal(name), until);
    }

    /// Talks until there is nothing more.
    fn talk(&mut self, redis: &mut Stream) {
        for _ in 0..100 {
            let commands = self.log.poll(NOW_S);
            let replies = commands.iter().map(|it| redis.answer(it)).collect();
            let (read, taken) = self.log.handle_replies(replies);
            self.known.extend(read);
            if taken.is_err() {
                return;
            }
            self.log.put_back(NOW_S, self.known.clone().into_iter());
            if !self.log.is_busy() {
                return;
            }
        }
        panic!("it never comes to an end");
    }
}

#[test]
fn a_node_that_did_not_hear_of_it_in_its_time() {
    let mut redis = Stream::default();
    let (mut one, mut other) = (Peer::new(), Peer::new());
    other.talk(&mut redis);
    one.revoke("alice", NOW_S);
    one.talk(&mut redis);
    other.talk(&mut redis);
    let mut late = Peer::new();
    late.talk(&mut redis);
    for peer in [&other, &late] {
        assert_eq!(peer.known.get(&principal("alice")), Some(&NOW_S));
    }
    assert_eq!(redis.entries.len(), 1, "nobody says it a second time");
}

#[test]
fn a_redis_that_was_emptied() {
    let mut redis = Stream::default();
    let (mut one, mut other) = (Peer::new(), Peer::new());
    one.revoke("alice", NOW_S);
    one.talk(&mut redis);
    redis = Stream::default();
    one.log.read_all();
    one.talk(&mut redis);
    other.talk(&mut redis);
    assert!(other.known.contains_key(&principal("alice")));
}

#[test]
fn what_is_too_old_that_comes_back_for_ever() {
    let mut redis = Stream::default();
    let mut one = Peer::new();
    one.known
        .insert(principal("alice"), NOW_S - REVOCATIONS_KEPT_S);
    one.talk(&mut redis);
    assert!(redis.entries.is_empty());
}

#[test]
fn what_redis_refused_that_is_never_said_again() {
    let mut redis = Stream {
        refuses: true,
        ..Stream::default()
    };
    let mut one = Peer::new();
    one.revoke("alice", NOW_S);
    one.talk(&mut redis);
    redis.refuses = false;
    one.talk(&mut redis);
    assert_eq!(redis.entries, [(principal("alice"), NOW_S)]);
}

#[test]
fn what_can_be_read_of_a_redis_that_takes_nothing_in() {
    let mut redis = Stream::default();
    let (mut one, mut late) = (Peer::new(), Peer::new());
    one.revoke("alice", NOW_S);
    one.talk(&mut redis);
    (redis.refuses, redis.may_be_read) = (true, true);
    late.revoke("bob", NOW_S);
    late.talk(&mut redis);
    assert_eq!(late.known.get(&principal("alice")), Some(&NOW_S));
    assert!(late.log.is_busy(), "bob is still to be told of");
}

#[test]
fn more_than_one_answer_has_room_for() {
    let mut redis = Stream::default();
    let (mut one, mut other) = (Peer::new(), Peer::new());
    for number in 0..2 * PAGE + 10 {
        one.revoke(&number.to_string(), NOW_S);
    }
    one.talk(&mut redis);
    other.talk(&mut redis);
    assert_eq!(other.known, one.known);
    assert_eq!(redis.entries.len(), one.known.len());
}

#[test]
fn an_entry_that_nobody_understands() {
    let mut log = RevocationLog::new("mcp:");
    let entry = |id: &str, fields: &[&str]| {
        let fields = fields.iter().map(|it| text(*it)).collect();
        Reply::List(vec![text(id), Reply::List(fields)])
    };
    let digits = principal("alice").to_string();
    let entries = vec![
        entry("1-0", &["principal", "alice", "until", "7"]),
        entry("2-0", &["of", "another", "version"]),
        entry("3-0", &["until", "7", "principal", &digits]),
    ];
    let page = Reply::Map(vec![(text("mcp:revoked"), Reply::List(entries))]);
    log.poll(NOW_S);
    let read = log.handle_replies(vec![Reply::Integer(0), page]);
    assert_eq!(read, (vec![(principal("alice"), 7)], Ok(())));
    assert_eq!(log.position, "3-0");
}
