//! How soon a stream may begin behind a Go proxy: a Traefik in front of a server that holds its answers back for so long,
//! and how many of them are cut. What `STREAM_HOLD_MS` is chosen by.

mod backend;
mod traefik;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::{self, sleep};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use self::backend::Backend;
use self::traefik::Traefik;
use crate::Outcome;
use crate::table::{Table, thousands};
use crate::workspace::root;

/// Where `tests/setup` puts it.
const OF_THE_TESTS: &str = "tests/clients/.tools/traefik/bin/traefik";
/// Of a client that calls its kernel twice.
const BETWEEN_PACKETS: Duration = Duration::from_micros(500);
const READ_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Parser)]
pub(crate) struct ProxyOptions {
    /// From the end of a request to the beginning of its answer, in microseconds; several, with commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,200,500,1000,2000,5000,10000,20000,30000"
    )]
    hold_us: Vec<u64>,
    /// How requests are sent; several, with commas
    #[arg(long, value_delimiter = ',', default_value = "apart,together,opening")]
    manner: Vec<Manner>,
    /// Requests of each
    #[arg(long, default_value_t = 4_000)]
    requests: usize,
    /// Clients that send them, each one after the other
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Another Traefik than that of tests/setup
    #[arg(long, value_name = "FILE")]
    traefik: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Manner {
    /// Head and body in two packets, on a connection that is used again
    Apart,
    /// In one packet
    Together,
    /// In two, on a connection of its own, for a stream that stays open
    Opening,
}

pub(crate) fn run(options: &ProxyOptions) -> Outcome<()> {
    let program = options.traefik.clone();
    let program = program.unwrap_or_else(|| root().join(OF_THE_TESTS));
    let backend = Backend::start()?;
    let traefik = Traefik::start(&program, backend.address)?;
    let mut table = Table::new(&[
        "request",
        "hold µs",
        "cut",
        "of",
        "body read apart",
        "cut of those",
    ]);
    for &manner in &options.manner {
        for &hold_us in &options.hold_us {
            backend.set(Duration::from_micros(hold_us), manner == Manner::Opening);
            let cut = attempt(options, manner, traefik.address);
            let [count, apart] = [cut.requests, backend.apart()];
            table.row([
                format!("{manner:?}").to_lowercase(),
                thousands(hold_us as f64),
                cut.all.to_string(),
                thousands(count as f64),
                thousands(apart as f64),
                cut.apart.to_string(),
            ]);
        }
    }
    println!("{}", table.text());
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Cut {
    requests: usize,
    all: usize,
    /// Of those whose body the server had read apart from its head.
    apart: usize,
}

fn attempt(options: &ProxyOptions, manner: Manner, proxy: SocketAddr) -> Cut {
    let each = options.requests / usize::from(options.clients);
    thread::scope(|scope| {
        let clients = (0..options.clients).map(|_| scope.spawn(move || ask(each, manner, proxy)));
        let clients: Vec<_> = clients.collect();
        clients.into_iter().fold(Cut::default(), |sum, client| {
            let cut = client.join().expect("a client does not panic");
            Cut {
                requests: sum.requests + cut.requests,
                all: sum.all + cut.all,
                apart: sum.apart + cut.apart,
            }
        })
    })
}

/// One client's requests.
fn ask(count: usize, manner: Manner, proxy: SocketAddr) -> Cut {
    let mut cut = Cut::default();
    let mut connection = None;
    let mut open = Vec::new();
    let mut take = |mut socket: TcpStream| {
        cut.requests += 1;
        match whole_answer(&mut socket) {
            Ok(()) => return Some(socket),
            Err(apart) => {
                cut.all += 1;
                cut.apart += usize::from(apart);
            }
        }
        None
    };
    for _ in 0..count {
        let socket = connection.take().map_or_else(|| connect(proxy), Ok);
        let sent = socket.and_then(|mut socket| send(&mut socket, manner).map(|()| socket));
        let Ok(socket) = sent else { continue };
        match manner {
            Manner::Opening => open.push(socket),
            Manner::Apart | Manner::Together => connection = take(socket),
        }
    }
    for socket in open {
        take(socket);
    }
    cut
}

fn connect(proxy: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(proxy)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(READ_LIMIT))?;
    Ok(socket)
}

fn send(socket: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"any"}}"#;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: any\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    match manner {
        Manner::Together => socket.write_all((head + BODY).as_bytes()),
        Manner::Apart | Manner::Opening => {
            socket.write_all(head.as_bytes())?;
            sleep(BETWEEN_PACKETS);
            socket.write_all(BODY.as_bytes())
        }
    }
}

/// If it was cut: whether the server had read its body apart.
fn whole_answer(socket: &mut TcpStream) -> Result<(), bool> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        match socket.read(&mut buffer) {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            Ok(0) | Err(_) => {
                return Err(String::from_utf8_lossy(&answer).contains(backend::APART));
            }
        }
    }
    Ok(())
}
