//! The judgement by itself: what is said to be lost, and what is not.

use serde_json::{Value, json};

use super::cost::{
    DeployCost, DeployVerdict, FoundCluster, FoundNode, HandoverCost, HandoverSaid, SilentPeer,
    judge,
};
use super::tally::SessionTally;
use super::{DeployWay, code, report};

/// A node with one session for each of these.
fn node(name: &str, portable: &[Value]) -> FoundNode {
    let rows = portable.iter();
    let rows = rows.map(|said| json!({"era": "legacy", "portable": said, "streams": 1}));
    node_with(name, rows)
}

/// Whose version says nothing of its sessions.
fn silent_node(name: &str, sessions: usize) -> FoundNode {
    node_with(
        name,
        (0..sessions).map(|_| json!({"era": "legacy", "streams": 1})),
    )
}

fn node_with(name: &str, rows: impl Iterator<Item = Value>) -> FoundNode {
    let mut tally = SessionTally::default();
    rows.for_each(|row| tally.add(&row));
    FoundNode {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        state: "ready".to_owned(),
        handover: HandoverSaid::Tried {
            grace_ms: Some(30_000),
        },
        sessions_max: Some(1_000),
        calls: Some(0),
        passed_on: Some(0),
        tally,
    }
}

fn cluster<const COUNT: usize>(nodes: [FoundNode; COUNT]) -> FoundCluster {
    FoundCluster {
        asked: "a".to_owned(),
        is_alone: false,
        has_redis: true,
        nodes: nodes.map(|it| (it.name.clone(), it)).into(),
        ..FoundCluster::default()
    }
}

fn verdicts(cost: &DeployCost) -> (DeployVerdict, DeployVerdict) {
    let of = |by| cost.verdict(by);
    (of(DeployWay::Handover), of(DeployWay::Drain))
}

fn ends(cost: &DeployCost, node: usize) -> Vec<(&str, u64)> {
    let ends = cost.nodes[node].drain.ends.iter();
    ends.map(|(why, count)| (why.as_str(), *count)).collect()
}

use DeployVerdict::{NothingIsLost, SomethingIsLost, Unknown};

#[test]
fn a_session_that_moves_and_counts_as_lost() {
    let found = cluster([
        node("a", &[json!(true), json!(true)]),
        node("b", &[json!(true)]),
    ]);
    let cost = judge(&found);
    assert_eq!(verdicts(&cost), (NothingIsLost, NothingIsLost));
    assert_eq!((cost.nodes[0].drain.moves, ends(&cost, 0)), (2, vec![]));
}

#[test]
fn a_session_that_would_end_and_is_passed_over() {
    let why = ["too_large", "http_sse", "off", "off"].map(Value::from);
    let mut a = node("a", &why);
    a.tally.add(&json!({"era": "modern"}));
    let cost = judge(&cluster([a, node("b", &[json!(true)]), node("c", &[])]));
    assert_eq!(verdicts(&cost), (NothingIsLost, SomethingIsLost));
    let counts = [("http_sse", 1), ("off", 2), ("too_large", 1)];
    assert_eq!(ends(&cost, 0), counts);
    let told = report::text(&cost, DeployWay::Drain);
    for part in [
        "4 sessions are lost",
        "a: 2 sessions end: off: sessions end with their node there",
        "1 session ends: http_sse",
        "Something would be lost.",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    let told = report::json(&cost, DeployWay::Drain);
    assert_eq!(told["verdict"], "something_is_lost");
    assert_eq!(told["handover"], "nothing_is_lost");
    assert_eq!(told["nodes"][0]["drain"]["end"]["off"], 2);
}

#[test]
fn sessions_with_nowhere_to_go() {
    let both = || {
        [
            node("a", &[json!(true)]),
            node("b", &[json!(true), json!(true), json!(true)]),
        ]
    };
    let mut full = cluster(both());
    for node in full.nodes.values_mut() {
        node.sessions_max = Some(3);
    }
    let cost = judge(&full);
    assert_eq!(ends(&cost, 0), [("no_room", 1)]);
    assert_eq!(
        (cost.nodes[1].drain.moves, ends(&cost, 1)),
        (2, vec![("no_room", 1)])
    );

    let mut draining = cluster(both());
    draining.nodes.get_mut("b").expect("it is there").state = "draining".to_owned();
    assert_eq!(ends(&judge(&draining), 0), [("no_other_node", 1)]);

    let elsewhere_off = cluster([node("a", &[json!(true)]), node("b", &[json!("off")])]);
    assert_eq!(ends(&judge(&elsewhere_off), 0), [("no_other_node", 1)]);

    let mut away = cluster(both());
    away.has_redis = false;
    let cost = judge(&away);
    assert_eq!(ends(&cost, 1), [("redis_away", 3)]);
    assert_eq!(verdicts(&cost), (NothingIsLost, SomethingIsLost));

    let mut alone = cluster([node("a", &[json!(true), Value::Null, json!("off")])]);
    (alone.is_alone, alone.has_redis) = (true, false);
    let cost = judge(&alone);
    assert_eq!(ends(&cost, 0), [("no_other_node", 2), ("off", 1)]);
    assert_eq!(verdicts(&cost), (NothingIsLost, SomethingIsLost));
    let nobody = judge(&cluster([node("a", &[])]));
    assert_eq!(verdicts(&nobody), (NothingIsLost, NothingIsLost));
}

#[test]
fn a_node_of_which_nobody_knows_and_a_deploy_that_is_said_to_cost_nothing() {
    let unclear = judge(&cluster([
        node("a", &[Value::Null, json!(true)]),
        node("b", &[]),
    ]));
    assert_eq!(verdicts(&unclear), (NothingIsLost, Unknown));
    assert_eq!(unclear.nodes[0].drain.unknown, 1);

    let silent = |is_gone| SilentPeer {
        is_gone,
        reason: "no answer within 2 s".to_owned(),
    };
    let mut found = cluster([node("a", &[json!(true)])]);
    found.silent.insert("b".to_owned(), silent(false));
    let cost = judge(&found);
    assert_eq!(verdicts(&cost), (Unknown, Unknown));
    assert_eq!(cost.nodes[0].drain.unknown, 1, "b may take it, or not");
    let told = report::text(&cost, DeployWay::Handover);
    assert!(
        told.contains("b did not answer: no answer within 2 s"),
        "{told}"
    );
    assert!(told.ends_with("It could not be found out.\n"), "{told}");

    let mut found = cluster([node("a", &[json!(true)]), node("c", &[])]);
    found.silent.insert("b".to_owned(), silent(true));
    let cost = judge(&found);
    assert_eq!(verdicts(&cost), (NothingIsLost, NothingIsLost));
    let told = report::text(&cost, DeployWay::Handover);
    assert!(told.contains("b is gone"), "{told}");

    let mut both = cluster([node("a", &[json!("off")]), node("c", &[Value::Null])]);
    both.silent.insert("b".to_owned(), silent(false));
    assert_eq!(
        judge(&both).verdict(DeployWay::Drain),
        SomethingIsLost,
        "that much is certain"
    );
}

#[test]
fn sessions_that_end_with_a_node_that_says_nothing_of_them() {
    let cost = judge(&cluster([silent_node("a", 2), node("b", &[json!(true)])]));
    assert_eq!(verdicts(&cost), (NothingIsLost, SomethingIsLost));
    assert_eq!(
        (ends(&cost, 0), cost.nodes[0].drain.unknown),
        (vec![("off", 2)], 0)
    );
    assert_eq!(
        ends(&cost, 1),
        [("no_other_node", 1)],
        "it takes none of others"
    );
    let told = report::text(&cost, DeployWay::Drain);
    assert!(
        told.contains("a: 2 sessions end: off: sessions end with their node there"),
        "{told}"
    );
    assert_eq!(
        report::json(&cost, DeployWay::Drain)["nodes"][0]["drain"]["end"],
        json!({"off": 2})
    );
}

#[test]
fn a_number_that_is_not_said_and_counts_as_none() {
    let mut a = node("a", &[json!(true)]);
    (a.calls, a.passed_on, a.sessions_max) = (None, None, None);
    a.handover = HandoverSaid::Tried { grace_ms: None };
    let cost = judge(&cluster([a, node("b", &[json!(true)])]));
    assert_eq!(verdicts(&cost), (NothingIsLost, Unknown));
    let b = &cost.nodes[1].drain;
    assert_eq!((b.moves, b.unknown, ends(&cost, 1)), (0, 1, vec![]));
    let told = report::text(&cost, DeployWay::Drain);
    for part in [
        "a: an unknown number of calls and an unknown number of requests passed on to another node under way",
        "it waits for them for an unknown time",
        "b: whether 1 session end or move is not known",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    let told = report::json(&cost, DeployWay::Drain);
    let handover = &told["nodes"][0]["handover"];
    for name in ["calls", "passedOn", "graceMs"] {
        assert_eq!(handover.get(name), Some(&Value::Null), "{name}");
    }

    let mut full = cluster([node("a", &[json!(true)]), node("b", &[])]);
    full.nodes.get_mut("b").expect("it is there").sessions_max = Some(0);
    let silent = SilentPeer {
        is_gone: false,
        reason: "no answer within 2 s".to_owned(),
    };
    full.silent.insert("c".to_owned(), silent);
    let cost = judge(&full);
    assert_eq!(cost.verdict(DeployWay::Drain), Unknown, "c may have room");
    assert_eq!(cost.nodes[0].drain.unknown, 1);
}

#[test]
fn a_node_that_cannot_be_handed_over_and_counts_as_one_that_can() {
    let of = |handover: HandoverSaid, said: Value| {
        let mut a = node("a", &[said]);
        a.handover = handover;
        let cost = judge(&cluster([a, node("b", &[])]));
        (cost.verdict(DeployWay::Handover), cost)
    };
    let refused = || HandoverSaid::Refused("the node drains or ends".to_owned());
    let (verdict, cost) = of(refused(), json!("off"));
    assert_eq!(verdict, SomethingIsLost);
    let told = report::text(&cost, DeployWay::Handover);
    assert!(
        told.contains("a cannot be handed over: the node drains"),
        "{told}"
    );
    assert_eq!(
        of(refused(), json!(true)).0,
        NothingIsLost,
        "it moves instead"
    );
    assert_eq!(of(HandoverSaid::Unsaid, json!(true)).0, Unknown);
    let mut hangs = node("a", &[]);
    hangs.state = "impaired".to_owned();
    let cost = judge(&cluster([hangs, node("b", &[])]));
    assert!(matches!(cost.nodes[0].handover, HandoverCost::Unknown(_)));
    assert_eq!(cost.verdict(DeployWay::Handover), Unknown);
}

#[test]
fn calls_that_hold_up_a_hand_over_and_that_nobody_hears_of() {
    let mut a = node("a", &[]);
    let row = json!({"era": "legacy", "portable": true, "calls": 2});
    a.tally.add(&row);
    (a.calls, a.passed_on) = (Some(3), Some(1));
    let cost = judge(&cluster([a, node("b", &[])]));
    assert_eq!(verdicts(&cost), (NothingIsLost, NothingIsLost));
    let told = report::text(&cost, DeployWay::Handover);
    let sentence = "a: 3 calls and 1 request passed on to another node under way hold it up: it waits for them for 30s";
    assert!(told.contains(sentence), "{told}");
    assert!(told.contains("Calls under way have until"), "{told}");
    let told = report::json(&cost, DeployWay::Handover);
    let handover = &told["nodes"][0]["handover"];
    assert_eq!(
        (&handover["calls"], &handover["sessionsWithCalls"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(handover["graceMs"], 30_000);
}

#[test]
fn an_exit_code_that_says_the_contrary() {
    assert_eq!(
        [NothingIsLost, SomethingIsLost, Unknown].map(code),
        [0, 1, 2]
    );
}
