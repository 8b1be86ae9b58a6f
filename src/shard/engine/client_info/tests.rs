//! What is kept of clients, and for how long.

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

fn intern(profiles: &mut ClientInfos, capabilities: &str, info: &str) -> Rc<ClientInfo> {
    let client_info = profiles.intern(&raw(capabilities), Some(&raw(info)));
    profiles.invariants();
    client_info.expect("an object")
}

fn kept(capabilities: &str) -> String {
    let client_info = intern(&mut ClientInfos::default(), capabilities, "{}");
    client_info.capabilities.to_string()
}

fn refusal(capabilities: &str, info: &str) -> String {
    let refused = ClientInfos::default().intern(&raw(capabilities), Some(&raw(info)));
    refused.err().expect("it is wrong").message.into_owned()
}

#[test]
fn a_capability_that_mcp_names() {
    for as_sent in [
        "{}",
        r#"{"elicitation":{"form":{},"url":{}}}"#,
        r#"{"roots":{"listChanged":true},"sampling":{"context":{},"tools":{}}}"#,
        r#"{"tasks":{"cancel":{},"list":{},"requests":{"elicitation":{"create":{}},"sampling":{"createMessage":{}}}}}"#,
        r#"{"experimental":{"a":{"b":[1]}},"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html"]}}}"#,
    ] {
        assert_eq!(kept(as_sent), as_sent);
        let again = kept_capabilities(&raw(as_sent)).expect("an object");
        assert_eq!(again.get(), as_sent);
    }
}

#[test]
fn what_nobody_asks_for() {
    for (as_sent, right) in [
        (r#"{"i":1,"x":[{"":0}]}"#, "{}"),
        (
            r#"{"sampling":{"i":1,"tools":{"i":2}}}"#,
            r#"{"sampling":{"tools":{}}}"#,
        ),
        (r#"{"roots":{"listChanged":false}}"#, r#"{"roots":{}}"#),
        (r#"{"roots":{"listChanged":[1]}}"#, r#"{"roots":{}}"#),
        (
            r#"{"elicitation":true,"sampling":null,"roots":[{}]}"#,
            r#"{"elicitation":{},"roots":{}}"#,
        ),
        (
            r#"{"extensions":{"a":null,"b":1},"experimental":7}"#,
            r#"{"extensions":{"b":1}}"#,
        ),
    ] {
        assert_eq!(kept(as_sent), right);
    }
}

#[test]
fn settings_without_end() {
    let long = format!(
        r#"{{"extensions":{{"a":{{"x":"{}"}},"b":{{}}}}}}"#,
        "x".repeat(5000)
    );
    assert_eq!(kept(&long), r#"{"extensions":{"a":{},"b":{}}}"#);
    let values = format!(r#"{{"extensions":{{"a":[{}0]}}}}"#, r#"{"":0},"#.repeat(20));
    assert_eq!(kept(&values), r#"{"extensions":{"a":{}}}"#);
    let names: Vec<_> = (0..1000)
        .map(|number| format!(r#""{number}":{{}}"#))
        .collect();
    let many = kept(&format!(r#"{{"extensions":{{{}}}}}"#, names.join(",")));
    assert!((100..1000).contains(&many.len()), "{}", many.len());
}

#[test]
fn a_name_without_end() {
    let info = format!(
        r#"{{"name":"{}","version":1,"title":"é","icons":[]}}"#,
        "ä".repeat(5000)
    );
    let client_info = intern(&mut ClientInfos::default(), "{}", &info);
    let kept = client_info.info.as_ref().expect("it was sent");
    assert_eq!(
        **kept,
        serde_json::json!({"name": "ä".repeat(64), "title": "é"})
    );
}

#[test]
fn what_is_no_object() {
    for wrong in ["1", "[]", "null", "\"{}\""] {
        assert_eq!(
            refusal(wrong, "{}"),
            "Invalid params: capabilities must be an object."
        );
        assert_eq!(
            refusal("{}", wrong),
            "Invalid params: clientInfo must be an object."
        );
    }
    let doubled = refusal(r#"{"roots":{},"roots":{}}"#, "{}");
    assert!(
        doubled.contains("capabilities: duplicate field `roots`"),
        "{doubled}"
    );
}

#[test]
fn the_same_client_in_other_words() {
    let mut profiles = ClientInfos::default();
    let one = intern(
        &mut profiles,
        r#"{"roots":{},"sampling":{}}"#,
        r#"{"name":"a"}"#,
    );
    for number in 0..100 {
        let capabilities = format!(r#"{{"sampling": {{}}, "i": {number}, "roots": {{}}}}"#);
        let other = intern(&mut profiles, &capabilities, r#"{ "name": "\u0061" }"#);
        assert!(Rc::ptr_eq(&one, &other));
        profiles.release(other);
    }
    assert_eq!(profiles.known.len(), 1);
}

#[test]
fn thousands_of_clients_that_are_never_seen_again() {
    let mut profiles = ClientInfos::default();
    let junk = r#"{"":0},"#.repeat(1000);
    for number in 0..3000 {
        let capabilities = format!(
            r#"{{"i":{number},"x":[{junk}0],"extensions":{{"{number}":{{"x":{number}}}}}}}"#
        );
        let info = format!(r#"{{"name":"{number}","x":[{junk}0]}}"#);
        let client_info = intern(&mut profiles, &capabilities, &info);
        profiles.release(client_info);
        assert!(profiles.known.len() <= RECENT);
        let small = format!(r#"{{"extensions":{{"{number}":{{}}}}}}"#);
        let client_info = intern(&mut profiles, &small, "{}");
        profiles.release(client_info);
    }
    assert!(profiles.known.len() <= RECENT);
    assert!(profiles.bytes <= RECENT * 4096, "{}", profiles.bytes);
}

#[test]
fn more_kinds_of_clients_than_there_is_room_for() {
    let mut profiles = ClientInfos::default();
    let mut held = Vec::new();
    let name = |number: usize| format!(r#"{{"name":"{number}","title":"{}"}}"#, "x".repeat(2000));
    for number in 0..20_000 {
        held.push(
            profiles
                .intern(
                    &raw(r#"{"roots":{},"extensions":{"a":{}}}"#),
                    Some(&raw(&name(number))),
                )
                .expect("objects"),
        );
    }
    profiles.invariants();
    assert!(profiles.bytes <= PROFILES_BYTES_MAX + 4096);
    let last = held.last().expect("thousands");
    assert_eq!(last.capabilities.to_string(), r#"{"roots":{}}"#);
    assert!(last.info.is_none());
    held.into_iter()
        .for_each(|client_info| profiles.release(client_info));
    assert_eq!((profiles.known.len(), profiles.bytes), (0, 0));
    assert!(intern(&mut profiles, "{}", &name(1)).info.is_some());
}
