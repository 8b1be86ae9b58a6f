use super::super::keys::keys;
use super::*;
use crate::scratch;

fn parse(text: &str) -> (ConfigFile, Vec<Mistake>) {
    ConfigFile::parse(Path::new("/etc/pinfold.toml"), text, &keys())
}

/// A file with one mistake: where it is, and some words of what is said of it.
fn assert_refused(text: &str, place: &str, words: &[&str]) {
    let (_, mistakes) = parse(text);
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{text}: {told:?}");
    let begins = format!("/etc/pinfold.toml:{place}: ");
    assert!(told[0].starts_with(&begins), "{text}: {}", told[0]);
    for word in words {
        assert!(told[0].contains(word), "{word} is not in: {}", told[0]);
    }
    assert_eq!(told[0].lines().count(), 1, "{}", told[0]);
}

fn said(text: &str, id: &str) -> Vec<String> {
    let (file, mistakes) = parse(text);
    assert_eq!(mistakes, [], "{text}");
    file.said(id).map_or_else(Vec::new, |it| it.texts.clone())
}

#[test]
fn what_a_file_says() {
    assert_eq!(said("", "listen"), [""; 0]);
    assert_eq!(said("listen = '[::1]:1'", "listen"), ["[::1]:1"]);
    let origins = "allow-origin = [\"https://a.example\", \"https://b.example\"]";
    assert_eq!(
        said(origins, "origins"),
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(said("trusted-proxy = []", "trusted_proxies"), [""; 0]);
    assert_eq!(said("cores = 0x10", "cores"), ["16"]);
    let limits = "[limits]\nsessions-max = 10_000\nbody-bytes-max = 65536\nmemory-max = '4GiB'";
    assert_eq!(said(limits, "sessions_max"), ["10000"]);
    assert_eq!(said(limits, "body_bytes_max"), ["65536"]);
    assert_eq!(said(limits, "memory_max"), ["4GiB"]);
    assert_eq!(said("times.keep-alive = '20s'", "keep_alive"), ["20s"]);
    assert_eq!(
        said("cluster = { no-forward = true }", "no_forward"),
        ["true"]
    );
}

#[test]
fn a_path_is_looked_for_beside_its_file() {
    let file = |text: &str| said(&format!("admin-token-file = '{text}'"), "admin_token_file");
    assert_eq!(file("pinfold/token"), ["/etc/pinfold/token"]);
    assert_eq!(file("/run/token"), ["/run/token"]);
    assert_eq!(said("node = 'a'", "node"), ["a"], "no path");
    let places = "[auth]\njwks = ['keys.json', '/run/keys.json', 'https://login.example/keys']";
    assert_eq!(
        said(places, "auth_jwks"),
        [
            "/etc/keys.json",
            "/run/keys.json",
            "https://login.example/keys"
        ]
    );
}

#[test]
fn a_key_that_does_not_exist() {
    assert_refused(
        "\nlisten-on = 'x'",
        "2:1",
        &["'listen-on'", "did you mean 'listen'?"],
    );
    assert_refused("allow_host = []", "1:1", &["did you mean 'allow-host'?"]);
    assert_refused(
        "admin-token = 's3cret'",
        "1:1",
        &["did you mean 'admin-token-file'?"],
    );
    assert_refused("zzz = 1", "1:1", &["there are listen, endpoint, ", "log"]);
    assert_refused(
        "[times]\nzzz = 1",
        "2:1",
        &["in [times]", "there are keep-alive, "],
    );
    assert_refused("config = '/x'", "1:1", &["unknown key"]);
    for hidden in ["place-at-random = true", "break-thread = 'core-0=panic'"] {
        assert_refused(hidden, "1:1", &["unknown key", "there are"]);
    }
}

#[test]
fn a_key_in_the_wrong_table() {
    assert_refused(
        "sessions-max = 5",
        "1:1",
        &["belongs into the table [limits]"],
    );
    assert_refused(
        "[limits]\n  keep-alive = '5s'",
        "2:3",
        &["the table [times]"],
    );
    assert_refused("[times]\nlisten = 'x'", "2:1", &["before all tables"]);
    assert_refused(
        "[limits]\nsession-idl = 1",
        "2:1",
        &["did you mean 'times.session-idle'?"],
    );
}

#[test]
fn a_table_that_does_not_exist() {
    assert_refused(
        "[limit]\nsessions-max = 5",
        "1:2",
        &["unknown table", "did you mean 'limits'?"],
    );
    assert_refused(
        "[zzz]",
        "1:2",
        &["there are policy, auth, cluster, otlp, limits, times"],
    );
    assert_refused(
        "limits = 5",
        "1:1",
        &["'limits' must be a table", "[limits]"],
    );
    assert_refused("[[limits]]\nsessions-max = 5", "1:3", &["must be a table"]);
}

#[test]
fn a_value_of_the_wrong_type() {
    let quotes = "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080, in quotes";
    assert_refused("listen = 8080", "1:10", &["8080", "'listen'", quotes]);
    assert_refused("endpoint = true", "1:12", &["must be a text in quotes"]);
    assert_refused(
        "cores = '2'",
        "1:9",
        &["a number from 1 to 512, without quotes"],
    );
    assert_refused("cores = 1.5", "1:9", &["a number from 1 to 512"]);
    assert_refused(
        "allow-host = 'a.example'",
        "1:14",
        &["must be a list: [\"a.example\"]"],
    );
    assert_refused("allow-host = 5", "1:14", &["must be a list of texts"]);
    assert_refused("allow-host = [['a']]", "1:14", &["must be a text"]);
    assert_refused(
        "[times]\nretry = 5",
        "2:9",
        &["with ms, s, m, h or d", "in quotes"],
    );
    assert_refused("[limits]\nbody-bytes-max = 2.5", "2:18", &["MiB"]);
    assert_refused("[cluster]\nno-forward = 1", "2:14", &["true or false"]);
    assert_refused("listen = {}", "1:10", &["must be a text"]);
}

#[test]
fn a_value_out_of_range() {
    assert_refused("cores = 0", "1:9", &["a number from 1 to 512"]);
    assert_refused("cores = -1", "1:9", &["a number from 1 to 512"]);
    let huge = format!("cores = {}", "9".repeat(100));
    assert_refused(&huge, "1:9", &["a number from 1 to 512", "99…"]);
    assert_refused(
        "[times]\nkeep-alive = '1ms'",
        "2:14",
        &["must be 10ms to 30d"],
    );
    assert_refused(
        "[limits]\nbody-bytes-max = 1",
        "2:18",
        &["must be 1KiB to 1GiB"],
    );
    assert_refused("app = 'bored'", "1:7", &["must be one of board"]);
    assert_refused(
        "log = 'loud'",
        "1:7",
        &["off, error, warn, info, debug, trace"],
    );
    assert_refused("admin-token-file = ''", "1:20", &["must not be empty"]);
    let two = "allow-origin = ['https://a.example,https://b.example']";
    assert_refused(two, "1:16", &["https://example.com"]);
}

#[test]
fn a_key_that_is_said_twice() {
    assert_refused("node = 'a'\nnode = 'b'", "2:1", &["'node' is said twice"]);
    let twice = "[limits]\nsessions-max = 1\n[times]\n[limits]\nsessions-max = 2";
    let (_, mistakes) = parse(twice);
    assert!(mistakes[0].to_string().contains(":4:"), "{mistakes:?}");
}

#[test]
fn what_is_no_toml() {
    assert_refused("listen = 127.0.0.1:8080", "1:15", &["a text is in quotes"]);
    assert_refused("\n\nnode 'a'", "3:6", &["expected `=`"]);
    assert_refused("node = ", "1:8", &[]);
    for (text, line) in [
        ("node = \"a", 1),
        ("\n[limits", 2),
        ("node = 'a'\n\u{7}", 2),
    ] {
        let (_, mistakes) = parse(text);
        let places = mistakes.iter().filter_map(|it| it.place.as_ref());
        assert!(places.clone().count() > 0, "{text}");
        assert!(
            places.clone().all(|it| it.line == line),
            "{text}: {mistakes:?}"
        );
    }
}

#[test]
fn mistakes_that_hide_each_other() {
    let text = "lisen = 1\nlisten = 127.0.0.1:8080\ncores = 0\n[limits]\nsessions-max = 'x'\n[times]\nretry =\n";
    let (file, mistakes) = parse(text);
    let mut lines: Vec<usize> = mistakes.iter().filter_map(Mistake::line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3, 5, 7], "{mistakes:?}");
    assert!(file.said("cores").is_none());
}

#[test]
fn a_column_in_characters() {
    assert_refused("node = 'a' # ü\nallow-host = ['grün', 5]", "2:14", &["5"]);
    let (_, mistakes) = parse("'ü' = 1");
    assert_eq!(mistakes[0].place.as_ref().map(|it| it.column), Some(1));
    let (_, mistakes) = parse("cluster = { 'ü' = 1, no-forward = 5 }");
    let mut columns = mistakes
        .iter()
        .filter_map(|it| it.place.as_ref())
        .map(|it| it.column);
    assert!(columns.any(|it| it == 35), "{mistakes:?}");
}

#[test]
fn a_password_in_a_file_that_all_may_read() {
    for url in [
        "redis://:geheim@h",
        "redis://who:geheim@h",
        "redis://geheim",
    ] {
        let (file, mistakes) = parse(&format!("[cluster]\nredis = '{url}'"));
        let told = format!("{mistakes:?}");
        assert_eq!(mistakes.is_empty(), url == "redis://geheim", "{told}");
        assert!(!told.contains("geheim"), "{told}");
        assert_eq!(file.said("redis").is_some(), mistakes.is_empty());
    }
    assert_refused(
        "[cluster]\nredis = 'redis://:geheim@h'",
        "2:9",
        &["redis-password-file"],
    );
    let (_, mistakes) = parse("[cluster]\nredis = 'redis://geheim@h:x'");
    assert!(!format!("{mistakes:?}").contains("geheim"), "{mistakes:?}");
}

fn unreadable(path: &Path) -> String {
    let (_, mistakes) = ConfigFile::read(path, &keys());
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes[0].to_string()
}

#[test]
fn a_file_that_is_not_there() {
    let told = unreadable(Path::new("/nowhere/pinfold.toml"));
    assert!(told.starts_with("/nowhere/pinfold.toml: "), "{told}");
    assert!(told.contains("No such file"), "{told}");
    assert!(unreadable(Path::new("/")).contains("directory"));
}

#[test]
fn a_file_that_is_no_text() {
    let path = scratch::file("latin1", b"node = 'a'\nendpoint = '/gr\xfcn'\n");
    let told = unreadable(&path);
    let place = format!("{}:2:16: ", path.display());
    assert!(told.starts_with(&place) && told.contains("UTF-8"), "{told}");
}

#[test]
fn a_file_that_is_too_large() {
    let path = scratch::file("large", &vec![b'#'; FILE_BYTES_MAX + 1]);
    let told = unreadable(&path);
    assert!(told.contains("at most 16MiB"), "{told}");
}

#[test]
fn a_policy_that_is_none() {
    let needs = "\"anyone\", \"nobody\", a scope, or a list";
    assert_refused("policy = 'read'", "1:10", &["`read`", "read-only"]);
    assert_refused("policy = 5", "1:10", &["\"open\", \"read-only\""]);
    assert_refused("[[policy]]\nread = 'a'", "1:1", &["a table of rules"]);
    assert_refused(
        "[policy]\nraed = 'board:read'",
        "2:1",
        &["unknown field `raed`", "`read`"],
    );
    assert_refused("[policy]\n\nread = true", "3:8", &["`true`", needs]);
    assert_refused("[policy]\nread = ''", "2:8", &["an empty text"]);
    assert_refused("[policy]\nread = []", "2:8", &["an empty list"]);
    assert_refused(
        "[policy]\npublish = ['a', 'b\\c']",
        "2:11",
        &["the scope \"b\\c\", which is none"],
    );
    assert_refused(
        "[policy.implies]\n'a' = ['b c']",
        "2:7",
        &["the scope \"b c\""],
    );
    assert_refused(
        "[policy.tools]\n'echo' = 'anyone'\n'{me}' = 'anyone'",
        "3:1",
        &["the pattern \"{me}\"", "neither {subject} nor {tenant}"],
    );
    assert_refused(
        "[policy.resources]\n'board://*/{subject}' = 'anyone'",
        "2:1",
        &["it could be anybody's"],
    );
    assert_refused(
        "[policy.resources]\n'board://x' = {write = 'a'}",
        "2:16",
        &["unknown field `write`", "`publish`"],
    );
}

#[test]
fn what_a_policy_says_and_where() {
    let text = "[policy]\nread = 'a'\n[policy.tools]\n'admin_*' = ['b', 'c d']\n[policy.resources]\n'board://x' = {publish = 'nobody'}\n";
    let (file, mistakes) = parse(text);
    assert_eq!(mistakes, []);
    let told = file
        .entries
        .iter()
        .map(|it| (it.key(), it.value.to_string(), it.place.line));
    let told: Vec<_> = told.collect();
    let expected = [
        ("policy.read", "\"a\"", 2),
        ("policy.resources.\"board://x\".publish", "\"nobody\"", 6),
        ("policy.tools.\"admin_*\"", "[\"b\", \"c d\"]", 4),
    ];
    let mut sorted = told;
    sorted.sort();
    assert_eq!(
        sorted,
        expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line))
    );
    assert_eq!(said("policy = 'read-only'", "policy"), ["read-only"]);
    assert_eq!(said(text, "policy"), [""; 0]);
}

#[test]
fn mistakes_in_a_policy_that_hide_each_other() {
    let text = "[policy]\nraed = 'a'\nread = ''\nlist = 'a'\n[policy.tols]\n'a' = 'b'\n'c' = 'd'\n[policy.tools]\n'a' = 'b'\n'b' = 5\n'{c}' = 'anyone'\n[policy.implies]\n'a' = 'b'\n";
    let (file, mistakes) = parse(text);
    let mut lines: Vec<usize> = mistakes.iter().filter_map(Mistake::line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 5, 10, 11, 13], "{mistakes:?}");
    assert_eq!(file.tables, Tables::default());
}
