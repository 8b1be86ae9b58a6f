//! Each kind of rule: what somebody is answered without the scope, and with it.

use serde_json::{Value, json};

use super::{BOTH, Site, Speaks, expect_alike, expect_done, expect_missing, parsed};
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};

/// A test for each function, in both eras.
macro_rules! in_both_eras {
    ($($name:ident: $app:ident, $policy:literal;)*) => {
        $(#[test] fn $name() {
            let site = Site::start(concat!("policy/", stringify!($name)), App::$app, $policy);
            for speaks in BOTH {
                checks::$name(&site, speaks);
            }
            site.stop();
        })*
    };
}

in_both_eras! {
    reads_without_the_scope: Board, "[policy]\nread = 'board:read'\n";
    lists_without_the_scope: Board, "[policy]\nlist = 'board:list'\n";
    posts_without_the_scope: Board, "[policy]\npublish = 'board:write'\n";
    removes_what_nobody_may_remove: Board, "[policy]\nremove = 'nobody'\n";
    calls_a_tool_without_its_scope: Board, "[policy.tools]\n'po*' = ['board:write', 'board:admin extra']\n";
    calls_a_tool_that_is_nobodys: Board, "[policy.tools]\n'remove' = 'nobody'\n";
    gets_a_prompt_without_its_scope: Conformance, "[policy]\nprompt = 'prompts:get'\n[policy.prompts]\n'test_simple_prompt' = 'anyone'\n";
    completes_without_the_scope: Conformance, "[policy]\ncomplete = 'complete'\n";
    has_a_broader_scope: Board, "[policy]\nread = 'board:read'\n[policy.implies]\n'board:admin' = ['board:write']\n'board:write' = ['board:read']\n";
    writes_where_all_is_read_only: Board, "policy = 'read-only'\n";
    does_anything_where_all_is_closed: Board, "[policy]\npreset = 'closed'\nread = 'board:read'\n";
    subscribes_without_the_scope: Board, "[policy]\nsubscribe = 'board:hear'\n";
}

mod checks {
    use super::*;

    pub(super) fn reads_without_the_scope(site: &Site, speaks: Speaks) {
        site.home()
            .publish(&json!({"uri": "board://lunch", "contents": "soup"}));
        let without = site.visitor(speaks, "alice", "board:readall");
        expect_missing(&without.read("board://lunch"), "board:read");
        expect_missing(&without.read("board://nothing"), "board:read");
        assert_eq!(without.list("resources"), [""; 0]);
        let with = site.visitor(speaks, "alice", "openid board:read");
        let read = expect_done(&with.read("board://lunch"));
        assert_eq!(read["contents"][0]["text"], "soup");
        if speaks == Speaks::Modern {
            assert_eq!(read["cacheScope"], "private", "{read}");
        }
        assert_eq!(with.list("resources"), ["board://lunch"]);
    }

    pub(super) fn lists_without_the_scope(site: &Site, speaks: Speaks) {
        let without = site.visitor(speaks, "alice", "");
        for of in ["tools/list", "resources/list", "resources/templates/list"] {
            expect_missing(&without.ask(of, json!({})), "board:list");
        }
        let with = site.visitor(speaks, "alice", "board:list");
        assert_eq!(with.list("tools"), ["post", "remove"]);
    }

    pub(super) fn posts_without_the_scope(site: &Site, speaks: Speaks) {
        let without = site.visitor(speaks, "alice", "");
        expect_missing(&without.post("board://mine", "a"), "board:write");
        let with = site.visitor(speaks, "alice", "board:write");
        expect_done(&with.post("board://mine", "b"));
        let read = expect_done(&without.read("board://mine"));
        assert_eq!(read["contents"][0]["text"], "b");
    }

    pub(super) fn removes_what_nobody_may_remove(site: &Site, speaks: Speaks) {
        let visitor = site.visitor(speaks, "alice", "");
        expect_done(&visitor.post("board://stays", "here"));
        let remove = |uri: &str| visitor.call("remove", &json!({"uri": uri}));
        let told = remove("board://stays");
        expect_alike(
            &told,
            "board://stays",
            &remove("board://never"),
            "board://never",
        );
        expect_done(&visitor.read("board://stays"));
    }

    pub(super) fn calls_a_tool_without_its_scope(site: &Site, speaks: Speaks) {
        for scopes in ["", "board:admin", "extra", "board:writ board:write:all"] {
            let without = site.visitor(speaks, "alice", scopes);
            expect_missing(&without.post("board://mine", "a"), "board:write");
            assert_eq!(without.list("tools"), ["remove"]);
        }
        for scopes in ["board:write", "extra board:admin"] {
            let with = site.visitor(speaks, "alice", scopes);
            expect_done(&with.post("board://mine", "a"));
            assert_eq!(with.list("tools"), ["post", "remove"]);
        }
    }

    pub(super) fn calls_a_tool_that_is_nobodys(site: &Site, speaks: Speaks) {
        let visitor = site.visitor(speaks, "alice", "board:admin");
        expect_done(&visitor.post("board://stays", "here"));
        assert_eq!(visitor.list("tools"), ["post"]);
        let arguments = json!({"uri": "board://stays"});
        let told = visitor.call("remove", &arguments);
        let never = visitor.call("rename", &arguments);
        expect_alike(&told, "remove", &never, "rename");
        expect_done(&visitor.read("board://stays"));
    }

    pub(super) fn gets_a_prompt_without_its_scope(site: &Site, speaks: Speaks) {
        let get = |scopes: &str, name: &str| {
            let visitor = site.visitor(speaks, "alice", scopes);
            visitor.ask("prompts/get", json!({"name": name}))
        };
        expect_missing(&get("", "test_prompt_with_image"), "prompts:get");
        expect_done(&get("prompts:get", "test_prompt_with_image"));
        expect_done(&get("", "test_simple_prompt"));
        let without = site.visitor(speaks, "alice", "");
        assert_eq!(without.list("prompts"), ["test_simple_prompt"]);
    }

    pub(super) fn completes_without_the_scope(site: &Site, speaks: Speaks) {
        let complete = |scopes: &str| {
            let visitor = site.visitor(speaks, "alice", scopes);
            let of = json!({"type": "ref/prompt", "name": "test_prompt_with_arguments"});
            let argument = json!({"name": "arg1", "value": "par"});
            visitor.ask(
                "completion/complete",
                json!({"ref": of, "argument": argument}),
            )
        };
        expect_missing(&complete(""), "complete");
        expect_done(&complete("complete"));
    }

    pub(super) fn has_a_broader_scope(site: &Site, speaks: Speaks) {
        site.home()
            .publish(&json!({"uri": "board://lunch", "contents": "soup"}));
        for broad in ["board:write", "board:admin", "board:read"] {
            let with = site.visitor(speaks, "alice", broad);
            expect_done(&with.read("board://lunch"));
        }
        let without = site.visitor(speaks, "alice", "board:wri");
        expect_missing(&without.read("board://lunch"), "board:read");
    }

    pub(super) fn writes_where_all_is_read_only(site: &Site, speaks: Speaks) {
        site.home()
            .publish(&json!({"uri": "board://lunch", "contents": "soup"}));
        let visitor = site.visitor(speaks, "alice", "board:write board:admin");
        let told = visitor.post("board://lunch", "salad");
        let never = visitor.call("rename", &json!({}));
        expect_alike(&told, "post", &never, "rename");
        assert_eq!(visitor.list("tools"), [""; 0]);
        assert_eq!(visitor.list("resources"), ["board://lunch"]);
        let mut stream = visitor.listens(&["board://lunch"]);
        site.home()
            .publish(&json!({"uri": "board://lunch", "contents": "stew"}));
        stream.wait_to_hear("notifications/resources/updated board://lunch");
        let read = expect_done(&visitor.read("board://lunch"));
        assert_eq!(read["contents"][0]["text"], "stew");
    }

    pub(super) fn does_anything_where_all_is_closed(site: &Site, speaks: Speaks) {
        site.home()
            .publish(&json!({"uri": "board://lunch", "contents": "soup"}));
        let visitor = site.visitor(speaks, "alice", "board:read");
        expect_done(&visitor.read("board://lunch"));
        for of in ["tools", "resources"] {
            let listed = visitor.ask(&format!("{of}/list"), json!({}));
            let is_empty = |it: &Value| it == &json!([]) || it.is_null();
            assert!(is_empty(&parsed(&listed)["result"][of]), "{listed:?}");
            assert!(!listed.body.contains("insufficient_scope"), "{listed:?}");
        }
        let arguments = json!({"uri": "board://lunch", "text": "salad"});
        let told = visitor.call("post", &arguments);
        expect_alike(&told, "post", &visitor.call("rename", &arguments), "rename");
    }

    pub(super) fn subscribes_without_the_scope(site: &Site, speaks: Speaks) {
        let without = site.visitor(speaks, "alice", "");
        let told = match speaks {
            Speaks::Legacy => without.ask("resources/subscribe", json!({"uri": "board://lunch"})),
            Speaks::Modern => without.ask(
                "subscriptions/listen",
                json!({"notifications": {"resourceSubscriptions": ["board://lunch"]}}),
            ),
        };
        expect_missing(&told, "board:hear");
        let with = site.visitor(speaks, "alice", "board:hear");
        let mut stream = with.listens(&["board://lunch"]);
        site.home().publish(&json!({"uri": "board://lunch"}));
        stream.wait_to_hear("notifications/resources/updated board://lunch");
    }
}

/// Nobody is asked who they are, and nobody may write.
#[test]
fn a_stranger_who_writes_where_all_is_read_only() {
    let scratch = scratch_folder("policy/strangers");
    let options = ["--policy", "read-only"];
    let server = Server::start_with(&options, App::Board, Placement::OneCore, &scratch);
    let url = server.mcp();
    let (fields, body) = super::super::client::reading("board://lunch");
    let fields = fields.each_ref().map(|(name, it)| (*name, it.as_str()));
    let item = json!({"uri": "board://lunch", "contents": "soup"});
    let published = super::client::post(&format!("{}/publish", server.admin()), &[], &item);
    assert_eq!(published.status, 200, "{published:?}");
    let read = super::client::post(&url, &fields, &body);
    assert_eq!(expect_done(&read)["contents"][0]["text"], "soup");
    let session = super::super::client::Session::open(&url);
    let listed = session.request("tools/list", json!({}), &[]);
    assert_eq!(parsed(&listed)["result"]["tools"], json!([]));
    let call = |name: &str| {
        let arguments = json!({"uri": "board://lunch", "text": "salad"});
        session.request(
            "tools/call",
            json!({"name": name, "arguments": arguments}),
            &[],
        )
    };
    expect_alike(&call("post"), "post", &call("rename"), "rename");
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

/// Nobody knows who they are; for the limits of one client they are whom the proxy names.
#[test]
fn strangers_who_are_taken_for_one() {
    let scratch = scratch_folder("policy/one_client");
    let options = ["--policy", "read-only", "--sessions-per-client-max", "1"];
    let server = Server::start_with(&options, App::Board, Placement::OneCore, &scratch);
    let open = |address: &str| {
        let fields = [("X-Forwarded-For", address)];
        super::super::client::initialize(&server.mcp(), &fields).status
    };
    assert_eq!((open("192.0.2.1"), open("192.0.2.2")), (200, 200));
    assert_eq!(open("192.0.2.1"), 429);
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}
