//! Alice's area and her tenant's, and Eve, who has others: read, hear, list, post and remove, at the node where Alice's things are and
//! through another one.

use serde_json::{Value, json};

use super::{BOTH, Site, Visitor, expect_alike, expect_done};
use crate::server::App;

const AREAS: &str = "[policy.resources]\n'board://people/{subject}/*' = 'anyone'\n'board://tenants/{tenant}/*' = 'anyone'\n";

/// What is Alice's, and what never was, in an area of Eve's.
const PAIRS: [(&str, &str); 2] = [
    ("board://people/alice/diary", "board://people/eve/nothing"),
    ("board://tenants/acme/plan", "board://tenants/evil/nothing"),
];

/// A test for each function: Eve asks the node where Alice's things are, and then the other one, in both eras.
macro_rules! at_both_nodes {
    ($($name:ident)*) => {
        $(#[test] fn $name() {
            let test = concat!("policy/areas/", stringify!($name));
            let site = Site::start_nodes(test, &["a", "b"], App::Board, AREAS);
            let alice = site.visitor(BOTH[1], "alice", "");
            for (uri, _) in PAIRS {
                expect_done(&alice.post(uri, "secret"));
            }
            for node in &site.nodes {
                for speaks in BOTH {
                    let eve = site.visitor_of(node, speaks, "eve", "");
                    checks::$name(&site, &alice, &eve);
                }
            }
            for (uri, _) in PAIRS {
                let read = expect_done(&alice.read(uri));
                assert_eq!(read["contents"][0]["text"], "secret");
            }
            site.stop();
        })*
    };
}

at_both_nodes! {
    reads_what_is_hers
    lists_what_is_hers
    completes_what_is_hers
    posts_in_her_name
    removes_what_is_hers
    hears_of_what_is_hers
    spells_it_in_another_way
}

fn remove(visitor: &Visitor<'_>, uri: &str) -> super::Answer {
    visitor.call("remove", &json!({"uri": uri}))
}

mod checks {
    use super::*;

    pub(super) fn reads_what_is_hers(_: &Site, _: &Visitor<'_>, eve: &Visitor<'_>) {
        for (uri, nothing) in PAIRS {
            expect_alike(&eve.read(uri), uri, &eve.read(nothing), nothing);
        }
    }

    pub(super) fn lists_what_is_hers(_: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        let mut hers = alice.list("resources");
        hers.sort();
        assert_eq!(hers, PAIRS.map(|(uri, _)| uri));
        assert_eq!(eve.list("resources"), [""; 0]);
    }

    pub(super) fn completes_what_is_hers(_: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        let complete = |who: &Visitor<'_>, value: &str| {
            let of = json!({"type": "ref/resource", "uri": "board://{+path}"});
            let argument = json!({"name": "path", "value": value});
            let answer = who.ask(
                "completion/complete",
                json!({"ref": of, "argument": argument}),
            );
            expect_done(&answer)["completion"]["values"].clone()
        };
        for (beginning, hers) in [
            ("people/", "people/alice/diary"),
            ("tenants/a", "tenants/acme/plan"),
        ] {
            assert_eq!(complete(alice, beginning), json!([hers]));
            assert_eq!(complete(eve, beginning), json!([]));
        }
    }

    pub(super) fn posts_in_her_name(_: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        for (uri, _) in PAIRS {
            let told = eve.post(uri, "forged");
            assert!(!told.body.contains("Posted"), "{told:?}");
            assert!(!told.body.contains("insufficient_scope"), "{told:?}");
            let read = expect_done(&alice.read(uri));
            assert_eq!(read["contents"][0]["text"], "secret");
        }
        let own = "board://people/eve/note";
        expect_done(&eve.post(own, "mine"));
        expect_done(&remove(eve, own));
    }

    pub(super) fn removes_what_is_hers(_: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        for (uri, nothing) in PAIRS {
            expect_alike(&remove(eve, uri), uri, &remove(eve, nothing), nothing);
            expect_done(&alice.read(uri));
        }
    }

    /// What is published to everybody comes later than what she should not hear of.
    pub(super) fn hears_of_what_is_hers(site: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        let own = "board://people/eve/box";
        let [(diary, _), (plan, _)] = PAIRS;
        let mut stream = eve.listens(&[diary, plan, own, "board://people/./alice/diary"]);
        let mut hers = alice.listens(&[diary, plan]);
        for uri in [diary, plan] {
            site.home().publish(&json!({"uri": uri}));
            hers.wait_to_hear(&format!("notifications/resources/updated {uri}"));
        }
        site.home().publish(&json!({"uri": own}));
        stream.wait_to_hear(&format!("notifications/resources/updated {own}"));
        let heard = stream.heard.join(", ");
        for words in ["alice", "acme"] {
            assert!(!heard.contains(words), "{heard}");
        }
    }

    pub(super) fn spells_it_in_another_way(_: &Site, alice: &Visitor<'_>, eve: &Visitor<'_>) {
        for uri in [
            "board://people/%61lice/diary",
            "BOARD://people/alice/diary",
            "board://people%2Falice/diary",
            "board://people/alice%2Fdiary",
            "board://people/eve/../alice/diary",
            "board://people/./alice/diary",
            "board://PEOPLE/alice/diary",
            "board://people//alice/diary",
        ] {
            for told in [eve.read(uri), remove(eve, uri), eve.post(uri, "forged")] {
                assert!(!told.body.contains("secret"), "{uri}: {told:?}");
                let read: Value = expect_done(&alice.read(PAIRS[0].0));
                assert_eq!(read["contents"][0]["text"], "secret", "{uri}");
            }
            remove(eve, uri);
        }
    }
}
