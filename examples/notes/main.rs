//! A directory of notes, as a server of one's own: `cargo run --example notes [address [directory [source]]]`
//!
//! Each file is a resource, and whoever subscribed to it hears of it when it changes, whoever changed it. Tools search
//! (typed arguments, structured answers, progress), discard a note when the user agrees, import one by HTTP from the
//! source, and pin notes for a session. `app.rs` is the application, `directory.rs` knows files, `watch.rs` publishes their
//! changes, and `tests.rs` tests all but the last of these without a network.

mod app;
mod directory;
#[cfg(test)]
mod tests;
mod watch;

use std::error::Error;
use std::path::PathBuf;

use pinfold::Server;

use app::Notes;
use directory::Directory;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let path = arguments
        .next()
        .map_or_else(|| "notes".into(), PathBuf::from);
    let source = arguments
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:8000".to_owned());

    let directory = Directory::open(path)?;
    let of_app = directory.clone();
    // Called on each core: what it captures all cores share, what it makes is of one.
    let server = Server::new(move || Notes::new(of_app.clone(), &source))
        .listen(&address)
        .tokio(1); // reqwest needs it
    // Watches until it is dropped.
    let _watcher = watch::start(&directory, server.publisher())?;
    server.run()?;
    Ok(())
}
