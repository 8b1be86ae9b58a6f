//! An entry of another program that is trimmed while only one node has read it.

use pinfold::internals::cluster::bus::BusRequest;

use crate::fleet::Fleet;
use crate::member::Wire;
use crate::world::topic;

const MANY: usize = 40;

impl Fleet {
    /// Until this is what it asks; Redis has not heard it yet.
    fn read_until(&mut self, number: usize, is_it: impl Fn(&BusRequest) -> bool) {
        for _ in 0..MANY {
            self.read(number);
            if matches!(&self.members[number].reader, Wire::Sent(ask) if is_it(ask)) {
                return;
            }
        }
        panic!("member {number} never asks that");
    }
}

/// The others look, find a gap, and read the hash, before the one that read the entry has put it there.
#[test]
fn an_entry_that_is_trimmed_before_its_only_reader_has_kept_it() {
    for is_killed in [false, true] {
        // Whatever comes first: a fleet in which all follow.
        let mut fleet = Fleet::new(5, None);
        fleet.come_to_rest();
        let (uri, _) = topic(3);
        let field = |name: &str, it: &str| (name.into(), it.into());
        fleet
            .redis
            .append(vec![field("uri", &uri), field("text", "17")]);
        fleet.read_until(
            0,
            |ask| matches!(ask, BusRequest::Fetch { keep, .. } if !keep.is_empty()),
        );
        fleet.redis.append(vec![field("topic", "tools")]);
        fleet.redis.trim(1);
        fleet.redis.now_ms += 3_000;
        for _ in 0..MANY {
            (1..fleet.members.len()).for_each(|number| fleet.read(number));
        }
        fleet.read(0);
        if is_killed {
            fleet.restart(0);
        }
        fleet.come_to_rest();
        fleet.check();
        for member in &fleet.members {
            assert_eq!(
                member.text(&uri).as_deref(),
                Some("17"),
                "at {}",
                member.name
            );
        }
    }
}

/// Nothing is left of it: the first look finds that out, and the others find nothing new.
#[test]
fn a_stream_without_entries_that_is_a_gap_at_every_look() {
    let mut fleet = Fleet::new(5, None);
    fleet.come_to_rest();
    let gaps = |fleet: &Fleet| -> Vec<u64> {
        let members = fleet.members.iter();
        members.map(|member| member.bus.counts().gaps).collect()
    };
    let before = gaps(&fleet);
    fleet.redis.append(vec![("topic".into(), "tools".into())]);
    fleet.redis.trim(0);
    fleet.come_to_rest();
    let once: Vec<u64> = before.iter().map(|count| count + 1).collect();
    assert_eq!(gaps(&fleet), once);
    fleet.check();
}

/// No entry tells of it, and nobody reads that resource from there.
#[test]
fn a_resource_that_somebody_deletes_from_the_hash() {
    let mut fleet = Fleet::new(5, None);
    let (uri, _) = topic(3);
    let field = |name: &str, it: &str| (name.into(), it.into());
    fleet
        .redis
        .append(vec![field("uri", &uri), field("text", "17")]);
    fleet.come_to_rest();
    assert!(fleet.redis.delete(&uri));
    fleet.come_to_rest();
    fleet.check();
    fleet.restart(0);
    fleet.come_to_rest();
    assert_eq!(fleet.members[0].text(&uri).as_deref(), Some("17"));
}
