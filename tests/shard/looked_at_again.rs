//! What somebody hears of who may hear of less than when they began, or is on another core by then.

use std::sync::Arc;

use pinfold::app::call::{Lifecycle, Topic};
use pinfold::internals::auth::{
    Need, PolicySettings, PrincipalId, ResourceNeeds, TOKEN_FILE_ISSUER, Who,
};
use pinfold::internals::limits::{Limits, WITHDRAWN_WITHIN_MS};
use pinfold::internals::shard::Closed;

use super::grants::{
    START_S, V11, ask_as, by_hook, compiled, get_as, identified, is_open, issued, listen, open,
    session_as, tell,
};
use super::travel::{Way, only_session, travel, with};
use crate::support::Request;
use crate::support::identified::{identify_by, rules, tokens};
use crate::support::node::SocketId;

fn subscribing_takes(scope: &str) -> PolicySettings {
    PolicySettings {
        subscribe: Some(Need::OneOf(vec![vec![scope.into()]])),
        ..PolicySettings::default()
    }
}

#[test]
fn a_resource_that_somebody_hears_of_who_may_no_longer() {
    let (mut client, rules) = identified(&open());
    let session = client.session_of("alice", V11);
    for uri in ["board://a", "board://b"] {
        let request = Request::subscribe(&session, uri).shown_by("alice");
        assert_eq!(client.ask(&request).status, 200);
    }
    let get = client.open(&Request::get(&session).shown_by("alice"));
    client.frames(get);
    let loses = client.open(&listen(&["board://a", "board://b"]).shown_by("alice"));
    let keeps = client.open(&listen(&["board://b"]).shown_by("alice"));
    let secret = ResourceNeeds {
        subscribe: Some(Need::OneOf(vec![vec!["board:secret".into()]])),
        ..ResourceNeeds::default()
    };
    let policy = PolicySettings {
        resources: [("board://a".to_owned(), secret)].into(),
        ..PolicySettings::default()
    };
    let narrow = rules.with_policy(compiled(&policy));
    tell(&mut client, &narrow);
    client.updated("board://a");
    client.updated("board://b");
    client.pass(100);
    assert_eq!(client.closed(loses), Some(Closed::NoLongerAllowed));
    assert!(!client.topics_anywhere(loses).contains(&"board://a".into()));
    assert_eq!(client.topics(get), ["board://b"]);
    assert_eq!(
        client.topics_anywhere(keeps),
        ["subscriptions/acknowledged", "board://b"]
    );
    let unsubscribed =
        |it: &Lifecycle| matches!(it, Lifecycle::Unsubscribed(uri, _) if &**uri == "board://a");
    let told = client.node.delivered.iter().filter(|it| unsubscribed(it));
    assert_eq!(told.count(), 2);
    client.pass(1_000);
    assert!(is_open(&mut client, get) && is_open(&mut client, keeps));
    assert_eq!(client.node.ended, [Closed::NoLongerAllowed]);
}

#[test]
fn lists_that_a_session_hears_of_that_it_may_not_list() {
    let (mut client, rules) = identified(&open());
    let session = client.session_of("alice", V11);
    let get = client.open(&Request::get(&session).shown_by("alice"));
    client.frames(get);
    let policy = PolicySettings {
        list: Some(Need::Nobody),
        ..PolicySettings::default()
    };
    tell(&mut client, &rules.with_policy(compiled(&policy)));
    client.publish(Topic::Tools);
    assert!(client.topics(get).is_empty());
    tell(&mut client, &rules);
    client.pass(100);
    client.publish(Topic::Tools);
    assert_eq!(client.topics(get), ["tools/list_changed"], "it may again");
}

fn nobodys(uri: &str) -> PolicySettings {
    let nobodys = ResourceNeeds {
        subscribe: Some(Need::Nobody),
        ..ResourceNeeds::default()
    };
    PolicySettings {
        resources: [(uri.to_owned(), nobodys)].into(),
        ..PolicySettings::default()
    }
}

/// Both take something away: one the stream, the other a subscription of the session that outlives it.
#[test]
fn a_subscription_that_outlives_a_revocation_and_a_policy_that_forbids_it() {
    for at_once in [true, false] {
        let (mut client, rules) = by_hook(&open());
        let (old, new) = (issued(0), issued(50));
        let session = session_as(&mut client, &old);
        for uri in ["board://a", "board://b"] {
            let request = Request::subscribe(&session, uri);
            assert_eq!(ask_as(&mut client, &request, &old), 200);
        }
        let get = get_as(&mut client, &session, &old);
        let revoked = rules.with_revoked(old.id(), START_S + 40);
        tell(&mut client, &revoked);
        if !at_once {
            client.pass(100);
        }
        tell(
            &mut client,
            &revoked.with_policy(compiled(&nobodys("board://a"))),
        );
        client.pass(100);
        assert!(!is_open(&mut client, get));
        let again = get_as(&mut client, &session, &new);
        client.updated("board://a");
        client.updated("board://b");
        assert_eq!(client.topics(again), ["board://b"], "{at_once}");
    }
}

/// What it takes has the older token alone, which ends sooner than the one that the stream was opened by.
#[test]
fn a_subscription_that_outlives_the_token_that_made_it() {
    let (mut client, _) = by_hook(&subscribing_takes("board:secret"));
    let long = issued(50).with_valid_until(START_S + 10_000);
    let short = issued(0).with_scopes("board:read board:secret");
    let session = session_as(&mut client, &long);
    let get = get_as(&mut client, &session, &long);
    let request = Request::subscribe(&session, "board://a");
    assert_eq!(ask_as(&mut client, &request, &long), 403);
    assert_eq!(ask_as(&mut client, &request, &short), 200);
    client.updated("board://a");
    assert_eq!(client.topics(get), ["board://a"]);
    client.pass(60_000 + Limits::default().auth_grace_ms + 100);
    assert!(
        !is_open(&mut client, get),
        "the token that it takes has ended"
    );
    let again = get_as(&mut client, &session, &long);
    client.updated("board://a");
    assert!(client.topics(again).is_empty());
}

#[test]
fn scopes_that_a_newer_token_does_not_have_and_a_stream_still_does() {
    let (mut client, _) = by_hook(&subscribing_takes("board:read"));
    let session = session_as(&mut client, &issued(0));
    let get = get_as(&mut client, &session, &issued(0));
    let request = Request::subscribe(&session, "board://a");
    assert_eq!(ask_as(&mut client, &request, &issued(0)), 200);
    let fewer = issued(1).with_scopes("board:write");
    ask_as(&mut client, &Request::ping(&session, 1), &fewer);
    client.updated("board://a");
    assert!(client.topics(get).is_empty());
    assert!(is_open(&mut client, get));
}

#[test]
fn an_area_of_ones_own_that_nobody_is_asked_for() {
    let (mut client, rules) = identified(&open());
    let listening = client.open(&listen(&["board://alice/x"]).shown_by("alice"));
    let policy = PolicySettings {
        resources: [(
            "board://areas/{subject}/*".to_owned(),
            ResourceNeeds::default(),
        )]
        .into(),
        ..PolicySettings::default()
    };
    tell(&mut client, &rules.with_policy(compiled(&policy)));
    client.pass(100);
    // What is their own was not kept: whoever comes back is asked.
    assert_eq!(client.closed(listening), Some(Closed::NoLongerAllowed));
    let back = client.open(&listen(&["board://areas/alice/x"]).shown_by("alice"));
    tell(&mut client, &rules.with_policy(compiled(&policy)));
    client.pass(100);
    assert!(is_open(&mut client, back));
}

#[test]
fn more_listeners_than_are_looked_at_in_one_go() {
    let (mut client, rules) = identified(&open());
    client.node.unchecked = true;
    let streams: Vec<SocketId> = (0..3_000)
        .map(|_| client.open(&listen(&["board://a"]).shown_by("alice")))
        .collect();
    tell(
        &mut client,
        &rules.with_policy(compiled(&subscribing_takes("board:secret"))),
    );
    let now = client.node.now;
    client.node.cores[0].shard.handle_timeout(now);
    client.node.settle(0);
    let ended = client.node.ended.len();
    assert!(ended > 0 && ended < streams.len(), "{ended} in one go");
    client.updated("board://a");
    client.pass(1_000);
    for &stream in &streams {
        assert_eq!(client.closed(stream), Some(Closed::NoLongerAllowed));
        let heard = client.topics_anywhere(stream);
        assert!(!heard.contains(&"board://a".into()));
    }
    let (all, counts) = (streams.len(), client.node.cores[0].shard.counts());
    assert_eq!((client.node.ended.len(), counts.listeners), (all, 0));
}

#[test]
fn a_token_that_counts_for_ever_on_another_core() {
    let mut client = with(Limits::default());
    identify_by(&mut client.node, &Arc::new(rules(Who::Tokens(tokens()))));
    let session = client.session_of("carol", V11);
    let get = client.open(&Request::get(&session).shown_by("carol"));
    let listening = client.open(&listen(&["board://a"]).shown_by("carol"));
    travel(&mut client, Way::ToAnotherCore);
    only_session(&client, 1);
    client.node.move_connection(listening, 1).expect("it may");
    client.pass(30_000 + Limits::default().auth_grace_ms - 1);
    assert!(is_open(&mut client, get) && is_open(&mut client, listening));
    client.pass(100);
    assert!(client.stream_ended(get));
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
}

#[test]
fn a_listener_that_travels_past_a_revocation() {
    let mut client = with(Limits::default());
    let rules = rules(Who::Tokens(tokens()));
    identify_by(&mut client.node, &Arc::new(rules.clone()));
    let listening = client.open(&listen(&["board://a"]).shown_by("alice"));
    // The other core has heard of it, this one has not.
    let alice = PrincipalId::of(TOKEN_FILE_ISSUER, "alice");
    let revoked = Arc::new(rules.with_revoked(alice, START_S));
    client.node.cores[1].shard.handle_rules(revoked);
    client.node.unlike = true;
    client.node.move_connection(listening, 1).expect("it may");
    client.updated("board://a");
    client.pass(100);
    assert_eq!(client.closed(listening), Some(Closed::TokenRevoked));
    assert!(
        !client
            .topics_anywhere(listening)
            .contains(&"board://a".into())
    );
}

#[test]
fn a_listener_that_travels_past_a_key_that_was_withdrawn() {
    let mut client = with(Limits::default());
    let rules = rules(Who::Tokens(tokens()));
    identify_by(&mut client.node, &Arc::new(rules.clone()));
    let listening = client.open(&listen(&[]).shown_by("alice"));
    let next = Arc::new(rules.with_next_epoch());
    client.node.cores[1].shard.handle_rules(next);
    client.node.unlike = true;
    client.node.move_connection(listening, 1).expect("it may");
    client.pass(WITHDRAWN_WITHIN_MS + 1_100);
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
}
