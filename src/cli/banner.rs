//! What `pinfold serve` says once it listens: where, how, what it may cost, and what to try next.

use std::fmt::Write;
use std::net::SocketAddr;

use super::memory_estimate::{BillLine, human_bytes, sum_bytes};
use crate::wire::session_id::NodeName;

/// How a server started, in plain values.
#[derive(Clone, Debug)]
pub struct Started {
    /// As bound: the port is never 0.
    pub listen: SocketAddr,
    pub endpoint: String,
    pub admin: SocketAddr,
    pub admin_asks_for_token: bool,
    /// What a client shows to be let in.
    pub shown: ShownByClients,
    pub app: String,
    pub node: NodeName,
    pub cores: usize,
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    /// Why the driver is not the preferred one, and what to change.
    pub driver_note: Option<String>,
    pub estimate: Vec<BillLine>,
}

/// What somebody who tries the server has to bring along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownByClients {
    Nothing,
    /// A token of the file, which a client has in a file of its own.
    Token,
    /// One of an issuer.
    AccessToken,
    /// Nothing of their own: a proxy says who they are.
    WordOfProxy,
}

/// Several lines for people, each with its line end.
#[must_use]
pub fn banner(started: &Started) -> String {
    let mut text = String::new();
    write_banner(&mut text, started).expect("a String takes everything");
    text
}

fn write_banner(text: &mut String, started: &Started) -> std::fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    let token = if started.admin_asks_for_token {
        ", publishing needs the token"
    } else {
        ""
    };
    let cores = if started.cores == 1 { "core" } else { "cores" };

    writeln!(
        text,
        "pinfold {version}, node {}, application {}",
        started.node, started.app
    )?;
    writeln!(
        text,
        "  clients   http://{}{}",
        started.listen, started.endpoint
    )?;
    writeln!(text, "  admin     http://{}{token}", started.admin)?;
    writeln!(
        text,
        "  console   http://{}/console",
        reachable(started.admin)
    )?;
    writeln!(
        text,
        "  threads   {} {cores}, {}",
        started.cores, started.driver
    )?;
    if let Some(note) = &started.driver_note {
        writeln!(text, "  WARNING   {note}")?;
    }
    if !started.estimate.is_empty() {
        writeln!(text, "  memory    at most, if a limit is reached:")?;
    }
    for line in &started.estimate {
        writeln!(
            text,
            "    {:<26}{:>11} x {:>13} = {:>11}",
            line.consumer,
            human_bytes(line.each_bytes),
            line.count_max,
            human_bytes(line.total_bytes()),
        )?;
    }
    if !started.estimate.is_empty() {
        let sum = human_bytes(sum_bytes(&started.estimate));
        writeln!(text, "    {:<26}{:>41}", "together", sum)?;
    }
    write_tries(text, started)
}

/// Lines that work as they stand, but for the names of files.
fn write_tries(text: &mut String, started: &Started) -> std::fmt::Result {
    let client_url = format!("http://{}{}", reachable(started.listen), started.endpoint);
    let admin_url = format!("http://{}", reachable(started.admin));
    let authorization = if started.admin_asks_for_token {
        " -H 'Authorization: Bearer …'"
    } else {
        ""
    };
    writeln!(text, "Try, in two other terminals:")?;
    let watch = |more: &str| format!("pinfold watch --read {more}{client_url} board://lunch");
    match started.shown {
        ShownByClients::Nothing => writeln!(text, "  {}", watch(""))?,
        ShownByClients::Token => {
            let made = "a token, as `pinfold token new` printed it";
            writeln!(text, "  {}    # FILE: {made}", watch("--token-file FILE "))?;
        }
        ShownByClients::AccessToken => {
            let got = "an access token for this server";
            writeln!(text, "  {}    # FILE: {got}", watch("--token-file FILE "))?;
        }
        ShownByClients::WordOfProxy => {
            writeln!(
                text,
                "  any MCP client, through the proxy that says who it is"
            )?;
        }
    }
    writeln!(
        text,
        "  curl {admin_url}/publish{authorization} -d '{{\"uri\": \"board://lunch\", \"contents\": \"soup\"}}'"
    )
}

/// An address to connect to: a listener on all addresses is reached on loopback from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Started {
        Started {
            listen: "0.0.0.0:8080".parse().unwrap(),
            endpoint: "/mcp".into(),
            admin: "127.0.0.1:9464".parse().unwrap(),
            admin_asks_for_token: false,
            shown: ShownByClients::Nothing,
            app: "board".to_owned(),
            node: NodeName::new("alpha").unwrap(),
            cores: 2,
            driver: "io_uring",
            driver_note: None,
            estimate: vec![BillLine {
                consumer: "connection",
                each_bytes: 512,
                count_max: 2_000_000,
            }],
        }
    }

    #[test]
    fn the_banner_as_a_whole() {
        let expected = format!(
            "pinfold {}, node alpha, application board\n\
             \x20 clients   http://0.0.0.0:8080/mcp\n\
             \x20 admin     http://127.0.0.1:9464\n\
             \x20 console   http://127.0.0.1:9464/console\n\
             \x20 threads   2 cores, io_uring\n\
             \x20 memory    at most, if a limit is reached:\n\
             \x20   connection                      512 B x       2000000 =   976.5 MiB\n\
             \x20   together                                                  976.5 MiB\n\
             Try, in two other terminals:\n\
             \x20 pinfold watch --read http://127.0.0.1:8080/mcp board://lunch\n\
             \x20 curl http://127.0.0.1:9464/publish -d '{{\"uri\": \"board://lunch\", \"contents\": \"soup\"}}'\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner(&started()), expected);
    }

    #[test]
    fn a_line_to_try_that_is_answered_401() {
        let tried = |shown| {
            let text = banner(&Started { shown, ..started() });
            let lines: Vec<&str> = text.split("terminals:\n  ").collect();
            lines[1].lines().next().unwrap().to_owned()
        };
        let with_token =
            "pinfold watch --read --token-file FILE http://127.0.0.1:8080/mcp board://lunch";
        for shown in [ShownByClients::Token, ShownByClients::AccessToken] {
            assert!(tried(shown).starts_with(with_token), "{}", tried(shown));
        }
        assert!(tried(ShownByClients::Token).contains("`pinfold token new`"));
        assert!(tried(ShownByClients::WordOfProxy).contains("through the proxy"));
    }

    #[test]
    fn a_console_that_nobody_can_open_under_its_address() {
        let text = banner(&Started {
            admin: "[::]:9464".parse().unwrap(),
            ..started()
        });
        assert!(
            text.contains("console   http://[::1]:9464/console\n"),
            "{text}"
        );
    }

    #[test]
    fn a_start_without_io_uring_is_loud() {
        let text = banner(&Started {
            driver: "epoll",
            driver_note: Some("io_uring is forbidden here: …".into()),
            cores: 1,
            ..started()
        });
        assert!(text.contains("1 core, epoll\n"), "{text}");
        assert!(text.contains("WARNING   io_uring is forbidden"), "{text}");
    }

    #[test]
    fn the_command_to_try_has_the_token() {
        let text = banner(&Started {
            admin_asks_for_token: true,
            ..started()
        });
        assert!(text.contains("needs the token"), "{text}");
        assert!(text.contains("Authorization: Bearer"), "{text}");
    }
}
