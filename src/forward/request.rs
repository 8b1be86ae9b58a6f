//! The request as it goes on to its owner: the head as it came, with this node's proof behind it, and the end of its
//! body, so that what the client sent after it stays here.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits::{HEADER_FIELDS_MAX, Limits};
use crate::wire::chunked::ChunkedDecoder;
use crate::wire::forwarded::{FORWARDED, FORWARDED_CLIENT, PeerSecret, STICKY_COOKIE};
use crate::wire::http_sse;
use crate::wire::http1::{self, Framing, HeadLimits, Method};
use crate::wire::response::LAST_CHUNK;
use crate::wire::session_id::{NodeName, SessionId};
use crate::wire::{HeadView, Malformed};

/// A request that is ready to leave.
pub(super) struct Outgoing {
    pub(super) session: SessionId,
    /// Head and as much of the body as has come.
    pub(super) bytes: Vec<u8>,
    /// What of the client's bytes was used for it.
    pub(super) used: usize,
    pub(super) rest: BodyRest,
    pub(super) method: Method,
    /// The sticky cookie that the client sent.
    pub(super) cookie: Option<Box<str>>,
}

/// What is missing of a body. It can be written down.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum BodyRest {
    Nothing,
    Length(u64),
    Chunked(ChunkedDecoder),
}

impl Outgoing {
    /// `None` for what no shard would have sent here: a head that cannot be read, or no session of another node.
    pub(super) fn read(
        input: &[u8],
        (limits, endpoint): (&Limits, &str),
        from: NodeName,
        secret: &PeerSecret,
        client: Option<IpAddr>,
    ) -> Option<Outgoing> {
        let head = http1::parse_head(input, 0, &HeadLimits::from(limits)).ok()??;
        let view = head.view(input);
        let id = named_session(&view, endpoint)?;
        let session = SessionId::parse(id)?;
        let head_len = head.len as usize;
        let mut rest = match head.framing {
            Framing::None | Framing::Length(0) => BodyRest::Nothing,
            Framing::Length(length) => BodyRest::Length(length),
            Framing::Chunked => BodyRest::Chunked(ChunkedDecoder::default()),
        };
        let body = rest.take(&input[head_len..], &mut Vec::new()).ok()?;
        let used = head_len + body;
        let proof = secret.sign(from, id);
        let mut lines = format!("{FORWARDED}: {proof}\r\n");
        if let Some(client) = client {
            let proof = secret.sign_client(client, from, id);
            let line = format!("{FORWARDED_CLIENT}: {proof}\r\n");
            // What has no room for it is the session's client's: an owner of the version before takes one line more than
            // its limits say, and not two.
            let fits = view.field_count() + 2 <= HEADER_FIELDS_MAX
                && head_len + line.len() <= limits.head_bytes_max;
            lines.push_str(if fits { &line } else { "" });
        }
        let mut bytes = Vec::with_capacity(used + lines.len());
        // The empty line that ends the head comes last.
        bytes.extend_from_slice(&input[..head_len - 2]);
        bytes.extend_from_slice(lines.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&input[head_len..used]);
        Some(Outgoing {
            session,
            bytes,
            used,
            rest,
            method: head.method,
            cookie: sticky_cookie(&view).map(Into::into),
        })
    }
}

impl BodyRest {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, BodyRest::Nothing)
    }

    /// Whether this is the middle of a body, as far as that shows: for whoever has it from somewhere else.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            BodyRest::Nothing => false,
            BodyRest::Length(_) => true,
            BodyRest::Chunked(decoder) => decoder.is_sound(),
        }
    }

    /// What ends it here, if it can end here.
    pub(super) fn last_bytes(&self) -> Option<&'static [u8]> {
        match self {
            BodyRest::Chunked(decoder) => decoder.is_between_chunks().then_some(LAST_CHUNK),
            BodyRest::Nothing | BodyRest::Length(_) => None,
        }
    }

    /// How many bytes of `input` belong to the body. `scratch` is written over.
    ///
    /// # Errors
    /// They are no body.
    pub(super) fn take(&mut self, input: &[u8], scratch: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            BodyRest::Nothing => Ok(0),
            BodyRest::Length(missing) => {
                let count = input
                    .len()
                    .min(usize::try_from(*missing).unwrap_or(usize::MAX));
                *missing -= count as u64;
                if *missing == 0 {
                    *self = BodyRest::Nothing;
                }
                Ok(count)
            }
            BodyRest::Chunked(decoder) => {
                scratch.clear();
                let decoded = decoder.decode(input, scratch, usize::MAX)?;
                if decoded.finished {
                    *self = BodyRest::Nothing;
                }
                Ok(decoded.used)
            }
        }
    }
}

/// As the shard read it that sent the request here: at any path but the endpoint's own it is HTTP+SSE.
fn named_session<'a>(request: &HeadView<'a>, endpoint: &str) -> Option<&'a str> {
    let bare = |path: &'a str| path.strip_suffix('/').unwrap_or(path);
    let is_endpoint = request.path() == endpoint || bare(request.path()) == endpoint;
    match is_endpoint {
        true => request.field("mcp-session-id"),
        false => http_sse::sessions_in(request.query()?).next(),
    }
}

fn sticky_cookie<'a>(request: &HeadView<'a>) -> Option<&'a str> {
    request
        .fields_named("cookie")
        .flat_map(|field| field.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(STICKY_COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "node-a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ";

    fn read(text: &str) -> Option<Outgoing> {
        let from = NodeName::new("node-b").expect("a name");
        let secret = PeerSecret::new(b"secret");
        let client = "203.0.113.7".parse().ok();
        Outgoing::read(
            text.as_bytes(),
            (&Limits::default(), "/mcp"),
            from,
            &secret,
            client,
        )
    }

    #[test]
    fn the_head_goes_on_with_a_proof_behind_it() {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {ID}\r\nContent-Length: 4\r\n\r\n"
        );
        let outgoing = read(&format!("{head}bodyGET /next")).expect("a request");
        let text = String::from_utf8(outgoing.bytes).expect("text");
        let (secret, from) = (
            PeerSecret::new(b"secret"),
            NodeName::new("node-b").expect("a name"),
        );
        let client = secret.sign_client([203, 0, 113, 7].into(), from, ID);
        let field = format!(
            "\r\npinfold-forwarded: {}\r\npinfold-client: {client}\r\n\r\nbody",
            secret.sign(from, ID)
        );
        assert!(text.ends_with(&field), "{text}");
        assert!(text.starts_with(&head[..head.len() - 2]));
        assert_eq!(outgoing.used, head.len() + 4, "the next request stays");
        assert!(outgoing.rest.is_nothing());
    }

    /// Owners of the version before take the one line that they know of beyond their limits.
    #[test]
    fn a_word_on_the_client_that_makes_a_head_too_large() {
        let with = |fields: &str| {
            let head =
                format!("GET /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {ID}\r\n{fields}\r\n");
            let outgoing = read(&head).expect("a request");
            let text = String::from_utf8(outgoing.bytes).expect("text");
            (
                text.contains("pinfold-forwarded"),
                text.contains("pinfold-client"),
            )
        };
        let many = |count| "X: y\r\n".repeat(count);
        assert_eq!(with(&many(HEADER_FIELDS_MAX - 4)), (true, true));
        assert_eq!(with(&many(HEADER_FIELDS_MAX - 3)), (true, false));
        let long = format!("X: {}\r\n", "y".repeat(16 * 1024 - 150));
        assert_eq!(with(&long), (true, false));
    }

    #[test]
    fn a_body_that_is_still_coming_is_waited_for_to_its_end() {
        let length = format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {ID}\r\nContent-Length: 6\r\n\r\nbo"
        );
        let mut rest = read(&length).expect("a request").rest;
        assert_eq!(rest.take(b"dy", &mut Vec::new()), Ok(2));
        assert!(!rest.is_nothing());
        assert_eq!(rest.take(b"!!GET", &mut Vec::new()), Ok(2));
        assert!(rest.is_nothing());

        let chunked = format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {ID}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo"
        );
        let mut rest = read(&chunked).expect("a request").rest;
        assert_eq!(rest.take(b"\r\n0\r\n\r\nGET", &mut Vec::new()), Ok(7));
        assert!(rest.is_nothing());
        let mut broken = read(&chunked).expect("a request").rest;
        assert!(broken.take(b"no chunk", &mut Vec::new()).is_err());
    }

    #[test]
    fn a_session_that_the_query_names_and_one_that_the_header_does() {
        let other = ID.replace("node-a", "node-c");
        let session = |target: &str| {
            let head =
                format!("POST {target} HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {other}\r\n\r\n");
            read(&head).map(|it| it.session.text())
        };
        let by_query = |path: &str| session(&format!("{path}?sessionId={ID}"));
        for path in ["/messages", "/mcp/messages"] {
            assert_eq!(by_query(path).as_deref(), Some(ID), "{path}");
            assert_eq!(session(path), None, "{path}");
        }
        for path in ["/mcp", "/mcp/"] {
            assert_eq!(by_query(path), Some(other.clone()), "{path}");
        }
    }

    #[test]
    fn the_sticky_cookie_is_found_among_others() {
        let head = |cookie| {
            format!("GET /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: {ID}\r\n{cookie}\r\n\r\n")
        };
        let found = |cookie| read(&head(cookie)).expect("a request").cookie;
        assert_eq!(
            found("Cookie: a=b; _mcp_backend=1f; c=d").as_deref(),
            Some("1f")
        );
        assert_eq!(
            found("Cookie: x_mcp_backend=1f; _mcp_backend_=2").as_deref(),
            None
        );
    }
}
