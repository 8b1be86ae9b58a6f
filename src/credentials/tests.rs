mod travel;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::auth::tests::issuer::Issuer;
use crate::auth::{
    AuthQuestion, Finding, Identity, IssuerSettings, JwtSettings, Policy, PublicUrl, Reason,
    Searched, Shown, ShownField,
};
use crate::limits::KEY_SET_BYTES_MAX;
use crate::scratch;

/// Nothing here takes so long that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is at each path.
type Pages = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An authorization server of few words.
struct Web {
    address: SocketAddr,
    /// What it answers, by path; a path that is not there gets 404, one that is empty gets nothing.
    pages: Pages,
    asked: Receiver<String>,
}

impl Web {
    fn new() -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Pages = Arc::default();
        let (tell, asked) = channel();
        let served = pages.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), pages, tell) = (stream, served.clone(), tell.clone()) else {
                    return;
                };
                std::thread::spawn(move || {
                    let path = path_of(&stream);
                    // Nobody wants to know any more.
                    let _ = tell.send(path.clone());
                    answer(stream, &path, &pages);
                });
            }
        });
        Web {
            address,
            pages,
            asked,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn put(&self, path: &str, body: &str) {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nConnection: close\r\n";
        self.put_raw(
            path,
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into(),
        );
    }

    fn put_raw(&self, path: &str, answer: Vec<u8>) {
        let mut pages = self.pages.lock().unwrap();
        pages.retain(|(own, _)| own != path);
        pages.push((path.to_owned(), answer));
    }

    fn wait_for(&self, path: &str) {
        while self.asked.recv_timeout(PATIENCE).expect("it is asked") != path {}
    }
}

fn path_of(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let line = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    line.split(' ').nth(1).unwrap_or("").to_owned()
}

fn answer(mut stream: TcpStream, path: &str, pages: &Mutex<Vec<(String, Vec<u8>)>>) {
    let found = pages
        .lock()
        .unwrap()
        .iter()
        .find(|(own, _)| own == path)
        .cloned();
    let nothing =
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let bytes = found.map_or(nothing, |(_, bytes)| bytes);
    match bytes.is_empty() {
        // Hangs until the other side gives up.
        true => drop(BufReader::new(&stream).lines().next()),
        false => drop(stream.write_all(&bytes)),
    }
}

fn jwt(issuer: IssuerSettings) -> Authenticator {
    Authenticator::Jwt(JwtSettings {
        issuers: vec![issuer],
        audiences: vec!["mcp".into()],
        ..JwtSettings::default()
    })
}

/// A store, a core's identifier, and the messages to it.
struct Rig {
    store: CredentialStore,
    identifier: Identifier,
    messages: Receiver<Arc<Rules>>,
}

impl Rig {
    fn new(authenticator: Authenticator) -> Rig {
        let (tell, messages) = channel();
        let tell = move |rules: &Arc<Rules>| drop(tell.send(rules.clone()));
        let store = CredentialStore::start(authenticator, Policy::default(), None, tell).unwrap();
        let identifier = identifier(store.rules()).unwrap();
        Rig {
            store,
            identifier,
            messages,
        }
    }

    /// As a core does: asks if it has to, reads its messages, and looks again.
    fn identify(&mut self, token: &str) -> Result<std::rc::Rc<Identity>, Reason> {
        let bearer = format!("Bearer {token}");
        let mut searched = None;
        loop {
            self.messages
                .try_iter()
                .for_each(|rules| self.identifier.handle_rules(rules));
            let shown = Shown {
                authorization: ShownField::Once(&bearer),
                is_from_proxy: false,
                client: None,
                at_ms: 0,
                field: |_: &str| ShownField::Absent,
                searched,
            };
            match self.identifier.identify(&shown, NOW) {
                Finding::Known(identity) => return Ok(identity),
                Finding::Refused(refusal) => return Err(refusal.reason),
                Finding::Ask(AuthQuestion::Key { issuer }) => searched = Some(self.search(issuer)),
                Finding::Ask(AuthQuestion::Hook) => panic!("there is none"),
            }
        }
    }

    fn search(&self, issuer: usize) -> Searched {
        let (tell, told) = channel();
        self.store
            .search(issuer, move |searched| tell.send(searched).unwrap_or(()));
        told.recv_timeout(PATIENCE).expect("an answer")
    }
}

const NOW: u64 = 1_800_000_000;

fn token(issuer: &Issuer, name: &str) -> String {
    issuer.token(&json!({"iss": name, "sub": "alice", "aud": "mcp", "exp": NOW + 60}))
}

#[test]
fn keys_that_only_the_issuers_metadata_tell_of() {
    for place in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let (web, issuer) = (Web::new(), Issuer::ed25519("1"));
        let name = web.url("");
        let metadata = json!({"issuer": name, "jwks_uri": web.url("/keys")});
        web.put(place, &metadata.to_string());
        web.put("/keys", &Issuer::key_set(&[&issuer]));
        let mut rig = Rig::new(jwt(IssuerSettings::new(&name)));
        let alice = rig.identify(&token(&issuer, &name)).unwrap();
        assert_eq!(alice.subject(), "alice", "{place}");
    }
}

#[test]
fn a_rotated_key_that_is_found_without_a_restart() {
    let (web, old, new) = (Web::new(), Issuer::ed25519("old"), Issuer::p256("new"));
    let mut settings = IssuerSettings::new("https://login.example");
    settings.jwks = Some(web.url("/keys"));
    web.put("/keys", &Issuer::key_set(&[&old]));
    let mut rig = Rig::new(jwt(settings));
    assert!(rig.identify(&token(&old, "https://login.example")).is_ok());
    web.put("/keys", &Issuer::key_set(&[&old, &new]));
    assert!(rig.identify(&token(&new, "https://login.example")).is_ok());
    // Too soon for another question: what is known is all there is.
    let forger = Issuer::ed25519("none");
    for _ in 0..100 {
        let told = rig.identify(&token(&forger, "https://login.example"));
        assert_eq!(told.unwrap_err(), Reason::UnknownKey);
    }
    let asked = web.asked.try_iter().count();
    assert!(asked <= 3, "asked {asked} times");
}

/// The search that there may be was somebody else's, for nothing.
#[test]
fn a_made_up_key_that_keeps_others_out_who_have_a_new_one() {
    let (web, old, new) = (Web::new(), Issuer::ed25519("old"), Issuer::ed25519("new"));
    let name = "https://login.example";
    let mut settings = IssuerSettings::new(name);
    settings.jwks = Some(web.url("/keys"));
    web.put("/keys", &Issuer::key_set(&[&old]));
    let mut rig = Rig::new(jwt(settings));
    assert!(rig.identify(&token(&old, name)).is_ok());
    let forger = Issuer::ed25519("made up");
    let told = rig.identify(&token(&forger, name));
    assert_eq!(told.unwrap_err(), Reason::UnknownKey);
    web.put("/keys", &Issuer::key_set(&[&old, &new]));
    let signed = |issuer: &Issuer, at: u64| {
        issuer
            .token(&json!({"iss": name, "sub": "alice", "aud": "mcp", "iat": at, "exp": NOW + 60}))
    };
    let now = issuer::unix_seconds();
    let told = rig.identify(&signed(&new, now));
    assert_eq!(told.unwrap_err(), Reason::Unavailable, "it may be good");
    // Of a key that was withdrawn: whoever has it is told to get another one, and not to wait.
    let told = rig.identify(&signed(&forger, now - 3_600));
    assert_eq!(told.unwrap_err(), Reason::UnknownKey);
    rig.store.reload().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while rig.identify(&signed(&new, now)).is_err() {
        assert!(std::time::Instant::now() < deadline, "it is let in");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_issuer_that_is_away_and_whose_clients_go_on() {
    let (web, known, new) = (Web::new(), Issuer::ed25519("known"), Issuer::ed25519("new"));
    let mut settings = IssuerSettings::new("https://login.example");
    settings.jwks = Some(web.url("/keys"));
    web.put("/keys", &Issuer::key_set(&[&known]));
    let mut rig = Rig::new(jwt(settings));
    assert!(
        rig.identify(&token(&known, "https://login.example"))
            .is_ok()
    );
    let broken: [&[u8]; 4] = [
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ];
    for answer in broken {
        web.put_raw("/keys", answer.to_vec());
        rig.store.reload().unwrap();
        web.wait_for("/keys");
        let told = rig.identify(&token(&new, "https://login.example"));
        assert_eq!(told.unwrap_err(), Reason::Unavailable);
        rig.store.look_anew();
        assert!(
            rig.identify(&token(&known, "https://login.example"))
                .is_ok()
        );
    }
}

#[test]
fn an_issuer_that_hangs() {
    let (web, issuer) = (Web::new(), Issuer::ed25519("1"));
    let mut settings = IssuerSettings::new("https://login.example");
    settings.jwks = Some(web.url("/keys"));
    web.put_raw("/keys", Vec::new());
    let mut rig = Rig::new(jwt(settings));
    let told = rig.identify(&token(&issuer, "https://login.example"));
    assert_eq!(told.unwrap_err(), Reason::Unavailable);
}

#[test]
fn an_issuer_that_answers_100_mb() {
    let (web, issuer) = (Web::new(), Issuer::ed25519("1"));
    let mut settings = IssuerSettings::new("https://login.example");
    settings.jwks = Some(web.url("/keys"));
    let mut long = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"keys\":[".to_vec();
    long.resize(100 * KEY_SET_BYTES_MAX, b' ');
    web.put_raw("/keys", long);
    let mut rig = Rig::new(jwt(settings));
    let told = rig.identify(&token(&issuer, "https://login.example"));
    assert_eq!(told.unwrap_err(), Reason::Unavailable);
}

#[test]
fn metadata_that_send_us_into_the_clear() {
    let (web, issuer) = (Web::new(), Issuer::ed25519("1"));
    let name = web.url("");
    let metadata = json!({"issuer": name, "jwks_uri": "http://keys.example/keys"});
    web.put(
        "/.well-known/oauth-authorization-server",
        &metadata.to_string(),
    );
    let mut rig = Rig::new(jwt(IssuerSettings::new(&name)));
    assert_eq!(
        rig.identify(&token(&issuer, &name)).unwrap_err(),
        Reason::Unavailable
    );
}

#[test]
fn more_questions_than_anybody_waits_for() {
    let web = Web::new();
    let mut settings = IssuerSettings::new("https://login.example");
    settings.jwks = Some(web.url("/keys"));
    web.put_raw("/keys", Vec::new());
    let rig = Rig::new(jwt(settings));
    let (tell, told) = channel();
    let questions = 2 * crate::limits::KEY_QUESTIONS_MAX;
    for _ in 0..questions {
        let tell = tell.clone();
        rig.store
            .search(0, move |searched| tell.send(searched).unwrap_or(()));
    }
    for _ in 0..questions {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Searched::CannotTell));
    }
    rig.store
        .search(7, move |searched| tell.send(searched).unwrap_or(()));
    assert_eq!(
        told.recv_timeout(PATIENCE),
        Ok(Searched::Done),
        "there is no such issuer"
    );
}

#[test]
fn keys_and_secrets_in_files() {
    let (path, old, new) = (
        scratch::path("keys"),
        Issuer::ed25519("old"),
        Issuer::ed25519("new"),
    );
    std::fs::write(&path, Issuer::key_set(&[&old])).unwrap();
    let mut settings = IssuerSettings::new("files");
    settings.jwks = Some(path.display().to_string());
    let mut rig = Rig::new(jwt(settings.clone()));
    assert!(rig.identify(&token(&old, "files")).is_ok());
    std::fs::write(&path, Issuer::key_set(&[&new])).unwrap();
    assert!(rig.identify(&token(&new, "files")).is_ok());
    assert_eq!(
        rig.identify(&token(&old, "files")).unwrap_err(),
        Reason::UnknownKey
    );
    std::fs::write(&path, "{}").unwrap();
    let start = |it| CredentialStore::start(it, Policy::default(), None, |_| ()).unwrap_err();
    assert!(start(jwt(settings.clone())).contains("is not a JSON Web Key Set"));
    std::fs::remove_file(&path).unwrap();
    assert!(start(jwt(settings)).contains("cannot be read"));
    let secret = scratch::path("secret");
    std::fs::write(&secret, format!("{}\n", "s".repeat(32))).unwrap();
    let mut settings = IssuerSettings::new("mine");
    settings.secret_file = Some(secret.clone());
    let mut rig = Rig::new(jwt(settings));
    assert!(
        rig.identify(&token(&Issuer::secret(&[b's'; 32]), "mine"))
            .is_ok()
    );
}

#[test]
fn a_token_file_that_is_read_again() {
    let path = scratch::path("tokens");
    let (one, other) = (new_token().unwrap(), new_token().unwrap());
    std::fs::write(&path, one.line("ci", "read")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut rig = Rig::new(Authenticator::Token(path.clone()));
    assert_eq!(rig.identify(&one.token).unwrap().subject(), "ci");
    std::fs::write(&path, format!("{}\nbad line", other.line("bot", "read"))).unwrap();
    let wrong = rig.store.reload().unwrap_err();
    assert!(
        wrong.starts_with(&format!("{}: line 2 ", path.display())),
        "{wrong}"
    );
    assert!(
        rig.identify(&one.token).is_ok(),
        "what was read before stays"
    );
    std::fs::write(&path, other.line("bot", "read")).unwrap();
    rig.store.reload().unwrap();
    assert_eq!(rig.identify(&one.token).unwrap_err(), Reason::UnknownToken);
    assert_eq!(rig.identify(&other.token).unwrap().subject(), "bot");
    assert!(!super::files::is_open_to_all(&path, 0o006));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(super::files::is_open_to_all(&path, 0o004));
}

/// What is there once, or waits for somebody who writes it, would stop the node here, or each time that it is read again.
#[test]
fn a_file_that_is_a_pipe_a_folder_or_a_gigabyte() {
    let start = |it| CredentialStore::start(it, Policy::default(), None, |_| ());
    let (pipe, folder, huge) = (
        scratch::path("pipe"),
        scratch::path("folder"),
        scratch::path("huge"),
    );
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    std::fs::create_dir_all(&folder).unwrap();
    let sparse = std::fs::File::create(&huge).unwrap();
    sparse.set_len(1 << 30).unwrap();
    for (path, what) in [
        (&pipe, "is no plain file"),
        (&folder, "is no plain file"),
        (&PathBuf::from("/dev/zero"), "is no plain file"),
        (&huge, "is longer than"),
    ] {
        let with_keys = IssuerSettings {
            jwks: Some(path.display().to_string()),
            ..IssuerSettings::new("files")
        };
        let with_secret = IssuerSettings {
            secret_file: Some(path.clone()),
            ..IssuerSettings::new("mine")
        };
        for it in [
            Authenticator::Token(path.clone()),
            jwt(with_keys),
            jwt(with_secret),
        ] {
            let told = start(it).unwrap_err();
            assert!(told.contains(what), "{told}");
            assert!(told.starts_with(&path.display().to_string()), "{told}");
        }
    }
}

#[test]
fn settings_that_nobody_should_start_with() {
    let start =
        |it, public| CredentialStore::start(it, Policy::default(), public, |_| ()).unwrap_err();
    let url: PublicUrl = "https://mcp.example.com/mcp".parse().unwrap();
    let no_audience = Authenticator::Jwt(JwtSettings {
        issuers: vec![IssuerSettings::new("https://login.example")],
        ..JwtSettings::default()
    });
    assert!(start(no_audience, None).contains("public URL"));
    assert!(start(Authenticator::Jwt(JwtSettings::default()), Some(&url)).contains("no issuer"));
    assert!(
        start(Authenticator::Token("/nowhere/tokens".into()), None).contains("/nowhere/tokens")
    );
    assert!(start(Authenticator::Proxy(Default::default()), None).contains("anybody"));
}

#[test]
fn what_a_hook_is_shown() {
    let fields = [("X-Api-Key", "key"), ("Twice", "a"), ("twice", "b")];
    let presented = Presented::new(fields, Some([127, 0, 0, 1].into()));
    assert_eq!(presented.field("x-api-key"), Some("key"));
    assert_eq!(
        (presented.field("twice"), presented.field("none")),
        (None, None)
    );
    assert!(!format!("{presented:?}").contains("key"));
    let hook = Authenticator::hook(|presented: Presented| async move {
        let key = presented.field("x-api-key").ok_or(Reason::Missing)?;
        Ok(Identity::new("users", key))
    });
    let store = CredentialStore::start(hook, Policy::default(), None, |_| ()).unwrap();
    let answer = store.hook().unwrap().authenticate(presented);
    let answer = futures_util::FutureExt::now_or_never(answer).expect("it waits for nobody");
    assert_eq!(answer.unwrap().subject(), "key");
}
