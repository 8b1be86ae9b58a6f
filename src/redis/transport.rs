//! Bytes to and from a Redis, whatever is between.

use std::io;

use super::socket::RedisSocket;
use super::tls::Secured;
use super::url::RedisAddress;
use super::{RedisFault, Settings};

pub(super) enum Transport {
    Plain(RedisSocket),
    Tls(Box<Secured>),
}

impl Transport {
    /// Connects; whoever calls bounds the time.
    pub(super) async fn connect(settings: &Settings) -> Result<Transport, RedisFault> {
        let place = &settings.url.place;
        let socket = RedisSocket::connect(place)
            .await
            .map_err(|fault| RedisFault::unreachable(&fault))?;
        match place {
            RedisAddress::Tcp {
                host, tls: true, ..
            } => {
                let secured = Secured::greet(socket, host, &settings.authorities).await?;
                Ok(Transport::Tls(Box::new(secured)))
            }
            RedisAddress::Tcp { .. } | RedisAddress::Unix(_) => Ok(Transport::Plain(socket)),
        }
    }

    /// How many bytes were read into `buffer`; waits for the first one. 0 at the end.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                socket
                    .when_readable(|| socket.receive_now(&mut *buffer))
                    .await
            }
            Transport::Tls(secured) => secured.receive(buffer).await,
        }
    }

    pub(super) async fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => {
                while !bytes.is_empty() {
                    let count = socket.when_writable(|| socket.send_now(bytes)).await?;
                    bytes = &bytes[count..];
                }
                Ok(())
            }
            Transport::Tls(secured) => secured.send_all(bytes).await,
        }
    }

    /// Wakes whoever waits here, for good.
    pub(super) fn shut_down(&self) {
        match self {
            Transport::Plain(socket) => socket.shut_down(),
            Transport::Tls(secured) => secured.shut_down(),
        }
    }
}
