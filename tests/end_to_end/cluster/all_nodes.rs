//! `?cluster`: an operator asks one of three nodes and hears of all, ends sessions of others, and is told who did not answer.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::http1::Method;
use pinfold::internals::wire::peer_question::{PeerQuestion, QuestionKey};
use pinfold::internals::wire::session_id::NodeName;
use serde_json::{Value, json};

use super::client::{Session, initialize};
use super::identity::new_token;
use super::node::Node;
use super::redis::Redis;
use super::wait_until;
use crate::clients::read_tap;
use crate::program::{output_of, run, scratch_folder};
use crate::server::{App, Placement, binary};
use crate::terminal::Terminal;
use crate::tools;
use crate::waits::PATIENCE;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three nodes of one cluster, each of which knows all.
pub(crate) struct Three {
    pub(crate) nodes: [Node; 3],
    _redis: Redis,
    scratch: PathBuf,
}

impl Three {
    pub(crate) fn start(test: &str) -> Three {
        Three::start_with(test, &[])
    }

    fn start_with(test: &str, more: &[&str]) -> Three {
        let scratch = scratch_folder(&format!("cluster/all_nodes/{test}"));
        let redis = Redis::start(&scratch);
        let nodes = NAMES.map(|name| {
            let placed = Placement::OneCore;
            Node::start_placed(name, App::Board, placed, Some(&redis), more, &scratch)
        });
        let three = Three {
            nodes,
            _redis: redis,
            scratch,
        };
        for node in &three.nodes {
            wait_until("all three are known", || {
                let all = get(node, "/node?cluster");
                unanswered(&all).is_empty()
                    && all["nodes"].as_array().is_some_and(|it| it.len() == 3)
            });
        }
        three
    }

    pub(crate) fn stop(mut self) {
        Node::stop_all(&mut self.nodes);
    }
}

fn ask(node: &Node, method: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", node.admin());
    let request = ureq::http::Request::builder().method(method).uri(url);
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    let request = request.body(()).expect("a request");
    let answer = agent.run(request).expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.into_body().read_to_string().expect("a body");
    (status, serde_json::from_str(&text).expect("JSON"))
}

fn get(node: &Node, path: &str) -> Value {
    let (status, answer) = ask(node, "GET", path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

fn texts(rows: &Value, member: &str) -> Vec<String> {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row[member].as_str().expect("text").to_owned())
        .collect()
}

fn unanswered(answer: &Value) -> Vec<String> {
    texts(&answer["unanswered"], "node")
}

/// As operators call it: the id without its secret.
fn name_of(session: &Session) -> String {
    let dot = session.id.find('.').expect("a node's name leads the id");
    session.id[..dot + 1 + 24].to_owned()
}

fn sessions_on(node: &Node, count: usize) -> Vec<Session> {
    (0..count).map(|_| Session::open(&node.mcp())).collect()
}

fn pinfold(node: &Node, arguments: &[&str]) -> Output {
    let admin = node.admin();
    output_of(
        Command::new(binary())
            .args(arguments)
            .args(["--admin", &admin]),
    )
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_session_of_another_node_that_is_missed_or_shown_twice() {
    let three = Three::start("paged");
    let [a, b, c] = &three.nodes;
    let counts = [(a, 7), (b, 1), (c, 12)];
    let opened: Vec<Session> = counts
        .iter()
        .flat_map(|(node, count)| sessions_on(node, *count))
        .collect();
    let wanted: BTreeSet<String> = opened.iter().map(name_of).collect();
    for sort in ["age", "pending", "activity"] {
        for (order, limit) in [("asc", 1), ("desc", 3), ("asc", 20), ("desc", 7)] {
            let (mut shown, mut after) = (Vec::new(), String::new());
            let mut created: Vec<u64> = Vec::new();
            loop {
                let path =
                    format!("/sessions?cluster&sort={sort}&order={order}&limit={limit}{after}");
                let page = get(b, &path);
                assert_eq!(page["total"], 20, "{path}: {page}");
                assert!(unanswered(&page).is_empty(), "{page}");
                let rows = page["sessions"].as_array().expect("rows");
                assert!(rows.len() <= limit);
                created.extend(rows.iter().filter_map(|row| row["createdAt"].as_u64()));
                for row in rows {
                    let name = row["name"].as_str().expect("a name");
                    assert_eq!(row["node"].as_str(), name.split('.').next(), "{row}");
                    shown.push(name.to_owned());
                }
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(shown.len(), wanted.len(), "{sort} {order} {limit}");
            assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), wanted);
            if sort == "age" {
                // By age ascending the youngest is first.
                let is_right = |pair: &[u64]| match order {
                    "asc" => pair[0] + 2 >= pair[1],
                    _ => pair[0] <= pair[1] + 2,
                };
                assert!(created.windows(2).all(is_right), "{order}: {created:?}");
            }
        }
    }
    let of_c = get(a, "/sessions?cluster&node=c");
    assert_eq!(of_c["total"], 12, "{of_c}");
    let nobody = get(a, "/sessions?cluster&client=nobody-has-this");
    assert_eq!(
        (&nobody["total"], &nobody["next"]),
        (&json!(0), &Value::Null)
    );
    for bad in ["limit=0", "after=x", "what=1"] {
        let (status, answer) = ask(a, "GET", &format!("/sessions?cluster&{bad}"));
        assert_eq!(status, 400, "{answer}");
    }
    let output = pinfold(a, &["sessions", "list", "--cluster", "--json", "--all"]);
    let listed = lines(&output);
    let names = listed.iter().filter_map(|row| row["name"].as_str());
    assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    three.stop();
}

#[test]
fn a_session_that_ends_at_a_node_that_nobody_asked() {
    let three = Three::start("ended");
    let [a, b, c] = &three.nodes;
    let (one, other) = (Session::open(&c.mcp()), Session::open(&c.mcp()));
    let (name, path) = (name_of(&one), format!("/sessions/{}", name_of(&one)));
    // Without the word it is as it was, and the sentence says what there is.
    for method in ["GET", "DELETE"] {
        let (status, answer) = ask(a, method, &path);
        assert_eq!(status, 404, "{answer}");
        let sentence = answer["error"].as_str().expect("a sentence");
        assert!(sentence.contains("?cluster"), "{sentence}");
    }
    let detail = get(a, &format!("{path}?cluster"));
    assert_eq!(detail["name"], name.as_str());
    let (status, drained) = ask(a, "POST", &format!("{path}/drain?cluster"));
    assert_eq!(status, 202, "{drained}");
    assert_eq!(one.ping().status, 200, "it stays");
    let (status, ended) = ask(a, "DELETE", &format!("{path}?cluster"));
    assert_eq!((status, &ended["ended"]), (200, &json!(1)), "{ended}");
    one.ping().expect_gone("expired");
    assert_eq!(other.ping().status, 200, "another one goes on");
    let all = get(b, "/sessions/ended?cluster&limit=5");
    let ended = all["ended"].as_array().expect("rows");
    let row = ended.iter().find(|row| row["name"] == name.as_str());
    let row = row.unwrap_or_else(|| panic!("{all}"));
    assert_eq!(
        (&row["node"], &row["reason"]),
        (&json!("c"), &json!("operator"))
    );
    let (status, gone) = ask(b, "GET", &format!("{path}?cluster"));
    assert_eq!(
        (status, &gone["reason"]),
        (404, &json!("operator")),
        "{gone}"
    );
    let output = pinfold(a, &["sessions", "end", &name_of(&other), "--cluster"]);
    assert!(output.status.success(), "{output:?}");
    other.ping().expect_gone("expired");
    let unknown = name.replacen('c', "nowhere", 1);
    let (status, answer) = ask(a, "GET", &format!("/sessions/{unknown}?cluster"));
    assert_eq!(
        (status, unanswered(&answer)),
        (504, vec!["nowhere".to_owned()])
    );
    // Requests for a session go from node to node, too, and are counted.
    let passed_on = Session::open(&b.mcp()).through(&a.mcp());
    assert_eq!(passed_on.ping().status, 200);
    wait_until("it was counted", || {
        a.metric("pinfold_forwards_total") > 0.0
    });
    three.stop();
}

#[test]
fn a_principal_who_stays_at_one_node_of_three() {
    let tokens = scratch_folder("cluster/all_nodes/tokens").join("tokens");
    let ((alice, of_alice), (bob, of_bob)) = (new_token("alice"), new_token("bob"));
    std::fs::write(&tokens, of_alice + &of_bob).expect("a file can be written");
    let file = tokens.to_str().expect("a plain path");
    let three = Three::start_with("principal", &["--auth", "token", "--auth-token-file", file]);
    let [a, b, c] = &three.nodes;
    for (node, token) in [
        (a, &alice),
        (b, &alice),
        (b, &alice),
        (c, &alice),
        (c, &bob),
    ] {
        let opened = initialize(&node.mcp(), &[("Authorization", token.as_str())]);
        assert_eq!(opened.status, 200, "{opened:?}");
    }
    let all = get(a, "/sessions?cluster&sort=age&order=desc");
    let principal = all["sessions"][0]["principal"]
        .as_str()
        .expect("a principal");
    let (status, answer) = ask(a, "DELETE", "/sessions?cluster");
    assert_eq!(status, 400, "never all there are: {answer}");
    let of_alice = format!("/sessions?cluster&principal={principal}");
    assert_eq!(get(b, &of_alice)["total"], 4);
    let (status, ended) = ask(a, "DELETE", &of_alice);
    assert_eq!((status, &ended["ended"]), (200, &json!(4)), "{ended}");
    let of_each = [("a", 1), ("b", 2), ("c", 1)];
    let of_each = of_each.map(|(node, count)| json!({"node": node, "ended": count}));
    assert_eq!(ended["nodes"], json!(of_each));
    assert_eq!(get(b, &of_alice)["total"], 0);
    assert_eq!(get(a, "/sessions?cluster")["total"], 1, "bob's goes on");
    three.stop();
}

/// A killed node is named as long as it is remembered, a hung one for as long as it hangs.
#[test]
fn a_node_that_hangs_and_one_that_is_dead_and_an_answer_that_never_comes() {
    let mut three = Three::start("unanswered");
    for node in &three.nodes {
        sessions_on(node, 2);
    }
    three.nodes[1].hang();
    three.nodes[2].kill();
    let [a, b, c] = &three.nodes;
    let both = ["b".to_owned(), "c".to_owned()];
    for path in [
        "/node?cluster",
        "/sessions?cluster",
        "/sessions/ended?cluster",
    ] {
        let answer = get(a, path);
        assert_eq!(unanswered(&answer), both, "{path}: {answer}");
        let reasons = texts(&answer["unanswered"], "reason");
        assert!(reasons[0].contains("no answer within 2 s"), "{reasons:?}");
    }
    let list = get(a, "/sessions?cluster");
    assert_eq!((&list["total"], &list["next"]), (&json!(2), &Value::Null));
    let (status, ended) = ask(
        a,
        "DELETE",
        "/sessions?principal=dc18d98ab34b2f83b5913fec82dc81e9&cluster",
    );
    assert_eq!(
        (status, unanswered(&ended)),
        (200, both.to_vec()),
        "{ended}"
    );
    let output = pinfold(a, &["sessions", "list", "--cluster", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("b did not answer") && said.contains("c did not answer"),
        "{said}"
    );
    assert_eq!(lines(&output).len(), 2);
    // More questions than one node is asked at once: those that have no room are told so, and the node asked is well.
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..30)
            .map(|_| scope.spawn(|| get(a, "/node?cluster")))
            .collect();
        let answers = asked.into_iter().map(|it| it.join().expect("an answer"));
        let told: Vec<String> = answers
            .map(|answer| texts(&answer["unanswered"], "reason")[0].clone())
            .collect();
        assert!(
            told.iter()
                .any(|it| it.contains("as many questions as may be")),
            "{told:?}"
        );
    });
    b.go_on();
    wait_until("b answers again", || {
        unanswered(&get(a, "/node?cluster")) != both
    });
    assert!(!c.runs());
    three.stop();
}

fn raw(node: &Node, request: &str) -> String {
    let mut socket = TcpStream::connect(node.address()).expect("it listens");
    let limit = socket.set_read_timeout(Some(PATIENCE));
    limit.expect("a time limit can be set");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Whoever has the secret is a node: this test is one, once. Whoever repeats what it said is nobody.
#[test]
fn a_client_that_makes_up_a_question_or_repeats_one() {
    let three = Three::start("made_up");
    let [a, ..] = &three.nodes;
    let session = Session::open(&a.mcp());
    let incarnation = get(a, "/node")["incarnation"].as_u64().expect("a number");
    let secret = std::fs::read(three.scratch.join("peer-secret")).expect("a secret");
    let name = |name| NodeName::new(name).expect("a name");
    let question = PeerQuestion {
        from: name("z"),
        incarnation: 1,
        number: 1,
        method: Method::Get,
        target: "/sessions".into(),
    };
    let asked = |secret: &[u8], question: &PeerQuestion| {
        let key = QuestionKey::of(&PeerSecret::new(secret));
        let request = key.request(question, (name("a"), incarnation), "localhost");
        request.expect("a request")
    };
    let right = asked(&secret, &question);
    let made_up = asked(b"what somebody guesses", &question);
    let ordinary = right.replace("Pinfold-Question", "X-Question");
    let status = |answer: &str| answer.split(' ').nth(1).map(str::to_owned);
    for request in [&made_up, &ordinary, &right.replace("GET", "DELETE")] {
        let answer = raw(a, request);
        assert_eq!(status(&answer).as_deref(), Some("404"), "{answer}");
    }
    let answer = raw(a, &right);
    assert!(answer.contains(&name_of(&session)), "{answer}");
    assert!(!answer.contains(&session.id), "no secret leaves");
    let repeated = raw(a, &right);
    assert_eq!(status(&repeated).as_deref(), Some("404"), "{repeated}");
    assert!(!repeated.contains(&name_of(&session)), "{repeated}");
    for (target, wanted) in [("/publish", "404"), ("/drain", "404"), ("/node", "200")] {
        let question = PeerQuestion {
            number: question.number + target.len() as u64,
            target: target.into(),
            ..question.clone()
        };
        let answer = raw(a, &asked(&secret, &question));
        assert_eq!(status(&answer).as_deref(), Some(wanted), "{answer}");
    }
    wait_until("the log tells", || a.log().contains("came twice"));
    three.stop();
}

/// Another node's session, in `pinfold top --cluster` in a terminal.
fn end_with_keys(node: &Node, name: &str, scratch: &Path) {
    let options = ["--cluster", "--admin", &node.admin()];
    let mut terminal = Terminal::with_top(&options, (200, 60), scratch);
    let mut type_when = |words: &str, typed: &str| {
        terminal.until(words);
        terminal.types(typed);
    };
    // The text that is looked for leaves that one alone.
    type_when(name, &format!("/{name}\r"));
    type_when("nodes a, b, c", "e");
    type_when("y ends it", "y");
    type_when(&format!("{name} was ended"), "q");
    terminal.ends();
    let (status, gone) = ask(node, "GET", &format!("/sessions/{name}?cluster"));
    assert_eq!(
        (status, &gone["reason"]),
        (404, &json!("operator")),
        "{gone}"
    );
}

#[test]
fn an_operator_who_looks_at_three_nodes_in_a_browser_and_a_terminal() {
    let test =
        "cluster::all_nodes::an_operator_who_looks_at_three_nodes_in_a_browser_and_a_terminal";
    let three = Three::start("looked_at");
    let [a, b, c] = &three.nodes;
    sessions_on(b, 2);
    let output = pinfold(a, &["top", "--cluster", "--once", "--interval", "200ms"]);
    let frame = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for part in ["nodes a, b, c", "2/", "a 0", "b 0", "c 0", "b."] {
        assert!(frame.contains(part), "{part} is not in:\n{frame}");
    }
    end_with_keys(a, &name_of(&sessions_on(c, 1)[0]), &three.scratch);
    let script = |scratch: &Path| {
        let mut command = tools::browser_script("console_nodes.mjs");
        command.args([a, b, c].map(Node::mcp)).arg(a.admin());
        command.arg(scratch);
        run(&mut command, &scratch.join("client.log"))
    };
    let tally = read_tap(&script(&three.scratch));
    three.stop();
    tally.conclude(test);
}
