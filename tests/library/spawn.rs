//! Work that outlives its call.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use futures_util::future::{Either, select};
use pinfold::app::{Context, NoArguments, Toolkit};

use crate::server::{LIMIT, Served, drivers};

/// Waits for a timer and for nothing else.
fn begin(context: &Context) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    let context = context.clone();
    Box::pin(async move { context.sleep(Duration::from_millis(300)).await })
}

fn app(done: Sender<()>) -> Toolkit {
    Toolkit::new("t", "1").tool("begin", "", move |_: NoArguments, context: Context| {
        let done = done.clone();
        async move {
            // Polled here first, as one of two that race.
            let work = begin(&context);
            let soon = Box::pin(std::future::ready(()));
            let Either::Right((_, work)) = select(work, soon).await else {
                return "too soon";
            };
            context.spawn(async move {
                work.await;
                let _ = done.send(());
            });
            "begun"
        }
    })
}

#[test]
fn work_begun_in_a_call_that_never_wakes_in_the_background() {
    for driver in drivers() {
        let (done, finished) = channel();
        let served = Served::start(driver, move || app(done.clone()));
        assert_eq!(served.text("begin"), "begun");
        finished.recv_timeout(LIMIT).expect("it goes on, and ends");
    }
}
