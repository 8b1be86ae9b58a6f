//! The console, `GET /console`, in a real Chromium: `tests/clients/console.mjs` against the program, `console_bad_days.mjs` against a
//! double of it on days that a real one seldom has. The scripts leave pictures of each view in the test's folder.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients::read_tap;
use crate::processes::Mark;
use crate::program::{run, scratch_folder};
use crate::publish::http::Exchange;
use crate::server::{App, Placement, Server};
use crate::tools;

/// For processes that were told to end to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// Ten thousand sessions of one client, as fast as they come.
const CROWDED: [&str; 8] = [
    "--sessions-max",
    "20000",
    "--sessions-per-client-max",
    "20000",
    "--initialize-per-second-max",
    "1000000",
    "--initialize-per-second-per-client-max",
    "1000000",
];

/// A node with a token for each role, and the scripts know them.
fn guarded(scratch: &Path) -> Server {
    let tokens = [
        ("--admin-token-file", "may-operate"),
        ("--admin-publish-token-file", "may-publish"),
        ("--admin-read-token-file", "may-read"),
    ];
    let mut options: Vec<String> = CROWDED.map(str::to_owned).into();
    for (option, token) in tokens {
        let file = scratch.join(token);
        std::fs::write(&file, token).expect("the scratch folder takes files");
        options.extend([option.to_owned(), file.display().to_string()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start_with(&options, App::Board, Placement::AtRandom, scratch)
}

/// Runs a script of the console; nothing that it started is there afterwards.
fn look(mut command: Command, scratch: &Path, server: Server, test: &str) {
    let mark = Mark::new();
    command.arg(scratch);
    mark.put_on(&mut command);
    let mut tally = read_tap(&run(&mut command, &scratch.join("client.log")));
    tally.expect(all_gone(&mark));
    tally.expect(server.stop());
    tally.conclude(test);
}

fn all_gone(mark: &Mark) -> Result<(), String> {
    let deadline = Instant::now() + GONE_LIMIT;
    loop {
        let left = mark.command_lines();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the script left these behind: {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_thing_that_an_operator_does_in_a_browser() {
    let test = "console::each_thing_that_an_operator_does_in_a_browser";
    let scratch = scratch_folder(test);
    let server = guarded(&scratch);
    let mut command = tools::browser_script("console.mjs");
    command.args([server.mcp(), server.admin()]);
    look(command, &scratch, server, test);
}

#[test]
fn days_on_which_a_node_does_not_answer_or_does_not_have_what_is_asked() {
    let test = "console::days_on_which_a_node_does_not_answer_or_does_not_have_what_is_asked";
    let scratch = scratch_folder(test);
    let server = Server::start(App::Board, Placement::OneCore, &scratch);
    let mut command = tools::browser_script("console_bad_days.mjs");
    command.arg(server.admin());
    look(command, &scratch, server, test);
}

#[test]
fn subscribers_that_are_counted_for_more_items_than_a_person_publishes() {
    let scratch = scratch_folder("console/counted");
    let server = Server::start(App::Board, Placement::AtRandom, &scratch);
    let mut exchange = Exchange::open(&server.admin());
    let items = |count| format!("[{}]", vec![r#"{"uri":"board://a"}"#; count].join(","));
    for (path, count, status) in [
        ("/publish?subscribers=true", 16, 200),
        ("/publish?subscribers=true", 17, 413),
        ("/publish", 17, 200),
    ] {
        exchange.post(path, "", &items(count));
        let (told, body) = exchange.response();
        assert_eq!(told, status, "{body}");
        let is_counted = body.contains("\"subscribers\":0");
        assert_eq!(is_counted, path.contains('?') && status == 200, "{body}");
    }
    server.stop().expect("a clean end");
}
