//! Documents that anybody may read: answered at the head, without the engine, a session or a question who asks.
//!
//! Each is made once, and is then a table's row: path, media type, bytes. From every web page they may be read (SEP-2127,
//! "CORS Requirements": MUST), and kept for an hour. One that could name the server only by the `Host` of its request is
//! there on a loopback address alone, for requests by a loopback name, and no stranger's page may read it: it is for whoever
//! builds the server, and would tell the others what runs on their visitor's machine. How somebody is let in
//! (RFC 9728) changes with the configuration, and is made for each request.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::gate::RequestPolicy;
use super::{ConnectionKey, Http, Refused, RequestFields, UpperLayer, Wire};
use crate::mcp::RpcError;
use crate::shard::card::{CARD_TYPE, CATALOG_PATH, CATALOG_TYPE, CardSettings, ServerCard};
use crate::shard::messages::error_message;
use crate::wire::HeadView;
use crate::wire::authority::is_loopback_host;
use crate::wire::hex::emit_hex;
use crate::wire::http1::Method;
use crate::wire::public_url::PublicUrl;

const METHODS: &str = "GET, HEAD, OPTIONS";

/// SEP-2127, "Caching".
const FOR_AN_HOUR: &str = "public, max-age=3600";

/// SEP-2127, "CORS Requirements".
const FIELDS_ALLOWED: &str = "Content-Type, If-None-Match";

/// One of them.
pub(in crate::shard) struct PublicDocument {
    path: Box<str>,
    media_type: &'static str,
    body: Box<str>,
    caching: &'static str,
    /// What a page may send with its request.
    fields_allowed: &'static str,
    /// With its quotes.
    etag: Box<str>,
}

/// All of a server.
#[derive(Default)]
pub(in crate::shard) struct PublicDocuments {
    /// Anybody's.
    public: Vec<Rc<PublicDocument>>,
    /// There is a card as soon as somebody says by which URL the server is known.
    card: Option<LocalCard>,
}

struct LocalCard {
    card: ServerCard,
    /// Every request's path is compared with it.
    path: Box<str>,
}

impl PublicDocument {
    /// That anybody may keep for an hour.
    pub(in crate::shard) fn new(
        path: impl Into<Box<str>>,
        media_type: &'static str,
        body: impl Into<Box<str>>,
    ) -> Self {
        let body = body.into();
        let digest = Sha256::digest(body.as_bytes());
        let mut etag = vec![b'"'];
        for word in digest.as_chunks::<8>().0.iter().take(2) {
            emit_hex(&mut etag, u64::from_be_bytes(*word));
        }
        etag.push(b'"');
        PublicDocument {
            path: path.into(),
            media_type,
            body,
            caching: FOR_AN_HOUR,
            fields_allowed: FIELDS_ALLOWED,
            etag: String::from_utf8(etag).expect("hex digits").into(),
        }
    }

    /// How somebody is let in: RFC 9728, 3. Clients that are pages send fields of their own (`MCP-Protocol-Version`).
    #[cfg(feature = "auth")]
    pub(super) fn of_resource(path: &str, json: &str) -> Self {
        PublicDocument {
            caching: "public, max-age=300",
            fields_allowed: "*",
            ..PublicDocument::new(path, "application/json", json)
        }
    }

    fn kept_by_nobody(mut self) -> Self {
        self.caching = "no-store";
        self
    }

    /// Of every answer.
    fn cors(&self) -> [(&'static str, &'static str); 4] {
        [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", "GET"),
            ("Access-Control-Allow-Headers", self.fields_allowed),
            ("Access-Control-Expose-Headers", "ETag"),
        ]
    }

    /// Whether a client that asks has it already: RFC 9110, 13.1.2.
    fn is_known(&self, request: &HeadView<'_>) -> bool {
        let tags = request.fields_named("if-none-match");
        tags.flat_map(|it| it.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == &*self.etag
        })
    }
}

impl PublicDocuments {
    /// Of a server that has a card.
    pub(in crate::shard) fn of(card: ServerCard, settings: &CardSettings, endpoint: &str) -> Self {
        match &settings.public_url {
            Some(url) => PublicDocuments {
                public: of_card(&card, url, endpoint).map(Rc::new).into(),
                card: None,
            },
            None => PublicDocuments {
                public: Vec::new(),
                card: Some(LocalCard {
                    card,
                    path: ServerCard::path_at(endpoint).into(),
                }),
            },
        }
    }

    /// What is at a path, and whether this request may have it. None: it is no document's.
    pub(super) fn find(
        &self,
        path: &str,
        fields: &RequestFields<'_>,
        gate: &RequestPolicy,
    ) -> Option<Result<Rc<PublicDocument>, Refused>> {
        if let Some(document) = self.public.iter().find(|it| &*it.path == path) {
            return Some(gate.admit_host(fields).map(|()| document.clone()));
        }
        let LocalCard {
            card,
            path: card_path,
        } = self.card.as_ref()?;
        if path != &**card_path && path != CATALOG_PATH {
            return None;
        }
        let found = gate.admit_host(fields).and_then(|()| {
            gate.admit_origin(fields)?;
            local(card, path, fields, gate).ok_or_else(no_public_url)
        });
        Some(found.map(Rc::new))
    }
}

/// For whoever asks this machine from itself. The scheme is the listener's own: a proxy would bring another name.
fn local(
    card: &ServerCard,
    path: &str,
    fields: &RequestFields<'_>,
    gate: &RequestPolicy,
) -> Option<PublicDocument> {
    let host = fields.host.filter(|host| is_loopback_host(host))?;
    let url = gate
        .loopback
        .then(|| format!("http://{host}{}", gate.path))?;
    let documents = of_card(card, &url.parse().ok()?, &gate.path);
    let found = documents.into_iter().find(|it| &*it.path == path);
    found.map(PublicDocument::kept_by_nobody)
}

fn of_card(card: &ServerCard, url: &PublicUrl, endpoint: &str) -> [PublicDocument; 2] {
    let texts = card.texts(url);
    [
        PublicDocument::new(ServerCard::path_at(endpoint), CARD_TYPE, texts.card),
        PublicDocument::new(CATALOG_PATH, CATALOG_TYPE, texts.catalog),
    ]
}

fn no_public_url() -> Refused {
    let sentence =
        "This server has a card once it knows the URL that clients reach it by (--public-url).";
    Refused::new(404, sentence)
}

impl<U: UpperLayer> Http<U> {
    /// What this asks for, if anybody may read it, and whether this request may. How to get in is told by any `Host`, to any
    /// page.
    pub(super) fn find_document(
        &self,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Option<Result<Rc<PublicDocument>, Refused>> {
        match self.resource_document(head) {
            Some(document) => Some(Ok(Rc::new(document))),
            None => self.documents.find(head.path(), fields, &self.gate),
        }
    }

    pub(super) fn answer_document(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
        document: &PublicDocument,
    ) {
        let cors = document.cors();
        let with = |own: &[(&'static str, &'static str)]| [own, &cors].concat();
        match request.head().method {
            Method::Get | Method::Head => {
                let mut fields: Vec<(&str, &str)> = with(&[("Cache-Control", document.caching)]);
                fields.push(("ETag", &document.etag));
                if document.is_known(request) {
                    return self.answer(key, 304, &fields, b"");
                }
                fields.push(("Content-Type", document.media_type));
                self.answer(key, 200, &fields, document.body.as_bytes());
            }
            Method::Options => {
                let fields = with(&[("Allow", METHODS), ("Access-Control-Max-Age", "86400")]);
                self.answer(key, 204, &fields, b"");
            }
            Method::Post | Method::Delete | Method::Other => {
                let sentence = "This is a document to be read: GET or HEAD.";
                let error = error_message(None, &RpcError::invalid_request(sentence));
                self.answer(key, 405, &with(&[("Allow", METHODS)]), &error);
            }
        }
    }
}
