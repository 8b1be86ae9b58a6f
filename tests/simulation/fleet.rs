//! Several nodes and the Redis between them: connections that break with anything under way, a Redis that hangs,
//! forgets and refuses, nodes that are lost and come again.

use std::collections::{BTreeMap, BTreeSet};

use pinfold::app::call::{Notice, Topic};
use pinfold::app::contents::{Change, ContentStore};
use pinfold::internals::cluster::bus::outbox::{ContentSource, OutboxItem};

use crate::fake_redis::FakeRedis;
use crate::ledger::Ledger;
use crate::member::{BusBreakage, Member, Wire, contents, session_of};
use crate::readers::Readers;
use crate::support::Random;
use crate::support::identified::principal;
use crate::wires::nowhere;
use crate::world::{News, URIS, other_name, topic};

pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) redis: FakeRedis,
    random: Random,
    pub(crate) reachable: bool,
    pub(crate) hangs: bool,
    pub(crate) refuses: bool,
    pub(crate) broken: Option<BusBreakage>,
    incarnations: u64,
    /// The number of what was published last.
    number: u64,
    /// Who published the newest change of a topic, if a member did.
    posted_by: BTreeMap<News, usize>,
    /// For which member, or for all.
    messages: BTreeMap<u64, Option<usize>>,
    ledger: Ledger,
    readers: Readers,
    /// Redis forgot nothing, and no node was lost: every message arrives.
    lossless: bool,
    pub(crate) met: BTreeSet<&'static str>,
}

impl Fleet {
    pub(crate) fn new(seed: u64, broken: Option<BusBreakage>) -> Self {
        let mut random = Random::new(seed);
        let reachable = !random.one_in(4);
        let mut fleet = Fleet {
            members: Vec::new(),
            // A newer one says how many there are, and the tail counts along: it notices by itself.
            redis: FakeRedis::new(broken == Some(BusBreakage::ResumesTooLate)),
            reachable,
            hangs: false,
            refuses: false,
            broken,
            incarnations: 0,
            number: 0,
            posted_by: BTreeMap::new(),
            messages: BTreeMap::new(),
            ledger: Ledger::default(),
            readers: Readers::default(),
            lossless: reachable,
            met: BTreeSet::new(),
            random,
        };
        for number in 0..2 + fleet.random.below(2) {
            let member = fleet.member(number);
            fleet.members.push(member);
        }
        // What was said before a node was there is not said again.
        for number in 0..fleet.members.len() {
            (0..4).for_each(|_| fleet.read(number));
        }
        fleet.readers.listen(&fleet.members);
        fleet
    }

    fn member(&mut self, number: usize) -> Member {
        self.incarnations += 1;
        Member::new(
            format!("n{number}"),
            self.random.next(),
            self.incarnations,
            self.redis.now_ms,
            self.broken,
        )
    }

    pub(crate) fn step(&mut self) {
        let number = self.random.below(self.members.len());
        match self.random.below(27) {
            0..=8 => self.members[number].world.get_mut().step(),
            9..=12 => self.write(number),
            13..=17 => self.read(number),
            18 => self.put(number),
            19 => self.message(number),
            20..=21 => {
                let ms = *self.random.pick(&[1, 20, 100, 300, 2_500]);
                self.pass(ms);
            }
            22 => self.foreign(),
            23..=24 => self.say(number),
            25 => self.readers.open(&self.members, number),
            _ => self.disturb(number),
        }
        self.take_posted();
        self.readers.listen(&self.members);
    }

    /// What clients and applications of every node published.
    fn take_posted(&mut self) {
        for number in 0..self.members.len() {
            let posted = self.members[number].world.get_mut().posted.as_mut();
            for (topic_number, whose) in std::mem::take(posted.expect("a member of a fleet posts"))
            {
                let (name, topic) = topic(topic_number);
                if matches!(topic, Topic::Resource(_)) && self.tells_once() {
                    // What a node says of a resource is then what it says again.
                    continue;
                }
                let news = (name, whose);
                self.expect_everywhere(&news);
                self.posted_by.insert(news, number);
                let item = match whose {
                    Some(principal) => OutboxItem::Directed(principal, topic),
                    None => OutboxItem::Changed(topic),
                };
                self.post(number, item);
            }
        }
    }

    fn expect_everywhere(&mut self, news: &News) {
        for member in &mut self.members {
            let world = member.world.get_mut();
            let next = world.node.offset + 1;
            world.expect(news.clone(), next);
        }
    }

    /// What a node was told while it had no Redis is in its memory only.
    fn forget_what_died_with(&mut self, number: usize) {
        for (news, _) in self.posted_by.iter().filter(|(_, by)| **by == number) {
            for member in &mut self.members {
                member.world.get_mut().expect_nothing(news);
            }
        }
    }

    fn post(&mut self, number: usize, item: OutboxItem) {
        let now_ms = self.members[number].now_ms(self.redis.now_ms);
        let (bus, hands) = self.members[number].hands();
        bus.post(now_ms, item, None, &hands);
    }

    /// New contents, as a publisher brings them, or written by a handler.
    fn put(&mut self, number: usize) {
        self.number += 1;
        let (uri, _) = topic(3 + self.random.below(URIS));
        let contents = (!self.random.one_in(3)).then(|| contents(self.number));
        let text = contents.as_ref().map(|_| self.number.to_string());
        let by = Some(self.members[number].process.clone());
        self.ledger.accept(self.redis.now_ms, &uri, text, by);
        let mut item = OutboxItem::Contents {
            uri: uri.as_str().into(),
            carried: ContentSource::Given(contents.clone()),
            owed: Change::NONE,
            changed: false,
        };
        if self.random.one_in(3) {
            let change = self.members[number].store.put(&uri, contents.clone());
            item = OutboxItem::Contents {
                uri: uri.as_str().into(),
                carried: ContentSource::Given(contents),
                owed: change.unwrap(),
                changed: false,
            };
        }
        self.post(number, item);
    }

    fn message(&mut self, number: usize) {
        self.number += 1;
        let params = format!(r#"{{"level":"info","data":{}}}"#, self.number).into();
        let notice = Notice::Message { level: 1, params };
        let to = self.random.below(self.members.len());
        self.messages
            .insert(self.number, (to != number).then_some(to));
        let item = if to == number {
            OutboxItem::All(notice)
        } else {
            OutboxItem::Session(session_of(&self.members[to].name).into(), notice)
        };
        self.post(number, item);
    }

    /// Another program adds an entry.
    fn foreign(&mut self) {
        if !self.reachable || self.hangs {
            return;
        }
        self.number += 1;
        let (uri, _) = topic(3 + self.random.below(URIS));
        let text = self.number.to_string();
        let name = match self.random.one_in(3) {
            true => other_name(&uri),
            false => uri.clone(),
        };
        if self.random.one_in(4) {
            return self.older(&uri, &name, text);
        }
        let alice = principal("alice");
        let id = alice.to_string();
        let fields: [&[(&str, &str)]; 6] = [
            &[("uri", &name), ("principal", &id)],
            // For whom is not known: it must not be for all.
            &[("uri", &name), ("principal", "alice")],
            &[("uri", &name)],
            &[("uri", &name), ("text", &text)],
            &[("uri", &name), ("gone", "1")],
            &[("uri", &name), ("topic", "tools")],
        ];
        let which = self.random.below(fields.len());
        let owned =
            |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.redis.append(fields[which].iter().map(owned).collect());
        let brought = [None, None, None, Some(Some(text.clone())), Some(None), None];
        if let Some(text) = brought[which].clone() {
            self.ledger.accept(self.redis.now_ms, &uri, text, None);
        }
        if let 0 | 2 = which {
            let news = (uri, (which == 0).then_some(alice));
            self.expect_everywhere(&news);
            self.posted_by.remove(&news);
        }
    }

    /// A node of an older version writes, which does not know that two names are one.
    fn older(&mut self, uri: &str, name: &str, text: String) {
        let text = (!self.random.one_in(3)).then_some(text);
        let record = text.as_ref().map(|text| format!(r#"{{"text":"{text}"}}"#));
        self.redis.add_as_older(name, record);
        self.ledger.accept(self.redis.now_ms, uri, text, None);
    }

    fn pass(&mut self, ms: u64) {
        self.redis.now_ms += ms;
        for member in &mut self.members {
            let now_ms = member.now_ms(self.redis.now_ms);
            let (bus, hands) = member.hands();
            bus.handle_timeout(now_ms, &hands);
            if bus.is_alone() {
                self.met.insert("alone");
            }
        }
    }

    fn disturb(&mut self, number: usize) {
        let what = self.random.below(13);
        self.lossless &= what < 8;
        match what {
            0..=1 => self.cut_writer(number),
            2..=3 => self.cut_reader(number),
            4 => {
                self.reachable = !self.reachable;
                if !self.reachable {
                    (0..self.members.len()).for_each(|number| {
                        self.cut_writer(number);
                        self.cut_reader(number);
                    });
                }
            }
            5..=6 => self.hangs = !self.hangs,
            7 => self.refuses = !self.refuses,
            8..=9 if self.redis.is_old => {}
            8..=9 => {
                let keep = self.random.below(3);
                self.redis.trim(keep);
                self.forget_what_is_nowhere();
                self.met.insert("trimmed");
            }
            10 => {
                self.redis.flush();
                self.forget_what_is_nowhere();
                self.met.insert("flushed");
            }
            11 => {
                let (uri, _) = topic(3 + self.random.below(URIS));
                if self.redis.delete(&uri) {
                    self.met.insert("deleted");
                }
                self.forget_what_is_nowhere();
            }
            _ => self.restart(number),
        }
    }

    /// Killed, and started again.
    pub(crate) fn restart(&mut self, number: usize) {
        self.forget_what_died_with(number);
        self.members[number] = self.member(number);
        let name = self.members[number].name.clone();
        self.readers.forget(&name, &self.members);
        self.forget_what_is_nowhere();
        self.met.insert("restarted");
    }

    fn forget_what_is_nowhere(&mut self) {
        self.ledger
            .forget_what_is_nowhere(&self.redis, &self.members);
    }

    /// With anything under way, which arrived, or in part, or not at all.
    fn cut_writer(&mut self, number: usize) {
        let member = &mut self.members[number];
        let progress = std::mem::replace(&mut member.progress, Wire::Down);
        let writer = std::mem::replace(&mut member.writer, Wire::Down);
        if !matches!(progress, Wire::Idle | Wire::Down) {
            let now_ms = member.now_ms(self.redis.now_ms);
            if let Wire::Sent(applied) = progress
                && self.random.one_in(2)
            {
                self.redis.add_applied(&member.process, &applied);
            }
            member.bus.handle_applied(now_ms, None);
        }
        let adds = match writer {
            Wire::Down => return,
            Wire::Sent(adds) => adds,
            Wire::Idle | Wire::Answered(_) => Vec::new(),
        };
        let arrived = self.random.below(adds.len() + 1);
        for add in &adds[..arrived] {
            self.redis.add(add);
        }
        let now_ms = member.now_ms(self.redis.now_ms);
        let (bus, hands) = member.hands();
        if self.broken == Some(BusBreakage::ForgetsWhatWasUnderWay) {
            bus.handle_added(now_ms, &vec![Some(nowhere()); adds.len()], &hands);
        }
        bus.handle_writer_lost(&hands);
    }

    fn cut_reader(&mut self, number: usize) {
        let member = &mut self.members[number];
        let reader = std::mem::replace(&mut member.reader, Wire::Down);
        if !matches!(reader, Wire::Down) {
            member.came_back = true;
            let (bus, hands) = member.hands();
            bus.handle_reader_lost(&hands);
        }
    }

    /// Redis works again, and everything that waits for it arrives.
    pub(crate) fn come_to_rest(&mut self) {
        (self.reachable, self.hangs, self.refuses) = (true, false, false);
        // Time for what is refused, late, or looked at only now and then; and at last for what never comes back.
        for ms in [[500; 14].as_slice(), &[61_000, 500, 500]].concat() {
            for _ in 0..40 {
                for number in 0..self.members.len() {
                    self.write(number);
                    self.say(number);
                    self.read(number);
                    self.readers.listen(&self.members);
                }
            }
            self.pass(ms);
            self.readers.listen(&self.members);
        }
        for member in &mut self.members {
            assert_eq!(member.bus.queued_count(), 0, "something is never added");
            member.world.get_mut().come_to_rest();
        }
    }

    pub(crate) fn check(&self) {
        let board = self.redis.resources();
        for member in &self.members {
            member.world.borrow().check_everyone_knows();
            let own = member.store.entries.lock().unwrap();
            assert_eq!(
                *own, board,
                "the board of {} is not what the others have",
                member.name
            );
            assert!(
                !member.bus.is_alone(),
                "{} never trusts Redis again",
                member.name
            );
        }
        self.ledger.check(&self.members);
        self.readers.check(&self.members);
        for (number, member) in self.members.iter().enumerate() {
            for (message, to) in &self.messages {
                let ours = to.is_none_or(|to| to == number);
                let delivered = member.delivered.borrow().contains(message);
                assert!(ours || !delivered, "message {message} was for another node");
                assert!(
                    delivered || !ours || !self.lossless,
                    "message {message} never reached {}",
                    member.name
                );
            }
        }
    }
}
