//! Opens sessions of the legacy era for scenarios that ask in them.

use std::net::SocketAddr;

use crate::Outcome;
use crate::loader::asker::Askers;
use crate::loader::protocol::{Protocol, shows};

/// `initialize` and `notifications/initialized`.
const STEPS: usize = 2;

/// Each on a connection of its own, which has closed when this returns: of a server with several cores, where chance
/// puts them.
pub(crate) fn open(server: SocketAddr, count: usize) -> Outcome<Vec<String>> {
    (0..count).map(|_| open_one(server)).collect()
}

/// The same, by an access token.
pub(crate) fn open_as(server: SocketAddr, count: usize, token: &str) -> Outcome<Vec<String>> {
    let shown = |request: String| shows(&request, token);
    (0..count).map(|_| open_with(server, shown)).collect()
}

pub(crate) fn open_one(server: SocketAddr) -> Outcome<String> {
    open_with(server, |request| request)
}

fn open_with(server: SocketAddr, shown: impl Fn(String) -> String) -> Outcome<String> {
    let host = server.to_string();
    let mut connection = Askers::connect(server, 1)?;
    let mut session = None;
    for step in 0..STEPS {
        let request = Protocol::Legacy.request(step, 0, session.as_deref(), &host);
        let request = shown(request.ok_or("a step that the protocol does not have")?);
        let (answer, _) = connection.ask(0, request.as_bytes())?;
        answer.expect_success()?;
        session = answer.session.or(session);
    }
    let session = session.ok_or("`initialize` opened no session")?;
    Ok(session.into())
}
