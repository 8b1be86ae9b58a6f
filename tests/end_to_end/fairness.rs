//! One client takes all that it can of the real program, and the others must not notice: sessions, and the connections
//! of a core. Clients are addresses of 127.0.0.0/8, or names that a proxy on 127.0.0.1 would give.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::on_every_placement;
use crate::ports::free_port;
use crate::program::{EndedWithItsTest, scratch_folder};
use crate::server::{App, Placement, Server};
use crate::tools;

const HONEST: u8 = 50;
const STORM: usize = 3_000;
/// One more honest client comes after so many of them.
const BETWEEN: usize = 60;
/// Longer than what makes a session idle enough to be ended for another; more does no harm.
const IDLE: Duration = Duration::from_millis(11_000);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// How the server comes to know of a client's address.
#[derive(Clone, Copy)]
enum Known {
    Direct,
    NamedByAProxy,
    /// As anybody has it: a router, a service, nothing else.
    PlainTraefik,
}

struct Storm {
    known: Known,
}

on_every_placement! {
    a_storm_of_one_connection => Storm { known: Known::Direct };
    a_storm_behind_a_proxy => Storm { known: Known::NamedByAProxy };
    a_storm_behind_plain_traefik => Storm { known: Known::PlainTraefik };
}

struct Answer {
    status: u16,
    session: Option<String>,
}

/// One connection of one client.
struct Wire {
    stream: BufReader<TcpStream>,
    name: Option<Ipv4Addr>,
}

impl Wire {
    fn open(to: SocketAddr, from: Ipv4Addr, name: Option<Ipv4Addr>) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let own = SocketAddr::from((from, 0));
        socket.bind(&own.into()).expect("an address of loopback");
        socket.connect(&to.into()).expect("it listens");
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(ANSWER_LIMIT))
            .expect("a limit");
        Wire {
            stream: BufReader::new(stream),
            name,
        }
    }

    fn ask(&mut self, fields: &str, body: &str) -> Answer {
        let named = self.name.map(|it| format!("X-Forwarded-For: {it}\r\n"));
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{}{fields}Content-Length: {}\r\n\r\n{body}",
            named.unwrap_or_default(),
            body.len()
        );
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        sent.expect("the connection is open");
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("an answer");
            line.trim_end().to_owned()
        };
        let first = line();
        let status = first.split(' ').nth(1).and_then(|it| it.parse().ok());
        let (mut length, mut session) = (0, None);
        loop {
            let field = line();
            match field.split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a number"),
                Some(("Mcp-Session-Id", value)) => session = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole answer");
        Answer {
            status: status.unwrap_or_else(|| panic!("no answer: {first}")),
            session,
        }
    }

    fn initialize(&mut self) -> Answer {
        self.ask("", r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#)
    }

    fn ping(&mut self, session: &str) -> u16 {
        let fields = format!("Mcp-Session-Id: {session}\r\n");
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        self.ask(&fields, ping).status
    }
}

impl Storm {
    fn client(&self, to: SocketAddr, number: u8) -> Wire {
        let own = Ipv4Addr::new(127, 0, 1, number);
        match self.known {
            Known::Direct | Known::PlainTraefik => Wire::open(to, own, None),
            Known::NamedByAProxy => {
                let name = Ipv4Addr::new(203, 0, 113, number);
                Wire::open(to, Ipv4Addr::LOCALHOST, Some(name))
            }
        }
    }

    fn run(&self, placement: Placement, test: &str) {
        let scratch = scratch_folder(test);
        let options = ["--sessions-max", "1000"];
        let server = Server::start_with(&options, App::Board, placement, Path::new(&scratch));
        let traefik = match self.known {
            Known::Direct | Known::NamedByAProxy => None,
            Known::PlainTraefik => Some(PlainTraefik::start(&server, &scratch)),
        };
        let to = traefik
            .as_ref()
            .map_or(server.address(), |traefik| traefik.address);
        let mut honest = Vec::new();
        for number in 1..=HONEST {
            let mut wire = self.client(to, number);
            let session = wire.initialize().session.expect("a session");
            honest.push((wire, session));
        }
        std::thread::sleep(IDLE);
        let mut greedy = self.client(to, 255);
        let (mut taken, mut refused) = (0, Vec::new());
        for number in 0..STORM {
            taken += usize::from(greedy.initialize().status == 200);
            if number % BETWEEN == 0 {
                let newcomer = HONEST + 1 + (number / BETWEEN) as u8;
                let status = self.client(to, newcomer).initialize().status;
                refused.extend((status != 200).then_some((newcomer, status)));
            }
        }
        let lost = honest.iter_mut();
        let lost = lost.filter_map(|(wire, id)| (wire.ping(id) != 200).then_some(()));
        assert_eq!((lost.count(), refused), (0, Vec::new()));
        assert_eq!(taken, 250, "a quarter");
        drop(traefik);
        server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

struct PlainTraefik {
    address: SocketAddr,
    _child: EndedWithItsTest,
}

impl PlainTraefik {
    fn start(server: &Server, scratch: &Path) -> PlainTraefik {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let dynamic = scratch.join("dynamic.yml");
        let routers = "http: {routers: {mcp: {rule: 'PathPrefix(`/`)', service: mcp}}, services: {mcp: {loadBalancer: {servers: [{url: 'http://";
        let routers = format!("{routers}{}'}}]}}}}}}}}\n", server.address());
        std::fs::write(&dynamic, routers).expect("a file in the scratch folder");
        let log = File::create(scratch.join("traefik.log")).expect("a log in the scratch folder");
        let child = Command::new(tools::traefik())
            .arg(format!("--entryPoints.web.address={address}"))
            .arg(format!("--providers.file.filename={}", dynamic.display()))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("Traefik starts");
        let traefik = PlainTraefik {
            address,
            _child: EndedWithItsTest(child),
        };
        traefik.becomes_ready();
        traefik
    }

    /// Until it has read its routers it listens to nobody, or all is 404.
    fn becomes_ready(&self) {
        let deadline = Instant::now() + ANSWER_LIMIT;
        while TcpStream::connect(self.address).is_err()
            || Wire::open(self.address, Ipv4Addr::LOCALHOST, None)
                .ask("", "{")
                .status
                != 400
        {
            assert!(Instant::now() < deadline, "Traefik is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// All connections come to one of two cores, or most of them: that is chance.
#[test]
fn a_core_that_is_full_while_the_other_one_has_room() {
    let scratch = scratch_folder("fairness/full_core");
    let options = ["--connections-max", "40", "--sessions-max", "40"];
    let server = Server::start_with(&options, App::Board, Placement::AtRandom, &scratch);
    let mut wires: Vec<Wire> = (1..=40)
        .map(|number| Wire::open(server.address(), Ipv4Addr::new(127, 0, 1, number), None))
        .collect();
    // Among 40 by lot, 20 and 20 are rare: each is served all the same.
    for wire in &mut wires {
        assert_eq!(wire.initialize().status, 200);
    }
    let mut late = Wire::open(server.address(), Ipv4Addr::new(127, 0, 2, 1), None);
    assert_eq!(late.answer().status, 503);
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}
