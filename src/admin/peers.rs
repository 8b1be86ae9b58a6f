//! What a node answers another one, for an operator who asked that one: as much as operators see and do of sessions, and how
//! the node fares. Whoever asks there was asked for a role. Lists are in a form of their own (`node_rows`).

use super::operators::OperatorBackend;
use super::response::AdminResponse;
use super::{node, sessions};
use crate::wire::http1::Method;

/// What another node answered: JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl From<AdminResponse> for NodeAnswer {
    fn from(response: AdminResponse) -> Self {
        NodeAnswer {
            status: response.status,
            body: response.body.into_bytes(),
        }
    }
}

/// Answers a question of another node.
pub(crate) async fn answer_peer(
    method: Method,
    target: &str,
    backend: &dyn OperatorBackend,
) -> NodeAnswer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut segments = path.split('/').skip(1);
    let path = [segments.next(), segments.next(), segments.next()];
    let response = match (method, path) {
        (Method::Get, [Some("node"), None, _]) => node::show(backend),
        (Method::Get, [Some("sessions"), None, _]) => sessions::list_for_all(query, backend).await,
        (Method::Delete, [Some("sessions"), None, _]) => sessions::end_all_of(query, backend).await,
        (Method::Get, [Some("sessions"), Some("ended"), None]) => {
            sessions::ended_for_all(query, backend).await
        }
        (Method::Get, [Some("sessions"), Some(name), None]) => {
            sessions::show(sessions::name_of(name), backend).await
        }
        (Method::Delete, [Some("sessions"), Some(name), None]) => {
            sessions::end(sessions::name_of(name), backend).await
        }
        (Method::Post, [Some("sessions"), Some(name), Some("drain")]) => {
            sessions::drain(sessions::name_of(name), backend).await
        }
        _ => AdminResponse::error(404, "This is nothing that one node asks another one."),
    };
    response.into()
}
