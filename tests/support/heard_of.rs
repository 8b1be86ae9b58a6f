//! What a core was told of: where each topic was published last, for all or for one principal.

use std::collections::HashMap;

use pinfold::PrincipalId;
use pinfold::app::call::Topic;
use pinfold::internals::shard::Publication;

use super::node::{Breakage, News, Node, name_of};

#[derive(Default)]
pub struct HeardOf {
    places: HashMap<(String, Option<PrincipalId>), u64>,
    pub gap: u64,
}

impl HeardOf {
    pub fn note(&mut self, publication: &Publication) {
        let Publication {
            offset,
            published: _,
            topic,
            principal,
        } = publication;
        let key = (name_of(topic).to_owned(), *principal);
        self.places.insert(key, *offset);
    }

    /// Of a topic, as far as it is anything to somebody.
    pub fn newest(&self, topic: &str, whose: Option<PrincipalId>) -> u64 {
        let place = |whose| self.places.get(&(topic.to_owned(), whose)).copied();
        let places = [place(None), place(whose), Some(self.gap)];
        places.into_iter().flatten().max().unwrap_or(0)
    }
}

impl Node {
    /// As a driver hands it to a core; it is noted as what it is.
    pub(super) fn handed_out(&mut self, publication: &Publication) -> Publication {
        let mut publication = publication.clone();
        if publication.principal.is_some() && self.breaks(Breakage::TellsAllWhatIsForOne) {
            publication.principal = None;
        }
        publication
    }

    /// For one principal alone.
    pub fn publish_to(&mut self, principal: PrincipalId, topic: Topic, floor: u64) -> u64 {
        let offset = self.post(floor, |offset| {
            News::Published(Publication {
                offset,
                published: 0,
                topic: topic.clone(),
                principal: Some(principal),
            })
        });
        self.directed.insert(offset, principal);
        offset
    }
}
