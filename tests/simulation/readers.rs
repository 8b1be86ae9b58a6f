//! Modern clients without cookies: each listens at one node, and whenever it is told of something it reads that at once, at
//! every node that takes clients. After the last it was told, all it has read is what is there in the end.

use std::collections::BTreeMap;

use pinfold::internals::cluster::bus::Loaded;

use crate::member::{Member, News};
use crate::world::{URIS, topic};

#[derive(Default)]
pub(crate) struct Readers {
    readers: Vec<Reader>,
}

struct Reader {
    /// The process that it listens at.
    at: String,
    /// What it read last, by the name of the node and the URI.
    read: BTreeMap<(String, String), Option<String>>,
}

impl Reader {
    fn read(&mut self, members: &[Member], uri: &str) {
        for member in members {
            let key = (member.name.clone(), uri.to_owned());
            // Nobody is sent to a node that is not ready.
            match member.bus.loaded() {
                Loaded::NotYet => drop(self.read.remove(&key)),
                _ => drop(self.read.insert(key, member.text(uri))),
            }
        }
    }

    fn read_all(&mut self, members: &[Member]) {
        (3..3 + URIS).for_each(|number| self.read(members, &topic(number).0));
    }
}

impl Readers {
    /// One begins to listen at a node, if that takes it.
    pub(crate) fn open(&mut self, members: &[Member], number: usize) {
        if members[number].bus.loaded() == Loaded::NotYet {
            return;
        }
        let mut reader = Reader {
            at: members[number].process.clone(),
            read: BTreeMap::new(),
        };
        reader.read_all(members);
        self.readers.push(reader);
    }

    /// All of them read what they were told of.
    pub(crate) fn listen(&mut self, members: &[Member]) {
        for member in members {
            for news in member.news.take() {
                let listening = self.readers.iter_mut().filter(|it| it.at == member.process);
                listening.for_each(|reader| match &news {
                    News::Changed(uri) => reader.read(members, uri),
                    News::Anything => reader.read_all(members),
                });
            }
        }
    }

    /// A process was killed: what nobody else had is lost, and who has read it there will not hear of that.
    pub(crate) fn forget(&mut self, name: &str, members: &[Member]) {
        let others = || members.iter().filter(|member| member.name != name);
        for reader in &mut self.readers {
            reader.read.retain(|(at, uri), read| {
                at != name || others().any(|other| other.text(uri) == *read)
            });
        }
    }

    pub(crate) fn check(&self, members: &[Member]) {
        let lives = |reader: &&Reader| members.iter().any(|member| member.process == reader.at);
        for reader in self.readers.iter().filter(lives) {
            for ((name, uri), read) in &reader.read {
                let there = members[0].text(uri);
                assert_eq!(
                    *read, there,
                    "who listens at {} read {uri} at {name} after the last it was told, and it is something else now",
                    reader.at
                );
            }
        }
    }
}
