//! Issuers that change their keys, are away, hang, or answer what nobody can use. Whose key is known goes on.

use std::time::Instant;

use serde_json::json;

use super::issuer::{AuthorizationServer, Page};
use super::protected::{Protected, wait_until};
use super::signer::Issuer;

/// A server whose issuer answers this for its keys, from the start; with the key that it does not get.
fn with_keys(test: &str, page: Page) -> Protected {
    let (issuer, key) = (AuthorizationServer::start(), Issuer::p256("first"));
    issuer.publish(&[&key]);
    issuer.put_keys(page);
    Protected::of(issuer, key, test, &[])
}

/// It is asked again, and everybody gets in.
fn recovers(server: &Protected) {
    server.issuer.publish(&[&server.key]);
    wait_until("the issuer is asked again", || {
        let told = server.ask(&server.token());
        assert!([200, 503].contains(&told.status), "{told:?}");
        told.status == 200
    });
}

#[test]
fn a_key_that_came_while_nobody_looked() {
    let server = Protected::start("auth/rotated_key");
    server.serves();
    let next = Issuer::rsa("next");
    server.issuer.publish(&[&server.key, &next]);
    let told = server.ask(&next.token(&server.claims()));
    assert_eq!(told.status, 200, "{told:?}");
    server.serves();
    server.stop();
}

/// Who was let in by it before is not remembered.
#[test]
fn a_key_that_was_withdrawn() {
    let server = Protected::start("auth/withdrawn_key");
    let old = server.token();
    assert_eq!(server.ask(&old).status, 200);
    let next = Issuer::ed25519("next");
    server.issuer.publish(&[&next]);
    assert_eq!(server.ask(&next.token(&server.claims())).status, 200);
    let told = server.ask(&old);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (401, "token_unknown_key"),
        "{told:?}"
    );
    server.stop();
}

#[test]
fn an_issuer_that_everybody_with_a_made_up_key_has_asked() {
    let server = Protected::start("auth/made_up_keys");
    server.serves();
    let before = server.issuer.asked_for_keys();
    let began = Instant::now();
    let claims = server.claims();
    for number in 0..100 {
        let forger = Issuer::ed25519(&format!("made up {number}"));
        let told = server.ask(&forger.token(&claims));
        assert_eq!(
            (told.status, told.reason.as_str()),
            (401, "token_unknown_key"),
            "{told:?}"
        );
    }
    // Once in ten seconds, however long this took.
    let most = 1 + began.elapsed().as_secs() as usize / 10;
    let asked = server.issuer.asked_for_keys() - before;
    assert!(asked <= most, "asked {asked} times, and not {most}");
    server.serves();
    server.stop();
}

#[test]
fn an_issuer_that_is_away_while_its_clients_go_on() {
    let server = Protected::start("auth/issuer_away");
    server.serves();
    server.issuer.leave(true);
    let next = Issuer::ed25519("next");
    server.cannot_tell(&next.token(&server.claims()));
    // Others of the known key, too, of whom nothing is remembered.
    for subject in ["bob", "carol"] {
        let token = server.key.token(&server.claims_with("sub", json!(subject)));
        assert_eq!(server.ask(&token).status, 200);
    }
    server.issuer.leave(false);
    recovers(&server);
    server.stop();
}

#[test]
fn an_issuer_that_is_not_there_yet() {
    let (issuer, key) = (AuthorizationServer::start(), Issuer::p256("first"));
    issuer.leave(true);
    let server = Protected::of(issuer, key, "auth/issuer_not_there_yet", &[]);
    server.cannot_tell(&server.token());
    server.issuer.leave(false);
    recovers(&server);
    server.stop();
}

#[test]
fn an_issuer_that_hangs() {
    let server = Protected::start("auth/issuer_hangs");
    server.serves();
    server.issuer.put_keys(Page::Silence);
    let before = server.issuer.asked_for_keys();
    let unknown = Issuer::ed25519("next").token(&server.claims());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.cannot_tell(&unknown));
        wait_until("the issuer is asked", || {
            server.issuer.asked_for_keys() > before
        });
        // Nobody else waits for it.
        (0..100).for_each(|_| server.serves());
        waiting.join().expect("it is told in the end");
    });
    recovers(&server);
    server.stop();
}

#[test]
fn an_issuer_that_answers_100_mb() {
    let page = Page::Endless(100 * 1024 * 1024);
    let server = with_keys("auth/issuer_100_mb", page);
    server.cannot_tell(&server.token());
    // What the sockets' buffers hold, and no more.
    let written = server.issuer.written();
    assert!(written < 32 * 1024 * 1024, "{written} bytes were taken");
    recovers(&server);
    server.stop();
}

#[test]
fn an_issuer_with_10_000_keys() {
    let (issuer, key) = (AuthorizationServer::start(), Issuer::p256("first"));
    issuer.publish(&[&key]);
    let others = Issuer::ed25519("other").jwk();
    let mut keys = vec![key.jwk()];
    keys.resize(10_000, others);
    let set = json!({"keys": keys}).to_string();
    issuer.put_keys(Page::Json(set));
    let server = Protected::of(issuer, key, "auth/issuer_10_000_keys", &[]);
    server.cannot_tell(&server.token());
    recovers(&server);
    server.stop();
}

#[test]
fn an_issuer_that_answers_garbage() {
    let raw = |text: &str| Page::Raw(text.as_bytes().to_vec());
    let json = |text: &str| Page::Json(text.to_owned());
    let garbage = [
        raw("garbage\r\n\r\n"),
        raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        raw("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{"),
        raw(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        ),
        json("<html>"),
        json("{}"),
        json(r#"{"keys": {}}"#),
        json(r#"{"keys": [1, null, {"kty": "EC"}, {"kty": 7}]}"#),
    ];
    let server = with_keys("auth/issuer_garbage", garbage[0].clone());
    server.cannot_tell(&server.token());
    recovers(&server);
    let next = Issuer::ed25519("next").token(&server.claims());
    for page in garbage {
        server.issuer.put_keys(page);
        server.reload();
        server.cannot_tell(&next);
        server.serves();
    }
    server.stop();
}
