//! What is told: for people in two tables with sentences below them, for programs as one object.

use serde_json::{Value, json};

use super::DeployWay;
use super::cost::{DeployCost, DeployVerdict, DrainCost, HandoverCost, NodeCost};
use crate::cli::table::{Table, counted, short_time};

/// For people.
pub(super) fn text(cost: &DeployCost, by: DeployWay) -> String {
    let count = cost.nodes.len();
    let sum = |of: fn(&NodeCost) -> u64| cost.nodes.iter().map(of).sum::<u64>();
    let mut text = format!(
        "{} as {} sees it: {} and {}\n",
        counted(count as u64, "node"),
        cost.asked,
        counted(sum(|it| it.found.tally.sessions), "session"),
        counted(sum(|it| it.found.tally.listen_streams), "listen stream"),
    );
    text += &format!(
        "\nBy a hot hand-over of each node (pinfold upgrade): {}.\n{}",
        verdict_in_words(cost, DeployWay::Handover),
        handovers(cost).render()
    );
    for node in &cost.nodes {
        text += &about_handover(node);
    }
    text += &format!(
        "\nBy a drain of each node, one after the other (a restart, a new pod): {}.\n{}",
        verdict_in_words(cost, DeployWay::Drain),
        drains(cost).render()
    );
    for node in &cost.nodes {
        text += &about_drain(node);
    }
    if sum(|it| it.found.tally.streams + it.found.tally.listen_streams) > 0 {
        text += "All streams end, and their clients come back.\n";
    }
    if cost.nodes.iter().any(|it| it.found.calls != Some(0)) {
        text += "Calls under way have until the drain is over.\n";
    }
    text + &about_silent(cost) + conclusion(cost.verdict(by), by)
}

fn handovers(cost: &DeployCost) -> Table {
    let mut table = Table::new(&[
        "NODE",
        "VERSION",
        "STATE",
        "HAND-OVER",
        ">CALLS",
        ">IN SESSIONS",
        ">PASSED ON",
    ]);
    for node in &cost.nodes {
        let found = &node.found;
        let may = match node.handover {
            HandoverCost::Nothing { .. } => "possible",
            HandoverCost::Refused(_) => "no",
            HandoverCost::Unknown(_) => "unknown",
        };
        table.row([
            found.name.clone(),
            found.version.clone(),
            found.state.clone(),
            may.to_owned(),
            number(found.calls),
            found.tally.calling.to_string(),
            number(found.passed_on),
        ]);
    }
    table
}

fn about_handover(node: &NodeCost) -> String {
    let (name, found) = (&node.found.name, &node.found);
    match &node.handover {
        HandoverCost::Refused(why) => format!("{name} cannot be handed over: {why}.\n"),
        HandoverCost::Unknown(why) => format!("{name}: {why}.\n"),
        HandoverCost::Nothing { .. } if found.calls == Some(0) && found.passed_on == Some(0) => {
            String::new()
        }
        HandoverCost::Nothing { grace_ms } => {
            let passed_on = match found.passed_on {
                Some(0) => String::new(),
                some => format!(
                    " and {} passed on to another node",
                    perhaps(some, "request")
                ),
            };
            let grace = grace_ms.map_or_else(|| "an unknown time".to_owned(), short_time);
            format!(
                "{name}: {}{passed_on} under way hold it up: it waits for them for {grace}, and is then refused, with nothing lost.\n",
                perhaps(found.calls, "call"),
            )
        }
    }
}

/// Of a table.
fn number(said: Option<u64>) -> String {
    said.map_or_else(|| "unknown".to_owned(), |it| it.to_string())
}

fn perhaps(said: Option<u64>, one: &str) -> String {
    match said {
        Some(count) => counted(count, one),
        // As many as there may be: the plural.
        None => counted(0, one).replacen('0', "an unknown number of", 1),
    }
}

fn drains(cost: &DeployCost) -> Table {
    let mut table = Table::new(&[
        "NODE",
        ">SESSIONS",
        ">MOVE",
        ">END",
        ">UNKNOWN",
        ">STREAMS",
        ">LISTEN STREAMS",
        ">CALLS",
    ]);
    for NodeCost { found, drain, .. } in &cost.nodes {
        let tally = &found.tally;
        let numbers = [
            tally.sessions,
            drain.moves,
            drain.ended(),
            drain.unknown,
            tally.streams,
            tally.listen_streams,
        ];
        let numbers = numbers.into_iter().map(Some).chain([found.calls]);
        let numbers = numbers.map(number);
        table.row([found.name.clone()].into_iter().chain(numbers));
    }
    table
}

fn about_drain(node: &NodeCost) -> String {
    let name = &node.found.name;
    let mut text = String::new();
    for (why, count) in &node.drain.ends {
        let (sessions, verb) = (counted(*count, "session"), ends(*count));
        text += &format!("{name}: {sessions} {verb}: {}\n", reason(why));
    }
    if node.drain.unknown > 0 {
        text += &format!(
            "{name}: whether {} end or move is not known: it does not say so of them, or the nodes that are left do not say what they take\n",
            counted(node.drain.unknown, "session")
        );
    }
    text
}

const fn ends(count: u64) -> &'static str {
    if count == 1 { "ends" } else { "end" }
}

/// The word, and what it means.
fn reason(word: &str) -> String {
    let sentence = match word {
        "too_large" => "they are subscribed to more than their records in Redis take",
        "http_sse" => "a session of a client of 2024-11-05 is its stream",
        "off" => "sessions end with their node there",
        "no_other_node" => "no other node is there to go on with them",
        "no_room" => "the other nodes have no room for them (--sessions-max)",
        "redis_away" => "Redis is away, by which another node would have them",
        other => return other.to_owned(),
    };
    format!("{word}: {sentence}")
}

fn about_silent(cost: &DeployCost) -> String {
    let lines = cost
        .silent
        .iter()
        .map(|(name, silent)| match silent.is_gone {
            true => format!("{name} is gone: there is nothing of it to be deployed\n"),
            false => format!("{name} did not answer: {}\n", silent.reason),
        });
    lines.collect()
}

fn verdict_in_words(cost: &DeployCost, by: DeployWay) -> String {
    match cost.verdict(by) {
        DeployVerdict::NothingIsLost => "no session is lost".to_owned(),
        DeployVerdict::SomethingIsLost => {
            let losing = cost.nodes.iter();
            let losing = losing.filter(|it| it.verdict(by) == DeployVerdict::SomethingIsLost);
            let count = losing.map(|it| it.drain.ended()).sum();
            format!("{} lost", are(count))
        }
        DeployVerdict::Unknown => "what is lost could not be found out".to_owned(),
    }
}

fn are(count: u64) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(count, "session"))
}

const fn conclusion(verdict: DeployVerdict, by: DeployWay) -> &'static str {
    match (verdict, by) {
        (DeployVerdict::NothingIsLost, DeployWay::Handover) => {
            "\nNothing is lost: hand over one node after the other.\n"
        }
        (DeployVerdict::NothingIsLost, DeployWay::Drain) => {
            "\nNothing is lost: drain one node after the other.\n"
        }
        (DeployVerdict::SomethingIsLost, _) => "\nSomething would be lost.\n",
        (DeployVerdict::Unknown, _) => "\nIt could not be found out.\n",
    }
}

/// For programs.
pub(super) fn json(cost: &DeployCost, by: DeployWay) -> Value {
    let silent = cost.silent.iter();
    let silent =
        silent.map(|(name, it)| json!({ "node": name, "reason": it.reason, "gone": it.is_gone }));
    json!({
        "node": cost.asked,
        "by": way(by),
        "verdict": word(cost.verdict(by)),
        "handover": word(cost.verdict(DeployWay::Handover)),
        "drain": word(cost.verdict(DeployWay::Drain)),
        "nodes": cost.nodes.iter().map(node_json).collect::<Value>(),
        "unanswered": silent.collect::<Value>(),
    })
}

fn node_json(node: &NodeCost) -> Value {
    let NodeCost {
        found,
        handover,
        drain: DrainCost {
            moves,
            ends,
            unknown,
        },
    } = node;
    let (possible, why, grace_ms) = match handover {
        HandoverCost::Nothing { grace_ms } => (Some(true), None, *grace_ms),
        HandoverCost::Refused(why) => (Some(false), Some(why.as_str()), None),
        HandoverCost::Unknown(why) => (None, Some(*why), None),
    };
    let tally = &found.tally;
    json!({
        "node": found.name,
        "version": found.version,
        "state": found.state,
        "handover": {
            "possible": possible,
            "why": why,
            "graceMs": grace_ms,
            "calls": found.calls,
            "sessionsWithCalls": tally.calling,
            "passedOn": found.passed_on,
        },
        "drain": {
            "sessions": tally.sessions,
            "move": moves,
            "end": ends,
            "unknown": unknown,
            "streams": tally.streams,
            "listenStreams": tally.listen_streams,
            "calls": found.calls,
        },
    })
}

const fn way(by: DeployWay) -> &'static str {
    match by {
        DeployWay::Handover => "handover",
        DeployWay::Drain => "drain",
    }
}

const fn word(verdict: DeployVerdict) -> &'static str {
    match verdict {
        DeployVerdict::NothingIsLost => "nothing_is_lost",
        DeployVerdict::SomethingIsLost => "something_is_lost",
        DeployVerdict::Unknown => "unknown",
    }
}
