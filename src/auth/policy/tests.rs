use super::*;

fn policy(toml: &str) -> Policy {
    #[derive(serde::Deserialize)]
    struct File {
        policy: PolicySettings,
    }
    let file: File = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"));
    Policy::new(&file.policy).unwrap_or_else(|error| panic!("the policy {error}"))
}

fn refused(toml: &str) -> String {
    let settings = toml::from_str::<PolicySettings>(toml);
    match settings {
        Err(error) => error.to_string(),
        Ok(settings) => Policy::new(&settings).expect_err(toml).to_string(),
    }
}

fn with(scopes: &str) -> Identity {
    Identity::new("https://login.example", "auth0|alice")
        .with_scopes(scopes)
        .with_tenant("acme")
}

/// What stands at the head of the module.
const TEN_LINES: &str = r#"
[policy]
read = "board:read"
subscribe = "board:read"
publish = "board:write"
remove = "nobody"
[policy.tools]
"echo" = "anyone"
"admin_*" = "board:admin"
[policy.resources]
"board://{subject}/*" = "anyone"
[policy.implies]
"board:admin" = ["board:write"]
"board:write" = ["board:read"]
"#;

#[test]
fn an_action_without_its_scope() {
    let policy = policy(TEN_LINES);
    let reader = with("board:read");
    let ask = |action| policy.allows(&reader, action);
    assert_eq!(ask(Action::ReadResource("board://lunch")), Decision::Allow);
    assert_eq!(
        ask(Action::SubscribeResource("board://lunch")),
        Decision::Allow
    );
    assert_eq!(
        ask(Action::Publish("board://lunch")),
        Decision::MissingScope("board:write")
    );
    assert_eq!(ask(Action::Remove("board://lunch")), Decision::Unknown);
    assert_eq!(ask(Action::CallTool("echo")), Decision::Allow);
    assert_eq!(
        ask(Action::CallTool("admin_reset")),
        Decision::MissingScope("board:admin")
    );
    assert_eq!(
        ask(Action::CallTool("other")),
        Decision::Allow,
        "nobody said anything of it"
    );
    assert_eq!(ask(Action::List(ListKind::Tools)), Decision::Allow);
    let nobody = policy.allows(&with(""), Action::ReadResource("board://lunch"));
    assert_eq!(nobody, Decision::MissingScope("board:read"));
    assert_eq!(policy.first_scopes(), "board:read");
    assert_eq!(
        policy.scopes().collect::<Vec<_>>(),
        ["board:admin", "board:read", "board:write"]
    );
}

/// MUST, 2026-07-28 authorization, "Scope Challenge Handling".
#[test]
fn a_broader_scope_that_does_not_do_for_a_narrower_one() {
    let policy = policy(TEN_LINES);
    for scopes in [
        "board:admin",
        "board:write",
        "board:read",
        "other board:admin",
    ] {
        let read = policy.allows(&with(scopes), Action::ReadResource("board://lunch"));
        assert_eq!(read, Decision::Allow, "{scopes}");
    }
    let publish = Action::Publish("board://lunch");
    assert_eq!(
        policy.allows(&with("board:admin"), publish),
        Decision::Allow
    );
    assert_ne!(policy.allows(&with("board:read"), publish), Decision::Allow);
}

#[test]
fn somebody_in_the_area_of_somebody_else() {
    let policy = policy(
        r#"
        [policy]
        default = "nobody"
        [policy.resources]
        "board://{subject}/*" = "anyone"
        "tenants://{tenant}/{subject}/*" = { read = "read", publish = "write" }
        "tenants://{tenant}/public" = { read = "anyone" }
        "#,
    );
    let alice = with("read");
    let ask = |action| policy.allows(&alice, action);
    for own in [
        "board://auth0%7Calice/a",
        "board://auth0%7Calice/a/b",
        "board://auth0|alice/a",
    ] {
        assert_eq!(ask(Action::Publish(own)), Decision::Allow, "{own}");
    }
    for foreign in [
        "board://auth0%7Cbob/a",
        "board://auth0%7Calice2/a",
        "board://auth0%7Calic/a",
        "board://auth0%7Calice%2Fa/b",
        "board:///a",
        "board://",
        "board://auth0%7Calice",
        "board://x/auth0%7Calice/a",
    ] {
        assert_eq!(
            ask(Action::ReadResource(foreign)),
            Decision::Unknown,
            "{foreign}"
        );
    }
    assert_eq!(
        ask(Action::ReadResource("tenants://acme/auth0%7Calice/a")),
        Decision::Allow
    );
    let publish = Action::Publish("tenants://acme/auth0%7Calice/a");
    assert_eq!(ask(publish), Decision::MissingScope("write"));
    assert_eq!(
        ask(Action::ReadResource("tenants://other/auth0%7Calice/a")),
        Decision::Unknown
    );
    assert_eq!(
        ask(Action::ReadResource("tenants://acme/public")),
        Decision::Allow
    );
    assert_eq!(
        ask(Action::Remove("tenants://acme/public")),
        Decision::Unknown
    );
    let nobody = Identity::anonymous();
    assert_eq!(
        policy.allows(&nobody, Action::ReadResource("board:///a")),
        Decision::Unknown
    );
}

#[test]
fn read_only_is_one_line() {
    let policy = policy("policy = \"read-only\"");
    let anybody = with("");
    let reads = [
        Action::List(ListKind::Resources),
        Action::ReadResource("board://a"),
        Action::SubscribeResource("board://a"),
        Action::GetPrompt("p"),
        Action::Complete,
    ];
    assert!(
        reads
            .iter()
            .all(|action| policy.allows(&anybody, *action) == Decision::Allow)
    );
    for write in [
        Action::CallTool("t"),
        Action::Publish("board://a"),
        Action::Remove("board://a"),
    ] {
        assert_eq!(
            policy.allows(&anybody, write),
            Decision::Unknown,
            "{write:?}"
        );
    }
}

#[test]
fn a_preset_with_an_exception() {
    let read_only = policy(
        "[policy]\npreset = \"read-only\"\npublish = \"write\"\n[policy.tools]\n\"search\" = \"anyone\"",
    );
    let anybody = with("");
    assert_eq!(
        read_only.allows(&anybody, Action::CallTool("search")),
        Decision::Allow
    );
    assert_eq!(
        read_only.allows(&anybody, Action::CallTool("searcher")),
        Decision::Unknown
    );
    assert_eq!(
        read_only.allows(&anybody, Action::Publish("a:b")),
        Decision::MissingScope("write")
    );
    let closed = policy("[policy]\npreset = \"closed\"\nlist = \"anyone\"");
    assert_eq!(
        closed.allows(&anybody, Action::List(ListKind::Tools)),
        Decision::Allow
    );
    assert_eq!(
        closed.allows(&anybody, Action::ReadResource("a:b")),
        Decision::Unknown
    );
    assert!(Policy::default().is_open() && policy("policy = \"open\"").is_open());
    assert!(!closed.is_open() && !read_only.is_open() && !policy(TEN_LINES).is_open());
}

#[test]
fn all_of_several_scopes_and_one_of_several() {
    let policy = policy("[policy]\nread = \"a b\"\npublish = [\"c\", \"a b\"]");
    let read = |scopes: &str| policy.allows(&with(scopes), Action::ReadResource("x:y"));
    assert_eq!(
        (read("a b"), read("a")),
        (Decision::Allow, Decision::MissingScope("a b"))
    );
    let publish = |scopes: &str| policy.allows(&with(scopes), Action::Publish("x:y"));
    assert_eq!(
        (publish("c"), publish("b a")),
        (Decision::Allow, Decision::Allow)
    );
    assert_eq!(publish("b"), Decision::MissingScope("c"));
}

#[test]
fn a_rule_that_is_covered_by_a_wider_one() {
    let policy = policy(
        r#"
        [policy.tools]
        "*" = "any"
        "board_*" = "board"
        "board_*_all" = "all"
        "board_read" = "anyone"
        "*_internal" = "nobody"
        "#,
    );
    for (tool, decision) in [
        ("board_read", Decision::Allow),
        ("board_post", Decision::MissingScope("board")),
        ("board_take_all", Decision::MissingScope("all")),
        ("echo", Decision::MissingScope("any")),
        ("echo_internal", Decision::Unknown),
        ("board_", Decision::MissingScope("board")),
        ("board", Decision::MissingScope("any")),
        ("", Decision::MissingScope("any")),
    ] {
        assert_eq!(
            policy.allows(&with(""), Action::CallTool(tool)),
            decision,
            "{tool}"
        );
    }
}

#[test]
fn a_policy_that_says_what_it_cannot_mean() {
    for (wrong, told) in [
        ("raed = \"a\"", "raed"),
        ("read = 7", "anyone"),
        ("read = \"\"", "empty"),
        ("read = []", "empty list"),
        ("read = \"ä\"", "is none"),
        ("preset = \"all\"", "read-only"),
        ("[tools]\n\"a{b}\" = \"c\"", "braces"),
        ("[resources]\n\"a://*/{subject}\" = \"c\"", "anybody's"),
        ("[resources]\n\"a://x{subject}/b\" = \"c\"", "segment"),
        ("[resources]\n\"a://{subject}*\" = \"c\"", "segment"),
        ("[resources]\n\"a:b\" = { raed = \"c\" }", "raed"),
        ("[implies]\na = [\"ü\"]", "is none"),
        ("[tools]\n\"\" = \"c\"", "empty"),
    ] {
        let sentence = refused(wrong);
        assert!(sentence.contains(told), "{wrong}: {sentence}");
    }
    let many = (0..=POLICY_RULES_MAX).map(|number| format!("\"t{number}\" = \"a\"\n"));
    let many = format!("[tools]\n{}", many.collect::<String>());
    assert!(refused(&many).contains("257 rules"));
}

#[test]
fn scopes_that_imply_each_other_in_a_circle() {
    let policy =
        policy("[policy]\nread = \"a\"\n[policy.implies]\na = [\"b\"]\nb = [\"c\"]\nc = [\"a\"]");
    for scope in ["a", "b", "c"] {
        let read = policy.allows(&with(scope), Action::ReadResource("x:y"));
        assert_eq!(read, Decision::Allow, "{scope}");
    }
}

/// Against a matcher that tries everything.
#[test]
fn a_pattern_that_matches_what_it_should_not() {
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| naive(rest, &text[at..])),
            Some((byte, rest)) => text
                .split_first()
                .is_some_and(|(own, text)| own == byte && naive(rest, text)),
        }
    }
    let mut words = vec![String::new()];
    for _ in 0..5 {
        let longer = words
            .iter()
            .flat_map(|word| ["a", "b", "*"].map(|byte| format!("{word}{byte}")));
        words.extend(longer.collect::<Vec<_>>());
        words.sort_unstable();
        words.dedup();
    }
    let who = with("");
    for pattern in words.iter().filter(|word| !word.is_empty()) {
        let parsed = Pattern::parse(pattern).unwrap();
        for text in words.iter().filter(|word| !word.contains('*')) {
            let is_match = parsed.matches(text, (&who).into()) == Match::Own;
            assert_eq!(
                is_match,
                naive(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }
}

#[test]
fn a_rule_that_is_another_one_and_is_not_named() {
    let settings = |toml: &str| toml::from_str::<PolicySettings>(toml).expect(toml);
    let none = PolicySettings::default();
    for (toml, key) in [
        ("preset = 'closed'", "preset"),
        ("default = 'a'", "default"),
        ("list = 'a'", "list"),
        ("read = 'a'", "read"),
        ("subscribe = 'a'", "subscribe"),
        ("publish = 'a'", "publish"),
        ("remove = 'a'", "remove"),
        ("call = 'a'", "call"),
        ("prompt = 'a'", "prompt"),
        ("complete = 'a'", "complete"),
        ("[tools]\necho = 'a'", "tools.\"echo\""),
        ("[prompts]\necho = 'a'", "prompts.\"echo\""),
        ("[resources]\n'a://b' = 'a'", "resources.\"a://b\""),
        ("[implies]\na = ['b']", "implies.\"a\""),
    ] {
        let one = settings(toml);
        assert_eq!(one.that_differ(&none), [key]);
        assert_eq!(none.that_differ(&one), [key]);
        assert_eq!(one.that_differ(&one), [""; 0]);
    }
}

/// A client asks for what the challenge and the metadata name.
#[test]
fn scopes_that_are_told_of_a_policy_that_holds_no_more() {
    use crate::auth::{IssuerSettings, JwtSettings, Rules, Verifier, Who};
    let public = "https://mcp.example/mcp".parse().expect("a URL");
    let jwt = JwtSettings {
        issuers: vec![IssuerSettings::new("https://login.example")],
        ..JwtSettings::default()
    };
    let who = Who::Jwt(Verifier::new(&jwt, Some(&public)).expect("it is sound"));
    let rules = Rules::new(who, policy("[policy]\nread = 'old:read'"), Some(&public));
    let rules = rules.with_policy(policy("[policy]\nread = 'new:read'"));
    let path = "/.well-known/oauth-protected-resource/mcp";
    let told = rules.metadata_at(path).expect("it is there");
    assert!(
        told.contains("\"scopes_supported\":[\"new:read\"]"),
        "{told}"
    );
}
