//! Who gets in, with the real program: tokens of a file and of an issuer, and what SIGHUP changes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::auth::{Issuer, claims};
use crate::program::{output_of, scratch_folder};
use crate::server::{App, Placement, Server, binary};
use crate::waits::agent;

const LIMIT: Duration = Duration::from_secs(120);

struct Told {
    status: u16,
    challenge: String,
    session: Option<String>,
    body: Value,
}

/// A message, with these fields in its head.
fn post(url: &str, fields: &[(&str, &str)], message: &Value) -> Told {
    let mut request = agent()
        .post(url)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let config = request.config().timeout_global(Some(LIMIT));
    let request = config.http_status_as_error(false).build();
    let answer = request.send(message.to_string()).expect("an answer");
    let field = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().expect("ASCII").to_owned())
    };
    Told {
        status: answer.status().as_u16(),
        challenge: field("www-authenticate").unwrap_or_default(),
        session: field("mcp-session-id"),
        body: {
            let text = answer.into_body().read_to_string().expect("a body");
            serde_json::from_str(&text).unwrap_or_default()
        },
    }
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }})
}

fn open(server: &Server, bearer: &str) -> Told {
    post(&server.mcp(), &[("Authorization", bearer)], &initialize())
}

/// A token of `pinfold token new`; its line is appended to the file.
fn new_token(name: &str, file: &Path) -> String {
    let made = output_of(Command::new(binary()).args([
        "token",
        "new",
        "--scopes",
        "board:read",
        "--name",
        name,
    ]));
    assert!(made.status.success(), "{made:?}");
    let mut lines = fs::read_to_string(file).unwrap_or_default();
    lines += &String::from_utf8_lossy(&made.stdout);
    fs::write(file, lines).expect("a file can be written");
    format!("Bearer {}", String::from_utf8_lossy(&made.stderr).trim())
}

#[test]
fn a_token_that_was_added_or_taken_away_and_nobody_heard_of_it() {
    let scratch = scratch_folder("identity/token");
    let file = scratch.join("tokens");
    let alice = new_token("alice", &file);
    let shown = file.to_str().expect("a plain path");
    let options = ["--auth", "token", "--auth-token-file", shown];
    let server = Server::start_with(&options, App::Board, Placement::AtRandom, &scratch);
    let nobody = post(&server.mcp(), &[], &initialize());
    assert_eq!(
        (nobody.status, nobody.challenge.as_str()),
        (401, "Bearer realm=\"mcp\"")
    );
    let session = open(&server, &alice).session.expect("a session");
    let bob = new_token("bob", &file);
    assert_eq!(open(&server, &bob).status, 401);
    let hang_up = |tokens: usize| {
        let pid = server.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        server.wait_to_log(&format!("{tokens} tokens are in"));
    };
    hang_up(2);
    while open(&server, &bob).status != 200 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let in_session = |bearer: &str| {
        let fields = [("Authorization", bearer), ("Mcp-Session-Id", &*session)];
        post(&server.mcp(), &fields, &ping)
    };
    assert_eq!(in_session(&alice).status, 200);
    assert_eq!(in_session(&bob).body["error"]["data"]["reason"], "unknown");
    fs::write(&file, "").expect("a file can be written");
    hang_up(0);
    while in_session(&alice).status != 401 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = server.log();
    assert!(
        !log.contains(&alice[7..]) && !log.contains(&bob[7..]),
        "a token in the log"
    );
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

const ISSUER: &str = "https://login.example.com";

/// What is shown of a token of ten minutes ago that ends in so many seconds.
fn shown(key: &Issuer, audience: &str, subject: &str, lives_s: i64) -> String {
    let mut claims = claims(ISSUER, audience, subject);
    let now = claims["iat"].as_i64().expect("seconds");
    claims["iat"] = json!(now - 600);
    claims["exp"] = json!(now + lives_s);
    format!("Bearer {}", key.token(&claims))
}

#[test]
fn a_token_of_an_issuer_that_is_for_somebody_else_or_of_somebody_else() {
    let scratch = scratch_folder("identity/jwt");
    let (issuer, other) = (Issuer::ed25519("one"), Issuer::ed25519("one"));
    let keys = scratch.join("keys.json");
    fs::write(&keys, Issuer::key_set(&[&issuer])).expect("a file can be written");
    let public = "https://mcp.example.com/mcp";
    let options = [
        "--auth",
        "jwt",
        "--auth-issuer",
        ISSUER,
        "--auth-jwks",
        keys.to_str().expect("a plain path"),
        "--public-url",
        public,
    ];
    let server = Server::start_with(&options, App::Board, Placement::OneCore, &scratch);
    let nobody = post(&server.mcp(), &[], &initialize());
    let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    assert_eq!(nobody.status, 401);
    assert!(nobody.challenge.contains(metadata), "{}", nobody.challenge);
    let path = metadata.trim_start_matches("https://mcp.example.com");
    let at = server.mcp().replace("/mcp", path);
    let told = agent().get(&at).call().expect("anybody may ask");
    let told = told.into_body().read_to_string().expect("a body");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["resource"], public);
    assert_eq!(told["authorization_servers"], json!([ISSUER]));
    for (bearer, reason) in [
        (
            shown(&issuer, "https://other.example.com/mcp", "alice", 600),
            "token_audience",
        ),
        (shown(&issuer, public, "alice", -300), "token_expired"),
        (shown(&other, public, "alice", 600), "token_signature"),
    ] {
        let refused = open(&server, &bearer);
        assert_eq!(
            (refused.status, &refused.body["error"]["data"]["reason"]),
            (401, &reason.into())
        );
        assert!(refused.challenge.contains("error=\"invalid_token\""));
    }
    let opened = open(&server, &shown(&issuer, public, "alice", 600));
    assert_eq!(opened.status, 200);
    let session = opened.session.expect("a session");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for (subject, status) in [("alice", 200), ("bob", 404)] {
        let bearer = shown(&issuer, public, subject, 601);
        let fields = [("Authorization", &*bearer), ("Mcp-Session-Id", &*session)];
        assert_eq!(
            post(&server.mcp(), &fields, &ping).status,
            status,
            "{subject}"
        );
    }
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_stream_that_outlives_its_token_or_its_line_in_the_file() {
    let scratch = scratch_folder("identity/life");
    let issuer = Issuer::ed25519("one");
    let keys = scratch.join("keys.json");
    fs::write(&keys, Issuer::key_set(&[&issuer])).expect("a file can be written");
    let public = "https://mcp.example.com/mcp";
    let keys = keys.to_str().expect("a plain path");
    let options = [
        "--auth",
        "jwt",
        "--auth-issuer",
        ISSUER,
        "--auth-jwks",
        keys,
        "--public-url",
        public,
        "--auth-leeway",
        "0s",
        "--auth-grace",
        "0s",
    ];
    let server = Server::start_with(&options, App::Board, Placement::OneCore, &scratch);
    let listen = |bearer: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
            "notifications": {"toolsListChanged": true},
        }});
        let request = agent()
            .post(server.mcp())
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .header("MCP-Protocol-Version", "2026-07-28")
            .header("Mcp-Method", "subscriptions/listen")
            .header("Authorization", bearer);
        let answer = request.send(body.to_string()).expect("a stream");
        answer.into_body().into_reader()
    };
    let mut stream = listen(&shown(&issuer, public, "alice", 5));
    let (mut text, ended) = (Vec::new(), std::time::Instant::now());
    // It breaks off: an end in good order would be the end of the subscription.
    let broken = std::io::Read::read_to_end(&mut stream, &mut text);
    assert!(broken.is_err(), "after {:?}: {broken:?}", ended.elapsed());
    let ended = "pinfold_streams_ended_total{reason=\"token_expired\"} 1";
    let metrics = format!("{}/metrics", server.admin());
    let page = agent().get(&metrics).call().expect("a page");
    let page = page.into_body().read_to_string().expect("text");
    assert!(page.contains(ended), "{page}");
    let said = "reason=\"token_expired\"";
    server.wait_to_log(said);
    let body = json!({"issuer": ISSUER, "subject": "bob"}).to_string();
    let mut stream = listen(&shown(&issuer, public, "bob", 600));
    let revoke = agent().post(format!("{}/revoke", server.admin()));
    let told = revoke.header("Content-Type", "application/json").send(body);
    let told = told.expect("an answer").into_body().read_to_string();
    let told: Value = serde_json::from_str(&told.expect("text")).expect("JSON");
    assert_eq!(
        (&told["revoked"], &told["kept"]),
        (&json!(true), &Value::Null)
    );
    let broken = std::io::Read::read_to_end(&mut stream, &mut text);
    assert!(broken.is_err(), "{broken:?}");
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_server_that_is_open_to_all_and_nobody_said_so() {
    let scratch = scratch_folder("identity/unsaid");
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"]);
    let finished = crate::program::run(&mut command, &scratch.join("output"));
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(
        finished.output.contains("'--auth' must be given"),
        "{finished:?}"
    );
}
