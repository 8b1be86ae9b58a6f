//! The client against servers that say what a test wants them to say, each on a thread of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use monoio::time::timeout;

use super::frame::Scanner;
use super::reply::Protocol;
use super::*;

/// What a client of this test sends, whole, and what it is answered.
type Script<'a> = &'a [(&'a str, &'a [u8])];

const HELLO: &[u8] = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";
const PONG: &[u8] = b"+PONG\r\n";
const SHORT: Duration = Duration::from_millis(100);
/// Nothing here may take that long.
const LONG: Duration = Duration::from_secs(120);

/// Runs the client's side on both drivers, each time with servers of its own.
fn on_both_drivers<T>(work: impl AsyncFn() -> T) {
    let mut epoll = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new()
        .enable_timer()
        .build()
        .unwrap();
    epoll.block_on(async { timeout(LONG, work()).await.expect("in time") });
    // Where the ring is forbidden, epoll is what runs.
    if let Ok(mut ring) = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .enable_timer()
        .build()
    {
        ring.block_on(async { timeout(LONG, work()).await.expect("in time") });
    }
}

/// A server that has one connection after another, and does with each what `serve` says.
fn server(mut serve: impl FnMut(usize, TcpStream) + Send + 'static) -> (Settings, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            serve(number, stream);
        }
    });
    (settings(&url), Server { _thread: thread })
}

/// It ends with the process: a test that fails must not wait for it.
struct Server {
    _thread: JoinHandle<()>,
}

fn settings(url: &str) -> Settings {
    let mut settings = Settings::new(url.parse().unwrap(), "pinfold-a");
    settings.timeouts.connect = LONG;
    settings.timeouts.command = LONG;
    settings
}

fn words(command: &str) -> Vec<u8> {
    let mut words = command.split(' ');
    let first = Command::new(Box::leak(words.next().unwrap().into()));
    let command = words.fold(first, |command, word| command.arg(word));
    let mut out = Vec::new();
    command.emit(&mut out);
    out
}

fn play(stream: &mut TcpStream, script: Script<'_>) {
    for (command, answer) in script {
        let expected = words(command);
        let mut got = vec![0; expected.len()];
        if stream.read_exact(&mut got).is_err() || got != expected {
            panic!("{command}, not {}", got.escape_ascii());
        }
        stream.write_all(answer).unwrap();
    }
}

fn greet(stream: &mut TcpStream) {
    play(
        stream,
        &[("HELLO 3 SETNAME pinfold-a", HELLO), ("PING", PONG)],
    );
}

/// Until the client closes.
fn ignore(mut stream: TcpStream) {
    let mut sink = Vec::new();
    let _ = stream.read_to_end(&mut sink);
}

/// Says `answer` to the first thing that is said after the greeting, in the way `cut` says.
fn answers(answer: &'static [u8]) -> (Settings, Server) {
    server(move |_, mut stream| {
        greet(&mut stream);
        stream.read_exact(&mut words("GET k")).unwrap();
        stream.write_all(answer).unwrap();
    })
}

fn get() -> Command {
    Command::new("GET").arg("k")
}

async fn get_from(settings: &Settings) -> Result<Reply, RedisFault> {
    RedisConnection::open(settings).await?.call(get()).await
}

#[test]
fn many_are_in_flight_and_each_gets_its_own_answer() {
    on_both_drivers(async || {
        let (settings, _server) = server(|_, mut stream| {
            greet(&mut stream);
            // Answered only when all of it has come, and then byte by byte.
            let all = ["GET 1", "MULTI", "GET 2", "EXEC", "GET 3"]
                .map(words)
                .concat();
            stream.read_exact(&mut vec![0; all.len()]).unwrap();
            let answers = b"$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n_\r\n-ERR no\r\n>1\r\n+x\r\n";
            for byte in answers {
                stream.write_all(&[*byte]).unwrap();
            }
            ignore(stream);
        });
        let connection = RedisConnection::open(&settings).await.unwrap();
        let get = |key: &str| Command::new("GET").arg(key);
        let first = connection.call(get("1"));
        let batch = connection.call_all(&[Command::new("MULTI"), get("2"), Command::new("EXEC")]);
        drop(connection.call(get("3")));
        assert_eq!(batch.await.unwrap()[2], Reply::List(vec![Reply::Null]));
        assert_eq!(first.await.unwrap().text(), Some(&b"1"[..]));
        assert!(connection.call_all(&[]).await.unwrap().is_empty());
        assert!(connection.is_open(), "an answer that nobody waits for");
    });
}

#[test]
fn a_server_of_resp2_only_with_a_login() {
    on_both_drivers(async || {
        let (mut settings, _server) = server(|_, mut stream| {
            let unknown = b"-ERR unknown command 'HELLO'\r\n";
            let script: Script<'_> = &[
                ("HELLO 3 AUTH default secret SETNAME pinfold-a", unknown),
                ("AUTH secret", b"+OK\r\n"),
                ("CLIENT SETNAME pinfold-a", b"+OK\r\n"),
                ("SELECT 2", b"+OK\r\n"),
                ("PING", PONG),
                ("GET k", b"*2\r\n$1\r\na\r\n$-1\r\n"),
            ];
            play(&mut stream, script);
        });
        let url = settings
            .url
            .to_string()
            .replace("redis://", "redis://:secret@");
        settings.url = url.replace("/0", "/2").parse().unwrap();
        let reply = get_from(&settings).await.unwrap();
        assert_eq!(reply.into_pairs().unwrap()[0].1, Reply::Null);
    });
}

/// In whatever words it refuses what it does not know.
#[test]
fn a_server_that_has_no_word_for_hello_or_ping() {
    on_both_drivers(async || {
        let words: [&[u8]; 5] = [
            b"-ERR unsupported command\r\n",
            b"-ERR Syntax error in HELLO option 'SETNAME'\r\n",
            b"-NOPERM this user has no permissions to run the command\r\n",
            b"-ERR invalid command\r\n",
            b"-command not allowed\r\n",
        ];
        for refused in words {
            let (settings, _server) = server(move |_, mut stream| {
                let script: Script<'_> = &[
                    ("HELLO 3 SETNAME pinfold-a", refused),
                    ("CLIENT SETNAME pinfold-a", refused),
                    ("PING", refused),
                    ("GET k", b"*2\r\n$1\r\na\r\n$-1\r\n"),
                ];
                play(&mut stream, script);
            });
            let reply = get_from(&settings).await.unwrap();
            assert_eq!(reply.into_pairs().unwrap()[0].1, Reply::Null);
        }
    });
}

#[test]
fn a_handshake_that_is_refused_says_what_to_do() {
    on_both_drivers(async || {
        let cases: [(&[u8], &str); 5] = [
            (
                b"-WRONGPASS invalid username-password pair\r\n",
                "check user and password",
            ),
            (b"-NOAUTH HELLO must be called\r\n", "asks for a password"),
            (
                b"-ERR AUTH <password> called without any password configured\r\n",
                "leave the password out",
            ),
            (b"-ERR max number of clients reached\r\n", "maxclients"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Redis's protocol"),
        ];
        for (answer, advice) in cases {
            let (settings, _server) = server(move |_, mut stream| {
                let _ = stream.write_all(answer);
                ignore(stream);
            });
            let said = match RedisConnection::open(&settings).await {
                Ok(_) => panic!("{advice}"),
                Err(fault) => fault.to_string(),
            };
            assert!(said.contains(advice), "{said}");
        }
    });
}

#[test]
fn faults_are_told_apart_and_end_the_connection() {
    on_both_drivers(async || {
        let fault = async |(settings, _server): (Settings, Server)| {
            get_from(&settings).await.unwrap_err().kind()
        };
        assert_eq!(fault(answers(b"$5\r\nab")).await, "broken", "closed within");
        assert_eq!(fault(answers(b"?\r\n")).await, "not_redis");
        assert_eq!(fault(answers(b"*99999999\r\n")).await, "too_large");
        let unasked = server(|_, mut stream| {
            greet(&mut stream);
            stream.write_all(b"+one\r\n+more\r\n").unwrap();
            ignore(stream);
        });
        let connection = RedisConnection::open(&unasked.0).await.unwrap();
        assert_eq!(connection.closed().await.kind(), "not_redis");
        let giant = server(|_, mut stream| {
            greet(&mut stream);
            let _ = stream.write_all(b"$99999999999\r\n");
            let part = vec![b'x'; 1 << 20];
            while stream.write_all(&part).is_ok() {}
        });
        assert_eq!(fault(giant).await, "too_large");
    });
}

#[test]
fn a_server_that_hangs_is_given_up() {
    on_both_drivers(async || {
        let (mut settings, _server) = server(|_, mut stream| {
            greet(&mut stream);
            ignore(stream);
        });
        settings.timeouts.command = SHORT;
        let connection = RedisConnection::open(&settings).await.unwrap();
        let other = connection.call_within(get(), LONG);
        assert_eq!(connection.call(get()).await, Err(RedisFault::TimedOut));
        assert_eq!(other.await, Err(RedisFault::TimedOut));
        assert!(!connection.is_open());
        assert_eq!(connection.call(get()).await, Err(RedisFault::TimedOut));

        // It takes connections and says nothing at all.
        let (mut settings, _server) = server(|_, stream| ignore(stream));
        settings.timeouts.connect = SHORT;
        let opened = RedisConnection::open(&settings).await;
        assert_eq!(opened.err(), Some(RedisFault::TimedOut));
    });
}

#[test]
fn nobody_is_there() {
    on_both_drivers(async || {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        for url in [
            format!("redis://{address}"),
            "redis://localhost.invalid".into(),
            "unix:///nonexistent/redis.sock".into(),
        ] {
            let opened = RedisConnection::open(&settings(&url)).await;
            assert_eq!(
                opened.err().map(|it| it.kind()),
                Some("unreachable"),
                "{url}"
            );
        }
    });
}

#[test]
fn a_link_comes_back_and_fails_at_once_while_it_is_down() {
    on_both_drivers(async || {
        let (settings, _server) = server(|number, mut stream| match number {
            0 => {
                let loading = b"-LOADING Redis is loading the dataset in memory\r\n";
                play(
                    &mut stream,
                    &[("HELLO 3 SETNAME pinfold-a", HELLO), ("PING", loading)],
                );
            }
            1 => {
                greet(&mut stream);
                play(&mut stream, &[("GET k", b"+first\r\n")]);
            }
            _ => {
                greet(&mut stream);
                play(&mut stream, &[("GET k", b"+second\r\n")]);
                ignore(stream);
            }
        });
        let link = RedisLink::start(settings, Arc::default());
        // It is not waited for: it would come.
        assert_eq!(link.call(get()).await, Err(RedisFault::Down));
        assert_eq!(link.came_up(0).await, 1);
        assert_eq!(link.call(get()).await.unwrap(), Reply::Text("first".into()));
        link.went_down().await;
        assert_eq!(link.call_all(&[get()]).await, Err(RedisFault::Down));
        assert_eq!(link.came_up(1).await, 2);
        assert_eq!(
            link.call(get()).await.unwrap(),
            Reply::Text("second".into())
        );
    });
}

/// All of it takes longer than an answer may take to begin.
#[test]
fn an_answer_that_comes_in_pieces() {
    on_both_drivers(async || {
        let (mut settings, _server) = server(|_, mut stream| {
            greet(&mut stream);
            play(&mut stream, &[("GET k", b"$8\r\n")]);
            for piece in b"in parts".iter().chain(b"\r\n") {
                std::thread::sleep(SHORT * 8);
                stream.write_all(&[*piece]).unwrap();
            }
            ignore(stream);
        });
        settings.timeouts.command = SHORT * 40;
        let connection = RedisConnection::open(&settings).await.unwrap();
        let answer = connection.call(get()).await;
        assert_eq!(answer, Ok(Reply::Text("in parts".into())));
    });
}

#[test]
fn the_last_handle_closes_the_connection() {
    on_both_drivers(async || {
        let (ended, end) = std::sync::mpsc::channel();
        let (settings, _server) = server(move |_, mut stream| {
            greet(&mut stream);
            ignore(stream);
            ended.send(()).unwrap();
        });
        let link = RedisLink::start(settings.clone(), Arc::default());
        link.came_up(0).await;
        drop(link);
        let connection = async {
            while end.try_recv().is_err() {
                monoio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        connection.await;
        drop(RedisConnection::open(&settings).await.unwrap());
        while end.try_recv().is_err() {
            monoio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Some of them are replies, and none is a reason to panic.
#[test]
fn any_bytes_at_all() {
    const REPLIES: &[u8] =
        b"*3\r\n$1\r\na\r\n%1\r\n+k\r\n~1\r\n,1.5\r\n|1\r\n+t\r\n:1\r\n=7\r\ntxt:abc\r\n\
        >2\r\n#t\r\n(12\r\n!5\r\nERR x\r\n_\r\n*-1\r\n$-1\r\n$?\r\n;3\r\nabc\r\n*?\r\n.\r\n";
    let mut random = 7u64;
    let mut below = |bound: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % bound
    };
    let mut read = 0;
    for _ in 0..50_000 {
        let mut bytes = REPLIES[below(REPLIES.len())..].to_vec();
        for _ in 0..below(4) {
            let at = below(bytes.len());
            bytes[at] = REPLIES[below(REPLIES.len())];
        }
        let Ok(Some(end)) = Scanner::default().scan(&bytes) else {
            continue;
        };
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            read += u32::from(Reply::read(&bytes[..end], protocol).is_ok());
        }
    }
    assert!(read > 1_000, "{read}");
}
