//! Items as the command line has them.

use std::path::Path;

use serde_json::{Value, json};

use super::PublishOptions;
use super::input::ItemLine;
use crate::app::call::{LIST_NAMES, Topic};
use crate::principal::PrincipalId;

/// The items that the options ask for, as the lines to send.
///
/// # Errors
/// A sentence on what does not go together, or cannot be read.
pub(super) fn of_options(options: &PublishOptions) -> Result<Vec<ItemLine>, String> {
    // The parser lets these pass beside targets, with which a message cannot be.
    if options.message.is_none()
        && (options.all || options.level.is_some() || options.logger.is_some())
    {
        return Err("--all, --level and --logger need --message; a target is told to everyone who subscribed to it".into());
    }
    let mut items = match &options.message {
        Some(message) => {
            let audience = if options.all {
                "all sessions"
            } else {
                "the session"
            };
            vec![(
                audience.to_owned(),
                json!({ "message": said(options, message) }),
            )]
        }
        None => of_targets(options)?,
    };
    if options.key.is_some() && items.len() > 1 {
        return Err("--key is of one item; with several, publish them one by one, or give each its \"key\" in a file for --from".into());
    }
    let principal = options.principal.as_deref().map(principal).transpose()?;
    for (_, item) in &mut items {
        if let Some(principal) = &principal {
            item["principal"] = principal.clone();
        }
        if let Some(session) = &options.session {
            item["session"] = session.as_str().into();
        }
        if options.all {
            item["all"] = true.into();
        }
        if let Some(key) = &options.key {
            item["key"] = key.as_str().into();
        }
    }
    let lines = items.into_iter().map(|(name, item)| ItemLine {
        name,
        json: item.to_string().into_bytes(),
    });
    Ok(lines.collect())
}

/// A subject may have spaces; an issuer is a URL, or a name without any.
fn principal(text: &str) -> Result<Value, String> {
    if PrincipalId::parse(text).is_some() {
        return Ok(text.into());
    }
    match text.split_once(' ') {
        Some((issuer, subject)) if !issuer.is_empty() && !subject.is_empty() => {
            Ok(json!({ "issuer": issuer, "subject": subject }))
        }
        _ => Err(format!(
            "invalid value '{text}' for '--principal <PRINCIPAL>': must be an issuer, a space and its subject, such as \
             'https://login.example.com alice', or an id of 32 hexadecimal digits"
        )),
    }
}

fn of_targets(options: &PublishOptions) -> Result<Vec<(String, Value)>, String> {
    let contents = contents_of(options)?;
    let targets = options.targets.iter();
    targets
        .map(|target| Ok((target.clone(), target_item(target, contents.as_ref())?)))
        .collect()
}

fn said(options: &PublishOptions, message: &str) -> Value {
    let level = options.level.as_deref().unwrap_or("info");
    let data = serde_json::from_str(message).unwrap_or_else(|_| Value::from(message));
    let mut said = json!({ "level": level, "data": data });
    if let Some(logger) = &options.logger {
        said["logger"] = logger.as_str().into();
    }
    said
}

/// The item for a target of the command line. `contents` of `null` delete.
fn target_item(target: &str, contents: Option<&Value>) -> Result<Value, String> {
    let is_topic = Topic::list_named(target).is_some();
    if !is_topic && !target.contains(':') {
        return Err(format!(
            "invalid value '{target}' for '<TARGET>...': must be a URI such as board://lunch, or {LIST_NAMES}, or - alone"
        ));
    }
    match (is_topic, contents) {
        (true, None) => Ok(json!({ "topic": target })),
        (true, Some(_)) => Err(format!(
            "'{target}' is a list and has no contents; --text, --file, --blob and --delete are for URIs"
        )),
        (false, None) => Ok(json!({ "uri": target })),
        (false, Some(contents)) => Ok(json!({ "uri": target, "contents": contents })),
    }
}

/// `contents` of each item; `null` deletes.
fn contents_of(options: &PublishOptions) -> Result<Option<Value>, String> {
    let mut contents = if options.delete {
        return Ok(Some(Value::Null));
    } else if let Some(text) = &options.text {
        json!({ "text": text })
    } else if let Some(path) = &options.file {
        let text = String::from_utf8(read(path)?).map_err(|_| {
            format!(
                "{} is not UTF-8 text; publish it with --blob",
                path.display()
            )
        })?;
        json!({ "text": text })
    } else if let Some(path) = &options.blob {
        use base64::Engine;
        let bytes = read(path)?;
        json!({ "blob": base64::engine::general_purpose::STANDARD.encode(bytes) })
    } else {
        return Ok(None);
    };
    if let Some(mime) = &options.mime {
        contents["mimeType"] = mime.as_str().into();
    }
    Ok(Some(contents))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        options: PublishOptions,
    }

    fn parse(arguments: &[&str]) -> Result<PublishOptions, String> {
        let arguments = std::iter::once(&"publish").chain(arguments);
        Wrapper::try_parse_from(arguments)
            .map(|wrapper| wrapper.options)
            .map_err(|error| error.to_string())
    }

    fn items(arguments: &[&str]) -> Result<Vec<Value>, String> {
        let lines = of_options(&parse(arguments)?)?;
        let value = |line: ItemLine| serde_json::from_slice(&line.json).unwrap();
        Ok(lines.into_iter().map(value).collect())
    }

    #[test]
    fn a_target_that_is_neither_a_uri_nor_a_list() {
        let refused = items(&["lunch"]).unwrap_err();
        assert!(
            refused.contains("'lunch'") && refused.contains("board://lunch"),
            "{refused}"
        );
    }

    #[test]
    fn targets_and_their_contents() {
        assert!(items(&["--delete", "tools"]).is_err());
        let told = items(&["tools", "board://a"]);
        assert_eq!(
            told,
            Ok(vec![json!({"topic": "tools"}), json!({"uri": "board://a"})])
        );
        let gone = items(&["--delete", "board://a"]);
        assert_eq!(
            gone,
            Ok(vec![json!({"uri": "board://a", "contents": null})])
        );
        let put = items(&[
            "--text",
            "a\nb",
            "--mime",
            "text/plain",
            "--key",
            "k",
            "board://a",
        ]);
        let contents = json!({"text": "a\nb", "mimeType": "text/plain"});
        assert_eq!(
            put,
            Ok(vec![
                json!({"uri": "board://a", "contents": contents, "key": "k"})
            ])
        );
    }

    #[test]
    fn messages_and_sessions() {
        let message = |data: Value| json!({"level": "info", "data": data});
        assert_eq!(
            items(&["--all", "--message", "in 5 minutes"]),
            Ok(vec![
                json!({"all": true, "message": message("in 5 minutes".into())})
            ])
        );
        assert_eq!(
            items(&[
                "--session",
                "n.1",
                "--message",
                "{\"a\": 1}",
                "--level",
                "error",
                "--logger",
                "x"
            ]),
            Ok(vec![json!({
                "session": "n.1",
                "message": {"level": "error", "logger": "x", "data": {"a": 1}},
            })])
        );
        assert_eq!(
            items(&["--session", "n.1", "board://a"]),
            Ok(vec![json!({"session": "n.1", "uri": "board://a"})])
        );
    }

    #[test]
    fn a_principal_that_is_not_whole() {
        let told = items(&["--principal", "https://login.example a b", "tools"]);
        let principal = json!({"issuer": "https://login.example", "subject": "a b"});
        assert_eq!(
            told,
            Ok(vec![json!({"topic": "tools", "principal": principal})])
        );
        let id = "dc18d98ab34b2f83b5913fec82dc81e9";
        let told = items(&["--principal", id, "board://a", "board://b"]);
        let item = |uri: &str| json!({"uri": uri, "principal": id});
        assert_eq!(told, Ok(vec![item("board://a"), item("board://b")]));
        for wrong in [
            "",
            "alice",
            " alice",
            "https://login.example ",
            "dc18d98ab34b2f83",
        ] {
            let refused = items(&["--principal", wrong, "tools"]).unwrap_err();
            assert!(refused.contains("--principal"), "{refused}");
        }
    }

    #[test]
    fn options_that_do_not_go_together() {
        for wrong in [
            &["--principal", "i s", "--session", "n.1", "tools"][..],
            &["--principal", "i s", "--all", "--message", "x"],
            &["--principal", "i s", "--text", "x", "board://a"],
            &["--principal", "i s", "--delete", "board://a"],
            &["--principal", "i s", "--from", "x"],
            &["--all", "tools"],
            &["--all", "--session", "n.1", "--message", "x"],
            &["--message", "x"],
            &["--message", "x", "--all", "tools"],
            &["--session", "n.1", "--text", "x", "board://a"],
            &["--level", "info", "tools"],
            &["--key", "k", "tools", "prompts"],
            &["--from", "x", "tools"],
            &["--from", "x", "--key", "k"],
            &[],
        ] {
            assert!(items(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse(&["-"]).unwrap().input(), Some("-".into()));
        assert_eq!(parse(&["--from", "x"]).unwrap().input(), Some("x".into()));
    }
}
