//! A request that is complete: answered here if it is none of the engine's, else handed over.

use super::connection::Hold;
use super::partial::HeadVerdict;
use super::{ConnectionKey, EndpointMethod, Http, Refused, RequestFields, UpperLayer, Wire};
use crate::app::call::Availability;
use crate::shard::refused::METHODS;
use crate::wire::http1;
use crate::wire::{HeadView, Malformed, is_field_name};

/// What a page may send, told to whoever does not say what it wants to.
const FIELDS_ALLOWED: &str = "Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID, traceparent, tracestate, baggage";

impl<U: UpperLayer> Http<U> {
    /// What the engine is asked for. None: it was answered here.
    pub(super) fn serve(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        fields: &RequestFields<'_>,
        verdict: &HeadVerdict,
    ) -> Option<EndpointMethod> {
        match verdict {
            HeadVerdict::Admitted(_) => {}
            HeadVerdict::Refused(refused) => {
                self.refuse(key, None, refused);
                return None;
            }
            HeadVerdict::Ambiguous => {
                self.refuse_malformed(key, Malformed::DuplicateField);
                return None;
            }
            HeadVerdict::Probe => {
                let availability = self.probed(request).unwrap_or(Availability::Ready);
                self.answer_probe(key, availability);
                return None;
            }
            HeadVerdict::Question(question) => {
                self.ask_operators(key, question);
                return None;
            }
            HeadVerdict::Document(document) => {
                self.answer_document(key, request, document);
                return None;
            }
        }
        let connection = self.connections.get_mut(key)?;
        if let Some(origin) = fields.origin {
            connection.origin = Some(origin.into());
        }
        if let Some(route) = fields.http_sse {
            return self.serve_http_sse(key, request, route);
        }
        match request.head().method {
            http1::Method::Post => {
                // A POST came whole: its answer may turn out to be long.
                if fields.via_proxy {
                    connection.hold = Hold::IfLong;
                }
                return Some(EndpointMethod::Post);
            }
            http1::Method::Get => return Some(EndpointMethod::Get),
            http1::Method::Delete => return Some(EndpointMethod::Delete),
            http1::Method::Options => self.serve_options(key, request),
            http1::Method::Head | http1::Method::Other => {
                let sentence = "This endpoint takes POST (messages), GET (a session's event stream) and DELETE (its end).";
                self.refuse(key, None, &Refused::method_not_allowed(sentence));
            }
        }
        None
    }

    /// Whether this asks for the node's health, and what that is. Proxies ask by address, so any `Host` will do.
    pub(super) fn probed(&self, request: &HeadView<'_>) -> Option<Availability> {
        let reads = matches!(
            request.head().method,
            http1::Method::Get | http1::Method::Head
        );
        match request.path() {
            "/healthz" if reads => Some(Availability::Ready),
            "/readyz" if reads && self.is_leaving => Some(Availability::Leaving),
            "/readyz" if reads && self.impaired => Some(Availability::Impaired),
            "/readyz" if reads => Some(self.availability),
            _ => None,
        }
    }

    fn answer_probe(&mut self, key: ConnectionKey, availability: Availability) {
        let status = if availability.takes_clients() {
            200
        } else {
            503
        };
        let body = match availability {
            Availability::Ready => "ok\n".to_owned(),
            Availability::Leaving => "shutting down\n".to_owned(),
            other => format!("{}\n", other.sentence()),
        };
        let fields = [
            ("Content-Type", "text/plain"),
            ("Cache-Control", "no-store"),
        ];
        self.answer(key, status, &fields, body.as_bytes());
    }

    /// CORS preflight. Origins that are not allowed were refused before, and those that are may send any field: which
    /// ones there are the page knows (`Mcp-Param-*`, `traceparent`), and a wildcard would not name `Authorization`.
    pub(super) fn serve_options(&mut self, key: ConnectionKey, request: &HeadView<'_>) {
        let asked: Vec<&str> = request
            .fields_named("access-control-request-headers")
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .filter(|name| is_field_name(name))
            .collect();
        let allowed = match asked.is_empty() {
            true => FIELDS_ALLOWED.to_owned(),
            false => asked.join(", "),
        };
        let fields = [
            ("Allow", METHODS),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", &allowed),
            ("Access-Control-Max-Age", "86400"),
            ("Vary", "Access-Control-Request-Headers"),
        ];
        self.answer(key, 204, &fields, b"");
    }
}
