//! What is asked, by its query; the answers are tested with a node (`tests/end_to_end/operators`).

use super::*;

#[test]
fn a_query_that_asks_for_less_than_it_says() {
    let asked = question(
        "client=my+app&clientVersion=1%2E0&era=modern&state=slow&sort=pending&order=asc&limit=7&core=3\
         &principal=dc18d98ab34b2f83b5913fec82dc81e9",
    );
    let asked = asked.expect("a question");
    assert_eq!(asked.filter.client_name.as_deref(), Some("my app"));
    assert_eq!(asked.filter.client_version.as_deref(), Some("1.0"));
    assert_eq!(asked.filter.era, Some(Era::Modern));
    assert_eq!(asked.filter.state, Some(RowState::Slow));
    assert_eq!(
        (asked.order.by, asked.order.is_descending),
        (SortBy::Pending, false)
    );
    assert_eq!((asked.limit, asked.core), (7, Some(3)));
    assert!(asked.filter.principal.is_some());
    assert_eq!(question("").expect("all of them").limit, ROWS_DEFAULT);
}

#[test]
fn a_query_that_is_taken_for_another() {
    for wrong in [
        "client_version=1",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "era=Legacy",
        "state=closed",
        "sort=name",
        "order=up",
        "core=-1",
        "principal=alice",
        "after=x",
        "after=",
    ] {
        let sentence = question(wrong).expect_err(wrong);
        let (name, _) = wrong.split_once('=').expect("a pair");
        assert!(
            sentence.contains(name) && sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

#[test]
fn a_cursor_that_names_another_place() {
    for part in [Part::Sessions, Part::ListenStreams] {
        let place = RowPosition {
            rank: u64::MAX - 5,
            core: 258,
            part,
            slot: 70_000,
            generation: 9,
        };
        let text = cursor(place);
        assert_eq!(position(&text), Some(place));
        assert_eq!(position(&text[1..]), None);
        assert_eq!(position(&format!("{text}AAAA")), None);
    }
}

#[test]
fn a_name_that_some_write_otherwise() {
    let name = "a.~AAEAAAACAAAAAwAAAAAAAAAE";
    assert_eq!(name_of(name), name.parse());
    assert_eq!(name_of(&name.replace('~', "%7E")), name.parse());
    assert_eq!(name_of("a.%ff"), Err(NotAName));
}
