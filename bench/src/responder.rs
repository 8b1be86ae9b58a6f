//! The floor of requests: monoio as pinfold sets it up, a read and a write per request, and a fixed answer.
//!
//! It finds where a request ends and looks no closer. Both listeners answer everything alike.

use std::net::SocketAddr;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use pinfold::internals::runtime::{Driver, run_alone};

use crate::Outcome;
use crate::floor::{FloorOptions, whole_request};

/// pinfold's own answer to a `ping`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
const SCRATCH_BYTES: usize = 4096;

pub(crate) fn run(options: &FloorOptions) -> Outcome<()> {
    let (listen, admin) = (options.listen, options.admin);
    run_alone(Driver::Uring, async move {
        let operator = monoio::spawn(accept(admin));
        accept(listen).await?;
        operator.await
    })?
}

async fn accept(address: SocketAddr) -> Outcome<()> {
    assert!(
        address.ip().is_loopback(),
        "only this machine is ever served"
    );
    let listener = TcpListener::bind(address)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // Whatever is wrong with one connection, it is over.
        monoio::spawn(async move { _ = answer(socket).await });
    }
}

async fn answer(mut socket: TcpStream) -> Outcome<()> {
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut inbox = Vec::new();
    loop {
        let (count, filled) = socket.read(scratch).await;
        scratch = filled;
        let count = count?;
        if count == 0 {
            return Ok(());
        }
        inbox.extend_from_slice(&scratch[..count]);
        if whole_request(&inbox).is_some() {
            inbox.clear();
            socket.write_all(ANSWER).await.0?;
        }
    }
}
