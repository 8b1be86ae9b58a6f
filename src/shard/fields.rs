//! What a request's head says, as far as anybody here wants to know: read once, in one look at each field, whatever wire
//! it came by.
//!
//! A wire hands over each of its fields ([`RequestFields::take`]); all later steps read the value. What only a few requests are
//! asked for (whom a proxy names, what a page wants to send) the wire looks for by itself.

use super::refused::Refused;
use crate::app::call::ReadFields;
use crate::mcp::ProtocolVersion;
use crate::wire::forwarded::FORWARDED;
use crate::wire::http_sse;
use crate::wire::session_id::SessionId;
use crate::wire::trace_context::TraceContext;

/// Of a field that comes several times the first value counts, but for lists.
#[derive(Clone, Default)]
pub(super) struct RequestFields<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
    /// The first of `Content-Encoding` that changes anything.
    pub(super) coding: Option<&'a str>,
    accepts: AcceptField,
    pub(super) session: Option<NamedSession<'a>>,
    /// It came by the transport of 2024-11-05, and not to the MCP endpoint.
    pub(super) http_sse: Option<HttpSseRoute>,
    pub(super) version: VersionField<'a>,
    pub(super) mcp_method: Option<&'a str>,
    pub(super) mcp_name: Option<&'a str>,
    pub(super) last_event_id: Option<&'a str>,
    authorization: Option<&'a str>,
    traceparent: Option<&'a str>,
    /// Another node says that it passed it on. Proven by nothing yet.
    pub(super) is_forwarded: bool,
    /// Proxies say so, or somebody who wants to look like one: what follows from it must be harmless.
    pub(super) via_proxy: bool,
    /// All of them, for the application: nobody here reads more than the above.
    pub(super) all: Option<AllFields<'a>>,
    /// Bits of [`Single`]: which were there, and which of them twice.
    seen: u8,
    twice: u8,
}

/// The fields of a head as their wire has them, read when they are asked for: most requests are not.
#[derive(Clone, Copy)]
pub(super) struct AllFields<'a> {
    pub(super) text: &'a [u8],
    /// Gives each name and value in the text, in their order.
    pub(super) read: ReadFields,
}

impl AllFields<'_> {
    /// The text for whoever keeps it, without this part of it.
    fn without(&self, part: Option<&str>) -> Box<[u8]> {
        match part.and_then(|part| around(self.text, part.as_bytes())) {
            Some((before, behind)) => [before, behind].concat().into(),
            None => self.text.into(),
        }
    }
}

/// What stands before a part of a text, and behind it. None: it is none.
fn around<'t>(text: &'t [u8], part: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    Some((text.get(..start)?, text.get(end..)?))
}

/// What the two paths of HTTP+SSE are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpSseRoute {
    /// GET opens a session with its stream, in which `reference` is where the messages go to.
    Stream { reference: MessagesAt },
    /// POST takes one message of a session.
    Messages,
}

/// Where messages go to, as the stream's first event says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessagesAt {
    /// Below the endpoint, by its path.
    Endpoint,
    /// `/messages`
    Root,
    /// Beside the stream, wherever that is: something on the way has other paths.
    Beside,
}

/// `Mcp-Session-Id`.
#[derive(Clone, Copy)]
pub(super) struct NamedSession<'a> {
    pub(super) text: &'a str,
    /// None: no node ever gave out this text.
    pub(super) id: Option<SessionId>,
}

/// `MCP-Protocol-Version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VersionField<'a> {
    pub(super) text: Option<&'a str>,
    /// None: it is not there, or not spoken here.
    pub(super) known: Option<ProtocolVersion>,
}

#[derive(Clone, Copy, Default)]
struct AcceptField {
    is_there: bool,
    json: bool,
    stream: bool,
}

/// Fields whose doubling would let two parties read one message in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Single {
    Origin,
    ContentType,
    SessionId,
    ProtocolVersion,
    McpMethod,
    McpName,
    LastEventId,
    /// For whoever asks who it is: to all others it says nothing.
    Authorization,
}

const X_FORWARDED: &[u8] = b"x-forwarded-";

impl<'a> RequestFields<'a> {
    /// One field of the head, in the order in which they came. What is no text says nothing to anybody here, but it
    /// is there.
    pub(super) fn take(&mut self, name: &'a [u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let begins = |prefix: &[u8]| {
            let start = name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let text = || std::str::from_utf8(value).ok();
        // Told apart by their lengths first: hardly any name is compared with more than one.
        match name.len() {
            3 if is("via") => self.via_proxy |= text().is_some(),
            4 if is("host") => self.host = self.host.or_else(text),
            6 if is("accept") => self.accepts.take(text()),
            6 if is("origin") => self.origin = self.single(Single::Origin, self.origin, text()),
            8 if is("mcp-name") => {
                self.mcp_name = self.single(Single::McpName, self.mcp_name, text());
            }
            9 if is("forwarded") => self.via_proxy |= text().is_some(),
            // Of two nobody can tell which counts: what is there then is none (Trace Context, section 3.2).
            11 if is("traceparent") => {
                self.traceparent = match self.traceparent {
                    None => text(),
                    Some(_) => Some(""),
                };
            }
            10 if is("mcp-method") => {
                self.mcp_method = self.single(Single::McpMethod, self.mcp_method, text());
            }
            12 if is("content-type") => {
                self.content_type = self.single(Single::ContentType, self.content_type, text());
            }
            13 if is("last-event-id") => {
                self.last_event_id = self.single(Single::LastEventId, self.last_event_id, text());
            }
            13 if is("authorization") => {
                self.authorization = self.single(Single::Authorization, self.authorization, text());
            }
            14 if is("mcp-session-id") => {
                let named = text().map(NamedSession::new);
                self.session = self.single(Single::SessionId, self.session, named);
            }
            16 if is("content-encoding") => {
                self.coding = self.coding.or_else(|| coding_in(text()?));
            }
            17 if is(FORWARDED) => self.is_forwarded |= text().is_some(),
            20 if is("mcp-protocol-version") => {
                let version = self.version.text;
                let version = self.single(Single::ProtocolVersion, version, text());
                self.version = VersionField::new(version);
            }
            _ if begins(X_FORWARDED) => self.via_proxy |= text().is_some(),
            _ => {}
        }
    }

    /// The first value, and a note that there was one.
    fn single<T>(&mut self, which: Single, first: Option<T>, next: Option<T>) -> Option<T> {
        let bit = 1 << which as u8;
        self.twice |= self.seen & bit;
        self.seen |= bit;
        first.or(next)
    }

    /// By this transport it is the query that names the session, and no header says a revision: there is one.
    pub(super) fn name_by_query(&mut self, route: HttpSseRoute, query: Option<&'a str>) {
        self.http_sse = Some(route);
        self.version = VersionField::default();
        self.session = None;
        let bit = 1 << Single::SessionId as u8;
        (self.seen, self.twice) = (self.seen & !bit, self.twice & !bit);
        for text in query.into_iter().flat_map(http_sse::sessions_in) {
            let named = Some(NamedSession::new(text));
            self.session = self.single(Single::SessionId, self.session, named);
        }
    }

    /// Two parties could read this request in two ways.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.twice & !(1 << Single::Authorization as u8) != 0
    }

    /// What is shown of who asks.
    ///
    /// # Errors
    /// It came twice.
    pub(super) fn authorization(&self) -> Result<Option<&'a str>, ()> {
        match self.twice & (1 << Single::Authorization as u8) {
            0 => Ok(self.authorization),
            _ => Err(()),
        }
    }

    /// Which trace it belongs to, by its header.
    pub(super) fn trace_context(&self) -> Option<TraceContext> {
        self.traceparent.and_then(TraceContext::parse)
    }

    /// All of them, for a call to keep. A token that the application does not see is not kept with it: it is most of the bytes.
    pub(super) fn kept(&self, with_credentials: bool) -> Option<(Box<[u8]>, ReadFields)> {
        let all = self.all.as_ref()?;
        let unseen = self.authorization.filter(|_| !with_credentials);
        Some((all.without(unseen), all.read))
    }

    /// The one session that it names.
    pub(super) fn only_session(&self) -> Option<&SessionId> {
        let twice = self.twice & (1 << Single::SessionId as u8) != 0;
        self.session.as_ref()?.id.as_ref().filter(|_| !twice)
    }

    /// The session's id as it came.
    pub(super) fn session_text(&self) -> Option<&'a str> {
        self.session.map(|session| session.text)
    }

    /// Its header says 2026-07-28.
    pub(super) fn is_modern(&self) -> bool {
        self.version.known == Some(ProtocolVersion::V2026_07_28)
    }

    pub(super) fn accepts_json(&self) -> bool {
        self.accepts.json || !self.accepts.is_there
    }

    pub(super) fn accepts_stream(&self) -> bool {
        self.accepts.stream || !self.accepts.is_there
    }
}

impl<'a> NamedSession<'a> {
    fn new(text: &'a str) -> Self {
        let id = SessionId::parse(text);
        NamedSession { text, id }
    }
}

impl<'a> VersionField<'a> {
    fn new(text: Option<&'a str>) -> Self {
        let known = text
            .and_then(ProtocolVersion::parse)
            .filter(|it| it.is_streamable());
        VersionField { text, known }
    }

    /// What `MCP-Protocol-Version` says, if it is there.
    ///
    /// # Errors
    /// MUST, 2025-06-18 transports, "Protocol Version Header": 400 for one that is not spoken here.
    pub(super) fn spoken(self) -> Result<Option<ProtocolVersion>, Refused> {
        match self.text {
            Some(stated) if self.known.is_none() => {
                let known = ProtocolVersion::STREAMABLE.join(", ");
                let sentence =
                    format!("MCP-Protocol-Version {stated} is not spoken here; {known} are.");
                Err(Refused::new(400, sentence))
            }
            _ => Ok(self.known),
        }
    }
}

impl AcceptField {
    /// No field accepts everything (RFC 9110, 12.5.1), several are one list.
    fn take(&mut self, value: Option<&str>) {
        let Some(value) = value else { return };
        self.is_there = true;
        self.json |= lists(value, "application/json");
        self.stream |= lists(value, "text/event-stream");
    }
}

/// The first coding in a list that is one.
fn coding_in(list: &str) -> Option<&str> {
    let mut codings = list.split(',').map(str::trim);
    codings.find(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"))
}

/// Whether `Accept` takes `kind/subtype`.
fn lists(accept: &str, media_type: &str) -> bool {
    let mut ranges = accept.as_bytes().split(|&byte| byte == b',');
    ranges.any(|range| {
        let range = range.trim_ascii();
        // As most clients write it: nothing further to understand.
        range.eq_ignore_ascii_case(media_type.as_bytes()) || range_takes(range, media_type)
    })
}

fn range_takes(range: &[u8], media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or(media_type);
    let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or(b"");
    let refused =
        parts.any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
    let matches = name == b"*/*"
        || name.eq_ignore_ascii_case(media_type.as_bytes())
        || name
            .strip_suffix(b"/*")
            .is_some_and(|range_kind| range_kind.eq_ignore_ascii_case(kind.as_bytes()));
    matches && !refused
}

/// `application/json`, whatever its parameters.
pub(super) fn is_json(content_type: &str) -> bool {
    let is_json = |text: &str| text.eq_ignore_ascii_case("application/json");
    // As most clients write it.
    is_json(content_type) || is_json(content_type.split(';').next().unwrap_or("").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(fields: &[(&'a str, &'a str)]) -> RequestFields<'a> {
        let mut read = RequestFields::default();
        for (name, value) in fields {
            read.take(name.as_bytes(), value.as_bytes());
        }
        read
    }

    #[test]
    fn a_token_that_is_kept_with_a_call_whose_application_does_not_see_it() {
        let text = "GET /mcp HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\nX-Y: z\r\n\r\n";
        let mut fields = read(&[("Host", "a"), ("Authorization", &text[43..56])]);
        assert_eq!(fields.authorization(), Ok(Some("Bearer secret")));
        fields.all = Some(AllFields {
            text: text.as_bytes(),
            read: |_, _| {},
        });
        let kept = |with_credentials| fields.kept(with_credentials).expect("all are there").0;
        assert_eq!(*kept(true), *text.as_bytes());
        assert_eq!(*kept(false), *text.replace("Bearer secret", "").as_bytes());
        let elsewhere = String::from("secret");
        assert!(around(text.as_bytes(), elsewhere.as_bytes()).is_none());
    }

    #[test]
    fn accept_is_understood_with_ranges_and_qualities() {
        assert!(lists("*/*", "text/event-stream"));
        assert!(lists("application/json, Text/*;q=0.5", "text/event-stream"));
        assert!(!lists("application/json", "text/event-stream"));
        assert!(!lists(
            "text/event-stream;q=0, application/json",
            "text/event-stream"
        ));
        assert!(is_json("application/json; charset=utf-8") && !is_json("text/json"));
    }

    #[test]
    fn accept_in_several_fields_is_one_list_and_none_takes_everything() {
        let none = read(&[]);
        assert!(none.accepts_json() && none.accepts_stream());
        let json = read(&[("Accept", "application/json")]);
        assert!(json.accepts_json() && !json.accepts_stream());
        let both = read(&[
            ("accept", "application/json"),
            ("ACCEPT", "text/event-stream"),
        ]);
        assert!(both.accepts_json() && both.accepts_stream());
    }

    #[test]
    fn a_field_that_two_parties_could_read_in_two_ways() {
        for name in [
            "Origin",
            "Content-Type",
            "Mcp-Session-Id",
            "MCP-Protocol-Version",
            "Mcp-Method",
            "Mcp-Name",
            "Last-Event-ID",
        ] {
            let lower = name.to_ascii_lowercase();
            assert!(!read(&[(name, "a")]).is_ambiguous(), "{name}");
            assert!(read(&[(name, "a"), (&lower, "a")]).is_ambiguous(), "{name}");
        }
        let lists = ["Accept", "Content-Encoding", "X-Forwarded-For", "Via"];
        for name in lists {
            assert!(!read(&[(name, "a"), (name, "b")]).is_ambiguous(), "{name}");
        }
        let fields = read(&[("Mcp-Method", "first"), ("mcp-method", "second")]);
        assert_eq!(fields.mcp_method, Some("first"));
    }

    #[test]
    fn what_proxies_write_and_clients_do_not() {
        for name in ["Via", "Forwarded", "X-Forwarded-For", "x-forwarded-proto"] {
            assert!(read(&[(name, "x")]).via_proxy, "{name}");
        }
        for name in ["Viable", "X-Forwarded", "Pinfold-Forwarded", "Host", "X-"] {
            assert!(!read(&[(name, "x")]).via_proxy, "{name}");
        }
    }

    #[test]
    fn a_trace_that_two_fields_name() {
        let one = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(read(&[("Traceparent", one)]).trace_context().is_some());
        let twice = read(&[("traceparent", one), ("traceparent", one)]);
        assert_eq!(twice.trace_context(), None);
        assert_eq!(read(&[("traceparent", "00-1-2-03")]).trace_context(), None);
    }

    #[test]
    fn codings_are_found_among_the_rest() {
        let fields = read(&[
            ("Content-Encoding", "identity, "),
            ("Content-Encoding", "GZIP, br"),
        ]);
        assert_eq!(fields.coding, Some("GZIP"));
    }

    #[test]
    fn a_version_that_nobody_speaks_is_refused_and_none_is_not() {
        let stated = |text| {
            read(&[("MCP-Protocol-Version", text)])
                .version
                .spoken()
                .ok()
        };
        assert_eq!(
            stated("2025-06-18"),
            Some(Some(ProtocolVersion::V2025_06_18))
        );
        assert_eq!(stated("1999-01-01"), None);
        assert_eq!(read(&[]).version.spoken().ok(), Some(None));
        assert!(read(&[("mcp-protocol-version", "2026-07-28")]).is_modern());
    }
}
