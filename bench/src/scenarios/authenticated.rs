//! What it costs that somebody is asked who they are: requests with and without an access token, and streams of which each
//! is another principal's.
//!
//! Two servers that differ in `--auth` alone are measured in turns of one run. Tokens are signed by a key of the bench's own
//! (Ed25519) with about the claims that an identity provider of today writes; the server has the public key from a file.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::json;

use super::requests::with_a_tool;
use super::wrk::{Asked, Script, Wrk};
use super::{Common, SPARE_FILES, peers, progress, session};
use crate::Outcome;
use crate::issuer::Issuer;
use crate::loader::protocol::Protocol;
use crate::machine::LOADER_CPU;
use crate::machine::pin_to;
use crate::memory::{self, Sample, Span};
use crate::record::Record;
use crate::server::{Program, Server, Setup};
use crate::stats::Summary;
use crate::table::{Table, thousands};

#[derive(Clone, Debug, Parser, Serialize)]
pub(crate) struct AuthenticatedOptions {
    /// How often each is measured
    #[arg(
        long,
        default_value_t = 5,
        default_value_if("quick", ArgPredicate::IsPresent, "2"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    repetitions: u32,
    /// Seconds of each kind of request in one repetition
    #[arg(
        long,
        default_value_t = 3,
        default_value_if("quick", ArgPredicate::IsPresent, "1"),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seconds: u32,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Memory is the slope between so many streams …
    #[arg(long, default_value_t = 2_000)]
    few: usize,
    /// … and so many, each of another principal
    #[arg(long, default_value_t = 12_000)]
    many: usize,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Authenticated {
    requests: Vec<TokenCost>,
    streams: Vec<PrincipalCost>,
}

/// One kind of request.
#[derive(Serialize)]
struct TokenCost {
    script: Script,
    without: Rate,
    with_token: Rate,
    /// With a token by without, of one repetition.
    rate_ratio: Summary,
    /// CPU for each without a token by with one.
    cpu_ratio: Summary,
}

#[derive(Serialize)]
struct Rate {
    per_second: Summary,
    cpu_us: Summary,
}

/// One kind of stream.
#[derive(Serialize)]
struct PrincipalCost {
    client: Protocol,
    bytes_without: Summary,
    bytes_of_principal: Summary,
    without: Vec<Sample>,
    of_principal: Vec<Sample>,
}

/// One timed run.
#[derive(Clone, Copy)]
struct Timed {
    per_second: f64,
    cpu_us: f64,
}

/// An issuer whose key set lies in a file for as long as this lives.
struct Keys {
    issuer: Issuer,
    file: PathBuf,
    now: u64,
}

const ISSUER: &str = "https://login.example.com/realms/main";
const AUDIENCE: &str = "https://mcp.example.com/mcp";
const SCRIPTS: [Script; 3] = [Script::Ping, Script::CallLegacy, Script::CallModern];
const STREAMS: [Protocol; 2] = [Protocol::Legacy, Protocol::Modern];

pub(crate) fn run(options: &AuthenticatedOptions) -> Outcome<()> {
    if options.few >= options.many {
        return Err("--few must be less than --many".into());
    }
    peers::install(&[])?;
    let files = options.many as u64 + SPARE_FILES;
    let program = options.common.prepare(files, files)?.program;
    let record = Record::begin("authenticated", options)?;
    let keys = Keys::new()?;
    let bar = progress(options.repetitions as usize * 2);
    let mut timed = vec![[Vec::new(), Vec::new()]; SCRIPTS.len()];
    let mut streams: Vec<[Vec<Sample>; 2]> = STREAMS.iter().map(|_| Default::default()).collect();
    for _ in 0..options.repetitions {
        bar.set_message("requests");
        ask_both(options, &program, &keys, &mut timed)?;
        bar.inc(1);
        bar.set_message("streams");
        for (samples, client) in streams.iter_mut().zip(STREAMS) {
            let [without, of_principal] = samples;
            without.push(open(options, &program, None, client)?);
            of_principal.push(open(options, &program, Some(&keys), client)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let result = Authenticated {
        requests: SCRIPTS
            .iter()
            .zip(&timed)
            .map(|(&script, timed)| TokenCost::new(script, timed))
            .collect(),
        streams: STREAMS
            .into_iter()
            .zip(streams)
            .map(|(client, samples)| PrincipalCost::new(client, samples))
            .collect(),
    };
    record.end(&result, &tables(&result))
}

/// Each kind of request, of a server that asks nobody and of one that asks for a token.
fn ask_both(
    options: &AuthenticatedOptions,
    program: &Program,
    keys: &Keys,
    timed: &mut [[Vec<Timed>; 2]],
) -> Outcome<()> {
    let wrk = Wrk::new(options.connections, options.seconds);
    let token = keys.token(0);
    for (which, keys) in [None, Some(keys)].into_iter().enumerate() {
        let mut program = with_a_tool(program, "1")?;
        if let (Program::Other(launch), Some(keys)) = (&mut program, keys) {
            launch.arguments.extend(keys.arguments());
        }
        let server = Server::start(&program)?;
        let token = keys.map(|_| token.as_str());
        let sessions = match token {
            Some(token) => session::open_as(server.address(), options.connections, token)?,
            None => session::open(server.address(), options.connections)?,
        };
        for (index, script) in SCRIPTS.into_iter().enumerate() {
            let asked = Asked {
                server: server.address(),
                script,
                threads: 1,
                sessions: if script.in_session() { &sessions } else { &[] },
                token,
            };
            let checked = wrk.check(&asked)?;
            let before = server.cpu_time()?.all_ns;
            let run = wrk.time(&asked)?;
            let cpu_ns = server.cpu_time()?.all_ns - before;
            let faults = checked.faults() + run.faults();
            if faults > 0 {
                let sample = &checked.sample;
                return Err(format!("{}: {faults} faults: {sample}", script.text()).into());
            }
            timed[index][which].push(Timed {
                per_second: run.requests as f64 / run.duration_us * 1e6,
                cpu_us: cpu_ns as f64 / 1000.0 / run.requests as f64,
            });
        }
        pin_to(LOADER_CPU)?;
    }
    Ok(())
}

/// Streams that do nothing. With keys, each is another principal's.
fn open(
    options: &AuthenticatedOptions,
    program: &Program,
    keys: Option<&Keys>,
    client: Protocol,
) -> Outcome<Sample> {
    let arguments = keys.map(Keys::arguments).unwrap_or_default();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let setup = Setup {
        arguments: &arguments,
        ..Setup::default()
    };
    let server = Server::start_with(program, &setup)?;
    let mut loader = server.loader(client, 1)?;
    if let Some(keys) = keys {
        let tokens: Vec<String> = (0..options.many).map(|number| keys.token(number)).collect();
        loader.show(Box::new(move |number| {
            tokens.get(number).cloned().unwrap_or_default()
        }));
    }
    let span = Span {
        few: options.few,
        many: options.many,
        idle: Duration::ZERO,
    };
    memory::measure_of(&server, loader, span)
}

impl Keys {
    fn new() -> Outcome<Self> {
        let issuer = Issuer::ed25519("bench");
        let name = format!("pinfold-bench-keys-{}.json", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, Issuer::key_set(&[&issuer]))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Keys { issuer, file, now })
    }

    fn arguments(&self) -> Vec<String> {
        let jwks = self.file.display();
        vec![
            "--auth=jwt".to_owned(),
            format!("--auth-issuer={ISSUER}"),
            format!("--auth-audience={AUDIENCE}"),
            format!("--auth-jwks={jwks}"),
        ]
    }

    /// About a kilobyte, as identity providers of today make them.
    fn token(&self, number: usize) -> String {
        let subject = format!("{number:08x}-7c7b-4a9e-9d0c-6f3a1b2c3d4e");
        self.issuer.token(&json!({
            "iss": ISSUER, "sub": subject, "aud": [AUDIENCE, "account"], "iat": self.now, "exp": self.now + 86_400,
            "jti": subject, "azp": "desktop", "sid": "5a1f0c4e-0b7d-4d7e-8c55-5f0a9d8e7c6b",
            "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-main"]},
            "scope": "openid profile email board:read board:write", "email_verified": true, "name": "Alice Liddell",
            "preferred_username": "alice", "given_name": "Alice", "family_name": "Liddell", "email": "alice@example.com",
        }))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // It is a public key.
        let _ = fs::remove_file(&self.file);
    }
}

impl TokenCost {
    fn new(script: Script, [without, with_token]: &[Vec<Timed>; 2]) -> Self {
        let pairs = || without.iter().zip(with_token);
        TokenCost {
            script,
            without: Rate::of(without),
            with_token: Rate::of(with_token),
            rate_ratio: Summary::of(pairs().map(|(one, other)| other.per_second / one.per_second)),
            cpu_ratio: Summary::of(pairs().map(|(one, other)| one.cpu_us / other.cpu_us)),
        }
    }
}

impl Rate {
    fn of(timed: &[Timed]) -> Self {
        Rate {
            per_second: Summary::of(timed.iter().map(|it| it.per_second)),
            cpu_us: Summary::of(timed.iter().map(|it| it.cpu_us)),
        }
    }
}

impl PrincipalCost {
    fn new(client: Protocol, [without, of_principal]: [Vec<Sample>; 2]) -> Self {
        let bytes =
            |samples: &[Sample]| Summary::of(samples.iter().map(|it| it.anonymous_per_client));
        PrincipalCost {
            client,
            bytes_without: bytes(&without),
            bytes_of_principal: bytes(&of_principal),
            without,
            of_principal,
        }
    }
}

fn tables(result: &Authenticated) -> String {
    let mut requests = Table::new(&[
        "request",
        "requests/s",
        "with a token",
        "× without",
        "CPU µs each",
        "with a token",
        "without × by it",
    ]);
    for it in &result.requests {
        requests.row([
            it.script.text().to_owned(),
            thousands(it.without.per_second.median),
            thousands(it.with_token.per_second.median),
            format!("{:.3}", it.rate_ratio.median),
            format!("{:.2}", it.without.cpu_us.median),
            format!("{:.2}", it.with_token.cpu_us.median),
            format!("{:.3}", it.cpu_ratio.median),
        ]);
    }
    let mut streams = Table::new(&["idle stream", "user bytes", "of a principal each", "more"]);
    for it in &result.streams {
        let (without, of_principal) = (it.bytes_without.median, it.bytes_of_principal.median);
        streams.row([
            format!("{:?}", it.client),
            thousands(without),
            thousands(of_principal),
            thousands(of_principal - without),
        ]);
    }
    format!(
        "\nRequests with and without an access token; medians, and of the ratios those of each repetition\n\n{}\n\
         Memory for each idle stream, median slopes. What is remembered of a token that was verified is in it, up to its \
         bound.\n\n{}",
        requests.text(),
        streams.text()
    )
}
