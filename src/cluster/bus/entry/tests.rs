use super::*;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::principal::PrincipalId;
use crate::wire::session_id::{Locator, NodeName};

fn parsed(fields: &[(&str, &str)]) -> Result<Payload, MalformedEntry> {
    parse(fields, 64).map(|entry| entry.news)
}

fn message(params: &str, level: u8) -> Notice {
    Notice::Message {
        level,
        params: params.into(),
    }
}

fn session() -> Box<str> {
    let id = SessionId {
        node: NodeName::new("n").unwrap(),
        locator: Locator {
            core: 1,
            slot: 2,
            generation: 3,
            incarnation: 4,
        },
        secret: [5; 16],
    };
    let mut text = String::new();
    id.emit(&mut text);
    text.into()
}

fn soup(mime: Option<&str>) -> Contents {
    Contents {
        mime_type: mime.map(str::to_owned),
        name: None,
        description: None,
        body: Body::Text("soup".into()),
    }
}

#[test]
fn news_that_reads_back_as_other_news() {
    let uri = || Box::<str>::from("board://lunch");
    let all = [
        Payload::Changed(Topic::Tools),
        Payload::Changed(Topic::Prompts),
        Payload::Changed(Topic::Resources),
        Payload::Changed(Topic::Resource(uri())),
        Payload::Directed(PrincipalId::of("i", "s"), Topic::Resources),
        Payload::Directed(PrincipalId::of("i", "s"), Topic::Resource(uri())),
        Payload::Stored {
            uri: uri(),
            changed: false,
        },
        Payload::Stored {
            uri: uri(),
            changed: true,
        },
        Payload::ExternalPut(uri(), None),
        Payload::ExternalPut(uri(), Some(soup(Some("text/plain")))),
        Payload::Session(session(), Notice::Changed(Topic::Tools)),
        Payload::Session(session(), Notice::Changed(Topic::Resource(uri()))),
        Payload::Session(
            session(),
            message(r#"{"level":"info","data":{"a":1.50}}"#, 1),
        ),
        Payload::All(message(
            r#"{"level":"emergency","logger":"a\"b","data":"x"}"#,
            7,
        )),
        Payload::Reload,
        Payload::Everything,
    ];
    let author = Author {
        process: "n1.5f".into(),
        number: 17,
    };
    for news in all {
        let fields = emit(&author, &news);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_ref()))
            .collect();
        let entry = parse(&fields, 64).expect("what a node writes");
        assert_eq!((entry.author.as_ref(), &entry.news), (Some(&author), &news));
    }
}

#[test]
fn what_other_programs_write() {
    let lunch = [("uri", "board://lunch"), ("text", "soup")];
    assert_eq!(
        parsed(&lunch),
        Ok(Payload::ExternalPut(
            "board://lunch".into(),
            Some(soup(None))
        ))
    );
    let data = |data| [("all", "1"), ("level", "warning"), ("data", data)];
    let all = |params| Ok(Payload::All(message(params, 3)));
    assert_eq!(
        parsed(&data("soon")),
        all(r#"{"level":"warning","data":"soon"}"#)
    );
    assert_eq!(
        parsed(&data("{\n\"in\":5}")),
        all(r#"{"level":"warning","data":{ "in":5}}"#)
    );
    assert_eq!(
        parsed(&data("\"a\n")),
        all(r#"{"level":"warning","data":"\"a\n"}"#)
    );
    let blob: [(&[u8], &[u8]); 2] = [(b"uri", b"a:b"), (b"blob", b"\xff\x00")];
    let Ok(Payload::ExternalPut(_, Some(contents))) = parse(&blob, 64).map(|entry| entry.news)
    else {
        panic!("a blob is any bytes");
    };
    assert_eq!(contents.body, Body::Blob(vec![255, 0]));
}

#[test]
fn an_entry_that_says_nothing_or_two_things() {
    let long = "a:".to_owned() + &"b".repeat(64);
    let huge = "x".repeat(MESSAGE_BYTES_MAX);
    let wrong: [&[(&str, &str)]; 32] = [
        &[],
        &[("lunch", "soup")],
        &[("uri", "a:b"), ("uri", "a:b")],
        &[("uri", "a:b"), ("topic", "tools")],
        &[("topic", "tool")],
        &[("uri", "lunch")],
        &[("uri", "board://a|b")],
        &[("uri", "board://a b"), ("text", "soup")],
        &[("uri", "board://100%"), ("gone", "1")],
        &[("uri", &long)],
        &[("text", "soup")],
        &[("topic", "tools"), ("text", "soup")],
        &[("uri", "a:b"), ("text", "x"), ("blob", "x")],
        &[("uri", "a:b"), ("text", "x"), ("gone", "1")],
        &[("uri", "a:b"), ("gone", "1"), ("stored", "1")],
        &[("uri", "a:b"), ("text", "x"), ("stored", "1")],
        &[("uri", "a:b"), ("mime", "x/y")],
        &[("uri", "a:b"), ("gone", "1"), ("mime", "x/y")],
        &[("session", &session())],
        &[
            ("session", &session()),
            ("all", "1"),
            ("level", "info"),
            ("data", "1"),
        ],
        &[("session", &session()), ("uri", "a:b"), ("text", "x")],
        &[("session", &session()), ("uri", "a:b"), ("stored", "1")],
        &[
            ("session", &session()),
            ("topic", "tools"),
            ("level", "info"),
            ("data", "1"),
        ],
        &[("all", "1")],
        &[("all", "1"), ("topic", "tools")],
        &[("all", "1"), ("level", "loud"), ("data", "1")],
        &[("all", "1"), ("level", "info")],
        &[("level", "info"), ("data", "1")],
        &[("all", "1"), ("level", "info"), ("data", &huge)],
        &[("session", "n.x"), ("topic", "tools")],
        &[("sync", "everything")],
        &[("topic", "tools"), ("by", "somebody")],
    ];
    for fields in wrong {
        assert!(parsed(fields).is_err(), "{fields:?}");
    }
    let not_text: [(&[u8], &[u8]); 1] = [(b"uri", b"a:\xff")];
    assert!(parse(&not_text, 64).is_err());
}

/// What it keeps there is read all the same.
#[test]
fn an_older_node_whose_names_are_no_uris() {
    let stored = [("uri", "board://a|b"), ("stored", "1")];
    let news = parsed(&stored).expect("an entry");
    let uri = "board://a|b".into();
    assert_eq!(
        news,
        Payload::Stored {
            uri,
            changed: false
        }
    );
}

#[test]
fn an_entry_for_a_principal_that_is_taken_for_one_for_all() {
    let alice = PrincipalId::of("https://login.example", "alice");
    let id = alice.to_string();
    let uri = ("uri", "board://lunch");
    let directed = Payload::Directed(alice, Topic::Resource("board://lunch".into()));
    assert_eq!(parsed(&[uri, ("principal", &id)]), Ok(directed));
    let short = &id[1..];
    for fields in [
        &[uri, ("principal", "")][..],
        &[uri, ("principal", "alice")],
        &[uri, ("principal", short)],
        &[("principal", &id)],
        &[uri, ("principal", &id), ("text", "soup")],
        &[uri, ("principal", &id), ("gone", "1")],
        &[uri, ("principal", &id), ("stored", "1")],
        &[uri, ("principal", &id), ("topic", "tools")],
        &[uri, ("principal", &id), ("session", &session())],
        &[("principal", &id), ("sync", "all")],
        &[
            ("principal", &id),
            ("all", "1"),
            ("level", "info"),
            ("data", "1"),
        ],
    ] {
        assert!(parsed(fields).is_err(), "{fields:?}");
    }
}

/// Who may read Redis learns that somebody was told of something, not who.
#[test]
fn an_entry_that_tells_redis_who_somebody_is() {
    let author = Author {
        process: "n1.5f".into(),
        number: 17,
    };
    let alice = PrincipalId::of("https://login.example", "alice");
    let news = Payload::Directed(alice, Topic::Tools);
    let fields = emit(&author, &news);
    let values: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, std::str::from_utf8(value).unwrap()))
        .collect();
    let expected = [
        ("by", "n1.5f/17"),
        ("topic", "tools"),
        ("principal", "dc18d98ab34b2f83b5913fec82dc81e9"),
    ];
    assert_eq!(values, expected);
}
