mod tokens;

use clap::Parser;

use super::*;
use crate::scratch;

#[derive(Parser)]
struct Wrapper {
    #[command(flatten)]
    options: ServeOptions,
}

fn machine() -> Machine {
    Machine {
        cores: 4,
        hostname: "alpha.example.com".into(),
        memory_bytes: 8 << 30,
        #[cfg(feature = "otlp")]
        otel: Default::default(),
    }
}

fn parse(arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
    let arguments = std::iter::once(&"serve").chain(arguments);
    Wrapper::try_parse_from(arguments).map(|wrapper| wrapper.options)
}

fn check(arguments: &[&str]) -> Result<Config, ConfigError> {
    check_all(arguments).map_err(|all| all[0].clone())
}

fn check_all(arguments: &[&str]) -> Result<Config, Vec<ConfigError>> {
    Config::check(parse(arguments).unwrap(), &machine())
}

fn name_of(config: &Config) -> String {
    config.node.node_name().to_string()
}

/// The parser's error must name the flag, the value and what is allowed, and exit with 2.
fn assert_refused(flag: &str, value: &str, allowed: &str) {
    let refused = parse(&[&format!("{flag}={value}")]).expect_err(flag);
    let message = refused.to_string();
    for part in [flag, value, allowed] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert_eq!(refused.exit_code(), 2);
}

fn file(name: &str, bytes: &[u8]) -> String {
    let path = scratch::file(name, bytes);
    path.to_str().unwrap().to_owned()
}

#[test]
fn no_options_at_all() {
    let config = check(&[]).unwrap();
    assert_eq!(config.node.listen[0].to_string(), "127.0.0.1:8080");
    assert_eq!(config.node.admin.address, "127.0.0.1:9464".parse().ok());
    assert_eq!(config.node.path, "/mcp");
    assert_eq!(
        (config.node.cores, name_of(&config)),
        (4, "alpha".to_owned())
    );
    let limits = Limits {
        memory_bytes_max: 2 << 30,
        ..Limits::default()
    };
    assert_eq!(config.node.limits, limits, "a quarter of 8 GiB");
    assert_eq!(config.log.0.to_string(), "info");
    assert!(config.node.state_key.is_none() && config.node.admin.token.is_none());
}

#[test]
fn a_value_that_is_not_allowed() {
    assert_refused("--listen", "localhost", "127.0.0.1:8080");
    assert_refused("--endpoint", "mcp/", "such as /mcp");
    assert_refused("--allow-origin", "example.com", "https://example.com");
    assert_refused("--allow-host", "http://x", "mcp.example.com");
    assert_refused("--public-url", "http://mcp.example.com/mcp", "http only on");
    assert_refused(
        "--public-url",
        "mcp.example.com",
        "https://mcp.example.com/mcp",
    );
    assert_refused("--app", "bored", "[possible values: board]");
    assert_refused("--driver", "kqueue", "auto, uring, epoll");
    assert_refused("--cores", "0", "1 to 512");
    assert_refused("--cores", "513", "1 to 512");
    assert_refused("--node", "Node_1", "a-z, 0-9 and -");
    assert_refused("--log", "loud", "off, error, warn");
    assert_refused("--connections-max", "0", "1 to 100000000");
    assert_refused("--body-bytes-max", "4MB", "4MiB");
    assert_refused("--body-bytes-max", "1B", "1KiB to 1GiB");
    assert_refused("--board-bytes-max", "1B", "1KiB to 1024GiB");
    assert_refused("--board-entry-bytes-max", "65MiB", "1KiB to 64MiB");
    assert_refused("--session-idle", "30", "30m");
    assert_refused("--keep-alive", "0ms", "10ms to 30d");
}

#[test]
fn more_cores_than_the_machine_has() {
    let refused = check(&["--cores", "5"]).unwrap_err();
    assert_eq!((refused.flag, refused.value.as_str()), ("--cores", "5"));
    assert!(refused.allowed.contains("1 to 4"), "{refused}");
    assert_eq!(check(&["--cores", "4"]).unwrap().node.cores, 4);
}

#[test]
fn an_open_admin_address_without_a_token() {
    let refused = check(&["--admin", "0.0.0.0:9464"]).unwrap_err();
    assert_eq!(refused.flag, "--admin");
    assert!(refused.to_string().contains("0.0.0.0:9464"), "{refused}");
    assert!(refused.allowed.contains("--admin-token-file"), "{refused}");

    let token = file("token", b"s3cret\n");
    let config = check(&["--admin", "0.0.0.0:9464", "--admin-token-file", &token]).unwrap();
    assert_eq!(&*config.node.admin.token.unwrap().expose(), "s3cret");
}

#[test]
fn clients_and_admin_on_one_address() {
    assert!(
        check(&["--admin", "127.0.0.1:8080"])
            .unwrap_err()
            .allowed
            .contains("--listen")
    );
    assert!(check(&["--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).is_ok());
}

#[test]
fn a_token_file_that_holds_no_token() {
    let missing = check(&["--admin-token-file", "/nowhere/token"]).unwrap_err();
    assert_eq!(missing.flag, "--admin-token-file");
    assert_eq!(missing.value, "/nowhere/token");
    for (name, bytes) in [
        ("empty", &b"\n"[..]),
        ("two", b"two words"),
        ("bytes", b"\xff\xfe"),
        ("long", &[b'x'; 5000]),
    ] {
        let path = file(name, bytes);
        assert!(check(&["--admin-token-file", &path]).is_err(), "{name}");
    }
}

#[test]
fn a_state_key_of_the_wrong_length() {
    for (name, bytes) in [
        ("short", &[7; 31][..]),
        ("hex", &[b'a'; 63]),
        ("nonhex", &[b'g'; 64]),
    ] {
        let path = file(name, bytes);
        let refused = check(&["--state-key-file", &path]).unwrap_err();
        assert!(
            refused.allowed.contains("32 bytes or 64 hex digits"),
            "{refused}"
        );
    }
    let raw = check(&["--state-key-file", &file("raw", &[0xab; 32])]).unwrap();
    let hex = check(&[
        "--state-key-file",
        &file("right", format!("{}\n", "aB".repeat(32)).as_bytes()),
    ])
    .unwrap();
    assert_eq!(
        raw.node.state_key.unwrap().0,
        hex.node.state_key.clone().unwrap().0
    );
    assert!(!format!("{:?}", hex.node.state_key).contains("171"));
}

#[test]
fn a_host_name_that_cannot_name_a_node() {
    let machine = Machine {
        hostname: "a-pod-with-a-very-long-name".into(),
        ..machine()
    };
    let config = Config::check(parse(&[]).unwrap(), &machine).unwrap();
    assert_eq!(name_of(&config), "node");
}

#[test]
fn what_is_set_arrives() {
    let config = check(&[
        "--connections-max=10",
        "--sessions-max=11",
        "--body-bytes-max=1MiB",
        "--json-tree-bytes-max=2MiB",
        "--session-idle=90s",
        "--keep-alive=250ms",
        "--allow-origin=https://A.example,https://b.example",
        "--allow-host=mcp.example.com",
        "--node=n-1",
        "--board-bytes-max=2MiB",
        "--board-entry-bytes-max=64KiB",
    ])
    .unwrap();
    assert_eq!(config.board_limits.bytes_max, 2 << 20);
    assert_eq!(config.board_limits.entry_bytes_max, 64 << 10);
    assert_eq!(config.node.limits.connections_max, 10);
    assert_eq!(config.node.limits.sessions_max, 11);
    assert_eq!(config.node.limits.body_bytes_max, 1 << 20);
    assert_eq!(config.node.limits.json_tree_bytes_max, 2 << 20);
    assert_eq!(config.node.limits.session_idle_ms, 90_000);
    assert_eq!(config.node.limits.keep_alive_ms, 250);
    assert_eq!(
        config.node.origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(config.node.hosts, ["mcp.example.com"]);
    assert_eq!(name_of(&config), "n-1");
}

#[test]
fn one_client_that_may_take_all_by_default() {
    let of_client = |arguments: &[&str]| {
        let limits = check(arguments).unwrap().node.limits;
        let of_client = limits.of_client();
        let rate = of_client.initialize_per_second_max;
        (of_client.connections_max, of_client.sessions_max, rate)
    };
    assert_eq!(of_client(&[]), (750_000, 250_000, 5_000));
    let node = [
        "--connections-max=10",
        "--sessions-max=10",
        "--initialize-per-second-max=10",
    ];
    assert_eq!(of_client(&node), (8, 3, 3));
    let own = [
        "--connections-per-client-max=1",
        "--sessions-per-client-max=2",
        "--initialize-per-second-per-client-max=3",
        "--calls-per-client-max=4",
    ];
    assert_eq!(of_client(&own), (1, 2, 3));
    assert_eq!(check(&own).unwrap().node.limits.calls_per_client_max, 4);
    let of_client = |options: &[&str]| {
        let limits = check(options).unwrap().node.limits;
        let rate = limits.calls_per_second_per_client_max;
        (rate, limits.of_client().subscription_bytes_max)
    };
    assert_eq!(
        of_client(&[]),
        (0, 256 << 20),
        "no rate unless it is asked for"
    );
    let own = [
        "--calls-per-second-per-client-max=5",
        "--subscription-bytes-per-client-max=64KiB",
    ];
    assert_eq!(of_client(&own), (5, 64 << 10));
}

#[test]
fn a_stranger_that_is_trusted_as_a_proxy() {
    let trusts = |arguments: &[&str], address: &str| {
        let proxies = check(arguments).unwrap().node.trusted_proxies;
        proxies.contains(address.parse().unwrap())
    };
    assert!(trusts(&[], "127.0.0.1") && trusts(&[], "172.17.0.1") && !trusts(&[], "203.0.113.1"));
    let own = [
        "--trusted-proxy=203.0.113.0/24,2001:db8::1",
        "--trusted-proxy=192.0.2.1",
    ];
    for address in ["203.0.113.9", "2001:db8::1", "192.0.2.1"] {
        assert!(trusts(&own, address), "{address}");
    }
    assert!(!trusts(&own, "127.0.0.1"));
    assert!(!trusts(&["--trusted-proxy=none"], "127.0.0.1"));
    assert_refused("--trusted-proxy", "10.0.0.0/40", "10.0.0.0/8");
    assert_refused("--trusted-proxy", "traefik", "10.0.0.0/8");
}

#[test]
fn a_board_smaller_than_one_entry_may_be() {
    let config = check(&["--board-bytes-max=2KiB"]).unwrap();
    assert_eq!(config.board_limits.entry_bytes_max, 2048);
}

fn secret_file() -> String {
    file("peer-secret", b"0123456789abcdef0123456789abcdef\n")
}

#[test]
fn keys_that_a_node_could_not_start_with() {
    let told = |place: &str| {
        let options = [
            "--auth=jwt",
            "--auth-issuer=https://login.example",
            "--auth-audience=mcp",
            &format!("--auth-jwks={place}"),
        ];
        check(&options).unwrap_err().to_string()
    };
    let empty = file("keys", b"{}");
    for (place, what) in [
        ("/nowhere/keys.json", "cannot be read: No such file"),
        ("/dev/zero", "is no plain file"),
        (empty.as_str(), "is not a JSON Web Key Set"),
    ] {
        let told = told(place);
        assert!(
            told.contains("'--auth-jwks': ") && told.contains(what),
            "{told}"
        );
    }
    let clear = told("http://login.example/keys");
    assert!(clear.contains("must be an https URL"), "{clear}");
}

#[test]
fn a_node_of_several() {
    let secret = secret_file();
    let config = check(&[
        "--redis=redis://:pass@10.0.0.5:6379/2",
        "--node=n1",
        "--listen=0.0.0.0:8080",
        "--auth=none",
        "--advertise=http://127.0.0.1:8080",
        &format!("--peer-secret-file={secret}"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("pass"), "{config:?}");
    let cluster = config.node.cluster.unwrap();
    let advertised = cluster.advertised.unwrap();
    assert_eq!(advertised.url, "http://127.0.0.1:8080");
    assert_eq!(advertised.address.to_string(), "127.0.0.1:8080");
    assert!(cluster.secret.is_some());
    assert_eq!(cluster.prefix, "mcp:");
    assert_eq!(
        config.node.drain.map(|it| (it.notice_ms, it.window_ms)),
        Some((5_000, 20_000))
    );
}

#[test]
fn a_node_of_several_that_lacks_something() {
    let secret = format!("--peer-secret-file={}", secret_file());
    let redis = "--redis=redis://10.0.0.5";
    for (arguments, flag) in [
        (vec![redis, &secret], "--node"),
        (vec![redis, "--node=n1"], "--peer-secret-file"),
        (
            vec![redis, "--node=n1", &secret, "--listen=0.0.0.0:8080"],
            "--advertise",
        ),
        (vec!["--advertise=http://10.0.0.1:8080"], "--advertise"),
        (vec![&*secret], "--peer-secret-file"),
    ] {
        let refused = check(&arguments).unwrap_err();
        assert_eq!(refused.flag, flag, "{arguments:?}");
        assert!(refused.to_string().contains(flag), "{refused}");
    }
    let alone = check(&["--drain-notice=0s"]).unwrap();
    assert_eq!(alone.node.drain, Some(crate::node::DRAIN_ALONE));
    assert!(check(&[redis, "--node=n1", "--no-forward"]).is_ok());
    assert_refused("--advertise", "10.0.0.1:8080", "http://10.0.0.1:8080");
    assert_refused(
        "--advertise",
        "http://10.0.0.1:8080/",
        "http://10.0.0.1:8080",
    );
    assert_refused("--redis-prefix", "a b", "visible ASCII");
}

#[test]
fn a_peer_secret_that_is_too_short() {
    let short = format!("--peer-secret-file={}", file("short-secret", b"secret\n"));
    let refused = check(&["--redis=redis://h", "--node=n1", &short]).unwrap_err();
    assert!(refused.allowed.contains("16 bytes"), "{refused}");
}

#[test]
fn the_first_mistake_that_hides_the_others() {
    let arguments = [
        "--cores=5",
        "--admin=0.0.0.0:9464",
        "--state-key-file=/nowhere/key",
        "--advertise=http://10.0.0.1:8080",
        "--peer-secret-file=/nowhere/secret",
    ];
    let all = check_all(&arguments).unwrap_err();
    let mut flags: Vec<&str> = all.iter().map(|it| it.flag).collect();
    flags.sort_unstable();
    let told = arguments.map(|it| it.split('=').next().unwrap());
    let mut told = told.to_vec();
    told.sort_unstable();
    assert_eq!(flags, told);
}

#[test]
fn a_password_of_redis_that_is_said_twice_or_not_at_all() {
    let password = file("redis-password", b"geheim\n");
    let from_file = format!("--redis-password-file={password}");
    let with = |url: &str| check(&[url, "--node=n1", "--no-forward", &from_file]);
    let cluster = with("--redis=redis://who:@h")
        .unwrap()
        .node
        .cluster
        .unwrap();
    assert_eq!(cluster.redis, "redis://who:geheim@h".parse().unwrap());
    assert!(!format!("{cluster:?}").contains("geheim"));
    let twice = with("--redis=redis://:other@h").unwrap_err();
    assert_eq!(twice.flag, "--redis-password-file");
    let alone = check(&[&*from_file]).unwrap_err();
    assert!(alone.allowed.contains("--redis"), "{alone}");
    let empty = format!("--redis-password-file={}", file("no-password", b"\n"));
    let refused = check(&["--redis=redis://h", "--node=n1", "--no-forward", &empty]);
    assert_eq!(refused.unwrap_err().flag, "--redis-password-file");
}

#[test]
fn a_secret_for_what_is_switched_off() {
    let secret = format!("--peer-secret-file={}", secret_file());
    let refused = check(&["--redis=redis://h", "--node=n1", "--no-forward", &secret]);
    let refused = refused.unwrap_err();
    assert_eq!(refused.flag, "--peer-secret-file");
    assert!(refused.allowed.contains("--no-forward"), "{refused}");
}

/// A policy of a file, with these options.
fn with_policy(toml: &str, arguments: &[&str]) -> Result<crate::auth::PolicySettings, String> {
    let tables = toml::from_str(toml).unwrap_or_else(|wrong| panic!("{wrong}"));
    let options = ServeOptions {
        tables,
        ..parse(arguments).unwrap()
    };
    let checked = Config::check(options, &machine());
    let told = |wrong: Vec<ConfigError>| wrong.iter().map(ConfigError::to_string).collect();
    checked.map(|it| it.node.auth.policy).map_err(told)
}

#[test]
fn scopes_that_nobody_can_have() {
    for (policy, told) in [
        (
            "[policy]\nread = 'board:read'",
            "--auth token, jwt or proxy",
        ),
        (
            "[policy.resources]\n'board://{subject}/*' = 'anyone'",
            "somebody's own",
        ),
    ] {
        let refused = with_policy(policy, &[]).unwrap_err();
        assert!(
            refused.starts_with("'--policy' has rules") && refused.contains(told),
            "{refused}"
        );
        assert!(with_policy(policy, &["--auth", "none"]).is_err());
        let tokens = file("policy-tokens", b"");
        let with_tokens = ["--auth", "token", "--auth-token-file", &tokens];
        assert!(with_policy(policy, &with_tokens).is_ok());
        let overruled = [&with_tokens[..], &["--policy", "closed"]].concat();
        let closed = crate::auth::PolicySettings::of(crate::auth::Preset::Closed);
        assert_eq!(with_policy(policy, &overruled), Ok(closed));
    }
    let for_anybody = "[policy]\npreset = 'read-only'\n[policy.tools]\necho = 'anyone'";
    let policy = with_policy(for_anybody, &[]).expect("it asks for nothing");
    assert_eq!(policy.preset, crate::auth::Preset::ReadOnly);
}

#[test]
fn a_tenant_that_nobody_has() {
    let policy = "[policy.resources]\n'board://{tenant}/*' = 'anyone'";
    let tokens = file("tenant-tokens", b"");
    let with_tokens = ["--auth", "token", "--auth-token-file", &tokens];
    let refused = with_policy(policy, &with_tokens).unwrap_err();
    assert!(refused.contains("--auth-tenant-claim"), "{refused}");
    let with_claim = [
        "--auth",
        "jwt",
        "--auth-issuer=https://login.example",
        "--auth-audience=here",
        "--auth-tenant-claim=org",
    ];
    assert!(with_policy(policy, &with_claim).is_ok());
}

#[test]
fn more_rules_than_are_taken() {
    let rules = (0..257).map(|number| format!("tool{number} = 'nobody'\n"));
    let policy = format!("[policy.tools]\n{}", rules.collect::<String>());
    let refused = with_policy(&policy, &[]).unwrap_err();
    assert!(refused.contains("'--policy' has 257 rules"), "{refused}");
}
