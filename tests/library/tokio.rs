//! Handlers that use crates which need tokio: an HTTP client that wants its reactor, a database that wants its timers and
//! its threads, and tasks of its own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use pinfold::app::{Context, Error, NoArguments, Toolkit};
use pinfold::testing::TestServer;
use serde_json::json;
use sqlx::sqlite::SqlitePoolOptions;

use crate::server::{Served, drivers};

/// Answers each request with a greeting, after a while.
fn slow_greeter() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("its own"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            std::thread::sleep(Duration::from_millis(20));
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

async fn count() -> Result<String, Error> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(60))
        .connect("sqlite::memory:")
        .await?;
    sqlx::query("CREATE TABLE loaf (flour TEXT)")
        .execute(&pool)
        .await?;
    for flour in ["rye", "wheat"] {
        let insert = sqlx::query("INSERT INTO loaf VALUES (?)").bind(flour);
        insert.execute(&pool).await?;
    }
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM loaf")
        .fetch_one(&pool)
        .await?;
    Ok(count.to_string())
}

async fn tasks(context: Context) -> Result<String, Error> {
    let slept = tokio::spawn(async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        std::thread::current().name().map(str::to_owned)
    });
    let elsewhere = slept.await?;
    tokio::time::timeout(
        Duration::from_secs(60),
        context.sleep(Duration::from_millis(10)),
    )
    .await?;
    let here = std::thread::current().name().map(str::to_owned);
    Ok(format!(
        "{} {}",
        elsewhere.unwrap_or_default(),
        here.unwrap_or_default()
    ))
}

fn app(url: &str) -> Toolkit {
    let url = url.to_owned();
    Toolkit::new("t", "1")
        .tool("get", "", move |_: NoArguments, _| {
            let url = url.clone();
            async move { Ok(reqwest::get(url).await?.error_for_status()?.text().await?) }
        })
        .tool("count", "", |_: NoArguments, _| count())
        .tool("tasks", "", |_: NoArguments, context| tasks(context))
}

#[test]
fn a_handler_whose_http_client_or_database_panics_for_want_of_a_reactor() {
    let url = slow_greeter();
    for driver in drivers() {
        let url = url.clone();
        let served = Served::start_with(driver, move || app(&url), |server| server.tokio(1));
        for _ in 0..3 {
            assert_eq!(served.text("get"), "hello");
        }
        assert_eq!(served.text("count"), "2");
        assert_eq!(served.text("tasks"), "tokio core-0");
    }
}

#[test]
fn a_server_without_tokio_fails_the_call_and_goes_on() {
    let url = slow_greeter();
    let served = Served::start_with(drivers()[1], move || app(&url), |server| server);
    let answer = served.call("get");
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert_eq!(served.call("tasks")["error"]["code"], -32603);
}

#[test]
fn a_test_without_a_network_of_a_handler_that_uses_one() {
    let server = TestServer::new(app(&slow_greeter())).tokio().real_time();
    for client in server.both_eras() {
        for (tool, answer) in [("get", "hello"), ("count", "2")] {
            let result = client.call_tool(tool, json!({})).expect("a result");
            assert_eq!(result.first_text(), Some(answer));
        }
    }
}

/// The threads end with the server: a hundred servers one after the other do not leave a hundred runtimes behind.
#[test]
fn threads_of_a_server_that_has_ended() {
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names
            .filter(|name| name.trim_end() == "of-this-test")
            .count()
    };
    let mut served = Served::start_with(
        drivers()[1],
        || {
            Toolkit::new("t", "1").tool("name", "", |_: NoArguments, _| async {
                let renamed = tokio::spawn(async {
                    std::fs::write("/proc/thread-self/comm", "of-this-test")?;
                    Ok::<_, std::io::Error>("done")
                });
                Ok(renamed.await??)
            })
        },
        |server| server.tokio(1),
    );
    assert_eq!(served.text("name"), "done");
    assert_eq!(threads(), 1);
    served.stop();
    let limit = std::time::Instant::now() + crate::server::LIMIT;
    while threads() > 0 {
        assert!(
            std::time::Instant::now() < limit,
            "a worker outlives its server"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
