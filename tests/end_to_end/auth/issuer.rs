//! An authorization server of few words: its metadata, its keys, tokens in every state, and all that can be wrong with the server
//! itself. What others wrote is in `tests/clients/oidc_provider.mjs`.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::signer::Issuer;

const METADATA: &str = "/.well-known/oauth-authorization-server";
const KEYS: &str = "/keys";

/// What it answers at a path.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Json(String),
    /// Whatever these bytes are.
    Raw(Vec<u8>),
    /// Nothing, until the other side gives up.
    Silence,
    /// A JSON document that goes on for so many bytes.
    Endless(usize),
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<String>>,
    /// Takes connections and closes them at once.
    is_away: AtomicBool,
    is_over: AtomicBool,
    /// Bytes that were written of answers.
    written: AtomicUsize,
}

pub(crate) struct AuthorizationServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl AuthorizationServer {
    /// It answers 404 to everything.
    pub(crate) fn start() -> AuthorizationServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        std::thread::spawn(move || serve(&listener, &served));
        AuthorizationServer { address, shared }
    }

    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// These are its keys, and its metadata say where.
    pub(crate) fn publish(&self, keys: &[&Issuer]) {
        let keys_url = format!("{}{KEYS}", self.name());
        let metadata = json!({"issuer": self.name(), "jwks_uri": keys_url});
        self.put(METADATA, Page::Json(metadata.to_string()));
        self.put_keys(Page::Json(Issuer::key_set(keys)));
    }

    pub(super) fn put_keys(&self, page: Page) {
        self.put(KEYS, page);
    }

    fn put(&self, path: &str, page: Page) {
        let mut pages = self.shared.pages.lock().expect("no thread panics with it");
        pages.insert(path.to_owned(), page);
    }

    pub(super) fn leave(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::Relaxed);
    }

    /// How often it was asked for its keys.
    pub(super) fn asked_for_keys(&self) -> usize {
        let asked = self.shared.asked.lock().expect("no thread panics with it");
        asked.iter().filter(|path| *path == KEYS).count()
    }

    /// Bytes of its answers that found their way.
    pub(super) fn written(&self) -> usize {
        self.shared.written.load(Ordering::Relaxed)
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener; that it is gone already is as good.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(socket) = socket else {
            continue;
        };
        if shared.is_away.load(Ordering::Relaxed) {
            continue;
        }
        let shared = shared.clone();
        std::thread::spawn(move || answer(&socket, &shared));
    }
}

/// One request, and the end of the connection.
fn answer(mut socket: &TcpStream, shared: &Shared) {
    let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
    let line = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let page = {
        let pages = shared.pages.lock().expect("no thread panics with it");
        pages.get(&path).cloned()
    };
    // What is put here is there for whoever is seen to have asked.
    let mut asked = shared.asked.lock().expect("no thread panics with it");
    asked.push(path);
    drop(asked);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let mut write = |bytes: &[u8]| {
        let is_written = socket.write_all(bytes).is_ok();
        let count = if is_written { bytes.len() } else { 0 };
        shared.written.fetch_add(count, Ordering::Relaxed);
        is_written
    };
    match page {
        None => {
            write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Some(Page::Json(body)) => {
            let length = body.len();
            write(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes());
        }
        Some(Page::Raw(bytes)) => {
            write(&bytes);
        }
        Some(Page::Silence) => {
            let _ = socket.read(&mut [0]);
        }
        Some(Page::Endless(bytes)) => {
            write(format!("{head}\r\n{{\"keys\":[").as_bytes());
            let spaces = vec![b' '; 64 * 1024];
            let mut rounds = 0..bytes / spaces.len();
            while rounds.next().is_some() && write(&spaces) {}
        }
    }
}

/// Unix seconds.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

/// Claims of which nothing is wrong.
pub(crate) fn claims(issuer: &str, audience: &str, subject: &str) -> Value {
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "client_id": "tests",
        "iat": now() - 1,
        "exp": now() + 3600,
    })
}
