//! The admin listener as seen from here: lines go there, an answer for each comes back.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use ureq::typestate::WithBody;

use super::EXIT_REFUSED;
use super::input::ItemLine;
use crate::admin::Token;
use crate::cli::EXIT_NO_ANSWER;
use crate::config::read_token_file;

/// To the first answer. The listener begins to answer before it has read everything, but a proxy may not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Of a response that is not answers.
const ERROR_BYTES_MAX: u64 = 64 * 1024;

/// Of one answer: a thousand sessions are half of a megabyte, with long names some.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where it is, and what it asks for: of every command that speaks to it.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct AdminTarget {
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
}

/// Why a command did not get what it wanted: its exit code, and a sentence.
pub(in crate::cli) type AdminFault = (u8, String);

pub(in crate::cli) struct AdminClient {
    agent: ureq::Agent,
    base: String,
    token: Option<Token>,
}

impl AdminClient {
    pub(in crate::cli) fn new(options: &AdminTarget) -> Result<Self, String> {
        Self::within(options, ANSWER_TIMEOUT)
    }

    /// One that does not wait for longer than that.
    ///
    /// # Errors
    /// The token's file cannot be used.
    pub(in crate::cli) fn within(
        options: &AdminTarget,
        answer_timeout: Duration,
    ) -> Result<Self, String> {
        let read = |path: &Path| {
            read_token_file(path).map_err(|allowed| {
                format!(
                    "invalid value '{}' for '--token-file': {allowed}",
                    path.display()
                )
            })
        };
        let token = options.token_file.as_deref().map(read).transpose()?;
        let base = options.admin.trim_end_matches('/');
        let base = if base.contains("://") {
            base.to_owned()
        } else {
            format!("http://{base}")
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(answer_timeout.min(Duration::from_secs(5))))
            .timeout_recv_response(Some(answer_timeout))
            .build()
            .new_agent();
        Ok(AdminClient { agent, base, token })
    }

    /// Asks for one thing: the status, and what was answered.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(in crate::cli) fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let request = self.request(path, "application/json");
        let response = request.send(body.to_string().as_bytes());
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        // What cannot be read is no answer of ours.
        let _ = reader.take(ERROR_BYTES_MAX).read_to_end(&mut bytes);
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// What is answered in words: the status, and they.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(in crate::cli) fn words(&self, path: &str) -> Result<(u16, String), String> {
        let request = self.authorized(self.agent.get(format!("{}{path}", self.base)));
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        // What cannot be read is not told.
        let _ = reader.take(ERROR_BYTES_MAX).read_to_end(&mut bytes);
        Ok((status, String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// # Errors
    /// There is no answer, or it is not 200: the exit code of whoever asked, and the listener's sentence.
    pub(in crate::cli) fn get(&self, path: &str) -> Result<Value, AdminFault> {
        self.answer(
            self.authorized(self.agent.get(format!("{}{path}", self.base)))
                .call(),
        )
    }

    /// # Errors
    /// As of [`get`](AdminClient::get).
    pub(in crate::cli) fn delete(&self, path: &str) -> Result<Value, AdminFault> {
        self.answer(
            self.authorized(self.agent.delete(format!("{}{path}", self.base)))
                .call(),
        )
    }

    /// Where the listener is, for people.
    pub(in crate::cli) fn base(&self) -> &str {
        &self.base
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, AdminFault> {
        let response = response.map_err(|error| (EXIT_NO_ANSWER, self.unreachable(&error)))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        // What cannot be read is no answer of ours.
        let _ = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match (status, answer["error"].as_str()) {
            (200, _) if answer.is_object() => Ok(answer),
            (_, Some(error)) => Err((EXIT_REFUSED, format!("{status}: {error}"))),
            _ => Err((
                EXIT_NO_ANSWER,
                not_pinfold(&String::from_utf8_lossy(&bytes)),
            )),
        }
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {}", token.expose())),
            None => request,
        }
    }

    fn request(&self, path: &str, content_type: &str) -> ureq::RequestBuilder<WithBody> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.authorized(request.header("Content-Type", content_type))
    }

    /// Hands each line over with its answer, in order.
    ///
    /// # Errors
    /// Why there are no answers, or no more.
    pub(super) fn publish(
        &self,
        batch: &[ItemLine],
        take: impl FnMut(&ItemLine, &Value),
    ) -> Result<(), String> {
        let request = self.request("/publish", "application/x-ndjson");
        let body: Vec<&[u8]> = batch.iter().map(|line| &*line.json).collect();
        let body = body.join(&b'\n');
        let response = request
            .send(&body[..])
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let reader = BufReader::new(response.into_body().into_reader());
        let said = match status {
            200 => read_answers(reader, batch, take),
            _ => Err(read_error(reader)),
        };
        said.map_err(|said| format!("{}/publish answered {status}: {said}", self.base))
    }

    fn unreachable(&self, error: &ureq::Error) -> String {
        let base = &self.base;
        match error {
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => format!(
                "nothing listens at {base}. Is `pinfold serve` running here? Where it takes publishes is set with its --admin, and told to this command with --admin"
            ),
            ureq::Error::HostNotFound => format!("there is no host of that name: {base}"),
            _ => format!("{base} did not answer: {error}"),
        }
    }
}

fn read_answers(
    reader: impl BufRead,
    batch: &[ItemLine],
    mut take: impl FnMut(&ItemLine, &Value),
) -> Result<(), String> {
    let mut lines = batch.iter();
    let missing = |count: usize, why: &str| {
        format!("{count} items got no answer, and may or may not have been published: {why}")
    };
    for answer in reader.lines() {
        let answer = answer.map_err(|error| missing(lines.len(), &error.to_string()))?;
        let value = serde_json::from_str::<Value>(&answer).unwrap_or_default();
        if let Some(error) = value["error"].as_str() {
            return Err(missing(lines.len(), error));
        }
        match lines.next() {
            Some(line) if value["accepted"].is_boolean() => take(line, &value),
            _ => return Err(not_pinfold(&answer)),
        }
    }
    match lines.len() {
        0 => Ok(()),
        count => Err(missing(count, "the answers ended")),
    }
}

fn read_error(reader: impl BufRead) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not told.
    let _ = reader.take(ERROR_BYTES_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let value = serde_json::from_str::<Value>(&text).unwrap_or_default();
    value["error"]
        .as_str()
        .map_or_else(|| not_pinfold(&text), ToOwned::to_owned)
}

fn not_pinfold(text: &str) -> String {
    let start: String = text.chars().take(200).collect();
    format!("this is not pinfold's admin listener: {start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(text: &str, count: usize) -> Result<Vec<Value>, String> {
        let line = ItemLine {
            name: "x".into(),
            json: vec![],
        };
        let mut taken = Vec::new();
        let batch = vec![line; count];
        read_answers(text.as_bytes(), &batch, |_, answer| {
            taken.push(answer.clone())
        })
        .map(|()| taken)
    }

    #[test]
    fn answers_that_are_none() {
        for wrong in ["<html>", "{}", "[]", "{\"accepted\":1}"] {
            let refused = answers(wrong, 1).unwrap_err();
            assert!(refused.contains("not pinfold's"), "{refused}");
        }
        assert!(answers("{\"accepted\":true}\n{\"accepted\":true}\n", 1).is_err());
        assert_eq!(answers("{\"accepted\":false}\n", 1).unwrap().len(), 1);
    }

    #[test]
    fn answers_that_end_too_early() {
        let refused = answers("{\"accepted\":true}\n{\"error\":\"why\"}\n", 3).unwrap_err();
        assert!(
            refused.starts_with("2 items") && refused.ends_with("why"),
            "{refused}"
        );
        assert!(answers("", 1).unwrap_err().starts_with("1 items"));
    }

    #[test]
    fn an_error_from_something_else() {
        assert_eq!(
            read_error(&br#"{"error":"needs the token"}"#[..]),
            "needs the token"
        );
        assert!(read_error(&b"<html>"[..]).contains("not pinfold's"));
    }
}
