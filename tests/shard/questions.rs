//! What a node asks another one for an operator there: who is believed to be one, and what becomes of a question.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, PeerAnswer};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::http1::Method;
use pinfold::internals::wire::peer_question::{PeerQuestion, QuestionKey};
use pinfold::internals::wire::session_id::NodeName;

use crate::support::Client;
use crate::support::node::{Node, setup};

const INCARNATION: u64 = 0x00b0_0700;

fn secret() -> PeerSecret {
    PeerSecret::new(b"of the nodes")
}

fn name(name: &str) -> NodeName {
    NodeName::new(name).expect("a name")
}

fn node(secret: Option<PeerSecret>) -> Client {
    let node = Node::with(1, |core| {
        let mut setup = setup(core, 1, Limits::default(), INCARNATION);
        setup.node = name("node-a");
        setup.cluster = Some(Cluster {
            secret: secret.clone(),
        });
        setup
    });
    Client { node }
}

fn question() -> PeerQuestion {
    PeerQuestion {
        from: name("node-b"),
        incarnation: 3,
        number: 1,
        method: Method::Get,
        target: "/sessions?limit=2".into(),
    }
}

fn asked_by(secret: &PeerSecret, to: &str, incarnation: u64) -> String {
    let key = QuestionKey::of(secret);
    let request = key.request(&question(), (name(to), incarnation), "10.0.0.1:8080");
    request.expect("a request")
}

fn right() -> String {
    asked_by(&secret(), "node-a", INCARNATION)
}

fn sent(client: &mut Client, request: &str) -> usize {
    let socket = client.connect();
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, request.as_bytes());
    socket
}

fn answer(client: &mut Client, said: &PeerAnswer) {
    let (core, asked) = client.node.questions.pop_front().expect("a question");
    assert_eq!(*asked.question, question());
    let now = client.node.now;
    let shard = &mut client.node.cores[core].shard;
    shard.handle_peer_answer(now, asked.connection, said);
    client.node.settle(core);
}

#[test]
fn a_node_that_asks_is_answered_whatever_its_host_is() {
    let mut client = node(Some(secret()));
    let socket = sent(&mut client, &right());
    answer(
        &mut client,
        &PeerAnswer::Answered {
            status: 200,
            body: b"{\"rows\":[]}".as_slice().into(),
        },
    );
    let got = client.answer(socket);
    assert_eq!((got.status, got.body.as_str()), (200, "{\"rows\":[]}"));
    client.node.pass(60_000);
    assert!(
        client.node.sockets[socket].closed.is_some(),
        "it was the last one"
    );
}

#[test]
fn a_client_that_makes_up_a_question_of_a_node() {
    let made_up = [
        right().replace("limit=2", "limit=3"),
        right().replace("GET ", "DELETE "),
        right().replace("node-b.3.1.", "node-b.3.2."),
        asked_by(&PeerSecret::new(b"of somebody else"), "node-a", INCARNATION),
        asked_by(&secret(), "node-c", INCARNATION),
        asked_by(&secret(), "node-a", INCARNATION - 1),
        "GET /.pinfold/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ];
    for request in made_up {
        let request = request.replace("10.0.0.1:8080", "localhost");
        let mut client = node(Some(secret()));
        let socket = sent(&mut client, &request);
        assert!(client.node.questions.is_empty(), "{request}");
        let got = client.answer(socket);
        assert_eq!(got.status, 404, "{request}");
        assert!(got.body.contains("nothing at this path"), "{}", got.body);
    }
}

#[test]
fn a_page_that_sends_what_a_node_once_sent() {
    let mut client = node(Some(secret()));
    let request = right().replace("Connection: close", "Origin: http://evil.example");
    let socket = sent(&mut client, &request);
    assert!(client.node.questions.is_empty());
    assert!(matches!(client.answer(socket).status, 403 | 404));
}

#[test]
fn a_node_without_a_secret_that_is_asked() {
    let mut client = node(None);
    let request = right().replace("10.0.0.1:8080", "localhost");
    let socket = sent(&mut client, &request);
    assert!(client.node.questions.is_empty());
    assert_eq!(client.answer(socket).status, 404);
}

/// Whoever repeats a question learns as little as whoever makes one up.
#[test]
fn a_client_that_repeats_a_question_of_a_node() {
    let mut client = node(Some(secret()));
    let socket = sent(&mut client, &right());
    answer(&mut client, &PeerAnswer::Repeated);
    let repeated = client.answer(socket);
    let socket = sent(
        &mut client,
        "GET /.pinfold/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    let unproven = client.answer(socket);
    assert_eq!(repeated.status, unproven.status);
    assert_eq!(repeated.body, unproven.body);
}

#[test]
fn a_question_that_nobody_answers() {
    let mut client = node(Some(secret()));
    let socket = sent(&mut client, &right());
    client.node.pass(60_000);
    assert_eq!(client.answer(socket).status, 503);
    // Too late.
    answer(&mut client, &PeerAnswer::Busy);
    let socket = sent(&mut client, &right());
    answer(&mut client, &PeerAnswer::Busy);
    assert_eq!(client.answer(socket).status, 503);
}

#[test]
fn a_node_that_leaves_before_it_is_answered() {
    let mut client = node(Some(secret()));
    let socket = sent(&mut client, &right());
    client.node.cut(socket);
    answer(&mut client, &PeerAnswer::Busy);
    assert_eq!(client.node.cores[0].shard.counts().connections, 0);
}
