//! A server that wants tokens of an issuer, and what it says to those who come with one, or with something else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::issuer::{AuthorizationServer, claims};
use super::signer::Issuer;
use crate::program::scratch_folder;
use crate::publish::http::Exchange;
use crate::server::{App, Placement, Ports, Server};

const START_ATTEMPTS: usize = 5;
/// For what takes some seconds when all is well: longer than an issuer that was away is left alone.
const PATIENCE: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(50);

pub(super) struct Protected {
    pub(super) issuer: AuthorizationServer,
    /// The one that is published from the start.
    pub(super) key: Issuer,
    server: Server,
}

/// An answer, and what it says of who asked.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    pub(super) retry_after: Option<String>,
    /// `error.message` and `error.data.reason`.
    pub(super) sentence: String,
    pub(super) reason: String,
    pub(super) body: String,
}

impl Protected {
    pub(super) fn start(test: &str) -> Protected {
        Protected::start_with(test, &[])
    }

    pub(super) fn start_with(test: &str, options: &[&str]) -> Protected {
        let (issuer, key) = (AuthorizationServer::start(), Issuer::p256("first"));
        issuer.publish(&[&key]);
        Protected::of(issuer, key, test, options)
    }

    /// One whose issuer is as it is.
    pub(super) fn of(
        issuer: AuthorizationServer,
        key: Issuer,
        test: &str,
        options: &[&str],
    ) -> Protected {
        let name = issuer.name();
        let mut all = vec!["--auth-issuer", name.as_str()];
        all.extend(options);
        let server = start(App::Board, &all, &scratch_folder(test));
        Protected {
            issuer,
            key,
            server,
        }
    }

    /// The URL that tokens are for.
    pub(super) fn url(&self) -> String {
        self.server.mcp()
    }

    pub(super) fn log(&self) -> String {
        self.server.log()
    }

    /// Honest ones.
    pub(super) fn claims(&self) -> Value {
        claims(&self.issuer.name(), &self.url(), "alice")
    }

    /// The honest ones with one that is other, or missing if it is null.
    pub(super) fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        let members = claims.as_object_mut().expect("an object");
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.to_owned(), value)),
        }
        claims
    }

    /// Of somebody who is let in.
    pub(super) fn token(&self) -> String {
        self.key.token(&self.claims())
    }

    /// Asks for the list of resources, with these fields.
    pub(super) fn ask_with(&self, fields: &str) -> Told {
        ask(&self.url(), fields)
    }

    pub(super) fn ask(&self, token: &str) -> Told {
        self.ask_with(&bearer(token))
    }

    /// Somebody with an honest token is let in all the same.
    pub(super) fn serves(&self) {
        let told = self.ask(&self.token());
        assert_eq!(told.status, 200, "{told:?}");
    }

    /// Refused with 401, `invalid_token`, this reason and this sentence, in the challenge and in the body; and others go on.
    pub(super) fn refuses(&self, token: &str, reason: &str, sentence: &str) {
        let told = self.ask(token);
        assert_eq!(told.status, 401, "{told:?}");
        let challenge = told.challenge.as_deref().unwrap_or_default();
        let metadata = self.metadata_url();
        assert_eq!(
            challenge,
            format!(
                "Bearer error=\"invalid_token\", error_description=\"{sentence}\", resource_metadata=\"{metadata}\""
            )
        );
        assert_eq!(
            (told.reason.as_str(), told.sentence.as_str()),
            (reason, sentence)
        );
        assert!(!told.body.contains(token), "{told:?}");
        assert!(!self.log().contains(token), "the log has the token");
        self.serves();
    }

    /// Nobody can tell now whether this token is good.
    pub(super) fn cannot_tell(&self, token: &str) {
        let told = self.ask(token);
        assert_eq!(
            (told.status, told.reason.as_str()),
            (503, "authentication_unavailable"),
            "{told:?}"
        );
        assert_eq!(told.challenge, None, "{told:?}");
        assert!(told.retry_after.is_some(), "{told:?}");
    }

    pub(super) fn metadata_url(&self) -> String {
        let url = self.url();
        let origin = url.strip_suffix("/mcp").expect("the endpoint");
        format!("{origin}/.well-known/oauth-protected-resource/mcp")
    }

    /// SIGHUP; returns when its issuer was asked for its keys again.
    pub(super) fn reload(&self) {
        let before = self.issuer.asked_for_keys();
        let id = self.server.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -HUP");
        wait_until("the issuer is asked again", || {
            self.issuer.asked_for_keys() > before
        });
    }

    pub(super) fn stop(self) {
        self.server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// A server that takes tokens for itself, and none that have expired.
pub(super) fn start(app: App, options: &[&str], scratch: &Path) -> Server {
    let log = scratch.join("server.log");
    let attempt = |_| {
        let ports = Ports::free();
        let public = format!("http://127.0.0.1:{}/mcp", ports.client);
        let mut all = vec![
            "--auth",
            "jwt",
            "--auth-leeway",
            "0s",
            "--public-url",
            &public,
        ];
        all.extend(options);
        Server::start_at(ports, &all, app, Placement::AtRandom, &log)
    };
    (0..START_ATTEMPTS).find_map(attempt).unwrap_or_else(|| {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        panic!("pinfold does not start:\n{log}");
    })
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Asks for the list of resources, as a client of 2026-07-28 does.
pub(super) fn ask(url: &str, fields: &str) -> Told {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/list", "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let fields = format!(
        "{fields}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: resources/list\r\n"
    );
    let mut exchange = Exchange::open(url);
    exchange.post("/mcp", &fields, &body.to_string());
    let response = exchange.head();
    let field = |name: &str| response.header(name).map(str::to_owned);
    let (challenge, retry_after) = (field("www-authenticate"), field("retry-after"));
    let body = exchange.body(&response);
    let document: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Told {
        status: response.status,
        challenge,
        retry_after,
        sentence: text(&document["error"]["message"]),
        reason: text(&document["error"]["data"]["reason"]),
        body,
    }
}
