//! What the peers written in Rust share: arguments and listeners.

use std::error::Error;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpSocket;

pub type Outcome = Result<(), Box<dyn Error>>;

/// The value after `--name`.
pub fn argument(name: &str) -> Result<String, String> {
    let mut arguments = std::env::args();
    arguments
        .find(|argument| argument == name)
        .and_then(|_| arguments.next())
        .ok_or_else(|| format!("{name} is missing"))
}

/// As pinfold has it: with tokio's own backlog some of hundreds of clients that come at once wait for a second.
const BACKLOG: u32 = 4096;

/// Serves without Nagle's delay, which nobody wants for small answers.
pub async fn serve(address: &str, router: Router) -> Outcome {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.parse()?)?;
    let listener = socket.listen(BACKLOG)?;
    let listener = listener.tap_io(|socket| {
        // A connection that is gone already.
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

/// Runs on this thread alone: one core, and the fastest of tokio's runtimes there.
pub fn run(server: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(server)
}
