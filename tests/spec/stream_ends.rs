//! Transports, "Resumability and Redelivery": what a client that comes back to the end of a response stream is told. The
//! clients come back for as long as they get a stream, so one that is over is 405.

use pinfold::app::call::Topic;
use pinfold::internals::limits::{CHASE_MS, Limits, SILENT_CONNECTIONS_MAX};
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::support::{Answer, Arrived, Client, Frame, Item, Request};
use crate::{V03, V06, V11};

fn last_id(frames: &[Frame]) -> String {
    let ids = frames.iter().rev().find_map(|frame| frame.id.clone());
    ids.expect("an event with an id")
}

/// A call that is answered by a stream, as every one is that takes its time.
fn streaming(client: &mut Client, session: &str) -> (usize, Arrived) {
    let socket = client.connect();
    client.send(socket, &Request::tool(session, 1));
    let call = client.call();
    client.notify(&call, 1);
    (socket, call)
}

fn is_over(answer: &Answer) {
    assert_eq!((answer.status, &*answer.reason()), (405, "stream_gone"));
    assert!(answer.field("allow").is_some(), "{answer:?}");
}

#[test]
fn an_answer_that_was_seen_and_is_offered_for_ever() {
    for version in [V06, V11] {
        let mut client = Client::new();
        let session = client.session(version);
        let (socket, call) = streaming(&mut client, &session);
        client.fail(&call, RpcError::internal("as some clients take for no end"));
        let frames = client.frames_after_head(socket);
        assert!(frames.last().expect("the answer").is_message());
        for _ in 0..3 {
            is_over(&client.ask(&Request::get(&session).resume(&last_id(&frames))));
        }
        assert_eq!(client.node.cores[0].shard.counts().streams, 0);
    }
}

#[test]
fn a_cancelled_request_that_its_client_comes_back_to_for_ever() {
    for connected in [true, false] {
        let mut client = Client::new();
        let session = client.session(V11);
        let (socket, _call) = streaming(&mut client, &session);
        let frames = client.frames_after_head(socket);
        if !connected {
            client.node.cut(socket);
        }
        let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        let answer = client.ask(&Request::post(&cancelled).session(&session));
        assert_eq!(answer.status, 202);
        // Of what it missed nothing is an answer, and there will be none.
        for seen in [&frames[..], &frames[..1]] {
            is_over(&client.ask(&Request::get(&session).resume(&last_id(seen))));
        }
        assert_eq!(client.node.cores[0].shard.counts().streams, 0);
    }
}

/// A batch has an answer for each of its requests that was not cancelled.
#[test]
fn an_answer_lost_with_the_cancelled_request_beside_it() {
    let mut client = Client::new();
    let session = client.session(V03);
    let tool =
        |id| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "t"}});
    let socket = client.connect();
    client.send(
        socket,
        &Request::post(&json!([tool(1), tool(2)])).session(&session),
    );
    let (first, _second) = (client.call(), client.call());
    client.notify(&first, 1);
    let frames = client.frames_after_head(socket);
    client.node.cut(socket);
    client.finish(&first, r#"{"of":1}"#);
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
    client.ask(&Request::post(&cancelled).session(&session));
    let socket = client.open(&Request::get(&session).resume(&last_id(&frames)));
    assert_eq!(client.messages(socket)[0]["result"]["of"], 1);
}

/// As often as it is asked for, by whoever has not seen it, and not longer for being asked for.
#[test]
fn a_window_that_opens_anew_with_every_look_through_it() {
    let window_ms = Limits::default().resume_window_ms;
    let mut client = Client::new();
    let session = client.session(V11);
    let (socket, call) = streaming(&mut client, &session);
    let seen = last_id(&client.frames_after_head(socket));
    client.node.cut(socket);
    client.finish(&call, "{}");
    for _ in 0..9 {
        client.pass(window_ms / 10);
        let socket = client.open(&Request::get(&session).resume(&seen));
        assert_eq!(client.messages(socket).len(), 1);
    }
    client.pass(window_ms / 5);
    is_over(&client.ask(&Request::get(&session).resume(&seen)));
}

/// It waits for the answer from its end on, however long ago the client left.
#[test]
fn an_answer_that_comes_late_and_is_gone_at_once() {
    let window_ms = Limits::default().resume_window_ms;
    let mut client = Client::new();
    let session = client.session(V11);
    let (socket, call) = streaming(&mut client, &session);
    let seen = last_id(&client.frames_after_head(socket));
    client.node.cut(socket);
    client.pass(3 * window_ms);
    client.finish(&call, "{}");
    client.pass(window_ms - 100);
    let socket = client.open(&Request::get(&session).resume(&seen));
    assert_eq!(client.messages(socket).len(), 1);
}

#[test]
fn a_session_kept_alive_by_a_client_that_comes_back_for_ever() {
    let idle_ms = Limits::default().session_idle_ms;
    let mut client = Client::new();
    let session = client.session(V11);
    let (socket, call) = streaming(&mut client, &session);
    client.finish(&call, "{}");
    let seen = last_id(&client.frames_after_head(socket));
    for _ in 0..3 {
        client.pass(idle_ms / 3 - 10);
        is_over(&client.ask(&Request::get(&session).resume(&seen)));
    }
    client.pass(100);
    let answer = client.ask(&Request::get(&session).resume(&seen));
    assert_eq!((answer.status, &*answer.reason()), (404, "expired"));
}

/// Its client may have begun anew while it waited to come back.
#[test]
fn a_stream_of_the_session_before_that_is_asked_for_ever() {
    let mut client = Client::new();
    let (session, other) = (client.session(V11), client.session(V11));
    let (socket, _call) = streaming(&mut client, &other);
    let foreign = last_id(&client.frames_after_head(socket));
    is_over(&client.ask(&Request::get(&session).resume(&foreign)));
}

/// A GET that comes back a second after its stream ended, as the clients' do.
struct Loop {
    socket: usize,
    gets: usize,
    last_id: Option<String>,
}

impl Loop {
    fn begin(client: &mut Client, session: &str) -> Loop {
        let socket = client.open(&Request::get(session));
        let (gets, last_id) = (1, None);
        Loop {
            socket,
            gets,
            last_id,
        }
    }

    /// The topics it is told of, and back if its stream has ended.
    fn go_on(&mut self, client: &mut Client, session: &str) -> Vec<String> {
        let items = client.items(self.socket);
        let frames = items.iter().filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            _ => None,
        });
        let mut told = Vec::new();
        for frame in frames {
            self.last_id = frame.id.clone().or(self.last_id.take());
            if frame.is_message() {
                told.push(frame.method());
            }
        }
        if items.contains(&Item::StreamEnd) {
            let mut request = Request::get(session);
            if let Some(id) = &self.last_id {
                request = request.resume(id);
            }
            self.socket = client.open(&request);
            self.gets += 1;
        }
        told
    }
}

fn run_for(
    client: &mut Client,
    session: &str,
    loops: &mut [Loop],
    seconds: usize,
) -> Vec<Vec<String>> {
    let mut told = vec![Vec::new(); loops.len()];
    for _ in 0..seconds {
        client.pass(1_000);
        for (it, told) in loops.iter_mut().zip(&mut told) {
            told.extend(it.go_on(client, session));
        }
    }
    told
}

#[test]
fn two_gets_of_one_session_that_chase_each_other_for_ever() {
    for version in [V06, V11] {
        for count in 2..=SILENT_CONNECTIONS_MAX {
            let mut client = Client::new();
            let session = client.session(version);
            let mut loops: Vec<Loop> = (0..count)
                .map(|_| Loop::begin(&mut client, &session))
                .collect();
            run_for(&mut client, &session, &mut loops, 60);
            let gets: usize = loops.iter().map(|it| it.gets).sum();
            assert!(gets <= 2 * count, "{gets} GETs of {count} loops");
            client.publish(Topic::Tools);
            let told = run_for(&mut client, &session, &mut loops, 60).concat();
            assert_eq!(told, ["notifications/tools/list_changed"], "{version}");
        }
    }
}

/// The one that has the stream leaves; who is silent has been told nothing, and must not stay so.
#[test]
fn a_silent_stream_left_alone() {
    let mut client = Client::new();
    let session = client.session(V11);
    let mut loops = [(); 3].map(|()| Loop::begin(&mut client, &session));
    run_for(&mut client, &session, &mut loops, 60);
    for _ in 0..loops.len() {
        client.publish(Topic::Tools);
        let ends: Vec<bool> = loops
            .iter()
            .map(|it| client.node.sockets[it.socket].client_left)
            .collect();
        assert!(ends.iter().any(|left| !left));
        let told = run_for(&mut client, &session, &mut loops, 3);
        let has_it = told.iter().position(|told| !told.is_empty());
        let has_it = has_it.expect("somebody is told");
        client.node.cut(loops[has_it].socket);
        client.publish(Topic::Prompts);
        let mut others: Vec<&mut Loop> = loops
            .iter_mut()
            .enumerate()
            .filter_map(|(index, it)| (index != has_it).then_some(it))
            .collect();
        let mut told = Vec::new();
        for _ in 0..3 {
            client.pass(1_000);
            for it in &mut others {
                told.extend(it.go_on(&mut client, &session));
            }
        }
        assert!(
            told.contains(&"notifications/prompts/list_changed".to_owned()),
            "{told:?}"
        );
        loops[has_it] = Loop::begin(&mut client, &session);
        run_for(&mut client, &session, &mut loops, 3);
    }
}

/// Half-open connections have no end that the server could see.
#[test]
fn a_client_that_changed_its_network_and_waits_for_its_stream() {
    let mut client = Client::new();
    let session = client.session(V11);
    for times in 0..4 {
        let socket = client.open(&Request::get(&session));
        client.frames(socket);
        client.publish(Topic::Tools);
        assert_eq!(client.topics(socket), ["tools/list_changed"], "{times}");
        client.pass([100, CHASE_MS + 100][times % 2]);
    }
}

/// A silent connection is no stream for a drain to wait for, and ends with its session.
#[test]
fn silent_connections_that_outlive_their_session() {
    let mut client = Client::new();
    let session = client.session(V11);
    let mut loops = [(); 3].map(|()| Loop::begin(&mut client, &session));
    run_for(&mut client, &session, &mut loops, 10);
    assert_eq!(client.ask(&Request::delete(&session)).status, 204);
    for it in &loops {
        assert!(client.stream_ended(it.socket));
        let ping = Request::ping(&session, 1);
        assert_eq!(client.exchange(it.socket, &ping).status, 404);
    }
}
