//! What many have in common that travel together: topics, and what clients say of themselves. Each is there once, in a list
//! beside them, and they name it by its place there.

use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::client_info::ClientInfo;
use super::super::fanout::travel::{PackedTopics, TopicsArriving, TopicsLeaving};

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard) struct PackedParts {
    topics: PackedTopics,
    clients: Vec<PackedClient>,
}

/// What a client says of itself, as far as it is kept, in JSON.
#[derive(Clone, Serialize, Deserialize)]
struct PackedClient {
    capabilities: String,
    info: Option<String>,
}

impl PackedParts {
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.clients.is_empty()
    }
}

/// Of those that leave.
#[derive(Default)]
pub(in crate::shard) struct PartsLeaving {
    pub(super) topics: TopicsLeaving,
    clients: Vec<PackedClient>,
    /// The places of `clients`, by the words under which they are known here.
    places: HashMap<Rc<str>, u32>,
}

impl PartsLeaving {
    pub(super) fn place_of(&mut self, client_info: &ClientInfo) -> u32 {
        if let Some(&place) = self.places.get(client_info.words()) {
            return place;
        }
        let (capabilities, info) = client_info.texts();
        let place = self.clients.len() as u32;
        self.clients.push(PackedClient { capabilities, info });
        self.places.insert(client_info.words().clone(), place);
        place
    }

    pub(in crate::shard) fn packed(self) -> PackedParts {
        PackedParts {
            topics: self.topics.packed(),
            clients: self.clients,
        }
    }
}

/// Of those that arrive. With the last of them it is [let go of](Engine::let_go_of_parts).
pub(in crate::shard) struct PartsArriving {
    pub(super) topics: TopicsArriving,
    clients: Vec<PackedClient>,
    /// What was made of each, once somebody has come who said so.
    known: Vec<Option<Rc<ClientInfo>>>,
}

impl PartsArriving {
    pub(in crate::shard) fn of(packed: PackedParts) -> PartsArriving {
        let PackedParts { topics, clients } = packed;
        PartsArriving {
            topics: TopicsArriving::of(topics),
            known: vec![None; clients.len()],
            clients,
        }
    }
}

impl Engine {
    /// What a client said of itself before it came here. None: nobody can have said that.
    pub(super) fn client_again(
        &mut self,
        place: u32,
        parts: &mut PartsArriving,
    ) -> Option<Rc<ClientInfo>> {
        let known = parts.known.get_mut(place as usize)?;
        if known.is_none() {
            let PackedClient { capabilities, info } = parts.clients.get(place as usize)?;
            *known = self.read_again(capabilities, info.as_deref());
        }
        known.clone()
    }

    /// Gives them back as they came.
    pub(in crate::shard) fn let_go_of_parts(&mut self, parts: PartsArriving) -> PackedParts {
        let PartsArriving {
            topics,
            clients,
            known,
        } = parts;
        for client_info in known.into_iter().flatten() {
            self.profiles.release(client_info);
        }
        PackedParts {
            topics: topics.packed(),
            clients,
        }
    }
}
