//! axum with one route and a fixed answer: what a web framework costs before it does anything.

use axum::Router;
use axum::routing::{get, post};
use pinfold_bench_peers::{Outcome, argument, run, serve};

fn main() -> Outcome {
    let (listen, admin) = (argument("--listen")?, argument("--admin")?);
    run(async move {
        let ready = serve(&admin, Router::new().route("/readyz", get(|| async {})));
        let hello = serve(
            &listen,
            Router::new().route("/mcp", post(|| async { "hello" })),
        );
        tokio::try_join!(ready, hello).map(|_| ())
    })
}
