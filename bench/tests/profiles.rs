//! Counted, not timed: what a shard keeps of what clients say of themselves, as the allocator sees it, and that nothing
//! is made of what nobody reads.

mod common;

use self::common::{NOW, Rig, allocations, held, post};

/// For all clients that came and went, whatever they said.
const KEPT_BYTES_MAX: i64 = 128 * 1024;

/// Objects that are 70 bytes of text and seven hundred of memory.
fn objects(count: usize) -> String {
    format!("[{}0]", r#"{"":0},"#.repeat(count))
}

fn modern(number: usize, junk: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"x":{junk},"method":"tools/list","params":{{"x":{junk},"_meta":{{"x":{junk},"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"a","x":{junk}}},"io.modelcontextprotocol/clientCapabilities":{{"i":{number},"x":{junk}}}}}}}}}"#
    );
    post(
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n",
        &body,
    )
}

#[test]
fn a_client_that_says_something_else_each_time() {
    let mut rig = Rig::with_a_tool();
    let key = rig.connect();
    let junk = objects(200);
    rig.answer(key, &modern(0, &junk));
    let before = held();
    for number in 1..2_000 {
        rig.answer(key, &modern(number, &junk));
        assert!(rig.text().contains("hello"), "{}", rig.text());
    }
    let kept = held() - before;
    assert!(kept <= KEPT_BYTES_MAX, "{kept} bytes");
}

#[test]
fn a_session_that_leaves_what_its_client_said() {
    let mut rig = Rig::with_a_tool();
    let junk = objects(200);
    let mut last = 0;
    // The last thousand that ended are remembered for operators.
    for number in 0..3_000 {
        let key = rig.connect();
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{"i":{number},"x":{junk}}},"clientInfo":{{"name":"{number}","version":"1","x":{junk}}}}}}}"#
        );
        rig.answer(key, &post("", &initialize));
        let answered = rig.text();
        let id = answered
            .lines()
            .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
            .expect("initialize is answered with a session");
        rig.answer(
            key,
            &format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {id}\r\n\r\n"),
        );
        rig.shard.handle_disconnect(NOW, key);
        rig.drain(NOW);
        if number == 1_100 {
            last = held();
        }
    }
    let kept = held() - last;
    assert!(kept <= KEPT_BYTES_MAX, "{kept} bytes");
}

/// What nobody reads costs its bytes, however many values there are in it.
#[test]
fn values_that_are_made_and_thrown_away() {
    let mut rig = Rig::with_a_tool();
    let key = rig.connect();
    let mut count = |objects_count: usize| {
        let request = modern(1, &objects(objects_count));
        (0..10).for_each(|_| rig.answer(key, &request));
        allocations(|| rig.answer(key, &request))
    };
    let few = count(160);
    assert_eq!(count(240), few);
}
