//! What a call may ask of the engine, for calls that ask for nothing.

use std::pin::Pin;
use std::rc::Rc;

use pinfold::PrincipalId;
use pinfold::app::Topic;
use pinfold::app::call::{AskFailed, Link, WorkLost};
use serde_json::value::RawValue;

struct NoLink;

pub(crate) fn new() -> Rc<dyn Link> {
    Rc::new(NoLink)
}

type Promise<T> = Pin<Box<dyn Future<Output = T>>>;

const ASKED: &str = "these calls ask for nothing";

impl Link for NoLink {
    fn notify(&self, _: &str, _: &str) {}
    fn log(&self, _: u8, _: &str) {}
    fn ask(&self, _: &str, _: &str) -> Promise<Result<Box<RawValue>, AskFailed>> {
        panic!("{ASKED}")
    }
    fn close_stream(&self) {}
    fn publish(&self, _: Topic) {}
    fn publish_to(&self, _: PrincipalId, _: Topic) {}
    fn seal(&self, _: &[u8]) -> String {
        panic!("{ASKED}")
    }
    fn unseal(&self, _: &str) -> Option<Vec<u8>> {
        panic!("{ASKED}")
    }
    fn unix_ms(&self) -> u64 {
        0
    }
    fn sleep_ms(&self, _: u64) -> Promise<()> {
        panic!("{ASKED}")
    }
    fn run_blocking(&self, _: Box<dyn FnOnce() + Send>) -> Promise<Result<(), WorkLost>> {
        panic!("{ASKED}")
    }
    fn spawn(&self, _: Promise<()>) {
        panic!("{ASKED}")
    }
}
