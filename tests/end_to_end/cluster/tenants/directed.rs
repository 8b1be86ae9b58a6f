//! What was published for Alice alone: Eve hears nothing of it, whichever of the nodes it is published at, and neither then nor
//! when she comes back.

use std::process::Command;

use serde_json::json;

use super::super::node::Node;
use super::super::redis::{Reply, ask};
use super::super::stream::Stream;
use super::{Person, Site, TOOLS_CHANGED, UPDATED, WATCHED, at_both_nodes};
use crate::program::output_of;
use crate::server::binary;

at_both_nodes! {
    hears_of_a_change_that_is_for_her
    is_told_of_it_when_she_comes_back
    hears_of_what_a_program_adds_for_her
    finds_her_name_in_redis
}

const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";

impl Person {
    /// A session at node a that hears of the resource.
    fn subscribed(&self, site: &Site) -> String {
        let session = self.open(site);
        let params = json!({"uri": WATCHED});
        let answer = self.request(site.home(), &session, "resources/subscribe", params);
        assert_eq!(answer.status, 200, "{answer:?}");
        session
    }

    fn listen(&self, node: &Node) -> Stream {
        let stream = Stream::try_listening_with(node.address(), &[WATCHED], &self.fields(&[]));
        stream.expect("somebody listens").expect_open()
    }
}

/// As the command does it.
fn publish_to_alice(site: &Site, asked: &Node, target: &str) {
    let principal = format!("{} alice", site.known.issuer());
    let published = output_of(
        Command::new(binary())
            .args(["publish", "--admin", &asked.admin()])
            .args(["--principal", &principal, target]),
    );
    assert!(published.status.success(), "{published:?}");
}

fn of_alice(site: &Site) -> String {
    pinfold::PrincipalId::of(&site.known.issuer(), "alice").to_string()
}

/// Published last, for all: what was not told before is not told.
fn heard_up_to_prompts(asked: &Node, streams: &mut [Stream]) -> Vec<Vec<String>> {
    asked.publish(&json!([{"topic": "prompts"}]));
    let streams = streams.iter_mut();
    streams
        .map(|stream| {
            stream.wait_to_hear(PROMPTS_CHANGED);
            let heard = stream.heard.iter();
            let heard = heard.filter(|it| it.ends_with("_changed") || it.contains("updated"));
            heard.cloned().collect()
        })
        .collect()
}

fn hears_of_a_change_that_is_for_her(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let mut streams = [&alice, &eve].map(|person| {
        let session = person.subscribed(site);
        person.get(asked, &session, &[]).expect_open()
    });
    let mut listening = [&alice, &eve].map(|person| person.listen(asked));
    publish_to_alice(site, asked, WATCHED);
    asked.publish(&json!([{"topic": "tools", "principal": of_alice(site)}]));
    asked.publish(
        &json!([{"topic": "tools", "principal": {"issuer": site.known.issuer(), "subject": "bob"}}]),
    );
    let heard = heard_up_to_prompts(asked, &mut streams);
    assert_eq!(heard[0], [UPDATED, TOOLS_CHANGED, PROMPTS_CHANGED]);
    assert_eq!(heard[1], [PROMPTS_CHANGED]);
    // These do not hear of prompts.
    asked.publish(&json!([{"topic": "tools"}]));
    listening[0].wait_to_hear(UPDATED);
    listening[1].wait_to_hear(TOOLS_CHANGED);
    assert!(!listening[1].has_heard(UPDATED), "{:?}", listening[1].heard);
    let tools = listening[1].heard.iter().filter(|it| *it == TOOLS_CHANGED);
    assert_eq!(tools.count(), 1, "{:?}", listening[1].heard);
}

fn is_told_of_it_when_she_comes_back(site: &Site, asked: &Node) {
    let people = [site.alice(), site.eve()];
    let streams = people.each_ref().map(|person| {
        let session = person.subscribed(site);
        let stream = person.get(asked, &session, &[]).expect_open();
        (session, stream)
    });
    asked.publish(&json!([{"topic": "tools"}]));
    let places = streams.map(|(session, mut stream)| {
        stream.wait_to_hear(TOOLS_CHANGED);
        (session, stream.last_id.clone())
    });
    publish_to_alice(site, asked, WATCHED);
    for last_is_shown in [true, false] {
        let mut again = [0, 1].map(|at| {
            let (session, last) = &places[at];
            let shown = [("Last-Event-ID", last.as_str())];
            let shown = if last_is_shown { &shown[..] } else { &[] };
            people[at].get(asked, session, shown).expect_open()
        });
        if last_is_shown {
            again[0].wait_to_hear(UPDATED);
        }
        let heard = heard_up_to_prompts(asked, &mut again);
        let is_told = |at: usize| heard[at].iter().any(|it| it == UPDATED);
        assert!(!is_told(1), "{heard:?}");
        assert!(is_told(0) || !last_is_shown, "{heard:?}");
    }
}

fn hears_of_what_a_program_adds_for_her(site: &Site, asked: &Node) {
    let (alice, eve) = (site.alice(), site.eve());
    let mut streams = [&alice, &eve].map(|person| {
        let session = person.subscribed(site);
        person.get(asked, &session, &[]).expect_open()
    });
    let add = |fields: &[&str]| {
        let words = [&["XADD", "mcp:bus", "*"], fields].concat();
        let added = ask(site.redis.port(), &words);
        assert!(matches!(added, Some(Reply::Text(_))), "{added:?}");
    };
    add(&["uri", WATCHED, "principal", &of_alice(site)]);
    streams[0].wait_to_hear(UPDATED);
    // For whom is not known: for nobody, and not for all.
    add(&["topic", "tools", "principal", "somebody"]);
    let heard = heard_up_to_prompts(asked, &mut streams);
    assert_eq!(heard[0], [UPDATED, PROMPTS_CHANGED]);
    assert_eq!(heard[1], [PROMPTS_CHANGED]);
}

/// Half of a digest stands for her.
fn finds_her_name_in_redis(site: &Site, asked: &Node) {
    publish_to_alice(site, asked, WATCHED);
    let entries = ask(site.redis.port(), &["XRANGE", "mcp:bus", "-", "+"]);
    let entries = format!("{entries:?}");
    assert!(entries.contains(&of_alice(site)), "{entries}");
    let issuer = site.known.issuer();
    for name in ["alice", &issuer] {
        assert!(!entries.contains(name), "{entries}");
    }
}
