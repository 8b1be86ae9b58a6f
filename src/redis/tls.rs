//! TLS by rustls around a socket. rustls moves no bytes by itself: what it wants to send goes out when the socket takes
//! it, and what came is handed to it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::RedisFault;
use super::socket::RedisSocket;

pub(super) struct Secured {
    socket: RedisSocket,
    session: RefCell<ClientConnection>,
}

impl Secured {
    /// Shakes hands with `host`, whom one of `trusted` must vouch for.
    pub(super) async fn greet(
        socket: RedisSocket,
        host: &str,
        trusted: &Authorities,
    ) -> Result<Secured, RedisFault> {
        let session = session(host, trusted).map_err(RedisFault::Tls)?;
        let secured = Secured {
            socket,
            session: RefCell::new(session),
        };
        let refused = |fault: io::Error| RedisFault::Tls(fault.to_string().into());
        while secured.session.borrow().is_handshaking() {
            secured.flush().await.map_err(refused)?;
            if secured.session.borrow().is_handshaking()
                && !secured.take_in().await.map_err(refused)?
            {
                return Err(RedisFault::Tls("it closed the connection".into()));
            }
        }
        Ok(secured)
    }

    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.session.borrow_mut().reader().read(buffer);
            match read {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if !self.take_in().await? {
                return Ok(0);
            }
            // Keys may have to be exchanged again.
            self.flush().await?;
        }
    }

    pub(super) async fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // It takes what its buffer has room for.
            let count = self.session.borrow_mut().writer().write(bytes)?;
            bytes = &bytes[count..];
            self.flush().await?;
        }
        self.flush().await
    }

    pub(super) fn shut_down(&self) {
        self.socket.shut_down();
    }

    /// Waits for bytes and lets the session understand them. False at their end.
    async fn take_in(&self) -> io::Result<bool> {
        let socket = &self.socket;
        let read = || {
            let mut session = self.session.borrow_mut();
            session.read_tls(&mut NonBlockingSocket { socket })
        };
        let count = socket.when_readable(read).await?;
        let understood = self.session.borrow_mut().process_new_packets();
        understood.map_err(io::Error::other)?;
        Ok(count > 0)
    }

    /// Sends what the session has to say.
    async fn flush(&self) -> io::Result<()> {
        let socket = &self.socket;
        while self.session.borrow().wants_write() {
            let write = || {
                let mut session = self.session.borrow_mut();
                session.write_tls(&mut NonBlockingSocket { socket })
            };
            socket.when_writable(write).await?;
        }
        Ok(())
    }
}

/// The socket as rustls takes it: never waiting.
struct NonBlockingSocket<'a> {
    socket: &'a RedisSocket,
}

impl Read for NonBlockingSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive_now(buffer)
    }
}

impl Write for NonBlockingSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_now(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn session(host: &str, trusted: &Authorities) -> Result<ClientConnection, Box<str>> {
    let trusted = trusted.read()?;
    let name = ServerName::try_from(host.to_owned()).map_err(|fault| fault.to_string())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), name);
    session.map_err(|fault| fault.to_string().into())
}

/// Who may vouch for a server of `rediss://`: whom this machine trusts, read once, when it is needed. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Arc<Mutex<Option<Arc<RootCertStore>>>>);

impl Authorities {
    /// The next connection reads anew whom this machine trusts; those that are stay as they are.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// A machine that trusts nobody yet is asked again.
    fn read(&self) -> Result<Arc<RootCertStore>, Box<str>> {
        let mut known = self.lock();
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            return Err(
                "this machine has no certificates of authorities: install ca-certificates".into(),
            );
        }
        Ok(known.insert(Arc::new(store)).clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<RootCertStore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, Stream};

    use super::*;
    use crate::redis::{Command, RedisConnection, Settings};

    /// Of `localhost`, signed by itself, until the year 2126.
    const CERTIFICATE: &[u8] = include_bytes!("testdata/cert.pem");
    const KEY: &[u8] = include_bytes!("testdata/key.pem");

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(CERTIFICATE).unwrap()
    }

    /// Answers everything with a large text, after a greeting. Returns its port.
    fn server(large: usize) -> u16 {
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends with the process.
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut session = ServerConnection::new(config.clone()).unwrap();
                let mut stream = Stream::new(&mut session, &mut socket);
                let mut sink = vec![0; 1 << 20];
                for answer in [
                    "%0\r\n",
                    "+PONG\r\n",
                    &format!("${large}\r\n{}\r\n", "x".repeat(large)),
                ] {
                    if stream.read(&mut sink).is_err()
                        || stream.write_all(answer.as_bytes()).is_err()
                    {
                        break;
                    }
                }
            }
        });
        port
    }

    fn settings(host: &str, port: u16, trusts: bool) -> Settings {
        let mut settings =
            Settings::new(format!("rediss://{host}:{port}").parse().unwrap(), "test");
        let mut store = RootCertStore::empty();
        if trusts {
            store.add(certificate()).unwrap();
        }
        settings.authorities = Authorities(Arc::new(Mutex::new(Some(Arc::new(store)))));
        settings
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut runtime = monoio::RuntimeBuilder::<monoio::FusionDriver>::new()
            .enable_timer()
            .build()
            .unwrap();
        runtime.block_on(work)
    }

    #[test]
    fn commands_and_large_answers_through_tls() {
        const LARGE: usize = 3 << 20;
        run(async {
            let connection =
                RedisConnection::open(&settings("localhost", server(LARGE), true)).await;
            let get = Command::new("GET").arg("k");
            let reply = connection.unwrap().call(get).await.unwrap();
            assert_eq!(reply.text().map(<[u8]>::len), Some(LARGE));
        });
    }

    #[test]
    fn whoever_is_not_trusted_is_not_spoken_to() {
        run(async {
            let port = server(1);
            let refused = async |settings: Settings| match RedisConnection::open(&settings).await {
                Ok(_) => panic!("spoken to"),
                Err(fault) => fault.to_string(),
            };
            let unknown = refused(settings("localhost", port, false)).await;
            assert!(unknown.contains("SSL_CERT_FILE"), "{unknown}");
            let other_name = refused(settings("127.0.0.1", port, true)).await;
            assert!(other_name.contains("name the host"), "{other_name}");
            // Who speaks no TLS at all.
            let plain = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = plain.local_addr().unwrap().port();
            std::thread::spawn(move || {
                let (mut socket, _) = plain.accept().unwrap();
                let _ = socket.write_all(b"-ERR Protocol error: unbalanced quotes in request\r\n");
                let _ = io::copy(&mut socket, &mut io::sink());
            });
            let none = refused(settings("localhost", port, true)).await;
            assert!(none.contains("TLS handshake"), "{none}");
        });
    }
}
