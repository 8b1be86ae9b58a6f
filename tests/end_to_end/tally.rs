//! What one test found, check by check, and the end of the test that follows from it.

use std::fmt::Write as _;
use std::io::Write as _;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    pub(crate) fn count(&self) -> usize {
        self.passed + self.failures.len()
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn expect(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.pass(),
            Err(what) => self.fail(what),
        }
    }

    /// Adds the counts to the file that `PINFOLD_TALLY` names, and panics if anything failed.
    pub(crate) fn conclude(self, test: &str) {
        let test = test.trim_start_matches("end_to_end::");
        let line = format!("{test}\t{}\t{}\n", self.passed, self.failures.len());
        if let Some(path) = std::env::var_os("PINFOLD_TALLY") {
            std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the tally can be written");
        }
        print!("{line}");
        let mut message = String::new();
        for failure in &self.failures {
            let _ = write!(message, "\n{failure}");
        }
        assert!(
            self.failures.is_empty(),
            "{} of {} checks failed:\n{message}",
            self.failures.len(),
            self.count()
        );
    }
}
