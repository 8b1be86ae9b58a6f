//! The two directions of an admin connection.

use std::time::Duration;

use monoio::io::{AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf};
use monoio::net::TcpStream;
use monoio::time::timeout;
use monoio_codec::FramedRead;

pub(super) type Reader = FramedRead<OwnedReadHalf<TcpStream>, ()>;
pub(super) type ConnectionWriter = OwnedWriteHalf<TcpStream>;

/// For a peer to take a response, or a part of one: some hundred kilobytes at most.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// False: the peer did not take it in [`WRITE_TIMEOUT`], or is gone.
pub(super) async fn send(writer: &mut ConnectionWriter, bytes: Vec<u8>) -> bool {
    matches!(
        timeout(WRITE_TIMEOUT, writer.write_all(bytes)).await,
        Ok((Ok(_), _))
    )
}
