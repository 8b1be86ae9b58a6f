//! What clients say of themselves, as much as is kept of it. The same words are kept once, however many clients say them.
//!
//! A profile is known by what is kept ([`words`]), so what is dropped makes no other profile. It lives as long as a
//! session has it, or as it has one of [`RECENT`] places for those that were met last: requests of 2026-07-28 say who they are
//! each time. Code that lets go of one says so ([`ClientInfos::release`]), and with the last it is forgotten.

mod words;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use self::words::{Declared, Info};
use crate::limits::{PROFILE_TEXT_BYTES_MAX, PROFILES_BYTES_MAX};
use crate::mcp::RpcError;
use crate::wire::json_scan::JsonScan;

/// `clientInfo` and `capabilities` of one kind of client.
pub(super) struct ClientInfo {
    pub(super) capabilities: Arc<Value>,
    pub(super) info: Option<Arc<Value>>,
    /// Under which it is known.
    words: Rc<str>,
    bytes: usize,
}

/// Places for texts that were read lately, by their hash.
const RECENT: usize = 64;

/// The same in every run. Whoever picks texts that share a place makes them be read again, as 65 texts do anyway.
type PlaceHasher = BuildHasherDefault<DefaultHasher>;

/// Invariants: `known` has each profile that somebody holds, and no other; `bytes` is their sum.
pub(super) struct ClientInfos {
    known: HashMap<Rc<str>, Weak<ClientInfo>>,
    recent: [Option<Box<Read>>; RECENT],
    bytes: usize,
}

/// A profile, and the texts that it was read from.
struct Read {
    capabilities: Box<str>,
    info: Box<str>,
    client_info: Rc<ClientInfo>,
}

impl Default for ClientInfos {
    fn default() -> Self {
        ClientInfos {
            known: HashMap::new(),
            recent: [const { None }; RECENT],
            bytes: 0,
        }
    }
}

impl ClientInfos {
    /// Of what a client says. Without texts of its own, flags only, once there is no room for more texts.
    ///
    /// # Errors
    /// -32602: one of them is not an object, or has a member twice.
    pub(super) fn intern(
        &mut self,
        capabilities: &RawValue,
        info: Option<&RawValue>,
    ) -> Result<Rc<ClientInfo>, RpcError> {
        let texts = [capabilities.get(), info.map_or("", RawValue::get)];
        let place = PlaceHasher::default().hash_one(texts) as usize % RECENT;
        if let Some(read) = &self.recent[place]
            && [&*read.capabilities, &*read.info] == texts
        {
            return Ok(read.client_info.clone());
        }
        let declared: Declared = words::read("capabilities", capabilities)?;
        let info: Option<Info<'_>> = info
            .map(|info| words::read("clientInfo", info))
            .transpose()?;
        let client_info = self.find_or_make(declared, info);
        if texts
            .iter()
            .all(|text| text.len() <= PROFILE_TEXT_BYTES_MAX)
        {
            let read = Box::new(Read {
                capabilities: texts[0].into(),
                info: texts[1].into(),
                client_info: client_info.clone(),
            });
            if let Some(before) = self.recent[place].replace(read) {
                self.release(before.client_info);
            }
        }
        Ok(client_info)
    }

    /// To be called with each that was given and is no longer needed.
    pub(super) fn release(&mut self, client_info: Rc<ClientInfo>) {
        if Rc::strong_count(&client_info) == 1 && self.known.remove(&client_info.words).is_some() {
            self.bytes -= client_info.bytes;
        }
    }

    fn find_or_make(&mut self, declared: Declared, info: Option<Info<'_>>) -> Rc<ClientInfo> {
        let words = words::emit(&declared, info.as_ref());
        if let Some(client_info) = self.known.get(&*words).and_then(Weak::upgrade) {
            return client_info;
        }
        let client_info = ClientInfo::new(&declared, info.as_ref(), words);
        let has_texts = info.is_some() || declared.has_texts();
        if has_texts && self.bytes + client_info.bytes > PROFILES_BYTES_MAX {
            return self.find_or_make(declared.flags(), None);
        }
        let client_info = Rc::new(client_info);
        self.bytes += client_info.bytes;
        self.known
            .insert(client_info.words.clone(), Rc::downgrade(&client_info));
        client_info
    }

    /// See [`Engine::invariants`](super::Engine::invariants).
    #[expect(clippy::disallowed_methods, reason = "a sum in any order")]
    pub(super) fn invariants(&self) {
        let held: usize = self
            .known
            .values()
            .map(|client_info| {
                client_info
                    .upgrade()
                    .expect("what nobody holds is forgotten")
                    .bytes
            })
            .sum();
        assert_eq!(self.bytes, held);
    }
}

impl ClientInfo {
    fn new(declared: &Declared, info: Option<&Info<'_>>, words: String) -> Self {
        let value = |json: Result<Value, _>| Arc::new(json.unwrap_or_default());
        ClientInfo {
            capabilities: value(serde_json::to_value(declared)),
            info: info.map(|info| value(serde_json::to_value(info))),
            bytes: JsonScan::of(words.as_bytes()).tree_bytes() + 2 * words.len() + ENTRY_BYTES,
            words: words.into(),
        }
    }

    /// Under which it is known.
    pub(super) fn words(&self) -> &Rc<str> {
        &self.words
    }

    /// What it was read from, as far as it is kept: `capabilities` and `clientInfo`, in JSON. Read again, they make the
    /// same.
    pub(super) fn texts(&self) -> (String, Option<String>) {
        let ClientInfo {
            capabilities,
            info,
            // Made of the two.
            words: _,
            bytes: _,
        } = self;
        let info = info.as_ref().map(ToString::to_string);
        (capabilities.to_string(), info)
    }
}

/// What is kept of `capabilities`, as an object of its own.
///
/// # Errors
/// -32602: it is not an object, or has a member twice.
pub(super) fn kept_capabilities(raw: &RawValue) -> Result<Box<RawValue>, RpcError> {
    words::read::<Declared>("capabilities", raw).map(|declared| words::raw(&declared))
}

/// What is kept of `clientInfo`, as an object of its own.
///
/// # Errors
/// -32602: it is not an object, or has a member twice.
pub(super) fn kept_info(raw: &RawValue) -> Result<Box<RawValue>, RpcError> {
    words::read::<Info<'_>>("clientInfo", raw).map(|info| words::raw(&info))
}

/// A profile's share of the table and its allocations, about.
const ENTRY_BYTES: usize = 256;

#[cfg(test)]
mod tests;
