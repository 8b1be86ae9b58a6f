//! The wire alone, below somebody who knows no more of requests than a number for each: bytes in, then exactly what came
//! out.

use std::net::IpAddr;

use super::*;
use crate::budget::Pool;
use crate::clients::{Holds, Networks};
use crate::principal::PrincipalId;

/// Owns exchanges by numbers, and lets requests wait for a word if they say so.
#[derive(Default)]
struct Upper {
    place: Option<Destination>,
    asked: Vec<ConnectionKey>,
    foreseen: usize,
}

impl UpperLayer for Upper {
    type Owner = u32;
    type Word = u8;

    const NO_WORD: u8 = 0;

    fn place(&self, _: &RequestFields<'_>) -> Destination {
        self.place.unwrap_or(Destination::Here)
    }

    fn ask(&mut self, exchange: Exchange, _: &RequestFields<'_>) {
        self.asked.push(exchange);
    }

    fn foresee(
        &mut self,
        _: Option<u8>,
        _: Option<PrincipalId>,
        _: Option<Client>,
        _: &RequestFields<'_>,
    ) -> Result<(), Refused> {
        self.foreseen += 1;
        Err(Refused::new(418, "No."))
    }

    fn drop_kept(&mut self, _: usize) -> bool {
        false
    }
}

/// A request as it was handed over.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    method: EndpointMethod,
    word: Option<u8>,
    body: String,
}

struct Rig {
    http: Http<Upper>,
    upper: Upper,
    key: ConnectionKey,
}

impl Rig {
    fn new() -> Self {
        Rig::of(None, Limits::default())
    }

    fn of(peer: Option<IpAddr>, limits: Limits) -> Self {
        let gate = RequestPolicy {
            path: "/mcp".into(),
            http_sse: None,
            loopback: true,
            hosts: Vec::new(),
            origins: Vec::new(),
        };
        let commons = Commons::new(&limits, Networks::private());
        let memory = Memory::new(&Pool::new(1 << 20), 1);
        let mut http = Http::new(
            limits,
            memory,
            commons,
            (gate, PublicDocuments::default()),
            None,
            1_000,
        );
        let key = http.handle_open(peer).expect("there is room");
        Rig {
            http,
            upper: Upper::default(),
            key,
        }
    }

    /// What is complete, as long as each is answered at once or has its owner by then.
    fn send(&mut self, bytes: &str, mut serve: impl FnMut(&mut Http<Upper>, Exchange)) -> Vec<Got> {
        let mut got = Vec::new();
        let Some(mut input) = self.http.lend(self.key, bytes.as_bytes()) else {
            return got;
        };
        while let Some(request) = self
            .http
            .next_request(self.key, &mut input, &mut self.upper)
        {
            got.push(Got {
                method: request.method,
                word: request.word,
                body: String::from_utf8_lossy(request.body).into(),
            });
            serve(&mut self.http, request.exchange);
        }
        self.http.take_back(self.key, input);
        self.http.settle(self.key, &mut self.upper);
        got
    }

    fn written(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut text = String::new();
        while let Some(key) = self.http.poll_transmit(&mut bytes) {
            text.push_str(&String::from_utf8_lossy(&bytes));
            self.http.handle_written(key, 0, &mut self.upper);
        }
        text
    }

    fn event(&mut self) -> Option<(u32, ExchangeChange)> {
        let event = self.http.poll_event()?;
        assert_eq!(event.exchange, self.key);
        Some((event.owner, event.what))
    }
}

fn ok(http: &mut Http<Upper>, exchange: Exchange) {
    http.answer(exchange, 200, &[], b"{}");
}

fn owned(http: &mut Http<Upper>, exchange: Exchange) {
    http.expect_answer(exchange, 7);
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn got(body: &str) -> Got {
    Got {
        method: EndpointMethod::Post,
        word: None,
        body: body.into(),
    }
}

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn requests_in_one_read_and_one_in_many() {
    let mut rig = Rig::new();
    let pipelined = post("one") + &post("two");
    assert_eq!(rig.send(&pipelined, ok), [got("one"), got("two")]);
    assert_eq!(rig.written(), ANSWER.repeat(2));
    let slow = post("three");
    let (last, rest) = slow.split_at(slow.len() - 1);
    for at in 0..last.len() {
        assert!(rig.send(&last[at..=at], ok).is_empty(), "{at}");
    }
    assert_eq!(rig.send(rest, ok), [got("three")]);
    assert_eq!(rig.written(), ANSWER);
    rig.http.invariants();
}

#[test]
fn what_was_read_ahead_waits_for_the_answer_before() {
    let mut rig = Rig::new();
    let pipelined = post("one") + &post("two");
    assert_eq!(rig.send(&pipelined, owned), [got("one")]);
    assert_eq!(rig.http.poll_freed(), None);
    ok(&mut rig.http, rig.key);
    assert_eq!(rig.http.poll_freed(), Some(rig.key));
    rig.written();
    assert_eq!(rig.send("", owned), [got("two")]);
}

#[test]
fn whoever_owns_an_exchange_is_told_what_becomes_of_it() {
    let mut rig = Rig::new();
    rig.send(&post("one"), owned);
    rig.http.at(1_000_000);
    rig.http.handle_timeout();
    assert_eq!(rig.event(), Some((7, ExchangeChange::Quiet)));
    rig.http.open_stream(rig.key);
    rig.http.set_owner(rig.key, 8);
    rig.http.emit_events(rig.key, b"data: x\n\n");
    let streamed = rig.written();
    assert!(
        streamed.contains("Transfer-Encoding: chunked"),
        "{streamed}"
    );
    assert!(streamed.ends_with("9\r\ndata: x\n\n\r\n"), "{streamed}");
    assert_eq!(rig.event(), Some((8, ExchangeChange::Writable)));
    rig.http.handle_input_end(rig.key);
    assert_eq!(rig.event(), Some((8, ExchangeChange::InputEnded)));
    rig.http.handle_disconnect(rig.key);
    assert_eq!(
        rig.event(),
        Some((8, ExchangeChange::Lost(Closed::PeerLeft)))
    );
    assert_eq!(rig.event(), None);
    rig.http.invariants();
}

#[test]
fn an_exchange_that_is_over_takes_everything_and_does_nothing() {
    let mut rig = Rig::new();
    rig.send(&post("one"), ok);
    rig.http.emit_events(rig.key, b"data: late\n\n");
    assert_eq!(rig.written(), ANSWER, "no event between two answers");
    rig.http.handle_disconnect(rig.key);
    ok(&mut rig.http, rig.key);
    owned(&mut rig.http, rig.key);
    rig.http.open_stream(rig.key);
    rig.http.end_stream(rig.key);
    assert!(!rig.http.may_write(rig.key));
    assert_eq!((rig.written().as_str(), rig.event()), ("", None));
}

#[test]
fn a_request_that_somebody_has_to_ask_about_first() {
    let mut rig = Rig::new();
    rig.upper.place = Some(Destination::Elsewhere);
    assert!(rig.send(&post("one"), ok).is_empty());
    assert_eq!(rig.upper.asked, [rig.key]);
    assert!(
        !rig.http.wants_bytes(rig.key),
        "whoever goes on with it reads on"
    );
    rig.http.handle_word(rig.key, 3);
    assert_eq!(rig.http.poll_freed(), Some(rig.key));
    let known = Got {
        word: Some(3),
        ..got("one")
    };
    assert_eq!(rig.send("", ok), [known]);
    // The word was about that request, and the next one waits again.
    rig.written();
    assert!(rig.send(&post("two"), ok).is_empty());
    assert_eq!(rig.upper.asked.len(), 2);
    // Nobody says a word in time.
    rig.http.at(1_000_000);
    rig.http.handle_timeout();
    let unknown = Got {
        word: Some(0),
        ..got("two")
    };
    assert_eq!(rig.send("", ok), [unknown]);
}

#[test]
fn a_refusal_at_the_head_is_told_when_the_body_is_there() {
    let mut rig = Rig::new();
    let request = post("body").replace("/mcp", "/other");
    let (head, body) = request.split_at(request.len() - 4);
    assert!(rig.send(head, ok).is_empty());
    assert_eq!(rig.written(), "");
    assert!(rig.send(body, ok).is_empty());
    let refused = rig.written();
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    assert_eq!(rig.send(&post("next"), ok), [got("next")], "and it goes on");
}

#[test]
fn of_a_large_body_nothing_is_read_if_its_head_will_have_it_refused() {
    let mut rig = Rig::new();
    let request = post(&" ".repeat(100_000));
    assert!(rig.send(&request[..1_000], ok).is_empty());
    let refused = rig.written();
    assert!(refused.starts_with("HTTP/1.1 418 "), "{refused}");
    assert!(refused.contains("Connection: close"), "{refused}");
    assert_eq!(rig.upper.foreseen, 1);
}

#[test]
fn a_connection_that_belongs_on_another_core_takes_all_that_was_read_along() {
    let mut rig = Rig::new();
    rig.upper.place = Some(Destination::Core(3));
    let request = post("one") + "POST";
    assert!(rig.send(&request, ok).is_empty());
    let Some(HttpOutput::Move { core, bytes, .. }) = rig.http.poll_output() else {
        panic!("it moves");
    };
    assert_eq!((core, bytes), (3, request.into_bytes()));
    assert!(!rig.http.is_open(rig.key));
}

/// Who is known by more than an address takes nothing of what others have there, and is not let off with another address.
#[test]
fn a_stream_that_counts_for_an_address_and_not_for_its_principal() {
    let [one, other] = [1, 2].map(|last| IpAddr::from([203, 0, 113, last]));
    let limits = Limits {
        connections_per_client_max: Some(1),
        ..Limits::default()
    };
    let mut rig = Rig::of(Some(one), limits);
    let (first, second) = (rig.key, rig.http.handle_open(Some(other)).expect("room"));
    let principal = Client::of_principal([7; 16]);
    let holders = |http: &Http<Upper>| {
        let holders = http.commons.clients.holders();
        let connections = |(client, holds): (Client, Holds)| (client, holds.connections);
        let counted = holders.into_iter().map(connections).collect::<Vec<_>>();
        let mut held: Vec<_> = http.holdings().map(|client| (client, 1)).collect();
        held.sort_unstable();
        assert_eq!(counted, held, "what is counted, and what is there");
        counted
    };
    let by_address = [one, other].map(|it| (Client::of(it), 1));
    assert_eq!(holders(&rig.http), by_address);
    let opens = |http: &mut Http<Upper>, exchange| {
        http.is_of_principal(exchange, [7; 16]);
        match http.count_stream(exchange) {
            Ok(()) => {
                http.open_stream(exchange);
                http.set_owner(exchange, 7);
            }
            Err(refused) => http.refuse(exchange, None, &refused),
        }
    };
    rig.send(&post("listen"), opens);
    assert!(rig.written().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(holders(&rig.http), [by_address[1], (principal, 1)]);
    rig.key = second;
    rig.send(&post("listen"), opens);
    let refused = rig.written();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("Retry-After: 5") && refused.contains("--connections-per-client-max"));
    assert_eq!(holders(&rig.http), [by_address[1], (principal, 1)]);
    // The connection goes on, and is anybody's.
    rig.http.end_stream(first);
    assert_eq!(holders(&rig.http), by_address);
    rig.send(&post("listen"), opens);
    assert_eq!(holders(&rig.http), [by_address[0], (principal, 1)]);
    for key in [first, second] {
        rig.http.handle_disconnect(key);
    }
    assert_eq!(holders(&rig.http), []);
}
