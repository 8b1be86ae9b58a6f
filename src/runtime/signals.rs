//! SIGTERM and Ctrl-C: once to end cleanly, twice to end now.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::publisher::Publisher;

pub(super) fn watch(publisher: Publisher) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if asked {
                    std::process::exit(128 + signal);
                }
                asked = true;
                tracing::info!("stopping; once more to stop at once");
                publisher.stop_all();
            }
        })?;
    Ok(())
}
