//! Sessions of a node that is gone go on at another one: what arrives with them, who they are there, and what their clients
//! are told.

use std::sync::Arc;

use pinfold::app::call::{Notice, NotifyRefused, Topic};
use pinfold::internals::auth::Who;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::view::{EndReason, Portability, SessionFilter};
use pinfold::internals::shard::{
    Cluster, Located, NotTaken, PortableSession, SessionEvent, SessionInfo, ShardSetup,
};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::session_id::{NodeName, SessionId};
use serde_json::json;

use crate::support::http_sse::speaking;
use crate::support::identified::{identify_by, rules, tokens};
use crate::support::node::{Node, setup};
use crate::support::{Answer, Client, Request};
use crate::{view, view_acts};

pub(crate) const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

fn setup_of(name: &str, core: usize, cores: usize, limits: Limits) -> ShardSetup {
    let incarnation = 0x00b0_0000 + u64::from(name.as_bytes()[0]);
    ShardSetup {
        node: NodeName::new(name).expect("a name"),
        cluster: Some(Cluster {
            secret: Some(PeerSecret::new(b"of the nodes")),
        }),
        adoption: true,
        ..setup(core, cores, limits, incarnation)
    }
}

/// One that also serves clients of 2024-11-05.
pub(crate) fn with_http_sse(name: &str) -> Client {
    let node = Node::with(1, |core| {
        speaking(setup_of(name, core, 1, Limits::default()))
    });
    Client { node }
}

/// A node whose sessions may be taken over, and that takes over those of others.
pub(crate) fn node(name: &str, cores: usize, limits: Limits) -> Client {
    let node = Node::with(cores, |core| setup_of(name, core, cores, limits));
    Client { node }
}

pub(crate) fn alone(name: &str) -> Client {
    node(name, 1, Limits::default())
}

pub(crate) fn id_of(session: &str) -> SessionId {
    SessionId::parse(session).expect("an id")
}

/// What the last record of a session says, after the look at the timers that writes it.
pub(crate) fn record(client: &mut Client, session: &str) -> SessionInfo {
    client.pass(100);
    record_by_now(client, session)
}

/// The same, without such a look.
pub(crate) fn record_by_now(client: &Client, session: &str) -> SessionInfo {
    let said = client.node.said.iter().rev();
    let infos = said.filter_map(|it| match it {
        SessionEvent::Opened { session, info } | SessionEvent::LetGo { session, info } => {
            Some((session, info))
        }
        _ => None,
    });
    let mut own = infos.filter(|(id, _)| **id == id_of(session));
    let (_, info) = own.next().expect("it has a record");
    (**info).clone()
}

pub(crate) fn state(client: &mut Client, session: &str) -> PortableSession {
    let state = record(client, session).state.expect("it is portable");
    // As it is written down.
    let json = serde_json::to_string(&state).expect("plain values");
    serde_json::from_str(&json).expect("it is read")
}

pub(crate) fn adopt(
    client: &mut Client,
    session: &str,
    fence: u64,
    state: &PortableSession,
) -> Result<(), NotTaken> {
    let (id, now) = (id_of(session), client.node.now);
    let core = id.adopting_core(client.node.cores.len() as u16);
    let core = usize::from(core);
    let shard = &mut client.node.cores[core].shard;
    let adopted = shard.handle_adopt(now, id, fence, state);
    client.node.settle(core);
    adopted
}

/// A session of node `a`, and what its record says.
fn orphan() -> (String, PortableSession) {
    let mut first = alone("a");
    let session = first.session(V11);
    first.ask(&Request::subscribe(&session, "A:1"));
    first.ask(&Request::subscribe(&session, "b:2"));
    let level = json!({"level": "error"});
    first.ask(&Request::call(&session, 2, "logging/setLevel", level));
    let state = state(&mut first, &session);
    (session, state)
}

pub(crate) fn reason(answer: &Answer) -> String {
    let reason = answer.json()["error"]["data"]["reason"].clone();
    reason.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_session_that_is_another_one_at_the_node_that_took_it_over() {
    let (session, state) = orphan();
    assert_eq!(state.revision, V11);
    assert_eq!(state.log_level, Some(4));
    assert_eq!(state.client_info, json!({"name": "test", "version": "1"}));
    let mut next = alone("b");
    assert_eq!(adopt(&mut next, &session, 7, &state), Ok(()));
    assert_eq!(next.ask(&Request::ping(&session, 1)).status, 200);
    assert!(next.node.asked.is_empty(), "it is here");
    let info = record(&mut next, &session);
    assert_eq!(info.fence, 7);
    let announced = *info.state.expect("it can be taken over again");
    assert_eq!(announced, state);
    // A second time it is the same session, with a higher number.
    assert_eq!(adopt(&mut next, &session, 8, &state), Ok(()));
    assert_eq!(record(&mut next, &session).fence, 8);
    let rows = view::rows(&mut next, SessionFilter::default());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].name, view::name_of(&session));
    assert_eq!(rows[0].portable, Some(Portability::Portable));
    assert_eq!(rows[0].adopted.map(|it| it.fence), Some(8));
    next.ask(&Request::delete(&session));
    assert_eq!(next.node.cores[0].shard.counts().sessions, 0);
    assert!(
        matches!(next.node.said.last(), Some(SessionEvent::Ended { session: it }) if *it == id_of(&session)),
    );
}

#[test]
fn a_change_that_a_client_missed_between_two_nodes() {
    let (session, state) = orphan();
    let mut next = alone("b");
    next.publish(Topic::Tools);
    adopt(&mut next, &session, 1, &state).expect("there is room");
    let stream = next.open(&Request::get(&session));
    let mut told = next.topics(stream);
    told.sort();
    let lists = ["prompts", "resources", "tools"].map(|it| format!("{it}/list_changed"));
    let [prompts, resources, tools] = lists;
    assert_eq!(
        told,
        ["A:1".to_owned(), "b:2".into(), prompts, resources, tools]
    );
    next.updated("a:1");
    assert_eq!(next.topics(stream), ["A:1"]);
    assert!(next.topics(stream).is_empty(), "each is told once");
    // With an id of the node before it is the same.
    let (session, state) = orphan();
    let mut next = alone("b");
    adopt(&mut next, &session, 1, &state).expect("there is room");
    let generation = id_of(&session).locator.generation;
    let id = format!("b00061.{generation:x}.0.5.0");
    let stream = next.open(&Request::get(&session).with("Last-Event-ID", &id));
    assert_eq!(next.topics(stream).len(), 5);
}

#[test]
fn an_answer_that_is_taken_for_one_to_another_question() {
    let (session, state) = orphan();
    let mut next = alone("b");
    adopt(&mut next, &session, 3, &state).expect("there is room");
    let socket = next.connect();
    next.send(socket, &Request::tool(&session, 1));
    let call = next.call();
    let asked = next.ask_client(&call, "roots/list").expect("it is asked");
    assert_eq!(asked, 3 << 20);
}

#[test]
fn a_request_that_reaches_another_core_than_the_one_that_took_its_session_over() {
    let (session, state) = orphan();
    let mut next = node("b", 2, Limits::default());
    adopt(&mut next, &session, 1, &state).expect("there is room");
    let home = id_of(&session).adopting_core(2);
    let socket = next.connect_to(usize::from(1 - home));
    next.send(socket, &Request::ping(&session, 1));
    assert_eq!(next.node.asked.len(), 1);
    next.node.locate(Located::Here { core: home });
    assert_eq!(next.answer(socket).status, 200);
    assert_eq!(next.node.sockets[socket].core, usize::from(home));
    assert!(next.node.asked.is_empty());
}

/// Another core is asked, too, since it may have been taken over there: one of its own has the same place.
#[test]
fn a_session_that_ended_and_is_taken_for_one_that_never_was() {
    let mut client = node("a", 2, Limits::default());
    let opened = [0, 1].map(|core| {
        let socket = client.connect_to(core);
        client.send(socket, &Request::initialize(V11));
        let answer = client.answer(socket);
        answer
            .field("mcp-session-id")
            .expect("a session")
            .to_owned()
    });
    let gone = id_of(&opened[0]);
    let other = id_of(&opened[1]).locator;
    assert_eq!(
        (gone.locator.slot, gone.locator.generation),
        (other.slot, other.generation)
    );
    assert_ne!(gone.locator.core, other.core);
    client.ask(&Request::delete(&opened[0]));
    let now = client.node.now;
    for core in &mut client.node.cores {
        let notice = Notice::Changed(Topic::Tools);
        let told = core.shard.handle_notice(now, &opened[0], &notice);
        assert_eq!(told, Err(NotifyRefused::Expired));
    }
}

#[test]
fn a_request_that_asks_for_ever_where_its_session_is() {
    let (session, _) = orphan();
    let mut next = alone("b");
    let socket = next.connect();
    next.send(socket, &Request::ping(&session, 1));
    next.node.locate(Located::Here { core: 0 });
    let answer = next.answer(socket);
    assert_eq!((answer.status, &*reason(&answer)), (404, "unknown"));
    assert!(next.node.asked.is_empty());
}

/// It was passed on because this node has the session, or may have it: it is not passed on again.
#[test]
fn a_request_that_goes_round_between_nodes() {
    let (session, state) = orphan();
    let mut other = alone("c");
    let socket = other.connect();
    let ping = Request::ping(&session, 1).with("Pinfold-Forwarded", "of another node");
    other.send(socket, &ping);
    assert_eq!(other.node.asked.len(), 1, "it may be for one taken over");
    other.node.locate(Located::There);
    assert!(other.node.forwarded.is_empty());
    // Its proof is none, which is another matter.
    assert_ne!(other.answer(socket).status, 404);
    let mut next = alone("b");
    adopt(&mut next, &session, 1, &state).expect("there is room");
    next.ask(&ping);
    assert!(next.node.asked.is_empty(), "it is here");
}

#[test]
fn a_session_that_is_somebody_elses_at_the_next_node() {
    let identified = |name| {
        let mut client = alone(name);
        let rules = rules(Who::Tokens(tokens()));
        identify_by(&mut client.node, &Arc::new(rules));
        client
    };
    let mut first = identified("a");
    let session = first.session_of("alice", V11);
    first.ask(&Request::subscribe(&session, "a:1").shown_by("alice"));
    let state = state(&mut first, &session);
    let mut next = identified("b");
    adopt(&mut next, &session, 1, &state).expect("there is room");
    let bobs = next.ask(&Request::ping(&session, 1).shown_by("bob"));
    assert_eq!((bobs.status, &*reason(&bobs)), (404, "unknown"));
    let stream = next.open(&Request::get(&session).shown_by("alice"));
    assert!(next.topics(stream).contains(&"a:1".to_owned()));
    next.publish_to("alice", Topic::Resource("a:1".into()));
    assert_eq!(next.topics(stream), ["a:1"]);
    // Where nobody is asked it would be everybody's.
    let refused = adopt(&mut alone("c"), &session, 1, &state);
    assert_eq!(refused, Err(NotTaken::NotAdopted));
    let (nobodys, state) = orphan();
    let refused = adopt(&mut identified("d"), &nobodys, 1, &state);
    assert_eq!(refused, Err(NotTaken::NotAdopted));
}

#[test]
fn a_node_that_takes_over_more_than_it_has_room_for() {
    let (session, state) = orphan();
    let mut next = node("b", 1, Limits::tiny());
    let sessions: Vec<_> = (0..Limits::tiny().sessions_max)
        .map(|_| next.session(V06))
        .collect();
    assert_eq!(adopt(&mut next, &session, 1, &state), Err(NotTaken::Full));
    next.ask(&Request::delete(&sessions[0]));
    assert_eq!(adopt(&mut next, &session, 1, &state), Ok(()));
    let crowded = Limits {
        subscription_bytes_max: 1,
        ..Limits::default()
    };
    let mut crowded = node("c", 1, crowded);
    assert_eq!(
        adopt(&mut crowded, &session, 1, &state),
        Err(NotTaken::Full)
    );
    crowded.node.cores[0].shard.invariants();
    assert_eq!(crowded.node.cores[0].shard.counts().sessions, 0);
}

#[test]
fn a_node_full_of_idle_sessions_that_takes_none_over() {
    let (session, state) = orphan();
    let limits = Limits {
        sessions_max: 10,
        ..Limits::default()
    };
    let mut next = node("b", 1, limits);
    for _ in 0..10 {
        next.session(V06);
    }
    next.pass(60_000);
    for number in 1..3 {
        assert_eq!(adopt(&mut next, &session, number, &state), Ok(()));
        assert_eq!(next.node.cores[0].shard.counts().sessions, 10);
    }
    assert_eq!(next.ask(&Request::ping(&session, 1)).status, 200);
    assert_eq!(view_acts::reasons(&mut next), [EndReason::Evicted]);
}

#[test]
fn a_state_that_no_node_ever_wrote() {
    let (session, state) = orphan();
    let mut next = alone("b");
    let bad = [
        PortableSession::default(),
        PortableSession {
            revision: "2026-07-28".into(),
            ..state.clone()
        },
        PortableSession {
            revision: "2024-11-05".into(),
            ..state.clone()
        },
        PortableSession {
            principal: Some("somebody".into()),
            ..state.clone()
        },
        PortableSession {
            capabilities: json!([1]),
            ..state.clone()
        },
    ];
    for state in bad {
        let refused = adopt(&mut next, &session, 1, &state);
        assert_eq!(refused, Err(NotTaken::Malformed), "{state:?}");
    }
    // What its client could not have had is left out.
    let more = PortableSession {
        log_level: Some(200),
        subscriptions: ["", "forbidden:1", "no uri", "a:1", "a:1"]
            .map(Box::from)
            .to_vec(),
        ..state
    };
    assert_eq!(adopt(&mut next, &session, u64::MAX, &more), Ok(()));
    let announced = record(&mut next, &session).state.expect("portable");
    assert_eq!(announced.log_level, Some(7));
    assert_eq!(announced.subscriptions, [Box::from("a:1")]);
}

#[test]
fn an_id_that_was_made_up_of_another_one() {
    let (session, state) = orphan();
    let mut next = alone("b");
    adopt(&mut next, &session, 1, &state).expect("there is room");
    let mut forged = id_of(&session);
    forged.secret[15] ^= 1;
    let refused = adopt(&mut next, &forged.text(), 2, &state);
    assert_eq!(refused, Err(NotTaken::Malformed));
    assert_eq!(next.ask(&Request::ping(&session, 1)).status, 200);
}

#[test]
fn a_node_that_takes_over_without_being_told_to() {
    let (session, state) = orphan();
    let mut next = Client {
        node: Node::with(1, |core| ShardSetup {
            adoption: false,
            ..setup_of("b", core, 1, Limits::default())
        }),
    };
    let refused = adopt(&mut next, &session, 1, &state);
    assert_eq!(refused, Err(NotTaken::NotAdopted));
    let own = next.session(V11);
    assert_eq!(record(&mut next, &own).state, None);
    let rows = view::rows(&mut next, SessionFilter::default());
    assert_eq!(rows[0].portable, Some(Portability::Off));
}

#[test]
fn a_session_of_another_node_that_a_hand_over_loses() {
    let (session, state) = orphan();
    let mut next = node("b", 2, Limits::default());
    adopt(&mut next, &session, 5, &state).expect("there is room");
    let home = usize::from(id_of(&session).adopting_core(2));
    let stream = next.connect_to(home);
    next.open_on(stream, &Request::get(&session));
    next.topics(stream);
    let setup = ShardSetup {
        commons: next.node.commons.clone(),
        ..setup_of("b", home, 2, Limits::default())
    };
    next.node
        .replace_core(home, setup, 20)
        .expect("nothing stays");
    let socket = next.connect_to(home);
    let answer = next.exchange(socket, &Request::subscribe(&session, "c:3"));
    assert_eq!(answer.status, 200);
    assert!(next.node.asked.is_empty(), "it is here");
    next.updated("c:3");
    assert_eq!(next.topics(stream), ["c:3"]);
    let info = record(&mut next, &session);
    assert_eq!(info.fence, 5);
    assert_eq!(info.state.expect("portable").subscriptions.len(), 3);
}
