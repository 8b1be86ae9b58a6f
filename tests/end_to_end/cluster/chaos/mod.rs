//! Random faults, for as long as one likes: three nodes, the real Redis and the real Traefik; legacy and modern clients
//! that follow resources; publishers at nodes and beside them. `tests/chaos` runs this for a person.
//!
//! Faults come from a seed (when they hit what is up to the machine), and each is undone. After every round, with all undone:
//!
//! 1. **What was accepted is not lost.** All nodes serve the same, and of each resource the newest write that was accepted,
//!    or a newer one. May be lost: what was kept by a node alone that was killed; what a node that left says to be lost;
//!    what Redis lost and its node, too; an entry of another program that Redis lost before a node read it (`ledger`).
//! 2. **Nobody is stale.** What each client has read last is what all nodes serve, and everybody has heard that the list of
//!    tools changed. A client reads when it is told, when it listens anew, and never else (`follower`). Nobody can tell a
//!    client that what it has read at a node is lost with that.
//! 3. **Every 404 has a true reason** (`verdict`).
//!
//! Variables: `PINFOLD_CHAOS_SEED`, `PINFOLD_CHAOS_MINUTES`.

mod faults;
mod follower;
mod ledger;
mod legacy;
mod modern;
mod ordeal;
mod publisher;
mod summary;
mod timeline;
mod verdict;
mod world;

use std::str::FromStr;
use std::time::Duration;

use self::ordeal::Ordeal;

const SEED: &str = "PINFOLD_CHAOS_SEED";
const MINUTES: &str = "PINFOLD_CHAOS_MINUTES";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// Resources that are published.
const URIS: usize = 12;

fn uri(number: usize) -> String {
    format!("board://chaos/{number}")
}

#[test]
fn a_minute_of_random_faults() {
    let seed = from_environment(SEED, 1);
    let minutes: f64 = from_environment(MINUTES, 1.0);
    println!("seed {seed}, {minutes} minutes");
    Ordeal::start(seed).run(Duration::from_secs_f64(60.0 * minutes));
}

fn from_environment<T: FromStr>(name: &str, usual: T) -> T {
    match std::env::var(name) {
        Err(_) => usual,
        Ok(text) => {
            let number = text.parse();
            number.unwrap_or_else(|_| panic!("{name} is a number, not {text:?}"))
        }
    }
}
