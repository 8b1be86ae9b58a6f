//! HTTP+SSE, the transport of 2024-11-05, as far as HTTP knows of it: two paths beside the endpoint's, and a session that
//! the query names. Off unless it is asked for; then nothing here is looked at.

use super::{
    ConnectionKey, EndpointMethod, Http, HttpSseRoute, MessagesAt, Refused, RequestFields,
    UpperLayer, Wire,
};
use crate::wire::HeadView;
use crate::wire::http_sse::SESSION;
use crate::wire::http1::{Head, Method};

const ROOT_STREAM: &str = "/sse";
const ROOT_MESSAGES: &str = "/messages";

/// `{endpoint}/sse` and `{endpoint}/messages`. The same without the endpoint are there too, for clients that were set up for
/// a server that had nothing else.
#[derive(Clone, Debug)]
pub struct HttpSsePaths {
    stream: Box<str>,
    messages: Box<str>,
    /// Clients know the endpoint by another path: something on the way rewrites it.
    is_rewritten: bool,
}

impl HttpSsePaths {
    /// `public` is the endpoint's path as clients know it, if anybody has said.
    #[must_use]
    pub fn new(endpoint: &str, public: Option<&str>) -> HttpSsePaths {
        let bare = |path: &str| path.trim_end_matches('/').to_owned();
        let below = |last: &str| format!("{}{last}", bare(endpoint)).into();
        HttpSsePaths {
            stream: below(ROOT_STREAM),
            messages: below(ROOT_MESSAGES),
            is_rewritten: public.is_some_and(|public| bare(public) != bare(endpoint)),
        }
    }

    fn route(&self, path: &str) -> Option<HttpSseRoute> {
        let stream = |reference| {
            let reference = match self.is_rewritten {
                true => MessagesAt::Beside,
                false => reference,
            };
            HttpSseRoute::Stream { reference }
        };
        match path {
            _ if path == &*self.stream => Some(stream(MessagesAt::Endpoint)),
            _ if path == &*self.messages => Some(HttpSseRoute::Messages),
            ROOT_STREAM => Some(stream(MessagesAt::Root)),
            ROOT_MESSAGES => Some(HttpSseRoute::Messages),
            _ => None,
        }
    }

    /// Where the messages of this session go to: a reference that clients resolve against the stream's URL. By its path, since
    /// some put that behind the server's name, and do not resolve at all.
    pub(in crate::shard) fn messages_of(&self, reference: MessagesAt, session: &str) -> String {
        let path = match reference {
            MessagesAt::Endpoint => &*self.messages,
            MessagesAt::Root => ROOT_MESSAGES,
            MessagesAt::Beside => ROOT_MESSAGES.trim_start_matches('/'),
        };
        format!("{path}?{SESSION}={session}")
    }
}

impl<U: UpperLayer> Http<U> {
    pub(super) fn fields_of<'a>(&self, head: &Head, bytes: &'a [u8]) -> RequestFields<'a> {
        let mut fields = RequestFields::of(head, bytes);
        if let Some(paths) = &self.gate.http_sse {
            let (path, query) = head.path_and_query(bytes);
            // The endpoint may have been given one of these paths.
            if !self.gate.path_matches(path)
                && let Some(route) = paths.route(path)
            {
                fields.name_by_query(route, query);
            }
        }
        fields
    }

    /// What the engine is asked for. None: it was answered here.
    pub(super) fn serve_http_sse(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        route: HttpSseRoute,
    ) -> Option<EndpointMethod> {
        match (route, request.head().method) {
            (HttpSseRoute::Stream { .. }, Method::Get) => return Some(EndpointMethod::Get),
            (HttpSseRoute::Messages, Method::Post) => return Some(EndpointMethod::Post),
            (_, Method::Options) => self.serve_options(key, request),
            (HttpSseRoute::Stream { .. }, _) => {
                let sentence = "GET opens a session with its event stream here, as 2024-11-05 has it (HTTP+SSE).";
                self.refuse(key, None, &Refused::only("GET, OPTIONS", sentence));
            }
            (HttpSseRoute::Messages, _) => {
                let sentence = "POST takes a message here, of the session that the event stream named, as 2024-11-05 has it \
                                (HTTP+SSE).";
                self.refuse(key, None, &Refused::only("POST, OPTIONS", sentence));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(paths: &HttpSsePaths, path: &str) -> Option<String> {
        match paths.route(path)? {
            HttpSseRoute::Stream { reference } => Some(paths.messages_of(reference, "x")),
            HttpSseRoute::Messages => None,
        }
    }

    #[test]
    fn a_stream_whose_messages_go_to_the_wrong_place() {
        let known = |public| HttpSsePaths::new("/mcp", public);
        for public in [None, Some("/mcp")] {
            let told = |path| reference(&known(public), path);
            assert_eq!(
                told("/mcp/sse").as_deref(),
                Some("/mcp/messages?sessionId=x")
            );
            assert_eq!(told("/sse").as_deref(), Some("/messages?sessionId=x"));
        }
        for path in ["/mcp/sse", "/sse"] {
            let told = reference(&known(Some("/base/mcp")), path);
            assert_eq!(told.as_deref(), Some("messages?sessionId=x"), "{path}");
        }
        let bare = HttpSsePaths::new("/", Some(""));
        assert_eq!(
            reference(&bare, "/sse").as_deref(),
            Some("/messages?sessionId=x")
        );
        assert_eq!(bare.route("/messages"), Some(HttpSseRoute::Messages));
    }

    #[test]
    fn a_path_that_is_nearly_one_of_them() {
        let paths = HttpSsePaths::new("/mcp", None);
        for path in [
            "/mcp/sse/",
            "/mcp",
            "/mcp/",
            "/SSE",
            "/mcp/message",
            "/sse/messages",
        ] {
            assert_eq!(paths.route(path), None, "{path}");
        }
    }
}
