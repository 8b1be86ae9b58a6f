use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::cluster::steering::cookie_value;
use crate::scratch;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: TraefikOptions,
}

fn site(line: &str) -> Result<Site, String> {
    let words = std::iter::once("traefik").chain(line.split_whitespace());
    let line = Line::try_parse_from(words).map_err(|wrong| wrong.to_string())?;
    Site::check(&line.options)
}

fn read(text: &str) -> Value {
    serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn dynamic(line: &str) -> Value {
    read(&dynamics::emit(&site(line).expect("options that fit")))
}

fn refusal(line: &str) -> String {
    site(line).expect_err("an option that cannot be used")
}

const TWO: &str = "--node a=http://10.0.0.1:8080 --node b=http://10.0.0.2:8080";

#[test]
fn a_session_goes_to_its_node_and_else_to_whoever_lives() {
    let http = &dynamic(TWO)["http"];
    assert_eq!(
        http["routers"]["pinfold-node-a"],
        json!({
            "rule": r"PathPrefix(`/mcp`) && HeaderRegexp(`Mcp-Session-Id`, `^a\.`)",
            "priority": 2000,
            "entryPoints": ["websecure"],
            "middlewares": ["pinfold-retry"],
            "tls": {},
            "service": "pinfold-node-a",
        })
    );
    let services = &http["services"];
    assert_eq!(
        services["pinfold-node-b"],
        json!({"failover": {"service": "pinfold-only-b", "fallback": "pinfold-mcp"}})
    );
    assert_eq!(
        services["pinfold-only-b"]["loadBalancer"],
        json!({
            "servers": [{"url": "http://10.0.0.2:8080"}],
            "serversTransport": "pinfold",
            "healthCheck": {"path": "/readyz", "interval": "1s", "timeout": "1s"},
        })
    );
}

#[test]
fn the_cookie_is_for_the_endpoint_only() {
    let http = &dynamic(&format!(
        "{TWO} --rest http://10.0.0.7:3000,http://10.0.0.8:3000"
    ))["http"];
    assert_eq!(
        http["services"]["pinfold-mcp"]["loadBalancer"]["sticky"],
        json!({"cookie": {
            "name": "_mcp_backend", "httpOnly": true, "secure": true, "sameSite": "strict", "path": "/mcp",
        }})
    );
    assert_eq!(
        http["services"]["pinfold-rest"],
        json!({"loadBalancer": {"servers": [{"url": "http://10.0.0.7:3000"}, {"url": "http://10.0.0.8:3000"}]}})
    );
    let priority = |router: &str| http["routers"][router]["priority"].as_u64();
    assert!(priority("pinfold-rest") < priority("pinfold-mcp"));
    assert!(priority("pinfold-mcp") < priority("pinfold-node-a"));
    assert!(priority("pinfold-node-a") < priority("pinfold-documents"));
}

#[test]
fn a_document_that_a_site_hides_or_gives_a_cookie_to() {
    let of = |line: &str| {
        let http = dynamic(&format!("{TWO} {line}"))["http"].clone();
        let rule = http["routers"]["pinfold-documents"]["rule"].clone();
        (rule, http["services"]["pinfold-documents"].clone())
    };
    let (rule, service) = of("--host a.example");
    assert_eq!(
        rule,
        "Host(`a.example`) && (Path(`/mcp/server-card`) || Path(`/.well-known/ai-catalog.json`) || \
         Path(`/.well-known/oauth-protected-resource`) || Path(`/.well-known/oauth-protected-resource/mcp`))"
    );
    assert_eq!(
        service["loadBalancer"]["servers"],
        json!([{"url": "http://10.0.0.1:8080"}, {"url": "http://10.0.0.2:8080"}])
    );
    assert!(service["loadBalancer"]["sticky"].is_null());
    let (rule, _) = of("--endpoint /");
    assert_eq!(
        rule,
        "(Path(`/server-card`) || Path(`/.well-known/ai-catalog.json`) || Path(`/.well-known/oauth-protected-resource`))"
    );
    let (rule, _) = of("--rest http://10.0.0.7:3000 --rest-has-catalog");
    let rule = rule.as_str().expect("a rule");
    assert!(!rule.contains("ai-catalog") && rule.contains("server-card"));
}

#[test]
fn less_affinity_is_less_configuration() {
    let cookie = dynamic(&format!("{TWO} --affinity cookie"));
    let none = dynamic(&format!("{TWO} --affinity none"));
    for config in [&cookie, &none] {
        let routers = config["http"]["routers"].as_object().expect("routers");
        let names: Vec<_> = routers.keys().collect();
        assert_eq!(names, ["pinfold-documents", "pinfold-mcp"]);
    }
    let balancer =
        |config: &Value| config["http"]["services"]["pinfold-mcp"]["loadBalancer"].clone();
    assert!(balancer(&cookie)["sticky"].is_object());
    assert!(balancer(&none)["sticky"].is_null());
}

/// Whatever keeps a request or an answer as a whole has a buffer for each, and holds back events.
#[test]
fn nothing_takes_a_request_in_as_a_whole() {
    let http = &dynamic(TWO)["http"];
    let middlewares = http["middlewares"].as_object().expect("middlewares");
    assert_eq!(
        json!(middlewares),
        json!({"pinfold-retry": {"retry": {"attempts": 6, "initialInterval": "400ms"}}})
    );
}

#[test]
fn every_name_that_is_referred_to_exists() {
    let config = dynamic(&format!(
        "{TWO} --rest http://10.0.0.7:3000 --host a.example,b.example"
    ));
    let http = &config["http"];
    for router in http["routers"].as_object().expect("routers").values() {
        let service = router["service"].as_str().expect("a service");
        assert!(http["services"][service].is_object(), "{service}");
        let rule = router["rule"].as_str().expect("a rule");
        assert!(
            rule.starts_with("(Host(`a.example`) || Host(`b.example`)) && "),
            "{rule}"
        );
    }
    for service in http["services"].as_object().expect("services").values() {
        for part in ["service", "fallback"] {
            if let Some(name) = service["failover"][part].as_str() {
                assert!(http["services"][name].is_object(), "{name}");
            }
        }
    }
}

#[test]
fn the_static_part_cuts_no_stream() {
    let site = site(&format!("{TWO} --listen 10.0.0.9:443")).expect("options that fit");
    let config = read(&statics::emit(&site, Path::new("/etc/traefik/dynamic")));
    let entry = &config["entryPoints"]["websecure"];
    assert_eq!(entry["address"], "10.0.0.9:443");
    assert_eq!(
        entry["transport"]["respondingTimeouts"]["writeTimeout"],
        "0s"
    );
    assert_eq!(
        config["providers"]["file"]["directory"],
        "/etc/traefik/dynamic"
    );
}

#[test]
fn tls_as_told() {
    let files = dynamic(&format!("{TWO} --certificate /a/b.pem --key /a/b.key"));
    assert_eq!(
        files["tls"]["certificates"],
        json!([{"certFile": "/a/b.pem", "keyFile": "/a/b.key"}])
    );
    let plain = format!("{TWO} --no-tls");
    assert!(dynamic(&plain)["http"]["routers"]["pinfold-mcp"]["tls"].is_null());
    assert_eq!(site(&plain).expect("options that fit").listen, ":80");
}

#[test]
fn comments_tell_the_cookie_of_each_node() {
    let text = dynamics::emit(&site(TWO).expect("options that fit"));
    let line = format!("a: _mcp_backend={}", cookie_value("http://10.0.0.1:8080"));
    assert!(text.contains(&line), "{text}");
}

#[test]
fn options_that_would_break_the_site() {
    for (line, part) in [
        ("", "--node"),
        ("--node a", "a name and a URL"),
        ("--node A=http://10.0.0.1:8080", "a-z, 0-9 and -"),
        ("--node a=10.0.0.1:8080", "http://"),
        ("--node a=http://10.0.0.1:8080/", "without a path"),
        (
            "--node a=http://10.0.0.1:8080 --node a=http://10.0.0.2:8080",
            "two nodes of the name a",
        ),
        (
            "--node a=http://10.0.0.1:8080,b=http://10.0.0.1:8080",
            "node a has the same URL",
        ),
        ("--node a=http://b --host example.com:443", "without a port"),
        ("--node a=http://b --rest example.com", "http://"),
        (
            "--node a=http://b --endpoint / --rest http://c",
            "nothing left",
        ),
        ("--node a=http://b --endpoint mcp", "starts with /"),
        ("--node a=http://b --rest-has-catalog", "--rest"),
        ("--node a=http://b --listen 443", "such as :443"),
        ("--node a=http://b --entry-point a,b", "such as websecure"),
        ("--node a=http://b --certificate x", "--key"),
        (
            "--node a=http://b --no-tls --certificate x --key y",
            "cannot be used with",
        ),
        (
            "--node a=http://b --certificate a'b --key y",
            "without quotes",
        ),
    ] {
        let refusal = refusal(line);
        assert!(refusal.contains(part), "{line}: {refusal}");
    }
}

/// `deploy/traefik` is what an operator gets who asks for three nodes.
#[test]
fn deploy_is_what_the_command_prints() {
    let nodes = "--node a=http://10.0.0.1:8080,b=http://10.0.0.2:8080,c=http://10.0.0.3:8080";
    let rest = "--rest http://10.0.0.1:3000,http://10.0.0.2:3000,http://10.0.0.3:3000";
    let site = site(&format!("--host example.com {nodes} {rest}")).expect("options that fit");
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/traefik");
    let there = |file: &str| fs::read_to_string(deploy.join(file)).expect("a file of deploy");
    let folder = Path::new("/etc/traefik/dynamic");
    assert_eq!(there("traefik.yml"), statics::emit(&site, folder));
    assert_eq!(there("dynamic/pinfold.yml"), dynamics::emit(&site));
}

#[test]
fn files_are_written_once_and_a_strangers_is_left_alone() {
    let directory = scratch::path("traefik");
    let here = site(TWO).expect("options that fit");
    write(&here, &directory, true, true).unwrap_or_else(|failed| panic!("{failed}"));
    // The same again, then with another node: the static part stays as it is.
    let more = site(&format!("{TWO} --node c=http://10.0.0.3:8080")).expect("options that fit");
    for site in [here, more] {
        write(&site, &directory, true, true).unwrap_or_else(|failed| panic!("{failed}"));
        let written = fs::read_to_string(directory.join("dynamic/pinfold.yml")).expect("a file");
        assert_eq!(written, dynamics::emit(&site));
        assert_eq!(
            fs::read_dir(directory.join("dynamic"))
                .expect("a folder")
                .count(),
            1
        );
    }
    fs::write(directory.join("traefik.yml"), "log: {}").expect("a file");
    let here = site(TWO).expect("options that fit");
    assert!(matches!(
        write(&here, &directory, true, true),
        Err(Failed::Differs(_))
    ));
}

/// Whatever is in front of it sends clients to a Traefik that answers 404 to all of them, since it has not read this yet.
#[test]
fn a_health_that_is_told_before_there_are_routers() {
    let plain = site(&format!("{TWO} --no-tls --health 127.0.0.1:8082")).expect("options that fit");
    let statics = read(&statics::emit(&plain, Path::new("/x")));
    let entry = &statics["entryPoints"]["pinfold-health"];
    assert_eq!(entry["address"], "127.0.0.1:8082");
    let ping = json!({"entryPoint": "pinfold-health", "manualRouting": true, "terminatingStatusCode": 503});
    assert_eq!(statics["ping"], ping);
    let life = &statics["entryPoints"]["web"]["transport"]["lifeCycle"];
    let told = json!({"requestAcceptGraceTimeout": "5s", "graceTimeOut": "2s"});
    assert_eq!(*life, told);
    let router = &read(&dynamics::emit(&plain))["http"]["routers"]["pinfold-health"];
    assert_eq!(router["service"], "ping@internal");

    let without = site(TWO).expect("options that fit");
    let statics = read(&statics::emit(&without, Path::new("/x")));
    assert!(statics["ping"].is_null());
    let life = &statics["entryPoints"]["websecure"]["transport"]["lifeCycle"];
    assert_eq!(*life, json!({"graceTimeOut": "2s"}));
}

#[test]
fn a_node_that_begins_no_answer_is_not_waited_for() {
    let limit = |line: &str| {
        let transport = &dynamic(line)["http"]["serversTransports"]["pinfold"];
        transport["forwardingTimeouts"]["responseHeaderTimeout"].clone()
    };
    assert_eq!(
        limit(TWO),
        "25s",
        "above the 15 s in which each answer begins"
    );
    assert_eq!(limit(&format!("{TWO} --keep-alive 90s")), "100s");
    assert_eq!(limit(&format!("{TWO} --keep-alive 10ms")), "11s");
}

#[test]
fn a_node_that_is_empty_after_a_deploy() {
    let http = &dynamic(&format!("{TWO} --weight b=3"))["http"];
    let servers = &http["services"]["pinfold-mcp"]["loadBalancer"]["servers"];
    assert_eq!(servers[0]["weight"], Value::Null);
    assert_eq!(servers[1]["weight"], 3);
    for (weight, part) in [
        ("c=3", "no --node c"),
        ("b=0", "1 to 100"),
        ("b", "1 to 100"),
    ] {
        let refusal = refusal(&format!("{TWO} --weight {weight}"));
        assert!(refusal.contains(part), "{refusal}");
    }
}
