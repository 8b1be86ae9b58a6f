//! `pinfold publish`: items from the command line or from standard input to the admin listener, an answer per
//! line.
//!
//! Lines from standard input are sent as they come; what arrives while a batch is under way becomes the next.

mod items;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::admin::Token;
use crate::config::read_token_file;
use items::{Batches, line_of, split_input, target_item};

pub const EXAMPLES: &str = "\
Examples:
  pinfold publish tools
        the list of tools changed
  pinfold publish board://lunch
        this resource changed; its contents are unknown here or the same
  pinfold publish --text 'soup' board://lunch
  pinfold publish --blob plan.png --mime image/png board://plan
  pinfold publish --delete board://lunch board://plan
  tail -f events.ndjson | pinfold publish -
        one item per line, such as {\"uri\": \"board://lunch\", \"contents\": {\"text\": \"soup\"}}

Exit code: 0 all accepted, 1 at least one refused, 2 wrong options, 3 no answer from the admin listener.";

const EXIT_REFUSED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_NO_ANSWER: u8 = 3;

/// Lines read ahead of the batch under way.
const READ_AHEAD: usize = 2000;

#[derive(Args, Clone, Debug)]
pub struct PublishOptions {
    /// Address of the server's admin listener
    #[arg(
        long,
        env = "PINFOLD_ADMIN_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9464"
    )]
    admin: String,

    /// File with the listener's bearer token
    #[arg(long, env = "PINFOLD_ADMIN_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// New contents: this text
    #[arg(long, value_name = "TEXT", group = "source")]
    text: Option<String>,

    /// New contents: the text in this file
    #[arg(long, value_name = "FILE", group = "source")]
    file: Option<PathBuf>,

    /// New contents: the bytes of this file
    #[arg(long, value_name = "FILE", group = "source")]
    blob: Option<PathBuf>,

    /// The contents' MIME type
    #[arg(
        long,
        value_name = "TYPE",
        requires = "source",
        conflicts_with = "delete"
    )]
    mime: Option<String>,

    /// Take the resources away
    #[arg(long, group = "source")]
    delete: bool,

    /// URIs of resources, or tools, prompts, resources for the lists; - reads items from standard input
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Publishes and reports; the exit code says how it went.
#[must_use]
pub fn run(options: &PublishOptions) -> ExitCode {
    let fail = |code: u8, sentence: String| {
        eprintln!("error: {sentence}");
        ExitCode::from(code)
    };
    let desk = match RemoteDesk::new(options) {
        Ok(desk) => desk,
        Err(sentence) => return fail(EXIT_USAGE, sentence),
    };
    let items = match items_of(options) {
        Ok(items) => items,
        Err(sentence) => return fail(EXIT_USAGE, sentence),
    };
    let mut refused_any = false;
    for batch in Batches::new(items) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(sentence) => return fail(EXIT_USAGE, sentence),
        };
        match desk.publish(&batch) {
            Ok(answers) => refused_any |= !report(&batch, &answers),
            Err(sentence) => return fail(EXIT_NO_ANSWER, sentence),
        }
    }
    ExitCode::from(if refused_any { EXIT_REFUSED } else { 0 })
}

/// Prints a line per item; whether all were accepted.
fn report(batch: &[Value], answers: &[Value]) -> bool {
    let mut out = std::io::stdout().lock();
    for (item, answer) in batch.iter().zip(answers) {
        // Whoever reads our lines may go; the items are published all the same.
        let _ = writeln!(out, "{}", line_of(item, answer));
    }
    answers.iter().all(|answer| answer["accepted"] == true)
}

/// The items asked for, read ahead by a thread of their own if they come from standard input.
fn items_of(options: &PublishOptions) -> Result<Receiver<Result<Value, String>>, String> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    if options.targets == ["-"] {
        if options.text.is_some()
            || options.file.is_some()
            || options.blob.is_some()
            || options.delete
        {
            return Err("items from standard input bring their own contents; leave --text, --file, --blob and --delete out".into());
        }
        std::thread::spawn(move || {
            split_input(std::io::stdin().lock(), |item| sender.send(item).is_ok());
        });
        return Ok(receiver);
    }
    let contents = contents_of(options)?;
    let items: Vec<Value> = options
        .targets
        .iter()
        .map(|target| target_item(target, contents.as_ref()))
        .collect::<Result<_, _>>()?;
    std::thread::spawn(move || items.into_iter().all(|item| sender.send(Ok(item)).is_ok()));
    Ok(receiver)
}

/// `contents` of each item; `null` deletes.
fn contents_of(options: &PublishOptions) -> Result<Option<Value>, String> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let mut contents = if options.delete {
        return Ok(Some(Value::Null));
    } else if let Some(text) = &options.text {
        serde_json::json!({ "text": text })
    } else if let Some(path) = &options.file {
        let text = String::from_utf8(read(path)?).map_err(|_| {
            format!(
                "{} is not UTF-8 text; publish it with --blob",
                path.display()
            )
        })?;
        serde_json::json!({ "text": text })
    } else if let Some(path) = &options.blob {
        use base64::Engine;
        let bytes = read(path)?;
        serde_json::json!({ "blob": base64::engine::general_purpose::STANDARD.encode(bytes) })
    } else {
        return Ok(None);
    };
    if let Some(mime) = &options.mime {
        contents["mimeType"] = mime.as_str().into();
    }
    Ok(Some(contents))
}

/// The admin listener as seen from here.
struct RemoteDesk {
    agent: ureq::Agent,
    base: String,
    token: Option<Token>,
}

impl RemoteDesk {
    fn new(options: &PublishOptions) -> Result<Self, String> {
        let token = match &options.token_file {
            None => None,
            Some(path) => Some(read_token_file(path).map_err(|allowed| {
                format!(
                    "invalid value '{}' for '--token-file': {allowed}",
                    path.display()
                )
            })?),
        };
        let base = options.admin.trim_end_matches('/');
        let base = if base.contains("://") {
            base.to_owned()
        } else {
            format!("http://{base}")
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(RemoteDesk { agent, base, token })
    }

    /// One answer per item, or why there are none.
    fn publish(&self, batch: &[Value]) -> Result<Vec<Value>, String> {
        let mut request = self
            .agent
            .post(format!("{}/publish", self.base))
            .header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {}", token.expose()));
        }
        let body = serde_json::to_vec(batch).expect("values are JSON");
        let mut response = request
            .send(&body[..])
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        answers(status, &text, batch.len())
            .map_err(|said| format!("{}/publish answered {status}: {said}", self.base))
    }

    fn unreachable(&self, error: &ureq::Error) -> String {
        let base = &self.base;
        match error {
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => format!(
                "nothing listens at {base}. Is `pinfold serve` running here? Where it takes publishes is set with its --admin, and told to `pinfold publish` with --admin"
            ),
            ureq::Error::HostNotFound => format!("there is no host of that name: {base}"),
            _ => format!("{base} did not answer: {error}"),
        }
    }
}

/// The list of answers in a response, or what the response says instead.
fn answers(status: u16, text: &str, items_count: usize) -> Result<Vec<Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Array(answers))
            if answers.len() == items_count && matches!(status, 200 | 400) =>
        {
            Ok(answers)
        }
        Ok(Value::Object(object)) if object.contains_key("error") => {
            Err(object["error"].as_str().unwrap_or(text).to_owned())
        }
        _ => {
            let start: String = text.chars().take(200).collect();
            Err(format!("this is not pinfold's admin listener: {start}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_something_else() {
        let refused = answers(200, "<html>", 1).unwrap_err();
        assert!(
            refused.contains("not pinfold's admin listener"),
            "{refused}"
        );
        assert!(answers(200, "[]", 1).is_err());
        assert_eq!(
            answers(401, r#"{"error":"needs the token"}"#, 1),
            Err("needs the token".into())
        );
        assert_eq!(answers(400, r#"[{"accepted":false}]"#, 1).unwrap().len(), 1);
    }
}
