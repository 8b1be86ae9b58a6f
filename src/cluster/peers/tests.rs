use super::*;

fn process(incarnation: u64) -> Process {
    (NodeName::new("b").unwrap(), incarnation)
}

fn record(incarnation: u64) -> NodeRecord {
    NodeRecord::of(process(incarnation), None)
}

fn indexed(incarnations: &[u64]) -> Vec<(Process, NodeRecord)> {
    let entry = |incarnation: &u64| (process(*incarnation), record(*incarnation));
    incarnations.iter().map(entry).collect()
}

#[test]
fn a_node_whose_key_was_deleted_while_it_lives() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1]), false);
    peers.look(process(1).0, &FoundRecord::Record(record(1)), now);
    assert_eq!(peers.missing(process(1), now), None);
    peers.look(process(1).0, &FoundRecord::Nothing, now);
    let expected = Some(Missing::Expected(record(1)));
    assert_eq!(peers.missing(process(1), now + BEAT_EVERY), expected);
    let later = now + WRITTEN_AGAIN_WITHIN;
    peers.look(process(1).0, &FoundRecord::Nothing, later);
    assert_eq!(peers.missing(process(1), later), Some(Missing::Down));
    peers.look(process(1).0, &FoundRecord::Record(record(1)), later);
    assert_eq!(peers.missing(process(1), later), None);
    assert_eq!(peers.take_dead(now + BURIED_AFTER), None);
}

#[test]
fn a_process_that_died_is_marked_once_and_one_that_left_is_not() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1, 2, 3]), false);
    peers.look(process(1).0, &FoundRecord::Record(record(3)), now);
    // The first one has taken itself out of the index.
    peers.read_index(indexed(&[2, 3]), false);
    let later = now + BURIED_AFTER;
    assert_eq!(peers.missing(process(1), later), None);
    assert_eq!(peers.take_dead(later), Some(process(2)));
    assert_eq!(peers.take_dead(later), None);
    assert_eq!(peers.missing(process(2), later), Some(Missing::Down));
    let much_later = later + BURIED_AFTER;
    assert_eq!(peers.take_dead(much_later), Some(process(2)), "not done");
    peers.read_index(indexed(&[3]), false);
    assert_eq!(peers.missing(process(2), later), None);
}

/// A hung node is still known to have been there when Redis has forgotten it.
#[test]
fn a_redis_that_forgot_a_process_that_hangs() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1]), false);
    peers.look(process(1).0, &FoundRecord::Nothing, now);
    peers.read_index(Vec::new(), true);
    peers.read_index(Vec::new(), false);
    let later = now + BURIED_AFTER;
    assert_eq!(peers.take_dead(later), None, "nothing is left");
    assert_eq!(peers.missing(process(1), later), Some(Missing::Down));
    assert_eq!(peers.take_dead(now + REMEMBERED_FOR), None);
    assert_eq!(peers.missing(process(1), later), None);
}

#[test]
fn a_state_that_an_operator_would_take_for_another() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1]), false);
    let state = |peers: &Peers, now| peers.seen(now)[0].state;
    let leaving = NodeRecord {
        leaving: true,
        ..record(1)
    };
    peers.look(process(1).0, &FoundRecord::Record(record(1)), now);
    assert_eq!(state(&peers, now), PeerState::Alive);
    peers.look(process(1).0, &FoundRecord::Nothing, now);
    assert_eq!(state(&peers, now + BEAT_EVERY), PeerState::Late);
    let later = now + WRITTEN_AGAIN_WITHIN;
    assert_eq!(state(&peers, later), PeerState::Gone);
    assert_eq!(peers.seen(later)[0].seen_at, Some(now));
    peers.look(process(1).0, &FoundRecord::Record(leaving), later);
    assert_eq!(state(&peers, later), PeerState::Draining);
    peers.look(process(1).0, &FoundRecord::Record(record(2)), later);
    assert_eq!(state(&peers, later), PeerState::Restarted);
}

#[test]
fn a_heartbeat_that_is_not_followed_by_another_one() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1]), false);
    let beat = |beats| FoundRecord::Record(NodeRecord { beats, ..record(1) });
    let state = |peers: &Peers, now| peers.seen(now)[0].state;
    peers.look(process(1).0, &beat(7), now);
    assert!(
        !peers.may_be_late(now),
        "it was found just now, whatever time it is since"
    );
    let (due, late) = (now + BEAT_EVERY, now + LATE_AFTER);
    peers.look(process(1).0, &beat(7), due);
    assert_eq!(state(&peers, due), PeerState::Alive, "it may come");
    assert!(peers.may_be_late(due));
    peers.look(process(1).0, &beat(7), late);
    assert_eq!(state(&peers, late), PeerState::Late);
    assert_eq!(peers.seen(late)[0].seen_at, Some(now));
    assert!(!peers.may_be_late(late), "nobody looks more often for it");
    peers.look(process(1).0, &beat(8), late);
    assert_eq!(state(&peers, late), PeerState::Alive);
    // One of the version before does not count.
    peers.look(process(1).0, &beat(0), late);
    peers.look(process(1).0, &beat(0), late + LATE_AFTER);
    assert_eq!(state(&peers, late + LATE_AFTER), PeerState::Alive);
}

#[test]
fn a_process_that_takes_no_connection_until_it_beats_again() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    peers.read_index(indexed(&[1]), false);
    let found = |peers: &mut Peers, beats, draining| {
        let record = NodeRecord {
            beats,
            draining,
            ..record(1)
        };
        peers.look(process(1).0, &FoundRecord::Record(record), now);
        peers.seen(now)[0].state
    };
    assert_eq!(found(&mut peers, 3, false), PeerState::Alive);
    assert!(peers.suspect(process(1), now) && !peers.suspect(process(1), now));
    assert!(!peers.suspect(process(2), now), "nobody knows that one");
    assert!(peers.is_suspect(process(2), now) && !peers.is_suspect(process(3), now));
    assert!(!peers.is_suspect(process(2), now + NODE_LIFE), "for long");
    assert_eq!(found(&mut peers, 3, false), PeerState::Suspect);
    assert_eq!(
        found(&mut peers, 4, false),
        PeerState::Suspect,
        "written before"
    );
    assert_eq!(found(&mut peers, 5, false), PeerState::Alive);
    assert_eq!(found(&mut peers, 6, true), PeerState::Draining);
}

/// One that takes this for "nobody is there" relies on itself alone.
#[test]
fn an_index_that_nobody_has_read_yet() {
    let own = NodeName::new("a").unwrap();
    let mut peers = Peers::default();
    assert_eq!((peers.records(), peers.knows_adopters(own)), (None, None));
    let mut after = Peers::default();
    after.resume(peers.records());
    assert_eq!(after.knows_adopters(own), None, "nor has the next one");
    peers.read_index(Vec::new(), false);
    assert_eq!(peers.knows_adopters(own), Some(false));
    let adopter = NodeRecord {
        adopts: true,
        address: Some("10.0.0.2:8080".parse().unwrap()),
        ..record(1)
    };
    for (found, knows) in [(Vec::new(), false), (vec![(process(1), adopter)], true)] {
        peers.read_index(found, false);
        let mut after = Peers::default();
        after.resume(peers.records());
        assert_eq!(after.knows_adopters(own), Some(knows));
        assert_eq!(after.adopters(own), peers.adopters(own));
    }
}

/// A node of the version before, or one that was told to let sessions end, says that this one is over.
#[test]
fn a_session_that_is_sent_to_whoever_ends_it() {
    let (mut peers, now) = (Peers::default(), Instant::now());
    let session = SessionId::parse("a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ").unwrap();
    let address = Some("10.0.0.2:8080".parse().unwrap());
    for (adopts, expected) in [(false, None), (true, Some(1))] {
        let found = NodeRecord {
            adopts,
            address,
            ..record(1)
        };
        peers.read_index(vec![(process(1), found.clone())], false);
        peers.look(process(1).0, &FoundRecord::Record(found), now);
        let adopter = peers.adopter(&session, session.process(), now);
        assert_eq!(adopter.map(|it| it.incarnation), expected);
    }
}

#[test]
fn more_processes_than_anybody_has() {
    let mut peers = Peers::default();
    let many: Vec<u64> = (0..2 * PEERS_MAX as u64).collect();
    peers.read_index(indexed(&many), false);
    assert_eq!(peers.known.len(), PEERS_MAX);
}
