//! A server with the command line of `pinfold serve` and just enough behind it to be measured: one resource, an admin
//! listener that publishes. For measuring the library alone: `first --program target/release/stand-in`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use clap::Parser;
use pinfold::app::{Toolkit, Topic};
use pinfold::mcp::types::Resource;
use pinfold::runtime::{Options, Publisher, Server};
use serde::Deserialize;

#[derive(Parser)]
enum Command {
    Serve {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        admin: SocketAddr,
        #[arg(long)]
        cores: usize,
        /// There is but one.
        #[arg(long)]
        app: String,
    },
}

#[derive(Deserialize)]
struct Item {
    uri: Box<str>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Command::Serve {
        listen,
        admin,
        cores,
        app: _,
    } = Command::parse();
    pinfold::runtime::raise_open_files()?;
    let admins = TcpListener::bind(admin)?;
    let app = || {
        Toolkit::new("stand-in", "0")
            .resource(Resource::new("board://bench", "bench"), |_context| async {
                "nothing"
            })
    };
    let options = Options {
        listen,
        cores,
        ..Options::default()
    };
    let running = Server::new(app).options(options).start()?;
    running.stop_on_signals()?;
    let publisher = running.publisher().clone();
    std::thread::spawn(move || {
        for stream in admins.incoming().flatten() {
            let publisher = publisher.clone();
            std::thread::spawn(move || serve_admin(&stream, &publisher));
        }
    });
    Ok(running.join()?)
}

/// Until the client leaves.
fn serve_admin(stream: &TcpStream, publisher: &Publisher) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut publish = false;
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            publish |= line.starts_with("POST /publish ");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if publish {
            let items: Vec<Item> = serde_json::from_slice(&body)?;
            let topics = items.into_iter().map(|item| Topic::Resource(item.uri));
            publisher
                .publish_all(topics.collect())
                .map_err(std::io::Error::other)?;
        }
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
