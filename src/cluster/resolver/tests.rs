//! Who the owner of a session is, from each thing that Redis may say.

use super::super::session_record::found_session;
use super::*;
use crate::cluster::Advertised;
use crate::redis::Reply;

const INCARNATION: u64 = 0x0a0b_0c0d_0e0f_1011;

fn session() -> SessionId {
    let text = "node-a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ";
    SessionId::parse(text).unwrap()
}

fn node(incarnation: u64) -> FoundRecord<NodeRecord> {
    let advertised = Advertised {
        url: "http://127.0.0.1:17101".to_owned(),
        address: ([127, 0, 0, 1], 17101).into(),
    };
    FoundRecord::Record(NodeRecord::of(
        (session().node, incarnation),
        Some(advertised),
    ))
}

fn found(state: SessionState) -> FoundRecord<FoundSession> {
    let ended = match state {
        SessionState::Lives => "",
        SessionState::Restarted => r#","ended":"owner_restarted""#,
        SessionState::Down => r#","ended":"owner_down""#,
    };
    let text = format!(r#"{{"node":"node-a","boot":{INCARNATION}{ended}}}"#);
    found_session(&Reply::Text(text.into()), &session())
}

fn ask(
    nodes: &mut Nodes,
    node: FoundRecord<NodeRecord>,
    session: FoundRecord<FoundSession>,
) -> SessionOwner {
    let answers = LocateAnswers {
        owner: self::session().process(),
        node,
        session,
        absence_tells: true,
        heard_all: true,
        missing: None,
        unix_ms: INCARNATION + YOUNG_MS,
    };
    nodes.owner(&self::session(), &answers, Instant::now())
}

fn here() -> SessionOwner {
    here_by(INCARNATION)
}

fn here_by(incarnation: u64) -> SessionOwner {
    SessionOwner::Alive {
        process: (session().node, incarnation),
        address: SocketAddr::from(([127, 0, 0, 1], 17101)),
        cookie: "05dbab2a9d90f679".into(),
        lives_ms: 1_000,
    }
}

#[test]
fn each_reason_from_what_redis_says() {
    use SessionState::{Down, Lives, Restarted};
    let ask = |node, session| ask(&mut Nodes::default(), node, session);
    fn nothing<T>() -> FoundRecord<T> {
        FoundRecord::Nothing
    }
    assert_eq!(ask(node(INCARNATION), nothing()), here());
    assert_eq!(
        ask(node(INCARNATION), found(Restarted)),
        here(),
        "it still answers"
    );
    let cases = [
        (
            node(INCARNATION + 1),
            found(Restarted),
            MissReason::OwnerRestarted,
        ),
        (node(INCARNATION + 1), nothing(), MissReason::OwnerRestarted),
        (node(INCARNATION - 1), nothing(), MissReason::Unknown),
        (nothing(), found(Restarted), MissReason::OwnerRestarted),
        (nothing(), found(Lives), MissReason::OwnerDown),
        (nothing(), nothing(), MissReason::Unknown),
        (
            FoundRecord::Foreign,
            FoundRecord::Foreign,
            MissReason::Unknown,
        ),
        (FoundRecord::Foreign, found(Lives), MissReason::OwnerDown),
        (nothing(), found(Down), MissReason::OwnerDown),
        (
            node(INCARNATION + 1),
            found(Down),
            MissReason::OwnerRestarted,
        ),
    ];
    for (node, session, gone) in cases {
        assert_eq!(
            ask(node.clone(), session.clone()),
            SessionOwner::Gone(gone),
            "{node:?} {session:?}"
        );
    }
    let mut unreachable = match node(INCARNATION) {
        FoundRecord::Record(record) => record,
        _ => panic!("a record"),
    };
    unreachable.address = None;
    let misrouted = SessionOwner::Gone(MissReason::Misrouted);
    assert_eq!(ask(FoundRecord::Record(unreachable), nothing()), misrouted);
}

#[test]
fn a_node_whose_key_is_not_there_although_its_process_was_heard_of() {
    let ask = |missing, session, absence_tells| {
        let answers = LocateAnswers {
            owner: self::session().process(),
            node: FoundRecord::Nothing,
            session,
            absence_tells,
            heard_all: absence_tells,
            missing: Some(missing),
            unix_ms: INCARNATION + YOUNG_MS,
        };
        Nodes::default().owner(&self::session(), &answers, Instant::now())
    };
    let FoundRecord::Record(record) = node(INCARNATION) else {
        panic!("a record")
    };
    let expected = || Missing::Expected(record.clone());
    let lives = || found(SessionState::Lives);
    for session in [lives(), FoundRecord::Nothing] {
        assert_eq!(ask(expected(), session.clone(), true), here());
        assert_eq!(ask(expected(), session.clone(), false), here());
        let down = ask(Missing::Down, session.clone(), true);
        assert_eq!(
            down,
            SessionOwner::Gone(MissReason::OwnerDown),
            "{session:?}"
        );
        let unclear = ask(Missing::Down, session, false);
        assert_eq!(unclear, SessionOwner::Gone(MissReason::CannotTell));
    }
    let marked = ask(expected(), found(SessionState::Down), true);
    assert_eq!(marked, SessionOwner::Gone(MissReason::OwnerDown));
}

/// The node crashed, and started again with its clock an hour behind: for thirty days Redis says that the sessions of
/// the crashed process live.
#[test]
fn a_session_whose_node_will_never_be_as_late_again_as_its_process_was() {
    const HOUR: u64 = 3_600_000;
    let (mut nodes, now) = (Nodes::default(), Instant::now());
    let lives = || found(SessionState::Lives);
    for incarnation in [INCARNATION - HOUR, INCARNATION + HOUR] {
        let owner = ask(&mut nodes, node(incarnation), lives());
        assert_eq!(owner, here_by(incarnation));
    }
    assert_eq!(
        nodes.owner_at_once(&session(), now),
        None,
        "nothing is concluded from which number is the greater one"
    );
    let marked = ask(
        &mut nodes,
        node(INCARNATION - HOUR),
        found(SessionState::Restarted),
    );
    assert_eq!(marked, SessionOwner::Gone(MissReason::OwnerRestarted));
    let FoundRecord::Record(record) = node(INCARNATION - HOUR) else {
        panic!("a record")
    };
    let unreachable = FoundRecord::Record(NodeRecord {
        address: None,
        ..record.clone()
    });
    let owner = ask(&mut nodes, unreachable, lives());
    assert_eq!(
        owner,
        SessionOwner::Gone(MissReason::Misrouted),
        "by whoever is there"
    );
    let leaving = FoundRecord::Record(NodeRecord {
        leaving: true,
        ..record
    });
    let owner = ask(&mut nodes, leaving, lives());
    assert_eq!(
        owner,
        SessionOwner::Gone(MissReason::CannotTell),
        "for as long as that takes"
    );
}

#[test]
fn a_session_that_is_unknown_because_its_node_has_just_started() {
    let gone = |node, unix_ms| {
        let answers = LocateAnswers {
            owner: self::session().process(),
            node,
            session: FoundRecord::Nothing,
            absence_tells: true,
            heard_all: true,
            missing: None,
            unix_ms,
        };
        Nodes::default().owner(&session(), &answers, Instant::now())
    };
    for earlier in [FoundRecord::Nothing, node(INCARNATION - 1)] {
        for unix_ms in [INCARNATION + YOUNG_MS - 1, INCARNATION, INCARNATION - 100] {
            let owner = gone(earlier.clone(), unix_ms);
            assert_eq!(
                owner,
                SessionOwner::Gone(MissReason::CannotTell),
                "{unix_ms}"
            );
        }
        let owner = gone(earlier, INCARNATION + YOUNG_MS);
        assert_eq!(owner, SessionOwner::Gone(MissReason::Unknown));
    }
}

/// Redis hung while it started, and goes on now that this node has started as well.
#[test]
fn a_session_that_is_unknown_because_redis_hung_since_its_node_started() {
    for node in [FoundRecord::Nothing, node(INCARNATION - 1)] {
        let answers = LocateAnswers {
            owner: self::session().process(),
            node,
            session: FoundRecord::Nothing,
            absence_tells: true,
            heard_all: false,
            missing: None,
            unix_ms: INCARNATION + 10 * YOUNG_MS,
        };
        let owner = Nodes::default().owner(&session(), &answers, Instant::now());
        assert_eq!(owner, SessionOwner::Gone(MissReason::CannotTell));
    }
}

/// A core was told of it when it was 0.7 seconds old, and believed it for another second.
#[test]
fn a_node_that_died_and_is_believed_to_live_for_a_second_on_each_core_anew() {
    let (mut nodes, now) = (Nodes::default(), Instant::now());
    let answers = LocateAnswers {
        owner: self::session().process(),
        node: node(INCARNATION),
        session: FoundRecord::Nothing,
        absence_tells: true,
        heard_all: true,
        missing: None,
        unix_ms: INCARNATION + YOUNG_MS,
    };
    nodes.owner(&session(), &answers, now);
    for (age, left) in [(0, 1_000), (700, 300), (999, 1)] {
        let owner = nodes.owner_at_once(&session(), now + Duration::from_millis(age));
        assert!(
            matches!(owner, Some(SessionOwner::Alive { lives_ms, .. }) if lives_ms == left),
            "{age}: {owner:?}"
        );
    }
}

#[test]
fn a_node_that_answered_lately_is_not_asked_for() {
    let (mut nodes, now) = (Nodes::default(), Instant::now());
    assert_eq!(nodes.owner_at_once(&session(), now), None);
    ask(&mut nodes, node(INCARNATION), FoundRecord::Nothing);
    assert_eq!(nodes.owner_at_once(&session(), now), Some(here()));
    assert_eq!(nodes.owner_at_once(&session(), now + FRESH * 2), None);
    let mut newer = session();
    newer.locator.incarnation += 1;
    assert_eq!(
        nodes.owner_at_once(&newer, now),
        None,
        "it may have started since"
    );
    ask(&mut nodes, node(INCARNATION + 1), FoundRecord::Nothing);
    assert_eq!(
        nodes.owner_at_once(&session(), now),
        None,
        "the clock of the process that was seen may have been ahead"
    );
    ask(&mut nodes, FoundRecord::Nothing, FoundRecord::Nothing);
    assert_eq!(nodes.owner_at_once(&session(), now), None);
}

#[test]
fn a_redis_that_does_not_answer_or_has_forgotten_everything() {
    let (mut nodes, now) = (Nodes::default(), Instant::now());
    let cannot_tell = SessionOwner::Gone(MissReason::CannotTell);
    assert_eq!(nodes.owner_without_answer(&session(), now), cannot_tell);
    let forgotten = |session| LocateAnswers {
        owner: self::session().process(),
        node: FoundRecord::Nothing,
        session,
        absence_tells: false,
        heard_all: false,
        missing: None,
        unix_ms: INCARNATION + YOUNG_MS,
    };
    let owner = nodes.owner(&session(), &forgotten(FoundRecord::Nothing), now);
    assert_eq!(owner, cannot_tell);
    ask(&mut nodes, node(INCARNATION), FoundRecord::Nothing);
    let later = now + USABLE / 2;
    assert_eq!(nodes.owner_without_answer(&session(), later), here());
    let owner = nodes.owner(&session(), &forgotten(FoundRecord::Nothing), later);
    assert_eq!(owner, here());
    let much_later = now + USABLE * 2;
    assert_eq!(
        nodes.owner_without_answer(&session(), much_later),
        cannot_tell
    );
    let marked = forgotten(found(SessionState::Restarted));
    let restarted = SessionOwner::Gone(MissReason::OwnerRestarted);
    assert_eq!(nodes.owner(&session(), &marked, now), restarted);
}
