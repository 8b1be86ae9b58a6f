//! The board as its clients and its publishers see it.

use serde_json::{Value, json};

use super::store::LOOKED_AT_MAX;
use super::{Board, BoardLimits, PAGE_SIZE};
use crate::app::call::Outcome;
use crate::app::contents::{Body, Change, Contents, StoreRefused};
use crate::app::testing::Peer;
use crate::app::{Topic, cursor_after, key_of};
use crate::mcp::RpcError;
use crate::principal::{Action, Decision, Identity, Permits};

fn board() -> Board {
    Board::new(BoardLimits::default())
}

fn tiny() -> Board {
    Board::new(BoardLimits {
        bytes_max: 100,
        entry_bytes_max: 60,
        entries_max: 3,
        uri_bytes_max: 20,
    })
}

fn text(text: &str) -> Contents {
    Contents {
        mime_type: Some("text/plain".to_owned()),
        name: None,
        description: None,
        body: Body::Text(text.to_owned()),
    }
}

fn put(board: &Board, uri: &str, body: &str) -> Result<Change, StoreRefused> {
    board.store().put(uri, Some(text(body)))
}

fn uris(list: &Value) -> Vec<&str> {
    let resources = list["resources"].as_array().unwrap().iter();
    resources.map(|r| r["uri"].as_str().unwrap()).collect()
}

#[test]
fn what_is_put_can_be_listed_and_read() {
    let board = board();
    let peer = Peer::modern(board.app());
    put(&board, "board://b", "two").unwrap();
    let contents = Contents {
        name: Some("The first".to_owned()),
        mime_type: Some("application/octet-stream".to_owned()),
        body: Body::Blob(vec![1, 2, 3]),
        ..text("")
    };
    board.store().put("board://a", Some(contents)).unwrap();
    assert_eq!(
        peer.result("resources/list", &json!({})),
        json!({ "resources": [
            { "uri": "board://a", "name": "The first", "mimeType": "application/octet-stream" },
            { "uri": "board://b", "name": "board://b", "mimeType": "text/plain" },
        ] })
    );
    let read = |uri: &str| peer.result("resources/read", &json!({ "uri": uri }));
    assert_eq!(
        read("board://b"),
        json!({ "contents": [{ "uri": "board://b", "mimeType": "text/plain", "text": "two" }] })
    );
    assert_eq!(read("board://a")["contents"][0]["blob"], "AQID");
}

#[test]
fn a_change_tells_what_it_changed() {
    let board = board();
    let change = |list, contents| Ok(Change { list, contents });
    assert_eq!(put(&board, "board://a", "one"), change(true, true));
    assert_eq!(put(&board, "board://a", "one"), change(false, false));
    assert_eq!(put(&board, "board://a", "two"), change(false, true));
    let renamed = Contents {
        name: Some("A".to_owned()),
        ..text("two")
    };
    let store = board.store();
    assert_eq!(store.put("board://a", Some(renamed)), change(true, false));
    assert_eq!(store.put("board://a", None), change(true, true));
    assert_eq!(store.put("board://a", None), change(false, false));
}

#[test]
fn every_limit_refuses_and_changes_nothing() {
    let board = tiny();
    let long = "x".repeat(42);
    for uri in [
        "",
        "board://",
        "http://x",
        "board://a b",
        "board://1234567890123",
    ] {
        assert_eq!(put(&board, uri, "x"), Err(StoreRefused::WrongUri), "{uri}");
    }
    assert_eq!(put(&board, "board://a", &long), Err(StoreRefused::TooLarge));
    put(&board, "board://a", &long[..41]).unwrap();
    assert_eq!(
        put(&board, "board://b", &long[..30]),
        Err(StoreRefused::Full)
    );
    // Replacing an entry gives its room back first.
    put(&board, "board://a", &long[..40]).unwrap();
    put(&board, "board://a", "x").unwrap();
    put(&board, "board://b", "x").unwrap();
    put(&board, "board://c", "x").unwrap();
    assert_eq!(put(&board, "board://d", ""), Err(StoreRefused::Full));
    board.store().put("board://a", None).unwrap();
    put(&board, "board://d", "").unwrap();
    let list = Peer::legacy(board.app()).result("resources/list", &json!({}));
    assert_eq!(uris(&list), ["board://b", "board://c", "board://d"]);
}

#[test]
fn pages_go_on_after_an_entry_that_is_gone() {
    let board = board();
    for index in 0..=PAGE_SIZE {
        put(&board, &format!("board://{index:03}"), "x").unwrap();
    }
    let peer = Peer::modern(board.app());
    let first = peer.result("resources/list", &json!({}));
    assert_eq!(uris(&first).len(), PAGE_SIZE);
    board.store().put("board://099", None).unwrap();
    let params = json!({ "cursor": first["nextCursor"] });
    let second = peer.result("resources/list", &params);
    assert_eq!(uris(&second), ["board://100"]);
    assert_eq!(second.get("nextCursor"), None);
    let error = peer.error("resources/list", &json!({ "cursor": "no" }));
    assert_eq!(error.code, RpcError::INVALID_PARAMS);
}

/// It was not given out, whatever it is: an empty one, too.
#[test]
fn a_cursor_that_one_list_takes_and_another_refuses() {
    for (board, lists) in [
        (
            board(),
            &["tools/list", "resources/list", "resources/templates/list"][..],
        ),
        (
            board().read_only(),
            &["resources/list", "resources/templates/list"][..],
        ),
    ] {
        let peer = Peer::legacy(board.app());
        for list in lists {
            for cursor in ["", "no"] {
                let error = peer.error(list, &json!({ "cursor": cursor }));
                assert_eq!(error.code, RpcError::INVALID_PARAMS, "{list} {cursor}");
            }
            peer.result(list, &json!({}));
        }
    }
}

#[test]
fn posting_tells_the_subscribers() {
    let peer = Peer::modern(board().app());
    let said = peer.tool_text("post", json!({ "uri": "board://a", "text": "hi" }));
    assert_eq!(said, "Posted board://a");
    let updated = || Topic::Resource("board://a".into());
    assert_eq!(peer.world.published.take(), [updated(), Topic::Resources]);
    peer.tool("post", json!({ "uri": "board://a", "text": "ho" }));
    assert_eq!(peer.world.published.take(), [updated()]);
    peer.tool("post", json!({ "uri": "board://a", "text": "ho" }));
    assert_eq!(peer.world.published.take(), []);
    peer.tool("remove", json!({ "uri": "board://a" }));
    assert_eq!(peer.world.published.take(), [updated(), Topic::Resources]);
    let again = peer.tool("remove", json!({ "uri": "board://a" }));
    assert_eq!(again["isError"], true);
}

#[test]
fn a_read_only_board_has_no_tools() {
    let peer = Peer::modern(board().read_only().app());
    for method in ["tools/list", "tools/call"] {
        let error = peer.error(method, &json!({ "name": "post" }));
        assert_eq!(error.code, RpcError::METHOD_NOT_FOUND);
    }
    assert_eq!(
        peer.handler.server_info().modern_capabilities.get("tools"),
        None
    );
}

#[test]
fn a_filled_in_template_finds_its_entry() {
    let board = board();
    put(&board, "board://news/today", "sun").unwrap();
    let peer = Peer::legacy(board.app());
    for spelling in [
        "board://news/today",
        "board://news%2Ftoday",
        "board://News%2ftoday",
        "BOARD://news/tod%61y",
    ] {
        let read = peer.result("resources/read", &json!({ "uri": spelling }));
        assert_eq!(read["contents"][0]["text"], "sun", "{spelling}");
        assert_eq!(read["contents"][0]["uri"], "board://news/today");
        let own = peer.handler.own_uri(spelling).unwrap();
        assert_eq!(&*own, "board://news/today", "{spelling}");
        assert!(peer.handler.accepts_subscription(&own));
    }
    let templates = peer.result("resources/templates/list", &json!({}));
    assert_eq!(
        templates["resourceTemplates"][0]["uriTemplate"],
        "board://{+path}"
    );
}

#[test]
fn one_entry_by_whichever_spelling_it_is_posted_and_read() {
    let peer = Peer::modern(board().app());
    let said = peer.tool_text("post", json!({ "uri": "board://Grün/Heute", "text": "hi" }));
    assert_eq!(said, "Posted board://gr%C3%BCn/Heute");
    let updated = || Topic::Resource("board://gr%C3%BCn/Heute".into());
    assert_eq!(peer.world.published.take(), [updated(), Topic::Resources]);
    let list = peer.result("resources/list", &json!({}));
    assert_eq!(uris(&list), ["board://gr%C3%BCn/Heute"]);
    for spelling in ["board://grün/Heute", "board://Gr%c3%bcn%2FHeute"] {
        let read = peer.result("resources/read", &json!({ "uri": spelling }));
        assert_eq!(read["contents"][0]["text"], "hi", "{spelling}");
    }
    let said = peer.tool_text("remove", json!({ "uri": "board://gr%c3%bcn/Heute" }));
    assert_eq!(said, "Removed board://gr%C3%BCn/Heute");
    assert_eq!(peer.world.published.take(), [updated(), Topic::Resources]);
}

#[test]
fn what_is_no_uri_is_neither_posted_nor_read() {
    let peer = Peer::modern(board().app());
    for wrong in ["board://a|b", "board://a b", "board://100%", "board://a:b"] {
        let posted = peer.tool("post", json!({ "uri": wrong, "text": "x" }));
        assert_eq!(posted["isError"], true, "{wrong}");
        let error = peer.error("resources/read", &json!({ "uri": wrong }));
        assert_eq!(error.code, RpcError::INVALID_PARAMS);
        assert!(error.message.contains("RFC 3986"), "{}", error.message);
    }
    let list = peer.result("resources/list", &json!({}));
    assert!(uris(&list).is_empty());
}

#[test]
fn paths_are_completed_from_what_is_there() {
    let board = board();
    for index in 0..150 {
        put(&board, &format!("board://news/{index:03}"), "x").unwrap();
    }
    put(&board, "board://other", "x").unwrap();
    // Whoever fills these in encodes what is to be encoded, and nothing twice.
    put(&board, "board://gr%C3%BCn/a%20b", "x").unwrap();
    put(&board, "board://query%3F", "x").unwrap();
    let peer = Peer::modern(board.app());
    let complete = |value: &str| {
        let params = json!({
            "ref": { "type": "ref/resource", "uri": "board://{+path}" },
            "argument": { "name": "path", "value": value },
        });
        peer.result("completion/complete", &params)["completion"].clone()
    };
    let news = complete("news/");
    assert_eq!(news["values"].as_array().unwrap().len(), 100);
    assert_eq!(
        (&news["total"], &news["hasMore"]),
        (&json!(150), &json!(true))
    );
    assert_eq!(
        complete("o"),
        json!({ "values": ["other"], "total": 1, "hasMore": false })
    );
    for typed in ["gr", "Grü", "grün/a", "grün/a ", "gr%c3%bc"] {
        assert_eq!(complete(typed)["values"], json!(["grün/a b"]), "{typed}");
    }
    assert_eq!(complete("q")["values"], json!(["query%3F"]));
}

#[test]
fn subscriptions_are_for_the_boards_own_uris() {
    let peer = Peer::modern(board().app());
    assert!(peer.handler.accepts_subscription("board://not/there/yet"));
    assert!(!peer.handler.accepts_subscription("file:///etc/passwd"));
}

/// Everybody has an area, and writing in it takes a scope that only bob has.
#[derive(Debug)]
struct Areas;

impl Permits for Areas {
    fn decide(&self, who: &Identity, action: Action<'_>) -> Decision<'_> {
        let (Action::ReadResource(uri) | Action::Publish(uri) | Action::Remove(uri)) = action
        else {
            return Decision::Allow;
        };
        let is_own = uri.starts_with(&format!("board://area/{}/", who.subject()));
        match (is_own, action) {
            (false, _) => Decision::Unknown,
            (true, Action::ReadResource(_)) => Decision::Allow,
            (true, _) if who.subject() == "bob" => Decision::Allow,
            (true, _) => Decision::MissingScope("board:write"),
        }
    }
}

#[test]
fn a_tenant_that_learns_of_the_entries_of_another() {
    let board = board();
    for number in 0..3 {
        for who in ["alice", "bob", "carol"] {
            put(&board, &format!("board://area/{who}/{number}"), who).unwrap();
        }
    }
    for peer in [Peer::legacy(board.app()), Peer::modern(board.app())] {
        let bob = peer.governed("bob", Areas);
        let list = bob.result("resources/list", &json!({}));
        let own = [0, 1, 2].map(|number| format!("board://area/bob/{number}"));
        assert_eq!(uris(&list), own);
        let complete = |typed: &str| {
            let params = json!({
                "ref": {"type": "ref/resource", "uri": "board://{+path}"},
                "argument": {"name": "path", "value": typed},
            });
            bob.result("completion/complete", &params)["completion"].clone()
        };
        assert_eq!(
            complete("area/"),
            json!({"values": ["area/bob/0", "area/bob/1", "area/bob/2"], "hasMore": false})
        );
        assert_eq!(
            complete("area/alice/"),
            json!({"values": [], "hasMore": false})
        );
    }
}

#[test]
fn a_tenant_that_writes_in_the_area_of_another() {
    let board = board();
    put(&board, "board://area/alice/x", "hers").unwrap();
    for peer in [Peer::legacy(board.app()), Peer::modern(board.app())] {
        let bob = peer.governed("bob", Areas);
        for uri in [
            "board://area/alice/x",
            "board://area%2Falice/x",
            "BOARD://area/%61lice/y",
        ] {
            for (tool, arguments) in [
                ("post", json!({"uri": uri, "text": "his"})),
                ("remove", json!({"uri": uri})),
            ] {
                let said = bob.tool(tool, arguments);
                let own = uri
                    .replace("%2F", "/")
                    .replace("%61", "a")
                    .replace("BOARD", "board");
                assert_eq!(said["content"][0]["text"], format!("There is no {own}"));
                assert_eq!(said["isError"], true);
            }
        }
        let said = bob.tool_text("post", json!({"uri": "board://area/bob/x", "text": "his"}));
        assert!(said.contains("board://area/bob/x"), "{said}");
        // What is not there is answered alike.
        let said = bob.tool("remove", json!({"uri": "board://area/bob/y"}));
        assert_eq!(said["content"][0]["text"], "There is no board://area/bob/y");
    }
    let hers = board
        .store()
        .get("board://area/alice/x")
        .expect("it is there");
    assert_eq!(hers.body, Body::Text("hers".to_owned()));
    let alice = Peer::modern(board.app()).governed("alice", Areas);
    let params = json!({"name": "post", "arguments": {"uri": "board://area/alice/x", "text": ""}});
    let outcome = alice.outcome("tools/call", &params);
    assert!(matches!(outcome, Outcome::MissingScope { scopes } if scopes == "board:write"));
}

#[test]
fn a_cursor_that_names_an_entry_of_another() {
    let board = board();
    for number in 0..2 * PAGE_SIZE {
        put(&board, &format!("board://area/alice/{number:03}"), "hers").unwrap();
    }
    put(&board, "board://area/bob/0", "his").unwrap();
    let bob = Peer::modern(board.app()).governed("bob", Areas);
    let page = bob.result("resources/list", &json!({}));
    assert_eq!(
        (uris(&page), &page["nextCursor"]),
        (vec!["board://area/bob/0"], &Value::Null)
    );
    let alice = Peer::modern(board.app()).governed("alice", Areas);
    let (mut seen, mut params) = (0, json!({}));
    loop {
        let page = alice.result("resources/list", &params);
        seen += uris(&page).len();
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        assert!(key_of(cursor).is_err(), "anybody can read {cursor}");
        params = json!({"cursor": cursor});
    }
    assert_eq!(seen, 2 * PAGE_SIZE);
    let plain = json!({"cursor": cursor_after("board://area/alice/000")});
    assert_eq!(
        alice.error("resources/list", &plain).message,
        "Invalid cursor"
    );
}

/// It takes no longer than for others, and goes on to the next page.
#[test]
fn a_tenant_among_so_many_that_a_request_takes_long() {
    let board = board();
    for number in 0..LOOKED_AT_MAX {
        put(&board, &format!("board://area/alice/{number:05}"), "").unwrap();
    }
    put(&board, "board://area/bob/0", "his").unwrap();
    let bob = Peer::modern(board.app()).governed("bob", Areas);
    let first = bob.result("resources/list", &json!({}));
    assert_eq!(uris(&first), Vec::<&str>::new());
    let second = bob.result("resources/list", &json!({"cursor": first["nextCursor"]}));
    assert_eq!(
        (uris(&second), &second["nextCursor"]),
        (vec!["board://area/bob/0"], &Value::Null)
    );
}
