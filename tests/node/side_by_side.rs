//! Two nodes of one process: nothing of the one is the other's.

use pinfold::Node;

use crate::client::{ANY_PORT, Session, is_closed, named, small};

#[test]
fn a_node_that_hears_counts_or_ends_with_another_one() {
    let [a, b] = ["a", "b"].map(|name| {
        let builder = small(Node::builder(named(name))).admin(ANY_PORT).name(name);
        builder.start().expect("it starts")
    });
    let sessions = [&a, &a, &b].map(|node| Session::open(node.address()));
    let answers = sessions.each_ref().map(Session::whoami);
    assert_eq!(answers, ["a", "a", "b"]);
    let counts = [&a, &b].map(|node| node.counts().sessions);
    assert_eq!(counts, [2, 1]);
    assert!(
        a.metrics().contains("pinfold_sessions 2\n"),
        "{}",
        a.metrics()
    );
    let at = format!("http://{}/metrics", b.admin_address().expect("it has one"));
    let page = ureq::get(at)
        .call()
        .expect("a page")
        .into_body()
        .read_to_string();
    assert!(
        page.as_ref()
            .is_ok_and(|it| it.contains("pinfold_sessions 1\n")),
        "{page:?}"
    );
    // A session is its node's.
    let strange = sessions[0]
        .at(b.address())
        .call("ping", &serde_json::json!({}));
    assert!(strange.get("result").is_none(), "{strange}");

    let mut told = sessions[2].stream();
    assert!(sessions[2].subscribe("same://uri")["result"].is_object());
    let publish = |node: &Node, topic| node.publisher().publish(topic).expect("it is not busy");
    publish(&a, pinfold::app::Topic::Resource("same://uri".into()));
    a.stop();
    a.join_blocking().expect("it ends");
    assert!(is_closed(a.address()) && b.is_ready());
    assert_eq!(sessions[2].whoami(), "b");
    publish(&b, pinfold::app::Topic::Tools);
    let first = told.next().expect("the stream goes on");
    assert_eq!(
        first["method"], "notifications/tools/list_changed",
        "{first}"
    );
    b.stop();
    b.join_blocking().expect("it ends");
}
