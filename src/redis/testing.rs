//! A Redis of this process for tests: strings with a time to live, and every way in which it can be in a bad mood.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RedisUrl;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Serving,
    /// Every command on keys gets this error.
    Refusing(&'static str),
    /// Connections are open, and nothing is said.
    Hanging,
    /// Connections are closed as soon as they come.
    Away,
}

#[derive(Clone)]
pub(crate) struct FakeRedis {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    values: HashMap<String, Value>,
    hashes: HashMap<String, BTreeMap<String, String>>,
    /// Every command on keys, in order, with its first argument.
    seen: Vec<(String, String)>,
    connections: Vec<TcpStream>,
}

struct Value {
    text: String,
    until: Option<Instant>,
}

impl FakeRedis {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Serving,
            values: HashMap::new(),
            hashes: HashMap::new(),
            seen: Vec::new(),
            connections: Vec::new(),
        }));
        let redis = FakeRedis {
            address: listener.local_addr().unwrap(),
            state,
        };
        let server = redis.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, stream) = (server.clone(), stream.unwrap());
                std::thread::spawn(move || server.serve(stream));
            }
        });
        redis
    }

    pub(crate) fn url(&self) -> RedisUrl {
        format!("redis://{}", self.address).parse().unwrap()
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
        if mood == Mood::Away {
            for stream in self.state().connections.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.state().get(key).map(|value| value.text.clone())
    }

    pub(crate) fn time_to_live(&self, key: &str) -> Option<Duration> {
        let until = self.state().get(key)?.until?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn set(&self, key: &str, text: &str) {
        self.state().set(key, text, None);
    }

    pub(crate) fn flush(&self) {
        let mut state = self.state();
        state.values.clear();
        state.hashes.clear();
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state().values.remove(key);
    }

    pub(crate) fn field(&self, key: &str, field: &str) -> Option<String> {
        self.state().hashes.get(key)?.get(field).cloned()
    }

    pub(crate) fn set_field(&self, key: &str, field: &str, text: &str) {
        let mut state = self.state();
        let hash = state.hashes.entry(key.to_owned()).or_default();
        hash.insert(field.to_owned(), text.to_owned());
    }

    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) {
        if self.state().mood == Mood::Away {
            return;
        }
        let keep = stream.try_clone().unwrap();
        self.state().connections.push(keep);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(command) = read_command(&mut reader) {
            while self.state().mood == Mood::Hanging {
                std::thread::sleep(Duration::from_millis(1));
            }
            let answer = self.state().execute(&command);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

impl State {
    fn execute(&mut self, command: &[String]) -> String {
        let name = command[0].as_str();
        match name {
            "HELLO" => return "%1\r\n+server\r\n+fake\r\n".into(),
            "PING" => return "+PONG\r\n".into(),
            _ => self.seen.push((command[0].clone(), command[1].clone())),
        }
        if let Mood::Refusing(error) = self.mood {
            return format!("-{error}\r\n");
        }
        let key = command[1].as_str();
        match name {
            "GET" => self.get(key).map_or("_\r\n".into(), |value| {
                format!("${}\r\n{}\r\n", value.text.len(), value.text)
            }),
            "DEL" => format!(":{}\r\n", u8::from(self.values.remove(key).is_some())),
            "EXPIRE" => {
                let known = self.get(key).is_some();
                if let Some(value) = self.values.get_mut(key) {
                    value.until = life(&command[2], 1_000);
                }
                format!(":{}\r\n", u8::from(known))
            }
            "SET" if refuses(command, self.get(key).is_some()) => "_\r\n".into(),
            "SET" => {
                let unit = if command[3] == "PX" { 1 } else { 1_000 };
                self.set(key, &command[2], life(&command[4], unit));
                "+OK\r\n".into()
            }
            "HSET" => {
                let hash = self.hashes.entry(key.to_owned()).or_default();
                let earlier = hash.insert(command[2].clone(), command[3].clone());
                format!(":{}\r\n", u8::from(earlier.is_none()))
            }
            "HDEL" => {
                let hash = self.hashes.entry(key.to_owned()).or_default();
                format!(":{}\r\n", u8::from(hash.remove(&command[2]).is_some()))
            }
            "HSCAN" => {
                let pairs = self.hashes.get(key).into_iter().flatten();
                scanned(pairs.flat_map(|(field, value)| [field, value]))
            }
            "SCAN" => {
                let start = command[3].trim_end_matches('*');
                scanned(self.values.keys().filter(|key| key.starts_with(start)))
            }
            other => format!("-ERR unknown command '{other}'\r\n"),
        }
    }

    fn get(&mut self, key: &str) -> Option<&Value> {
        let value = self.values.get(key)?;
        value
            .until
            .is_none_or(|until| until > Instant::now())
            .then_some(value)
    }

    fn set(&mut self, key: &str, text: &str, until: Option<Instant>) {
        let text = text.to_owned();
        self.values.insert(key.to_owned(), Value { text, until });
    }
}

/// `NX` or `XX` at the end.
fn refuses(set: &[String], is_there: bool) -> bool {
    match set.last().map(String::as_str) {
        Some("NX") => is_there,
        Some("XX") => !is_there,
        _ => false,
    }
}

/// All of it at once.
fn scanned<'a>(found: impl Iterator<Item = &'a String>) -> String {
    let found: Vec<String> = found
        .map(|it| format!("${}\r\n{it}\r\n", it.len()))
        .collect();
    format!("*2\r\n$1\r\n0\r\n*{}\r\n{}", found.len(), found.concat())
}

fn life(digits: &str, unit_ms: u64) -> Option<Instant> {
    let number: u64 = digits.parse().unwrap();
    Some(Instant::now() + Duration::from_millis(number * unit_ms))
}

fn read_command(reader: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = read_number(reader)?;
    (0..count).map(|_| read_text(reader)).collect()
}

fn read_text(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut bytes = vec![0; read_number(reader)? + 2];
    reader.read_exact(&mut bytes).ok()?;
    bytes.truncate(bytes.len() - 2);
    String::from_utf8(bytes).ok()
}

fn read_number(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.trim_end().get(1..)?.parse().ok()
}
