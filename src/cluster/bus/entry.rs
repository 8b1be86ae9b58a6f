//! One entry of the stream: what nodes and other programs say to all nodes, and how.
//!
//! | field | says |
//! |---|---|
//! | `topic` | `tools`, `prompts` or `resources`: that list changed |
//! | `uri` | that resource changed; with one of the following fields its contents come along |
//! | `text`, `blob` | its contents, as text or bytes; `mime`, `name`, `description` may go with them |
//! | `gone` | (any value) the resource was taken away |
//! | `all` | (any value) a message for every session: `level` and `data`, and a `logger` if need be |
//! | `principal` | (32 hexadecimal digits) only this principal's subscribers of a `topic` or a `uri` are to be notified |
//! | `session` | a `topic`, a `uri` or a message for the session with this id |
//! | `data` | JSON; what is none is taken as a string |
//!
//! Nodes write three more: `by`, who added it, and its number there; `stored`: the contents are in the board's hash
//! already (`1`; `changed`: notify even if they are what they were); `sync`: `board` for "read the hash again", `all` for "anything may have changed".
//!
//! An entry with a field that nobody knows, or with fields that do not go together, is [`MalformedEntry`] as a whole.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::app::call::{NO_LIST, NoMessage, Notice, RESOURCE, Topic};
use crate::app::contents::{Body, Contents};
use crate::principal::PrincipalId;
use crate::wire::session_id::SessionId;
use crate::wire::uri::{mended, normal};

/// An entry, and who added it if a node did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub author: Option<Author>,
    pub news: Payload,
}

/// A process of a node, and the number of the entry among those that it added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub process: Box<str>,
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Changed(Topic),
    /// For this principal's subscribers alone.
    Directed(PrincipalId, Topic),
    /// The board's hash says what is at this URI now; `changed`: it counts as changed whatever it is.
    Stored {
        uri: Box<str>,
        changed: bool,
    },
    /// What another program put at this URI, or took away.
    ExternalPut(Box<str>, Option<Contents>),
    Session(Box<str>, Notice),
    All(Notice),
    /// The board's hash has entries that no other entry told of.
    Reload,
    Everything,
}

impl Payload {
    /// Of the resource whose contents it brings.
    pub(super) fn uri(&self) -> Option<&str> {
        match self {
            Payload::Stored { uri, .. } | Payload::ExternalPut(uri, _) => Some(uri),
            _ => None,
        }
    }

    /// Of its resource by another name.
    ///
    /// # Errors
    /// What `own` says.
    pub(super) fn renamed<E>(
        self,
        mut own: impl FnMut(Box<str>) -> Result<Box<str>, E>,
    ) -> Result<Payload, E> {
        Ok(match self {
            Payload::Changed(Topic::Resource(uri)) => Payload::Changed(Topic::Resource(own(uri)?)),
            Payload::Directed(principal, Topic::Resource(uri)) => {
                Payload::Directed(principal, Topic::Resource(own(uri)?))
            }
            Payload::Stored { uri, changed } => Payload::Stored {
                uri: own(uri)?,
                changed,
            },
            Payload::ExternalPut(uri, contents) => Payload::ExternalPut(own(uri)?, contents),
            Payload::Session(session, Notice::Changed(Topic::Resource(uri))) => {
                Payload::Session(session, Notice::Changed(Topic::Resource(own(uri)?)))
            }
            news => news,
        })
    }
}

/// What is wrong with an entry, for whoever added it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEntry(pub &'static str);

pub type EntryField<'a> = (&'static str, Cow<'a, [u8]>);

#[derive(Default)]
struct EntryFields<'a> {
    by: Option<&'a str>,
    topic: Option<&'a str>,
    uri: Option<&'a str>,
    text: Option<&'a str>,
    blob: Option<&'a [u8]>,
    gone: bool,
    stored: Option<bool>,
    mime: Option<&'a str>,
    name: Option<&'a str>,
    description: Option<&'a str>,
    principal: Option<&'a str>,
    session: Option<&'a str>,
    all: bool,
    level: Option<&'a str>,
    logger: Option<&'a str>,
    data: Option<&'a str>,
    sync: Option<&'a str>,
}

/// # Errors
/// [`MalformedEntry`], with a sentence.
pub fn parse<B: AsRef<[u8]>>(
    fields: &[(B, B)],
    uri_bytes_max: usize,
) -> Result<Entry, MalformedEntry> {
    let mut read = EntryFields::default();
    for (index, (name, value)) in fields.iter().enumerate() {
        let earlier = &fields[..index];
        if earlier
            .iter()
            .any(|(other, _)| other.as_ref() == name.as_ref())
        {
            return Err(MalformedEntry("a field is there twice"));
        }
        read.take(name.as_ref(), value.as_ref())?;
    }
    let author = read.by.map(author).transpose()?;
    let news = read.news(uri_bytes_max)?;
    Ok(Entry { author, news })
}

impl<'a> EntryFields<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), MalformedEntry> {
        let text = || {
            let text = std::str::from_utf8(value);
            text.map_err(|_| MalformedEntry("a field is not UTF-8; only blob may be any bytes"))
        };
        match name {
            b"by" => self.by = Some(text()?),
            b"topic" => self.topic = Some(text()?),
            b"uri" => self.uri = Some(text()?),
            b"text" => self.text = Some(text()?),
            b"blob" => self.blob = Some(value),
            b"gone" => self.gone = true,
            b"stored" => self.stored = Some(value == b"changed"),
            b"mime" => self.mime = Some(text()?),
            b"name" => self.name = Some(text()?),
            b"description" => self.description = Some(text()?),
            b"principal" => self.principal = Some(text()?),
            b"session" => self.session = Some(text()?),
            b"all" => self.all = true,
            b"level" => self.level = Some(text()?),
            b"logger" => self.logger = Some(text()?),
            b"data" => self.data = Some(text()?),
            b"sync" => self.sync = Some(text()?),
            _ => return Err(MalformedEntry("it has a field that means nothing here")),
        }
        Ok(())
    }

    fn news(&self, uri_bytes_max: usize) -> Result<Payload, MalformedEntry> {
        let topic = self.changed(uri_bytes_max)?;
        let message = self.message()?;
        let contents = self.contents()?;
        let targets = [self.session.is_some(), self.all, self.sync.is_some()];
        if targets.into_iter().filter(|&it| it).count() > 1 {
            return Err(MalformedEntry("give one of session, all and sync"));
        }
        if self
            .session
            .is_some_and(|session| SessionId::parse(session).is_none())
        {
            return Err(MalformedEntry("session is no session id of pinfold's"));
        }
        if let Some(principal) = self.principal {
            let alone = contents.is_none() && message.is_none() && self.stored.is_none();
            let alone = alone && !targets.contains(&true);
            return directed(principal, topic.filter(|_| alone));
        }
        if (contents.is_some() || self.stored.is_some()) && targets.contains(&true) {
            return Err(MalformedEntry(
                "contents are for everyone: leave session, all and sync out",
            ));
        }
        match (self.session, self.all, self.sync, topic, message) {
            (Some(session), _, _, Some(topic), None) => {
                Ok(Payload::Session(session.into(), Notice::Changed(topic)))
            }
            (Some(session), _, _, None, Some(message)) => {
                Ok(Payload::Session(session.into(), message))
            }
            (None, true, _, None, Some(message)) => Ok(Payload::All(message)),
            (None, false, Some("board"), None, None) => Ok(Payload::Reload),
            (None, false, Some("all"), None, None) => Ok(Payload::Everything),
            (None, false, None, Some(topic), None) => self.for_everyone(topic, contents),
            (Some(_), ..) => Err(MalformedEntry(
                "a session is told of one topic, one uri or one message (level and data)",
            )),
            (None, true, ..) => Err(MalformedEntry(
                "all needs a message (level and data) and nothing else",
            )),
            (None, false, Some(_), ..) => Err(MalformedEntry("sync is board or all, and alone")),
            (None, false, None, ..) => {
                Err(MalformedEntry("give one of topic, uri, session and all"))
            }
        }
    }

    fn changed(&self, uri_bytes_max: usize) -> Result<Option<Topic>, MalformedEntry> {
        match (self.topic, self.uri) {
            (None, None) => Ok(None),
            (Some(name), None) => {
                let list = Topic::list_named(name).ok_or(MalformedEntry(NO_LIST))?;
                Ok(Some(list))
            }
            (None, Some(uri)) if uri.len() > uri_bytes_max => {
                Err(MalformedEntry("uri is too long"))
            }
            (None, Some(uri)) if !self.may_name(uri) => Err(MalformedEntry(
                "uri is no URI (RFC 3986), such as board://lunch: encode what may not be there",
            )),
            (None, Some(uri)) => Ok(Some(Topic::Resource(uri.into()))),
            (Some(_), Some(_)) => Err(MalformedEntry("give one of topic and uri")),
        }
    }

    /// Nodes of an older version speak of what is none.
    fn may_name(&self, uri: &str) -> bool {
        match self.by.is_some() || self.stored.is_some() {
            true => mended(uri).is_ok(),
            false => normal(uri).is_ok(),
        }
    }

    fn message(&self) -> Result<Option<Notice>, MalformedEntry> {
        let (level, data) = match (self.level, self.data) {
            (None, None) if self.logger.is_none() => return Ok(None),
            (Some(level), Some(data)) => (level, data),
            _ => return Err(MalformedEntry("a message needs level and data")),
        };
        let json = serde_json::from_str::<&RawValue>(data);
        let message = match &json {
            Ok(json) => Notice::message(level, self.logger, json),
            Err(_) => Notice::message(level, self.logger, &data),
        };
        message.map(Some).map_err(|why| match why {
            NoMessage::UnknownLevel => MalformedEntry(
                "level is debug, info, notice, warning, error, critical, alert or emergency",
            ),
            NoMessage::TooLong(_) => MalformedEntry("the message is too long"),
        })
    }

    fn contents(&self) -> Result<Option<Option<Contents>>, MalformedEntry> {
        let body = match (self.text, self.blob, self.gone, self.stored.is_some()) {
            (Some(text), None, false, false) => Body::Text(text.to_owned()),
            (None, Some(bytes), false, false) => Body::Blob(bytes.to_owned()),
            (None, None, gone, stored) if gone && stored => {
                return Err(MalformedEntry("give one of text, blob, gone and stored"));
            }
            (None, None, gone, _) if self.mime.or(self.name).or(self.description).is_none() => {
                return Ok(gone.then_some(None));
            }
            (None, None, ..) => {
                return Err(MalformedEntry(
                    "mime, name and description go with text or blob",
                ));
            }
            _ => return Err(MalformedEntry("give one of text, blob, gone and stored")),
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Some(Some(Contents {
            mime_type: owned(self.mime),
            name: owned(self.name),
            description: owned(self.description),
            body,
        })))
    }

    fn for_everyone(
        &self,
        topic: Topic,
        contents: Option<Option<Contents>>,
    ) -> Result<Payload, MalformedEntry> {
        match (topic, contents, self.stored) {
            (Topic::Resource(uri), Some(contents), _) => Ok(Payload::ExternalPut(uri, contents)),
            (Topic::Resource(uri), None, Some(changed)) => Ok(Payload::Stored { uri, changed }),
            (topic, None, None) => Ok(Payload::Changed(topic)),
            _ => Err(MalformedEntry("contents go with a uri")),
        }
    }
}

/// An entry of which nobody can tell for whom it is must never be taken for one that is for all.
fn directed(principal: &str, topic: Option<Topic>) -> Result<Payload, MalformedEntry> {
    let principal = PrincipalId::parse(principal).ok_or(MalformedEntry(
        "principal is 32 hexadecimal digits: half of a digest of issuer and subject",
    ))?;
    match topic {
        Some(topic) => Ok(Payload::Directed(principal, topic)),
        None => Err(MalformedEntry(
            "a principal is told of one topic or one uri, without contents, and of nothing else",
        )),
    }
}

fn author(by: &str) -> Result<Author, MalformedEntry> {
    let parts = by.rsplit_once('/');
    let parsed = parts.and_then(|(process, number)| {
        Some(Author {
            process: process.into(),
            number: number.parse().ok()?,
        })
    });
    parsed.ok_or(MalformedEntry("by is for nodes; leave it out"))
}

/// The fields of an entry as a node adds it.
#[must_use]
pub fn emit<'a>(author: &Author, news: &'a Payload) -> Vec<EntryField<'a>> {
    let by = format!("{}/{}", author.process, author.number);
    let mut fields: Vec<EntryField<'a>> = vec![("by", by.into_bytes().into())];
    match news {
        Payload::Changed(topic) => fields.push(topic_field(topic)),
        Payload::Directed(principal, topic) => {
            let principal = principal.to_string().into_bytes();
            fields.extend([topic_field(topic), ("principal", principal.into())]);
        }
        Payload::Stored { uri, changed } => {
            let how = if *changed { "changed" } else { "1" };
            fields.extend([("uri", text(uri)), ("stored", text(how))]);
        }
        Payload::ExternalPut(uri, contents) => {
            fields.push(("uri", text(uri)));
            contents_fields(contents.as_ref(), &mut fields);
        }
        Payload::Session(session, notice) => {
            fields.push(("session", text(session)));
            notice_fields(notice, &mut fields);
        }
        Payload::All(notice) => {
            fields.push(("all", text("1")));
            notice_fields(notice, &mut fields);
        }
        Payload::Reload => fields.push(("sync", text("board"))),
        Payload::Everything => fields.push(("sync", text("all"))),
    }
    fields
}

fn text(text: &str) -> Cow<'_, [u8]> {
    text.as_bytes().into()
}

fn topic_field(topic: &Topic) -> EntryField<'_> {
    match topic.list() {
        Ok(_) => ("topic", text(topic.kind().name)),
        Err(uri) => (RESOURCE.name, text(uri)),
    }
}

fn contents_fields<'a>(contents: Option<&'a Contents>, fields: &mut Vec<EntryField<'a>>) {
    let Some(contents) = contents else {
        return fields.push(("gone", text("1")));
    };
    fields.push(match &contents.body {
        Body::Text(body) => ("text", text(body)),
        Body::Blob(bytes) => ("blob", bytes.as_slice().into()),
    });
    let optional = [
        ("mime", &contents.mime_type),
        ("name", &contents.name),
        ("description", &contents.description),
    ];
    let present = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, text(value.as_ref()?))));
    fields.extend(present);
}

/// The params of a message are an object with these members: that is what makes one.
fn notice_fields<'a>(notice: &'a Notice, fields: &mut Vec<EntryField<'a>>) {
    #[derive(serde::Deserialize)]
    struct Params<'a> {
        level: &'a str,
        logger: Option<String>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let params = match notice {
        Notice::Changed(topic) => return fields.push(topic_field(topic)),
        Notice::Message { params, .. } => params,
    };
    let Ok(params) = serde_json::from_str::<Params<'a>>(params) else {
        return;
    };
    fields.push(("level", text(params.level)));
    fields.extend(
        params
            .logger
            .map(|logger| ("logger", logger.into_bytes().into())),
    );
    fields.push(("data", text(params.data.map_or("null", RawValue::get))));
}

#[cfg(test)]
mod tests;
