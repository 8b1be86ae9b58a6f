//! Real clients: the TypeScript SDKs of both generations and the Python SDK, in every revision that they speak.

use std::path::Path;

use crate::program::{Finished, run, scratch_folder};
use crate::server::Server;
use crate::tally::Tally;
use crate::{App, Placement, on_every_placement, tools};

on_every_placement! {
    typescript_v1_2024_11_05 => conformance("typescript_v1.mjs", OVER_SSE);
    typescript_v2_2024_11_05 => conformance("typescript_v2.mjs", OVER_SSE);
    python_2024_11_05 => conformance("python_client.py", OVER_SSE);
    board_2024_11_05 => board("board.mjs", OVER_SSE);
    typescript_v1_2025_03_26 => conformance("typescript_v1.mjs", "2025-03-26");
    typescript_v1_2025_06_18 => conformance("typescript_v1.mjs", "2025-06-18");
    typescript_v1_2025_11_25 => conformance("typescript_v1.mjs", "2025-11-25");
    typescript_v2_2025_11_25 => conformance("typescript_v2.mjs", "2025-11-25");
    typescript_v2_2026_07_28 => conformance("typescript_v2.mjs", "2026-07-28");
    python_2025_11_25 => conformance("python_client.py", "2025-11-25");
    python_2026_07_28 => conformance("python_client.py", "2026-07-28");
    board_2025_11_25 => board("board.mjs", "2025-11-25");
    board_2026_07_28 => board("board.mjs", "2026-07-28");
    python_board_2025_11_25 => board("python_board.py", "2025-11-25");
    python_board_2026_07_28 => board("python_board.py", "2026-07-28");
}

/// The revision whose transport is another one, and off unless a server is told to have it.
pub(crate) const OVER_SSE: &str = "2024-11-05";

/// A script of `tests/clients` and the revision that it speaks.
pub(crate) struct Client {
    pub(crate) app: App,
    script: &'static str,
    revision: &'static str,
}

pub(crate) fn conformance(script: &'static str, revision: &'static str) -> Client {
    Client {
        app: App::Conformance,
        script,
        revision,
    }
}

pub(crate) fn board(script: &'static str, revision: &'static str) -> Client {
    Client {
        app: App::Board,
        script,
        revision,
    }
}

impl Client {
    fn run(&self, placement: Placement, test: &str) {
        let scratch = scratch_folder(test);
        let server = Server::start_with(self.options(), self.app, placement, &scratch);
        let mut tally = self.check(&server.mcp(), &server.admin(), &[], &scratch);
        tally.expect(server.stop());
        tally.conclude(test);
    }

    /// What a server needs for it.
    pub(crate) fn options(&self) -> &'static [&'static str] {
        match self.revision {
            OVER_SSE => &["--legacy-sse"],
            _ => &[],
        }
    }

    /// All checks of the script, against whatever is there.
    pub(crate) fn check(
        &self,
        mcp: &str,
        admin: &str,
        environment: &[(&str, &Path)],
        scratch: &Path,
    ) -> Tally {
        let mut command = tools::script(self.script);
        command.args([mcp, admin, self.revision]);
        command.envs(environment.iter().copied());
        read_tap(&run(&mut command, &scratch.join("client.log")))
    }
}

/// Counts the checks of a script; the plan at its head tells how many there must be.
pub(crate) fn read_tap(finished: &Finished) -> Tally {
    let mut tally = Tally::default();
    let mut planned = None;
    let mut lines = finished.output.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(count) = line.strip_prefix("1..") {
            planned = count.trim().parse::<usize>().ok();
        } else if line.starts_with("ok ") {
            tally.pass();
        } else if line.starts_with("not ok ") {
            let mut failure = line.to_owned();
            while let Some(detail) = lines.next_if(|next| next.starts_with('#')) {
                failure = failure + "\n" + detail;
            }
            tally.fail(failure);
        }
    }
    if planned.is_none_or(|planned| planned == 0 || planned != tally.count()) {
        tally.fail(format!(
            "{planned:?} checks planned, {} told:\n{}",
            tally.count(),
            finished.output
        ));
    }
    if finished.status.success() != tally.all_passed() {
        tally.fail(format!(
            "the script's exit ({}) tells otherwise:\n{}",
            finished.status, finished.output
        ));
    }
    tally
}
