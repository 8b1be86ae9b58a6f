//! `pinfold cluster`: the nodes that share a Redis, as the one that is asked sees them.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::EXIT_USAGE;
use super::publish::{AdminClient, AdminFault, AdminTarget};
use super::table::{Table, plain, short_time};

pub const EXAMPLES: &str = "\
Examples:
  pinfold cluster
        which nodes there are, how each is, whether Redis is there, how far this node is behind
  pinfold cluster --admin http://10.0.0.2:9464 --token-file read-token
        as another node sees them
  pinfold cluster --json | jq -r '.nodes[] | select(.state != \"alive\") | .node'
        those that are not well, for scripts

HEARTBEAT is how long ago this node last found a new heartbeat of the other one in Redis. Each writes one every 0.5 s (1.5 s with
--on-owner-loss 404), and it is kept for 5 s. So a node that died or hangs is late after some 2 to 4 s, and gone up to about 10 s
after its last heartbeat. It is suspect as soon as it takes no connection when a request is passed on to it. draining is one from the
moment at which it begins to. restarted is an earlier process of a node that is there again.

Exit code: 0 it was shown, 1 refused, 2 wrong options, 3 no answer from the admin listener.";

#[derive(Args, Clone, Debug)]
pub struct ClusterCommand {
    #[command(flatten)]
    admin: AdminTarget,

    /// Print the answer of the admin listener as it is, for scripts
    #[arg(long)]
    json: bool,
}

/// Asks and shows; the exit code says how it went.
#[must_use]
pub fn run(options: &ClusterCommand) -> ExitCode {
    finished(shown(options))
}

/// Prints a text, or the sentence on why there is none.
pub(super) fn finished(shown: Result<String, AdminFault>) -> ExitCode {
    let (code, written) = match shown {
        Ok(text) => (0, write!(stdout(), "{text}")),
        Err((code, sentence)) => (code, writeln!(stderr(), "error: {sentence}")),
    };
    match written {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

fn shown(options: &ClusterCommand) -> Result<String, AdminFault> {
    let admin = AdminClient::new(&options.admin).map_err(|sentence| (EXIT_USAGE, sentence))?;
    let answer = admin.get("/cluster")?;
    Ok(match options.json {
        true => format!("{answer}\n"),
        false => render(&answer),
    })
}

fn render(answer: &Value) -> String {
    let mut text = String::new();
    let node = plain(answer["node"].as_str().unwrap_or("?"));
    match &answer["redis"] {
        Value::Null => {
            text += &format!("{node} is alone: it was given no Redis to share with others\n")
        }
        redis if redis["up"] == true => text += &format!("as {node} sees it: Redis is there"),
        _ => text += &format!("as {node} sees it: Redis is AWAY"),
    }
    let bus = &answer["bus"];
    if bus.is_object() {
        let behind = match (bus["behindEntries"].as_u64(), bus["behindMs"].as_u64()) {
            (Some(0), _) | (None, Some(0)) => "has all of the bus".to_owned(),
            (entries, ms) => format!(
                "is behind on the bus{} for {}",
                entries
                    .map(|count| format!(" by {count} entries"))
                    .unwrap_or_default(),
                short_time(ms.unwrap_or(0))
            ),
        };
        let queued = match bus["queued"].as_u64() {
            None | Some(0) => String::new(),
            Some(count) => format!("; {count} published here wait for it"),
        };
        let gaps = match bus["gaps"].as_u64() {
            None | Some(0) => String::new(),
            Some(count) => format!("; {count} gaps since it started"),
        };
        text += &format!(", this node {behind}{queued}{gaps}\n");
    }
    text + &table(answer).render()
}

fn table(answer: &Value) -> Table {
    let mut table = Table::new(&[
        "NODE",
        "STATE",
        "ADDRESS",
        ">HEARTBEAT",
        "VERSION",
        "INCARNATION",
    ]);
    for node in answer["nodes"].as_array().into_iter().flatten() {
        let of = |member: &str| plain(node[member].as_str().unwrap_or("-"));
        let name = match node["self"] == true {
            true => format!("{} *", of("node")),
            false => of("node"),
        };
        table.row([
            name,
            of("state"),
            of("address"),
            node["heartbeatAgeMs"]
                .as_u64()
                .map_or("-".to_owned(), short_time),
            of("version"),
            node["incarnation"].to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_redis_that_is_away_is_not_read_over() {
        let answer = json!({
            "node": "n1",
            "redis": {"up": false, "since": 1},
            "bus": {"lastOffset": 7, "behindEntries": null, "behindMs": 65_000, "queued": 3, "gaps": 0},
            "nodes": [
                {"node": "n1", "self": true, "address": "http://10.0.0.1:8080", "incarnation": 5, "state": "alive", "heartbeatAgeMs": 66_000, "version": "0.1.0"},
                {"node": "n2\u{1b}[2J", "self": false, "address": null, "incarnation": 6, "state": "gone", "heartbeatAgeMs": null},
            ],
        });
        let shown = render(&answer);
        for part in [
            "Redis is AWAY",
            "is behind on the bus for 1m 5s; 3 published here wait",
            "n1 *",
            "n2\u{fffd}[2J  gone",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
    }

    #[test]
    fn a_node_that_is_waited_for_longer_than_was_said() {
        assert!(EXAMPLES.contains("kept for 5 s"), "{EXAMPLES}");
        assert!(EXAMPLES.contains("up to about 10 s"), "{EXAMPLES}");
        let guide = include_str!("../../deploy/README.md");
        assert!(guide.contains("`gone` (its key lives for 5 s"));
        assert!(!guide.contains("no heartbeat for 3 s"));
    }

    #[test]
    fn a_node_that_is_alone() {
        let answer = json!({"node": "n1", "redis": null, "bus": null, "nodes": [
            {"node": "n1", "self": true, "address": "http://127.0.0.1:8080", "incarnation": 5, "state": "alive"},
        ]});
        let shown = render(&answer);
        assert!(shown.starts_with("n1 is alone"), "{shown}");
        assert!(shown.contains("127.0.0.1:8080"), "{shown}");
    }
}
