//! `pinfold upgrade`: the node goes on in a new process of its program, and no client notices. Asked of the admin listener.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::cluster::finished;
use super::publish::{AdminClient, AdminFault, AdminTarget};
use super::table::{counted, plain};
use super::{EXIT_NO_ANSWER, EXIT_USAGE};

pub const EXAMPLES: &str = "\
Examples:
  install pinfold-new /usr/local/bin/pinfold && pinfold upgrade --wait
        the new program takes over from the one that runs: connections, streams, sessions and subscriptions go along
  pinfold config check --config /etc/pinfold.toml && pinfold upgrade --wait
        the same program with what its configuration says now: limits and whatever else SIGHUP leaves to a restart
  systemctl reload pinfold
        the same under systemd: deploy/systemd/pinfold.service has this command as its ExecReload
  pinfold upgrade --admin http://10.0.0.2:9464 --token-file operate-token
        another machine's node

The running process starts the program that is now where it was started from, with the same arguments and environment. The new
one reads its configuration and says that it is ready; only then does the old one stand still for a moment, hand everything
over and end. Whatever goes wrong before that, the old process goes on, clients notice nothing, and this command
says why. Calls under way are waited for (--handover-grace of `pinfold serve`, 30s).

It cannot change where the node listens, its name, or how many cores it has, and a node that drains is not handed over: those
want a restart.

Exit code: 0 the new process has taken over (with --wait: and is ready), 1 it has not, and the old one goes on, 2 wrong options,
3 no answer from the admin listener, 4 it has taken over, and does not become ready or has ended: the old one is gone.";

/// A node may wait for calls as long as it was told to; when its process is gone, so is the connection to it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3_600);
/// For the new process to say that it is ready. One that waits for others, as for Redis, is so after 15 seconds at the latest.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

const EXIT_NOT_UPGRADED: u8 = 1;
const EXIT_UPGRADED_BADLY: u8 = 4;

#[derive(Args, Clone, Debug)]
pub struct UpgradeOptions {
    #[command(flatten)]
    admin: AdminTarget,

    /// Wait until the new process is ready (GET /readyz)
    #[arg(long)]
    wait: bool,
}

/// Asks for it and says what happened; the exit code says so, too.
#[must_use]
pub fn run(options: &UpgradeOptions) -> ExitCode {
    finished(upgrade(options))
}

fn upgrade(options: &UpgradeOptions) -> Result<String, AdminFault> {
    let usage = |sentence| (EXIT_USAGE, sentence);
    let asks = AdminClient::within(&options.admin, ANSWER_WITHIN).map_err(usage)?;
    let looks = AdminClient::within(&options.admin, LOOK_WITHIN).map_err(usage)?;
    let before = pid(&looks);
    let taken = match asks.post("/handover", &json!({})) {
        Ok((status, answer)) => taken_over(status, &answer)?,
        Err(sentence) => unheard(before, pid(&looks), sentence)?,
    };
    if !options.wait {
        return Ok(format!("{}\n", taken.sentence));
    }
    wait_until_ready(&looks, taken.pid)
        .map(|()| format!("{}; it is ready\n", taken.sentence))
        .map_err(|why| {
            (
                EXIT_UPGRADED_BADLY,
                format!("{}, but {why}", taken.sentence),
            )
        })
}

/// What is known of the process that took over.
#[derive(Debug)]
struct Successor {
    pid: u64,
    sentence: String,
}

fn taken_over(status: u16, answer: &Value) -> Result<Successor, AdminFault> {
    match (status, answer["pid"].as_u64(), answer["error"].as_str()) {
        (200, Some(pid), _) if answer["hasEnded"] == true => Err((
            EXIT_UPGRADED_BADLY,
            format!(
                "process {pid} took over and ended at once, so the old one has ended, too: nobody serves until whoever looks \
                 after the program starts it again (systemd does). The log says why it ended"
            ),
        )),
        (200, Some(pid), _) if answer["handedOver"] == true => Ok(Successor {
            pid,
            sentence: told(pid, answer),
        }),
        (404, ..) => Err((
            EXIT_NOT_UPGRADED,
            "this server is of a version that cannot be handed over: it wants a restart".to_owned(),
        )),
        (409, _, Some(why)) => Err((
            EXIT_NOT_UPGRADED,
            format!(
                "not upgraded: {}\nThe process that ran goes on, and no client has noticed.",
                plain(why)
            ),
        )),
        (_, _, Some(error)) => Err((EXIT_NOT_UPGRADED, format!("{status}: {}", plain(error)))),
        _ => Err((
            EXIT_NO_ANSWER,
            "this is not pinfold's admin listener".to_owned(),
        )),
    }
}

fn told(pid: u64, answer: &Value) -> String {
    let version = plain(answer["version"].as_str().unwrap_or("?"));
    let counted = |name: &str, one: &str| counted(answer[name].as_u64().unwrap_or_default(), one);
    let pause = answer["pauseMs"].as_f64().unwrap_or_default();
    let doubt = match answer["serves"].as_bool() {
        Some(false) => "; it did not say that it serves",
        _ => "",
    };
    format!(
        "pinfold {version} has taken over as process {pid}, with {} and {}, after a pause of {pause:.1} ms{doubt}",
        counted("connections", "connection"),
        counted("sessions", "session"),
    )
}

/// The answer did not come: the old process may have ended all the same.
fn unheard(before: Option<u64>, now: Option<u64>, why: String) -> Result<Successor, AdminFault> {
    match (before, now) {
        (Some(before), Some(now)) if before != now => Ok(Successor {
            pid: now,
            sentence: format!(
                "process {now} has taken over from {before}, which did not come to say so"
            ),
        }),
        (Some(pid), Some(_)) => Err((
            EXIT_NO_ANSWER,
            format!("{why}\nProcess {pid} goes on; its log says what became of the hand-over."),
        )),
        _ => Err((EXIT_NO_ANSWER, why)),
    }
}

/// Of the process that answers.
fn pid(admin: &AdminClient) -> Option<u64> {
    admin.get("/node").ok()?["pid"].as_u64()
}

/// The old process may answer for a moment yet.
fn wait_until_ready(admin: &AdminClient, new: u64) -> Result<(), String> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        let why = match (pid(admin) == Some(new), admin.words("/readyz")) {
            (true, Ok((200, _))) => return Ok(()),
            (true, Ok((_, why)) | Err(why)) => plain(&why),
            (false, _) => "another process answers, or none".to_owned(),
        };
        if Instant::now() >= until {
            let seconds = READY_WITHIN.as_secs();
            return Err(format!(
                "it is not ready after {seconds} s: {why}. Its log says more"
            ));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({
            "handedOver": true, "version": "0.2.0", "pid": 7, "connections": 1, "sessions": 2, "pauseMs": 11.26, "serves": true,
        })
    }

    #[test]
    fn a_successor_that_is_not_named() {
        let taken = taken_over(200, &answer()).expect("it took over");
        assert_eq!(taken.pid, 7);
        for part in [
            "0.2.0",
            "process 7",
            "1 connection ",
            "2 sessions",
            "11.3 ms",
        ] {
            assert!(taken.sentence.contains(part), "{part}: {}", taken.sentence);
        }
        let mut silent = answer();
        silent["serves"] = false.into();
        let taken = taken_over(200, &silent).expect("it took over");
        assert!(taken.sentence.contains("did not say"), "{}", taken.sentence);
    }

    #[test]
    fn a_refusal_that_leaves_an_operator_in_doubt() {
        let refused = json!({ "error": "a hand-over is under way already" });
        let (code, why) = taken_over(409, &refused).expect_err("it was refused");
        assert_eq!(code, EXIT_NOT_UPGRADED);
        assert!(
            why.contains("under way already") && why.contains("goes on"),
            "{why}"
        );
        let mut gone = answer();
        gone["hasEnded"] = true.into();
        let (code, why) = taken_over(200, &gone).expect_err("nobody serves");
        assert!(
            code == EXIT_UPGRADED_BADLY && why.contains("process 7 took over and ended"),
            "{why}"
        );
        let (code, _) = taken_over(404, &json!({})).expect_err("it is too old");
        assert_eq!(code, EXIT_NOT_UPGRADED);
        let (code, _) = taken_over(200, &json!({})).expect_err("it is something else");
        assert_eq!(code, EXIT_NO_ANSWER);
    }

    #[test]
    fn a_reload_that_systemd_ends_before_it_has_failed() {
        // The default of --handover-grace, and what the old process waits for: that the new one is there, and prepared.
        const GRACE_S: u64 = 30;
        const PREPARED_S: u64 = 10 + 30;
        let unit = include_str!("../../deploy/systemd/pinfold.service");
        let within = unit
            .lines()
            .find_map(|line| line.strip_prefix("TimeoutStartSec="));
        let within: u64 = within.expect("a limit").parse().expect("seconds");
        assert!(
            within > PREPARED_S + GRACE_S + READY_WITHIN.as_secs(),
            "{within} s"
        );
    }

    #[test]
    fn an_answer_that_was_lost_with_its_process() {
        let lost = || "it did not answer".to_owned();
        assert_eq!(unheard(Some(7), Some(8), lost()).expect("another").pid, 8);
        for (before, now) in [(Some(7), Some(7)), (Some(7), None), (None, Some(8))] {
            let (code, why) = unheard(before, now, lost()).expect_err("nobody knows");
            assert!(code == EXIT_NO_ANSWER && why.contains("did not answer"));
        }
    }
}
