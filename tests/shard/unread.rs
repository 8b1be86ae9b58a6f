//! Clients that do not read a plain answer, as operators see them: with a session, and without one.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Closed;
use pinfold::internals::shard::view::{
    ConnectionRow, ConnectionsQuestion, LOOKED_AT_ONCE, MissingRow, RowState, SessionFilter,
    SessionRow, ViewAnswer, ViewQuestion,
};
use pinfold::internals::wire::operator_name::ConnectionName;
use serde_json::json;

use crate::support::node::SocketId;
use crate::support::{Client, Request};
use crate::view::{V11, ask, detail, name_of, rows};

const LARGE: usize = 100 * 1024;

fn slow(client: &mut Client) -> Vec<SessionRow> {
    let state = Some(RowState::Slow);
    rows(
        client,
        SessionFilter {
            state,
            ..SessionFilter::default()
        },
    )
}

fn connections(client: &mut Client, only_slow: bool) -> Vec<ConnectionRow> {
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let question = ViewQuestion::Connections(ConnectionsQuestion { from, only_slow });
        let ViewAnswer::Connections(portion) = ask(client, &question) else {
            panic!("connections were asked for");
        };
        assert!(portion.rows.len() <= LOOKED_AT_ONCE);
        all.extend(portion.rows);
        next = portion.next;
    }
    all
}

/// A call whose large answer its client does not read.
fn asks_and_does_not_read(client: &mut Client, request: &Request) -> SocketId {
    let socket = client.connect();
    client.send(socket, request);
    let call = client.call();
    client.node.set_room(socket, 10);
    let result = json!({"text": "x".repeat(LARGE)}).to_string();
    client.finish(&call, &result);
    client.pass(1_000);
    socket
}

#[test]
fn a_session_whose_plain_answer_nobody_reads() {
    let mut client = Client::with(Limits::default());
    let session = client.session(V11);
    let other = client.session(V11);
    for ends in [false, true] {
        let mut request = Request::tool(&session, 1);
        if ends {
            request = request.with("Connection", "close");
        }
        let socket = asks_and_does_not_read(&mut client, &request);
        let found = slow(&mut client);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].name, name_of(&session));
        assert!(found[0].pending_bytes > LARGE as u64 / 2, "{found:?}");
        assert!(
            found[0]
                .blocked_since
                .is_some_and(|at| at < client.node.now)
        );
        let connection = &connections(&mut client, true)[..];
        let [connection] = connection else {
            panic!("{connection:?}");
        };
        assert_eq!(connection.session, Some(name_of(&session)));
        client.node.set_room(socket, 10 * LARGE);
        client.pass(1_000);
        assert!(slow(&mut client).is_empty());
        assert_eq!(detail(&mut client, name_of(&session)).row.pending_bytes, 0);
        client.node.cut(socket);
    }
    // The answer that is given at once, behind others.
    let socket = client.connect();
    client.node.set_room(socket, 10);
    client.send(socket, &Request::ping(&other, 1));
    client.pass(1_000);
    assert_eq!(slow(&mut client)[0].name, name_of(&other));
    client.node.cut(socket);
    assert!(slow(&mut client).is_empty(), "it is over");
    client.node.cores[0].shard.invariants();
}

#[test]
fn a_client_without_a_session_that_does_not_read() {
    let mut client = Client::with(Limits::default());
    let request = Request::modern(1, "tools/call", json!({"name": "slow", "arguments": {}}));
    let socket = asks_and_does_not_read(&mut client, &request);
    assert!(slow(&mut client).is_empty(), "it has no session");
    let found = connections(&mut client, true);
    assert_eq!(found.len(), 1, "{found:?}");
    let row = &found[0];
    assert_eq!((row.session, row.stream), (None, None));
    assert!(row.pending_bytes > LARGE as u64 / 2 && row.blocked_since.is_some());
    let end = ViewQuestion::EndConnection(row.name);
    let ended = ask(&mut client, &end);
    assert!(matches!(ended, ViewAnswer::Ended { count: 1, .. }));
    assert_eq!(client.closed(socket), Some(Closed::Operator));
    let again = ask(&mut client, &end);
    assert!(matches!(again, ViewAnswer::Missing(MissingRow::Unknown)));
    assert!(connections(&mut client, false).is_empty());
}

#[test]
fn more_connections_than_are_looked_at_in_one_go() {
    let mut client = Client::with(Limits::default());
    let sockets: Vec<SocketId> = (0..3 * LOOKED_AT_ONCE).map(|_| client.connect()).collect();
    let all = connections(&mut client, false);
    assert_eq!(all.len(), sockets.len());
    assert!(connections(&mut client, true).is_empty());
    let mut names: Vec<String> = all.iter().map(|it| it.name.to_string()).collect();
    names.sort();
    names.dedup();
    let parsed = names.iter().all(|it| it.parse::<ConnectionName>().is_ok());
    assert!(parsed, "{names:?}");
    assert_eq!(names.len(), sockets.len());
}
