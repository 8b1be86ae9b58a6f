//! How the nodes know Alice and Eve: by tokens that an issuer signed, by tokens of a file, by the word of a proxy.

use std::path::Path;

use pinfold::internals::auth::{PROXY_ISSUER, TOKEN_FILE_ISSUER};
use serde_json::json;

use super::super::identity::new_token;
use super::Person;
use crate::auth::{AuthorizationServer, Issuer, claims};

/// Whom the tokens are for: the site, wherever its nodes are.
const PUBLIC: &str = "http://127.0.0.1:1/mcp";

pub(super) enum Known {
    Jwt {
        issuer: Box<AuthorizationServer>,
        key: Box<Issuer>,
    },
    Token {
        alice: [String; 2],
        eve: String,
        file: String,
    },
    Proxy,
}

impl Known {
    pub(super) fn by_jwt() -> Known {
        let (issuer, key) = (AuthorizationServer::start(), Issuer::ed25519("a"));
        issuer.publish(&[&key]);
        let (issuer, key) = (Box::new(issuer), Box::new(key));
        Known::Jwt { issuer, key }
    }

    /// Alice has two.
    pub(super) fn by_token() -> Known {
        let [one, two, eve] = ["alice", "alice", "eve"].map(new_token);
        Known::Token {
            file: [one.1, two.1, eve.1].concat(),
            alice: [one.0, two.0],
            eve: eve.0,
        }
    }

    /// Whoever connects is the proxy.
    pub(super) fn by_proxy() -> Known {
        Known::Proxy
    }

    /// Of each node.
    pub(super) fn options(&self, scratch: &Path) -> Vec<String> {
        let options = match self {
            Known::Jwt { issuer, .. } => {
                let name = issuer.name();
                ["jwt", "--auth-issuer", &name, "--public-url", PUBLIC].map(str::to_owned)
            }
            Known::Token { file, .. } => {
                let path = scratch.join("tokens");
                std::fs::write(&path, file).expect("a file can be written");
                let path = path.to_str().expect("a plain path");
                ["token", "--auth-token-file", path, "--public-url", PUBLIC].map(str::to_owned)
            }
            Known::Proxy => {
                let from = ["--auth-proxy-from", "127.0.0.1"];
                let groups = ["--auth-proxy-scopes-field", "x-groups"];
                ["proxy", from[0], from[1], groups[0], groups[1]].map(str::to_owned)
            }
        };
        let mode = ["--auth".to_owned()].into_iter();
        mode.chain(options).collect()
    }

    /// Who vouches for Alice and Eve.
    pub(super) fn issuer(&self) -> String {
        match self {
            Known::Jwt { issuer, .. } => issuer.name(),
            Known::Token { .. } => TOKEN_FILE_ISSUER.to_owned(),
            Known::Proxy => PROXY_ISSUER.to_owned(),
        }
    }

    pub(super) fn person(&self, name: &'static str) -> Person {
        let shown = match self {
            Known::Jwt { issuer, key } => bearer(&key.token(&claims(&issuer.name(), PUBLIC, name))),
            Known::Token { alice, eve, .. } => {
                let own = if name == "alice" { &alice[0] } else { eve };
                vec![("Authorization", own.clone())]
            }
            Known::Proxy => vec![("X-Forwarded-User", name.to_owned())],
        };
        Person { shown }
    }

    /// Another token of hers, or other groups.
    pub(super) fn refreshed(&self, name: &'static str) -> Person {
        let shown = match self {
            Known::Jwt { issuer, key } => {
                let mut later = claims(&issuer.name(), PUBLIC, name);
                later["jti"] = json!("another");
                later["scope"] = json!("more");
                bearer(&key.token(&later))
            }
            Known::Token { alice, .. } => vec![("Authorization", alice[1].clone())],
            Known::Proxy => {
                let mut shown = self.person(name).shown;
                shown.push(("X-Groups", "more".to_owned()));
                shown
            }
        };
        Person { shown }
    }
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("Authorization", format!("Bearer {token}"))]
}
