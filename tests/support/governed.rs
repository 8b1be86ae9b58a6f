//! A node with a policy, and people who may do more or less by it.

use std::sync::Arc;

use pinfold::internals::auth::{Policy, PolicySettings, Rules, Who};
use pinfold::internals::limits::Limits;
use pinfold::internals::wire::uri::normal;

use super::Client;
use super::identified::{identify_by, rules, tokens};
use super::node::{Node, server_info, setup};

/// As an operator writes it, without its head.
fn rules_by(toml: &str) -> Arc<Rules> {
    let settings: PolicySettings = toml::from_str(toml).expect("settings");
    let policy = Policy::new(&settings).expect("a policy");
    Arc::new(rules(Who::Tokens(tokens())).with_policy(policy))
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
        identify_by(&mut client.node, &rules_by(toml));
        client
    }

    /// Another policy holds from now on.
    pub fn govern(&mut self, toml: &str) {
        let rules = rules_by(toml);
        for core in &mut self.node.cores {
            core.shard.handle_rules(rules.clone());
        }
    }
}
