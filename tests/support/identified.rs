//! A node that asks who sends a request: tokens of a few people, and the time in the world outside.

use std::sync::Arc;

use pinfold::internals::auth::{
    Identifier, NewToken, Policy, PublicUrl, ResourceSettings, Rules, StaticTokens,
    TOKEN_FILE_ISSUER, VerifiedBounds, Who,
};

use super::node::Node;
use super::{Client, Request};
use pinfold::PrincipalId;
use pinfold::app::call::Topic;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::Shard;

/// 2027-01-01, 00:00: the tokens of carol end.
pub const MIDNIGHT_MS: u64 = 1_798_761_600_000;

/// Half a minute before that.
const START_MS: u64 = MIDNIGHT_MS - 30_000;

fn token_of(number: u8) -> NewToken {
    NewToken::of([number; 32])
}

/// What is shown as `Authorization`.
pub fn bearer(name: &str) -> String {
    let number = match name {
        "alice" => 1,
        "alice, refreshed" => 2,
        "bob" => 3,
        "carol" => 4,
        "dora" => 5,
        _ => 99,
    };
    format!("Bearer {}", token_of(number).token)
}

/// Whose requests those are.
pub fn principal(name: &str) -> PrincipalId {
    PrincipalId::of(TOKEN_FILE_ISSUER, name)
}

pub fn tokens() -> StaticTokens {
    let line = |number, name: &str, more: &str| token_of(number).line(name, more);
    let lines = [
        line(1, "alice", "board:read"),
        line(2, "alice", "board:read"),
        line(3, "bob", "board:read"),
        line(4, "carol", "until=2027-01-01"),
        line(5, "dora", "board:read board:write other"),
    ];
    StaticTokens::parse(&lines.join("\n")).expect("a file")
}

/// Of a file from which all others are gone.
pub fn tokens_of_bob() -> StaticTokens {
    StaticTokens::parse(&token_of(3).line("bob", "board:read")).expect("a file")
}

/// Those of a server that tells where tokens are to be had.
pub fn rules(who: Who) -> Rules {
    let public: PublicUrl = "https://mcp.example.com/mcp".parse().expect("a URL");
    let described = ResourceSettings {
        authorization_servers: vec!["https://login.example.com".into()],
        ..ResourceSettings::default()
    };
    Rules::with_resource(who, Policy::default(), Some(&public), described)
}

/// Each core asks who sends a request from now on.
pub fn identify_by(node: &mut Node, rules: &Arc<Rules>) {
    node.rules = Some(rules.clone());
    let shards = node.cores.iter_mut();
    shards.for_each(|core| begin_to_ask(&mut core.shard, rules));
}

pub fn begin_to_ask(shard: &mut Shard, rules: &Arc<Rules>) {
    let identifier = Identifier::new(rules.clone(), ([7; 16], 7), VerifiedBounds::default());
    shard.identify_by(identifier, START_MS);
}

impl Client {
    /// Of a node that lets in whoever has a token.
    pub fn identified(limits: Limits) -> Self {
        let mut client = Client::with(limits);
        let rules = rules(Who::Tokens(tokens()));
        identify_by(&mut client.node, &Arc::new(rules));
        client
    }

    /// Something changed for one of them, and for nobody else.
    pub fn publish_to(&mut self, name: &str, topic: Topic) {
        self.node.publish_to(principal(name), topic, 0);
        self.fan_out();
    }

    /// A session of somebody.
    pub fn session_of(&mut self, name: &str, version: &str) -> String {
        let answer = self.ask(&Request::initialize(version).shown_by(name));
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.field("mcp-session-id");
        id.expect("a session id").to_owned()
    }
}

impl Request {
    pub fn shown_by(self, name: &str) -> Self {
        self.with("Authorization", &bearer(name))
    }
}
