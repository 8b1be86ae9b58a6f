//! A whole request in, a whole response out: who may ask what, and the sentence for everything else.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};
use monoio_http::common::request::RequestHead;
use serde_json::{Value, json};

use super::all_nodes;
use super::console;
use super::handover;
use super::http::AdminRequest;
use super::idempotent::{IdempotentPublisher, PublishReply};
use super::log;
use super::node;
use super::operators::OperatorBackend;
use super::policy::AdminPolicy;
use super::publish::{self, UnreadableBody};
use super::response::AdminResponse;
use super::roles::AdminRole;
use super::trace::TraceQuestion;
use super::{connections, revoke, sessions};
use crate::wire::authority::{is_loopback_host, is_origin_of};
use crate::wire::http1::Method as Asks;

const ROUTES: &str = "There are GET /healthz (is the process alive), GET /readyz (does it take new clients), \
GET /console (what operators see and do, as a page), \
GET /metrics (what is counted, for Prometheus), GET /node (how this node fares), GET /cluster (the nodes and what they share), GET /sessions and GET /sessions/{name} (who is there), GET /sessions/ended (who was, and why they are not), GET /connections and DELETE /connections/{name} (who is connected, with a session or without one), \
DELETE /sessions/{name} and DELETE /sessions?principal= (end them), POST /sessions/{name}/drain (have a client come back; of /node and /sessions ?cluster asks all nodes), POST /publish (tell subscribers that something changed), POST /revoke (take somebody's tokens back), GET /sessions/{name}/trace and \
/principals/{hex}/trace (what one asks and is sent, live), GET and PUT /log (how much is logged), POST /log/access (log all that one does), POST /handover (go on in a new process of the program, which nobody notices) and POST /drain (send clients to other nodes, without ending).";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Healthz,
    Readyz,
    Console,
    Metrics,
    Cluster,
    Sessions,
    SessionsEnded,
    Session,
    SessionDrain,
    Connections,
    Connection,
    Node,
    Publish,
    Drain,
    Handover,
    Revoke,
    Trace,
    Log,
    AccessLog,
}

/// Where it is: `{…}` stands for one segment of any text, and what comes first is found first.
const TABLE: &[(&str, Route)] = &[
    ("/healthz", Route::Healthz),
    ("/readyz", Route::Readyz),
    ("/console", Route::Console),
    ("/metrics", Route::Metrics),
    ("/node", Route::Node),
    ("/cluster", Route::Cluster),
    ("/sessions", Route::Sessions),
    ("/sessions/ended", Route::SessionsEnded),
    ("/sessions/{name}", Route::Session),
    ("/sessions/{name}/drain", Route::SessionDrain),
    ("/connections", Route::Connections),
    ("/connections/{name}", Route::Connection),
    ("/publish", Route::Publish),
    ("/drain", Route::Drain),
    ("/handover", Route::Handover),
    ("/revoke", Route::Revoke),
    ("/sessions/{name}/trace", Route::Trace),
    ("/principals/{hex}/trace", Route::Trace),
    ("/log", Route::Log),
    ("/log/access", Route::AccessLog),
];

const READ: Option<AdminRole> = Some(AdminRole::Read);
const PUBLISH: Option<AdminRole> = Some(AdminRole::Publish);
const OPERATE: Option<AdminRole> = Some(AdminRole::Operate);

impl Route {
    fn of(path: &str) -> Option<Route> {
        let found = TABLE.iter().find(|(pattern, _)| is_at(pattern, path));
        found.map(|(_, route)| *route)
    }

    /// What may be asked here, and the role that each needs. None: whoever reaches the listener may. Probes have no token, and
    /// health and readiness tell nothing; nor does the console's page, which asks for the token itself.
    const fn methods(self) -> &'static [(&'static str, Option<AdminRole>)] {
        match self {
            Route::Healthz | Route::Readyz | Route::Console => &[("GET", None), ("HEAD", None)],
            Route::Metrics
            | Route::Node
            | Route::Cluster
            | Route::SessionsEnded
            | Route::Connections => &[("GET", READ), ("HEAD", READ)],
            Route::Connection => &[("DELETE", OPERATE)],
            Route::Sessions | Route::Session => {
                &[("GET", READ), ("HEAD", READ), ("DELETE", OPERATE)]
            }
            Route::Publish => &[("POST", PUBLISH)],
            Route::Trace => &[("GET", READ)],
            Route::Log => &[("GET", READ), ("PUT", OPERATE)],
            Route::Drain
            | Route::Handover
            | Route::Revoke
            | Route::AccessLog
            | Route::SessionDrain => &[("POST", OPERATE)],
        }
    }
}

fn is_at(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(any), Some(segment)) if any.starts_with('{') && !segment.is_empty() => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Answers one request.
pub(super) async fn answer(
    request: &AdminRequest,
    publisher: &IdempotentPublisher,
    policy: &AdminPolicy,
) -> AdminResponse {
    let (route, _) = match admit(&request.head, policy) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let query = request.head.uri.query().unwrap_or_default();
    let is_delete = request.head.method == Method::DELETE;
    let operators = publisher.backend();
    let segment = request.head.uri.path().split('/').nth(2);
    let segment = segment.unwrap_or_default();
    let name = || sessions::name_of(segment);
    if let Some(query) = all_nodes::without_cluster(query)
        && let Some(answer) = answer_of_all(route, &request.head, &query, operators).await
    {
        return answer;
    }
    match route {
        Route::Sessions if is_delete => sessions::end_all_of(query, operators).await,
        Route::Sessions => sessions::list(query, operators).await,
        Route::SessionsEnded => sessions::last_ended(query, operators).await,
        Route::Session if is_delete => sessions::end(name(), operators).await,
        Route::Session => sessions::show(name(), operators).await,
        Route::SessionDrain => sessions::drain(name(), operators).await,
        Route::Connections => connections::list(query, operators).await,
        Route::Connection => connections::end(connections::name_of(segment), operators).await,
        Route::Healthz => AdminResponse::text(200, "ok\n"),
        Route::Readyz => availability(publisher),
        Route::Console => console::page(),
        Route::Metrics => metrics(publisher),
        Route::Cluster => cluster(publisher),
        Route::Node => node::show(operators),
        Route::Publish => publish(request, publisher, policy).await,
        Route::Drain => drain(publisher),
        Route::Handover => handover::hand_over(operators).await,
        Route::Revoke => revoke(&request.body, publisher).await,
        Route::Log if request.head.method == Method::GET => log::get(publisher),
        Route::Log => log::put(&request.body, publisher),
        Route::AccessLog => log::access(&request.body, publisher).await,
        Route::Trace => AdminResponse::error(404, "A trace is answered with a stream."),
    }
}

/// With `?cluster`: what all nodes say, or the one that a name says. None: the others are not asked this.
async fn answer_of_all(
    route: Route,
    head: &RequestHead,
    query: &str,
    operators: &dyn OperatorBackend,
) -> Option<AdminResponse> {
    let is_delete = head.method == Method::DELETE;
    let name = || sessions::name_of(head.uri.path().split('/').nth(2).unwrap_or_default());
    Some(match route {
        Route::Node => all_nodes::nodes(operators).await,
        Route::Sessions if is_delete => all_nodes::end_all_of(query, operators).await,
        Route::Sessions => all_nodes::list(query, operators).await,
        Route::SessionsEnded => all_nodes::ended(query, operators).await,
        Route::Session if is_delete => all_nodes::one(Asks::Delete, name(), "", operators).await,
        Route::Session => all_nodes::one(Asks::Get, name(), "", operators).await,
        Route::SessionDrain => all_nodes::one(Asks::Post, name(), "/drain", operators).await,
        _ => return None,
    })
}

/// Whom a request wants to watch, if it does.
pub(super) fn traced(
    head: &RequestHead,
    policy: &AdminPolicy,
) -> Option<Result<TraceQuestion, AdminResponse>> {
    match admit(head, policy) {
        Ok((Route::Trace, role)) => Some(TraceQuestion::of(head, role)),
        _ => None,
    }
}

/// Whether this publishes, and may.
pub(super) fn is_publishing(head: &RequestHead, policy: &AdminPolicy) -> bool {
    admit(head, policy).is_ok_and(|(route, _)| route == Route::Publish)
}

/// Whether it is answered by the node's hand-over.
pub(super) fn asks_for_handover(head: &RequestHead) -> bool {
    Route::of(head.uri.path()) == Some(Route::Handover)
}

/// Why a request whose body is lines gets no further than its head.
pub(super) fn refuse_lines(head: &RequestHead, policy: &AdminPolicy) -> Option<AdminResponse> {
    match admit(head, policy) {
        Ok((Route::Publish, _)) => None,
        Ok(_) => Some(AdminResponse::error(
            404,
            format!("Nothing here takes lines. {ROUTES}"),
        )),
        Err(refusal) => Some(refusal),
    }
}

/// Where a request goes, by its head, and what whoever sent it may do.
///
/// # Errors
/// What whoever may not ask that is told.
fn admit(head: &RequestHead, policy: &AdminPolicy) -> Result<(Route, AdminRole), AdminResponse> {
    if let Some(refusal) = turn_away(head, policy) {
        return Err(refusal);
    }
    let nothing = || AdminResponse::error(404, format!("Nothing is here. {ROUTES}"));
    let route = Route::of(head.uri.path()).ok_or_else(nothing)?;
    let mut methods = route.methods().iter();
    match methods.find(|(method, _)| head.method == *method) {
        None => Err(not_allowed(route)),
        Some((_, None)) => Ok((route, AdminRole::Read)),
        Some((_, Some(needed))) => {
            let role = policy.tokens.admit(&head.headers, *needed)?;
            Ok((route, role))
        }
    }
}

/// A browser's page from elsewhere, on this machine too, or one that reached a loopback address under another name. A page
/// that this listener served is at home.
fn turn_away(head: &RequestHead, policy: &AdminPolicy) -> Option<AdminResponse> {
    let headers = &head.headers;
    if comes_from_elsewhere(headers) && !follows_link(head) {
        return Some(AdminResponse::error(
            403,
            "Web pages of other origins may not use the admin listener.",
        ));
    }
    let host = headers.get(HOST).map_or(Ok(""), |host| host.to_str());
    if policy.loopback && !host.is_ok_and(|host| host.is_empty() || is_loopback_host(host)) {
        return Some(AdminResponse::error(
            403,
            "The admin listener is on a loopback address: Host must be localhost, 127.0.0.1 or [::1].",
        ));
    }
    None
}

/// A browser says so by itself: `Origin` where something could be changed, `Sec-Fetch-Site` also where something is only read.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    has_foreign_origin(headers)
        || matches!(
            text(headers, "sec-fetch-site"),
            Some("cross-site" | "same-site")
        )
}

fn has_foreign_origin(headers: &HeaderMap) -> bool {
    let own = text(headers, HOST.as_str()).unwrap_or_default();
    let is_own = |origin: &HeaderValue| origin.to_str().is_ok_and(|it| is_origin_of(it, own));
    !headers.get_all(ORIGIN).iter().all(is_own)
}

/// A person follows a link to the console, and the page is all that is to be seen: it is in no frame of whoever has the link.
/// To other places nobody follows links: a frame of `/sessions/{name}/trace` would hold one of few places.
fn follows_link(head: &RequestHead) -> bool {
    let headers = &head.headers;
    let is_console = Route::of(head.uri.path()) == Some(Route::Console);
    is_console
        && matches!(head.method, Method::GET | Method::HEAD)
        && !has_foreign_origin(headers)
        && text(headers, "sec-fetch-mode") == Some("navigate")
        && text(headers, "sec-fetch-dest") == Some("document")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|it| it.to_str().ok())
}

fn availability(publisher: &IdempotentPublisher) -> AdminResponse {
    let availability = publisher.backend().availability();
    let status = if availability.takes_clients() {
        200
    } else {
        503
    };
    AdminResponse::text(status, &format!("{}\n", availability.sentence()))
}

fn metrics(publisher: &IdempotentPublisher) -> AdminResponse {
    AdminResponse {
        content_type: crate::metrics::CONTENT_TYPE,
        ..AdminResponse::text(200, &publisher.backend().metrics())
    }
}

fn cluster(publisher: &IdempotentPublisher) -> AdminResponse {
    match publisher.backend().cluster() {
        Some(report) => AdminResponse::json(200, &json!(report)),
        None => AdminResponse::error(404, "Nothing is known of a cluster here."),
    }
}

/// The log tells how far it is, and the node goes on until it is told to end.
fn drain(publisher: &IdempotentPublisher) -> AdminResponse {
    publisher.backend().drain();
    AdminResponse::json(202, &json!({"draining": true}))
}

async fn revoke(body: &[u8], publisher: &IdempotentPublisher) -> AdminResponse {
    let whose = match revoke::parse(body) {
        Ok(whose) => whose,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    match publisher.backend().revoke(whose).await {
        Some(revoked) => AdminResponse::json(200, &revoke::render(&whose, revoked)),
        None => AdminResponse::error(
            409,
            "Nobody is asked who they are here (--auth): there are no tokens to take back.",
        ),
    }
}

fn not_allowed(route: Route) -> AdminResponse {
    let methods: Vec<&str> = route.methods().iter().map(|(name, _)| *name).collect();
    let allow = methods.join(", ");
    AdminResponse::error(405, format!("Use {allow} here. {ROUTES}")).with("Allow", allow)
}

/// 200 if at least one item was accepted (or none was sent), 400 if all were refused or the body is unreadable.
async fn publish(
    request: &AdminRequest,
    publisher: &IdempotentPublisher,
    policy: &AdminPolicy,
) -> AdminResponse {
    let read = publish::parse(&request.body, policy.uri_bytes_max).and_then(|items| {
        Ok((
            publish::asks_for_subscribers(request.head.uri.query(), items.len())?,
            items,
        ))
    });
    let (is_counted, items) = match read {
        Ok(read) => read,
        Err(UnreadableBody(status, sentence)) => return AdminResponse::error(status, sentence),
    };
    let counts = match is_counted {
        true => publish::count_subscribers(&items, publisher.backend()).await,
        false => Vec::new(),
    };
    let is_busy = publisher.backend().is_saturated();
    let replies = publisher.publish(items, is_busy).await;
    let all_refused = !replies.is_empty() && replies.iter().all(PublishReply::is_refusal);
    let counts = counts.into_iter().chain(std::iter::repeat(None));
    let list: Vec<Value> = replies
        .iter()
        .zip(counts)
        .map(|(reply, subscribers)| publish::render_with(reply, subscribers))
        .collect();
    AdminResponse::json(if all_refused { 400 } else { 200 }, &json!(list))
}

#[cfg(test)]
mod tests;
