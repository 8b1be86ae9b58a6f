//! A node that asks who sends a request: tokens of a few people, and the time in the world outside.

use std::sync::Arc;

use pinfold::internals::auth::{
    Identifier, NewToken, Policy, PolicySettings, PublicUrl, ResourceSettings, Rules, StaticTokens,
    VerifiedBounds, Who,
};
use pinfold::internals::wire::uri::normal;

use super::node::{Node, server_info, setup};
use super::{Client, Request};
use pinfold::internals::limits::Limits;

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

/// Those of a server that tells where tokens are to be had.
pub fn rules(who: Who) -> Rules {
    rules_with(who, Policy::default())
}

/// The same with a policy.
pub fn rules_with(who: Who, policy: Policy) -> Rules {
    let public: PublicUrl = "https://mcp.example.com/mcp".parse().expect("a URL");
    let described = ResourceSettings {
        authorization_servers: vec!["https://login.example.com".into()],
        ..ResourceSettings::default()
    };
    Rules::with_resource(who, policy, Some(&public), described)
}

/// Each core asks who sends a request from now on.
pub fn identify_by(node: &mut Node, rules: &Arc<Rules>) {
    for core in &mut node.cores {
        let identifier = Identifier::new(rules.clone(), [7; 16], VerifiedBounds::default());
        core.shard.identify_by(identifier, START_MS);
    }
}

/// As an operator writes it, without its head.
pub fn policy(toml: &str) -> Policy {
    let settings: PolicySettings = toml::from_str(toml).expect("settings");
    Policy::new(&settings).expect("a policy")
}

impl Client {
    /// Of a node with a policy, whose application has all that there are rules for.
    pub fn governed(toml: &str) -> Self {
        let node = Node::with(1, |core| {
            let mut setup = setup(core, 1, Limits::default(), 0x00b0_0700);
            let mut info = server_info();
            info.modern_capabilities["completions"] = serde_json::json!({});
            setup.server_info = Arc::new(info);
            // As the board has it: another spelling than the normal form.
            setup.spelling = Box::new(|uri| {
                let own = uri.replace("%2F", "/").replace("%2f", "/");
                Ok(Some(normal(&own)?.into()))
            });
            setup
        });
        let mut client = Client { node };
        let rules = rules_with(Who::Tokens(tokens()), policy(toml));
        identify_by(&mut client.node, &Arc::new(rules));
        client
    }

    /// Another policy holds from now on.
    pub fn govern(&mut self, toml: &str) {
        let rules = Arc::new(rules_with(Who::Tokens(tokens()), policy(toml)));
        for core in &mut self.node.cores {
            core.shard.handle_rules(rules.clone());
        }
    }

    /// Of a node that lets in whoever has a token.
    pub fn identified(limits: Limits) -> Self {
        let mut client = Client::with(limits);
        let rules = rules(Who::Tokens(tokens()));
        identify_by(&mut client.node, &Arc::new(rules));
        client
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
